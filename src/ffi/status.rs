//! Statuses, and what the library says about itself.

use std::ffi::c_char;

use super::boundary::boundary_or;
use crate::Backend;

/// What a call returns: DIRKV_OK (0), or why it failed. Numbers never change their meaning; new ones may come.
pub type dirkv_status = i32;

/// It worked.
pub const DIRKV_OK: dirkv_status = 0;
/// The key, bucket or lock isn't there.
pub const DIRKV_NOT_FOUND: dirkv_status = 1;
/// An unexpired value is there already.
pub const DIRKV_ALREADY_EXISTS: dirkv_status = 2;
/// The value, revision or fence that is there isn't the one given.
pub const DIRKV_COMPARE_FAILED: dirkv_status = 3;
/// An argument breaks a rule; the message names both.
pub const DIRKV_BAD_PARAMETER: dirkv_status = 4;
/// The time limit passed, and nothing was done. Trying again may work.
pub const DIRKV_TIMEOUT: dirkv_status = 5;
/// The lease expired, or another holds it.
pub const DIRKV_LOCK_LOST: dirkv_status = 6;
/// The filesystem is full; nothing was written. Works again, without reopening, once there is room.
pub const DIRKV_NO_SPACE: dirkv_status = 7;
/// The handle, the directory or the filesystem is read-only.
pub const DIRKV_READ_ONLY: dirkv_status = 8;
/// The system reported an error (see dirkv_error_os_errno). A change that got this did not happen and will not show.
pub const DIRKV_IO: dirkv_status = 9;
/// Bytes on disk are not those that were written; the message names file and offset.
pub const DIRKV_CORRUPT: dirkv_status = 10;
/// This filesystem, format version or mode isn't supported; the message says which one was found.
pub const DIRKV_UNSUPPORTED: dirkv_status = 11;
/// A value, batch or listing is larger than its limit; nothing was written.
pub const DIRKV_LIMIT_EXCEEDED: dirkv_status = 12;
/// The caller's memory is too small; the length output tells what is needed.
pub const DIRKV_BUFFER_TOO_SMALL: dirkv_status = 13;
/// The handle is closed, or was while the call waited.
pub const DIRKV_CLOSED: dirkv_status = 14;
/// The handle was opened by another process, of which this one is a fork.
pub const DIRKV_FORKED: dirkv_status = 15;
/// What was asked for has been compacted away. Reserved: no call returns it yet.
pub const DIRKV_COMPACTED: dirkv_status = 16;
/// The change may or may not have happened: a disk write failed, and recovering from that failed too; or the thread that wrote
/// it for others met a bug.
pub const DIRKV_UNCERTAIN: dirkv_status = 17;
/// A bug in dirkv; the message tells where. The store on disk is as safe as after a crash.
pub const DIRKV_INTERNAL: dirkv_status = 18;

/// The ABI that this header describes. It grows by one whenever something is added; what is there stays as it is
/// under one SONAME. A program compiled with this header may use a library whose dirkv_abi_version() is at least this.
pub const DIRKV_ABI_VERSION: u32 = 1;

/// The name of a status as text, without the prefix: "OK", "NOT_FOUND". Of a number that is none: "UNKNOWN".
/// The text is static.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_status_name(status: dirkv_status) -> *const c_char {
    boundary_or(c"UNKNOWN".as_ptr(), || {
        let name = match status {
            DIRKV_OK => c"OK",
            DIRKV_NOT_FOUND => c"NOT_FOUND",
            DIRKV_ALREADY_EXISTS => c"ALREADY_EXISTS",
            DIRKV_COMPARE_FAILED => c"COMPARE_FAILED",
            DIRKV_BAD_PARAMETER => c"BAD_PARAMETER",
            DIRKV_TIMEOUT => c"TIMEOUT",
            DIRKV_LOCK_LOST => c"LOCK_LOST",
            DIRKV_NO_SPACE => c"NO_SPACE",
            DIRKV_READ_ONLY => c"READ_ONLY",
            DIRKV_IO => c"IO",
            DIRKV_CORRUPT => c"CORRUPT",
            DIRKV_UNSUPPORTED => c"UNSUPPORTED",
            DIRKV_LIMIT_EXCEEDED => c"LIMIT_EXCEEDED",
            DIRKV_BUFFER_TOO_SMALL => c"BUFFER_TOO_SMALL",
            DIRKV_CLOSED => c"CLOSED",
            DIRKV_FORKED => c"FORKED",
            DIRKV_COMPACTED => c"COMPACTED",
            DIRKV_UNCERTAIN => c"UNCERTAIN",
            DIRKV_INTERNAL => c"INTERNAL",
            _ => c"UNKNOWN",
        };
        name.as_ptr()
    })
}

/// The name of this kind of backend: "dir". The text is static.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_name() -> *const c_char {
    const NAME: &std::ffi::CStr = c"dir";
    const { assert!(NAME.to_bytes().len() == Backend::NAME.len()) };
    boundary_or(NAME.as_ptr(), || NAME.as_ptr())
}

/// The version of the library as text: "0.1.0". The text is static.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    boundary_or(VERSION.as_ptr().cast(), || VERSION.as_ptr().cast())
}

/// The ABI of the library that is loaded; see DIRKV_ABI_VERSION.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_abi_version() -> u32 {
    boundary_or(DIRKV_ABI_VERSION, || DIRKV_ABI_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use std::ffi::CStr;

    /// Every code, in the order of its number.
    const CODES: [Code; 18] = [
        Code::NotFound,
        Code::AlreadyExists,
        Code::CompareFailed,
        Code::BadParameter,
        Code::Timeout,
        Code::LockLost,
        Code::NoSpace,
        Code::ReadOnly,
        Code::Io,
        Code::Corrupt,
        Code::Unsupported,
        Code::LimitExceeded,
        Code::BufferTooSmall,
        Code::Closed,
        Code::Forked,
        Code::Compacted,
        Code::Uncertain,
        Code::Internal,
    ];

    fn text(pointer: *const c_char) -> &'static str {
        // SAFETY: all of these texts are static.
        unsafe { CStr::from_ptr(pointer) }.to_str().unwrap_or_default()
    }

    #[test]
    fn statuses_are_the_codes() {
        for (at, code) in (1..).zip(CODES) {
            assert_eq!(code as dirkv_status, at);
            // SAFETY: takes no pointer.
            assert_eq!(text(unsafe { dirkv_status_name(at) }), code.name());
        }
        for (status, name) in [(0, "OK"), (-1, "UNKNOWN"), (19, "UNKNOWN"), (i32::MIN, "UNKNOWN")] {
            // SAFETY: takes no pointer.
            assert_eq!(text(unsafe { dirkv_status_name(status) }), name);
        }
    }

    #[test]
    fn it_says_who_it_is() {
        // SAFETY: none takes a pointer.
        unsafe {
            assert_eq!(text(dirkv_name()), Backend::NAME);
            assert_eq!(text(dirkv_version()), env!("CARGO_PKG_VERSION"));
            assert_eq!(dirkv_abi_version(), DIRKV_ABI_VERSION);
        }
    }
}
