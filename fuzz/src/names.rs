//! Names of buckets, keys and locks: what is taken is what the documented rules say, and is found again under that name.

use std::cmp::Ordering;

use arbitrary::Arbitrary;
use dirkv::format::manifest::SyncMode;
use dirkv::{Backend, Code};

use crate::described;
use crate::small::{created, open};

/// Each pair is a bucket's path and a key.
#[derive(Arbitrary, Debug)]
struct Names<'a> {
    pairs: Vec<(&'a [u8], &'a [u8])>,
    token: &'a [u8],
    /// So many times one more component.
    deep: u8,
}

pub fn run(data: &[u8]) {
    let Some(names) = described::<Names<'_>>(data) else { return };
    check(&open(&created(SyncMode::Os, 1), false).expect("a new store"), &names);
}

fn check(store: &Backend, names: &Names<'_>) {
    let deep = vec!["d"; usize::from(names.deep)].join("/").into_bytes();
    let mut pairs: Vec<(&[u8], &[u8])> = names.pairs.iter().take(8).copied().collect();
    pairs.push((&deep, b"key"));
    let mut there: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for (bucket, key) in pairs {
        let put = store.upsert(bucket, key, b"value", 0);
        let allowed = is_path(bucket) && is_name(key, 1024);
        assert_eq!(put.is_ok(), allowed, "bucket {bucket:?}, key {key:?}: {put:?}");
        let got = store.get(bucket, key);
        match put {
            Ok(_) => {
                assert_eq!(got.as_deref(), Ok(&b"value"[..]));
                there.push((bucket.to_vec(), key.to_vec()));
            }
            Err(e) => assert!(e.code == Code::BadParameter && got.is_err_and(|e| e.code == Code::BadParameter), "{e}"),
        }
    }
    listed(store, &mut there);
    let lock = store.acquire_lock(names.token, 1_000_000_000, 0);
    assert_eq!(lock.is_ok(), is_name(names.token, 255), "token {:?}: {lock:?}", names.token);
    if let Ok(fence) = lock {
        assert_eq!(store.locks().expect("well").len(), 1);
        store.release_lock(names.token, fence).expect("held");
    }
    for (bucket, key) in there {
        store.delete(&bucket, &key).expect("there");
    }
    assert_eq!(store.items("", None, 0, true).expect("well"), []);
}

/// All that is there is listed, in the order of the components.
fn listed(store: &Backend, there: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    there.sort_by(by_component);
    there.dedup();
    let path = |(bucket, key): &(Vec<u8>, Vec<u8>)| match bucket.is_empty() {
        true => key.clone(),
        false => [bucket.as_slice(), b"/", key].concat(),
    };
    let expected: Vec<Vec<u8>> = there.iter().map(path).collect();
    let items = store.items("", None, 0, true).expect("well");
    let found: Vec<Vec<u8>> = items.into_iter().map(|item| item.name.into_bytes()).collect();
    assert_eq!(found, expected);
    for (bucket, key) in there.iter() {
        let names = store.keys(bucket, None, 0).expect("well");
        assert!(names.iter().any(|name| !name.is_bucket && name.name.as_bytes() == key));
    }
}

fn components((bucket, key): &(Vec<u8>, Vec<u8>)) -> Vec<Vec<u8>> {
    let parts = bucket.split(|b| *b == b'/').filter(|part| !part.is_empty());
    parts.map(<[u8]>::to_vec).chain([key.clone()]).collect()
}

fn by_component(a: &(Vec<u8>, Vec<u8>), b: &(Vec<u8>, Vec<u8>)) -> Ordering {
    components(a).cmp(&components(b))
}

pub fn is_name(bytes: &[u8], most: usize) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let is_good = |c: char| !(c <= '\u{1f}' || ('\u{7f}'..='\u{9f}').contains(&c) || c == '/');
    (1..=most).contains(&bytes.len()) && text.chars().all(is_good) && text != "." && text != ".."
}

pub fn is_path(bytes: &[u8]) -> bool {
    let parts: Vec<&[u8]> = bytes.split(|b| *b == b'/').collect();
    let is_good = parts.iter().all(|part| is_name(part, 255)) && parts.len() <= 32 && parts[0].first() != Some(&b'.');
    bytes.is_empty() || is_good
}
