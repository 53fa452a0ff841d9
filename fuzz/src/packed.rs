//! Packed blocks through the C interface: what is taken is what the header's layout says, and is there afterwards.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::ptr;

use arbitrary::Arbitrary;
use dirkv::Code;
use dirkv::ffi::backend::dirkv_backend;
use dirkv::ffi::batch::dirkv_upsert_packed;
use dirkv::ffi::lists::{DIRKV_ENTRY_ITEM, DIRKV_ENTRY_PUT, DIRKV_RECURSIVE, dirkv_get_items};
use dirkv::ffi::status::{DIRKV_BAD_PARAMETER, DIRKV_OK};

use crate::{c, described, kind};

/// An entry of a block.
#[derive(Clone, Arbitrary, PartialEq, Debug)]
pub struct Entry {
    pub kind: u32,
    pub pid: u32,
    pub time: i64,
    pub revision: u64,
    pub name: Vec<u8>,
    pub value: Vec<u8>,
}

/// Value and expiry by name.
type Items = BTreeMap<Vec<u8>, (Vec<u8>, i64)>;

static CLOCK: c::Clock = c::Clock::new(NOW);
const NOW: i64 = 1_000_000;

/// A block as the header tells it.
pub fn pack(entries: &[Entry]) -> Vec<u8> {
    let mut block = vec![1, 0, 0, 0];
    block.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    for entry in entries {
        for number in [entry.kind, entry.pid, entry.name.len() as u32, entry.value.len() as u32] {
            block.extend_from_slice(&number.to_le_bytes());
        }
        block.extend_from_slice(&entry.time.to_le_bytes());
        block.extend_from_slice(&entry.revision.to_le_bytes());
        block.extend_from_slice(&entry.name);
        block.push(0);
        block.extend_from_slice(&entry.value);
        block.resize(block.len().next_multiple_of(8), 0);
    }
    block
}

/// The entries of a block, if it is one.
pub fn unpack(block: &[u8]) -> Option<Vec<Entry>> {
    let u32_at = |at: usize| Some(u32::from_le_bytes(*block.get(at..)?.first_chunk()?));
    let u64_at = |at: usize| Some(u64::from_le_bytes(*block.get(at..)?.first_chunk()?));
    let (mut entries, mut at) = (Vec::new(), 8);
    if u32_at(0)? != 1 {
        return None;
    }
    for _ in 0..u32_at(4)? {
        let name_at = at + 32;
        let value_at = name_at + u32_at(at + 8)? as usize + 1;
        let end = value_at + u32_at(at + 12)? as usize;
        let entry = Entry {
            kind: u32_at(at)?,
            pid: u32_at(at + 4)?,
            time: u64_at(at + 16)? as i64,
            revision: u64_at(at + 24)?,
            name: block.get(name_at..value_at - 1)?.to_vec(),
            value: block.get(value_at..end)?.to_vec(),
        };
        block.get(end..end.next_multiple_of(8))?;
        if block[value_at - 1] != 0 {
            return None;
        }
        entries.push(entry);
        at = end.next_multiple_of(8);
    }
    (at == block.len()).then_some(entries)
}

pub fn run(data: &[u8]) {
    let block = match kind(data, 3) {
        Some((0, rest)) => rest.to_vec(),
        Some((1, rest)) => [&[1, 0, 0, 0], rest].concat(),
        Some((_, rest)) => {
            let Some((mut entries, tail)) = described::<(Vec<Entry>, Vec<u8>)>(rest) else { return };
            entries.iter_mut().for_each(|entry| entry.kind = (entry.kind % 8 / 2) * DIRKV_ENTRY_ITEM);
            let mut block = pack(&entries);
            assert_eq!(unpack(&block), Some(entries));
            // What follows a block is no part of it.
            block.extend_from_slice(&tail[..tail.len() / 4 % 9]);
            block
        }
        None => return,
    };
    let (_dir, path) = c::directory();
    let store = c::open(&path, &CLOCK, false).expect("a new store");
    upsert(store, &block);
    assert_eq!(c::close(store), DIRKV_OK);
}

fn upsert(store: *mut dirkv_backend, block: &[u8]) {
    let mut revision = 7;
    let data = if block.is_empty() { ptr::null() } else { block.as_ptr().cast() };
    // SAFETY: an open handle, text, `len` bytes, an output.
    let status =
        c::call(|err| unsafe { dirkv_upsert_packed(store, c"b".as_ptr(), data, block.len(), &raw mut revision, err) });
    let expected = unpack(block).and_then(expected);
    let refused = if claims_too_many(block) { Code::LimitExceeded as i32 } else { DIRKV_BAD_PARAMETER };
    assert_eq!(status, if expected.is_some() { DIRKV_OK } else { refused });
    assert_eq!(status == DIRKV_OK, revision != 0);
    let mut found = Items::new();
    for entry in items(store) {
        assert_eq!((entry.kind, entry.pid, entry.revision), (DIRKV_ENTRY_ITEM, 0, revision));
        found.insert(entry.name, (entry.value, entry.time));
    }
    assert_eq!(found, expected.unwrap_or_default());
}

/// Whether it says that it has more entries than a batch may, true or not.
fn claims_too_many(block: &[u8]) -> bool {
    let count = block.get(4..).and_then(|rest| rest.first_chunk()).map_or(0, |count| u32::from_le_bytes(*count));
    block.starts_with(&[1, 0, 0, 0]) && count > 1_000_000
}

fn items(store: *mut dirkv_backend) -> Vec<Entry> {
    let (mut list, bucket, after) = (ptr::null_mut(), CString::from(c"b"), ptr::null());
    // SAFETY: an open handle, text or NULL, an output.
    let status = c::call(|err| unsafe {
        dirkv_get_items(store, bucket.as_ptr(), after, 0, DIRKV_RECURSIVE, &raw mut list, err)
    });
    assert_eq!(status, DIRKV_OK);
    c::take_list(list)
}

/// What is there once the entries were put: value and expiry by name; nothing if one of them may not be put.
fn expected(entries: Vec<Entry>) -> Option<Items> {
    let mut items = Items::new();
    if entries.is_empty() {
        return None;
    }
    for entry in entries {
        let ttl = match entry.kind {
            DIRKV_ENTRY_PUT => entry.time,
            DIRKV_ENTRY_ITEM if entry.time == 0 => 0,
            DIRKV_ENTRY_ITEM => entry.time.saturating_sub(NOW).max(1),
            _ => return None,
        };
        if ttl < 0 || !crate::names::is_name(&entry.name, 1024) {
            return None;
        }
        items.insert(entry.name, (entry.value, if ttl == 0 { 0 } else { NOW.saturating_add(ttl) }));
    }
    Some(items)
}
