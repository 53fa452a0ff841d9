//! 1,000,000 items of 200 bytes: load, open, memory of a reader, disk after everything was overwritten once.

use super::support::{Bench, Numbers, counter, disk, open, report, seconds, spawn};
use dirkv::backend::NewItem;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

const KEYS: u64 = 1_000_000;
const BATCH: u64 = 1_000;
const VALUE: usize = 200;

pub fn run(bench: &Bench) {
    if !bench.wants("1M") {
        return;
    }
    let directory = bench.directory();
    let path = directory.path().join("store");
    let mut ratios = Vec::new();
    for round in 0..3 {
        let raw = raw_log(&directory.path().join("raw"));
        let path = directory.path().join(format!("load-{round}"));
        ratios.push(raw / load(&path, 1));
        std::fs::remove_dir_all(&path).expect("removed");
    }
    report("1M x 200 B in durable batches of 1,000, MB/s / raw log", ratios, ">= 0.5");
    load(&path, 1);
    let (opened, memory) = reader(&path);
    report("1M: open and first get, ms", opened, "< 50");
    report("1M: private memory of a reader after 10,000 gets, MiB", memory, "< 64");
    load(&path, 2);
    settle(&path);
    let live = (KEYS * (VALUE as u64 + 18)) as f64;
    report("1M: disk / live bytes, overwritten once and settled", vec![disk(&path) as f64 / live], "<= 1.5");
}

pub fn key(i: u64) -> String {
    format!("key-{i:010}")
}

/// Seconds that the batches and the close took; making up the keys isn't the store's work.
pub fn load(path: &Path, round: u8) -> f64 {
    load_keys(path, round, KEYS)
}

pub fn load_keys(path: &Path, round: u8, keys: u64) -> f64 {
    let store = open(path, &[]);
    let value = [round; VALUE];
    let mut took = 0.0;
    for batch in 0..keys.div_ceil(BATCH) {
        let names: Vec<String> = (batch * BATCH..((batch + 1) * BATCH).min(keys)).map(key).collect();
        let items: Vec<NewItem<'_>> =
            names.iter().map(|name| NewItem { key: name.as_bytes(), value: &value, ttl: 0 }).collect();
        took += seconds(|| _ = store.upsert_items("bench", &items).expect("a batch"));
    }
    took + seconds(|| drop(store))
}

/// What the batches weigh as frames, written and synced batch by batch to a file whose blocks are allocated ahead.
fn raw_log(path: &Path) -> f64 {
    let file = File::create(path).expect("a file");
    let batch = vec![3u8; BATCH as usize * (18 + 4 + VALUE)];
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, KEYS / BATCH * batch.len() as u64)
        .expect("blocks");
    file.sync_all().expect("a sync");
    let took = seconds(|| {
        for i in 0..KEYS / BATCH {
            file.write_all_at(&batch, i * batch.len() as u64).expect("a write");
            file.sync_data().expect("a sync");
        }
    });
    std::fs::remove_file(path).expect("removed");
    took
}

/// Milliseconds until a fresh process has its first value, and its private memory after 10,000 gets.
pub fn reader(path: &Path) -> (Vec<f64>, Vec<f64>) {
    let runs: Vec<(f64, f64)> = (0..3).map(|_| one_reader(path)).collect();
    runs.into_iter().unzip()
}

fn one_reader(path: &Path) -> (f64, f64) {
    let mut child = spawn(&format!("read {} {KEYS}", path.display()));
    let mut text = String::new();
    child.stdout.as_mut().expect("a pipe").read_to_string(&mut text).expect("its figures");
    assert!(child.wait().expect("a child").success());
    let mut figures = text.split_whitespace().map(|w| w.parse::<f64>().expect("a number"));
    (figures.next().expect("milliseconds"), figures.next().expect("MiB"))
}

pub fn child(path: &str, keys: &str) {
    let keys: u64 = keys.parse().expect("a number");
    let start = Instant::now();
    let store = open(Path::new(path), &[]);
    assert_eq!(store.get("bench", key(keys / 2)).expect("a value").len(), VALUE);
    let opened = start.elapsed().as_secs_f64() * 1e3;
    let mut pick = Numbers(7);
    for _ in 0..10_000 {
        assert_eq!(store.get("bench", key(pick.below(keys))).expect("a value").len(), VALUE);
    }
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let anonymous = status.lines().find_map(|l| l.strip_prefix("RssAnon:")).expect("RssAnon");
    let kib: f64 = anonymous.trim().trim_end_matches("kB").trim().parse().expect("a number");
    println!("{opened} {}", kib / 1024.0);
}

/// Opens the store until the background has no merge left to do: the number of tables stays the same for a while.
fn settle(path: &Path) {
    let store = open(path, &[]);
    store.upsert("bench", "settle", b"".as_slice(), 0).expect("an upsert");
    let (mut last, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_secs(2) {
        let now = counter(&store, "compactions");
        if now != last {
            (last, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
