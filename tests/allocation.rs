//! Hostile lengths: bytes whose checksums are right and whose numbers lie. Decoding one structure, or opening, reading and
//! checking a store that has one, never allocates more than what is there can account for; it never panics.

#[path = "support/counting.rs"]
mod counting;
#[allow(dead_code, reason = "each test program uses its part")]
#[path = "support/memory.rs"]
mod memory;
#[path = "support/reseal.rs"]
mod reseal;
#[allow(dead_code, reason = "each test program uses its part")]
#[path = "damage/small.rs"]
mod small;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use counting::{Allocated, Counting, measured};
use dirkv::Code;
use dirkv::format::frame::{self, Body, Frame};
use dirkv::format::manifest::{Manifest, SyncMode};
use dirkv::format::segment::Header;
use dirkv::format::table::block::Block;
use dirkv::format::table::node::Node;
use dirkv::format::table::{Footer, ranges};
use memory::Memory;
use reseal::Places;
use small::{Small, Tail, content, open};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Beside what the bytes account for: names, messages, a few small vectors.
const SLACK: usize = 4096;

/// What the index of one segment takes at once, however little the segment holds; who goes on writing after a lie about the
/// size of segments may have two more.
const INDEXES: usize = 2 * (4 << 20);

/// Numbers that a length could be: at and around what is right, and as large as can be.
fn hostile(width: usize, len: usize) -> Vec<Vec<u8>> {
    let most = u64::MAX >> (64 - 8 * width);
    let near = [len.wrapping_sub(1), len, len + 1].map(|n| n as u64);
    let numbers = [most, most - 1, most >> 1, most >> 4, 1 << (4 * width), 0, near[0], near[1], near[2]];
    numbers.iter().map(|n| n.to_le_bytes()[..width].to_vec()).collect()
}

/// Calls `f` with the bytes changed in one place each time to a number that may be a length.
fn each_lie(bytes: &[u8], step: usize, mut f: impl FnMut(Vec<u8>, &str)) {
    for width in [2, 4, 8] {
        for at in (0..bytes.len().saturating_sub(width)).step_by(step) {
            for number in hostile(width, bytes.len()) {
                let mut bad = bytes.to_vec();
                bad[at..at + width].copy_from_slice(&number);
                f(bad, &format!("{number:02x?} at {at}"));
            }
        }
    }
}

#[track_caller]
fn bounded(allocated: Allocated, bound: usize, what: &str) {
    assert!(allocated.most <= bound, "{what}: {allocated:?} of at most {bound}");
}

#[test]
fn a_measurement_measures() {
    let ((), allocated) = measured(|| {
        let one = vec![0u8; 70_000];
        drop(vec![1u8; 50_000]);
        drop((one, vec![2u8; 20_000]));
    });
    assert_eq!((allocated.largest, allocated.most), (70_000, 120_000));
}

#[test]
fn a_frame() {
    let mut body = Body::new();
    body.delete_range(b"a\x01", b"a\x02");
    body.put(b"bucket\x01one", 7, &[5; 300]);
    body.put(b"bucket\x01two", 0, b"");
    body.delete(b"bucket\x01t");
    let mut frame = Vec::new();
    body.write_frame(&mut frame, 42, 64, 99, 5);
    let mut decoded = 0;
    each_lie(&frame, 1, |mut bad, what| {
        let crc = reseal::frame_crc(&bad, 42, 64);
        bad[4..8].copy_from_slice(&crc.to_le_bytes());
        let (found, allocated) = measured(|| Frame::verify(&bad, 42, 64).map(|frame| frame.each_op(|_| ())));
        decoded += usize::from(found.is_some());
        bounded(allocated, 2 * bad.len(), what);
    });
    assert!(decoded > 1000, "only {decoded} lies came through the checksum");
}

#[test]
fn a_manifest() {
    let manifest = Small::new(Tail::Acknowledged).manifest.encode();
    let mut decoded = 0;
    each_lie(&manifest, 1, |mut bad, what| {
        reseal::manifest(&mut bad);
        let (found, allocated) = measured(|| Manifest::decode(&bad));
        decoded += usize::from(found.is_ok());
        bounded(allocated, bad.len(), what);
    });
    assert!(decoded > 1000, "only {decoded} lies came through the checksum");
}

/// Footer, root, leaves, blocks and range tombstones, each as it is in the file of a table.
#[test]
fn the_parts_of_a_table() {
    let small = Small::new(Tail::Acknowledged);
    let (files, entry) = (small.memory.files(), small.manifest.tables[1]);
    let bytes = &files[&format!("table-{}", entry.number)];
    let footer: [u8; 128] = *bytes.last_chunk().unwrap();
    each_lie(&footer, 1, |mut bad, what| {
        reseal::footer(&mut bad);
        let (_, allocated) = measured(|| Footer::decode(bad.first_chunk().unwrap(), entry.size));
        bounded(allocated, 0, what);
    });
    let (mut parts, mut decoded) = (0, [0; 3]);
    for place in reseal::parts(bytes) {
        parts += 1;
        let at = place.start as u64;
        each_lie(&bytes[place.clone()], 1, |mut bad, what| {
            reseal::part(&mut bad, entry.number, at);
            let shared: Arc<[u8]> = bad.as_slice().into();
            let (found, allocated) = measured(|| {
                [
                    Node::decode(shared.clone(), entry.number, at, 0..at).is_ok(),
                    Block::decode(shared.clone(), entry.number, at).is_ok(),
                    ranges::decode(&bad, entry.number, at, 1, |_| ()).is_ok(),
                ]
            });
            bounded(allocated, 0, what);
            (0..3).for_each(|kind| decoded[kind] += usize::from(found[kind]));
        });
    }
    assert!(parts >= 4 && decoded.iter().all(|n| *n > 10), "{parts} parts, {decoded:?} lies came through the checksum");
}

/// A packed block through the C interface, as a binding would give it.
#[test]
fn a_packed_block() {
    use dirkv::ffi::backend::{dirkv_backend, dirkv_close, dirkv_open_path};
    use dirkv::ffi::batch::dirkv_upsert_packed;
    let dir = tempfile::tempdir().unwrap();
    let path = std::ffi::CString::new(dir.path().to_str().unwrap()).unwrap();
    let mut store: *mut dirkv_backend = std::ptr::null_mut();
    let (none, bucket) = (std::ptr::null_mut(), c"b".as_ptr());
    // SAFETY: a path, and outputs that are there.
    assert_eq!(unsafe { dirkv_open_path(path.as_ptr(), &raw mut store, none) }, 0);
    let mut block = vec![1, 0, 0, 0, 2, 0, 0, 0];
    for name in [b"a", b"b"] {
        block.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0]);
        block.extend_from_slice(&[0; 16]);
        block.extend_from_slice(&[name[0], 0, b'x', b'y', b'z', 0, 0, 0]);
    }
    let upsert = |block: &[u8]| {
        let mut revision = 0;
        let (data, len) = (block.as_ptr().cast(), block.len());
        // SAFETY: `len` bytes, and outputs that are there.
        measured(|| unsafe { dirkv_upsert_packed(store, bucket, data, len, &raw mut revision, none) })
    };
    let (status, usual) = upsert(&block);
    assert_eq!(status, 0);
    each_lie(&block, 1, |bad, what| bounded(upsert(&bad).1, usual.most + 4 * bad.len() + SLACK, what));
    // SAFETY: open, and closed once.
    assert_eq!(unsafe { dirkv_close(store, none) }, 0);
}

/// Opens, reads and checks a store, and merges it if it may be written; what that allocated.
fn visit(memory: &Memory, read_only: bool, what: &str) -> Allocated {
    let visit = || {
        let Ok(store) = open(memory, read_only) else { return };
        let _ = (content(&store), store.check());
        if !read_only {
            let _ = (store.upsert("more", "key", b"value", 0), store.compact(), content(&store));
        }
    };
    let (result, allocated) = measured(|| catch_unwind(AssertUnwindSafe(visit)));
    assert!(result.is_ok(), "{what}: it panicked");
    allocated
}

/// Where a lie is tried: everywhere, but not within the values of the tables.
fn chosen(name: &str, at: usize, places: &[std::ops::Range<usize>], len: usize) -> bool {
    match name {
        "MANIFEST" => true,
        _ if name.starts_with("table-") => at + 128 >= len || places.iter().any(|place| place.contains(&at)),
        _ if name.starts_with("log-") => {
            at < 64 || places.iter().any(|place| (place.start..place.start + 80).contains(&at))
        }
        _ => false,
    }
}

/// The bound of a store: what it takes when it is well, and four times what its files hold. No single allocation is larger
/// than the largest of the store when it is well, or than all of its files.
#[test]
fn a_store_with_one_lie() {
    let small = Small::new(Tail::Acknowledged);
    let files = small.memory.files();
    let places = Places::of(&files);
    let held: usize = files.values().map(Vec::len).sum();
    let usual = [true, false].map(|read_only| visit(&small.memory.copy(), read_only, "nothing"));
    let step = if std::env::var_os("DIRKV_TORTURE_SECONDS").is_some() { 1 } else { 23 };
    let (mut lies, mut most) = (0, Allocated::default());
    for (name, bytes) in &files {
        let inside = if name.starts_with("table-") { reseal::parts(bytes) } else { reseal::frames(bytes) };
        let mut nth = 0;
        for width in [2, 4, 8] {
            for at in (0..bytes.len().saturating_sub(width)).filter(|at| chosen(name, *at, &inside, bytes.len())) {
                for number in hostile(width, bytes.len()) {
                    nth += 1;
                    if nth % step != 0 {
                        continue;
                    }
                    let mut bad = bytes.clone();
                    bad[at..at + width].copy_from_slice(&number);
                    places.seal(name, &mut bad);
                    let memory = small.memory.copy();
                    memory.put(name, bad);
                    let read_only = nth % 2 == 0;
                    let what = format!("{number:02x?} at {at} of {name} (read only: {read_only})");
                    let allocated = visit(&memory, read_only, &what);
                    let usual = usual[usize::from(!read_only)];
                    bounded(allocated, usual.most + 4 * held + INDEXES, &what);
                    assert!(allocated.largest <= usual.largest.max(held), "{what}: {allocated:?}, usually {usual:?}");
                    (lies, most) = (lies + 1, most.max(allocated));
                }
            }
        }
    }
    println!("{lies} lies in {held} bytes: usually {usual:?}, at most {most:?}");
    assert!(lies > 500, "{lies} lies");
}

/// A log of one segment whose only frame deletes so many keys of the greatest length, each of which takes eight bytes there.
fn keys_that_begin_alike(count: u16) -> Memory {
    let memory = small::created(SyncMode::Full, 1);
    let mut body = Body::new();
    let mut key = vec![b'k'; frame::MAX_KEY];
    for n in 0..count {
        key[frame::MAX_KEY - 2..].copy_from_slice(&n.to_be_bytes());
        body.delete(&key);
    }
    let mut log = memory.files()["log-1"][..64].to_vec();
    let header = Header::decode(&log).unwrap();
    body.write_frame(&mut log, header.salt, 64, header.crc(), 0);
    memory.put("log-1", log);
    memory
}

/// Keys are whole in memory and cut short in the log: what a frame may make of that is what a batch may, and no more.
#[test]
fn a_frame_of_too_many_keys() {
    let few = keys_that_begin_alike(1000);
    assert!(content(&open(&few, true).unwrap()).unwrap().is_empty());
    let many = keys_that_begin_alike(u16::try_from(frame::MAX_KEYS / frame::MAX_KEY).unwrap() + 1);
    let (result, allocated) = measured(|| open(&many, true).map(drop));
    assert_eq!(result.unwrap_err().code, Code::Corrupt);
    bounded(allocated, 2 * frame::MAX_KEYS + INDEXES, "a frame of too many keys");
}

/// A file that says that it is large allocates no more than it holds.
#[test]
fn files_that_grew() {
    let small = Small::new(Tail::Acknowledged);
    let files: BTreeMap<String, Vec<u8>> = small.memory.files();
    let held: usize = files.values().map(Vec::len).sum();
    for (name, bytes) in &files {
        for more in [1 << 16, 3 << 20] {
            let memory = small.memory.copy();
            memory.put(name, [bytes.as_slice(), &vec![0xa5; more]].concat());
            let usual = visit(&small.memory.copy(), true, "nothing");
            let what = format!("{name} with {more} bytes more");
            bounded(visit(&memory, true, &what), usual.most + 4 * (held + more) + SLACK, &what);
        }
    }
}
