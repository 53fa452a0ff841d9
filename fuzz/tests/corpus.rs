//! The seeds without a fuzzing engine: each runs, each is as it is made, and a build that checks no checksum is found out.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use dirkv::sabotage::{self, Sabotage};

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap().map(Result::unwrap);
    let mut files: Vec<_> =
        entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect();
    files.sort();
    files
}

/// How many seeds of the target end in a panic.
fn failures(target: &str, run: fn(&[u8])) -> usize {
    let fails = |bytes: &[u8]| catch_unwind(AssertUnwindSafe(|| run(bytes))).is_err();
    corpus(target).iter().filter(|(name, bytes)| fails(bytes) && !name.is_empty()).count()
}

/// One test, since what is broken is broken for the whole process.
#[test]
fn seeds_run_and_unchecked_checksums_are_found_out() {
    for (target, run) in dirkv_fuzz::TARGETS {
        let (seeds, files) = (dirkv_fuzz::seeds::of(target), corpus(target));
        assert!((20..=64).contains(&seeds.len()), "{target}: {} seeds", seeds.len());
        for (n, seed) in seeds.iter().enumerate() {
            let name = format!("seed-{n:02}");
            let is_there = files.iter().any(|(other, bytes)| *other == name && bytes == seed);
            assert!(is_there, "{target}/{name} is not as `cargo run --example seeds` makes it");
        }
        assert_eq!(failures(target, run), 0, "{target}");
    }
    sabotage::commit(Some(Sabotage::CrcUnchecked));
    let found: Vec<&str> = dirkv_fuzz::TARGETS
        .iter()
        .filter(|(target, run)| failures(target, *run) > 0)
        .map(|(target, _)| *target)
        .collect();
    sabotage::commit(None);
    println!("crc-unchecked is found by {found:?}");
    for target in ["frame", "manifest", "segment", "table"] {
        assert!(found.contains(&target), "{target} doesn't notice that no checksum is checked: {found:?}");
    }
}
