//! Reading values.

use std::ffi::{c_char, c_void};

use super::backend::dirkv_backend;
use super::boundary::{boundary, boundary_or};
use super::error::dirkv_error;
use super::output::Out;
use super::status::dirkv_status;
use super::{handle, input};
use crate::backend::Fit;
use crate::error::{Code, Error};

/// Bytes that the library allocated, for dirkv_buf_free. Empty is (NULL, 0). Hand it back as it was received.
#[derive(Debug)]
#[repr(C)]
pub struct dirkv_buf {
    /// The bytes, not NUL-terminated; NULL if there are none.
    pub data: *mut u8,
    /// How many.
    pub len: usize,
}

impl dirkv_buf {
    /// Hands the bytes to C; [`dirkv_buf_free`] takes them back.
    pub(super) fn from_vec(bytes: Vec<u8>) -> dirkv_buf {
        if bytes.is_empty() {
            return dirkv_buf { data: std::ptr::null_mut(), len: 0 };
        }
        let bytes = Box::leak(bytes.into_boxed_slice());
        dirkv_buf { data: bytes.as_mut_ptr(), len: bytes.len() }
    }
}

/// Frees the bytes and empties the buffer. NULL, or an empty buffer: does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_buf_free(buf: *mut dirkv_buf) {
    boundary_or((), || {
        // SAFETY: the caller promises that `buf` is NULL or a buffer as the library filled it, or an emptied one.
        let Some(buf) = (unsafe { buf.as_mut() }) else { return };
        if !buf.data.is_null() {
            let bytes = std::ptr::slice_from_raw_parts_mut(buf.data, buf.len);
            // SAFETY: a boxed slice of this length in `from_vec`.
            drop(unsafe { Box::from_raw(bytes) });
        }
        *buf = dirkv_buf::from_vec(Vec::new());
    });
}

/// Tells whether an unexpired value is there, without copying it.
///
/// `exists`  1 or 0
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_exists(
    b: *mut dirkv_backend,
    bucket: *const c_char,
    key: *const c_char,
    exists: *mut i32,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (exists, bucket, key) =
            unsafe { (Out::new(exists, "exists")?, input::text(bucket, "bucket")?, input::text(key, "key")?) };
        exists.set(i32::from(handle::enter(b)?.exists(bucket, key)?));
        Ok(())
    })
}

/// Gets a value. DIRKV_NOT_FOUND if none is there; DIRKV_BAD_PARAMETER if the name is only a bucket's.
///
/// `val`  the value, for dirkv_buf_free
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_get_val(
    b: *mut dirkv_backend,
    bucket: *const c_char,
    key: *const c_char,
    val: *mut dirkv_buf,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (val, bucket, key) =
            unsafe { (Out::new(val, "val")?, input::text(bucket, "bucket")?, input::text(key, "key")?) };
        val.set(dirkv_buf::from_vec(handle::enter(b)?.get(bucket, key)?));
        Ok(())
    })
}

/// dirkv_get_val into the caller's memory, without an allocation.
///
/// `dst`, `cap`  the memory and its size; (NULL, 0) asks for the length
/// `len`         the value's length; with DIRKV_BUFFER_TOO_SMALL too, when nothing was copied
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_get_val_into(
    b: *mut dirkv_backend,
    bucket: *const c_char,
    key: *const c_char,
    dst: *mut c_void,
    cap: usize,
    len: *mut usize,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (len, bucket, key, dst) = unsafe {
            let len = Out::new(len, "len")?;
            (len, input::text(bucket, "bucket")?, input::text(key, "key")?, input::memory(dst, cap, "dst")?)
        };
        match handle::enter(b)?.get_into(bucket, key, dst)? {
            Fit::Copied(copied) => {
                len.set(copied);
                Ok(())
            }
            Fit::TooSmall(needed) => {
                len.set(needed);
                let key = String::from_utf8_lossy(key);
                let what = format!("the value of key \"{key}\" has {needed} bytes, the caller's memory {cap}");
                Err(Error::new(Code::BufferTooSmall, what))
            }
        }
    })
}

/// Gets a value with all that is known about it. DIRKV_NOT_FOUND if none is there.
///
/// `val`       the value, for dirkv_buf_free
/// `expires`   the instant at which it expires; 0: never
/// `revision`  the revision of the change that made it what it is
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_get_item(
    b: *mut dirkv_backend,
    bucket: *const c_char,
    key: *const c_char,
    val: *mut dirkv_buf,
    expires: *mut i64,
    revision: *mut u64,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (outs, bucket, key) = unsafe {
            let outs = (Out::new(val, "val"), Out::new(expires, "expires"), Out::new(revision, "revision"));
            (outs, input::text(bucket, "bucket"), input::text(key, "key"))
        };
        let (val, expires, revision) = (outs.0?, outs.1?, outs.2?);
        let item = handle::enter(b)?.get_item(bucket?, key?)?;
        val.set(dirkv_buf::from_vec(item.value));
        expires.set(item.expires);
        revision.set(item.revision);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back() {
        let mut buf = dirkv_buf::from_vec(b"abc".to_vec());
        assert_eq!(buf.len, 3);
        // SAFETY: as `from_vec` made it, then emptied, then NULL.
        unsafe {
            dirkv_buf_free(&raw mut buf);
            assert!(buf.data.is_null() && buf.len == 0);
            dirkv_buf_free(&raw mut buf);
            dirkv_buf_free(std::ptr::null_mut());
        }
        assert!(dirkv_buf::from_vec(Vec::new()).data.is_null());
    }
}
