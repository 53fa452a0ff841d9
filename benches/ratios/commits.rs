//! Durable commits: one thread against the bare system calls, many threads and processes against one.

use super::support::{Bench, ROUNDS, counter, open, report, seconds, spawn};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

const VALUE: [u8; 200] = [7; 200];
const COUNT: usize = 3_000;

pub fn run(bench: &Bench) {
    let line = "durable upsert of 200 B, 1 thread / pwrite + fdatasync";
    if bench.wants(line) {
        let (mut ratios, mut syncs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let directory = bench.directory();
            let raw = bare(directory.path());
            let (ours, per_commit) = one_thread(directory.path());
            ratios.push(ours / raw);
            syncs.push(per_commit);
        }
        report(line, ratios, "<= 1.15");
        report("fdatasyncs for each of these commits", syncs, "1");
    }
    for (line, threads, wanted) in [("8 threads / 1 thread, commits/s", 8, ">= 3")] {
        if bench.wants(line) {
            report(line, (0..ROUNDS).map(|_| many_threads(bench, threads)).collect(), wanted);
        }
    }
    let lines = [
        ("2 processes / 1 process, commits/s", 2, ""),
        ("4 processes / 1 process, commits/s", 4, ">= 1.8"),
        ("8 processes / 1 process, commits/s", 8, ">= 3"),
    ];
    for (line, processes, wanted) in lines {
        if bench.wants(line) {
            report(line, (0..ROUNDS).map(|_| many_processes(bench, processes)).collect(), wanted);
        }
    }
}

/// The same bytes as a frame of ours has, in a file whose blocks are allocated ahead.
fn bare(directory: &Path) -> f64 {
    let file = File::create(directory.join("bare")).expect("a file");
    let frame = [1u8; 32 + 18 + 20 + 200];
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 8 << 20).expect("blocks");
    file.sync_all().expect("a sync");
    seconds(|| {
        for i in 0..COUNT {
            file.write_all_at(&frame, (i * frame.len()) as u64).expect("a write");
            file.sync_data().expect("a sync");
        }
    })
}

fn one_thread(directory: &Path) -> (f64, f64) {
    let store = open(&directory.join("store"), &[]);
    store.upsert("bench", "warm", VALUE.as_slice(), 0).expect("an upsert");
    let counters = || (counter(&store, "syncs"), counter(&store, "commits"));
    let before = counters();
    let took = seconds(|| {
        for i in 0..COUNT {
            store.upsert("bench", format!("key-{i:08}"), VALUE.as_slice(), 0).expect("an upsert");
        }
    });
    let after = counters();
    (took, (after.0 - before.0) as f64 / (after.1 - before.1) as f64)
}

/// Commits a second by so many threads, over those of one.
fn many_threads(bench: &Bench, threads: usize) -> f64 {
    let directory = bench.directory();
    let store = open(&directory.path().join("store"), &[]);
    let work = |thread: usize, count: usize| {
        for i in 0..count {
            store.upsert("bench", format!("{thread}-{i:08}"), VALUE.as_slice(), 0).expect("an upsert");
        }
    };
    let alone = COUNT as f64 / seconds(|| work(0, COUNT));
    let all = seconds(|| std::thread::scope(|s| (0..threads).for_each(|t| drop(s.spawn(move || work(t, COUNT))))));
    (threads * COUNT) as f64 / all / alone
}

fn many_processes(bench: &Bench, processes: usize) -> f64 {
    let directory = bench.directory();
    let path = directory.path().join("store");
    let _keeps_it_open = open(&path, &[]);
    let alone = COUNT as f64 / timed(&path, 1);
    (processes * COUNT) as f64 / timed(&path, processes) / alone
}

/// Seconds from the start of all, once all have opened the store, to the end of the last.
fn timed(path: &Path, processes: usize) -> f64 {
    let job = |who| format!("commit {} {who} {COUNT}", path.display());
    let mut children: Vec<_> = (0..processes).map(|who| spawn(&job(who))).collect();
    let mut byte = [0];
    for child in &mut children {
        child.stdout.as_mut().expect("a pipe").read_exact(&mut byte).expect("ready");
    }
    seconds(|| {
        for child in &mut children {
            child.stdin.as_mut().expect("a pipe").write_all(b"g").expect("go");
        }
        for child in &mut children {
            assert!(child.wait().expect("a child").success());
        }
    })
}

pub fn child(path: &str, who: &str, count: &str) {
    let store = open(Path::new(path), &[]);
    let mut byte = [0];
    std::io::stdout().write_all(b"r").and_then(|()| std::io::stdout().flush()).expect("ready");
    std::io::stdin().read_exact(&mut byte).expect("go");
    for i in 0..count.parse::<usize>().expect("a number") {
        store.upsert("bench", format!("{who}-{i:08}"), VALUE.as_slice(), 0).expect("an upsert");
    }
}
