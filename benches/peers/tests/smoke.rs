//! Every line once, at a tiny size, with all engines: it runs, every answer is right (the run ends with an error if one is
//! not), and the report holds what it has to.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_peers");

/// Lines in which the raw limit answers, too: from a file, from memory, in order.
const READS: [&str; 6] =
    ["get.large", "growth.get.3000", "growth.list-of-100.3000", "list.items-of-100", "list.keys-of-100", "ycsb.c"];

fn peers(arguments: &[&str], folder: &Path) -> Output {
    let output = Command::new(PROGRAM).args(arguments).current_dir(folder).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    output
}

#[test]
fn every_line_runs_and_every_answer_is_right() {
    let folder = tempfile::tempdir().unwrap();
    peers(&["--tiny", "--seed", "5"], folder.path());
    let out = folder.path().join("results");
    let json: serde_json::Value = serde_json::from_slice(&fs::read(out.join("peers.json")).unwrap()).unwrap();
    let listed = String::from_utf8(peers(&["--tiny", "--list"], folder.path()).stdout).unwrap();
    let lines = json["lines"].as_array().unwrap();
    assert_eq!(lines.len(), listed.lines().count());
    for line in lines {
        for (metric, engines) in line["figures"].as_object().unwrap() {
            for (engine, samples) in engines.as_object().unwrap() {
                let samples: Vec<f64> = samples.as_array().unwrap().iter().map(|s| s.as_f64().unwrap()).collect();
                // Fairness and memory may be nothing in so small a run; a rate may not.
                assert!(samples.iter().all(|s| s.is_finite() && *s >= 0.0), "{}: {metric} of {engine}", line["id"]);
                assert!(metric != "Rate" || samples.iter().all(|s| *s > 0.0), "{}: {engine} did nothing", line["id"]);
            }
        }
    }
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
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("results/peers.json")).unwrap()).unwrap();
    assert!(json["lines"][0]["figures"]["Rate"]["raw-twice"].is_array(), "much is written, but not twice");
    let syncs = json["syncs"].as_array().unwrap();
    assert_eq!(syncs.len(), 7);
    for engine in syncs {
        for operation in engine[1].as_array().unwrap() {
            assert!(operation.as_str().unwrap().contains("sync"), "{engine}");
        }
    }
}
