use super::memory::{MemDirectory, MemFile};
use super::{BlockCache, OpenError, Table, TableBuilder, TableName};
use crate::engine::source::{Source, State, Version};
use crate::engine::value::{INLINE_MAX, Stored};
use crate::error::{Code, Result};
use crate::files::storage::{Access, Directory};
use crate::format::key::bucket_prefixes;
use crate::format::manifest::TableEntry;
use crate::format::table::seal;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

#[path = "reader_tests.rs"]
mod reader_tests;
#[path = "verify_tests.rs"]
mod verify_tests;

pub(super) const NAME: TableName = TableName { store: [5; 16], number: 9, from: 100, to: 1_000_000 };

/// Revision, and tag and value unless it is a tombstone.
type Held = (u64, Option<(u64, Vec<u8>)>);
type Model = BTreeMap<Vec<u8>, Held>;
type OwnedRange = (Vec<u8>, Vec<u8>, u64);

pub(super) struct Made {
    dir: Arc<MemDirectory>,
    file: Arc<MemFile>,
    pub(super) entry: TableEntry,
}

impl Made {
    pub(super) fn open(&self, capacity: u64) -> std::result::Result<Arc<Table>, OpenError> {
        let dir: Arc<dyn Directory> = self.dir.clone();
        Table::open(&dir, self.entry, &[], &[], NAME.store, Arc::new(BlockCache::new(capacity, capacity / 8)))
            .map(Arc::new)
    }
}

fn make(model: &Model, ranges: &[OwnedRange]) -> Made {
    let (dir, mut builder) = begin();
    for (key, (revision, value)) in model {
        let value = value.as_ref().map(|(tag, bytes)| (*tag, Stored::Inline(bytes)));
        builder.add(key, *revision, value).unwrap();
    }
    for (start, end, revision) in ranges {
        builder.add_range(start, end, *revision);
    }
    finish(dir, builder)
}

pub(super) fn begin() -> (Arc<MemDirectory>, TableBuilder) {
    let dir = Arc::new(MemDirectory::default());
    let builder = TableBuilder::new(dir.open("table-9", Access::CreateNew).unwrap(), NAME);
    (dir, builder)
}

pub(super) fn finish(dir: Arc<MemDirectory>, builder: TableBuilder) -> Made {
    let size = builder.finish().unwrap();
    let file = dir.file("table-9");
    assert_eq!(file.bytes().len() as u64, size);
    Made { dir, file, entry: TableEntry { number: NAME.number, from: NAME.from, to: NAME.to, size } }
}

fn owned(version: Version<'_>) -> Result<(Vec<u8>, Held)> {
    let value = match version.state {
        State::Live { tag, stored } => {
            let bytes = stored.bytes()?.into_owned();
            assert_eq!(bytes.len(), stored.len());
            Some((tag, bytes))
        }
        State::Tombstone => None,
    };
    Ok((version.key.to_vec(), (version.revision, value)))
}

fn contents(table: &Arc<Table>, from: &[u8]) -> Result<Vec<(Vec<u8>, Held)>> {
    let mut cursor = table.cursor(true);
    assert!(cursor.current().is_none());
    cursor.seek(from)?;
    let mut all = Vec::new();
    while let Some(version) = cursor.current() {
        all.push(owned(version)?);
        cursor.advance()?;
    }
    cursor.advance()?;
    assert!(cursor.current().is_none());
    Ok(all)
}

fn numbered(n: u32) -> Model {
    let state = |i: u32| match i % 7 {
        0 => None,
        1 if i % 1000 == 1 => Some((1, vec![i as u8; INLINE_MAX + i as usize % 5000])),
        _ => Some((u64::from(i) << 32, i.to_string().repeat(i as usize % 60).into_bytes())),
    };
    (0..n).map(|i| (format!("b{}\x01{i:06}", i / 500).into_bytes(), (101 + u64::from(i), state(i)))).collect()
}

#[test]
fn many_versions_are_found_listed_and_verified() {
    let model = numbered(30_000);
    let made = make(&model, &[(b"b1\x01".to_vec(), b"b1\x02".to_vec(), 500)]);
    // Without a cache, with one that is too small, and with one that holds all.
    for capacity in [0, 100_000, 1 << 28] {
        let table = made.open(capacity).unwrap();
        assert_eq!(
            (table.len(), table.footer().tombstones),
            (30_000, model.values().filter(|(_, v)| v.is_none()).count() as u64)
        );
        let expected: Vec<_> = model.clone().into_iter().collect();
        assert_eq!(contents(&table, b"").unwrap(), expected);
        for (key, state) in model.iter().step_by(211) {
            let found = table.get(key, |v| owned(v).unwrap()).unwrap();
            assert_eq!(found, Some((key.clone(), state.clone())));
            let absent = [key, &b"x"[..]].concat();
            assert_eq!(table.get(&absent, |_| ()).unwrap(), None);
            let rest = model.range::<[u8], _>((std::ops::Bound::Included(&absent[..]), std::ops::Bound::Unbounded));
            let mut cursor = table.cursor(false);
            cursor.seek(&absent).unwrap();
            assert_eq!(cursor.key(), rest.map(|(k, _)| &k[..]).next());
        }
        assert_eq!(table.range_revision(b"b1\x01x").unwrap(), Some(500));
        assert_eq!(table.range_revision(b"b2\x01x").unwrap(), None);
        assert_eq!(table.verify(), Vec::<String>::new());
    }
}

#[test]
fn the_filter_knows_buckets_and_mostly_what_is_not_one() {
    let made = make(&numbered(30_000), &[]);
    let table = made.open(1 << 20).unwrap();
    for i in 0..60 {
        assert!(table.may_hold_bucket(format!("b{i}\x01").as_bytes()).unwrap(), "{i}");
    }
    let wrong = (60..1060).filter(|i| table.may_hold_bucket(format!("b{i}\x01").as_bytes()).unwrap()).count();
    assert!(wrong < 50, "{wrong} of 1000");
    assert!(!table.may_hold_bucket(b"z\x01").unwrap(), "beyond the last key");
}

#[test]
fn a_warm_table_reads_nothing() {
    let made = make(&numbered(5000), &[]);
    let table = made.open(1 << 28).unwrap();
    contents(&table, b"").unwrap();
    let before = made.file.bytes();
    made.file.change(|bytes| bytes[..before.len() / 2].fill(0));
    assert_eq!(table.get(b"b1\x01000502", |v| v.revision).unwrap(), Some(603));
    assert_eq!(table.get(b"b1\x01000502x", |v| v.revision).unwrap(), None);
    assert!(!table.verify().is_empty(), "verify reads past the cache");
}

#[test]
fn an_empty_table_and_one_of_range_tombstones_only() {
    let empty = make(&Model::new(), &[]).open(0).unwrap();
    assert!(empty.len() == 0 && empty.verify().is_empty() && contents(&empty, b"").unwrap().is_empty());
    assert_eq!(empty.get(b"k", |_| ()).unwrap(), None);
    assert!(!empty.may_hold_bucket(b"b\x01").unwrap());
    let ranges =
        [(b"a".to_vec(), b"f".to_vec(), 300), (b"c".to_vec(), b"d".to_vec(), 200), (b"e".to_vec(), b"g".to_vec(), 400)];
    let table = make(&Model::new(), &ranges).open(0).unwrap();
    assert_eq!(table.verify(), Vec::<String>::new());
    let found: Vec<_> = [b"a", b"c", b"e", b"f", b"g"].iter().map(|k| table.range_revision(*k).unwrap()).collect();
    assert_eq!(found, [Some(300), Some(300), Some(400), Some(400), None]);
}

#[test]
fn a_builder_copies_extents_and_refuses_disorder() {
    let value: Vec<u8> = (0..2_000_000u32).map(|i| (i % 251) as u8).collect();
    let first = make(&Model::from([(b"k".to_vec(), (200, Some((7, value.clone()))))]), &[]);
    let source = first.open(0).unwrap();
    let dir = MemDirectory::default();
    let mut builder = TableBuilder::new(dir.open("t", Access::CreateNew).unwrap(), NAME);
    source.get(b"k", |version| builder.add_version(&version)).unwrap().unwrap().unwrap();
    for late in [&b"k"[..], b"a"] {
        assert_eq!(builder.add(late, 201, None).unwrap_err().code, Code::Internal);
    }
    assert!(builder.size_so_far() >= 2_000_000);
    builder.finish().unwrap();
    assert_eq!(dir.file("t").bytes(), first.file.bytes());
    first.file.change(|bytes| bytes[1_999_999] ^= 1);
    let mut builder = TableBuilder::new(Arc::new(MemFile::default()), NAME);
    let copied = source.get(b"k", |version| builder.add_version(&version)).unwrap().unwrap();
    assert_eq!(copied.unwrap_err().code, Code::Corrupt);
}

/// Everything that can be asked of a table.
fn use_all(table: &Arc<Table>, keys: &[&[u8]]) -> Result<Vec<(Vec<u8>, Held)>> {
    for key in keys {
        table.get(key, |v| owned(v).map(drop)).and_then(|found| found.unwrap_or(Ok(())))?;
        table.range_revision(key)?;
        bucket_prefixes(key).try_for_each(|p| table.may_hold_bucket(p).map(drop))?;
    }
    contents(table, b"")
}

#[test]
fn every_flipped_byte_and_every_length_is_found() {
    let mut model = numbered(12);
    model.insert(b"c\x01large".to_vec(), (150, Some((3, vec![9; INLINE_MAX + 1]))));
    let made = make(&model, &[(b"a".to_vec(), b"b".to_vec(), 150)]);
    let good = made.file.bytes();
    let expected: Vec<_> = model.clone().into_iter().collect();
    let keys: Vec<&[u8]> = model.keys().map(|k| &k[..]).collect();
    for at in 0..good.len() {
        let flip = |bytes: &mut Vec<u8>| bytes[at] ^= 1 << (at % 8);
        made.file.change(flip);
        match made.open(1 << 20) {
            Ok(table) => {
                let findings = table.verify();
                assert!(findings.iter().any(|f| f.starts_with("table-9 is damaged at offset")), "{at}: {findings:?}");
                if let Ok(all) = use_all(&table, &keys) {
                    assert_eq!(all, expected, "byte {at}");
                }
            }
            Err(e) => assert!(matches!(e, OpenError::Failed(_)) && at >= good.len() - 128, "{at}: {e:?}"),
        }
        made.file.change(flip);
    }
    for len in 0..good.len() {
        made.file.change(|bytes| bytes.truncate(len));
        let Err(OpenError::Failed(e)) = made.open(0) else { panic!("opened with {len} bytes") };
        assert!(e.code == Code::Corrupt && e.message.starts_with("table-9 is damaged"), "{e}");
        made.file.change(|bytes| bytes.extend_from_slice(&good[len..]));
    }
    assert_eq!(made.open(0).unwrap().verify(), Vec::<String>::new());
}

#[test]
fn hostile_parts_with_right_checksums_never_panic_or_go_in_circles() {
    let ranges = [(b"a".to_vec(), b"b".to_vec(), 150), (b"b".to_vec(), b"c".to_vec(), 151)];
    let made = make(&numbered(300), &ranges);
    let good = made.file.bytes();
    let table = made.open(0).unwrap();
    let (leaves, mut parts) = (table.leaves().unwrap(), Vec::new());
    for i in 0..leaves.len() {
        let leaf = table.leaf(i, false).unwrap();
        parts.extend((0..leaf.len()).map(|j| leaf.child(j)).chain([leaves.child(i)]));
    }
    let (ranges_at, root_at) = (table.footer().ranges_at, table.footer().root_at);
    parts.extend([ranges_at..root_at, root_at..good.len() as u64 - 128]);
    for part in parts {
        let (start, end) = (part.start as usize, part.end as usize);
        // Every byte of the part's begin and end, where its structure is, and some between.
        for at in (start + 4..end).filter(|at| *at < start + 80 || *at + 80 > end || at % 71 == 0) {
            made.file.change(|bytes| {
                bytes[at] = bytes[at].wrapping_add([1, 255, 128][at % 3]);
                seal(&mut bytes[..end], start, NAME.number, part.start);
            });
            let table = made.open(1 << 20).unwrap();
            if let Ok(all) = use_all(&table, &[b"b0\x01000007", b"b0\x01000250"]) {
                assert!(all.windows(2).all(|w| w[0].0 < w[1].0), "byte {at}");
            }
            let _ = table.verify();
            made.file.change(|bytes| bytes.copy_from_slice(&good));
        }
    }
}

#[test]
fn a_file_cut_after_it_was_opened_is_damage_not_a_panic() {
    let made = make(&numbered(3000), &[(b"a".to_vec(), b"b".to_vec(), 150)]);
    let good = made.file.bytes();
    for len in (0..good.len()).step_by(997) {
        let table = made.open(0).unwrap();
        made.file.change(|bytes| bytes.truncate(len));
        assert_eq!(use_all(&table, &[]).unwrap_err().code, Code::Corrupt);
        assert!(!table.verify().is_empty());
        made.file.change(|bytes| bytes.extend_from_slice(&good[len..]));
    }
}

#[test]
fn another_table_store_or_version_and_a_missing_file_are_named() {
    let mut made = make(&numbered(3), &[]);
    let dir: Arc<dyn Directory> = made.dir.clone();
    let cache = Arc::new(BlockCache::new(0, 0));
    let Err(OpenError::Failed(e)) = Table::open(&dir, made.entry, &[], &[], [6; 16], cache.clone()) else {
        panic!("another store")
    };
    assert!(e.code == Code::Corrupt && e.message.contains("another table"), "{e}");
    let missing = TableEntry { number: 10, ..made.entry };
    assert!(matches!(Table::open(&dir, missing, &[], &[], NAME.store, cache), Err(OpenError::Missing(_))));
    made.entry.to += 1;
    assert!(matches!(made.open(0), Err(OpenError::Failed(_))), "another part of the log");
    made.entry.to -= 1;
    let version_at = made.file.bytes().len() - 120;
    made.file.change(|bytes| bytes[version_at] = 3);
    let Err(OpenError::Failed(e)) = made.open(0) else { panic!("a newer format") };
    assert!(e.code == Code::Unsupported && e.message.contains("format version 3"), "{e}");
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    let component = || prop::collection::vec(prop::sample::select(&b"\x02ab\xff"[..]), 1..4);
    prop_oneof![
        prop::collection::vec(component(), 1..4).prop_map(|parts| parts.join(&1)),
        prop::collection::vec(any::<u8>(), 0..40),
        (any::<u8>(), 0..1500usize).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn any_state() -> impl Strategy<Value = Held> {
    let value = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..300),
        1 => (any::<u8>(), INLINE_MAX - 2..INLINE_MAX + 3).prop_map(|(byte, len)| vec![byte; len]),
        1 => (any::<u8>(), 0..9000usize).prop_map(|(byte, len)| vec![byte; len]),
    ];
    (101..=1_000_000u64, prop::option::weighted(0.8, (any::<u64>(), value)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_table_is_the_map_that_it_was_made_of(
        model in prop::collection::btree_map(any_key(), any_state(), 0..150),
        asked in prop::collection::vec(any_key(), 0..50),
        capacity in prop::sample::select(&[0u64, 20_000, 1 << 26][..]),
        limit in 1..60usize,
    ) {
        let table = make(&model, &[]).open(capacity).unwrap();
        prop_assert_eq!(table.verify(), Vec::<String>::new());
        let mut cursor = table.cursor(true);
        for key in model.keys().chain(&asked) {
            let found = table.get(key, |v| owned(v).unwrap().1).unwrap();
            prop_assert_eq!(found.as_ref(), model.get(key));
            cursor.seek(key).unwrap();
            let expected = model.range(key.clone()..).next().map(|(k, v)| (k.clone(), v.clone()));
            prop_assert_eq!(cursor.current().map(|v| owned(v).unwrap()), expected);
            for until in asked.iter().take(3).map(|key| Some(&key[..])).chain([None]) {
                cursor.seek(key).unwrap();
                let within = model.range(key.clone()..).take_while(|(k, _)| until.is_none_or(|until| k[..] < *until));
                let expected: Vec<_> = within.take(limit).map(|(k, v)| (k.clone(), v.clone())).collect();
                let mut visited = Vec::new();
                let visit = &mut |version: Version<'_>| {
                    visited.push(owned(version)?);
                    Ok(visited.len() < limit)
                };
                cursor.visit(until, visit).unwrap();
                prop_assert_eq!(&visited, &expected);
                let stands_at = match visited.last() {
                    Some((last, _)) if visited.len() == limit => Some(last),
                    _ => model.range(key.clone()..).map(|(k, _)| k).find(|k| until.is_some_and(|until| k[..] >= *until)),
                };
                prop_assert_eq!(cursor.key(), stands_at.map(|k| &k[..]));
            }
            for prefix in bucket_prefixes(key) {
                let holds = model.keys().any(|k| k.starts_with(prefix));
                prop_assert!(!holds || table.may_hold_bucket(prefix).unwrap());
            }
        }
        prop_assert_eq!(contents(&table, b"").unwrap(), model.into_iter().collect::<Vec<_>>());
    }
}
