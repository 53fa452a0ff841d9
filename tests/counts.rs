//! How many instructions the hot paths take, as callgrind counts them: the same from run to run, however busy the machine is,
//! so a path that has become slower fails here. `make counts` prints the table; for a profile:
//! `callgrind_annotate target/tmp/counts/PATH.out`. Only what the processor does in user space is counted: no system call,
//! no cache miss.
//!
//! Not with gungraun: each CI would build the 170 packages of its runner for limits of a whole run, where these are of one get
//! or one item, called from Rust, where these are called from the C that users write.

#[path = "support/c.rs"]
mod c;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What each path of `tests/c/counted/paths.c` may take at most for one call, or for one item of a batch or a list: its count,
/// and a twentieth for other compilers and C libraries. To change one, run `make counts`. A bound may go down with any commit
/// that made its path faster; it goes up only with the reason in the commit's message.
const BOUNDS: [Bound; 8] = [
    Bound { path: "row", what: "get of 1 KiB in the cache of rows", most: 1_490 },
    Bound { path: "block", what: "get of 1 KiB in a table's cached block, the first of its key", most: 4_150 },
    Bound { path: "memtable", what: "get of 1 KiB in a memtable", most: 1_400 },
    Bound { path: "absent", what: "get of a key that a table's filter knows is absent", most: 3_130 },
    Bound { path: "upsert", what: "upsert of 200 B", most: 7_590 },
    Bound { path: "batch", what: "upsert of 1,000 x 200 B, an item", most: 1_650 },
    Bound { path: "items", what: "get_items of 1,000 x 200 B in a table, an item", most: 696 },
    Bound { path: "keys", what: "get_keys of the same, a key", most: 651 },
];

struct Bound {
    path: &'static str,
    what: &'static str,
    most: u64,
}

impl Bound {
    /// What is wrong with a count.
    fn refuses(&self, count: u64) -> Option<String> {
        let Bound { path, most, .. } = self;
        if count > *most {
            return Some(format!("{path} takes {count} instructions, its bound is {most}"));
        }
        // A bound that is never met guards nothing; nor does a count of nothing.
        (count < most / 2).then(|| format!("{path} takes {count} instructions: lower its bound, which is {most}"))
    }
}

/// Instructions of a path, for each of its calls or items. `run` names the store and the profile.
#[track_caller]
fn count(path: &str, run: &str) -> u64 {
    let (store, out) = (c::folder(&format!("counts-{run}")), c::folder_kept("counts").join(format!("{run}.out")));
    let mut valgrind = c::with_library("valgrind");
    // All symbols are resolved before anything is counted, and memcpy is the one that every x86-64 has: others are chosen by
    // what the processor can.
    valgrind.env("LD_BIND_NOW", "1").env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-AVX_Fast_Unaligned_Load");
    valgrind.args(["--quiet", "--tool=callgrind", "--toggle-collect=counted"]);
    valgrind.arg(format!("--callgrind-out-file={}", out.display())).arg(program()).arg(store).arg(path);
    let said = c::said(&c::run(&mut valgrind));
    let items: u64 = said.trim().parse().unwrap_or_else(|_| panic!("{path} doesn't say how much it did: {said}"));
    let profile = fs::read_to_string(&out).unwrap_or_else(|error| panic!("no {}: {error}", out.display()));
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: ")?.parse::<u64>().ok());
    total.unwrap_or_else(|| panic!("no total in {}", out.display())) / items
}

/// The program that walks the paths.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = c::folder_kept("counts").join("paths");
        c::compile("tests/c/counted/paths.c", &program, c::Link::Dynamic);
        program
    })
}

/// Whether this machine can count; says so if it can't.
fn counts(test: &str) -> bool {
    let why = match (cfg!(target_arch = "x86_64"), c::has("valgrind")) {
        (true, true) => return true,
        (false, _) => "the bounds are those of x86-64",
        (_, false) => "valgrind is not installed",
    };
    c::skipped(&format!("counts {test}"), why);
    false
}

#[test]
fn no_path_passes_its_bound() {
    if !counts("no_path_passes_its_bound") {
        return;
    }
    let mut table = format!("\n{:>12} {:>8}  path\n", "instructions", "bound");
    let mut refused = Vec::new();
    for bound in &BOUNDS {
        let count = count(bound.path, bound.path);
        table += &format!("{count:>12} {:>8}  {}: {}\n", bound.most, bound.path, bound.what);
        refused.extend(bound.refuses(count));
    }
    // Past the test harness, so that every run shows it.
    let _ = io::stdout().write_all(table.as_bytes());
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// The path with the most system calls, and the clock. A bound can be passed, and nothing counted is noticed too.
#[test]
fn a_count_comes_out_the_same_and_can_be_refused() {
    if !counts("a_count_comes_out_the_same_and_can_be_refused") {
        return;
    }
    let [one, two] = ["upsert-one", "upsert-two"].map(|run| count("upsert", run));
    assert!(one.abs_diff(two) <= one / 200, "{one}, then {two}");
    let bound = |most| Bound { path: "upsert", what: "", most };
    assert_eq!(bound(one).refuses(one), None);
    assert!(bound(1).refuses(one).is_some() && bound(one - 1).refuses(one).is_some());
    assert!(bound(one).refuses(0).is_some());
}
