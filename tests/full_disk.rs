//! A full disk: `NO_SPACE` before anything is promised, nothing lost, reads go on, and writes go on once there is room.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dirkv::{Backend, Code};
use support::{Child, Mounted, Part, Watchdog, assert_clean, dump, open, open_with};

#[test]
fn child() {
    support::play(&[("first", first)]);
}

type Map = BTreeMap<String, Vec<u8>>;

/// Takes what room there is.
fn fill(path: &Path) {
    let mut size = 1 << 20;
    for n in 0.. {
        let file = path.join(format!("filler{n}"));
        if fs::write(&file, vec![1; size]).is_err() {
            size /= 4;
        }
        if size < 512 {
            return;
        }
    }
}

fn make_room(path: &Path) {
    for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("filler") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

fn disk_full(mounted: &Mounted, settings: &[(&str, &str)]) {
    let path = mounted.point().join("store");
    let store = open_with(&path, settings);
    let other = open_with(&path, &[("read_only", "true")]);
    let mut model = Map::new();
    for round in 0..3u64 {
        let mut refusals = 0;
        for n in 0..400u64 {
            // Again and again: a merge makes room, and so does a reader that lets go of tables that are gone.
            if (60..300).contains(&n) && n % 20 == 0 {
                dump(&other);
                fill(&mounted.point());
            }
            if n == 300 {
                make_room(&mounted.point());
            }
            let key = (n % 90).to_string();
            let value = (round * 1000 + n).to_le_bytes().repeat(250);
            match store.upsert("full", &key, &value, 0) {
                Ok(_) => drop(model.insert(format!("full/{key}"), value)),
                Err(e) => {
                    assert_eq!(e.code, Code::NoSpace, "{e}");
                    assert!((60..300).contains(&n), "no room, though there is room: {e}");
                    refusals += 1;
                    if refusals % 20 == 1 {
                        assert!(dump(&store) == model && dump(&other) == model, "reads go on");
                    }
                }
            }
        }
        assert!(refusals > 10, "the disk was full, but only {refusals} changes were refused");
        assert!(dump(&store) == model && dump(&other) == model, "round {round}");
        assert_clean(&store);
    }
    store.compact().unwrap();
    drop(other);
    drop(store);
    let store = open(&path);
    assert!(dump(&store) == model);
    assert_clean(&store);
}

#[test]
fn disk_full_on_ext4() {
    let _watchdog = Watchdog::new("disk_full_on_ext4");
    let Some(mounted) = Mounted::new("disk_full_on_ext4", "mkfs.ext4", "16M") else { return };
    disk_full(&mounted, &[]);
}

#[test]
fn disk_full_without_background_on_ext4() {
    let _watchdog = Watchdog::new("disk_full_without_background_on_ext4");
    let Some(mounted) = Mounted::new("disk_full_without_background_on_ext4", "mkfs.ext4", "16M") else { return };
    disk_full(&mounted, &[("background", "off")]);
}

#[test]
fn disk_full_on_btrfs() {
    let _watchdog = Watchdog::new("disk_full_on_btrfs");
    let Some(mounted) = Mounted::new("disk_full_on_btrfs", "mkfs.btrfs", "128M") else { return };
    disk_full(&mounted, &[]);
}

/// Opens, writes and ends; says what an open answered.
fn first(part: &Part) {
    match Backend::open(&support::params(&part.path, &[])) {
        Ok(_) => part.report("opened"),
        Err(e) => part.report(format_args!("{} {e}", e.code.name())),
    }
}

#[test]
fn no_room_for_a_new_store() {
    let Some(mounted) = Mounted::new("no_room_for_a_new_store", "mkfs.ext4", "16M") else { return };
    fill(&mounted.point());
    let path = mounted.point().join("store");
    let said = Child::start("first", &path, &[]).finish();
    assert!(said[0].starts_with("NO_SPACE"), "{said:?}");
    make_room(&mounted.point());
    assert_eq!(Child::start("first", &path, &[]).finish(), ["opened"]);
    assert_clean(&open(&path));
}
