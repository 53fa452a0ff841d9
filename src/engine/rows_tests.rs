//! What is kept, what makes room, and what a lookup finds.

use super::super::memtable::hash;
use super::super::table::memory::MemFile;
use super::super::value::{Extent, Home};
use super::*;
use crate::files::storage::File;
use crate::format::checksum::crc32c;
use crate::format::manifest::Holder;
use std::sync::Arc;

fn version<'a>(key: &'a [u8], value: &'a [u8]) -> Version<'a> {
    Version { key, revision: 7, state: State::Live { tag: 9, stored: Stored::Inline(value) } }
}

fn row(rows: &RowCache, epoch: u64, key: &[u8]) -> Option<Hit> {
    rows.get(rows.likely(hash(key)), epoch, key, hash(key))
}

fn value(rows: &RowCache, epoch: u64, key: &[u8]) -> Option<Vec<u8>> {
    let hit = row(rows, epoch, key)?;
    let item = hit.version(key)?.item()?;
    assert_eq!((item.revision, item.tag), (7, 9));
    Some(item.bytes().unwrap().into_owned())
}

/// What a read does that finds `value` in the tables.
fn read(rows: &RowCache, epoch: u64, key: &[u8], value: &[u8]) {
    if row(rows, epoch, key).is_none() {
        rows.offer(epoch, &version(key, value), hash(key));
    }
}

#[test]
fn a_row_is_kept_at_the_first_read_while_there_is_room_and_then_from_the_second_on() {
    const LIMIT: u64 = 64 << 10;
    const EACH: u64 = OVERHEAD as u64 + 204;
    let rows = RowCache::new(LIMIT);
    rows.active.store(rows.places(), Relaxed);
    let (key, found) = (u64::to_le_bytes, |key: u64| value(&rows, 1, &key.to_le_bytes()));
    let mut n = 0;
    while n * EACH < LIMIT - LIMIT / REST {
        assert_eq!((found(n), rows.weight()), (None, n * EACH));
        read(&rows, 1, &key(n), &[n as u8; 196]);
        n += 1;
    }
    assert!((0..n).all(|n| found(n) == Some(vec![n as u8; 196])));
    read(&rows, 1, &key(n), &[7; 196]);
    assert_eq!((found(n), rows.weight()), (None, n * EACH));
    read(&rows, 1, &key(n), &[7; 196]);
    assert_eq!((found(n), rows.weight()), (Some(vec![7; 196]), (n + 1) * EACH));
}

#[test]
fn a_row_of_other_tables_is_not_believed_but_replaced() {
    let rows = RowCache::new(1 << 20);
    (0..2).for_each(|_| read(&rows, 1, b"key", b"one"));
    assert_eq!(value(&rows, 2, b"key"), None);
    read(&rows, 2, b"key", b"three");
    assert_eq!((value(&rows, 1, b"key"), value(&rows, 2, b"key").as_deref()), (None, Some(&b"three"[..])));
    assert_eq!(rows.weight(), (OVERHEAD + 8) as u64);
}

/// How many lines are loaded ahead of a row is its own length, whatever row was there before.
#[test]
fn a_tag_says_how_many_cache_lines_its_row_has() {
    let rows = RowCache::new(4 << 20);
    let set = rows.set(rows.places_of(hash(b"key")).0);
    let tag = || set.tags[way_of(set, mark(hash(b"key"))).unwrap()].load(Relaxed);
    for (epoch, len) in [(1, 1), (2, 1024), (3, 10), (4, 64 << 10)] {
        (0..2).for_each(|_| read(&rows, epoch, b"key", &vec![7; len]));
        let all = (size_of::<Row>() + 2 * size_of::<usize>() + 3 + len) / LINE;
        let said = (tag() & LINES) as usize;
        assert!(
            (all..=all + 2).contains(&said) || (said == LINES as usize && all > said),
            "{said} lines for {len} bytes"
        );
        assert_eq!((tag() & !LINES, tag() == EMPTY), (mark(hash(b"key")), false));
    }
    (0..64).for_each(|low| assert_ne!(mark(low << 32), EMPTY));
}

#[test]
fn what_is_no_value_is_not_kept() {
    let rows = RowCache::new(1 << 20);
    for _ in 0..3 {
        rows.offer(1, &Version { key: b"key", revision: 7, state: State::Tombstone }, hash(b"key"));
    }
    assert!(row(&rows, 1, b"key").is_none() && rows.weight() == 0);
}

#[test]
fn a_value_in_a_file_is_kept_unless_it_is_too_large_or_damaged() {
    const LEN: u32 = 5000;
    let file: Arc<dyn File> = Arc::new(MemFile::default());
    file.write_at(&[5; LEN as usize], 0).unwrap();
    let crc = crc32c(0, &[5; LEN as usize]);
    let home = Home::new(Holder::Table(1), file);
    let part = (u64::from(LEN) + 3) * PART;
    for (limit, crc, is_kept) in [(part, crc, true), (part - 1, crc, false), (part, !crc, false)] {
        let rows = RowCache::new(limit);
        let extent = Extent { offset: 0, len: LEN, crc };
        let stored = Stored::Extent { home: &home, extent };
        let version = Version { key: b"key", revision: 7, state: State::Live { tag: 9, stored } };
        rows.offer(1, &version, hash(b"key"));
        assert_eq!(rows.weight(), 0, "it would be read twice for a first read");
        rows.offer(1, &version, hash(b"key"));
        assert_eq!(value(&rows, 1, b"key"), is_kept.then(|| vec![5; LEN as usize]), "with a limit of {limit}");
    }
}

/// Four places, and more keys that are read once than those: what is read in between stays.
#[test]
fn keys_that_are_read_once_push_out_nothing_that_is_used() {
    let rows = RowCache::new(1);
    assert_eq!(rows.places(), CHUNK);
    let rows = RowCache { limit: 1 << 20, ..rows };
    (0..2).for_each(|_| read(&rows, 1, b"used", b"value"));
    for n in 0..10_000u32 {
        assert!(value(&rows, 1, b"used").is_some(), "after {n}");
        read(&rows, 1, &n.to_le_bytes(), b"once");
    }
}

#[test]
fn the_rows_stay_within_the_limit() {
    const LIMIT: u64 = 64 << 10;
    let rows = RowCache::new(LIMIT);
    let key = |n: u32| n.to_le_bytes();
    for n in 0..2_000 {
        (0..2).for_each(|_| read(&rows, 1, &key(n), &[n as u8; 200]));
        assert!(rows.weight() <= LIMIT);
    }
    let kept: Vec<u32> = (0..2_000).filter(|n| value(&rows, 1, &key(*n)).is_some()).collect();
    let each = (OVERHEAD + 204) as u64;
    assert_eq!(rows.weight(), kept.len() as u64 * each);
    assert!(rows.weight() > LIMIT / 2, "{} rows are few", kept.len());
    assert!(kept.iter().all(|n| value(&rows, 1, &key(*n)) == Some(vec![*n as u8; 200])));
}

/// Each key is read once a round, so that its tag has to last until the next.
#[test]
fn as_many_sets_are_used_as_the_keys_need() {
    let rows = RowCache::new(16 << 20);
    let key = |n: u32| n.to_le_bytes();
    let mut found = 0;
    for _ in 0..20 {
        found = (0..5_000).filter(|n| value(&rows, 1, &key(*n)).is_some()).count();
        (0..5_000).for_each(|n| read(&rows, 1, &key(n), &[7; 200]));
    }
    assert!(found > 4_500, "{found} of 5,000 are found");
    let active = rows.active.load(Relaxed);
    assert!(active > CHUNK && active < rows.places(), "{active} of {} sets are used", rows.places());
}

#[test]
fn rows_are_found_and_move_once_there_are_twice_as_many_sets() {
    let rows = RowCache::new(16 << 20);
    rows.active.store(4 * CHUNK, Relaxed);
    let key = |n: u32| n.to_le_bytes();
    (0..300).for_each(|n| (0..2).for_each(|_| read(&rows, 1, &key(n), &[n as u8; 200])));
    // Room for more rows, but for none at its first read.
    let limit = rows.weight() + rows.weight() / REST;
    let rows = RowCache { limit, ..rows };
    (400..450).for_each(|n| read(&rows, 1, &key(n), &[n as u8; 200]));
    let kept: Vec<u32> = (0..300).filter(|n| value(&rows, 1, &key(*n)).is_some()).collect();
    let (weight, active) = (rows.weight(), rows.active.load(Relaxed));
    assert!(kept.len() > 250, "{} rows are few", kept.len());
    rows.active.store(2 * active, Relaxed);
    for _ in 0..2 {
        assert!(kept.iter().all(|n| value(&rows, 1, &key(*n)) == Some(vec![*n as u8; 200])));
        assert_eq!(rows.weight(), weight, "none is there twice");
    }
    // Those that were read once before have only to be read once more.
    let known = |n: &u32| {
        let set = rows.set(hash(&key(*n)) as usize >> 8 & (active - 1));
        way_of(set, mark(hash(&key(*n)))).is_some()
    };
    let once: Vec<u32> = (400..450).filter(known).collect();
    once.iter().for_each(|n| read(&rows, 1, &key(*n), &[*n as u8; 200]));
    let found = once.iter().filter(|n| value(&rows, 1, &key(**n)).is_some()).count();
    assert!(found > 30 && 10 * found > 9 * once.len(), "{found} of {}", once.len());
    rows.active.store(8 * active, Relaxed);
    assert!(kept.iter().any(|n| value(&rows, 1, &key(*n)).is_none()), "two doublings at once are too many");
}

#[test]
fn threads_find_whole_rows_of_their_own_tables() {
    let rows = RowCache::new(16 << 10);
    let found = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for epoch in [1, 2, 2] {
            let (rows, found) = (&rows, &found);
            scope.spawn(move || {
                for n in 0..20_000u64 {
                    let key = (n % 97).to_le_bytes();
                    let expected = [epoch as u8; 300];
                    match value(rows, epoch, &key) {
                        Some(value) => {
                            assert_eq!(value, expected);
                            found.fetch_add(1, Relaxed);
                        }
                        None => rows.offer(epoch, &version(&key, &expected), hash(&key)),
                    }
                }
            });
        }
    });
    assert!(found.into_inner() > 0);
    let all: u64 = rows
        .sets
        .iter()
        .filter_map(OnceLock::get)
        .flatten()
        .flat_map(|set| &set.rows)
        .map(|row| weight(&row.load()))
        .sum();
    assert_eq!(rows.weight(), all);
}
