//! What a store should hold, and random operations on it. An operation whose outcome nobody was told splits the world: one
//! in which it happened, one in which it did not.

use crate::machine::{Disk, Machine};
use crate::process::{Killed, Process, SimClock, SimDirectory};
use dirkv::backend::{NewItem, Params};
use dirkv::files::storage::Directory;
use dirkv::{Backend, Code, Result};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub type Map = BTreeMap<String, Vec<u8>>;

const BUCKETS: [&str; 3] = ["", "a", "a/b"];
const KEYS: [&str; 4] = ["k", "l", "m", "n"];

pub fn params(settings: &[(&str, &str)]) -> Params {
    let mut params = Params::new();
    for (name, value) in [("segment_size", "64KiB"), ("background", "off"), ("lock_timeout", "40ms")] {
        params.set(name, value).unwrap();
    }
    settings.iter().for_each(|(name, value)| params.set(name, value).unwrap());
    params
}

/// A process with the store open.
pub struct Handle {
    pub process: Arc<Process>,
    store: Option<Backend>,
}

impl Handle {
    /// Opens; `None` if the process died of it.
    pub fn open(machine: &Arc<Machine>, settings: &[(&str, &str)]) -> Option<Result<Handle>> {
        let process = Process::start(machine);
        let directory: Arc<dyn Directory> = Arc::new(SimDirectory(process.clone()));
        let params = params(settings);
        let opened = survived(|| Backend::open_in(&params, directory, Arc::new(SimClock)));
        if opened.is_none() {
            process.is_gone();
        }
        Some(opened?.map(|store| Handle { process, store: Some(store) }))
    }

    pub fn store(&self) -> &Backend {
        self.store.as_ref().expect("open")
    }

    /// What a call answers, unless the process died meanwhile.
    pub fn call<R>(&self, f: impl FnOnce(&Backend) -> R) -> Option<R> {
        let answer = survived(|| f(self.store()));
        if self.process.is_dead() { None } else { answer }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.process.is_dead() {
            self.process.is_gone();
        }
        if let Some(store) = self.store.take()
            && survived(|| drop(store)).is_none()
        {
            self.process.is_gone();
        }
    }
}

/// Runs what may be killed.
fn survived<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => Some(value),
        Err(payload) if payload.is::<Killed>() => None,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

/// One operation.
#[derive(Clone, Debug)]
pub enum Op {
    Upsert(String, String, Vec<u8>),
    Create(String, String, Vec<u8>),
    Swap(String, String, Vec<u8>, Vec<u8>),
    Delete(String, String),
    DeleteBucket(String, String),
    Batch(String, Vec<(String, Vec<u8>)>),
    Compact,
    Sync,
    Read,
    Get(String, String),
}

fn path(bucket: &str, key: &str) -> String {
    if bucket.is_empty() { key.to_owned() } else { format!("{bucket}/{key}") }
}

fn value(rng: &mut Rng, number: u64) -> Vec<u8> {
    let len = [8, 40, 600, 5_000, 14_000, 30_000][rng.usize(..6)];
    let mut value = number.to_le_bytes().to_vec();
    value.resize(len, rng.u8(..));
    value
}

impl Op {
    pub fn random(rng: &mut Rng, number: u64) -> Op {
        let bucket = rng.choice(BUCKETS).unwrap().to_owned();
        let key = rng.choice(KEYS).unwrap().to_owned();
        match rng.u8(..20) {
            0..=6 => Op::Upsert(bucket, key, value(rng, number)),
            7..=9 => Op::Create(bucket, key, value(rng, number)),
            10..=11 => Op::Delete(bucket, key),
            12 => Op::DeleteBucket(String::new(), "a".to_owned()),
            13 => Op::DeleteBucket("a".to_owned(), "b".to_owned()),
            14..=15 => Op::Batch(bucket, KEYS.map(|k| (k.to_owned(), value(rng, number))).to_vec()),
            16 => [Op::Compact, Op::Sync][rng.usize(..2)].clone(),
            17 => Op::Read,
            18 => Op::Get(bucket, key),
            _ => Op::Swap(bucket, key, number.to_le_bytes().to_vec(), value(rng, number)),
        }
    }

    /// Without the values.
    fn short(&self) -> String {
        format!("{self:?}").chars().take(60).collect()
    }

    /// What is there if it happened; `None` if its condition doesn't hold.
    pub fn applied(&self, map: &Map) -> Option<Map> {
        let mut map = map.clone();
        match self {
            Op::Upsert(b, k, v) => drop(map.insert(path(b, k), v.clone())),
            Op::Create(b, k, v) => {
                if map.insert(path(b, k), v.clone()).is_some() {
                    return None;
                }
            }
            Op::Swap(b, k, old, new) => {
                if map.insert(path(b, k), new.clone()).as_ref() != Some(old) {
                    return None;
                }
            }
            Op::Delete(b, k) => drop(map.remove(&path(b, k))?),
            Op::DeleteBucket(b, k) => {
                let (len, prefix) = (map.len(), path(b, k) + "/");
                map.retain(|name, _| !name.starts_with(&prefix));
                if map.len() == len {
                    return None;
                }
            }
            Op::Batch(b, items) => items.iter().for_each(|(k, v)| drop(map.insert(path(b, k), v.clone()))),
            Op::Compact | Op::Sync | Op::Read | Op::Get(..) => (),
        }
        Some(map)
    }

    pub fn run(&self, b: &Backend) -> Result<u64> {
        match self {
            Op::Upsert(bucket, key, value) => b.upsert(bucket, key, value, 0),
            Op::Create(bucket, key, value) => b.create(bucket, key, value, 0),
            Op::Swap(bucket, key, old, new) => b.compare_and_swap(bucket, key, new, old, 0),
            Op::Delete(bucket, key) => b.delete(bucket, key).map(|()| 0),
            Op::DeleteBucket(parent, bucket) => b.delete_bucket(parent, bucket).map(|()| 0),
            Op::Batch(bucket, items) => {
                let items: Vec<_> =
                    items.iter().map(|(k, value)| NewItem { key: k.as_bytes(), value, ttl: 0 }).collect();
                b.upsert_items(bucket, &items)
            }
            Op::Compact => b.compact().map(|()| 0),
            Op::Sync => b.sync().map(|()| 0),
            Op::Read | Op::Get(..) => Ok(0),
        }
    }
}

pub fn dump(store: &Backend) -> Result<Map> {
    Ok(store.items("", None, 0, true)?.into_iter().map(|item| (item.name, item.value)).collect())
}

/// Everything that the store may hold, as far as anybody was told.
#[derive(Clone)]
pub struct World {
    /// In an order: those in which less has happened come first.
    pub may_be: Vec<Map>,
    pub last: u64,
    pub name: String,
    /// With `sync=os`, when a sync may fail: what wasn't durable may be beyond reading.
    pub lossy: bool,
    /// With `sync=os`: what it held since the last sync, any of which a power cut may bring back.
    pub past: Option<Vec<Map>>,
}

impl World {
    pub fn new(name: String) -> World {
        World { may_be: vec![Map::new()], last: 0, name, lossy: false, past: None }
    }

    /// Of a store that need not survive the power.
    pub fn of_os(name: String) -> World {
        World { past: Some(Vec::new()), ..World::new(name) }
    }

    pub fn settings(&self) -> &'static [(&'static str, &'static str)] {
        if self.past.is_some() { &[("sync", "os")] } else { &[] }
    }

    /// The power is cut.
    pub fn cut(&mut self) {
        if let Some(past) = &mut self.past {
            self.may_be.append(past);
            // What was lost had revisions, which are given again.
            self.last = 0;
        }
    }

    /// Runs an operation and takes in what it answered. False if the process died meanwhile.
    pub fn run(&mut self, handle: &Handle, op: &Op) -> bool {
        let name = &self.name;
        match op {
            Op::Read => match handle.call(dump) {
                Some(Ok(map)) => {
                    assert!(self.may_be.contains(&map), "{name}: a listing shows what isn't there");
                    self.told(|world| *world == map);
                }
                Some(Err(e)) => self.calm(e.code, op),
                None => return false,
            },
            Op::Get(bucket, key) => match handle.call(|b| b.get(bucket, key)) {
                Some(Err(e)) if e.code != Code::NotFound => self.calm(e.code, op),
                Some(found) => {
                    let (found, at) = (found.ok(), path(bucket, key));
                    assert!(self.may_be.iter().any(|m| m.get(&at) == found.as_ref()), "{name}: get of {at} is wrong");
                    self.told(|world| world.get(&at) == found.as_ref());
                }
                None => return false,
            },
            _ => return self.change(handle, op),
        }
        true
    }

    /// Somebody was told that this is so: no world stays in which less has happened than in the first where it is. (Those in
    /// which more has stay: what a killed writer left behind `appended` may still be adopted by a recovery.)
    fn told(&mut self, is_so: impl Fn(&Map) -> bool) {
        let first = self.may_be.iter().position(is_so).unwrap_or(0);
        self.may_be.drain(..first);
    }

    /// What may be while the operation is under way.
    pub fn during(&self, op: &Op) -> World {
        let mut during = self.clone();
        if let Some(past) = &mut during.past {
            past.extend(self.may_be.iter().filter(|map| !past.contains(map)).cloned().collect::<Vec<_>>());
        }
        during.may_be.extend(self.may_be.iter().filter_map(|map| op.applied(map)));
        during.may_be.dedup();
        during
    }

    /// Of two that were told the same, the same.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.may_be, &self.past, self.last).hash(&mut hasher);
        hasher.finish()
    }

    fn change(&mut self, handle: &Handle, op: &Op) -> bool {
        let answer = handle.call(|b| op.run(b));
        match (&mut self.past, op, &answer) {
            (Some(past), Op::Sync, Some(Ok(_))) => past.clear(),
            (Some(past), ..) => {
                past.extend(self.may_be.iter().filter(|map| !past.contains(map)).cloned().collect::<Vec<_>>())
            }
            _ => (),
        }
        if std::env::var_os("DIRKV_SAY").is_some() {
            eprintln!("{} {:?}: {answer:?}", handle.process.number(), op.short());
        }
        let after: Vec<Map> = self.may_be.iter().filter_map(|map| op.applied(map)).collect();
        let name = &self.name;
        match answer {
            Some(Ok(revision)) => {
                assert!(!after.is_empty(), "{name}: {op:?} succeeded, though its condition doesn't hold");
                assert!(revision == 0 || revision > self.last, "{name}: the revision {revision} was used before");
                self.last = self.last.max(revision);
                self.may_be = after;
            }
            Some(Err(e)) => match e.code {
                Code::AlreadyExists | Code::NotFound | Code::CompareFailed => {
                    let is_so = self.may_be.iter().any(|map| op.applied(map).is_none());
                    assert!(is_so, "{name}: {op:?} was refused, though its condition holds");
                    self.told(|world| op.applied(world).is_none());
                }
                Code::Uncertain => self.may_be.extend(after),
                code => self.calm(code, op),
            },
            None => self.may_be.extend(after),
        }
        self.may_be.dedup();
        answered(handle)
    }

    /// An error that says that nothing happened, and no lie.
    pub fn calm(&self, code: Code, op: &Op) {
        let calm = [Code::Io, Code::NoSpace, Code::ReadOnly, Code::Timeout, Code::Uncertain].contains(&code);
        assert!(calm || self.lossy && code == Code::Corrupt, "{}: {op:?} got {code:?}", self.name);
    }

    /// The store is opened anew with nothing in its way: what is there must be one of what may be, whole and well.
    pub fn settle(&mut self, handle: &Handle) {
        self.may_be = vec![self.judge(handle)];
    }

    /// The same, and what there is.
    pub fn judge(&self, handle: &Handle) -> Map {
        let name = &self.name;
        let found = dump(handle.store()).unwrap_or_else(|e| panic!("{name}: can't list: {e}"));
        if !self.may_be.contains(&found) {
            panic!("{name}: {}", self.differs(&found));
        }
        let findings = handle.store().check().unwrap_or_else(|e| panic!("{name}: can't check: {e}"));
        assert!(findings.is_empty(), "{name}: check says {findings:?}");
        found
    }

    /// The world of a store that holds this, known to all.
    pub fn of(&self, found: Map) -> World {
        World {
            may_be: vec![found],
            last: self.last,
            name: self.name.clone(),
            lossy: false,
            past: self.past.as_ref().map(|_| Vec::new()),
        }
    }

    fn differs(&self, found: &Map) -> String {
        let short = |map: &Map| -> BTreeMap<String, (Option<u8>, usize)> {
            map.iter().map(|(k, v)| (k.clone(), (v.first().copied(), v.len()))).collect()
        };
        let worlds: Vec<_> = self.may_be.iter().map(short).collect();
        format!("the store holds {:?}, expected one of {worlds:?}", short(found))
    }
}

fn answered(handle: &Handle) -> bool {
    !handle.process.is_dead()
}

/// After a power cut: the same disk in a machine that boots.
pub fn boot(disk: Disk, seed: u64) -> Arc<Machine> {
    Machine::boot(disk, seed, Default::default())
}
