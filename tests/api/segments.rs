//! When a segment counts as full, and when a writer makes a table by itself.

use super::upkeep::{counter, fill, small};
use super::*;
use dirkv::backend::NewItem;
use std::fs;

const SEGMENT: u64 = 64 << 10;

/// The sizes of the log's files.
fn sizes(dir: &TempDir) -> Vec<u64> {
    let files = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
    let logs = files.filter(|entry| entry.file_name().to_str().unwrap().starts_with("log-"));
    logs.map(|entry| entry.metadata().unwrap().len()).collect()
}

#[test]
fn a_segment_is_filled_to_its_last_byte() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "off");
    let before = counter(&b, "log_bytes");
    b.upsert("x", "k", &[b'a'; 2_000], 0).unwrap();
    let frame = counter(&b, "log_bytes") - before - 2_000;
    let rest = SEGMENT - counter(&b, "log_bytes") - frame;
    b.upsert("x", "k", &vec![b'b'; rest as usize], 0).unwrap();
    assert_eq!(counter(&b, "log_bytes"), SEGMENT);
    assert_eq!((counter(&b, "segments"), counter(&b, "seals")), (1, 0));
    b.upsert("x", "k", b"c", 0).unwrap();
    assert_eq!((counter(&b, "segments"), counter(&b, "seals")), (2, 1));
    assert!(sizes(&dir).iter().all(|&size| size == SEGMENT), "{:?}", sizes(&dir));
}

/// What is small in the log takes more in memory, and may.
#[test]
fn a_segment_of_small_values_is_as_full_as_any() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "off");
    let mut number = 0;
    while counter(&b, "seals") == 0 {
        assert!(counter(&b, "log_bytes") <= SEGMENT);
        b.upsert("x", format!("{number:04}"), b"v", 0).unwrap();
        number += 1;
    }
    assert!(counter(&b, "memtable_bytes") > SEGMENT + 1_000, "{}", b.stats_json().unwrap());
    assert!(counter(&b, "log_bytes") > SEGMENT - 100, "{}", b.stats_json().unwrap());
}

#[test]
fn a_writer_makes_a_table_of_what_has_waited_too_long() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "off");
    let mut most = 0;
    while counter(&b, "compactions") == 0 {
        fill(&b, 1);
        most = most.max(counter(&b, "segments"));
        assert!(most < 10, "{}", b.stats_json().unwrap());
    }
    assert_eq!(most, 3, "two sealed segments and the live one");
    assert_eq!(counter(&b, "segments"), 1);
    assert_eq!(b.keys("filled", None, 0).unwrap().len(), 33);
}

/// Else every few of them would take a seal. A batch of small values is large, too, but becomes a table soon.
#[test]
fn a_segment_that_begins_with_a_large_value_has_room_for_many() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "off");
    let keys: Vec<String> = (0..1_000).map(|n| format!("{n:04}")).collect();
    let batch: Vec<_> = keys.iter().map(|key| NewItem { key: key.as_bytes(), value: &[7; 20], ttl: 0 }).collect();
    while counter(&b, "seals") == 0 {
        b.upsert_items("x", &batch).unwrap();
    }
    assert!(sizes(&dir).iter().all(|&size| size == SEGMENT), "{:?}", sizes(&dir));
    for (len, largest) in [(6_000, 64 * 6_000), (20_000, 8 * SEGMENT)] {
        let before = counter(&b, "seals");
        while counter(&b, "seals") < before + 1 {
            b.upsert("x", "large", &vec![b'v'; len], 0).unwrap();
        }
        let size = sizes(&dir).into_iter().max().unwrap();
        assert!((largest..largest + 10_000).contains(&size), "{size} for values of {len}");
        b.compact().unwrap();
    }
}

/// It is read when the store is opened, and its index takes memory in each process.
#[test]
fn a_segment_that_was_made_for_large_values_is_not_filled_with_small_ones() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "off");
    while counter(&b, "seals") == 0 {
        b.upsert("x", "large", &[b'v'; 20_000], 0).unwrap();
    }
    assert_eq!(sizes(&dir).into_iter().max(), Some(8 * SEGMENT), "the live one");
    let (mut number, mut most) = (0, 0);
    while counter(&b, "seals") == 1 {
        most = most.max(counter(&b, "memtable_bytes"));
        b.upsert("x", format!("{number:05}"), &[b's'; 100], 0).unwrap();
        number += 1;
    }
    assert!((SEGMENT..2 * SEGMENT).contains(&most), "{most} bytes of index");
}

/// Whether no block of the file is one that was never written.
fn is_written(file: &fs::File) -> bool {
    rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(0)).unwrap() == file.metadata().unwrap().len()
}

/// The same of the newest segment.
fn is_written_ahead(dir: &TempDir) -> bool {
    let number = |path: &std::path::Path| path.to_str()?.rsplit_once("/log-")?.1.parse::<u64>().ok();
    let paths = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    is_written(&fs::File::open(paths.max_by_key(|path| number(path)).unwrap()).unwrap())
}

/// Not every filesystem tells what was never written.
fn is_told() -> bool {
    let file = tempfile::tempfile().unwrap();
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, SEGMENT).unwrap();
    !is_written(&file)
}

#[test]
fn the_next_segment_is_written_ahead_if_small_frames_are_synced() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "off");
    let keys: Vec<_> = (0..50).map(|n| format!("{n:04}")).collect();
    let batch: Vec<_> = keys.iter().map(|key| NewItem { key: key.as_bytes(), value: &[b'v'; 700], ttl: 0 }).collect();
    let unknown = !is_told();
    for _ in 0..4 {
        b.upsert_items("x", &batch).unwrap();
    }
    assert!(unknown || !is_written_ahead(&dir), "large frames come");
    fill(&b, 2);
    assert!(is_written_ahead(&dir));
    for _ in 0..4 {
        b.upsert_items("x", &batch).unwrap();
    }
    assert!(unknown || !is_written_ahead(&dir), "large frames come again");

    for (sync, segment_size, fills) in [("os", "64KiB", 3), ("full", "1MiB", 1)] {
        let dir = tempfile::tempdir().unwrap();
        let mut params = Params::new();
        let path = ("path", dir.path().to_str().unwrap());
        for (name, value) in [path, ("sync", sync), ("segment_size", segment_size), ("background", "off")] {
            params.set(name, value).unwrap();
        }
        fill(&Backend::open(&params).unwrap(), fills);
        assert!(unknown || !is_written_ahead(&dir), "no commit waits for a sync, or for what the creation left");
    }
}
