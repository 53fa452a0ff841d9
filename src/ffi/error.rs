//! Error objects: what a failed call leaves in `*err`.

use std::ffi::{CString, c_char};

use super::boundary::boundary_or;
use super::status::{DIRKV_INTERNAL, DIRKV_OK, dirkv_status};
use crate::error::Error;

/// Why a call failed: its status, one sentence, and the system's error number. Free it with dirkv_error_free.
#[derive(Debug)]
pub struct dirkv_error {
    code: dirkv_status,
    message: CString,
    os_errno: i32,
}

impl dirkv_error {
    /// The object for C; [`dirkv_error_free`] takes it back.
    pub(super) fn into_raw(error: Error) -> *mut dirkv_error {
        let code = error.code as dirkv_status;
        Box::into_raw(Box::new(dirkv_error { code, message: text(&error.message), os_errno: error.os_errno }))
    }
}

/// Text for C. A NUL inside, which only a stranger's data could have brought into it, becomes a question mark.
pub(super) fn text(text: &str) -> CString {
    let bytes = text.bytes().map(|byte| if byte == 0 { b'?' } else { byte }).collect::<Vec<_>>();
    CString::new(bytes).unwrap_or_default()
}

/// The status that the failed call returned; DIRKV_OK of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_error_code(error: *const dirkv_error) -> dirkv_status {
    // SAFETY: the caller promises that `error` is NULL or a live error.
    boundary_or(DIRKV_INTERNAL, || unsafe { error.as_ref() }.map_or(DIRKV_OK, |error| error.code))
}

/// One sentence in English that names the bucket, key, file or parameter concerned, and the rule; "" of NULL.
/// It belongs to the error and lives as long.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_error_message(error: *const dirkv_error) -> *const c_char {
    boundary_or(c"".as_ptr(), || {
        // SAFETY: the caller promises that `error` is NULL or a live error.
        unsafe { error.as_ref() }.map_or(c"".as_ptr(), |error| error.message.as_ptr())
    })
}

/// The system's `errno` behind the failure, or 0 if there was none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_error_os_errno(error: *const dirkv_error) -> i32 {
    // SAFETY: the caller promises that `error` is NULL or a live error.
    boundary_or(0, || unsafe { error.as_ref() }.map_or(0, |error| error.os_errno))
}

/// Frees an error and its message. NULL: does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_error_free(error: *mut dirkv_error) {
    boundary_or((), || {
        if !error.is_null() {
            // SAFETY: it came from `into_raw`, and the caller gives it up.
            drop(unsafe { Box::from_raw(error) });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use std::ffi::CStr;

    #[test]
    fn an_error_keeps_all_three() {
        let cause = std::io::Error::from_raw_os_error(5);
        let error = dirkv_error::into_raw(Error::io("write log-3\0", &cause));
        // SAFETY: `error` is live until it is freed, once.
        unsafe {
            assert_eq!(dirkv_error_code(error), Code::Io as i32);
            assert_eq!(dirkv_error_os_errno(error), 5);
            let message = CStr::from_ptr(dirkv_error_message(error)).to_str().unwrap_or_default();
            assert!(message.starts_with("can't write log-3?: "), "{message}");
            dirkv_error_free(error);
        }
    }

    #[test]
    fn null_is_no_error() {
        let null = std::ptr::null_mut();
        // SAFETY: NULL is allowed.
        unsafe {
            assert_eq!(dirkv_error_code(null), DIRKV_OK);
            assert_eq!(dirkv_error_os_errno(null), 0);
            assert_eq!(CStr::from_ptr(dirkv_error_message(null)), c"");
            dirkv_error_free(null);
        }
    }
}
