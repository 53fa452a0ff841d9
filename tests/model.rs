//! Random operations against a plain map: whatever is done to the store through two handles, with compactions, reopening
//! and a moving clock in between, it answers as the map does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use dirkv::backend::{NewItem, Params};
use dirkv::{Backend, Code, Result};
use proptest::prelude::*;
use tempfile::TempDir;

#[derive(Clone, Debug)]
enum Op {
    Create(Place, Value, i64),
    Upsert(Place, Value, i64),
    Batch(&'static str, Vec<(&'static str, Value, i64)>),
    /// With the value that is there, or another.
    Swap(Place, Value, bool, i64),
    /// With the revision that is there, or another.
    PutIf(Place, Value, bool, i64),
    DeleteIf(Place, bool),
    Touch(Place, i64),
    Delete(Place),
    DeleteBucket(&'static str, &'static str),
    Advance(i64),
    Compact,
    Reopen,
    OtherHandle,
    List(&'static str, bool, Option<&'static str>, u64),
}

type Place = (&'static str, &'static str);

/// Bytes of one kind: so large values shrink to small ones.
#[derive(Clone, Copy, Debug)]
struct Value(u8, usize);

impl Value {
    fn bytes(self) -> Vec<u8> {
        vec![self.0; self.1]
    }
}

const BUCKETS: [&str; 7] = ["", "a", "a/b", "a/b/c", "b", "a ", "a/c"];
const KEYS: [&str; 5] = ["a", "b", "c", "k", "b "];

fn place() -> impl Strategy<Value = Place> {
    (prop::sample::select(&BUCKETS[..]), prop::sample::select(&KEYS[..]))
}

fn value() -> impl Strategy<Value = Value> {
    let len = prop_oneof![4 => 0..20_usize, 2 => 0..3000_usize, 1 => 4090..4100_usize, 1 => 0..40_000_usize];
    (any::<u8>(), len).prop_map(|(byte, len)| Value(byte, len))
}

fn ttl() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0), 2 => 1..50_i64, 1 => Just(i64::MAX)]
}

fn op() -> impl Strategy<Value = Op> {
    let bucket = || prop::sample::select(&BUCKETS[..]);
    let key = || prop::sample::select(&KEYS[..]);
    prop_oneof![
        6 => (place(), value(), ttl()).prop_map(|(p, v, t)| Op::Create(p, v, t)),
        10 => (place(), value(), ttl()).prop_map(|(p, v, t)| Op::Upsert(p, v, t)),
        4 => (bucket(), prop::collection::vec((key(), value(), ttl()), 1..8)).prop_map(|(b, i)| Op::Batch(b, i)),
        4 => (place(), value(), any::<bool>(), ttl()).prop_map(|(p, v, right, t)| Op::Swap(p, v, right, t)),
        4 => (place(), value(), any::<bool>(), ttl()).prop_map(|(p, v, right, t)| Op::PutIf(p, v, right, t)),
        2 => (place(), any::<bool>()).prop_map(|(p, right)| Op::DeleteIf(p, right)),
        2 => (place(), ttl()).prop_map(|(p, t)| Op::Touch(p, t)),
        4 => place().prop_map(Op::Delete),
        2 => (bucket(), prop::sample::select(&["a", "b", "c", "a "][..])).prop_map(|(p, b)| Op::DeleteBucket(p, b)),
        4 => (0..30_i64).prop_map(Op::Advance),
        2 => Just(Op::Compact),
        1 => Just(Op::Reopen),
        2 => Just(Op::OtherHandle),
        3 => (bucket(), any::<bool>(), prop::option::of(key()), 0..6_u64).prop_map(|(b, r, a, l)| Op::List(b, r, a, l)),
    ]
}

/// What the store should hold: by the path's components, so that the order is that of the store.
#[derive(Default)]
struct Model {
    items: BTreeMap<Vec<String>, Held>,
    now: i64,
    last: u64,
}

#[derive(Clone, PartialEq, Debug)]
struct Held {
    value: Vec<u8>,
    expires: i64,
    revision: u64,
}

fn path(bucket: &str, key: &str) -> Vec<String> {
    bucket.split('/').filter(|part| !part.is_empty()).chain([key]).map(str::to_owned).collect()
}

impl Model {
    fn get(&self, place: Place) -> Option<&Held> {
        self.items.get(&path(place.0, place.1)).filter(|held| self.lives(held))
    }

    fn lives(&self, held: &Held) -> bool {
        held.expires == 0 || self.now < held.expires
    }

    fn put(&mut self, place: Place, value: Vec<u8>, ttl: i64, revision: u64) {
        let expires = if ttl == 0 { 0 } else { self.now.saturating_add(ttl) };
        self.items.insert(path(place.0, place.1), Held { value, expires, revision });
    }

    /// Unexpired items under a bucket, with their paths relative to it.
    fn under(&self, bucket: &str) -> Vec<(Vec<String>, &Held)> {
        let mut prefix = path(bucket, "");
        prefix.pop();
        let live = self
            .items
            .iter()
            .filter(|(path, held)| path.len() > prefix.len() && path.starts_with(&prefix) && self.lives(held));
        live.map(|(path, held)| (path[prefix.len()..].to_vec(), held)).collect()
    }
}

struct World {
    dir: TempDir,
    clock: Arc<AtomicI64>,
    handles: [Backend; 2],
    current: usize,
    model: Model,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(1_000));
        let handles = [open(&dir, &clock), open(&dir, &clock)];
        World { dir, clock, handles, current: 0, model: Model { now: 1_000, ..Model::default() } }
    }

    fn apply(&mut self, op: &Op) {
        let (b, model) = (&self.handles[self.current], &mut self.model);
        match op {
            Op::Create(p, v, t) => {
                let refusal = model.get(*p).map(|_| Code::AlreadyExists);
                put(model, *p, *v, *t, b.create(p.0, p.1, &v.bytes(), *t), refusal);
            }
            Op::Upsert(p, v, t) => put(model, *p, *v, *t, b.upsert(p.0, p.1, &v.bytes(), *t), None),
            Op::Batch(bucket, items) => {
                let values: Vec<Vec<u8>> = items.iter().map(|i| i.1.bytes()).collect();
                let new: Vec<NewItem<'_>> = items
                    .iter()
                    .zip(&values)
                    .map(|((key, _, ttl), value)| NewItem { key: key.as_bytes(), value, ttl: *ttl })
                    .collect();
                let revision = b.upsert_items(bucket, &new).unwrap();
                for (key, value, ttl) in items {
                    model.put((bucket, key), value.bytes(), *ttl, revision);
                }
                model.last = revision;
            }
            Op::Swap(p, v, right, t) => {
                let mut previous = model.get(*p).map_or(Vec::new(), |held| held.value.clone());
                if !right {
                    previous.push(1);
                }
                let refusal = (!right || model.get(*p).is_none()).then_some(Code::CompareFailed);
                put(model, *p, *v, *t, b.compare_and_swap(p.0, p.1, &v.bytes(), &previous, *t), refusal);
            }
            Op::PutIf(p, v, right, t) => {
                let revision = model.get(*p).map_or(0, |held| held.revision) + u64::from(!right);
                let refusal = (!right).then_some(Code::CompareFailed);
                put(model, *p, *v, *t, b.put_if_revision(p.0, p.1, &v.bytes(), revision, *t), refusal);
            }
            Op::DeleteIf(p, right) => {
                let there = model.get(*p).map(|held| held.revision);
                let result = b.delete_if_revision(p.0, p.1, there.unwrap_or(7) + u64::from(!right));
                let refusal =
                    if there.is_none() { Some(Code::NotFound) } else { (!right).then_some(Code::CompareFailed) };
                delete(model, *p, result, refusal);
            }
            Op::Touch(p, t) => {
                let (value, refusal) = match model.get(*p) {
                    Some(held) => (Value(held.value.first().copied().unwrap_or(0), held.value.len()), None),
                    None => (Value(0, 0), Some(Code::NotFound)),
                };
                put(model, *p, value, *t, b.touch(p.0, p.1, *t), refusal);
            }
            Op::Delete(p) => {
                let refusal = model.get(*p).is_none().then_some(Code::NotFound);
                delete(model, *p, b.delete(p.0, p.1), refusal);
            }
            Op::DeleteBucket(parent, bucket) => {
                let whole = if parent.is_empty() { (*bucket).to_owned() } else { format!("{parent}/{bucket}") };
                let refusal = model.under(&whole).is_empty().then_some(Code::NotFound);
                assert_eq!(b.delete_bucket(parent, bucket).err().map(|e| e.code), refusal);
                if refusal.is_none() {
                    let prefix = path(parent, bucket);
                    model.items.retain(|path, _| !(path.starts_with(&prefix) && path.len() > prefix.len()));
                }
            }
            Op::Advance(by) => {
                model.now += by;
                self.clock.store(model.now, Ordering::SeqCst);
            }
            Op::Compact => b.compact().unwrap(),
            Op::Reopen => {
                b.close();
                self.handles[self.current] = open(&self.dir, &self.clock);
            }
            Op::OtherHandle => self.current = 1 - self.current,
            Op::List(bucket, recursive, after, limit) => list(b, model, bucket, *recursive, *after, *limit),
        }
    }

    /// Everything, through both handles.
    fn compare(&self) {
        for b in &self.handles {
            for bucket in BUCKETS {
                list(b, &self.model, bucket, true, None, 0);
                list(b, &self.model, bucket, false, None, 0);
                for key in KEYS {
                    let held = self.model.get((bucket, key));
                    assert_eq!(b.exists(bucket, key).unwrap(), held.is_some(), "{bucket:?} {key:?}");
                    let item = b.get_item(bucket, key).map_err(|e| e.code);
                    let item = item.map(|i| Held { value: i.value, expires: i.expires, revision: i.revision });
                    assert!(item == held.cloned().ok_or(Code::NotFound), "{bucket:?} {key:?}");
                }
            }
            assert_eq!(b.check().unwrap(), [""; 0]);
        }
    }
}

fn open(dir: &TempDir, clock: &Arc<AtomicI64>) -> Backend {
    let mut params = Params::new();
    params.set_path(dir.path()).unwrap();
    params.set("segment_size", "64KiB").unwrap();
    params.set("sync", "os").unwrap();
    let clock = clock.clone();
    params.set_clock(Arc::new(move || clock.load(Ordering::SeqCst)));
    Backend::open(&params).unwrap()
}

fn put(model: &mut Model, place: Place, value: Value, ttl: i64, result: Result<u64>, refusal: Option<Code>) {
    match result {
        Ok(revision) => {
            assert_eq!(refusal, None, "{place:?}");
            assert!(revision > model.last);
            model.last = revision;
            model.put(place, value.bytes(), ttl, revision);
        }
        Err(e) => assert_eq!(Some(e.code), refusal, "{place:?}: {e}"),
    }
}

fn delete(model: &mut Model, place: Place, result: Result<()>, refusal: Option<Code>) {
    assert_eq!(result.map_err(|e| e.code).err(), refusal, "{place:?}");
    if refusal.is_none() {
        model.items.remove(&path(place.0, place.1));
    }
}

fn list(b: &Backend, model: &Model, bucket: &str, recursive: bool, after: Option<&str>, limit: u64) {
    let full = |len: usize| limit != 0 && len as u64 >= limit;
    let mut items = Vec::new();
    let mut names: Vec<(String, bool)> = Vec::new();
    for (path, held) in model.under(bucket) {
        let first = path[0].as_str();
        let behind_name = after.is_none_or(|after| first > after);
        let is_behind = if recursive { after.is_none_or(|after| path > vec![after.to_owned()]) } else { behind_name };
        if is_behind && (recursive || path.len() == 1) && !full(items.len()) {
            items.push((path.join("/"), held.clone()));
        }
        let name = (first.to_owned(), path.len() > 1);
        let pair = names.last().is_some_and(|(last, is_bucket)| !is_bucket && last == first && name.1);
        if behind_name && names.last() != Some(&name) && (pair || !full(names.len())) {
            names.push(name);
        }
    }
    let found = b.items(bucket, after.map(str::as_bytes), limit, recursive).unwrap();
    let found = found.into_iter().map(|i| (i.name, Held { value: i.value, expires: i.expires, revision: i.revision }));
    assert!(
        found.collect::<Vec<_>>() == items,
        "items of {bucket:?}, recursive {recursive}, after {after:?}, limit {limit}"
    );
    let found = b.keys(bucket, after.map(str::as_bytes), limit).unwrap();
    let found: Vec<(String, bool)> = found.into_iter().map(|n| (n.name, n.is_bucket)).collect();
    assert_eq!(found, names, "names of {bucket:?} after {after:?}, limit {limit}");
}

/// `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let default = ProptestConfig { max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { default } else { ProptestConfig { cases: 48, ..default } }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_store_answers_as_a_map_does(ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World::new();
        for op in &ops {
            world.apply(op);
        }
        world.compare();
        world.handles.iter().for_each(|b| b.compact().unwrap());
        world.compare();
        world.handles.iter().for_each(Backend::close);
        let World { dir, clock, model, .. } = world;
        let handles = [open(&dir, &clock), open(&dir, &clock)];
        World { dir, clock, handles, current: 0, model }.compare();
    }
}
