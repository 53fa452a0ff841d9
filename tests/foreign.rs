//! What is in the directory, or at its path, and isn't what this store has now: an old manifest, files of others, a link, a
//! copy made while the store lives.

mod support;

use std::fs;

use dirkv::backend::NewItem;
use dirkv::{Backend, Code};
use support::{Watchdog, assert_names_damage, copy, dump, open, open_with};

#[test]
fn an_old_manifest_put_back() {
    let _watchdog = Watchdog::new("an_old_manifest_put_back");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open_with(&path, &[("background", "off")]);
    let mut manifests = vec![fs::read(path.join("MANIFEST")).unwrap()];
    let keep = |manifests: &mut Vec<Vec<u8>>| {
        let now = fs::read(path.join("MANIFEST")).unwrap();
        if manifests.last() != Some(&now) {
            manifests.push(now);
        }
    };
    for n in 0..160u32 {
        // Larger ones stay in the log, whose old segments are then there, too.
        let words = if n < 100 { 1000 } else { 1500 };
        store.upsert("a", (n % 7).to_string(), &n.to_le_bytes().repeat(words), 0).unwrap();
        keep(&mut manifests);
        if n % 25 == 24 {
            store.compact().unwrap();
            store.upsert("a", "after", &n.to_le_bytes(), 0).unwrap();
            keep(&mut manifests);
        }
    }
    let content = dump(&store);
    drop(store);
    let newest = manifests.pop().unwrap();
    assert!(manifests.len() >= 6, "{} manifests", manifests.len());
    for (age, old) in manifests.iter().enumerate() {
        for read_only in ["true", "false"] {
            let copied = tempfile::tempdir().unwrap();
            copy(&path, copied.path());
            fs::write(copied.path().join("MANIFEST"), old).unwrap();
            let settings = [("background", "off"), ("read_only", read_only)];
            let opened = Backend::open(&support::params(copied.path(), &settings));
            let e = opened.expect_err(&format!("manifest {age} of {} was believed", manifests.len()));
            assert_names_damage(&e, &format!("manifest {age}"));
        }
    }
    fs::write(path.join("MANIFEST"), newest).unwrap();
    assert_eq!(dump(&open(&path)), content);
}

#[test]
fn garbage_that_is_not_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    drop(open(&path));
    let names = ["README", "log-01", "log-", "log-x", "table-7.bak", ".hidden", "MANIFEST.old", "LOCK2", "table--1"];
    for name in names {
        fs::write(path.join(name), name).unwrap();
    }
    fs::create_dir(path.join("folder")).unwrap();
    fs::write(path.join("folder/file"), "within").unwrap();
    fs::create_dir(path.join("log-999999")).unwrap();
    let store = open(&path);
    for n in 0..90u8 {
        store.upsert("a", n.to_string(), &[n; 4000], 0).unwrap();
    }
    store.compact().unwrap();
    support::assert_clean(&store);
    drop(store);
    drop(open(&path));
    for name in names {
        assert_eq!(fs::read(path.join(name)).unwrap(), name.as_bytes());
    }
    assert_eq!(fs::read(path.join("folder/file")).unwrap(), b"within");
    assert!(path.join("log-999999").is_dir());
}

#[test]
fn a_file_where_the_directory_should_be_and_a_link_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "mine").unwrap();
    let e = Backend::open_path(&file).unwrap_err();
    assert_eq!(e.code, Code::BadParameter, "{e}");
    assert!(e.message.contains("file"), "{e}");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    let (store, link) = (dir.path().join("store"), dir.path().join("link"));
    fs::create_dir(&store).unwrap();
    std::os::unix::fs::symlink(&store, &link).unwrap();
    let (direct, linked) = (open(&store), open(&link));
    linked.upsert("a", "b", b"c", 0).unwrap();
    assert_eq!(direct.get("a", "b").unwrap(), b"c");
    // Resolved once: where the link leads later doesn't matter.
    fs::remove_file(&link).unwrap();
    fs::create_dir(&link).unwrap();
    linked.upsert("a", "b", b"d", 0).unwrap();
    assert_eq!(direct.get("a", "b").unwrap(), b"d");
    assert_eq!(fs::read_dir(&link).unwrap().count(), 0);
}

#[test]
fn a_copy_of_a_live_directory_is_consistent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open_with(&path, &[("background", "off")]);
    let keys: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let mut copies = 0;
    std::thread::scope(|scope| {
        let (store, keys) = (&store, &keys);
        let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stop = done.clone();
        scope.spawn(move || {
            for n in 0u64.. {
                let value = n.to_le_bytes();
                let items: Vec<_> = keys.iter().map(|k| NewItem { key: k.as_bytes(), value: &value, ttl: 0 }).collect();
                store.upsert_items("batch", &items).unwrap();
                if stop.load(std::sync::atomic::Ordering::SeqCst) {
                    return;
                }
            }
        });
        for _ in 0..12 {
            let to = tempfile::tempdir().unwrap();
            copy(&path, to.path());
            // A copy made file by file may have missed one that came after another went: then it says so.
            match Backend::open(&support::params(to.path(), &[])) {
                Ok(copied) => {
                    let there = dump(&copied);
                    assert!(there.is_empty() || there.len() == 20, "{} of a batch", there.len());
                    assert!(there.values().all(|value| Some(value) == there.values().next()), "a torn batch");
                    support::assert_clean(&copied);
                    copied.upsert("batch", "0", b"goes on", 0).unwrap();
                    copies += 1;
                }
                Err(e) => assert_names_damage(&e, "a copy of a live directory"),
            }
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    assert!(copies > 0, "no copy could be opened");
}
