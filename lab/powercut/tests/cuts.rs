//! Power cuts of ext4, xfs and btrfs, and libraries that are broken on purpose, which the cuts must find out.
//!
//! `DIRKV_POWERCUT_SEED` repeats a run's choices; what fails leaves a folder and says how to replay that very cut. The long
//! form is `powercut run SECONDS`.

use std::io::{self, Write};
use std::path::Path;

use dirkv_powercut::drive::{Kind, unable};
use dirkv_powercut::run::{Plan, Recorded, replay};

/// How many cuts are made of each filesystem.
const CUTS: u64 = 24;
/// After so many cuts that noticed nothing, a broken library counts as not found out.
const PATIENCE: u64 = 200;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_powercut"))
}

/// Whether this can be tried here; if not, it is said, past the test harness.
fn able(test: &str) -> bool {
    let why = unable();
    if let Some(why) = &why {
        let _ = writeln!(io::stderr(), "\nSKIPPED: {test}: {why}");
    }
    why.is_none()
}

fn seed() -> u64 {
    let told = std::env::var("DIRKV_POWERCUT_SEED").ok().and_then(|text| text.parse().ok());
    let seed = told.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("DIRKV_POWERCUT_SEED={seed}");
    seed
}

fn nothing_is_lost(test: &str, kind: Kind) {
    if !able(test) {
        return;
    }
    let seed = seed();
    let plan = Plan { kind, seed, steps: 50, sabotage: None };
    let recorded = Recorded::new(program(), plan).unwrap_or_else(|e| panic!("{e}"));
    assert!(recorded.recording.flushes().len() > 100, "the filesystem flushes its disk");
    for cut in 0..CUTS {
        if let Err(e) = recorded.cut(cut, cut % 4 == 0) {
            let folder = recorded.keep(cut, &e).unwrap();
            panic!("{e}\nreplay: {} replay {}", program().display(), folder.display());
        }
    }
}

#[test]
fn nothing_is_lost_on_ext4() {
    nothing_is_lost("nothing_is_lost_on_ext4", Kind::Ext4);
}

#[test]
fn nothing_is_lost_on_xfs() {
    nothing_is_lost("nothing_is_lost_on_xfs", Kind::Xfs);
}

#[test]
fn nothing_is_lost_on_btrfs() {
    nothing_is_lost("nothing_is_lost_on_btrfs", Kind::Btrfs);
}

/// A library that is broken on purpose is found out; the folder that its failure leaves makes the same failure again.
fn found_out(test: &str, kind: Kind, sabotage: &str) {
    if !able(test) {
        return;
    }
    let plan = Plan { kind, seed: seed(), steps: 50, sabotage: Some(sabotage.to_owned()) };
    // The workers themselves must be content: it is the cut that has to tell.
    let recorded = Recorded::new(program(), plan).unwrap_or_else(|e| panic!("{e}"));
    let found = (0..PATIENCE).find_map(|cut| Some((cut, recorded.cut(cut, false).err()?)));
    let (cut, e) = found.unwrap_or_else(|| panic!("{sabotage} was not found out in {PATIENCE} cuts"));
    assert!(!e.to_string().starts_with("mount"), "{e}");
    println!("{sabotage} on {} was found out in {} cuts: {e}", kind.name(), cut + 1);
    let folder = recorded.keep(cut, &e).unwrap();
    assert!(replay(program(), &folder).is_err(), "{} is not the same cut", folder.display());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_commit_without_fdatasync_is_found_out() {
    found_out("a_commit_without_fdatasync_is_found_out", Kind::Ext4, "no-fdatasync");
}

#[test]
fn an_answer_before_the_sync_is_found_out() {
    found_out("an_answer_before_the_sync_is_found_out", Kind::Xfs, "publish-before-sync");
}

#[test]
fn a_directory_without_sync_is_found_out() {
    // On ext4 and xfs the next fsync of any file that is new takes the rename along: there is nothing to find.
    found_out("a_directory_without_sync_is_found_out", Kind::Btrfs, "no-directory-sync");
}
