//! Batches and listings.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

use dirkv::ffi::batch::{dirkv_item, dirkv_upsert_items};
use dirkv::ffi::lists::{
    DIRKV_ENTRY_BUCKET, DIRKV_ENTRY_ITEM, DIRKV_RECURSIVE, dirkv_entry, dirkv_get_items, dirkv_get_keys, dirkv_list,
    dirkv_list_free, dirkv_list_get, dirkv_list_len,
};
use dirkv::ffi::locks::dirkv_get_locks;

use super::{Handle, Refused, called, names, text, value};
use crate::content;
use crate::history::{Answer, Ask, Entry};
use crate::perform::{done, join, split};

impl Handle {
    pub(super) fn put_batch(&self, items: &[Entry]) -> Result<Answer, Refused> {
        let bucket = text(items.first().map_or("", |item| split(&item.key).0));
        let owned: Vec<_> =
            items.iter().map(|item| (names(&item.key).1, content::bytes(&item.value), item.ttl)).collect();
        let raw = owned.iter().map(|(key, value, ttl)| dirkv_item {
            key: key.as_ptr(),
            val: value.as_ptr().cast(),
            len: value.len(),
            ttl: *ttl,
        });
        let raw: Vec<_> = raw.collect();
        let mut answer = done(());
        let revision = &raw mut answer.revision;
        let (array, n, size) = (raw.as_ptr(), raw.len(), size_of::<dirkv_item>());
        // SAFETY: the items, what they point to, and the number live through the call.
        called(|err| unsafe { dirkv_upsert_items(self.0, bucket.as_ptr(), array, n, size, revision, err) })?;
        Ok(answer)
    }

    pub(super) fn list(&self, ask: &Ask) -> Result<Answer, Refused> {
        let (Ask::Items { key: bucket } | Ask::Keys { key: bucket }) = ask else {
            return self.locks();
        };
        let path = text(bucket);
        let (path, after) = (path.as_ptr(), null());
        let mut list = null_mut();
        // SAFETY: the path and the output live through the call; the list is read, and freed once.
        called(|err| unsafe {
            match ask {
                Ask::Keys { .. } => dirkv_get_keys(self.0, path, after, 0, &raw mut list, err),
                _ => dirkv_get_items(self.0, path, after, 0, DIRKV_RECURSIVE, &raw mut list, err),
            }
        })?;
        let mut answer = taken(list)?;
        answer.listing.iter_mut().for_each(|entry| entry.key = join(bucket, &entry.key));
        Ok(answer)
    }

    fn locks(&self) -> Result<Answer, Refused> {
        let mut list = null_mut();
        // SAFETY: the output lives through the call.
        called(|err| unsafe { dirkv_get_locks(self.0, &raw mut list, err) })?;
        taken(list)
    }
}

/// What a list holds, but for sub-buckets. Frees it.
fn taken(list: *mut dirkv_list) -> Result<Answer, Refused> {
    // SAFETY: a list that was filled, and is freed once, when nothing points into it any more.
    let (listing, ()) = unsafe { (entries(list), dirkv_list_free(list)) };
    Ok(Answer { listing: listing?, ..done(()) })
}

/// # Safety
///
/// `list` is a live list.
unsafe fn entries(list: *const dirkv_list) -> Result<Vec<Entry>, Refused> {
    let mut found = Vec::new();
    // SAFETY: as promised.
    for index in 0..unsafe { dirkv_list_len(list) } {
        let mut raw = MaybeUninit::<dirkv_entry>::zeroed();
        let size = size_of::<dirkv_entry>();
        // SAFETY: as promised, and the view lives through the call.
        called(|err| unsafe { dirkv_list_get(list, index, raw.as_mut_ptr(), size, err) })?;
        // SAFETY: a filled view, whose pointers live as long as the list.
        let (raw, name, value) = unsafe {
            let raw = raw.assume_init();
            let is_item = raw.kind == DIRKV_ENTRY_ITEM;
            let value = if is_item { value(raw.val, raw.len) } else { String::new() };
            (raw, CStr::from_ptr(raw.name).to_string_lossy().into_owned(), value)
        };
        let entry = Entry { key: name, value, revision: raw.revision, ..Entry::default() };
        match raw.kind {
            DIRKV_ENTRY_BUCKET => (),
            DIRKV_ENTRY_ITEM => found.push(Entry { expires: raw.expires, ..entry }),
            _ => found.push(entry),
        }
    }
    Ok(found)
}
