//! Batches: many items as one atomic change, from an array or from a packed block.

use std::ffi::{c_char, c_void};

use super::backend::dirkv_backend;
use super::boundary::boundary;
use super::error::dirkv_error;
use super::handle;
use super::input::{self, bad};
use super::lists::{DIRKV_ENTRY_ITEM, DIRKV_ENTRY_PUT};
use super::output::Out;
use super::packed::{Entry, Unpacker};
use super::status::dirkv_status;
use crate::Backend;
use crate::backend::{NewItem, limits};
use crate::error::Result;

/// One item of a batch. It may grow at its end: fill it with zeros first, and pass its size.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct dirkv_item {
    /// The key.
    pub key: *const c_char,
    /// The value; NULL if `len` is 0.
    pub val: *const c_void,
    /// The value's length, at most 64 MiB.
    pub len: usize,
    /// Its time to live; 0: for ever.
    pub ttl: i64,
}

/// What [`dirkv_item`] was in its first version; a caller's is at least as large.
const ITEM_SIZE: usize = size_of::<dirkv_item>();
/// Larger ones would be a mistake.
const MAX_ITEM_SIZE: usize = 4096;

/// Puts all items of an array as one atomic, durable batch: a reader, or a crash, sees all of them or none. Of two items of
/// one key the later wins. 1 to 1,000,000 items, 256 MiB in all.
///
/// `items`, `n`  the items
/// `item_size`   sizeof(dirkv_item)
/// `revision`    of the batch, and so of each of its items
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_upsert_items(
    b: *mut dirkv_backend,
    bucket: *const c_char,
    items: *const dirkv_item,
    n: usize,
    item_size: usize,
    revision: *mut u64,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (revision, bucket) = unsafe { (Out::new(revision, "revision")?, input::text(bucket, "bucket")?) };
        let backend = handle::enter(b)?;
        limits::batch_items(n)?;
        // SAFETY: the caller promises `n` items of `item_size` bytes.
        let items = unsafe { from_array(items, n, item_size) }?;
        revision.set(backend.upsert_items(bucket, &items)?);
        Ok(())
    })
}

/// dirkv_upsert_items from a packed block (see PACKED BLOCKS above) of entries of the kind DIRKV_ENTRY_PUT, whose `time`
/// is a TTL. Entries of the kind DIRKV_ENTRY_ITEM, as dirkv_get_items makes them (not of a recursive listing, whose names are
/// paths), are put with the time that they have left to live. The block may lie at any address.
///
/// `block`, `len`  the block
/// `revision`      of the batch, and so of each of its items
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_upsert_packed(
    b: *mut dirkv_backend,
    bucket: *const c_char,
    block: *const c_void,
    len: usize,
    revision: *mut u64,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (revision, bucket, block) = unsafe {
            let revision = Out::new(revision, "revision")?;
            (revision, input::text(bucket, "bucket")?, input::bytes(block, len, "block")?)
        };
        let backend = handle::enter(b)?;
        let items = from_block(&backend, block)?;
        revision.set(backend.upsert_items(bucket, &items)?);
        Ok(())
    })
}

/// # Safety
///
/// `items` is NULL or leads to `n` items of `item_size` bytes each, whose pointers are as the header says.
unsafe fn from_array<'a>(items: *const dirkv_item, n: usize, item_size: usize) -> Result<Vec<NewItem<'a>>> {
    if !(ITEM_SIZE..=MAX_ITEM_SIZE).contains(&item_size) {
        return Err(bad("item_size", &format!("is {item_size}: it must be sizeof(dirkv_item), here {ITEM_SIZE}")));
    }
    // SAFETY: promised by the caller; `n` was checked, so that the product is small.
    let bytes = unsafe { input::bytes(items.cast(), n.saturating_mul(item_size), "items") }?;
    let mut found = Vec::with_capacity(n);
    for (index, raw) in bytes.chunks_exact(item_size).enumerate() {
        // What a newer header may have added has no meaning here; only its absence, zeros, can be honoured.
        if raw[ITEM_SIZE..].iter().any(|byte| *byte != 0) {
            return Err(bad("items", &format!("has a field in item {index} that this version doesn't know")));
        }
        // SAFETY: `raw` holds at least an item's bytes; an array in the caller's memory may be packed, hence unaligned.
        let item = unsafe { raw.as_ptr().cast::<dirkv_item>().read_unaligned() };
        // SAFETY: promised by the caller.
        let (key, value) = unsafe {
            let key = input::text(item.key, format_args!("items[{index}].key"))?;
            (key, input::bytes(item.val, item.len, format_args!("items[{index}].val"))?)
        };
        found.push(NewItem { key, value, ttl: item.ttl });
    }
    Ok(found)
}

fn from_block<'a>(backend: &Backend, block: &'a [u8]) -> Result<Vec<NewItem<'a>>> {
    let mut entries = Unpacker::new(block)?;
    limits::batch_items(entries.left())?;
    let now = backend.now();
    let mut found = Vec::new();
    while let Some(entry) = entries.next()? {
        let ttl = ttl_of(&entry, now, found.len())?;
        found.push(NewItem { key: entry.name, value: entry.value, ttl });
    }
    Ok(found)
}

fn ttl_of(entry: &Entry<'_>, now: i64, index: usize) -> Result<i64> {
    match entry.kind {
        DIRKV_ENTRY_PUT => Ok(entry.time),
        DIRKV_ENTRY_ITEM if entry.time == 0 => Ok(0),
        // What expired on the way must not live for ever; a nanosecond is the least that can be said.
        DIRKV_ENTRY_ITEM => Ok(entry.time.saturating_sub(now).max(1)),
        kind => Err(bad("block", &format!("has entry {index} of kind {kind}, which is not an item's"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn item(key: *const c_char, value: &[u8]) -> dirkv_item {
        dirkv_item { key, val: value.as_ptr().cast(), len: value.len(), ttl: 5 }
    }

    #[test]
    fn an_array_is_read() {
        let array = [item(c"a".as_ptr(), b"1"), item(c"b".as_ptr(), b"")];
        // SAFETY: a local array of two.
        let items = unsafe { from_array(array.as_ptr(), 2, ITEM_SIZE) };
        let items = items.map(|items| items.iter().map(|item| (item.key, item.value, item.ttl)).collect::<Vec<_>>());
        assert_eq!(items, Ok(vec![(&b"a"[..], &b"1"[..], 5), (b"b", b"", 5)]));
    }

    #[test]
    fn bad_arrays_are_refused() {
        let array = [item(c"a".as_ptr(), b"1"), item(std::ptr::null(), b"2")];
        let code = |n, size| {
            // SAFETY: a local array of two; larger sizes are refused before anything is read.
            unsafe { from_array(array.as_ptr(), n, size) }.map(|items| items.len()).map_err(|error| error.code)
        };
        assert_eq!(code(1, ITEM_SIZE), Ok(1));
        assert_eq!(code(1, 0), Err(Code::BadParameter));
        assert_eq!(code(1, ITEM_SIZE - 1), Err(Code::BadParameter));
        assert_eq!(code(1, usize::MAX), Err(Code::BadParameter));
        assert_eq!(code(2, ITEM_SIZE), Err(Code::BadParameter), "the second has no key");
        assert_eq!(code(1, 2 * ITEM_SIZE), Err(Code::BadParameter), "unknown fields that are not zero");
        // SAFETY: NULL is refused.
        assert!(unsafe { from_array(std::ptr::null(), 1, ITEM_SIZE) }.is_err());
    }

    #[test]
    fn an_item_keeps_its_expiry() {
        let entry = |kind, time| Entry { kind, pid: 0, time, revision: 0, name: b"k", value: b"" };
        assert_eq!(ttl_of(&entry(DIRKV_ENTRY_PUT, 7), 100, 0), Ok(7));
        assert_eq!(ttl_of(&entry(DIRKV_ENTRY_ITEM, 0), 100, 0), Ok(0));
        assert_eq!(ttl_of(&entry(DIRKV_ENTRY_ITEM, 130), 100, 0), Ok(30));
        assert_eq!(ttl_of(&entry(DIRKV_ENTRY_ITEM, 90), 100, 0), Ok(1));
        assert!(ttl_of(&entry(1, 0), 100, 0).is_err());
    }
}
