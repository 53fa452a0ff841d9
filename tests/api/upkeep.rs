//! Upkeep: what `check` finds in files that were damaged under an open handle, and what the background thread does by itself.

use super::*;
use dirkv::backend::NewItem;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A store of small segments, with or without a thread that compacts.
pub fn small(dir: &TempDir, background: &str) -> Backend {
    let mut params = Params::new();
    params.set("path", dir.path().to_str().unwrap()).unwrap();
    params.set("segment_size", "64KiB").unwrap();
    params.set("background", background).unwrap();
    Backend::open(&params).unwrap()
}

pub fn counter(b: &Backend, name: &str) -> u64 {
    let json = b.stats_json().unwrap();
    let from = json.find(&format!("\"{name}\":")).unwrap() + name.len() + 3;
    json[from..].chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// Fills more than `segments` of them.
pub fn fill(b: &Backend, segments: usize) {
    for n in 0..segments * 33 {
        b.upsert("filled", format!("{n:04}"), &[b'f'; 2_000], 0).unwrap();
    }
}

/// The file whose name begins so and that holds `text`, and where in it.
fn find(dir: &Path, prefix: &str, text: &[u8]) -> (PathBuf, usize) {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let of_kind = files.filter(|entry| entry.file_name().to_str().unwrap().starts_with(prefix));
    let found = of_kind.filter_map(|entry| {
        let bytes = fs::read(entry.path()).unwrap();
        Some((entry.path(), bytes.windows(text.len()).position(|window| window == text)?))
    });
    found.last().unwrap_or_else(|| panic!("no {prefix} holds {text:?}"))
}

/// What `check` says while one byte of the file is another.
fn with_a_flip(b: &Backend, file: &Path, at: usize) -> Vec<String> {
    let well = fs::read(file).unwrap();
    let mut ill = well.clone();
    ill[at] ^= 0x40;
    fs::write(file, &ill).unwrap();
    let findings = b.check().unwrap();
    fs::write(file, &well).unwrap();
    assert_eq!(b.check().unwrap(), [""; 0], "well again");
    findings
}

#[test]
fn check_names_the_file_and_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "off");
    b.upsert("x", "tabled", b"it lies in a table", 0).unwrap();
    fill(&b, 2);
    b.compact().unwrap();
    b.upsert("x", "sealed", b"it lies in a sealed segment", 0).unwrap();
    fill(&b, 1);
    b.upsert("x", "live", b"it lies in the live segment", 0).unwrap();
    assert!(counter(&b, "segments") >= 2);
    assert_eq!(b.check().unwrap(), [""; 0]);
    for (prefix, text) in [
        ("table-", "it lies in a table"),
        ("log-", "it lies in a sealed segment"),
        ("log-", "it lies in the live segment"),
    ] {
        let (file, at) = find(dir.path(), prefix, text.as_bytes());
        let name = file.file_name().unwrap().to_str().unwrap();
        let findings = with_a_flip(&b, &file, at);
        let [finding] = &findings[..] else { panic!("of {text}: {findings:?}") };
        assert!(finding.contains(name), "{finding}");
        let place: Option<usize> =
            finding.split_whitespace().find_map(|word| word.trim_matches([',', ':']).parse().ok());
        assert!(place.is_some_and(|place| place <= at && at < place + 16_384), "{finding}: {at} was flipped");
    }
    // Segments are made with their full size; what lies behind the last frame is nobody's.
    let (live, _) = find(dir.path(), "log-", b"it lies in the live segment");
    let end = fs::read(&live).unwrap().len();
    assert_eq!(with_a_flip(&b, &live, end - 1), [""; 0]);
}

#[test]
fn check_misses_a_table_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "off");
    b.upsert("x", "tabled", b"it lies in a table", 0).unwrap();
    fill(&b, 2);
    b.compact().unwrap();
    let (file, _) = find(dir.path(), "table-", b"it lies in a table");
    fs::remove_file(&file).unwrap();
    assert_eq!(b.check().unwrap(), [format!("{} is gone", file.file_name().unwrap().to_str().unwrap())]);
}

#[test]
fn the_background_thread_makes_tables_of_full_segments() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "on");
    // So few that no writer flushes them.
    fill(&b, 2);
    let patience = Instant::now();
    while counter(&b, "segments") > 1 {
        assert!(patience.elapsed() < Duration::from_secs(60), "{}", b.stats_json().unwrap());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(counter(&b, "tables") >= 1 && counter(&b, "compactions") >= 1);
    assert_eq!(b.keys("filled", None, 0).unwrap().len(), 66);
}

#[test]
fn without_it_full_segments_stay_until_they_are_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "off");
    fill(&b, 2);
    assert_eq!((counter(&b, "tables"), counter(&b, "compactions")), (0, 0), "{}", b.stats_json().unwrap());
    fill(&b, 20);
    assert!(counter(&b, "tables") >= 1 && counter(&b, "segments") < 20, "{}", b.stats_json().unwrap());
}

/// The value lies in one table, what deleted it in the next.
#[test]
fn what_was_deleted_with_its_bucket_does_not_come_back_when_it_is_read_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "off");
    b.upsert("a", "key", b"value", 0).unwrap();
    b.compact().unwrap();
    b.delete_bucket("", "a").unwrap();
    fill(&b, 4);
    assert!(counter(&b, "tables") >= 2, "{}", b.stats_json().unwrap());
    for _ in 0..5 {
        fails(b.get("a", "key"), Code::NotFound, "key");
    }
}

#[test]
fn the_caches_of_tables_take_what_they_may() {
    let dir = tempfile::tempdir().unwrap();
    let mut params = Params::new();
    for (name, value) in [("path", dir.path().to_str().unwrap()), ("memory_limit", "1MiB"), ("background", "off")] {
        params.set(name, value).unwrap();
    }
    let b = Backend::open(&params).unwrap();
    let names: Vec<String> = (0..3_000).map(|n| n.to_string()).collect();
    let items: Vec<_> =
        names.iter().map(|name| NewItem { key: name.as_bytes(), value: &[b'c'; 1_000], ttl: 0 }).collect();
    b.upsert_items("cached", &items).unwrap();
    b.compact().unwrap();
    // Rows are kept from the second read on.
    for name in names.iter().flat_map(|name| [name; 3]) {
        b.get("cached", name).unwrap();
    }
    let kept = counter(&b, "cache_bytes");
    assert!((700 << 10..=1 << 20).contains(&kept), "{kept} bytes");
}

/// No table is asked once a value has been read, neither by reads nor by conditions.
#[test]
fn a_condition_finds_the_row_that_a_read_left() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "off");
    let revision = b.upsert("cached", "k", b"value", 0).unwrap();
    b.compact().unwrap();
    b.get("cached", "k").unwrap();
    let asked = || counter(&b, "cache_hits") + counter(&b, "cache_misses");
    let before = asked();
    assert!(before > 0);
    fails(b.create("cached", "k", b"other", 0), Code::AlreadyExists, "is there already");
    fails(b.compare_and_swap("cached", "k", b"other", b"wrong", 0), Code::CompareFailed, "another value");
    fails(b.delete_if_revision("cached", "k", revision + 1), Code::CompareFailed, "revision");
    assert_eq!(b.get("cached", "k").unwrap(), b"value");
    assert_eq!(asked(), before, "{}", b.stats_json().unwrap());
}

/// In the log a key takes what differs from the one before, in memory all of its path.
#[test]
fn a_segment_whose_keys_take_much_memory_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let b = small(&dir, "off");
    let bucket = [&*"b".repeat(255); 32].join("/");
    for (batch, seals) in [0, 0, 1].into_iter().enumerate() {
        let names: Vec<String> = (0..60).map(|n| format!("{batch}-{n}")).collect();
        let items: Vec<_> = names.iter().map(|name| NewItem { key: name.as_bytes(), value: b"", ttl: 0 }).collect();
        let revision = b.upsert_items(&bucket, &items).unwrap();
        assert_eq!((counter(&b, "seals"), counter(&b, "revision")), (seals, revision));
    }
    assert!(counter(&b, "log_bytes") < 64 << 10, "{}", b.stats_json().unwrap());
}
