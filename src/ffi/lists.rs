//! Listings, and the list objects in which they come.

use std::ffi::c_char;
use std::ptr;

use super::backend::dirkv_backend;
use super::boundary::{boundary, boundary_or};
use super::error::dirkv_error;
use super::input::{self, bad};
use super::output::Out;
use super::packed::{self, Entry, Packed, Packer};
use super::status::dirkv_status;
use super::{handle, view};
use crate::error::{Code, Error, Result};

/// An entry of a batch's packed block: name, value, `time` is a TTL.
pub const DIRKV_ENTRY_PUT: u32 = 0;
/// A key's name.
pub const DIRKV_ENTRY_KEY: u32 = 1;
/// A sub-bucket's name.
pub const DIRKV_ENTRY_BUCKET: u32 = 2;
/// An item: name, value, expiry, revision.
pub const DIRKV_ENTRY_ITEM: u32 = 3;
/// A lease: token, fence (in `revision`), expiry, the holder's pid, and its host (in the value).
pub const DIRKV_ENTRY_LOCK: u32 = 4;

/// A flag of dirkv_get_items: the items of all sub-buckets too.
pub const DIRKV_RECURSIVE: u32 = 1;

/// The result of a listing. It never changes; free it with dirkv_list_free.
#[derive(Debug)]
pub struct dirkv_list(Packed);

impl dirkv_list {
    /// Packs the entries that `pack` adds.
    pub(super) fn build(pack: impl FnOnce(&mut Packer) -> Result<()>) -> Result<*mut dirkv_list> {
        let mut packer = Packer::new();
        pack(&mut packer)?;
        Ok(Box::into_raw(Box::new(dirkv_list(packer.finish()?))))
    }

    fn entry(&self, index: usize) -> Result<Entry<'_>> {
        let Some(at) = self.0.begins.get(index) else {
            return Err(bad("index", &format!("is {index}, but the list has {} entries", self.0.begins.len())));
        };
        let gone = |_| Error::new(Code::Internal, "an entry of a list is gone");
        packed::entry_at(&self.0.block, *at as usize).map(|(entry, _)| entry).map_err(gone)
    }
}

/// A view of one entry of a list; its pointers lead into the list and live as long. It may grow at its end.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct dirkv_entry {
    /// DIRKV_ENTRY_...; what it is tells which of the other fields are used, the rest is zero.
    pub kind: u32,
    /// Of a lock: the process that acquired it.
    pub pid: u32,
    /// The instant of expiry; 0: never.
    pub expires: i64,
    /// The item's revision, or the lock's fence.
    pub revision: u64,
    /// The key, sub-bucket or token; of a recursive listing the path relative to the bucket listed. NUL-terminated.
    pub name: *const c_char,
    /// The length of the name, without its NUL.
    pub name_len: usize,
    /// The value, not NUL-terminated; of a lock the host of its holder.
    pub val: *const u8,
    /// The value's length.
    pub len: usize,
}

/// Lists the names of the unexpired keys of a bucket and of its direct sub-buckets that hold any, each once, as entries of
/// the kinds DIRKV_ENTRY_KEY and DIRKV_ENTRY_BUCKET. A key comes before the bucket of its name. A bucket that isn't there
/// gives an empty list.
///
/// `after`  NULL: from the first name; else only names after this one, whether or not it is there: neither the key nor the
///          bucket of that name. So the last name of a page is the `after` of the next, and nothing is skipped or repeated
/// `limit`  how many entries; 0: all. A key and the bucket of its name are never parted: a page that would end between
///          the two holds one entry more, `limit` + 1
/// `list`   the names, sorted bytewise, for dirkv_list_free
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_get_keys(
    b: *mut dirkv_backend,
    bucket: *const c_char,
    after: *const c_char,
    limit: u64,
    list: *mut *mut dirkv_list,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (list, bucket, after) =
            unsafe { (Out::new(list, "list")?, input::text(bucket, "bucket")?, input::optional_text(after)) };
        let backend = handle::enter(b)?;
        list.set(dirkv_list::build(|packer| {
            backend.each_name(bucket, after, limit, |name, is_bucket| {
                let kind = if is_bucket { DIRKV_ENTRY_BUCKET } else { DIRKV_ENTRY_KEY };
                packer.add(&Entry { kind, pid: 0, time: 0, revision: 0, name: &name.bytes()?, value: &[] })
            })
        })?);
        Ok(())
    })
}

/// Lists the unexpired items of a bucket, as entries of the kind DIRKV_ENTRY_ITEM, in one consistent cut. 1 GiB at most:
/// for more, go on with the last name as `after`, each part being a cut of its own.
///
/// `after`  NULL: from the first item; else only items after this one, whether or not it is there. In a recursive listing
///          a relative path as the list holds them
/// `limit`  at most so many entries; 0: all
/// `flags`  0, or DIRKV_RECURSIVE: the items of all sub-buckets too, under their relative paths ("sub/key")
/// `list`   the items, sorted by component, bytewise, for dirkv_list_free
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_get_items(
    b: *mut dirkv_backend,
    bucket: *const c_char,
    after: *const c_char,
    limit: u64,
    flags: u32,
    list: *mut *mut dirkv_list,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (list, bucket, after) =
            unsafe { (Out::new(list, "list")?, input::text(bucket, "bucket")?, input::optional_text(after)) };
        let backend = handle::enter(b)?;
        if flags & !DIRKV_RECURSIVE != 0 {
            return Err(bad("flags", &format!("is {flags:#x}, of which only DIRKV_RECURSIVE (0x1) is known")));
        }
        list.set(dirkv_list::build(|packer| {
            backend.each_item(bucket, after, limit, flags & DIRKV_RECURSIVE != 0, |item| {
                let (name, value) = (&*item.name.bytes()?, &*item.value);
                let (time, revision) = (item.expires, item.revision);
                packer.add(&Entry { kind: DIRKV_ENTRY_ITEM, pid: 0, time, revision, name, value })
            })
        })?);
        Ok(())
    })
}

/// The number of entries; 0 of NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_list_len(list: *const dirkv_list) -> usize {
    // SAFETY: the caller promises that `list` is NULL or a live list.
    boundary_or(0, || unsafe { list.as_ref() }.map_or(0, |list| list.0.begins.len()))
}

/// Fills a view of one entry.
///
/// `index`       from 0; past the end is DIRKV_BAD_PARAMETER
/// `entry`       the view
/// `entry_size`  sizeof(dirkv_entry)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_list_get(
    list: *const dirkv_list,
    index: usize,
    entry: *mut dirkv_entry,
    entry_size: usize,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (view, list) = unsafe { (view::Out::new(entry, entry_size)?, input::object(list, "list")?) };
        let found = list.entry(index)?;
        view.set(dirkv_entry {
            kind: found.kind,
            pid: found.pid,
            expires: found.time,
            revision: found.revision,
            name: found.name.as_ptr().cast(),
            name_len: found.name.len(),
            val: if found.value.is_empty() { ptr::null() } else { found.value.as_ptr() },
            len: found.value.len(),
        });
        Ok(())
    })
}

/// The whole list as one packed block (see PACKED BLOCKS above). It belongs to the list and lives as long.
///
/// `data`, `len`  the block
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_list_packed(
    list: *const dirkv_list,
    data: *mut *const u8,
    len: *mut usize,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (data, len, list) = unsafe { (Out::new(data, "data"), Out::new(len, "len"), input::object(list, "list")) };
        let (data, len, list) = (data?, len?, list?);
        data.set(list.0.block.as_ptr());
        len.set(list.0.block.len());
        Ok(())
    })
}

/// Frees a list, and with it what views of it point to. NULL: does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_list_free(list: *mut dirkv_list) {
    boundary_or((), || {
        if !list.is_null() {
            // SAFETY: it came from `build`, and the caller gives it up.
            drop(unsafe { Box::from_raw(list) });
        }
    });
}
