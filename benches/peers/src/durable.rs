//! Whether durable means the same for all: strace counts what a commit asks of the kernel to reach the disk.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::Result;
use crate::bench::{Bench, VALUE};
use crate::engines::{Cache, Kind, Role, Setup, Sync};
use crate::processes::{self, Part, Task};
use crate::stages::Plan;
use crate::work::{Spec, What};

/// Commits that are looked at.
const COMMITS: u64 = 64;

/// The operations that are looked at.
pub const OPERATIONS: [(&str, What); 4] = [
    ("upsert", What::Put),
    ("batch of 50", What::Batch(50)),
    ("compare-and-swap", What::SwapOwn),
    ("create", What::Create),
];

/// What each engine did for each operation, in the order of `OPERATIONS`.
pub type Syncs = Vec<(Kind, Vec<String>)>;

/// How often each call was made.
type Calls = BTreeMap<String, i64>;

/// Runs each operation under strace; nothing, with a word on stderr, if there is no strace.
pub fn count(bench: &Bench, kinds: &[Kind]) -> Result<Syncs> {
    if std::process::Command::new("strace").arg("--version").output().is_err() {
        eprintln!("SKIPPED: counting syncs: strace is not installed");
        return Ok(Vec::new());
    }
    let of = |kind: &Kind| {
        let fail = |error| format!("{kind}: counting syncs: {error}");
        let operations = OPERATIONS.iter().map(|(_, what)| commits(bench, *kind, *what).map_err(fail));
        Ok((*kind, operations.collect::<std::result::Result<_, String>>()?))
    };
    kinds.iter().map(of).collect()
}

/// What each of some commits did: the difference between a process that makes them and one that makes none.
fn commits(bench: &Bench, kind: Kind, what: What) -> Result<String> {
    let plan = Plan::new(what, 1_000, VALUE);
    let path = bench.fresh(kind);
    bench.fill(kind, &plan, &path)?;
    let none = calls(bench, kind, &path, what, 0)?;
    let some = calls(bench, kind, &path, what, COMMITS)?;
    bench.discard(&path);
    Ok(describe(&none, &some, COMMITS))
}

/// `1.00 fdatasync + 1.00 write to O_DSYNC`.
fn describe(none: &Calls, some: &Calls, commits: u64) -> String {
    let each = |(name, count): (&String, &i64)| {
        let more = (count - none.get(name).unwrap_or(&0)) as f64 / commits as f64;
        (more >= 0.005).then(|| format!("{more:.2} {name}"))
    };
    let all: Vec<String> = some.iter().filter_map(each).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(" + ") }
}

fn calls(bench: &Bench, kind: Kind, path: &Path, what: What, count: u64) -> Result<Calls> {
    let log = bench.folder().join("strace.log");
    let spec = Spec {
        what,
        keys: 1_000,
        value: VALUE,
        shape: crate::names::Shape::Plain,
        choice: crate::choice::Choice::Uniform,
        who: 0,
        workers: 1,
        // Other keys in each run, or a create would meet its own.
        seed: bench.seed ^ count,
    };
    let setup = Setup { sync: Sync::Full, role: Role::Alone, cache: Cache::Usual, value: VALUE };
    let task = Task { kind, path: path.to_owned(), setup, part: Part::Counted(spec, count) };
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&log);
    command.args(["-e", "trace=fsync,fdatasync,msync,sync_file_range,syncfs,openat,pwrite64,pwritev,write,writev"]);
    command.arg(processes::this_program()?).arg(processes::CHILD).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut line = serde_json::to_vec(&task)?;
    line.push(b'\n');
    child.stdin.take().ok_or("no pipe")?.write_all(&line)?;
    let output = child.wait_with_output()?;
    serde_json::from_slice::<std::result::Result<(), String>>(&output.stdout)
        .map_err(|_| "strace can't run a child here")??;
    Ok(read(&fs::read_to_string(&log)?))
}

/// Counts the calls in strace's log. A write counts if its descriptor was opened so that writes wait for the disk.
fn read(log: &str) -> Calls {
    let (mut calls, mut waiting) = (Calls::new(), HashSet::new());
    for line in log.lines() {
        // "1234  name(descriptor, ...) = result"; a call that others interrupted is told in two lines, the first has the name.
        let Some(call) = line.split_once(' ').map(|(_, call)| call.trim_start()) else { continue };
        let Some((name, rest)) = call.split_once('(') else { continue };
        let descriptor: String = rest.chars().take_while(char::is_ascii_digit).collect();
        match name {
            "openat" => {
                let result = rest.rsplit_once("= ").map_or("", |(_, result)| result).to_owned();
                waiting.remove(&result);
                if rest.contains("O_DSYNC") || rest.contains("O_SYNC") {
                    waiting.insert(result);
                }
            }
            "write" | "writev" | "pwrite64" | "pwritev" if waiting.contains(&descriptor) => {
                *calls.entry("write to O_DSYNC".to_owned()).or_default() += 1;
            }
            "fsync" | "fdatasync" | "msync" | "sync_file_range" | "syncfs" => {
                *calls.entry(name.to_owned()).or_default() += 1;
            }
            _ => {}
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
12 openat(AT_FDCWD, \"data\", O_RDWR|O_CREAT, 0600) = 5
12 openat(AT_FDCWD, \"data\", O_RDWR|O_DSYNC|O_CLOEXEC) = 6
12 pwrite64(5, \"x\", 1, 0) = 1
12 fdatasync(5 <unfinished ...>
13 fsync(7) = 0
12 <... fdatasync resumed>) = 0
12 pwrite64(6, \"x\", 1, 0) = 1
12 fdatasync(5) = 0
";

    #[test]
    fn calls_that_wait_for_the_disk_count() {
        let calls = read(LOG);
        assert_eq!(calls["fdatasync"], 2);
        assert_eq!(calls["fsync"], 1);
        assert_eq!(calls["write to O_DSYNC"], 1);
    }

    #[test]
    fn what_no_commit_does_is_left_out() {
        let none = Calls::from([("fsync".to_owned(), 3)]);
        let some = Calls::from([("fsync".to_owned(), 3), ("fdatasync".to_owned(), 20)]);
        assert_eq!(describe(&none, &some, 10), "2.00 fdatasync");
        assert_eq!(describe(&none, &none, 10), "nothing");
    }
}
