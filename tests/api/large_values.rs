//! Large values stay in the file in which they were written first, as long as enough of it is wanted.

use super::upkeep::{counter, small};
use super::*;
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

const LEN: usize = 20_000;

/// Bytes that tell of which key and which round they are.
fn value(key: usize, round: u8) -> Vec<u8> {
    (0..LEN).map(|i| (i * 7 + key * 31 + i / 251) as u8 ^ round).collect()
}

fn put(b: &Backend, key: usize, round: u8) {
    b.upsert("large", format!("{key:02}"), &value(key, round), 0).unwrap();
}

/// The key of each value, and the round in which it was put.
fn assert_holds(b: &Backend, expected: &[(usize, u8)]) {
    let found: Vec<_> = b.items("large", None, 0, false).unwrap().into_iter().map(|i| (i.name, i.value)).collect();
    let expected: Vec<_> = expected.iter().map(|(key, round)| (format!("{key:02}"), value(*key, *round))).collect();
    assert!(found == expected, "{} items, {} expected", found.len(), expected.len());
    for (key, bytes) in expected {
        assert!(b.get("large", &key).unwrap() == bytes, "{key}");
    }
    assert_eq!(b.check().unwrap(), [""; 0]);
}

fn files(dir: &TempDir, kind: &str) -> BTreeSet<String> {
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(kind)).collect()
}

/// What the files take together; one may go meanwhile.
fn disk(dir: &TempDir) -> u64 {
    let entries = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
    entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
}

#[test]
fn a_large_value_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "off");
    let other = small(&dir, "off");
    let all: Vec<_> = (0..90).map(|key| (key, 1)).collect();
    all.iter().for_each(|(key, round)| put(&b, *key, *round));
    assert_holds(&other, &all);
    b.compact().unwrap();
    b.compact().unwrap();
    assert!(counter(&b, "compactions") >= 3, "{}", b.stats_json().unwrap());
    // But for those in the last segment, which wasn't full.
    assert!(counter(&b, "compacted_bytes") < 20 * LEN as u64, "{}", b.stats_json().unwrap());
    assert!(counter(&b, "table_bytes") > 90 * LEN as u64, "{}", b.stats_json().unwrap());
    assert_eq!((counter(&b, "tables"), counter(&b, "segments")), (1, 1));
    assert!(files(&dir, "log-").len() > 4, "{:?}", files(&dir, "log-"));
    assert_holds(&b, &all);
    assert_holds(&other, &all);
    drop((b, other));
    assert_holds(&small(&dir, "off"), &all);
    let mut params = Params::new();
    params.set("path", dir.path().to_str().unwrap()).unwrap();
    params.set("read_only", "true").unwrap();
    assert_holds(&Backend::open(&params).unwrap(), &all);
}

#[test]
fn a_file_goes_with_the_last_value_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "off");
    (0..30).for_each(|key| put(&b, key, 1));
    b.compact().unwrap();
    let first = files(&dir, "log-");
    (0..30).for_each(|key| put(&b, key, 2));
    b.compact().unwrap();
    let last = files(&dir, "log-");
    assert!(first.intersection(&last).count() <= 2, "{first:?}, then {last:?}");
    assert_holds(&b, &(0..30).map(|key| (key, 2)).collect::<Vec<_>>());
    b.delete_bucket("", "large").unwrap();
    b.compact().unwrap();
    let (logs, tables) = (files(&dir, "log-").len(), files(&dir, "table-").len());
    assert!(logs <= 2 && tables == 0, "{logs} and {tables}: the live segment, and maybe the next");
}

#[test]
fn what_is_left_of_a_file_moves_into_a_table_which_then_stays() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "off");
    (0..29).for_each(|key| put(&b, key, 1));
    b.compact().unwrap();
    // Of each segment one value in three is wanted, and the last one isn't full.
    let mut all: Vec<_> = (0..29).map(|key| (key, 1 + u8::from(key % 3 > 0))).collect();
    all.iter().filter(|(_, round)| *round == 2).for_each(|(key, round)| put(&b, *key, *round));
    let before = counter(&b, "compacted_bytes");
    b.compact().unwrap();
    let copied = (counter(&b, "compacted_bytes") - before) / LEN as u64;
    assert!((25..=29).contains(&copied), "{copied} values were copied");
    assert_holds(&b, &all);
    let table = files(&dir, "table-");
    assert_eq!(table.len(), 1);

    put(&b, 0, 3);
    all[0].1 = 3;
    let before = counter(&b, "compacted_bytes");
    b.compact().unwrap();
    assert!(counter(&b, "compacted_bytes") - before < 3 * LEN as u64, "what was copied once isn't copied again");
    let tables = files(&dir, "table-");
    assert!(tables.is_superset(&table), "{table:?} stays in {tables:?}");
    assert_eq!(counter(&b, "tables"), 1, "for its values only");
    assert_holds(&b, &all);
    drop(b);
    assert_holds(&small(&dir, "off"), &all);
}

/// A file's blocks are allocated ahead: one value in it is little, however little was written to it.
#[test]
fn a_file_that_is_mostly_empty_does_not_stay() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "off");
    for key in 0..20 {
        put(&b, key, 1);
        b.compact().unwrap();
        assert!(files(&dir, "log-").len() <= 2, "{:?}", files(&dir, "log-"));
    }
    assert_holds(&b, &(0..20).map(|key| (key, 1)).collect::<Vec<_>>());
}

/// Overwritten for long by one who writes, beside the thread that merges.
#[test]
fn what_is_overwritten_for_long_takes_a_bound_of_disk() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "on");
    let (mut all, mut seed) = ([1u8; 30], 7usize);
    (0..30).for_each(|key| put(&b, key, 1));
    for round in 0..600 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let key = (seed >> 33) % 30;
        all[key] = (round % 200) as u8 + 2;
        put(&b, key, all[key]);
    }
    assert_holds(&b, &all.iter().copied().enumerate().collect::<Vec<_>>());
    // Of the files that are kept half is wanted, of what is in tables most, and the rest waits for more.
    let (bound, begun) = (4 * 30 * LEN as u64, Instant::now());
    while disk(&dir) > bound {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} of {bound} bytes", disk(&dir));
        std::thread::sleep(Duration::from_millis(10));
    }
    let copied = counter(&b, "compacted_bytes") / LEN as u64;
    assert!(copied < 630, "{copied} of 630 values were copied");
    assert_eq!(b.check().unwrap(), [""; 0]);
}
