//! Batches.

use super::*;
use dirkv::backend::NewItem;

fn item<'a>(key: &'a str, value: &'a [u8], ttl: i64) -> NewItem<'a> {
    NewItem { key: key.as_bytes(), value, ttl }
}

#[test]
fn all_share_one_revision_and_keep_their_ttl() {
    let b = Store::new();
    let items = [item("b", b"2", 10), item("a", b"1", 0), item("c", b"", 20)];
    let revision = b.upsert_items("x/y", &items).unwrap();
    let listed = b.items("x/y", None, 0, false).unwrap();
    let seen: Vec<_> = listed.iter().map(|i| (i.name.as_str(), i.value.as_slice(), i.expires, i.revision)).collect();
    assert_eq!(seen, [("a", &b"1"[..], 0, revision), ("b", b"2", 1_010, revision), ("c", b"", 1_020, revision)]);
}

#[test]
fn a_later_duplicate_wins() {
    let b = Store::new();
    b.upsert_items("x", &[item("k", b"one", 0), item("j", b"j", 0), item("k", b"two", 7)]).unwrap();
    let found = b.get_item("x", "k").unwrap();
    assert_eq!((found.value.as_slice(), found.expires), (&b"two"[..], 1_007));
    assert_eq!(b.keys("x", None, 0).unwrap().len(), 2);
}

#[test]
fn a_bad_item_is_named_and_nothing_is_written() {
    let b = Store::new();
    fails(b.upsert_items("x", &[]), Code::BadParameter, "no item");
    fails(b.upsert_items("x", &[item("a", b"", 0), item("", b"", 0)]), Code::BadParameter, "key of item 1 is empty");
    fails(b.upsert_items("x", &[item("a", b"", 0), item("b/c", b"", 0)]), Code::BadParameter, "key of item 1 holds");
    fails(b.upsert_items("x", &[item("a", b"", 0), item("b", b"", -3)]), Code::BadParameter, "item 1: the TTL");
    fails(b.upsert_items("x//y", &[item("a", b"", 0)]), Code::BadParameter, "bucket component 2");
    let large = vec![0; (64 << 20) + 1];
    fails(b.upsert_items("x", &[item("a", b"", 0), item("b", &large, 0)]), Code::LimitExceeded, "value of item 1");
    assert_eq!(b.keys("", None, 0).unwrap(), []);
}

#[test]
fn the_limits_of_a_batch() {
    let (b, _dir) = plain();
    let quarter = vec![0; 64 << 20];
    let four: Vec<_> = ["a", "b", "c", "d"].iter().map(|k| item(k, &quarter, 0)).collect();
    fails(b.upsert_items("x", &four), Code::LimitExceeded, "256 MiB");
    let many: Vec<NewItem<'_>> = (0..1_000_001).map(|_| item("k", b"", 0)).collect();
    fails(b.upsert_items("x", &many), Code::LimitExceeded, "1000001 items");
    assert_eq!(b.keys("", None, 0).unwrap(), []);
}

#[test]
fn the_keys_of_a_batch_count_with_the_path_of_their_bucket() {
    let (b, _dir) = plain();
    let deep = vec!["p".repeat(255); 31].join("/");
    let names: Vec<String> = (0..256 << 20 >> 12).map(|n| format!("{n:0>255}")).collect();
    let items: Vec<_> = names.iter().map(|name| item(name, b"", 0)).collect();
    fails(b.upsert_items(&deep, &items), Code::LimitExceeded, "the keys of the batch");
    b.upsert_items(&deep, &items[..200]).unwrap();
    assert_eq!(b.keys(&deep, None, 0).unwrap().len(), 200);
}

#[test]
fn a_million_items() {
    let (b, _dir) = plain();
    let keys: Vec<String> = (0..1_000_000).map(|n| format!("{n:06}")).collect();
    let items: Vec<NewItem<'_>> = keys.iter().map(|k| item(k, b"v", 0)).collect();
    let revision = b.upsert_items("x", &items).unwrap();
    let listed = b.keys("x", None, 0).unwrap();
    assert_eq!(listed.len(), 1_000_000);
    assert!(listed.iter().zip(&keys).all(|(n, k)| n.name == *k && !n.is_bucket));
    assert_eq!(b.get_item("x", "765432").unwrap().revision, revision);
}

/// The log writes of a key only what it doesn't share with the one before; the index keeps it whole.
#[test]
fn long_keys_that_are_short_in_the_log_do_not_grow_the_index_without_bound() {
    let dir = tempfile::tempdir().unwrap();
    let mut params = Params::new();
    params.set("path", dir.path().join("s").to_str().unwrap()).unwrap();
    params.set("segment_size", "64KiB").unwrap();
    params.set("background", "off").unwrap();
    let b = Backend::open(&params).unwrap();
    let deep = vec!["x".repeat(255); 32].join("/");
    for batch in 0..20 {
        let names: Vec<String> = (0..100).map(|i| format!("{batch}-{i}")).collect();
        let items: Vec<_> = names.iter().map(|name| item(name, b"v", 0)).collect();
        b.upsert_items(&deep, &items).unwrap();
    }
    let stats = b.stats_json().unwrap();
    let (_, rest) = stats.split_once("\"memtable_bytes\":").unwrap();
    let bytes: u64 = rest.split(',').next().unwrap().parse().unwrap();
    // 20 batches weigh some 16 MiB there; the log holds less than one segment of them.
    assert!(bytes < 8 << 20, "{stats}");
    assert_eq!(b.keys(&deep, None, 0).unwrap().len(), 2_000);
}
