//! dirkv, through its C interface and the shared library, as a program in C has it:
//!
//! - every parameter at its default, but for `sync`, and `memory_limit`, which is what the others get for their caches;
//! - a get is `dirkv_get_val_into`, into memory that is used again, as a caller does who knows his values' size;
//! - a listing is one call, then a walk over the packed block;
//! - a batch in one bucket is `dirkv_upsert_items`. There is no call for a batch over several buckets; the lines that fill
//!   many buckets do it bucket by bucket.

#![allow(unsafe_code)]

mod abi;

use std::ffi::{CStr, CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{null, null_mut};
use std::time::Duration;

use self::abi::*;
use super::{Engine, Leases, Range, Session, Setup, Sync};
use crate::Result;
use crate::names::Name;
use crate::patience::steady;

const LONGER_THAN_A_MERGE_WAITS: Duration = Duration::from_millis(150);
/// A lease is longer than any line holds one.
const LEASE: i64 = 30_000_000_000;

pub fn version() -> String {
    // SAFETY: a static text.
    format!("dirkv {}", unsafe { CStr::from_ptr(dirkv_version()) }.to_string_lossy())
}

pub struct Dirkv(*mut dirkv_backend);

// SAFETY: "any number of threads may use one dirkv_backend at once".
unsafe impl Send for Dirkv {}
// SAFETY: as above.
unsafe impl std::marker::Sync for Dirkv {}

/// Calls, and turns a failure into its sentence.
fn check(call: impl FnOnce(*mut *mut dirkv_error) -> dirkv_status) -> Result<()> {
    let mut error = null_mut();
    if call(&raw mut error) == DIRKV_OK {
        return Ok(());
    }
    // SAFETY: a failed call made the error; its text is copied before it is freed.
    let message = unsafe {
        let message = CStr::from_ptr(dirkv_error_message(error)).to_string_lossy().into_owned();
        dirkv_error_free(error);
        message
    };
    Err(message.into())
}

/// Calls a second time only to have the sentence of an unexpected failure; `no` is an answer.
fn answer(status: dirkv_status, no: dirkv_status) -> Result<bool> {
    match status {
        DIRKV_OK => Ok(true),
        status if status == no => Ok(false),
        status => Err(format!("dirkv answers with status {status}").into()),
    }
}

impl Dirkv {
    pub fn open(path: &Path, setup: &Setup) -> Result<Dirkv> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let sync = if setup.sync == Sync::Full { c"full" } else { c"os" };
        let memory = CString::new(format!("{}B", setup.cache.bytes()))?;
        let settings = [(c"path", path.as_c_str()), (c"sync", sync), (c"memory_limit", &memory)];
        let mut backend = null_mut();
        // SAFETY: the parameters are made, used and freed here; names and values live through their calls.
        unsafe {
            let params = dirkv_params_new();
            let set = |(name, value): &(&CStr, &CStr)| {
                check(|err| dirkv_params_set(params, name.as_ptr(), value.as_ptr(), err))
            };
            let opened =
                settings.iter().try_for_each(set).and_then(|()| check(|err| dirkv_open(params, &raw mut backend, err)));
            dirkv_params_free(params);
            opened?;
        }
        Ok(Dirkv(backend))
    }
}

impl Dirkv {
    fn counters(&self) -> Result<serde_json::Value> {
        let mut json = dirkv_buf { data: null_mut(), len: 0 };
        // SAFETY: the handle is open; the text lives until it is freed, once.
        unsafe {
            check(|err| dirkv_stats(self.0, &raw mut json, err))?;
            let counters = serde_json::from_slice(std::slice::from_raw_parts(json.data, json.len));
            dirkv_buf_free(&raw mut json);
            Ok(counters?)
        }
    }
}

impl Drop for Dirkv {
    fn drop(&mut self) {
        // SAFETY: opened once, closed once.
        unsafe { dirkv_close(self.0, null_mut()) };
    }
}

impl Engine for Dirkv {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Thread { backend: self.0, scratch: Vec::with_capacity(4096), items: Vec::new() }))
    }

    /// Until one look after the other finds that the background thread did nothing for longer than it waits with a merge.
    fn settle(&self) -> Result<()> {
        steady("dirkv", LONGER_THAN_A_MERGE_WAITS, || Ok(Some(self.counters()?).filter(|now| now["segments"] == 1)))
    }

    fn rest(&self) -> Result<()> {
        self.settle()
    }

    fn compact(&self) -> Result<bool> {
        // SAFETY: the handle is open.
        check(|err| unsafe { dirkv_compact(self.0, err) })?;
        Ok(true)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }
}

impl Leases for Dirkv {
    fn acquire(&self, name: &CStr) -> Result<u64> {
        let mut fence = 0;
        // SAFETY: name and fence live through the call.
        check(|err| unsafe { dirkv_acquire_lock(self.0, name.as_ptr(), LEASE, -1, &raw mut fence, err) })?;
        Ok(fence)
    }

    fn release(&self, name: &CStr, fence: u64) -> Result<()> {
        // SAFETY: the name lives through the call.
        check(|err| unsafe { dirkv_release_lock(self.0, name.as_ptr(), fence, err) })
    }
}

struct Thread {
    backend: *mut dirkv_backend,
    scratch: Vec<u8>,
    items: Vec<dirkv_item>,
}

impl Thread {
    /// The call of all lists: made, shown entry by entry, freed.
    fn list(
        &mut self,
        call: impl FnOnce(*mut dirkv_backend, *mut *mut dirkv_list, *mut *mut dirkv_error) -> dirkv_status,
        see: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<()> {
        let mut list = null_mut();
        check(|err| call(self.backend, &raw mut list, err))?;
        let (mut data, mut len) = (null(), 0);
        // SAFETY: the block lives until its list is freed.
        unsafe {
            let packed = check(|err| dirkv_list_packed(list, &raw mut data, &raw mut len, err));
            if packed.is_ok() {
                walk(std::slice::from_raw_parts(data, len), see);
            }
            dirkv_list_free(list);
            packed
        }
    }
}

/// Shows the entries of a packed block, whose layout the header tells.
fn walk(block: &[u8], see: &mut dyn FnMut(&[u8], &[u8])) {
    let number = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().expect("four bytes")) as usize;
    let mut at = 8;
    for _ in 0..number(4) {
        let (name_len, value_len) = (number(at + 8), number(at + 12));
        let name = at + 32;
        let value = name + name_len + 1;
        see(&block[name..name + name_len], &block[value..value + value_len]);
        at = (value + value_len).next_multiple_of(8);
    }
}

fn after(range: &Range<'_>) -> *const c_char {
    range.after.map_or(null(), |name| name.key.as_ptr())
}

fn limit(range: &Range<'_>) -> u64 {
    if range.limit == usize::MAX { 0 } else { range.limit as u64 }
}

impl Session for Thread {
    fn get(&mut self, name: Name<'_>, value: &mut Vec<u8>) -> Result<bool> {
        let (bucket, key) = (name.bucket.as_ptr(), name.key.as_ptr());
        loop {
            let (dst, cap, mut len) = (value.as_mut_ptr().cast(), value.capacity(), 0);
            // SAFETY: names and memory live through the call, which fills `len` bytes of at most `cap`.
            unsafe {
                let status = dirkv_get_val_into(self.backend, bucket, key, dst, cap, &raw mut len, null_mut());
                if status != DIRKV_BUFFER_TOO_SMALL {
                    value.set_len(if status == DIRKV_OK { len } else { 0 });
                    return answer(status, DIRKV_NOT_FOUND);
                }
            }
            value.clear();
            value.reserve(len);
        }
    }

    fn view(&mut self, name: Name<'_>, see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let found = self.get(name, &mut scratch);
        if let Ok(true) = found {
            see(&scratch);
        }
        self.scratch = scratch;
        found
    }

    fn put(&mut self, name: Name<'_>, value: &[u8]) -> Result<()> {
        let (mut revision, val) = (0, value.as_ptr().cast());
        let (bucket, key) = (name.bucket.as_ptr(), name.key.as_ptr());
        // SAFETY: names, value and revision live through the call.
        check(|err| unsafe { dirkv_upsert_val(self.backend, bucket, key, val, value.len(), 0, &raw mut revision, err) })
    }

    fn batch(&mut self, items: &[(Name<'_>, &[u8])]) -> Result<()> {
        for part in items.chunk_by(|(a, _), (b, _)| a.bucket == b.bucket) {
            let item = |(name, value): &(Name<'_>, &[u8])| dirkv_item {
                key: name.key.as_ptr(),
                val: value.as_ptr().cast(),
                len: value.len(),
                ttl: 0,
            };
            self.items.clear();
            self.items.extend(part.iter().map(item));
            let (bucket, size, mut revision) = (part[0].0.bucket.as_ptr(), size_of::<dirkv_item>(), 0);
            let (array, n) = (self.items.as_ptr(), self.items.len());
            // SAFETY: the array and what it points to live through the call.
            check(|err| unsafe { dirkv_upsert_items(self.backend, bucket, array, n, size, &raw mut revision, err) })?;
        }
        Ok(())
    }

    fn swap(&mut self, name: Name<'_>, old: &[u8], new: &[u8]) -> Result<bool> {
        let (bucket, key, mut revision) = (name.bucket.as_ptr(), name.key.as_ptr(), 0);
        let (val, prev) = (new.as_ptr().cast(), old.as_ptr().cast());
        let (len, prev_len, revision) = (new.len(), old.len(), &raw mut revision);
        // SAFETY: names, values and revision live through the call.
        let status = unsafe {
            dirkv_compare_and_swap_val(self.backend, bucket, key, val, len, prev, prev_len, 0, revision, null_mut())
        };
        answer(status, DIRKV_COMPARE_FAILED)
    }

    fn create(&mut self, name: Name<'_>, value: &[u8]) -> Result<bool> {
        let (mut revision, val) = (0, value.as_ptr().cast());
        let (bucket, key) = (name.bucket.as_ptr(), name.key.as_ptr());
        // SAFETY: names, value and revision live through the call.
        let status =
            unsafe { dirkv_create_val(self.backend, bucket, key, val, value.len(), 0, &raw mut revision, null_mut()) };
        answer(status, DIRKV_ALREADY_EXISTS)
    }

    fn delete(&mut self, name: Name<'_>) -> Result<bool> {
        // SAFETY: the names live through the call.
        let status = unsafe { dirkv_delete_key(self.backend, name.bucket.as_ptr(), name.key.as_ptr(), null_mut()) };
        answer(status, DIRKV_NOT_FOUND)
    }

    fn items(&mut self, range: Range<'_>, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let (bucket, after, limit) = (range.bucket.as_ptr(), after(&range), limit(&range));
        // SAFETY: the names live through the call.
        self.list(|b, list, err| unsafe { dirkv_get_items(b, bucket, after, limit, 0, list, err) }, see)
    }

    fn keys(&mut self, range: Range<'_>, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        let (bucket, after, limit) = (range.bucket.as_ptr(), after(&range), limit(&range));
        // SAFETY: the names live through the call.
        self.list(|b, list, err| unsafe { dirkv_get_keys(b, bucket, after, limit, list, err) }, &mut |key, _| see(key))
    }
}
