//! Threads of several processes at once, while syncs and writes fail, processes are killed and the power is cut. Each thread
//! counts upwards in keys of its own, so that for each key what was promised, refused and seen is one number.

use dirkv::Code;
use dirkv::backend::NewItem;
use dirkv_sim::machine::{Action, Call, EIO, Machine, Plan};
use dirkv_sim::world::{Handle, boot};
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::scope;
use std::time::{Duration, Instant};

const SHARED_KEYS: usize = 12;

/// What one thread was told.
#[derive(Default)]
struct Told {
    key: String,
    /// The greatest number whose change was promised, tried, and those that were refused.
    promised: u64,
    tried: u64,
    refused: BTreeSet<u64>,
    /// The greatest number seen of each thread's keys.
    seen: BTreeMap<String, u64>,
    /// Shared keys of which it was told that they are there.
    there: BTreeSet<String>,
}

fn number(value: &[u8]) -> u64 {
    u64::from_le_bytes(*value.first_chunk().expect("eight bytes"))
}

/// Writes its two keys together, creates shared keys, reads everybody's.
fn work(handle: &Handle, key: String, mut rng: Rng) -> Told {
    let mut told = Told { key, ..Told::default() };
    for n in 1..200 {
        let len = [8, 100, 3_000, 20_000][rng.usize(..4)];
        let mut value = u64::to_le_bytes(n).to_vec();
        value.resize(len, 1);
        told.tried = n;
        let items = ["x", "y"].map(|key| NewItem { key: key.as_bytes(), value: &value, ttl: 0 });
        match handle.call(|store| store.upsert_items(&told.key, &items)) {
            Some(Ok(_)) => told.promised = n,
            Some(Err(e)) if e.code == Code::Uncertain => (),
            Some(Err(e)) => {
                assert!(matches!(e.code, Code::Io | Code::Timeout), "{e}");
                told.refused.insert(n);
            }
            None => return told,
        }
        let shared = format!("shared-{}", rng.usize(..SHARED_KEYS));
        match handle.call(|store| store.create("", &shared, b"12345678", 0)) {
            Some(Ok(_)) => drop(told.there.insert(shared)),
            Some(Err(e)) if e.code == Code::AlreadyExists => drop(told.there.insert(shared)),
            Some(Err(e)) => assert!(matches!(e.code, Code::Io | Code::Timeout | Code::Uncertain), "{e}"),
            None => return told,
        }
        match handle.call(|store| store.items("", None, 0, true)) {
            Some(Ok(items)) => items.iter().for_each(|item| {
                let seen = told.seen.entry(item.name.clone()).or_default();
                assert!(*seen <= number(&item.value), "{} went back", item.name);
                *seen = number(&item.value);
            }),
            Some(Err(e)) => assert!(e.code == Code::Io, "{e}"),
            None => return told,
        }
    }
    told
}

/// What is there now against what anybody was told.
fn judge(name: &str, handle: &Handle, told: &[Told]) {
    let items = handle.store().items("", None, 0, true).unwrap_or_else(|e| panic!("{name}: {e}"));
    let there: BTreeMap<String, u64> = items.into_iter().map(|item| (item.name, number(&item.value))).collect();
    for Told { key, promised, tried, refused, .. } in told {
        let [x, y] = ["x", "y"].map(|part| there.get(&format!("{key}/{part}")).copied().unwrap_or(0));
        assert_eq!(x, y, "{name}: half a batch of {key}");
        assert!(promised <= &x && &x <= tried, "{name}: {key} is at {x}, promised {promised}, tried {tried}");
        assert!(!refused.contains(&x), "{name}: {key} is at {x}, which was refused");
    }
    for one in told {
        for (key, seen) in &one.seen {
            let now = there.get(key);
            assert!(now >= Some(seen), "{name}: {key} is at {now:?}, but somebody saw {seen}");
            let owner = told.iter().find(|t| key.starts_with(&format!("{}/", t.key)));
            assert!(
                owner.is_none_or(|t| !t.refused.contains(seen)),
                "{name}: {key} was seen at {seen}, which was refused"
            );
        }
        let lost: Vec<_> = one.there.iter().filter(|key| !there.contains_key(*key)).collect();
        assert!(lost.is_empty(), "{name}: somebody was told that {lost:?} are there");
    }
    let findings = handle.store().check().unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(findings.is_empty(), "{name}: check says {findings:?}");
}

fn run(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let name = format!("seed {seed} (threads: it may take several runs)");
    let machine = Machine::new(rng.u64(..));
    let settings: &[(&str, &str)] = &[("lock_timeout", "2s")];
    let open =
        |machine: &Arc<Machine>| Handle::open(machine, settings).unwrap().unwrap_or_else(|e| panic!("{name}: {e}"));
    let handles: Vec<Handle> = (0..rng.usize(1..4)).map(|_| open(&machine)).collect();
    machine.slow.store(true, SeqCst);
    machine.plan(Plan::nth(rng.u64(50..1_500), Action::Cut));
    for _ in 0..rng.usize(..3) {
        let call = [Call::SyncData, Call::SyncData, Call::Write, Call::SyncDir][rng.usize(..4)];
        let matches = Box::new(move |c, name: &str| c == call && !name.starts_with("SHARED"));
        machine.also_plan(Plan { matches, skip: rng.u64(..60), times: 1, action: Action::Fail(EIO) });
    }
    if rng.bool() {
        let matches = Box::new(|_, _: &str| true);
        machine.also_plan(Plan { matches, skip: rng.u64(..4_000), times: 1, action: Action::Kill });
    }
    let told: Vec<Told> = scope(|threads| {
        let mut running = Vec::new();
        for (i, handle) in handles.iter().enumerate() {
            for j in 0..2 {
                let rng = Rng::with_seed(rng.u64(..));
                running.push(threads.spawn(move || work(handle, format!("thread-{i}{j}"), rng)));
            }
        }
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| panic!("{name}"))).collect()
    });
    let disk = machine.cut();
    drop(handles);
    let again = boot(disk, seed);
    judge(&name, &open(&again), &told);
    judge(&name, &open(&boot(again.cut(), seed)), &told);
}

#[test]
fn threads_of_several_processes_keep_every_promise() {
    let began = Instant::now();
    let mut seeds = 0..std::env::var("DIRKV_THREAD_SEEDS").map_or(300, |n| n.parse().unwrap());
    while began.elapsed() < Duration::from_secs(30) || seeds.end > 300 {
        let Some(seed) = seeds.next() else { return };
        run(seed);
    }
}
