//! Golden bytes: a store of each format, written once and kept in `tests/fixtures`, is read by this and every later
//! version. Whoever changes the format adds a fixture beside it and never touches this one.

mod support;

use dirkv::Backend;
use dirkv::backend::{Item, NewItem};
use dirkv::format::manifest::{Holder, Manifest};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SECOND: i64 = 1_000_000_000;
/// The instant at which the fixture was written, by the handle's clock.
const WRITTEN: i64 = 1_700_000_000 * SECOND;
/// The name that the host had then: a lease holds it, and nobody's real one is to be kept for ever.
const HOST: &str = "example";
/// Two frames with such a value don't fit one segment.
const LARGE: usize = 34_000;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
}

/// A store of format 2 with a value file of each kind; the rest of the format is that of the first.
fn second_fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-2")
}

fn open(path: &Path, now: i64, settings: &[(&str, &str)]) -> Backend {
    let mut params = support::params(path, &[("background", "off")]);
    settings.iter().for_each(|(name, value)| params.set(name, value).unwrap());
    params.set_clock(Arc::new(move || now));
    Backend::open(&params).unwrap()
}

/// Bytes that tell where they were taken from.
fn large(seed: u8) -> Vec<u8> {
    (0..LARGE).map(|i| (i * 7 + i / 251) as u8 ^ seed).collect()
}

/// Every byte there is.
fn all_bytes() -> Vec<u8> {
    (0..=u8::MAX).collect()
}

/// A copy, so that what is opened for writing is not the fixture.
fn copy() -> tempfile::TempDir {
    copy_of(&fixture())
}

fn copy_of(fixture: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for (name, bytes) in files_of(fixture) {
        fs::write(copy.path().join(name), bytes).unwrap();
    }
    copy
}

fn files() -> BTreeMap<String, Vec<u8>> {
    files_of(&fixture())
}

fn files_of(fixture: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(fixture).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// Writes the fixture. The host's name goes into it:
///
/// `unshare --uts sh -c 'hostname example && cargo test --test golden -- --ignored write_the_fixture'`
#[test]
#[ignore = "the fixture is written once and never again"]
fn write_the_fixture() {
    assert_eq!(rustix::system::uname().nodename().to_str(), Ok(HOST), "see the comment");
    assert!(!fixture().exists(), "the fixture is there already; it is kept as it is");
    let store = open(&fixture(), WRITTEN, &[]);
    first_table(&store);
    second_table(&store);
    sealed_segment(&store);
    live_segment(&store);
    store.close();
}

/// Compacted as a whole.
fn first_table(store: &Backend) {
    store.upsert("", "motto", b"kept", 0).unwrap();
    store.upsert("", "fruit", b"a key with the name of a bucket", 0).unwrap();
    store.upsert("fruit", "apple", b"3", 0).unwrap();
    store.upsert("fruit", "pear", b"deleted in the second table", 0).unwrap();
    store.upsert("fruit", "plum", b"overwritten in the live segment", 0).unwrap();
    store.upsert("fruit/exotic", "kiwi", b"", 0).unwrap();
    store.upsert("größe/日本", "ключ", &all_bytes(), 0).unwrap();
    store.upsert("sessions", "minute", b"60 s", 60 * SECOND).unwrap();
    store.upsert("sessions", "hour", b"3600 s", 3600 * SECOND).unwrap();
    store.upsert("large", "table 1", &large(1), 0).unwrap();
    for bucket in ["gone", "gone/deep", "gone too"] {
        for key in ["a", "b", "c"] {
            store.upsert(bucket, key, b"deleted with its bucket", 0).unwrap();
        }
    }
    store.compact().unwrap();
}

/// Made by the next writer, since more than four segments are sealed; holds tombstones, as the first table lies below.
fn second_table(store: &Backend) {
    store.delete("fruit", "pear").unwrap();
    store.delete_bucket("", "gone").unwrap();
    store.upsert("gone", "b", b"put again", 0).unwrap();
    let items: Vec<(String, String)> = (0..300).map(|i| (format!("key {i:03}"), format!("value {i}"))).collect();
    let items: Vec<_> = items.iter().map(|(k, v)| NewItem { key: k.as_bytes(), value: v.as_bytes(), ttl: 0 }).collect();
    store.upsert_items("batch", &items).unwrap();
    while counter(store, "segments") < 6 {
        store.upsert("large", "table 2", &large(2), 0).unwrap();
    }
}

fn sealed_segment(store: &Backend) {
    store.delete("batch", "key 007").unwrap();
    assert_eq!((counter(store, "tables"), counter(store, "segments")), (2, 1));
    store.delete_bucket("", "gone too").unwrap();
    store.touch("sessions", "hour", 7200 * SECOND).unwrap();
    while counter(store, "segments") < 2 {
        store.upsert("large", "log", &large(3), 0).unwrap();
    }
}

fn live_segment(store: &Backend) {
    store.upsert("fruit", "plum", b"overwritten", 0).unwrap();
    store.upsert("sessions", "end of time", b"saturated", i64::MAX).unwrap();
    store.delete("batch", "key 008").unwrap();
    store.acquire_lock("released", 5 * SECOND, 0).and_then(|fence| store.release_lock("released", fence)).unwrap();
    let fence = store.acquire_lock("job", 30 * SECOND, 0).unwrap();
    store.renew_lock("job", fence, 60 * SECOND).unwrap();
}

fn counter(store: &Backend, name: &str) -> u64 {
    let json = store.stats_json().unwrap();
    let (_, rest) = json.split_once(&format!("\"{name}\":")).unwrap();
    rest.split([',', '}']).next().unwrap().parse().unwrap()
}

fn expected() -> BTreeMap<String, (Vec<u8>, i64)> {
    let mut all = BTreeMap::from([
        ("motto", (b"kept".to_vec(), 0)),
        ("fruit", (b"a key with the name of a bucket".to_vec(), 0)),
        ("fruit/apple", (b"3".to_vec(), 0)),
        ("fruit/plum", (b"overwritten".to_vec(), 0)),
        ("fruit/exotic/kiwi", (Vec::new(), 0)),
        ("größe/日本/ключ", (all_bytes(), 0)),
        ("gone/b", (b"put again".to_vec(), 0)),
        ("sessions/minute", (b"60 s".to_vec(), WRITTEN + 60 * SECOND)),
        ("sessions/hour", (b"3600 s".to_vec(), WRITTEN + 7200 * SECOND)),
        ("sessions/end of time", (b"saturated".to_vec(), i64::MAX)),
        ("large/table 1", (large(1), 0)),
        ("large/table 2", (large(2), 0)),
        ("large/log", (large(3), 0)),
    ])
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect::<BTreeMap<_, _>>();
    let batch = (0..300).filter(|i| ![7, 8].contains(i));
    all.extend(batch.map(|i| (format!("batch/key {i:03}"), (format!("value {i}").into_bytes(), 0))));
    all
}

fn contents(store: &Backend) -> BTreeMap<String, (Vec<u8>, i64)> {
    let listed = store.items("", None, 0, true).unwrap();
    listed.into_iter().map(|Item { name, value, expires, .. }| (name, (value, expires))).collect()
}

/// Everything is there, by listing and by name, and every byte is well.
#[track_caller]
fn reads_back(store: &Backend) {
    let expected = expected();
    assert!(contents(store) == expected, "the listing is another");
    for (path, (value, expires)) in &expected {
        let (bucket, key) = path.rsplit_once('/').unwrap_or(("", path));
        let item = store.get_item(bucket, key).unwrap();
        assert!((&item.value, &item.expires) == (value, expires), "{path} is another");
    }
    for (bucket, key) in [("fruit", "pear"), ("gone", "a"), ("gone/deep", "b"), ("gone too", "c"), ("batch", "key 007")]
    {
        assert!(!store.exists(bucket, key).unwrap(), "{bucket}/{key} is back");
    }
    let [lease] = &store.locks().unwrap()[..] else { panic!("one lock is held") };
    assert_eq!((lease.token.as_str(), lease.host.as_str(), lease.expires), ("job", HOST, WRITTEN + 60 * SECOND));
    assert!(lease.fence > 0 && lease.fence < store.get_item("fruit", "plum").unwrap().revision + 4096);
    support::assert_clean(store);
}

/// It has what a store can have: two tables (the upper one with tombstones of both kinds), a sealed and a live segment, and
/// one made ahead.
#[test]
fn the_fixture_is_whole_and_small() {
    let files = files();
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(&names[..4], ["COMPACT", "LOCK", "MANIFEST", "SHARED"]);
    assert_eq!(names.iter().filter(|name| name.starts_with("log-")).count(), 3, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.starts_with("table-")).count(), 2, "{names:?}");
    assert!(files.values().map(Vec::len).sum::<usize>() < 300 << 10);
    // What docs/format.md says of the first and the last bytes.
    assert!(files["MANIFEST"].starts_with(b"DIRKVMAN\x01\0\0\0"));
    for (name, bytes) in &files {
        match name.split('-').next() {
            Some("log") => assert!(bytes.starts_with(b"DIRKVLOG\x01\0\0\0"), "{name}"),
            Some("table") => assert!(bytes[bytes.len() - 128..].starts_with(b"DIRKVTAB\x01\0\0\0"), "{name}"),
            _ => {}
        }
    }
    let footer = files["table-2"].last_chunk::<128>().unwrap();
    let word = |at: usize| u64::from_le_bytes(footer[at..at + 8].try_into().unwrap());
    assert_eq!((word(64), word(88)), (1, 1), "one tombstone and one range tombstone");
}

#[test]
fn a_copy_is_read_written_and_compacted() {
    let copy = copy();
    let store = open(copy.path(), WRITTEN, &[]);
    assert_eq!((counter(&store, "tables"), counter(&store, "segments")), (2, 2));
    reads_back(&store);
    store.compact().unwrap();
    assert_eq!((counter(&store, "tables"), counter(&store, "segments")), (1, 1));
    reads_back(&store);
    let before = store.get_item("fruit", "plum").unwrap().revision;
    assert!(store.upsert("fruit", "fig", b"new", 0).unwrap() > before);
    store.delete("fruit", "fig").unwrap();
    drop(store);
    reads_back(&open(copy.path(), WRITTEN, &[]));
}

/// A store that is opened for reading alone is not changed by a byte.
#[test]
fn in_place_read_only() {
    let before = files();
    let store = open(&fixture(), WRITTEN, &[("read_only", "true")]);
    reads_back(&store);
    drop(store);
    assert!(files() == before, "reading changed the fixture");
}

#[test]
fn what_had_a_time_to_live_is_gone_after_it() {
    let copy = copy();
    let at = |now| contents(&open(copy.path(), now, &[])).len();
    let all = expected().len();
    assert_eq!(at(WRITTEN + 60 * SECOND - 1), all);
    assert_eq!(at(WRITTEN + 60 * SECOND), all - 1);
    assert_eq!(at(WRITTEN + 7200 * SECOND), all - 2);
    let store = open(copy.path(), WRITTEN + 60 * SECOND, &[]);
    assert!(store.locks().unwrap().is_empty());
    assert!(store.acquire_lock("job", SECOND, 0).unwrap() > 0);
}

/// Written once:
///
/// `cargo test --test golden -- --ignored write_the_second_fixture`
#[test]
#[ignore = "the fixture is written once and never again"]
fn write_the_second_fixture() {
    assert!(!second_fixture().exists(), "the fixture is there already; it is kept as it is");
    let store = open(&second_fixture(), WRITTEN, &[]);
    let put = |key: &str, value: &[u8]| assert!(store.upsert("large", key, value, 0).is_ok());
    ["a", "b", "c"].into_iter().zip(1..).for_each(|(key, seed)| put(key, &large(seed)[..20_000]));
    store.compact().unwrap();
    // Little is wanted of the segment now: what is moves into a table.
    put("a", b"small");
    put("b", b"small");
    store.compact().unwrap();
    ["d", "e", "f"].into_iter().zip(4..).for_each(|(key, seed)| put(key, &large(seed)[..20_000]));
    store.compact().unwrap();
    put("g", b"in the live segment");
    store.close();
}

#[track_caller]
fn second_reads_back(store: &Backend) {
    let large = |seed| large(seed)[..20_000].to_vec();
    let expected = [
        ("a", b"small".to_vec()),
        ("b", b"small".to_vec()),
        ("c", large(3)),
        ("d", large(4)),
        ("e", large(5)),
        ("f", large(6)),
        ("g", b"in the live segment".to_vec()),
    ];
    let listed: Vec<_> = store.items("large", None, 0, true).unwrap().into_iter().map(|i| (i.name, i.value)).collect();
    assert!(listed == expected.map(|(key, value)| (key.to_owned(), value)), "the listing is another");
    support::assert_clean(store);
}

#[test]
fn a_store_with_value_files_is_read_written_and_compacted() {
    let before = files_of(&second_fixture());
    let kept = |files: &BTreeMap<String, Vec<u8>>| {
        let manifest = Manifest::decode(&files["MANIFEST"]).unwrap();
        manifest.value_files.iter().map(|file| file.holder).collect::<Vec<_>>()
    };
    assert!(matches!(kept(&before)[..], [Holder::Log(_), Holder::Table(_)]), "{:?}", kept(&before));
    assert!(before["MANIFEST"].starts_with(b"DIRKVMAN\x02\0\0\0"));
    assert!(before.values().map(Vec::len).sum::<usize>() < 300 << 10);
    second_reads_back(&open(&second_fixture(), WRITTEN, &[("read_only", "true")]));
    assert!(files_of(&second_fixture()) == before, "reading changed the fixture");
    let copy = copy_of(&second_fixture());
    let store = open(copy.path(), WRITTEN, &[]);
    second_reads_back(&store);
    store.compact().unwrap();
    second_reads_back(&store);
    drop(store);
    assert_eq!(kept(&files_of(copy.path())), kept(&before), "they are as good as before");
    second_reads_back(&open(copy.path(), WRITTEN, &[]));
}
