//! The same questions through the C interface: the calls of one key, by a handle of their own. What a program in another
//! language is told has to fit the same order.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::path::Path;
use std::ptr::null_mut;

use dirkv::ffi::backend::{dirkv_backend, dirkv_close, dirkv_open};
use dirkv::ffi::params::{dirkv_params_free, dirkv_params_new, dirkv_params_set};
use dirkv::ffi::reads::{dirkv_buf, dirkv_buf_free, dirkv_exists, dirkv_get_val};
use dirkv::ffi::status::{dirkv_status, dirkv_status_name};
use dirkv::ffi::writes::{
    dirkv_compare_and_swap_val, dirkv_create_val, dirkv_delete_if_revision, dirkv_delete_key, dirkv_put_if_revision,
    dirkv_upsert_val,
};

use crate::content;
use crate::history::{Answer, Ask};
use crate::perform::split;

/// A handle of the C interface.
#[derive(Debug)]
pub struct Handle(*mut dirkv_backend);

// SAFETY: "A handle may be used by all threads at once."
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    /// Opens the store with these parameters beside its path; the status as text if it can't be opened.
    pub fn open(path: &Path, settings: &[(&str, &str)]) -> Result<Handle, String> {
        let path = path.to_str().ok_or("a path that isn't UTF-8")?;
        let mut handle = null_mut();
        // SAFETY: every pointer is live for its call, and the parameters are freed once.
        let status = unsafe {
            let params = dirkv_params_new();
            let mut status = 0;
            for (name, value) in settings.iter().chain(&[("path", path)]) {
                status = status.max(dirkv_params_set(params, text(name).as_ptr(), text(value).as_ptr(), null_mut()));
            }
            if status == 0 {
                status = dirkv_open(params, &raw mut handle, null_mut());
            }
            dirkv_params_free(params);
            status
        };
        if status == 0 { Ok(Handle(handle)) } else { Err(name(status)) }
    }

    /// Asks, if it is a question that C is asked here.
    pub fn perform(&self, ask: &Ask) -> Option<Answer> {
        let mut revision = 0;
        let mut value = String::new();
        let status = match ask {
            Ask::Get { key } => self.get(key, &mut value),
            Ask::Exists { key } => self.exists(key),
            Ask::Create { .. } | Ask::Upsert { .. } | Ask::CompareAndSwap { .. } | Ask::PutIfRevision { .. } => {
                self.put(ask, &mut revision)?
            }
            Ask::Delete { key } => {
                let (bucket, key) = names(key);
                // SAFETY: the names live through the call.
                unsafe { dirkv_delete_key(self.0, bucket.as_ptr(), key.as_ptr(), null_mut()) }
            }
            Ask::DeleteIfRevision { key, expected } => {
                let (bucket, key) = names(key);
                // SAFETY: the names live through the call.
                unsafe { dirkv_delete_if_revision(self.0, bucket.as_ptr(), key.as_ptr(), *expected, null_mut()) }
            }
            _ => return None,
        };
        let outcome = match (ask, status) {
            (Ask::Exists { .. }, ABSENT) => "NOT_FOUND".to_owned(),
            _ => name(status),
        };
        Some(Answer { outcome, revision, value, ..Answer::default() })
    }

    fn get(&self, key: &str, value: &mut String) -> dirkv_status {
        let (bucket, key) = names(key);
        let mut got = dirkv_buf { data: null_mut(), len: 0 };
        // SAFETY: the names and the buffer live through the call; a buffer that was filled is read, then freed once.
        unsafe {
            let status = dirkv_get_val(self.0, bucket.as_ptr(), key.as_ptr(), &raw mut got, null_mut());
            if status == 0 {
                *value = content::name(std::slice::from_raw_parts(got.data, got.len));
                dirkv_buf_free(&raw mut got);
            }
            status
        }
    }

    fn exists(&self, key: &str) -> dirkv_status {
        let (bucket, key) = names(key);
        let mut there = 0;
        // SAFETY: the names and the number live through the call.
        let status = unsafe { dirkv_exists(self.0, bucket.as_ptr(), key.as_ptr(), &raw mut there, null_mut()) };
        if status == 0 && there == 0 { ABSENT } else { status }
    }

    fn put(&self, ask: &Ask, revision: &mut u64) -> Option<dirkv_status> {
        let (Ask::Create { key, value }
        | Ask::Upsert { key, value }
        | Ask::CompareAndSwap { key, value, .. }
        | Ask::PutIfRevision { key, value, .. }) = ask
        else {
            return None;
        };
        let ((bucket, key), value) = (names(key), content::bytes(value));
        let (b, k, v, len) = (bucket.as_ptr(), key.as_ptr(), value.as_ptr().cast(), value.len());
        // SAFETY: names, values and the number live through the call.
        Some(unsafe {
            match ask {
                Ask::Create { .. } => dirkv_create_val(self.0, b, k, v, len, 0, revision, null_mut()),
                Ask::Upsert { .. } => dirkv_upsert_val(self.0, b, k, v, len, 0, revision, null_mut()),
                Ask::PutIfRevision { expected, .. } => {
                    dirkv_put_if_revision(self.0, b, k, v, len, *expected, 0, revision, null_mut())
                }
                Ask::CompareAndSwap { previous, .. } => {
                    let old = content::bytes(previous);
                    let (p, p_len) = (old.as_ptr().cast(), old.len());
                    dirkv_compare_and_swap_val(self.0, b, k, v, len, p, p_len, 0, revision, null_mut())
                }
                _ => return None,
            }
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it was opened, and nobody uses it any more.
        unsafe { dirkv_close(self.0, null_mut()) };
    }
}

/// `exists` answers with a number; no status is this.
const ABSENT: dirkv_status = -1;

/// Bucket and key of a path.
fn names(path: &str) -> (CString, CString) {
    let (bucket, key) = split(path);
    (text(bucket), text(key))
}

fn text(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

/// A status as the history calls it.
fn name(status: dirkv_status) -> String {
    // SAFETY: the answer is a constant of the library, whatever the number.
    unsafe { CStr::from_ptr(dirkv_status_name(status)) }.to_string_lossy().into_owned()
}
