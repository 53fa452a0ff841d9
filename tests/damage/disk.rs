//! A store of the usual size in a real directory: a sample of flips and lengths, and every file gone, exchanged, or another
//! store's.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dirkv::backend::NewItem;
use dirkv::{Backend, Code, Error};
use tempfile::TempDir;

use crate::support::{self, Watchdog, assert_names_damage, copy, dump, files, open_with};

type Content = BTreeMap<String, Vec<u8>>;

/// A store with two tables' worth of history, sealed segments, a tail, and everything that a frame may hold.
struct Sample {
    dir: TempDir,
    /// What it holds,
    now: Content,
    /// and what it held before the last change, which has no witness in a copy.
    before: Content,
}

impl Sample {
    fn new() -> Sample {
        let dir = tempfile::tempdir().unwrap();
        let store = open_with(&dir.path().join("store"), &[("background", "off")]);
        for round in 0..2u8 {
            let keys: Vec<String> = (0..60).map(|n| format!("key {n}")).collect();
            let value = [round; 100];
            let items: Vec<_> = keys.iter().map(|k| NewItem { key: k.as_bytes(), value: &value, ttl: 0 }).collect();
            store.upsert_items("table/of items", &items).unwrap();
            store.upsert("table", "large", &[round + 7; 6000], 0).unwrap();
            store.delete("table/of items", "key 3").unwrap();
            store.upsert("gone", "x", b"y", 0).unwrap();
            store.compact().unwrap();
            store.delete_bucket("", "gone").unwrap();
        }
        for n in 0..12u8 {
            store.upsert("sealed", n.to_string(), &[n; 7000], 0).unwrap();
        }
        for n in 0..6u8 {
            store.upsert("tail", n.to_string(), &[n; 40], 0).unwrap();
        }
        store.acquire_lock("token", 60_000_000_000, 0).unwrap();
        let before = dump(&store);
        store.upsert("tail", "last", b"one", 0).unwrap();
        let now = dump(&store);
        drop(store);
        let sample = Sample { dir, now, before };
        let names: Vec<String> = files(&sample.path()).into_keys().collect();
        let logs = names.iter().filter(|name| name.starts_with("log-")).count();
        assert!(logs >= 3 && names.iter().any(|name| name.starts_with("table-")), "{names:?}");
        sample
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// A copy, in which `SHARED` is no witness, since it is another file than it says.
    fn copied(&self) -> (TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        copy(&self.path(), &path);
        (dir, path)
    }

    /// Opens, reads and checks. The answer says how the damage was found; `None`: it was harmless.
    fn examine(&self, path: &Path, read_only: bool, what: &str) -> Option<Error> {
        let settings = [("background", "off"), ("read_only", if read_only { "true" } else { "false" })];
        let store = match Backend::open(&support::params(path, &settings)) {
            Ok(store) => store,
            Err(e) => return Some(e),
        };
        let listed = store.items("", None, 0, true);
        let findings = store.check().unwrap_or_else(|e| vec![format!("check failed: {e}")]);
        match listed {
            Err(e) => {
                assert!(!findings.is_empty(), "{what}: a listing fails ({e}), but check finds nothing");
                Some(e)
            }
            Ok(items) => {
                let found: Content = items.into_iter().map(|item| (item.name, item.value)).collect();
                assert!(found == self.now || found == self.before, "{what}: wrong data without a word");
                self.get_each(&store, &found, what);
                let finding = findings.into_iter().next()?;
                Some(Error::new(Code::Corrupt, finding))
            }
        }
    }

    /// Single reads say the same as the listing.
    fn get_each(&self, store: &Backend, found: &Content, what: &str) {
        for (path, value) in found {
            let (bucket, key) = path.rsplit_once('/').unwrap();
            match store.get(bucket, key) {
                Ok(got) => assert!(got == *value, "{what}: a get of {path} differs from the listing"),
                Err(e) => assert_eq!(e.code, Code::Corrupt, "{what}: a get of {path}: {e}"),
            }
        }
    }
}

/// Offsets of a file to try: all of a small one, else those at its ends and some between.
fn sampled(len: usize, all_below: usize, step: usize) -> Vec<usize> {
    let near_end = len.saturating_sub(140);
    (0..len).filter(|at| len <= all_below || *at < 200 || *at >= near_end || at % step == 0).collect()
}

/// Only what readers must not change.
fn unchanged(path: &Path, before: &BTreeMap<String, Vec<u8>>, what: &str) {
    for (name, bytes) in files(path) {
        assert!(before.get(&name) == Some(&bytes), "{what}: a reader changed {name}");
    }
}

#[test]
fn a_flipped_byte_anywhere() {
    let watchdog = Watchdog::new("a_flipped_byte_anywhere");
    let sample = Sample::new();
    let mut found = BTreeMap::<String, usize>::new();
    // In a copy, whose SHARED bears no witness, and at the place itself.
    let (_dir, copied) = sample.copied();
    let (step, seldom) = (307, 1999);
    for (path, step) in [(copied, step), (sample.path(), seldom)] {
        let pristine = files(&path);
        for (name, bytes) in &pristine {
            let file = path.join(name);
            for at in sampled(bytes.len(), 500, step) {
                watchdog.goes_on();
                let what = format!("byte {at} of {name} flipped");
                let mut bad = bytes.clone();
                bad[at] ^= 1 << (at % 8);
                fs::write(&file, &bad).unwrap();
                if let Some(e) = sample.examine(&path, true, &what) {
                    assert_names_damage(&e, &what);
                    *found.entry(name.clone()).or_default() += 1;
                }
                assert!(fs::read(&file).unwrap() == bad, "{what}: a reader changed it");
            }
            fs::write(&file, bytes).unwrap();
        }
        unchanged(&path, &pristine, "all flips");
    }
    // Every byte of these counts.
    for (name, bytes) in files(&sample.path()) {
        let tried = sampled(bytes.len(), 500, step).len() + sampled(bytes.len(), 500, seldom).len();
        if name == "MANIFEST" || name.starts_with("table-") {
            assert_eq!(found.get(&name), Some(&tried), "{name}: not every flip was found");
        }
    }
    assert!(found.keys().any(|name| name.starts_with("log-")), "{found:?}");
}

#[test]
fn a_flipped_byte_met_by_a_writer() {
    let watchdog = Watchdog::new("a_flipped_byte_met_by_a_writer");
    let sample = Sample::new();
    let pristine = files(&sample.path());
    for (name, bytes) in &pristine {
        for at in sampled(bytes.len(), 64, 4999).into_iter().step_by(23) {
            watchdog.goes_on();
            let (_dir, path) = sample.copied();
            let what = format!("byte {at} of {name} flipped");
            let mut bad = bytes.clone();
            bad[at] ^= 0x80;
            fs::write(path.join(name), &bad).unwrap();
            let Some(e) = sample.examine(&path, false, &what) else { continue };
            assert_names_damage(&e, &what);
            for (other, bytes) in &pristine {
                // The page is made anew; a manifest that was read is written again as it was.
                if other == "SHARED" || other == name {
                    continue;
                }
                assert!(fs::read(path.join(other)).is_ok_and(|now| now == *bytes), "{what}: {other} was changed");
            }
            let now = fs::read(path.join(name)).unwrap_or_default();
            let spare = next_segment(&pristine) == *name;
            assert!(now == bad || name == "SHARED" || spare, "{what}: it was overwritten, and said to be damaged");
        }
    }
}

/// The segment that is made ahead and has no frame yet.
fn next_segment(files: &BTreeMap<String, Vec<u8>>) -> String {
    let number = |name: &String| name.strip_prefix("log-").and_then(|n| n.parse::<u64>().ok());
    format!("log-{}", files.keys().filter_map(number).max().unwrap())
}

#[test]
fn a_truncated_file() {
    let watchdog = Watchdog::new("a_truncated_file");
    let sample = Sample::new();
    let pristine = files(&sample.path());
    for (name, bytes) in &pristine {
        for len in sampled(bytes.len(), 700, 397).into_iter().rev() {
            watchdog.goes_on();
            let read_only = len % 4 != 0;
            let (_dir, path) = sample.copied();
            let what = format!("{name} cut to {len} bytes (read only: {read_only})");
            fs::File::options().write(true).open(path.join(name)).unwrap().set_len(len as u64).unwrap();
            let found = sample.examine(&path, read_only, &what);
            if let Some(e) = &found {
                assert_names_damage(e, &what);
            }
            let matters = name == "MANIFEST" || name.starts_with("table-");
            assert!(found.is_some() || !matters, "{what}: nobody noticed");
        }
    }
}

#[test]
fn a_missing_file() {
    let _watchdog = Watchdog::new("a_missing_file");
    let sample = Sample::new();
    let pristine = files(&sample.path());
    for name in pristine.keys() {
        for read_only in [true, false] {
            let (_dir, path) = sample.copied();
            let what = format!("{name} removed (read only: {read_only})");
            fs::remove_file(path.join(name)).unwrap();
            let found = sample.examine(&path, read_only, &what);
            let harmless = ["LOCK", "SHARED", "COMPACT"].contains(&name.as_str()) || *name == next_segment(&pristine);
            match found {
                None => assert!(harmless, "{what}: nobody noticed"),
                Some(e) if name == "LOCK" && read_only => assert_eq!(e.code, Code::NotFound, "{what}: {e}"),
                Some(e) if name == "MANIFEST" && read_only => {
                    assert!(matches!(e.code, Code::NotFound | Code::Corrupt), "{what}: {e}");
                }
                Some(e) => {
                    assert!(!harmless, "{what}: {e}");
                    assert_names_damage(&e, &what);
                    for (other, bytes) in &pristine {
                        let kept = other == name || other == "SHARED" || files(&path).get(other) == Some(bytes);
                        assert!(kept, "{what}: {other} was changed");
                    }
                }
            }
        }
    }
}

#[test]
fn two_files_exchanged() {
    let _watchdog = Watchdog::new("two_files_exchanged");
    let sample = Sample::new();
    let pristine = files(&sample.path());
    let names: Vec<&String> = pristine.keys().collect();
    for (i, one) in names.iter().enumerate() {
        for two in &names[i + 1..] {
            let (_dir, path) = sample.copied();
            let what = format!("{one} and {two} exchanged");
            fs::write(path.join(one), &pristine[*two]).unwrap();
            fs::write(path.join(two), &pristine[*one]).unwrap();
            for read_only in [true, false] {
                let found = sample.examine(&path, read_only, &what);
                let matter =
                    |name: &str| !["LOCK", "SHARED", "COMPACT"].contains(&name) && name != next_segment(&pristine);
                match found {
                    None => assert!(!matter(one) && !matter(two), "{what}: nobody noticed"),
                    Some(e) => assert_names_damage(&e, &what),
                }
            }
        }
    }
}

#[test]
fn another_stores_file_in_the_place_of_ours() {
    let sample = Sample::new();
    let other = Sample::new();
    let pristine = files(&sample.path());
    for (name, bytes) in files(&other.path()) {
        if !pristine.contains_key(&name) || ["LOCK", "COMPACT", "SHARED"].contains(&name.as_str()) {
            continue;
        }
        for read_only in [true, false] {
            let (_dir, path) = sample.copied();
            fs::write(path.join(&name), &bytes).unwrap();
            let what = format!("{name} of another store (read only: {read_only})");
            match sample.examine(&path, read_only, &what) {
                None => assert_eq!(name, next_segment(&pristine), "{what}: nobody noticed"),
                Some(e) => assert_names_damage(&e, &what),
            }
        }
    }
}

/// Gives a file's header the next format version, with a checksum that matches.
fn make_newer(name: &str, bytes: &mut [u8]) {
    let version = |bytes: &mut [u8], at: usize| bytes[at..at + 4].copy_from_slice(&3u32.to_le_bytes());
    let seal = |bytes: &mut [u8], from: usize, to: usize| {
        let crc = dirkv::format::checksum::crc32c(0, &bytes[from..to]);
        bytes[to..to + 4].copy_from_slice(&crc.to_le_bytes());
    };
    let len = bytes.len();
    match name {
        "MANIFEST" => {
            version(bytes, 8);
            seal(bytes, 0, len - 4);
        }
        _ if name.starts_with("log-") => {
            version(bytes, 8);
            seal(bytes, 0, 48);
        }
        _ => {
            version(bytes, len - 120);
            seal(bytes, len - 128, len - 4);
        }
    }
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let sample = Sample::new();
    let pristine = files(&sample.path());
    for (name, bytes) in &pristine {
        if ["LOCK", "COMPACT", "SHARED"].contains(&name.as_str()) || *name == next_segment(&pristine) {
            continue;
        }
        for read_only in [true, false] {
            let (_dir, path) = sample.copied();
            let mut newer = bytes.clone();
            make_newer(name, &mut newer);
            fs::write(path.join(name), &newer).unwrap();
            let before = files(&path);
            let what = format!("{name} of format 3 (read only: {read_only})");
            let e = sample.examine(&path, read_only, &what).expect(&what);
            assert_names_damage(&e, &what);
            assert!(e.message.contains("version"), "{what}: {e}");
            if name == "MANIFEST" {
                assert_eq!(e.code, Code::Unsupported, "{what}: {e}");
            }
            for (other, bytes) in before {
                let same = other == "SHARED" || fs::read(path.join(&other)).is_ok_and(|now| now == bytes);
                assert!(same, "{what}: {other} was changed");
            }
        }
    }
}
