//! Calls of the C interface as a careful program makes them: each checks what every call promises of its status and its error.

use std::ffi::{CStr, CString, c_void};
use std::ptr;

use dirkv::ffi::backend::{dirkv_backend, dirkv_close, dirkv_open};
use dirkv::ffi::error::{dirkv_error, dirkv_error_code, dirkv_error_free, dirkv_error_message, dirkv_error_os_errno};
use dirkv::ffi::lists::{dirkv_entry, dirkv_list, dirkv_list_free, dirkv_list_get, dirkv_list_len, dirkv_list_packed};
use dirkv::ffi::params::{dirkv_params_free, dirkv_params_new, dirkv_params_set, dirkv_params_set_clock};
use dirkv::ffi::reads::{dirkv_buf, dirkv_buf_free};
use dirkv::ffi::status::{DIRKV_BAD_PARAMETER, DIRKV_INTERNAL, DIRKV_OK, dirkv_status};

use crate::packed::{Entry, unpack};

/// Where a call puts its error.
pub type Err = *mut *mut dirkv_error;

/// Makes a call and returns its status. On success there is no error, on failure one with the same status and a sentence;
/// no call ends in a panic, or finds the store damaged.
#[track_caller]
pub fn call(f: impl FnOnce(Err) -> dirkv_status) -> dirkv_status {
    let mut err = ptr::dangling_mut();
    let status = f(&raw mut err);
    if status == DIRKV_OK {
        assert!(err.is_null(), "success with an error");
        return status;
    }
    assert!(!err.is_null(), "status {status} without an error");
    // SAFETY: a live error of the call just made, freed once.
    unsafe {
        let text = CStr::from_ptr(dirkv_error_message(err)).to_str().expect("UTF-8").to_owned();
        assert_eq!(dirkv_error_code(err), status);
        assert!(!text.is_empty() && dirkv_error_os_errno(err) >= 0);
        dirkv_error_free(err);
        let is_ours = [DIRKV_INTERNAL, dirkv::Code::Corrupt as i32, dirkv::Code::Io as i32].contains(&status);
        assert!(!is_ours, "status {status}: {text}");
    }
    status
}

/// Sets one parameter of a set that is then freed; the status.
pub fn set_parameter(name: &CStr, value: &CStr) -> dirkv_status {
    // SAFETY: a set of parameters from the library, freed once; NUL-terminated text.
    unsafe {
        let params = dirkv_params_new();
        let status = call(|err| dirkv_params_set(params, name.as_ptr(), value.as_ptr(), err));
        dirkv_params_free(params);
        status
    }
}

/// A clock that a target moves.
pub type Clock = std::sync::atomic::AtomicI64;

unsafe extern "C" fn now(clock: *mut c_void) -> i64 {
    // SAFETY: `open` gives a clock that lives for ever.
    unsafe { &*clock.cast::<Clock>() }.load(std::sync::atomic::Ordering::SeqCst)
}

/// Opens a store that goes by the clock.
pub fn open(path: &CStr, clock: &'static Clock, read_only: bool) -> Result<*mut dirkv_backend, dirkv_status> {
    let settings = [
        (c"path", path),
        (c"sync", c"os"),
        (c"background", c"off"),
        (c"segment_size", c"64KiB"),
        (c"lock_timeout", c"0"),
        (c"read_only", if read_only { c"true" } else { c"false" }),
    ];
    let mut store = ptr::dangling_mut();
    // SAFETY: a set of parameters from the library, freed once; NUL-terminated text; a clock that lives for ever.
    let status = unsafe {
        let params = dirkv_params_new();
        for (name, value) in settings {
            assert_eq!(call(|err| dirkv_params_set(params, name.as_ptr(), value.as_ptr(), err)), DIRKV_OK);
        }
        let clock = ptr::from_ref(clock).cast_mut().cast();
        assert_eq!(call(|err| dirkv_params_set_clock(params, Some(now), clock, err)), DIRKV_OK);
        let status = call(|err| dirkv_open(params, &raw mut store, err));
        dirkv_params_free(params);
        status
    };
    assert_eq!(status == DIRKV_OK, !store.is_null(), "an output is cleared when the call fails");
    if status == DIRKV_OK { Ok(store) } else { Err(status) }
}

/// Closes a handle; the status.
pub fn close(store: *mut dirkv_backend) -> dirkv_status {
    // SAFETY: any number may be given as a handle.
    call(|err| unsafe { dirkv_close(store, err) })
}

/// A directory for stores; TMPDIR says where.
pub fn directory() -> (tempfile::TempDir, CString) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = CString::new(dir.path().join("store").to_str().expect("UTF-8")).expect("no NUL");
    (dir, path)
}

/// Takes a buffer's bytes and frees it, twice.
pub fn take(mut buf: dirkv_buf) -> Vec<u8> {
    assert_eq!(buf.data.is_null(), buf.len == 0);
    // SAFETY: as the library filled it; emptied by the first free.
    unsafe {
        let bytes = if buf.len == 0 { Vec::new() } else { std::slice::from_raw_parts(buf.data, buf.len).to_vec() };
        dirkv_buf_free(&raw mut buf);
        assert!(buf.data.is_null() && buf.len == 0);
        dirkv_buf_free(&raw mut buf);
        bytes
    }
}

/// Takes a list's entries, as views and as a packed block, which agree, and frees it.
pub fn take_list(list: *mut dirkv_list) -> Vec<Entry> {
    // SAFETY: a live list, freed once; what points into it is copied before.
    unsafe {
        let (mut data, mut len) = (ptr::null(), 0);
        assert_eq!(call(|err| dirkv_list_packed(list, &raw mut data, &raw mut len, err)), DIRKV_OK);
        let entries = unpack(std::slice::from_raw_parts(data, len)).expect("the library made it");
        assert_eq!(dirkv_list_len(list), entries.len());
        let mut view: dirkv_entry = std::mem::zeroed();
        let size = size_of::<dirkv_entry>();
        for (i, entry) in entries.iter().enumerate() {
            assert_eq!(call(|err| dirkv_list_get(list, i, &raw mut view, size, err)), DIRKV_OK);
            let name = CStr::from_ptr(view.name).to_bytes();
            let value = if view.len == 0 { &[] } else { std::slice::from_raw_parts(view.val, view.len) };
            assert_eq!((name.len(), name, value), (view.name_len, &entry.name[..], &entry.value[..]));
            assert_eq!((view.kind, view.expires, view.revision), (entry.kind, entry.time, entry.revision));
        }
        let beyond = call(|err| dirkv_list_get(list, entries.len(), &raw mut view, size, err));
        assert_eq!(beyond, DIRKV_BAD_PARAMETER);
        dirkv_list_free(list);
        entries
    }
}
