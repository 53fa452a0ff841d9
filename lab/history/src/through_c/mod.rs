//! The same questions through the C interface, by a handle of its own. What a program in another language is told has to fit the
//! same order.

#![allow(unsafe_code)]

mod leases;
mod lists;
mod values;

use std::ffi::{CStr, CString, c_void};
use std::path::Path;
use std::ptr::{null_mut, without_provenance_mut};

use dirkv::ffi::backend::{dirkv_backend, dirkv_close, dirkv_open};
use dirkv::ffi::error::{dirkv_error, dirkv_error_free, dirkv_error_message};
use dirkv::ffi::maintenance::{dirkv_compact, dirkv_sync};
use dirkv::ffi::params::{dirkv_params_free, dirkv_params_new, dirkv_params_set, dirkv_params_set_clock};
use dirkv::ffi::status::{DIRKV_OK, dirkv_status, dirkv_status_name};

use crate::content;
use crate::history::{Answer, Ask};
use crate::log::store_clock;
use crate::perform::{answered, split};

/// A handle of the C interface.
#[derive(Debug)]
pub struct Handle(*mut dirkv_backend);

// SAFETY: "A handle may be used by all threads at once."
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// What a call failed with: the status's name, and the error's message.
type Refused = (String, String);

impl Handle {
    /// Opens the store with these parameters beside its path, and a clock that is `ahead`.
    pub fn open(path: &Path, settings: &[(&str, &str)], ahead: i64) -> Result<Handle, Refused> {
        let path = path.to_str().ok_or_else(|| (String::new(), "a path that isn't UTF-8".to_owned()))?;
        let mut handle = null_mut();
        // SAFETY: takes nothing.
        let params = unsafe { dirkv_params_new() };
        let set = |(name, value): &(&str, &str)| {
            let (name, value) = (text(name), text(value));
            // SAFETY: the parameters and both texts live through the call.
            called(|err| unsafe { dirkv_params_set(params, name.as_ptr(), value.as_ptr(), err) })
        };
        let opened = settings.iter().chain(&[("path", path)]).try_for_each(set).and_then(|()| {
            let ahead = without_provenance_mut(ahead.cast_unsigned() as usize);
            // SAFETY: the parameters live, and the clock's context is no pointer to anything.
            called(|err| unsafe { dirkv_params_set_clock(params, Some(clock), ahead, err) })?;
            // SAFETY: the parameters and the output live.
            called(|err| unsafe { dirkv_open(params, &raw mut handle, err) })
        });
        // SAFETY: freed once.
        unsafe { dirkv_params_free(params) };
        opened.map(|()| Handle(handle))
    }

    /// Asks, and waits for the answer.
    pub fn perform(&self, ask: &Ask) -> Answer {
        let answer = match ask {
            Ask::Get { .. } | Ask::GetItem { .. } | Ask::Exists { .. } => self.read(ask),
            Ask::Items { .. } | Ask::Keys { .. } | Ask::Locks {} => self.list(ask),
            Ask::UpsertItems { items } => self.put_batch(items),
            Ask::AcquireLock { .. } | Ask::ReleaseLock { .. } | Ask::RenewLock { .. } => self.lease(ask),
            _ => self.change(ask),
        };
        answered(answer)
    }

    /// Compacts, if it can be done.
    pub fn compact(&self) {
        // SAFETY: a handle, and nobody who wants to know why not.
        unsafe { dirkv_compact(self.0, null_mut()) };
    }

    /// Syncs, if it can be done.
    pub fn sync(&self) {
        // SAFETY: as above.
        unsafe { dirkv_sync(self.0, null_mut()) };
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it was opened, and nobody uses it any more.
        unsafe { dirkv_close(self.0, null_mut()) };
    }
}

/// The clock of the store; what it is ahead is the context itself.
unsafe extern "C" fn clock(ahead: *mut c_void) -> i64 {
    store_clock((ahead.addr() as u64).cast_signed())
}

/// Calls, and says what it failed with.
fn called(call: impl FnOnce(*mut *mut dirkv_error) -> dirkv_status) -> Result<(), Refused> {
    let mut err = null_mut();
    match call(&raw mut err) {
        DIRKV_OK => Ok(()),
        status => {
            // SAFETY: the name is a constant; the error is NULL or was filled by the call, and is freed once.
            unsafe {
                let name = CStr::from_ptr(dirkv_status_name(status)).to_string_lossy().into_owned();
                let message = CStr::from_ptr(dirkv_error_message(err)).to_string_lossy().into_owned();
                dirkv_error_free(err);
                Err((name, message))
            }
        }
    }
}

/// The value that these are, by its name.
///
/// # Safety
///
/// NULL, or `len` bytes.
unsafe fn value(data: *const u8, len: usize) -> String {
    // SAFETY: as promised.
    content::name(if data.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(data, len) } })
}

/// Bucket and key of a path.
fn names(path: &str) -> (CString, CString) {
    let (bucket, key) = split(path);
    (text(bucket), text(key))
}

fn text(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}
