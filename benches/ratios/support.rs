//! Rounds, medians, child processes.

use dirkv::Backend;
use dirkv::backend::Params;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

pub const ROUNDS: usize = 5;

/// Which lines run, and where.
pub struct Bench {
    wanted: Vec<String>,
    parent: PathBuf,
}

impl Bench {
    pub fn new(wanted: Vec<String>) -> Bench {
        let parent = std::env::var_os("DIRKV_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        Bench { wanted, parent }
    }

    pub fn wants(&self, line: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|word| line.contains(word.as_str()))
    }

    pub fn directory(&self) -> tempfile::TempDir {
        tempfile::tempdir_in(&self.parent).expect("a temporary directory")
    }
}

/// Prints the median, least and greatest of one ratio a round.
pub fn report(line: &str, mut ratios: Vec<f64>, wanted: &str) {
    ratios.sort_by(f64::total_cmp);
    let (least, greatest) = (ratios[0], ratios[ratios.len() - 1]);
    println!("{line:<58} {:>8.2} {least:>8.2} {greatest:>8.2}  {wanted:>10}", ratios[ratios.len() / 2]);
}

/// Seconds that `f` takes.
pub fn seconds(f: impl FnOnce()) -> f64 {
    let start = Instant::now();
    f();
    start.elapsed().as_secs_f64()
}

pub fn open(path: &Path, parameters: &[(&str, &str)]) -> Backend {
    let mut params = Params::new();
    params.set("path", path.to_str().expect("a path in UTF-8")).expect("path");
    for (name, value) in parameters {
        params.set(name, value).expect("a parameter");
    }
    Backend::open(&params).expect("a store")
}

/// Starts this program again for one job, written `name argument argument`.
pub fn spawn(job: &str) -> Child {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.env("DIRKV_BENCH_CHILD", job).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("a child process")
}

/// The job of a child process.
pub fn child(job: &str) {
    let words: Vec<&str> = job.split(' ').collect();
    match words[..] {
        ["commit", path, who, count] => super::commits::child(path, who, count),
        ["read", path, keys] => super::million::child(path, keys),
        ["get", path, count] => super::gets::child(path, count),
        _ => panic!("no such job: {job}"),
    }
}

/// A cheap source of numbers, the same in every run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// One counter of the store's statistics.
pub fn counter(store: &Backend, name: &str) -> u64 {
    let text = store.stats_json().expect("statistics");
    let (_, rest) = text.split_once(&format!("\"{name}\":")).expect("the counter");
    rest.split([',', '}']).next().and_then(|n| n.parse().ok()).expect("a number")
}

/// Bytes of all files, as allocated.
pub fn disk(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = std::fs::read_dir(path).expect("the store").map(|e| e.expect("an entry").metadata().expect("a file"));
    files.map(|m| m.blocks() * 512).sum()
}
