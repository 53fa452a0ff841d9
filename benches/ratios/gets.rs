//! Warm gets of 1 KiB against a map in memory; system calls counted by strace.

use super::support::{Bench, Numbers, open, report, seconds};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::RwLock;

/// Short turns, many of them: whatever disturbs the machine for a while disturbs both sides.
const GETS: u64 = 10_000;
const TURNS: u64 = 61;

pub fn run(bench: &Bench) {
    for (keys, place) in [(1_000, "in the log"), (10_000, "mostly in tables")] {
        let line = format!("warm get of 1 KiB, {keys} keys ({place}) / RwLock<HashMap>");
        if bench.wants(&line) {
            let directory = bench.directory();
            let path = directory.path().join("store");
            let names = fill(&path, keys);
            report(&line, turns(&path, &names), "<= 1.5");
        }
    }
    let line = "system calls for each warm get";
    if bench.wants(line) {
        let directory = bench.directory();
        let path = directory.path().join("store");
        fill(&path, 1_000);
        match (system_calls(&path, 1_000), system_calls(&path, 101_000)) {
            (Some(few), Some(many)) => report(line, vec![(many - few) / 100_000.0], "0"),
            _ => println!("{line}: skipped, strace can't be run"),
        }
    }
}

fn fill(path: &Path, keys: u64) -> Vec<String> {
    let store = open(path, &[("sync", "os"), ("background", "off")]);
    let names: Vec<String> = (0..keys).map(|i| format!("key-{i:08}")).collect();
    for name in &names {
        store.upsert("bench", name, [5u8; 1024].as_slice(), 0).expect("an upsert");
    }
    if keys > 8_000 {
        store.compact().expect("a compaction");
    }
    names
}

/// Both sides copy the value to a fresh allocation, as `dirkv_get_val` does.
fn turns(path: &Path, names: &[String]) -> Vec<f64> {
    let store = open(path, &[]);
    let map: RwLock<HashMap<String, Vec<u8>>> =
        RwLock::new(names.iter().map(|name| (format!("bench/{name}"), vec![5u8; 1024])).collect());
    let full: Vec<String> = names.iter().map(|name| format!("bench/{name}")).collect();
    for name in names {
        store.get("bench", name).expect("a value");
    }
    let ours = |mut pick: Numbers| {
        seconds(|| {
            for _ in 0..GETS {
                let value = store.get("bench", &names[pick.below(names.len() as u64) as usize]).expect("a value");
                std::hint::black_box(&value);
            }
        })
    };
    let theirs = |mut pick: Numbers| {
        seconds(|| {
            for _ in 0..GETS {
                let value = map.read().expect("a lock").get(&full[pick.below(names.len() as u64) as usize]).cloned();
                std::hint::black_box(&value);
            }
        })
    };
    (0..TURNS).map(|turn| ours(Numbers(turn)) / theirs(Numbers(turn))).collect()
}

fn system_calls(path: &Path, gets: u64) -> Option<f64> {
    let program = std::env::current_exe().ok()?;
    let job = format!("get {} {gets}", path.display());
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-U", "calls,name"]).arg(program).env("DIRKV_BENCH_CHILD", job);
    let mut child = strace.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().ok()?;
    let mut text = String::new();
    child.stderr.as_mut()?.read_to_string(&mut text).ok()?;
    child.wait().ok()?.success().then_some(())?;
    text.lines().find(|l| l.trim_end().ends_with("total"))?.split_whitespace().next()?.parse().ok()
}

pub fn child(path: &str, count: &str) {
    let store = open(Path::new(path), &[]);
    for i in 0..count.parse::<u64>().expect("a number") {
        store.get("bench", format!("key-{:08}", i % 1_000)).expect("a value");
    }
}
