//! What the processes of a machine do, as data: courses of operations that together reach every state of the engine.

use crate::groups;
use crate::machine::{Action, Call, EIO, ENOSPC, Plan};
use crate::world::Op;
use fastrand::Rng;

/// What happens next.
#[derive(Clone, Debug)]
pub enum Act {
    /// The process of this number does it, and opens the store if it hasn't.
    Do(usize, Op),
    /// The same at once, each on a thread of its own.
    Together(Vec<(usize, Op)>),
    Close(usize),
    Kill(usize),
    /// Whoever makes the next call of a kind on a file whose name begins so is killed before it.
    KillAt(Call, &'static str),
    /// The same, but after it, at the first step that follows.
    KillAfter(Call, &'static str),
    /// The next calls of a kind on files whose names begin so fail.
    Fail(Call, &'static str, u64, i32),
    /// The kernel writes back.
    WriteBack,
    /// The power is cut, the machine boots, and the first process opens the store.
    Cut,
}

use Act::{Close, Cut, Do, Fail, Kill, KillAfter, KillAt, Together, WriteBack};

impl Act {
    /// What is planned by it.
    pub fn plan(&self) -> Option<Plan> {
        match self {
            Act::KillAt(call, name) => Some(Plan::next(*call, name, 1, Action::Kill)),
            Act::KillAfter(call, name) => {
                let (call, name, mut was) = (*call, *name, false);
                let matches = move |c, n: &str| {
                    let after = was;
                    was |= c == call && n.starts_with(name);
                    after
                };
                Some(Plan { matches: Box::new(matches), skip: 0, times: 1, action: Action::Kill })
            }
            Act::Fail(call, name, times, errno) => Some(Plan::next(*call, name, *times, Action::Fail(*errno))),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Script {
    pub name: String,
    /// What is random on its machine: what a write or a sync that failed left.
    pub seed: u64,
    /// The store need not survive the power.
    pub os: bool,
    pub acts: Vec<Act>,
}

impl Script {
    pub fn new(name: &str, acts: Vec<Act>) -> Script {
        Script { name: name.to_owned(), seed: 1, os: name.starts_with("os"), acts }
    }

    fn seeded(self, seed: u64) -> Script {
        Script { name: format!("{}-{seed}", self.name), seed, ..self }
    }

    /// Whether calls fail in it, beside those of a twist.
    pub fn fails(&self) -> bool {
        self.acts.iter().any(|act| matches!(act, Fail(..)))
    }
}

pub fn put(key: &str, len: usize) -> Op {
    Op::Upsert("a".to_owned(), key.to_owned(), vec![len as u8; len])
}

pub fn create(key: &str, len: usize) -> Op {
    Op::Create("a".to_owned(), key.to_owned(), vec![len as u8; len])
}

pub fn delete(key: &str) -> Op {
    Op::Delete("a".to_owned(), key.to_owned())
}

pub fn batch(len: usize) -> Op {
    Op::Batch("a/b".to_owned(), ["k", "l", "m"].map(|key| (key.to_owned(), vec![7; len])).to_vec())
}

pub fn swap(key: &str, from: usize, to: usize) -> Op {
    Op::Swap("a".to_owned(), key.to_owned(), vec![from as u8; from], vec![to as u8; to])
}

/// Everything under a/b.
fn clear() -> Op {
    Op::DeleteBucket("a".to_owned(), "b".to_owned())
}

/// Fills the usual segment but for a few hundred bytes.
pub const MOST: usize = 65_000;

/// All courses but the random ones.
pub fn scripts() -> Vec<Script> {
    let seeded = |scripts: fn() -> Vec<Script>, seeds: std::ops::RangeInclusive<u64>| {
        seeds.flat_map(move |seed| scripts().into_iter().map(move |script| script.seeded(seed)))
    };
    let mut scripts = left();
    scripts.extend(seeded(left_failed, 1..=8));
    scripts.extend(seeded(faulty, 1..=3));
    scripts.extend(plain());
    scripts.extend(limits());
    scripts.extend(of_os());
    scripts.extend(seeded(groups::scripts, 1..=2));
    scripts
}

fn plain() -> Vec<Script> {
    vec![
        Script::new("first", vec![Do(0, put("k", 10)), Close(0), Do(0, put("l", 20)), Do(0, Op::Read)]),
        Script::new(
            "append",
            vec![
                Do(0, put("k", 10)),
                Do(0, put("l", 1_200)),
                Do(0, create("k", 11)),
                Do(0, swap("k", 10, 600)),
                Do(0, delete("l")),
                Do(0, batch(500)),
                Do(0, create("m", 2_000)),
                Do(0, Op::Read),
            ],
        ),
        Script::new(
            "roll",
            vec![
                Do(0, put("k", MOST)),
                Do(0, put("l", 900)),
                Do(0, put("m", 700)),
                Do(0, put("n", 70_000)),
                Do(0, put("k", 20)),
                Do(0, Op::Read),
            ],
        ),
        Script::new(
            "flush",
            vec![
                Do(0, put("k", 10)),
                Do(0, put("l", MOST)),
                Do(0, put("k", MOST)),
                Do(0, put("l", MOST + 1)),
                Do(0, put("k", 12)),
                Do(0, delete("l")),
                Do(0, Op::Read),
            ],
        ),
        Script::new(
            "merge",
            vec![
                Do(0, put("k", 10)),
                Do(0, put("l", 900)),
                Do(0, Op::Compact),
                Do(0, put("k", 11)),
                Do(0, delete("l")),
                Do(0, put("m", 5_000)),
                Do(0, Op::Compact),
                Do(0, put("k", 12)),
                Do(0, Op::Read),
            ],
        ),
        // Large values stay in the log, move into a table when little else is wanted of it, stay there, and go.
        Script::new(
            "values",
            vec![
                Do(0, put("k", 20_000)),
                Do(0, put("l", 20_001)),
                Do(0, put("m", 20_002)),
                Do(0, Op::Compact),
                Do(0, put("k", 10)),
                Do(0, put("l", 11)),
                Do(0, Op::Compact),
                Do(0, put("k", 12)),
                Do(0, Op::Compact),
                Close(0),
                Do(0, Op::Read),
                Do(0, put("m", 13)),
                Do(0, Op::Compact),
                Do(0, Op::Read),
            ],
        ),
        Script::new(
            "ranges",
            vec![
                Do(0, batch(30)),
                Do(0, put("k", 10)),
                Do(0, Op::Compact),
                Do(0, clear()),
                Do(0, batch(40)),
                Do(0, Op::Compact),
                Do(0, clear()),
                Do(0, Op::Read),
            ],
        ),
        Script::new(
            "two",
            vec![
                Do(0, put("k", 10)),
                Do(1, put("l", 600)),
                Do(0, Op::Read),
                Do(1, create("k", 11)),
                Do(0, create("m", 700)),
                Do(1, swap("m", 700, 701)),
                Do(0, delete("k")),
                Do(1, Op::Read),
                Do(1, put("k", MOST)),
                Do(0, put("m", 30)),
                Do(1, Op::Compact),
                Do(0, Op::Read),
            ],
        ),
        Script::new(
            "lives",
            vec![
                Do(0, put("k", 10)),
                Do(0, put("l", 2_000)),
                Cut,
                Do(0, put("k", 1_000)),
                Kill(0),
                Do(0, put("m", MOST)),
                Cut,
                Do(0, Op::Compact),
                Do(0, put("k", 30)),
                Cut,
                Do(0, create("n", 10)),
                Do(0, Op::Read),
            ],
        ),
    ]
}

/// A sync or a write fails, and so does what should follow.
fn faulty() -> Vec<Script> {
    let course = |name: &str, faults: &[Act]| {
        let mut acts = vec![Do(0, put("k", 10)), Do(1, put("l", 20))];
        acts.extend_from_slice(faults);
        acts.extend([Do(0, put("k", 1_300)), Do(1, Op::Read), Do(0, Op::Read), Do(1, put("l", 30))]);
        acts.extend([Do(0, put("m", 1_000)), Do(0, Op::Read)]);
        Script::new(name, acts)
    };
    let sync = Fail(Call::SyncData, "log-1", 1, EIO);
    vec![
        course("sealed", std::slice::from_ref(&sync)),
        course("sealed-late", &[sync.clone(), Fail(Call::Rename, "", 3, EIO)]),
        course("sealed-unsynced", &[sync, Fail(Call::SyncDir, "", 2, EIO)]),
        course("unwritten", &[Fail(Call::Write, "log-1", 1, EIO)]),
        course("unwritten-late", &[Fail(Call::Write, "log-1", 1, ENOSPC), Fail(Call::Rename, "", 3, EIO)]),
    ]
}

/// One process does what `faults` say, another finds what it left in the page cache.
fn finds(name: &str, faults: &[Act], then: &[Act]) -> Script {
    let mut acts = vec![Do(0, put("k", 10)), Do(1, Op::Read)];
    acts.extend_from_slice(faults);
    acts.push(Do(0, create("l", 1_300)));
    acts.extend_from_slice(then);
    acts.extend([Do(1, put("m", 30)), Do(1, Op::Read)]);
    Script::new(name, acts)
}

/// It is killed.
fn left() -> Vec<Script> {
    let unsynced = [KillAt(Call::SyncData, "log-1")];
    let unsaid = [KillAfter(Call::Write, "log-1")];
    vec![
        // Two frames in one sync.
        finds("left", &unsynced, &[]),
        finds("left-unsaid", &unsaid, &[]),
        finds("left-unsaid-stale", &unsaid, &[WriteBack, Do(1, create("l", 1_300))]),
        finds("left-adopted", &unsynced, &[Kill(1), Do(0, Op::Read)]),
        finds("left-refusing", &unsynced, &[Do(1, create("l", 700))]),
        finds("left-shown", &unsynced, &[Do(1, Op::Read)]),
        finds("left-full", &unsynced, &[Do(1, put("m", MOST)), Do(0, Op::Read)]),
    ]
}

/// Its sync fails, and it is killed before it does anything about it.
fn left_failed() -> Vec<Script> {
    let failed = [KillAfter(Call::SyncData, "log-1"), Fail(Call::SyncData, "log-1", 1, EIO)];
    vec![finds("left-failed", &failed, &[]), finds("left-failed-alone", &failed, &[Kill(1), Do(0, Op::Read)])]
}

/// No space, no durable switch.
fn limits() -> Vec<Script> {
    let mut full = vec![Do(0, put("k", 10)), Do(0, put("l", MOST)), Fail(Call::Allocate, "log-", 2, ENOSPC)];
    full.extend([Do(0, put("m", 3_000)), Do(0, put("m", 3_001)), Do(0, put("m", 3_002)), Do(0, Op::Read)]);
    let mut unmerged = vec![Do(0, put("k", 10)), Fail(Call::SyncDir, "", 1, EIO), Do(0, Op::Compact)];
    unmerged.extend([Do(0, put("k", 11)), Do(0, Op::Compact), Do(0, put("l", 12)), Do(0, Op::Read)]);
    vec![Script::new("full", full), Script::new("unmerged", unmerged)]
}

fn of_os() -> Vec<Script> {
    vec![
        Script::new(
            "os",
            vec![
                Do(0, put("k", 10)),
                Do(0, put("l", 1_200)),
                Do(1, Op::Sync),
                Do(1, put("k", 11)),
                Do(0, Op::Read),
                Do(0, delete("l")),
                Do(0, Op::Sync),
                Do(0, put("m", 12)),
            ],
        ),
        Script::new(
            "os-roll",
            vec![
                Do(0, put("k", MOST)),
                Do(0, put("l", 900)),
                Do(1, put("k", 10)),
                Do(0, Op::Compact),
                Do(0, put("l", 30)),
                Do(0, Op::Read),
            ],
        ),
        Script::new(
            "os-fails",
            vec![
                Do(0, put("k", 10)),
                Do(0, put("l", 1_200)),
                Fail(Call::SyncData, "log-1", 1, EIO),
                Do(0, Op::Sync),
                Do(0, put("m", 11)),
                Do(0, Op::Sync),
                Do(0, put("k", 12)),
            ],
        ),
    ]
}

/// A course that nobody thought of.
pub fn random(seed: u64) -> Script {
    let mut rng = Rng::with_seed(seed);
    let os = rng.u8(..5) == 0;
    let mut acts = Vec::new();
    for number in 0..rng.u64(6..16) {
        let who = rng.usize(..2);
        acts.push(match rng.u8(..30) {
            0 => Close(who),
            1..=2 => Kill(who),
            3 => WriteBack,
            4 if !os => Fail(Call::SyncData, "log-", rng.u64(1..3), EIO),
            5 if !os => Fail(Call::Write, "log-", 1, [EIO, ENOSPC][rng.usize(..2)]),
            6 if !os => Fail([Call::Rename, Call::SyncDir, Call::Allocate][rng.usize(..3)], "", 1, EIO),
            7 => Cut,
            8..=10 => Together((0..3).map(|n| (rng.usize(..2), Op::random(&mut rng, 3 * number + n))).collect()),
            _ => Do(who, Op::random(&mut rng, 3 * number)),
        });
    }
    Script { name: format!("{}random-{seed}", if os { "os-" } else { "" }), seed, os, acts }
}

/// The script of a name.
pub fn named(name: &str) -> Option<Script> {
    match name.rsplit_once("random-") {
        Some((_, seed)) => Some(random(seed.parse().ok()?)),
        None => scripts().into_iter().find(|script| script.name == name),
    }
}
