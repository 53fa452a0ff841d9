//! What should be in the store: a plain map with expiry and revisions, and the names that calls choose from.

use std::collections::BTreeMap;

use dirkv::Code;

use super::Place;
use crate::names::{is_name, is_path};

/// The instant at which each input begins.
pub const START: i64 = 1_000_000_000;

/// Buckets, good and bad; `None` is NULL.
pub const BUCKETS: [Option<&[u8]>; 12] = [
    Some(b""),
    Some(b"a"),
    Some(b"a/b"),
    Some(b"a/b/c"),
    Some("ä".as_bytes()),
    Some(b"b"),
    Some(b"/"),
    Some(b"a//b"),
    Some(b".locks"),
    Some(b"a\x01"),
    Some(b"\xff"),
    None,
];

/// Keys, good and bad.
pub const KEYS: [Option<&[u8]>; 12] = [
    Some(b"a"),
    Some(b"b"),
    Some(b"k"),
    Some(b"key"),
    Some("日本".as_bytes()),
    Some(b".hidden"),
    Some(b""),
    Some(b".."),
    Some(b"a/b"),
    Some(b"\x1f"),
    Some(&[b'x'; 1025]),
    None,
];

/// An item: value, expiry (0 is never), revision.
#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    pub value: Vec<u8>,
    pub expires: i64,
    pub revision: u64,
}

/// What a put asks for.
#[derive(Clone, PartialEq, Debug)]
pub enum Condition {
    None,
    Absent,
    Value(Vec<u8>),
    /// 0: none must be there.
    Revision(u64),
}

#[derive(Default)]
pub struct Model {
    pub now: i64,
    /// By bucket and key.
    items: BTreeMap<(Vec<u8>, Vec<u8>), Item>,
    /// Fence and expiry by token.
    pub locks: BTreeMap<Vec<u8>, (u64, i64)>,
    /// The newest revision that a call returned.
    pub newest: u64,
}

pub fn bucket(n: u8) -> Option<&'static [u8]> {
    BUCKETS[usize::from(n) % BUCKETS.len()]
}

pub fn key(n: u8) -> Option<&'static [u8]> {
    KEYS[usize::from(n) % KEYS.len()]
}

/// Bucket and key, if both are allowed.
pub fn names(place: Place) -> Option<(Vec<u8>, Vec<u8>)> {
    let (bucket, key) = (bucket(place.bucket)?, key(place.key)?);
    (is_path(bucket) && is_name(key, 1024)).then(|| (bucket.to_vec(), key.to_vec()))
}

impl Model {
    /// The item that is there now.
    pub fn get(&self, place: Place) -> Option<&Item> {
        let item = self.items.get(&names(place)?)?;
        self.is_there(item).then_some(item)
    }

    fn is_there(&self, item: &Item) -> bool {
        item.expires == 0 || item.expires > self.now
    }

    /// When something that is put now expires.
    pub fn expires(&self, ttl: i64) -> i64 {
        if ttl == 0 { 0 } else { self.now.saturating_add(ttl) }
    }

    /// A value to compare with: the one given, or the one that is there.
    pub fn previous(&self, place: Place, given: Option<Vec<u8>>) -> Vec<u8> {
        given.or_else(|| self.get(place).map(|item| item.value.clone())).unwrap_or_default()
    }

    /// A revision to compare with: the one given, or the one that is there.
    pub fn revision(&self, place: Place, given: Option<u64>) -> u64 {
        given.or_else(|| self.get(place).map(|item| item.revision)).unwrap_or(0)
    }

    /// What a put under this condition answers.
    pub fn judge(&self, place: Place, condition: &Condition) -> Result<(), Code> {
        let there = self.get(place);
        let holds = match condition {
            Condition::None => true,
            Condition::Absent if there.is_some() => return Err(Code::AlreadyExists),
            Condition::Absent => true,
            Condition::Value(previous) => there.is_some_and(|item| item.value == *previous),
            Condition::Revision(0) => there.is_none(),
            Condition::Revision(expected) => there.is_some_and(|item| item.revision == *expected),
        };
        if holds { Ok(()) } else { Err(Code::CompareFailed) }
    }

    /// A put that succeeded.
    pub fn put(&mut self, place: Place, value: Vec<u8>, ttl: i64, revision: u64) {
        assert!(revision > self.newest, "revisions grow");
        self.put_in_batch(place, value, ttl, revision);
        self.newest = revision;
    }

    /// One of several with the same revision.
    pub fn put_in_batch(&mut self, place: Place, value: Vec<u8>, ttl: i64, revision: u64) {
        let item = Item { value, expires: self.expires(ttl), revision };
        self.items.insert(names(place).expect("it was taken"), item);
    }

    pub fn delete(&mut self, place: Place) {
        self.items.remove(&names(place).expect("it was taken"));
    }

    /// Everything under the bucket `parent`/`bucket`; whether there was anything.
    pub fn delete_bucket(&mut self, parent: &[u8], bucket: &[u8]) -> bool {
        let path = if parent.is_empty() { bucket.to_vec() } else { [parent, b"/", bucket].concat() };
        let was_there = self.under(&path).any(|(_, item)| self.is_there(item));
        if was_there {
            self.items.retain(|(bucket, _), _| !is_under(&path, bucket));
        }
        was_there
    }

    fn under<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = (&'a (Vec<u8>, Vec<u8>), &'a Item)> {
        self.items.iter().filter(move |((bucket, _), _)| is_under(path, bucket))
    }

    /// The unexpired items of a bucket, or of everything under it, by their relative paths.
    pub fn list(&self, path: &[u8], recursive: bool) -> BTreeMap<Vec<u8>, Item> {
        let found = self.under(path).filter(|((bucket, _), item)| (recursive || bucket == path) && self.is_there(item));
        let relative = |((bucket, key), item): (&(Vec<u8>, Vec<u8>), &Item)| {
            let rest = bucket[path.len()..].strip_prefix(b"/").unwrap_or(&bucket[path.len()..]);
            let name = if rest.is_empty() { key.clone() } else { [rest, b"/", key].concat() };
            (name, item.clone())
        };
        found.map(relative).collect()
    }
}

fn is_under(path: &[u8], bucket: &[u8]) -> bool {
    path.is_empty() || bucket == path || bucket.strip_prefix(path).is_some_and(|rest| rest.starts_with(b"/"))
}
