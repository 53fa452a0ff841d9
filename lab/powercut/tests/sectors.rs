//! Sectors that can't be read or written, on ext4, xfs and btrfs: an error that names the file, never wrong data, never a
//! signal; and the store works again once the sectors are well.

use std::io::{self, Write};
use std::path::Path;

use dirkv_powercut::drive::{Kind, unable};
use dirkv_powercut::sectors::{Outcome, Patient, Unwritable};
use fastrand::Rng;

/// How many sectors of each file.
const SECTORS: u64 = 2;

fn each_filesystem(test: &str, f: impl Fn(&Patient, &str)) {
    if let Some(why) = unable() {
        let _ = writeln!(io::stderr(), "\nSKIPPED: {test}: {why}");
        return;
    }
    for kind in Kind::ALL {
        let patient = Patient::new(Path::new(env!("CARGO_BIN_EXE_powercut")), kind).unwrap();
        f(&patient, kind.name());
    }
}

#[test]
fn sectors_that_cannot_be_read() {
    let seed = std::env::var("DIRKV_POWERCUT_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("DIRKV_POWERCUT_SEED={seed}");
    each_filesystem("sectors_that_cannot_be_read", |patient, kind| {
        let mut rng = Rng::with_seed(seed);
        let files = patient.files().unwrap();
        assert!(files.iter().any(|name| name.starts_with("table-")), "{files:?}");
        for file in files.iter().flat_map(|file| (0..SECTORS).map(move |_| file)) {
            let outcome = patient.unreadable(file, &mut rng).unwrap_or_else(|e| panic!("{file} on {kind}: {e}"));
            let Some(Outcome { failures, errors }) = outcome else {
                assert_eq!((file.as_str(), kind), ("MANIFEST", "btrfs"), "has no sectors");
                continue;
            };
            assert!(failures > 0, "{file} on {kind}: nobody read it");
            // What is read as a whole needs no offset.
            let at = if file == "MANIFEST" || file == "SHARED" { "" } else { " at " };
            let named = errors.iter().any(|e| e.contains(file) && e.contains(at));
            assert!(named || !patient.is_needed(file).unwrap(), "{file} on {kind}: {errors:?}");
        }
    });
}

#[test]
fn a_tail_that_cannot_be_written() {
    each_filesystem("a_tail_that_cannot_be_written", |patient, kind| {
        let outcome = patient.unwritable(Unwritable::Tail).unwrap_or_else(|e| panic!("{kind}: {e}"));
        println!("{kind}: {outcome:?}");
        assert!(outcome.failures > 0 && !outcome.errors.is_empty(), "{kind}: {outcome:?}");
    });
}

#[test]
fn a_disk_that_cannot_be_written() {
    each_filesystem("a_disk_that_cannot_be_written", |patient, kind| {
        let outcome = patient.unwritable(Unwritable::Disk).unwrap_or_else(|e| panic!("{kind}: {e}"));
        println!("{kind}: {outcome:?}");
        assert!(outcome.failures > 0 && !outcome.errors.is_empty(), "{kind}: {outcome:?}");
    });
}
