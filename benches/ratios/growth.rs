//! How open, get and commit grow with the number of keys.

use super::million::{key, load_keys};
use super::support::{Bench, Numbers, ROUNDS, open, report, seconds};
use std::path::Path;

const OPERATIONS: u64 = 1_000;
const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];

pub fn run(bench: &Bench) {
    if !bench.wants("growth") {
        return;
    }
    let directory = bench.directory();
    let path = |keys: u64| directory.path().join(keys.to_string());
    for keys in SIZES {
        load_keys(&path(keys), 1, keys);
        open(&path(keys), &[]).compact().expect("a compaction");
    }
    let rounds: Vec<_> = (0..ROUNDS).map(|_| SIZES.map(|keys| costs(&path(keys), keys))).collect();
    for (what, name) in ["open", "get", "commit"].iter().enumerate() {
        for (i, size) in SIZES.iter().enumerate().skip(1) {
            let ratios = rounds.iter().map(|round| round[i][what] / round[0][what]).collect();
            report(&format!("growth: {name} at {size} keys / at 10,000"), ratios, "log");
        }
    }
}

fn costs(path: &Path, keys: u64) -> [f64; 3] {
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
