//! Listings, whole and in pages.

use super::*;

fn names(b: &Backend, bucket: &str) -> Vec<String> {
    shown(&b.keys(bucket, None, 0).unwrap())
}

/// Buckets with a slash at their end.
fn shown(names: &[dirkv::backend::Name]) -> Vec<String> {
    names.iter().map(|n| format!("{}{}", n.name, if n.is_bucket { "/" } else { "" })).collect()
}

fn paths(b: &Backend, bucket: &str, recursive: bool) -> Vec<String> {
    b.items(bucket, None, 0, recursive).unwrap().into_iter().map(|i| i.name).collect()
}

fn fill(b: &Backend, paths: &[&str]) {
    for path in paths {
        let (bucket, key) = path.rsplit_once('/').unwrap_or(("", path));
        b.upsert(bucket, key, path.as_bytes(), 0).unwrap();
    }
}

const TREE: [&str; 11] = ["a", "a/1", "a/2/x", "a/2/y", "a/3", "a!", "b/c/d/e", "é", "Z", "a b/k", "a/2"];

#[test]
fn sorted_by_component_a_key_before_its_bucket() {
    let b = Store::new();
    fill(&b, &TREE);
    b.acquire_lock("hidden", 1_000, 0).unwrap();
    assert_eq!(names(&b, ""), ["Z", "a", "a/", "a b/", "a!", "b/", "é"]);
    assert_eq!(names(&b, "a"), ["1", "2", "2/", "3"]);
    assert_eq!(names(&b, "b"), ["c/"]);
    assert_eq!(paths(&b, "", false), ["Z", "a", "a!", "é"]);
    assert_eq!(paths(&b, "a", false), ["1", "2", "3"]);
    assert_eq!(paths(&b, "a", true), ["1", "2", "2/x", "2/y", "3"]);
    assert_eq!(paths(&b, "", true), ["Z", "a", "a/1", "a/2", "a/2/x", "a/2/y", "a/3", "a b/k", "a!", "b/c/d/e", "é"]);
    for item in b.items("", None, 0, true).unwrap() {
        assert_eq!(item.value, item.name.as_bytes());
    }
}

#[test]
fn an_absent_bucket_is_empty() {
    let b = Store::new();
    fill(&b, &["a/k"]);
    for bucket in ["b", "a/k", "a/b", "a/k/x"] {
        assert_eq!(b.keys(bucket, None, 0).unwrap(), []);
        assert_eq!(b.items(bucket, None, 0, true).unwrap(), []);
    }
}

#[test]
fn what_expired_is_neither_listed_nor_counted() {
    let b = Store::new();
    b.upsert("x/gone", "k", b"", 10).unwrap();
    b.upsert("x/mixed", "a", b"", 10).unwrap();
    b.upsert("x/mixed", "b", b"", 0).unwrap();
    b.upsert("x", "k", b"", 10).unwrap();
    assert_eq!(names(&b, "x"), ["gone/", "k", "mixed/"]);
    b.set_clock(1_010);
    assert_eq!(names(&b, "x"), ["mixed/"]);
    assert_eq!(paths(&b, "x", true), ["mixed/b"]);
}

#[test]
fn pages_of_names_lose_and_repeat_nothing() {
    let b = Store::new();
    fill(&b, &TREE);
    for bucket in ["", "a", "b", "nothing"] {
        let whole = names(&b, bucket);
        for limit in 1..=whole.len() as u64 + 1 {
            let (mut seen, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
            loop {
                let page = b.keys(bucket, after.as_deref().map(str::as_bytes), limit).unwrap();
                assert!(page.len() as u64 <= limit + 1);
                seen.extend(shown(&page));
                match page.last() {
                    Some(last) => after = Some(last.name.clone()),
                    None => break,
                }
            }
            assert_eq!(seen, whole, "bucket {bucket:?}, limit {limit}");
        }
    }
}

#[test]
fn a_key_and_its_bucket_are_never_parted() {
    let b = Store::new();
    fill(&b, &["k", "k/x", "l"]);
    assert_eq!(shown(&b.keys("", None, 1).unwrap()), ["k", "k/"]);
    assert_eq!(shown(&b.keys("", Some(b"k"), 1).unwrap()), ["l"]);
    b.upsert("k", "x", b"", 10).unwrap();
    b.set_clock(1_010);
    assert_eq!(shown(&b.keys("", None, 1).unwrap()), ["k"]);
}

#[test]
fn pages_of_items_lose_and_repeat_nothing() {
    let b = Store::new();
    fill(&b, &TREE);
    for (bucket, recursive) in [("", true), ("", false), ("a", true), ("a", false), ("a/2", true)] {
        let whole = paths(&b, bucket, recursive);
        for limit in 1..=whole.len() as u64 + 1 {
            let (mut seen, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
            loop {
                let page = b.items(bucket, after.as_deref().map(str::as_bytes), limit, recursive).unwrap();
                assert!(page.len() as u64 <= limit);
                seen.extend(page.iter().map(|i| i.name.clone()));
                match page.last() {
                    Some(last) => after = Some(last.name.clone()),
                    None => break,
                }
            }
            assert_eq!(seen, whole, "bucket {bucket:?}, recursive {recursive}, limit {limit}");
        }
    }
}

#[test]
fn after_need_not_be_there() {
    let b = Store::new();
    fill(&b, &TREE);
    assert_eq!(shown(&b.keys("a", Some(b"15"), 0).unwrap()), ["2", "2/", "3"]);
    assert_eq!(shown(&b.keys("a", Some(b"9"), 0).unwrap()), [""; 0]);
    assert_eq!(shown(&b.keys("", Some(b"a b"), 0).unwrap()), ["a!", "b/", "é"]);
    let after = |path: &[u8]| -> Vec<String> {
        b.items("", Some(path), 0, true).unwrap().into_iter().map(|i| i.name).collect()
    };
    assert_eq!(after(b"a/2/xx"), ["a/2/y", "a/3", "a b/k", "a!", "b/c/d/e", "é"]);
    assert_eq!(after(b"b/c"), ["b/c/d/e", "é"]);
    fails(b.keys("", Some(b""), 0), Code::BadParameter, "after is empty");
    fails(b.keys("", Some(b"a/b"), 0), Code::BadParameter, "after holds a '/'");
    fails(b.items("", Some(b"a/b"), 0, false), Code::BadParameter, "after holds a '/'");
    fails(b.items("", Some(b"a//b"), 0, true), Code::BadParameter, "after component 2 is empty");
}

#[test]
fn a_recursive_listing_is_one_cut() {
    let (b, _dir) = plain();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Each writer moves two buckets on together: a cut never sees them apart.
        for writer in 0..4_u32 {
            let (b, stop) = (&b, &stop);
            scope.spawn(move || {
                let keys: Vec<String> = (0..20).map(|n| format!("{writer}-{n}")).collect();
                let mut round = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    let value = round.to_le_bytes();
                    let items: Vec<_> = keys
                        .iter()
                        .map(|k| dirkv::backend::NewItem { key: k.as_bytes(), value: &value, ttl: 0 })
                        .collect();
                    b.upsert_items(format!("t/{writer}"), &items).unwrap();
                    round += 1;
                }
            });
        }
        for _ in 0..200 {
            let items = b.items("t", None, 0, true).unwrap();
            for writer in 0..4 {
                let start = format!("{writer}/");
                let mine: Vec<_> = items.iter().filter(|i| i.name.starts_with(&start)).collect();
                assert!(mine.is_empty() || mine.len() == 20, "{}", mine.len());
                assert!(mine.iter().all(|i| i.value == mine[0].value && i.revision == mine[0].revision));
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}
