//! What a simulated thread does and is told. The store is small enough to be one value: twelve places, each with the number of
//! the value there, and one lock. Numbers are never used twice, so that whoever sees one knows who wrote it.

use dirkv::backend::{Item, NewItem};
use dirkv::{Backend, Code, Error, Result};
use fastrand::Rng;

const BUCKETS: [&str; 3] = ["", "a", "a/b"];
const KEYS: [&str; 4] = ["k", "l", "m", "n"];
/// How many keys there are in all.
pub const PLACES: usize = BUCKETS.len() * KEYS.len();
const TOKEN: &str = "token";
/// No lease ends by itself before a run does.
const LEASE: i64 = 59_000_000_000;
/// How long whoever wants the lock waits for it, in nanoseconds.
const PATIENCE: i64 = 5_000_000;

/// A place: bucket and key.
pub type Place = usize;
/// The number of a value; 0 is none.
pub type Id = u32;

/// One operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    Upsert(Place, Id),
    Create(Place, Id),
    /// Puts the value if the one that is there is the one that this thread saw last.
    Swap(Place, Id),
    /// The same by revision.
    PutIf(Place, Id),
    Delete(Place),
    /// The bucket `a`, or `a/b`.
    DeleteBucket(usize),
    /// All keys of a bucket at once.
    Batch(usize, Id),
    Get(Place),
    List,
    Acquire,
    Release,
    Compact,
    Sync,
}

/// Where it lies, and which it is.
fn name(place: Place) -> (&'static str, &'static str) {
    (BUCKETS[place / KEYS.len()], KEYS[place % KEYS.len()])
}

fn place(path: &str) -> Option<Place> {
    let (bucket, key) = path.rsplit_once('/').unwrap_or(("", path));
    let bucket = BUCKETS.iter().position(|b| *b == bucket)?;
    Some(bucket * KEYS.len() + KEYS.iter().position(|k| *k == key)?)
}

/// The places of one bucket.
pub fn bucket(number: usize) -> std::ops::Range<Place> {
    number * KEYS.len()..(number + 1) * KEYS.len()
}

/// Large and small ones: in a sector, over several, and one for which its segment stays.
fn value(id: Id) -> Vec<u8> {
    let len = [8, 8, 40, 600, 600, 3_000, 5_000, 20_000, 60_000][id as usize % 9];
    let mut value = vec![id as u8; len];
    value[..4].copy_from_slice(&id.to_le_bytes());
    value
}

/// Which value these bytes are; any other is a value that nobody wrote.
fn id(bytes: &[u8]) -> Option<Id> {
    let id = Id::from_le_bytes(*bytes.first_chunk()?);
    (value(id) == bytes).then_some(id)
}

impl Op {
    /// Any; `id` is the number of its value.
    pub fn random(rng: &mut Rng, id: Id) -> Op {
        // Few places, so that threads meet.
        let place = [0, 1, 4, 5, 8, 9][rng.usize(..6)];
        match rng.u8(..40) {
            0..=7 => Op::Upsert(place, id),
            8..=12 => Op::Create(place, id),
            13..=16 => Op::Swap(place, id),
            17..=18 => Op::PutIf(place, id),
            19..=21 => Op::Delete(place),
            22 => Op::DeleteBucket(1 + rng.usize(..2)),
            23..=25 => Op::Batch(rng.usize(..3), id),
            26..=31 => Op::Get(place),
            32..=34 => Op::List,
            35 => Op::Acquire,
            36 => Op::Release,
            37..=38 => Op::Compact,
            _ => Op::Sync,
        }
    }
}

impl Op {
    /// A change of one of two places by a short value, a look at them, or a seal.
    pub fn small(rng: &mut Rng, id: Id) -> Op {
        // Numbers of values of eight bytes.
        let (place, id) = (rng.usize(..2), id * 8);
        match rng.u8(..12) {
            0..=4 => Op::Upsert(place, id),
            5..=6 => Op::Create(place, id),
            7 => Op::Delete(place),
            8 => Op::Get(place),
            9 => Op::List,
            10 => Op::Swap(place, id),
            _ => Op::Compact,
        }
    }
}

/// A value as somebody saw it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    pub place: Place,
    pub id: Id,
    pub revision: u64,
}

/// What a call was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// It happened; with the revision, 0 if the call tells none.
    Done(u64),
    /// The condition doesn't hold.
    Refused,
    /// An error that says that nothing happened.
    Nothing(Code),
    /// What a get found.
    Found(Option<Seen>),
    /// What a listing found.
    Listed(Vec<Seen>),
    /// It may or may not have happened, or may yet.
    Unknown,
}

/// A call, as the engine was called: with what the thread knew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    pub op: Op,
    /// Of a swap: the value and revision that have to be there; of a release: the fence.
    pub expected: (Id, u64),
}

/// What a thread remembers from one operation to the next.
#[derive(Default)]
pub struct Memory {
    seen: [(Id, u64); PLACES],
    fence: u64,
}

impl Memory {
    /// What the operation is with what this thread knows; `None` if it has nothing to do.
    pub fn call(&self, op: &Op) -> Option<Call> {
        let expected = match *op {
            Op::Swap(place, _) | Op::PutIf(place, _) => self.seen[place],
            Op::Release if self.fence == 0 => return None,
            Op::Acquire if self.fence != 0 => return None,
            Op::Release => (0, self.fence),
            _ => (0, 0),
        };
        // There is no value to swap for which was never seen.
        (!matches!(op, Op::Swap(..)) || expected.0 != 0).then(|| Call { op: op.clone(), expected })
    }

    /// Takes in what it was told.
    pub fn learn(&mut self, call: &Call, told: &Told) {
        match (&call.op, told) {
            (
                Op::Upsert(place, id) | Op::Create(place, id) | Op::Swap(place, id) | Op::PutIf(place, id),
                Told::Done(r),
            ) => {
                self.seen[*place] = (*id, *r);
            }
            (Op::Get(place), Told::Found(seen)) => self.seen[*place] = seen.map_or((0, 0), |s| (s.id, s.revision)),
            (Op::List, Told::Listed(all)) => {
                self.seen = Default::default();
                all.iter().for_each(|s| self.seen[s.place] = (s.id, s.revision));
            }
            (Op::Acquire, Told::Done(fence)) => self.fence = *fence,
            (Op::Release, _) => self.fence = 0,
            _ => (),
        }
    }
}

fn seen(path: &str, item: &Item) -> Seen {
    let known = place(path).zip(id(&item.value));
    let (place, id) = known.unwrap_or_else(|| panic!("{path} holds {} bytes that nobody wrote", item.value.len()));
    Seen { place, id, revision: item.revision }
}

impl Call {
    /// Calls the store.
    pub fn make(&self, store: &Backend) -> Told {
        let told = match &self.op {
            Op::Get(place) => {
                let (bucket, key) = name(*place);
                match store.get_item(bucket, key) {
                    Ok(item) => Ok(Told::Found(Some(seen(format!("{bucket}/{key}").trim_start_matches('/'), &item)))),
                    Err(e) if e.code == Code::NotFound => Ok(Told::Found(None)),
                    Err(e) => Err(e),
                }
            }
            Op::List => store
                .items("", None, 0, true)
                .map(|items| Told::Listed(items.iter().map(|item| seen(&item.name, item)).collect())),
            _ => self.change(store).map(Told::Done),
        };
        told.unwrap_or_else(|e| self.refusal(&e))
    }

    fn change(&self, store: &Backend) -> Result<u64> {
        match &self.op {
            Op::Upsert(at, id) => store.upsert(name(*at).0, name(*at).1, &value(*id), 0),
            Op::Create(at, id) => store.create(name(*at).0, name(*at).1, &value(*id), 0),
            Op::Swap(at, id) => {
                store.compare_and_swap(name(*at).0, name(*at).1, &value(*id), &value(self.expected.0), 0)
            }
            Op::PutIf(at, id) => store.put_if_revision(name(*at).0, name(*at).1, &value(*id), self.expected.1, 0),
            Op::Delete(at) => store.delete(name(*at).0, name(*at).1).map(|()| 0),
            Op::DeleteBucket(1) => store.delete_bucket("", "a").map(|()| 0),
            Op::DeleteBucket(_) => store.delete_bucket("a", "b").map(|()| 0),
            Op::Batch(number, id) => {
                let value = value(*id);
                let items = KEYS.map(|key| NewItem { key: key.as_bytes(), value: &value, ttl: 0 });
                store.upsert_items(BUCKETS[*number], &items)
            }
            Op::Acquire => store.acquire_lock(TOKEN, LEASE, PATIENCE),
            Op::Release => store.release_lock(TOKEN, self.expected.1).map(|()| 0),
            Op::Compact => store.compact().map(|()| 0),
            Op::Sync => store.sync().map(|()| 0),
            Op::Get(_) | Op::List => Ok(0),
        }
    }

    fn refusal(&self, e: &Error) -> Told {
        match e.code {
            Code::AlreadyExists | Code::NotFound | Code::CompareFailed => Told::Refused,
            Code::Uncertain => Told::Unknown,
            Code::Io | Code::NoSpace | Code::Timeout => Told::Nothing(e.code),
            _ => panic!("{:?}: {e}", self.op),
        }
    }
}
