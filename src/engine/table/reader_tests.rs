//! What is kept in memory of what was read, and how a merge walks over a table.

use super::*;
use crate::engine::merge::{Input, Merge, Mode};
use crate::engine::ranges::RangeSet;
use crate::files::storage::File;

/// A cache that takes parts of at most `largest` bytes.
fn cache(largest: u64) -> Arc<BlockCache> {
    Arc::new(BlockCache::new(largest * 8, largest))
}

fn open(made: &Made, cache: &Arc<BlockCache>) -> Arc<Table> {
    let dir: Arc<dyn Directory> = made.dir.clone();
    Table::open(&dir, made.entry, &[], &[], NAME.store, cache.clone()).map(Arc::new).unwrap()
}

/// Has every leaf read, and no block; returns how many bytes they have.
fn read_leaves(table: &Table, fill: bool) -> u64 {
    let root = table.leaves().unwrap();
    (0..root.len()).map(|i| table.leaf(i, fill).unwrap().weight() as u64).sum()
}

#[test]
fn a_cache_counts_what_it_holds_and_what_it_was_asked() {
    let made = make(&Model::from([(b"k".to_vec(), (200, Some((1, vec![7; 3000]))))]), &[]);
    let cache = cache(1 << 20);
    let table = open(&made, &cache);
    let leaf = table.leaf(0, true).unwrap();
    assert_eq!((cache.hits_and_misses(), cache.weight()), ((0, 0), 0));
    for hits in 0..3 {
        assert!(table.get(b"k", |_| ()).unwrap().is_some());
        assert_eq!(cache.hits_and_misses(), (hits, 1));
    }
    let block = leaf.child(0).end - leaf.child(0).start;
    assert!((block..block + 256).contains(&cache.weight()), "{} for {block} bytes", cache.weight());
}

#[test]
fn leaves_are_kept_for_ever_if_all_of_them_are_small_and_else_in_the_cache() {
    let made = make(&numbered(30_000), &[]);
    let total = read_leaves(&made.open(0).unwrap(), false);
    let (ample, scarce) = (cache(total), cache(total - 1));
    for _ in 0..2 {
        assert_eq!(read_leaves(&open(&made, &ample), true), total);
    }
    assert_eq!((ample.hits_and_misses(), ample.weight()), ((0, 0), 0));
    let table = open(&made, &scarce);
    read_leaves(&table, false);
    assert_eq!(scarce.weight(), 0);
    read_leaves(&table, true);
    let count = table.leaves().unwrap().len() as u64;
    assert!(count > 1 && (total..total + count * 512).contains(&scarce.weight()), "{} of {total}", scarce.weight());
    let before = scarce.hits_and_misses();
    read_leaves(&table, true);
    assert_eq!(scarce.hits_and_misses(), (before.0 + count, before.1));
}

#[test]
fn a_walk_fills_the_cache_only_if_it_is_told_to() {
    let made = make(&numbered(30_000), &[]);
    let total = read_leaves(&made.open(0).unwrap(), false);
    for (fill, kept) in [(false, false), (true, true)] {
        let cache = cache(total - 1);
        let mut cursor = open(&made, &cache).cursor(fill);
        cursor.seek(b"").unwrap();
        while cursor.key().is_some() {
            cursor.advance().unwrap();
        }
        assert_eq!(cache.weight() > 0, kept);
    }
}

/// The keys that a visit shows up to `until`.
fn visited(table: &Arc<Table>, from: &[u8], until: Option<&[u8]>) -> Vec<Vec<u8>> {
    let (mut cursor, mut keys) = (table.cursor(true), Vec::new());
    cursor.seek(from).unwrap();
    let more = |version: Version<'_>| {
        keys.push(version.key.to_vec());
        Ok(true)
    };
    cursor.visit(until, &mut { more }).unwrap();
    keys
}

#[test]
fn a_visit_asks_the_cache_for_each_block_once() {
    let model = numbered(30_000);
    let made = make(&model, &[]);
    let cache = cache(1 << 26);
    let table = open(&made, &cache);
    let leaves = table.leaves().unwrap().len();
    assert!(leaves > 1);
    let blocks: u64 = (0..leaves).map(|i| table.leaf(i, true).unwrap().len() as u64).sum();
    for hits in [0, blocks, 2 * blocks] {
        assert!(visited(&table, b"", None).iter().eq(model.keys()));
        assert_eq!(cache.hits_and_misses(), (hits, blocks));
    }
    // Up to a key within a block, whose next one is not asked for.
    let (from, until) = (&b"b0\x01000000"[..], &b"b0\x01000001"[..]);
    let before = cache.hits_and_misses();
    assert!(visited(&table, from, Some(until)).iter().eq(model.keys().take(1)));
    assert_eq!(cache.hits_and_misses(), (before.0 + 1, before.1));
}

#[test]
fn damage_in_a_block_counts_when_a_visit_comes_to_it() {
    let made = make(&numbered(300), &[]);
    let (cache, place) = (cache(1 << 20), made.open(0).unwrap().leaf(0, false).unwrap().child(1));
    made.file.write_at(&[0xff; 8], place.start).unwrap();
    let table = open(&made, &cache);
    let mut cursor = table.cursor(true);
    cursor.seek(b"").unwrap();
    let first = table.block(&table.leaf(0, true).unwrap(), 0, 0, true).unwrap();
    let mut left = first.len();
    let mut within = |_: Version<'_>| {
        left -= 1;
        Ok(left > 0)
    };
    cursor.visit(None, &mut within).unwrap();
    assert_eq!(cursor.visit(None, &mut |_| Ok(true)).unwrap_err().code, Code::Corrupt);
}

#[test]
fn a_part_that_is_too_large_is_read_each_time() {
    let made = make(&Model::from([(b"k".to_vec(), (200, Some((1, vec![7; 3000]))))]), &[]);
    let block = made.open(0).unwrap().leaf(0, false).unwrap().child(0);
    let len = block.end - block.start;
    for (largest, kept) in [(len - 1, false), (len, true)] {
        let cache = cache(largest);
        let table = open(&made, &cache);
        for _ in 0..2 {
            assert!(table.get(b"k", |_| ()).unwrap().is_some());
        }
        assert_eq!((cache.weight() > 0, cache.hits_and_misses()), (kept, if kept { (1, 1) } else { (0, 2) }));
    }
}

#[test]
fn a_range_hides_older_versions_of_a_table_and_no_newer_one() {
    let keys = [(b'a', 200), (b'b', 400), (b'c', 299), (b'd', 300), (b'e', 301), (b'f', 150)];
    let table =
        make(&keys.iter().map(|(key, revision)| (vec![*key], (*revision, None))).collect(), &[]).open(0).unwrap();
    let mut ranges = RangeSet::new();
    ranges.add(b"a", b"f", 300);
    let input = Input { source: Box::new(table.cursor(true)), ranges: Arc::new(ranges) };
    let mut merge = Merge::new(vec![input], u64::MAX, None, Mode::Compact);
    merge.seek(b"").unwrap();
    let mut shown = Vec::new();
    while let Some(version) = merge.current() {
        shown.push((version.key[0], version.revision));
        merge.advance().unwrap();
    }
    assert_eq!(shown, [(b'b', 400), (b'd', 300), (b'e', 301), (b'f', 150)]);
}
