//! Every line once, at a tiny size, with all engines: it runs, every answer is right (the run ends with an error if one is
//! not), and the report holds what it has to.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_peers");

/// Lines in which the raw limit answers, too: from a file, from memory, in order.
const READS: [&str; 6] =
    ["get.large", "growth.get.4000", "growth.list-of-100.4000", "list.items-of-100", "list.keys-of-100", "ycsb.c"];

/// Lines in which dirkv is measured beside one engine after the other.
const PAIRED: [&str; 4] = ["growth.get.4000", "growth.list-of-100.4000", "growth.upsert.4000", "open.4000"];

fn peers(arguments: &[&str], folder: &Path) -> Output {
    let output = Command::new(PROGRAM).args(arguments).current_dir(folder).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    output
}

/// The tiny form has one round. In pairs dirkv has one with each of the others, and they none with each other.
fn has_its_rounds(line: &Value) {
    let pairs = PAIRED.iter().any(|id| line["id"] == *id);
    for engines in line["figures"].as_object().unwrap().values() {
        let engines = engines.as_object().unwrap();
        let rounds = if pairs { engines.len() - 1 } else { 1 };
        let mut played = vec![0; rounds];
        for (engine, samples) in engines {
            let samples = samples.as_array().unwrap();
            assert_eq!(samples.len(), rounds, "{}: {engine}", line["id"]);
            let had: Vec<usize> = (0..rounds).filter(|round| !samples[*round].is_null()).collect();
            assert_eq!(had.len(), if engine == "dirkv" { rounds } else { 1 }, "{}: {engine}", line["id"]);
            had.into_iter().for_each(|round| played[round] += 1);
        }
        assert!(!pairs || played.iter().all(|engines| *engines == 2), "{}: {played:?}", line["id"]);
    }
}

#[test]
fn every_line_runs_and_every_answer_is_right() {
    let folder = tempfile::tempdir().unwrap();
    peers(&["--tiny", "--seed", "5"], folder.path());
    let out = folder.path().join("results");
    let json: Value = serde_json::from_slice(&fs::read(out.join("peers.json")).unwrap()).unwrap();
    let listed = String::from_utf8(peers(&["--tiny", "--list"], folder.path()).stdout).unwrap();
    let lines = json["lines"].as_array().unwrap();
    assert_eq!(lines.len(), listed.lines().count());
    for line in lines {
        for (metric, engines) in line["figures"].as_object().unwrap() {
            for (engine, samples) in engines.as_object().unwrap() {
                let samples = samples.as_array().unwrap().iter().filter(|sample| !sample.is_null());
                let samples: Vec<f64> = samples.map(|sample| sample.as_f64().unwrap()).collect();
                // Fairness and memory may be nothing in so small a run; a rate may not.
                assert!(samples.iter().all(|s| s.is_finite() && *s >= 0.0), "{}: {metric} of {engine}", line["id"]);
                assert!(metric != "Rate" || samples.iter().all(|s| *s > 0.0), "{}: {engine} did nothing", line["id"]);
            }
        }
    }
    lines.iter().for_each(has_its_rounds);
    let upserts = lines.iter().find(|line| line["id"] == "upsert.threads-1").unwrap();
    assert!(upserts["figures"]["RestBusy"]["dirkv"].is_array());
    // What the machine can do stands beside gets and short listings, too.
    for read in READS {
        let line = lines.iter().find(|line| line["id"] == read).unwrap_or_else(|| panic!("no line {read}"));
        assert!(line["figures"]["Rate"]["raw"].is_array(), "{read} without the raw limit");
    }
    let table = fs::read_to_string(out.join("peers.md")).unwrap();
    for line in lines {
        let title = line["title"].as_str().unwrap();
        assert!(table.contains(&format!("| {title}")), "no row for {title}");
    }
    assert!(fs::read(out.join("ratios.png")).unwrap().starts_with(b"\x89PNG"));
    assert!(fs::read_to_string(out.join("growth-get.svg")).unwrap().contains("dirkv"));
    // Nothing of the stores is left.
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["results"]);
}

#[test]
fn a_durable_commit_syncs_in_every_engine() {
    if Command::new("strace").arg("--version").output().is_err() {
        // Past the test harness, which keeps to itself what a test prints.
        let _ = writeln!(io::stderr(), "\nSKIPPED: a_durable_commit_syncs_in_every_engine: strace is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    peers(&["--tiny", "--only", "batch.threads-1", "--seed", "5"], folder.path());
    let json: Value = serde_json::from_slice(&fs::read(folder.path().join("results/peers.json")).unwrap()).unwrap();
    assert!(json["lines"][0]["figures"]["Rate"]["raw-twice"].is_array(), "much is written, but not twice");
    let syncs = json["syncs"].as_array().unwrap();
    assert_eq!(syncs.len(), 7);
    for engine in syncs {
        for operation in engine[1].as_array().unwrap() {
            assert!(operation.as_str().unwrap().contains("sync"), "{engine}");
        }
    }
}
