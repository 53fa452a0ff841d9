//! How open, get and commit grow with the number of keys.

use super::million::{key, load_keys};
use super::support::{Bench, Numbers, open, report, seconds};
use std::path::Path;

const OPERATIONS: u64 = 2_000;

pub fn run(bench: &Bench) {
    if !bench.wants("growth") {
        return;
    }
    let directory = bench.directory();
    let sizes = [10_000, 100_000, 1_000_000];
    let costs: Vec<[f64; 3]> =
        sizes.iter().map(|&keys| costs(&directory.path().join(keys.to_string()), keys)).collect();
    for (what, name) in ["open", "get", "commit"].iter().enumerate() {
        for (size, cost) in sizes.iter().zip(&costs).skip(1) {
            report(&format!("growth: {name} at {size} keys / at 10,000"), vec![cost[what] / costs[0][what]], "log");
        }
    }
}

fn costs(path: &Path, keys: u64) -> [f64; 3] {
    load_keys(path, 1, keys);
    open(path, &[]).compact().expect("a compaction");
    let mut opens: Vec<f64> = (0..9).map(|_| seconds(|| drop(open(path, &[])))).collect();
    opens.sort_by(f64::total_cmp);
    let store = open(path, &[]);
    let mut pick = Numbers(3);
    for _ in 0..OPERATIONS {
        store.get("bench", key(pick.below(keys))).expect("a value");
    }
    let gets = seconds(|| {
        for _ in 0..OPERATIONS * 10 {
            store.get("bench", key(pick.below(keys))).expect("a value");
        }
    });
    let commits = seconds(|| {
        for _ in 0..OPERATIONS {
            store.upsert("bench", key(pick.below(keys)), [2u8; 200].as_slice(), 0).expect("an upsert");
        }
    });
    [opens[opens.len() / 2], gets, commits]
}
