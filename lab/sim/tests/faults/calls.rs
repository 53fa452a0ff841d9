//! Each storage call of each course of operations fails once, with each error that it may give, twice in a row, and two of them
//! in one run: what was acknowledged is there, what was refused is not, nothing hangs, and the store works again.
//!
//! `DIRKV_CALLS_SECONDS=600` tries pairs of failing calls for so long; `DIRKV_CALLS=two/fail-5-12-1` does one run again.

use super::real::{Faulty, Script as Faults};
use dirkv::files::clock::SystemClock;
use dirkv::files::prepare::open_directory;
use dirkv::files::storage::Directory;
use dirkv::{Backend, Code};
use dirkv_sim::machine::{EIO, ENOSPC};
use dirkv_sim::run::Run;
use dirkv_sim::script::{Script, named, scripts};
use dirkv_sim::twist::{ERRNOS, Twist};
use dirkv_sim::world::params;
use fastrand::Rng;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many calls of each course are enough to say that it was one.
const LEAST: u64 = 5;

/// Says what to type if it doesn't survive.
struct Told<'a>(&'a str, Twist);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "wrong; to see it again: DIRKV_CALLS={}/{} cargo test -p dirkv-sim --test faults calls",
                self.0, self.1
            );
        }
    }
}

fn survives(script: &Script, twist: Twist) -> bool {
    let _told = Told(&script.name, twist);
    Run::survives(script, twist)
}

/// Every call in turn, until there is none any more.
fn every_call_fails(errno: i32, times: u64) {
    let mut runs = 0;
    for script in scripts() {
        let calls = (0..).find(|&nth| !survives(&script, Twist::Fail { errno, nth, times })).unwrap_or(0);
        assert!(calls >= LEAST, "{} has only {calls} calls that may fail with errno {errno}", script.name);
        runs += calls;
    }
    eprintln!("errno {errno}, {times} in a row: {runs} runs");
}

#[test]
fn each_call_fails_once_with_an_io_error() {
    every_call_fails(EIO, 1);
}

#[test]
fn each_call_fails_once_for_want_of_space() {
    every_call_fails(ENOSPC, 1);
}

#[test]
fn each_call_fails_once_with_every_other_error() {
    for (errno, _) in ERRNOS.into_iter().filter(|(errno, _)| ![EIO, ENOSPC].contains(errno)) {
        every_call_fails(errno, 1);
    }
}

#[test]
fn each_call_fails_twice_in_a_row_with_an_io_error() {
    every_call_fails(EIO, 2);
}

#[test]
fn each_call_fails_twice_in_a_row_with_every_other_error() {
    for (errno, _) in ERRNOS.into_iter().filter(|(errno, _)| *errno != EIO) {
        every_call_fails(errno, 2);
    }
}

#[test]
fn two_calls_fail_in_one_run() {
    if let Some((script, twist)) = std::env::var("DIRKV_CALLS").ok().as_deref().and_then(|text| text.split_once('/')) {
        survives(&named(script).expect("a course"), twist.parse().expect("a twist"));
        return;
    }
    let asked = std::env::var("DIRKV_CALLS_SECONDS").ok().map(|text| text.parse().expect("seconds"));
    let (began, mut runs, mut both) = (Instant::now(), 0u64, 0u64);
    let scripts = scripts();
    let is_over = |runs| match asked {
        Some(seconds) => began.elapsed() > Duration::from_secs(seconds),
        None => runs == 3_000,
    };
    while !is_over(runs) {
        let mut rng = Rng::with_seed(runs);
        let script = &scripts[rng.usize(..scripts.len())];
        let (errno, _) = ERRNOS[rng.usize(..ERRNOS.len())];
        let twist = Twist::Both { errno, nth: rng.u64(..120), then: rng.u64(..40) };
        both += u64::from(survives(script, twist));
        runs += 1;
    }
    eprintln!("pairs of failing calls: {runs} runs, both failed in {both}");
    assert!(both > runs / 5, "two calls failed in only {both} of {runs} runs");
}

/// The same on a real directory, where a failed fdatasync loses nothing, and flock and the map are the kernel's.
#[test]
fn each_call_of_a_real_directory_fails_once() {
    let mut n = 0;
    loop {
        let path = tempfile::tempdir().unwrap();
        let script = Arc::new(Faults::fail(n, if n % 2 == 0 { EIO } else { ENOSPC }));
        let open = || {
            let real: Arc<dyn Directory> = Arc::new(open_directory(path.path(), 0o700, 0o600, false).unwrap());
            let directory: Arc<dyn Directory> = Arc::new(Faulty::new(real, script.clone()));
            let opened = Backend::open_in(&params(&[]), directory.clone(), Arc::new(SystemClock));
            opened.or_else(|_| Backend::open_in(&params(&[]), directory, Arc::new(SystemClock))).unwrap()
        };
        let store = open();
        let mut told = Vec::new();
        for i in 0..12_u8 {
            match store.upsert("", format!("key-{i}"), &vec![i; 14_000], 0) {
                Ok(_) => told.push((i, true)),
                Err(e) if e.code == Code::Uncertain => (),
                Err(e) => {
                    assert!(matches!(e.code, Code::Io | Code::NoSpace), "call {n}: {e}");
                    told.push((i, false));
                }
            }
        }
        let _ = store.compact();
        drop(store);
        let store = open();
        for (i, is_there) in told {
            let found = store.get("", format!("key-{i}"));
            let found = found.or_else(|_| store.get("", format!("key-{i}"))).ok();
            assert_eq!(found, is_there.then(|| vec![i; 14_000]), "call {n}: key-{i}");
        }
        // What can't be read is a finding, too.
        assert!(store.check().is_ok_and(|f| f.is_empty()) || store.check().unwrap().is_empty(), "call {n}");
        store.upsert("", "one more", b"", 0).or_else(|_| store.upsert("", "one more", b"", 0)).unwrap();
        if !script.is_over() {
            break;
        }
        n += 3;
    }
    assert!(n > 60, "only {n} calls");
}
