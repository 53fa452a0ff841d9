//! SIGKILL at any instant of writers, compactors and openers: what was acknowledged is there afterwards, every batch whole,
//! nothing else but the one change in progress; the others go on, and `check` is clean.
//!
//! `DIRKV_TORTURE_SECONDS` makes it last so long and tries every system call, as far as it comes; `DIRKV_TEST_SEED` repeats a run.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use dirkv::backend::NewItem;
use dirkv::{Backend, Code};
use fastrand::Rng;
use support::allotted::{each_in_time, torture};
use support::{Child, Part, assert_clean, dump, has, open, seed, skipped};

#[test]
fn child() {
    support::play(&[("writer", writer), ("compactor", compactor), ("opener", opener), ("fixed", fixed)]);
}

type Map = BTreeMap<String, Vec<u8>>;

/// The n-th change of a writer: decided by its number alone, so that the parent can say what must be there.
enum Change {
    Put(String, Vec<u8>),
    Batch(Vec<(String, Vec<u8>)>),
    Delete(String),
    Clear,
}

fn change(writer: u64, n: u64) -> Change {
    let mut rng = Rng::with_seed(writer << 48 | n);
    let key = |rng: &mut Rng| format!("k{:03}", rng.u32(..60));
    match rng.u32(..100) {
        0..50 => {
            let len = if rng.u32(..12) == 0 { rng.usize(4000..20_000) } else { rng.usize(..300) };
            Change::Put(key(&mut rng), value(n, len))
        }
        50..80 => {
            let count = rng.usize(2..40);
            Change::Batch((0..count).map(|i| (format!("b{i:02}"), value(n, 40))).collect())
        }
        80..98 => Change::Delete(key(&mut rng)),
        _ => Change::Clear,
    }
}

fn value(n: u64, len: usize) -> Vec<u8> {
    let mut value = n.to_le_bytes().to_vec();
    let mut rng = Rng::with_seed(n);
    value.resize_with(8 + len, || rng.u8(..));
    value
}

/// What the n-th change makes of a writer's bucket.
fn apply(model: &mut Map, writer: u64, n: u64) {
    match change(writer, n) {
        Change::Put(key, value) => drop(model.insert(format!("w{writer}/{key}"), value)),
        Change::Batch(items) => {
            model.extend(items.into_iter().map(|(key, value)| (format!("w{writer}/batch/{key}"), value)));
        }
        Change::Delete(key) => drop(model.remove(&format!("w{writer}/{key}"))),
        Change::Clear => model.clear(),
    }
}

fn perform(store: &Backend, writer: u64, n: u64) {
    let bucket = format!("w{writer}");
    let absent_is_fine = |e: dirkv::Error| assert_eq!(e.code, Code::NotFound, "{e}");
    match change(writer, n) {
        Change::Put(key, value) => drop(store.upsert(&bucket, &key, &value, 0).unwrap()),
        Change::Batch(items) => {
            let items: Vec<_> =
                items.iter().map(|(key, value)| NewItem { key: key.as_bytes(), value, ttl: 0 }).collect();
            store.upsert_items(format!("{bucket}/batch"), &items).unwrap();
        }
        Change::Delete(key) => store.delete(&bucket, &key).unwrap_or_else(absent_is_fine),
        Change::Clear => store.delete_bucket("", &bucket).unwrap_or_else(absent_is_fine),
    }
}

fn writer(part: &Part) {
    let (id, first) = (part.number("id"), part.number("first"));
    let store = open(&part.path);
    for n in first.. {
        part.report(format_args!("begin {n}"));
        perform(&store, id, n);
        part.report(format_args!("done {n}"));
    }
}

fn compactor(part: &Part) {
    let store = open(&part.path);
    loop {
        part.report("compacting");
        store.compact().unwrap();
        std::thread::sleep(Duration::from_millis(3));
    }
}

fn opener(part: &Part) {
    loop {
        part.report("opening");
        let store = open(&part.path);
        store.items("", None, 5, true).unwrap();
        if fastrand::bool() {
            store.upsert("openers", "last", b"opened", 0).unwrap();
        }
    }
}

/// A writer as the parent knows it.
struct Writer {
    id: u64,
    child: Option<Child>,
    /// What its bucket held after the first `done` changes.
    model: Map,
    done: u64,
    /// The change in progress is at most this one.
    begun: u64,
}

impl Writer {
    fn start(id: u64, path: &Path) -> Writer {
        let mut writer = Writer { id, child: None, model: Map::new(), done: 0, begun: 0 };
        writer.go_on(path);
        writer
    }

    fn go_on(&mut self, path: &Path) {
        let settings = [("id", self.id.to_string()), ("first", (self.done + 1).to_string())];
        self.child = Some(Child::start("writer", path, &settings));
    }

    fn hear(&mut self, lines: Vec<String>) {
        for line in lines {
            let (what, n) = line.split_once(' ').unwrap();
            let n = n.parse().unwrap();
            if what == "begin" {
                self.begun = n;
            } else {
                assert_eq!(n, self.done + 1);
                apply(&mut self.model, self.id, n);
                self.done = n;
            }
        }
    }

    fn kill(&mut self) {
        let child = self.child.take().unwrap();
        let said = child.kill();
        self.hear(said);
    }

    /// What is there is what was acknowledged, and perhaps the change in progress.
    fn verify(&mut self, all: &Map) {
        let prefix = format!("w{}/", self.id);
        let there: Map = all.range(prefix.clone()..).take_while(|(k, _)| k.starts_with(&prefix)).map(own).collect();
        if there == self.model {
            return;
        }
        assert_eq!(self.begun, self.done + 1, "{}", difference(&there, &self.model, self.done));
        let before = self.model.clone();
        apply(&mut self.model, self.id, self.begun);
        assert!(
            there == self.model,
            "neither {}\nnor {}",
            difference(&there, &before, self.done),
            difference(&there, &self.model, self.begun)
        );
        self.done = self.begun;
    }
}

fn own((key, value): (&String, &Vec<u8>)) -> (String, Vec<u8>) {
    (key.clone(), value.clone())
}

fn difference(there: &Map, wanted: &Map, n: u64) -> String {
    let show = |map: &Map, key: &String| {
        let value = map.get(key)?;
        Some((u64::from_le_bytes(*value.first_chunk()?), value.len()))
    };
    let keys: std::collections::BTreeSet<_> = there.keys().chain(wanted.keys()).collect();
    let differ = keys.into_iter().filter(|key| there.get(*key) != wanted.get(*key));
    let lines: Vec<_> =
        differ.map(|key| format!("{key}: there {:?}, wanted {:?}", show(there, key), show(wanted, key))).collect();
    format!("after change {n}: {lines:#?}")
}

/// The processes that take turns in dying.
struct Theatre<'a> {
    path: &'a Path,
    writers: Vec<Writer>,
    others: Vec<(&'static str, Child)>,
    rng: Rng,
    kills: u32,
}

const WRITERS: u64 = 3;

impl<'a> Theatre<'a> {
    fn new(path: &'a Path, rng: Rng) -> Theatre<'a> {
        let writers = (1..=WRITERS).map(|id| Writer::start(id, path)).collect();
        let others = ["compactor", "opener"].map(|part| (part, Child::start(part, path, &[]))).into();
        Theatre { path, writers, others, rng, kills: 0 }
    }

    /// Lets everybody work for a while; sometimes no longer than an open takes.
    fn wait(&mut self) {
        let most = if self.rng.bool() { 3_000 } else { 40_000 };
        std::thread::sleep(Duration::from_micros(self.rng.u64(..most)));
    }

    /// Kills one, and has it played by another after the parent has looked.
    fn kill_one(&mut self, store: &Backend) {
        self.kills += 1;
        match self.rng.usize(..self.writers.len() + self.others.len()) {
            n if n < self.writers.len() => {
                self.writers[n].kill();
                // Whatever was appended is committed with the next commit.
                store.upsert("parent", "kills", &self.kills.to_le_bytes(), 0).unwrap();
                let all = dump(store);
                self.writers[n].verify(&all);
                self.writers[n].go_on(self.path);
            }
            n => {
                let (part, child) = self.others.swap_remove(n - self.writers.len());
                child.kill();
                store.upsert("parent", "kills", &self.kills.to_le_bytes(), 0).unwrap();
                self.others.push((part, Child::start(part, self.path, &[])));
            }
        }
    }

    /// Kills everybody, so that whoever comes next has to recover.
    fn kill_all(&mut self) {
        for writer in &mut self.writers {
            writer.kill();
        }
        self.kills += u32::try_from(self.writers.len() + self.others.len()).unwrap();
        self.others.drain(..).for_each(|(_, child)| drop(child.kill()));
        let store = open(self.path);
        let all = dump(&store);
        for writer in &mut self.writers {
            writer.verify(&all);
        }
        assert_clean(&store);
        drop(store);
        assert_eq!(dump(&open(self.path)), all, "recovered a second time");
        for part in ["compactor", "opener"] {
            self.others.push((part, Child::start(part, self.path, &[])));
        }
        self.writers.iter_mut().for_each(|writer| writer.go_on(self.path));
    }
}

#[test]
fn nothing_acknowledged_is_lost_by_kills() {
    let until = torture().map(|time| Instant::now() + time);
    let dir = tempfile::tempdir().unwrap();
    let mut theatre = Theatre::new(dir.path(), Rng::with_seed(seed()));
    while until.map_or(theatre.kills < 240, |until| theatre.kills == 0 || Instant::now() < until) {
        let store = open(dir.path());
        for _ in 0..theatre.rng.u32(5..20) {
            theatre.wait();
            theatre.kill_one(&store);
        }
        assert_clean(&store);
        drop(store);
        theatre.wait();
        theatre.kill_all();
    }
    let changes: u64 = theatre.writers.iter().map(|writer| writer.done).sum();
    println!("{} kills, {changes} changes", theatre.kills);
    assert!(changes > if until.is_some() { 0 } else { 100 }, "the writers did nothing: {changes}");
    theatre.kill_all();
    theatre.others.clear();
    theatre.writers.clear();
    let store = open(dir.path());
    store.compact().unwrap();
    assert_clean(&store);
    for n in 0..100u32 {
        store.upsert("after", n.to_string(), &n.to_le_bytes(), 0).unwrap();
    }
}

/// The same few changes each time, over a roll and a merge.
fn fixed(part: &Part) {
    let store = dirkv::Backend::open(&support::params(&part.path, &[("background", "off")])).unwrap();
    for n in 1..=24 {
        part.report(format_args!("begin {n}"));
        perform(&store, 9, n);
        part.report(format_args!("done {n}"));
        if n % 8 == 0 {
            store.compact().unwrap();
        }
    }
    store.close();
}

#[test]
fn killed_at_the_nth_system_call() {
    if !has("strace") {
        return skipped("killed_at_the_nth_system_call", "needs strace");
    }
    let calls: [(&str, &[u32]); 8] = [
        ("openat", &[12, 16, 20, 24, 28, 34]),
        ("flock", &[1, 2, 3, 4, 7, 12, 30]),
        ("pwrite64", &[1, 2, 3, 4, 5, 6, 8, 15, 30, 40]),
        ("fdatasync", &[1, 2, 3, 4, 5, 6, 8, 15, 30, 40]),
        ("fsync", &[1, 2, 3, 4, 5, 6, 8, 10, 12]),
        ("renameat", &[1, 2, 3, 4, 5]),
        ("fallocate", &[1, 2, 3, 4]),
        ("unlinkat", &[1, 2, 3, 4, 6, 8]),
    ];
    let all: Vec<u32> = (1..120).collect();
    let times = |times| if torture().is_some() { all.clone() } else { Vec::from(times) };
    let cases: Vec<_> = calls.iter().flat_map(|(call, few)| times(*few).into_iter().map(move |n| (call, n))).collect();
    let mut died = 0;
    let whole = each_in_time("killed_at_the_nth_system_call", cases, |(call, n)| died += u32::from(killed_at(call, n)));
    assert!(!whole || died >= 30, "only {died} were killed: are the names of the system calls right?");
}

/// Whether the child got so far.
fn killed_at(call: &str, n: u32) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let inject = format!("inject={call}:signal=KILL:when={n}");
    let trace = format!("trace={call}");
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let (said, status) = Child::spawn("fixed", Child::command_under(&strace, "fixed", &path, &[])).end();
    let mut seen = Writer { id: 9, child: None, model: Map::new(), done: 0, begun: 0 };
    seen.hear(said);
    let store = open(&path);
    seen.verify(&dump(&store));
    assert_clean(&store);
    for n in seen.done + 1..seen.done + 20 {
        perform(&store, 9, n);
        apply(&mut seen.model, 9, n);
    }
    store.compact().unwrap();
    seen.verify(&dump(&store));
    assert_clean(&store);
    !status.success()
}
