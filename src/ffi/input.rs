//! What comes in: pointers checked, then borrowed for the length of the call.

use std::ffi::{CStr, c_char, c_void};
use std::fmt::Display;

use crate::error::{Code, Error, Result};

/// An error that names a parameter of the call and what is wrong with it.
pub(super) fn bad(parameter: impl Display, what: &str) -> Error {
    Error::new(Code::BadParameter, format!("parameter {parameter} {what}"))
}

/// A NUL-terminated text, without its NUL. Whether it is UTF-8 and a good name, the backend says.
///
/// # Safety
///
/// `pointer` is NULL or leads to a text that ends in a NUL and stays unchanged for `'a`.
pub(super) unsafe fn text<'a>(pointer: *const c_char, parameter: impl Display) -> Result<&'a [u8]> {
    // SAFETY: promised by the caller.
    let text = unsafe { optional_text(pointer) };
    text.ok_or_else(|| bad(parameter, "is NULL"))
}

/// A NUL-terminated text, or `None` for NULL.
///
/// # Safety
///
/// As for [`text`].
pub(super) unsafe fn optional_text<'a>(pointer: *const c_char) -> Option<&'a [u8]> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: not NULL, and promised by the caller.
    Some(unsafe { CStr::from_ptr(pointer) }.to_bytes())
}

/// `len` bytes; (NULL, 0) is the empty value.
///
/// # Safety
///
/// `pointer` is NULL or leads to `len` bytes that stay unchanged for `'a`.
pub(super) unsafe fn bytes<'a>(pointer: *const c_void, len: usize, parameter: impl Display) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(bad(parameter, &format!("is NULL, but its length is {len}")));
    }
    if isize::try_from(len).is_err() {
        return Err(Error::new(Code::LimitExceeded, format!("parameter {parameter} has an impossible length, {len}")));
    }
    // SAFETY: not NULL, no longer than an object can be, and promised by the caller.
    Ok(unsafe { std::slice::from_raw_parts(pointer.cast(), len) })
}

/// Memory of the caller's to write to; (NULL, 0) has room for nothing.
///
/// # Safety
///
/// `pointer` is NULL or leads to `cap` bytes that nobody else uses for `'a`.
pub(super) unsafe fn memory<'a>(pointer: *mut c_void, cap: usize, parameter: &str) -> Result<&'a mut [u8]> {
    // SAFETY: promised by the caller.
    unsafe { bytes(pointer, cap, parameter) }?;
    if cap == 0 {
        return Ok(&mut []);
    }
    // SAFETY: checked by `bytes`, and promised by the caller.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer.cast(), cap) })
}

/// One of our objects.
///
/// # Safety
///
/// `pointer` is NULL or came from the library and wasn't freed.
pub(super) unsafe fn object<'a, T>(pointer: *const T, parameter: &str) -> Result<&'a T> {
    // SAFETY: promised by the caller.
    unsafe { pointer.as_ref() }.ok_or_else(|| bad(parameter, "is NULL"))
}

/// One of our objects, to change it.
///
/// # Safety
///
/// As for [`object`], and nobody else uses it for `'a`.
pub(super) unsafe fn object_mut<'a, T>(pointer: *mut T, parameter: &str) -> Result<&'a mut T> {
    // SAFETY: promised by the caller.
    unsafe { pointer.as_mut() }.ok_or_else(|| bad(parameter, "is NULL"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    #[test]
    fn null_and_lengths() {
        // SAFETY: NULL, or literals, or refused before anything is read.
        unsafe {
            assert_eq!(text(c"abc".as_ptr(), "key").ok(), Some(&b"abc"[..]));
            assert_eq!(text(ptr::null(), "key"), Err(Error::new(Code::BadParameter, "parameter key is NULL")));
            assert_eq!(optional_text(ptr::null()), None);
            assert_eq!(bytes(ptr::null(), 0, "val").ok(), Some(&b""[..]));
            assert_eq!(bytes(ptr::dangling(), 0, "val").ok(), Some(&b""[..]));
            assert_eq!(bytes(ptr::null(), 1, "val").map_err(|e| e.code), Err(Code::BadParameter));
            assert_eq!(bytes(ptr::dangling(), usize::MAX, "val").map_err(|e| e.code), Err(Code::LimitExceeded));
            assert_eq!(bytes(b"a\0b".as_ptr().cast(), 3, "val").ok(), Some(&b"a\0b"[..]));
            assert_eq!(memory(ptr::null_mut(), 0, "dst").map(|m| m.len()), Ok(0));
            assert_eq!(memory(ptr::null_mut(), 4, "dst").map_err(|e| e.code), Err(Code::BadParameter));
            assert!(object(ptr::null::<u8>(), "list").is_err());
            assert!(object_mut(ptr::null_mut::<u8>(), "params").is_err());
        }
    }
}
