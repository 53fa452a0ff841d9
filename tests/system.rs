//! A system that says no: calls that fail, no more descriptors, writes that stay short, a filesystem that won't
//! do. Never a lie, a crash or a hang; and the store works again afterwards.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use dirkv::{Backend, Code, Error};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::allotted::{each_in_time, torture};
use support::{Child, Part, assert_clean, dump, has, is_root, open, open_with, skipped};

#[test]
fn child() {
    support::play(&[
        ("fixed", fixed),
        ("descriptors", descriptors),
        ("short", short),
        ("counting", counting),
        ("pairs", pairs),
    ]);
}

type Map = BTreeMap<String, Vec<u8>>;

const CHANGES: u64 = 26;

/// The n-th change of the fixed workload.
fn perform(store: &Backend, n: u64) -> Result<(), Error> {
    match n % 13 {
        9 => store.compact(),
        7 => store.delete_bucket("", "two"),
        _ => {
            let len = if n.is_multiple_of(5) { 9_000 } else { 3_000 };
            let bucket = if n.is_multiple_of(3) { "two" } else { "one" };
            let value = n.to_le_bytes().repeat(len / 8);
            store.upsert(bucket, (n % 17).to_string(), &value, 0).map(drop)
        }
    }
}

fn apply(model: &mut Map, n: u64) {
    match n % 13 {
        9 => (),
        7 => model.retain(|path, _| !path.starts_with("two/")),
        _ => {
            let len = if n.is_multiple_of(5) { 9_000 } else { 3_000 };
            let bucket = if n.is_multiple_of(3) { "two" } else { "one" };
            model.insert(format!("{bucket}/{}", n % 17), n.to_le_bytes().repeat(len / 8));
        }
    }
}

/// What may be there, given what each change answered: more than one state only after an `UNCERTAIN`.
struct Expected(Vec<Map>);

impl Expected {
    fn new() -> Expected {
        Expected(vec![Map::new()])
    }

    fn note(&mut self, n: u64, answer: &str) {
        let mut changed = self.0.clone();
        changed.iter_mut().for_each(|map| apply(map, n));
        match answer {
            "OK" => self.0 = changed,
            "UNCERTAIN" => self.0.extend(changed),
            // A delete_bucket finds none: the same as done.
            _ => (),
        }
        self.0.dedup();
        assert!(self.0.len() < 200, "too much is uncertain");
    }

    #[track_caller]
    fn check(&self, there: &Map, what: &str) {
        assert!(self.0.contains(there), "{what}: there is {:?}", there.keys().collect::<Vec<_>>());
    }
}

fn perform_and_report(part: &Part, store: &Backend, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let answer = perform(store, n);
        part.report(format_args!("{n} {} {}", answer.as_ref().map_or_else(|e| e.code.name(), |()| "OK"), say(answer)));
    }
}

fn say(answer: Result<(), Error>) -> String {
    answer.map_or_else(|e| e.message.replace(['\n', '@'], " "), |()| String::new())
}

/// Goes on whatever is answered.
fn fixed(part: &Part) {
    let settings = [("background", "off"), ("lock_timeout", "300ms")];
    match Backend::open(&support::params(&part.path, &settings)) {
        Ok(store) => {
            perform_and_report(part, &store, 0..CHANGES);
            // What this process itself sees in the end.
            match store.items("", None, 0, true) {
                Ok(items) => part.report(format_args!("there {}", items.len())),
                Err(e) => part.report(format_args!("unreadable {}", e.code.name())),
            }
        }
        Err(e) => part.report(format_args!("not-opened {} {e}", e.code.name())),
    }
    part.report("end");
}

/// How the dynamic loader ends when the fault hits it.
const NOT_LOADED: i32 = 127;

/// Runs the workload with a fault injected, and examines what is left. Returns how many errors were answered.
fn with_fault(inject: &str, call: &str) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let (inject, trace) = (format!("inject={inject}"), format!("trace={call}"));
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let (said, status) = Child::spawn(&inject, Child::command_under(&strace, "fixed", &path, &[])).end();
    if status.code() == Some(NOT_LOADED) && said.is_empty() {
        return 0;
    }
    assert!(status.success(), "{inject}: {status}, {said:?}");
    assert_eq!(said.last().map(String::as_str), Some("end"), "{inject}: {said:?}");
    let mut expected = Expected::new();
    let mut errors = 0;
    for line in &said {
        let mut words = line.split(' ');
        let (Some(first), Some(answer)) = (words.next(), words.next()) else { continue };
        if let Ok(n) = first.parse() {
            expected.note(n, answer);
            errors += usize::from(!["OK", "NOT_FOUND"].contains(&answer));
        }
        errors += usize::from(first == "not-opened");
        let lies = ["INTERNAL", "BAD_PARAMETER", "CORRUPT", "CLOSED", "LOCK_LOST", "LIMIT_EXCEEDED"];
        assert!(!lies.contains(&answer), "{inject}: {line}");
    }
    let store = open_with(&path, &[("background", "off")]);
    expected.check(&dump(&store), &format!("{inject}: {said:#?}"));
    assert_clean(&store);
    for n in 100..120 {
        store.upsert("after", n.to_string(), b"works", 0).unwrap();
    }
    store.compact().unwrap();
    assert_clean(&store);
    assert_eq!(store.items("after", None, 0, false).unwrap().len(), 20);
    errors
}

/// These times, or all from the first to far beyond the last if there is time.
fn every(times: &[&str]) -> Vec<String> {
    let first = times[0].parse().unwrap_or(1);
    match torture() {
        Some(_) => {
            (first..130u32).map(|n| n.to_string()).chain((first..60).step_by(5).map(|n| format!("{n}+"))).collect()
        }
        None => times.iter().map(|&text| text.to_owned()).collect(),
    }
}

#[test]
fn calls_that_fail() {
    if !has("strace") {
        return skipped("calls_that_fail", "needs strace");
    }
    let cases: [(&str, &[&str], &[&str]); 15] = [
        ("pwrite64", &["EIO", "ENOSPC"], &["1", "2", "3", "4", "5", "8", "12", "17", "6+", "14+"]),
        ("pwrite64", &["EINTR"], &["1", "3", "5", "8", "12"]),
        ("fdatasync", &["EIO"], &["1", "2", "3", "4", "5", "7", "9", "12", "15", "20", "5+", "12+"]),
        ("fdatasync", &["EINTR", "ENOSPC"], &["5", "9", "13"]),
        ("fsync", &["EIO"], &["1", "2", "3", "4", "5", "6", "8", "4+"]),
        ("renameat", &["EIO", "ENOSPC"], &["1", "2", "3", "4", "2+"]),
        ("fallocate", &["ENOSPC", "EDQUOT"], &["1", "2", "3", "4", "5", "3+"]),
        ("fallocate", &["EINTR"], &["1", "4"]),
        ("unlinkat", &["EIO", "EINTR"], &["1", "2", "3", "5"]),
        ("flock", &["EINTR", "EIO", "ENOLCK"], &["1", "2", "3", "4", "6", "9", "20"]),
        // The program's own start makes the first of these.
        ("pread64", &["EIO"], &["8", "10", "13", "17", "22", "27", "32", "37", "42", "25+"]),
        (
            "openat",
            &["EMFILE", "ENOMEM"],
            &["15", "18", "21", "24", "27", "30", "34", "39", "45", "50", "57", "63", "30+"],
        ),
        ("openat", &["EINTR"], &["20", "40"]),
        ("newfstatat", &["EIO", "ENOMEM"], &["10", "14", "20", "27", "35", "50", "70", "90", "110"]),
        ("fchmod", &["EPERM"], &["1", "2", "4", "8"]),
    ];
    let mut all = Vec::new();
    for (call, errnos, times) in cases {
        for errno in errnos {
            // A call that is interrupted for ever is tried for ever.
            let times = every(times).into_iter().filter(|n| *errno != "EINTR" || !n.ends_with('+'));
            all.extend(times.map(|n| (call, format!("{call}:error={errno}:when={n}"))));
        }
    }
    let mut errors = 0;
    let whole = each_in_time("calls_that_fail", all, |(call, fault)| errors += with_fault(&fault, call));
    assert!(!whole || errors > 60, "only {errors} errors were answered: are the names of the system calls right?");
}

const THREADS: usize = 4;

/// Counts in several threads by compare-and-swap, while syncs or writes fail again and again: what is answered decides
/// what the sum must be, since nothing may rest on a change that did not happen.
fn counting(part: &Part) {
    let settings = [("background", "off"), ("sync", part.setting("sync")), ("lock_timeout", "5s")];
    let store = Backend::open(&support::params(&part.path, &settings)).unwrap();
    while store.create("sums", "counter", &0u64.to_le_bytes(), 0).is_err_and(|e| e.code != Code::AlreadyExists) {}
    let (sure, unsure) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, sure, unsure) = (&store, &sure, &unsure);
            scope.spawn(move || {
                for n in 0..150u32 {
                    // Something large now and then, so that segments fill up in the middle of it all.
                    let _ = store.upsert("large", thread.to_string(), &vec![1; (n as usize % 7) * 900], 0);
                    let old = store.get("sums", "counter").unwrap();
                    let new = u64::from_le_bytes(old[..8].try_into().unwrap()) + 1;
                    let counter = match store.compare_and_swap("sums", "counter", &new.to_le_bytes(), &old, 0) {
                        Ok(_) => sure,
                        Err(e) if e.code == Code::Uncertain => unsure,
                        Err(e) => {
                            assert!(
                                matches!(e.code, Code::CompareFailed | Code::Io | Code::NoSpace),
                                "{:?} {e}",
                                e.code
                            );
                            continue;
                        }
                    };
                    counter.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let sum = store.get("sums", "counter").unwrap();
    let (sum, sure, unsure) = (u64::from_le_bytes(sum.try_into().unwrap()), sure.into_inner(), unsure.into_inner());
    assert!((sure..=sure + unsure).contains(&sum), "{sum} counted, {sure} answered, {unsure} uncertain");
    part.report(sum);
    part.report(store.stats_json().unwrap());
}

/// Some create a key that fills a good part of a segment, others delete it: of each deletion that is answered there was a
/// creation that happened. Decided together, they are told apart by a roll whose sync fails.
fn pairs(part: &Part) {
    let store = open_with(&part.path, &[("background", "off"), ("lock_timeout", "5s")]);
    let (made, gone, unsure) = (AtomicI64::new(0), AtomicI64::new(0), AtomicI64::new(0));
    let count = |counter: &AtomicI64, answer: Result<(), Error>| match answer {
        Ok(()) => drop(counter.fetch_add(1, Ordering::SeqCst)),
        Err(e) if e.code == Code::Uncertain => drop(unsure.fetch_add(1, Ordering::SeqCst)),
        Err(_) => (),
    };
    std::thread::scope(|scope| {
        for thread in 0..2 * THREADS {
            let (store, made, gone, count) = (&store, &made, &gone, &count);
            scope.spawn(move || {
                for n in 0..250usize {
                    match thread % 2 {
                        0 => count(made, store.create("pair", "key", &vec![1; n * 83 % 25_000], 0).map(drop)),
                        _ => count(gone, store.delete("pair", "key")),
                    }
                }
            });
        }
    });
    let left = i64::from(store.exists("pair", "key").unwrap());
    let (made, gone, unsure) = (made.into_inner(), gone.into_inner(), unsure.into_inner());
    assert!((made - gone - left).abs() <= unsure, "{made} made, {gone} gone, {left} left, {unsure} uncertain");
    part.report(made);
}

#[test]
fn nothing_rests_on_what_did_not_happen() {
    if !has("strace") {
        return skipped("nothing_rests_on_what_did_not_happen", "needs strace");
    }
    for when in ["10+2", "11+3", "12+5"] {
        let dir = tempfile::tempdir().unwrap();
        let inject = format!("inject=fdatasync:error=EIO:when={when}");
        let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", &inject];
        let path = dir.path().join("store");
        let said = Child::spawn(&inject, Child::command_under(&strace, "pairs", &path, &[])).finish();
        println!("{inject}: {said:?} made");
        assert_clean(&open(&path));
    }
}

#[test]
fn counting_is_exact_while_syncs_and_writes_fail() {
    if !has("strace") {
        return skipped("counting_is_exact_while_syncs_and_writes_fail", "needs strace");
    }
    let mut sums = 0;
    for sync in ["full", "os"] {
        for (call, when) in [("fdatasync", "12+7"), ("fdatasync", "15+2"), ("pwrite64", "14+5"), ("pwrite64", "9+13")] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("store");
            let (inject, trace) = (format!("inject={call}:error=EIO:when={when}"), format!("trace={call}"));
            let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let settings = [("sync", sync.to_owned())];
            let command = Child::command_under(&strace, "counting", &path, &settings);
            let said = Child::spawn(&format!("{sync} {inject}"), command).finish();
            let store = open(&path);
            let sum = u64::from_le_bytes(store.get("sums", "counter").unwrap().try_into().unwrap());
            assert_eq!(said[0], sum.to_string(), "{sync} {inject}: another sees another sum");
            assert_clean(&store);
            sums += sum;
            println!("{sync} {inject}: {said:?}");
        }
    }
    assert!(sums > 100, "nearly nothing was counted: {sums}");
}

/// A limit for as long as this lives.
struct Limited(Resource, Rlimit);

impl Limited {
    fn new(resource: Resource, most: u64) -> Limited {
        let before = getrlimit(resource);
        setrlimit(resource, Rlimit { current: Some(most), maximum: before.maximum }).unwrap();
        Limited(resource, before)
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let Limited(resource, before) = self;
        let _ = setrlimit(*resource, *before);
    }
}

/// Performs changes under a limit that grows, then without one; what was answered must be true each time.
fn under_limits(part: &Part, resource: Resource, limits: &[u64], wanted: &[Code]) {
    let store = open_with(&part.path, &[("background", "off"), ("lock_timeout", "300ms")]);
    let mut expected = Expected::new();
    let (mut n, mut errors) = (0, 0);
    for most in limits {
        {
            let _limited = Limited::new(resource, *most);
            for _ in 0..CHANGES {
                let answer = perform(&store, n);
                expected.note(n, answer.as_ref().map_or_else(|e| e.code.name(), |()| "OK"));
                if let Err(e) = answer
                    && e.code != Code::NotFound
                {
                    assert!(wanted.contains(&e.code), "limit {most}: {:?} {e}", e.code);
                    errors += 1;
                }
                n += 1;
            }
        }
        expected.check(&dump(&store), &format!("limit {most}"));
        for _ in 0..5 {
            n += 1;
            let answer = perform(&store, n);
            expected.note(n, answer.as_ref().map_or_else(|e| e.code.name(), |()| "OK"));
            assert!(answer.as_ref().is_ok_and(|()| true) || answer.is_err_and(|e| e.code == Code::NotFound));
        }
        expected.check(&dump(&store), &format!("after limit {most}"));
        assert_clean(&store);
    }
    drop(store);
    expected.check(&dump(&open(&part.path)), "opened again");
    assert!(errors > 0, "the limits were never met");
    part.report("all well");
}

fn descriptors(part: &Part) {
    let next = fs::File::open("/dev/null").map(|file| std::os::fd::AsRawFd::as_raw_fd(&file)).unwrap();
    let next = u64::try_from(next).unwrap();
    // Not even an open: an error, and no panic.
    for most in next..next + 4 {
        let _limited = Limited::new(Resource::Nofile, most);
        let e = Backend::open(&support::params(&part.path.join("not"), &[])).unwrap_err();
        assert!(matches!(e.code, Code::Io), "{:?} {e}", e.code);
        assert_eq!(e.os_errno, libc::EMFILE, "{e}");
    }
    let limits: Vec<u64> = (next + 4..next + 20).collect();
    under_limits(part, Resource::Nofile, &limits, &[Code::Io]);
}

#[test]
fn no_more_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Child::start("descriptors", &dir.path().join("store"), &[]).finish(), ["all well"]);
}

fn short(part: &Part) {
    // SAFETY: a write beyond the limit shall fail and not end the process.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    // Writes that cross the limit stay short, those after it fail.
    let limits = [64, 1_000, 5_000, 20_001, 33_333, 50_000, 65_535, 70_000];
    under_limits(part, Resource::Fsize, &limits, &[Code::NoSpace, Code::Io, Code::Uncertain]);
}

#[test]
fn writes_that_stay_short() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Child::start("short", &dir.path().join("store"), &[]).finish(), ["all well"]);
}

#[test]
fn a_fuse_filesystem_is_refused_by_name() {
    const TEST: &str = "a_fuse_filesystem_is_refused_by_name";
    if !has("bindfs") || !is_root() {
        return skipped(TEST, "needs bindfs and root");
    }
    let dir = tempfile::tempdir().unwrap();
    let (real, point) = (dir.path().join("real"), dir.path().join("mounted"));
    fs::create_dir(&real).unwrap();
    fs::create_dir(&point).unwrap();
    if !Command::new("bindfs").arg(&real).arg(&point).output().is_ok_and(|output| output.status.success()) {
        return skipped(TEST, "bindfs can't mount here");
    }
    let found = Backend::open_path(point.join("store"));
    let direct = Backend::open_path(&point);
    let left = fs::read_dir(&real).unwrap().count();
    Command::new("umount").arg("-l").arg(&point).output().unwrap();
    for refused in [found, direct] {
        let e = refused.unwrap_err();
        assert_eq!(e.code, Code::Unsupported, "{e}");
        assert!(e.message.to_lowercase().contains("fuse"), "{e}");
    }
    assert_eq!(left, 0, "something was made on a filesystem that won't do");
}
