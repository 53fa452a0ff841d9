//! The store's directory as others may leave it: without permission, read-only, with its files removed or replaced under
//! running processes, an image of it cut and mounted again.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use dirkv::{Backend, Code, Error};
use support::{Child, Part, Watchdog, assert_clean, copy, dump, files, is_root, open, open_with, skipped};
use tempfile::TempDir;

#[test]
fn child() {
    support::play(&[("opener", opener), ("umask", umask), ("reader", reader)]);
}

const READ_ONLY: [(&str, &str); 1] = [("read_only", "true")];

/// Opens, and says what came of it.
fn opener(part: &Part) {
    let read_only = part.setting("read_only");
    match Backend::open(&support::params(&part.path, &[("read_only", read_only)])) {
        Ok(store) => {
            part.report(format_args!("opened {}", dump(&store).len()));
            if read_only == "false" {
                store.upsert("a", "written", b"by a child", 0).unwrap();
            }
        }
        Err(e) => part.report(format_args!("{} {} {e}", e.code.name(), e.os_errno)),
    }
}

/// What an open by somebody without privileges comes to.
fn opened_by_nobody(path: &Path, read_only: bool) -> String {
    // The program has to be somewhere where that user can read it.
    let copied = std::env::temp_dir().join(format!("dirkv-test-{}-{}", std::process::id(), fastrand::u32(..)));
    // Written by a process of its own: a child that another test starts meanwhile would inherit the descriptor, and a program
    // that somebody may still write to can't be started.
    let me = std::env::current_exe().unwrap();
    assert!(run("install", &[Path::new("-m755"), &me, &copied]));
    let command = Child::command("opener", path, &[("read_only", read_only.to_string())]);
    let mut nobody = Command::new(&copied);
    nobody.args(command.get_args()).uid(65534).gid(65534).current_dir("/");
    nobody.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = Child::spawn("opener", nobody).finish();
    fs::remove_file(copied).unwrap();
    said.into_iter().next().unwrap()
}

/// A store with a few items, closed; anybody may reach its directory.
fn sample() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let path = dir.path().join("store");
    let store = open_with(&path, &[("dir_mode", "0755"), ("file_mode", "0644")]);
    for n in 0..20u8 {
        store.upsert("a", (n % 10).to_string(), &[n; 4000], 0).unwrap();
    }
    (dir, path)
}

#[test]
fn without_permission() {
    if !is_root() {
        return skipped("without_permission", "needs root to become somebody else");
    }
    let (_dir, path) = sample();
    let before = files(&path);
    // May read, but not write: a read-only handle works.
    assert_eq!(opened_by_nobody(&path, true), "opened 10");
    let refused = opened_by_nobody(&path, false);
    assert!(refused.starts_with("IO 13 ") && refused.contains("LOCK"), "{refused}");
    // May write the files, but make none.
    for entry in fs::read_dir(&path).unwrap() {
        chown(entry.unwrap().path(), Some(65534), Some(65534)).unwrap();
    }
    let refused = opened_by_nobody(&path, false);
    assert!(refused.starts_with("IO 13 ") && refused.contains("make files"), "{refused}");
    for (name, bytes) in &before {
        assert!(name == "SHARED" || fs::read(path.join(name)).unwrap() == *bytes, "{name} was changed");
    }
    // May not even enter.
    fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
    for read_only in [true, false] {
        let refused = opened_by_nobody(&path, read_only);
        assert!(refused.starts_with("IO 13 ") && refused.contains("store"), "{refused}");
        let refused = opened_by_nobody(&path.join("below"), read_only);
        assert!(refused.starts_with("IO 13 "), "{refused}");
    }
    // All is its own: works.
    chown(&path, Some(65534), Some(65534)).unwrap();
    assert_eq!(opened_by_nobody(&path, false), "opened 10");
    assert_eq!(open(&path).get("a", "written").unwrap(), b"by a child");
}

/// Creates a store under a umask.
fn umask(part: &Part) {
    let mask = rustix::fs::Mode::from_raw_mode(u32::from_str_radix(part.setting("mask"), 8).unwrap());
    rustix::process::umask(mask);
    let store = open(&part.path.join("a/b"));
    for n in 0..30u8 {
        store.upsert("a", n.to_string(), &[n; 9000], 0).unwrap();
    }
    store.compact().unwrap();
    part.report("made");
}

#[test]
fn modes_whatever_the_umask() {
    for mask in ["000", "022", "077", "777"] {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Child::start("umask", dir.path(), &[("mask", mask.to_owned())]).finish(), ["made"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let path = dir.path().join("a/b");
        assert_eq!((mode(&path), mode(&dir.path().join("a"))), (0o700, 0o700), "umask {mask}");
        let names: Vec<String> = files(&path).into_keys().collect();
        assert!(names.iter().any(|name| name.starts_with("table-")), "{names:?}");
        for name in names {
            assert_eq!(mode(&path.join(&name)), 0o600, "{name}, umask {mask}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was made outside");
    }
}

#[test]
fn a_read_only_mount() {
    if !is_root() {
        return skipped("a_read_only_mount", "needs root");
    }
    let (dir, path) = sample();
    let point = dir.path().join("mounted");
    fs::create_dir(&point).unwrap();
    let mount = |args: &[&str]| Command::new("mount").args(args).output().is_ok_and(|o| o.status.success());
    let (from, to) = (path.to_str().unwrap(), point.to_str().unwrap());
    if !mount(&["--bind", from, to]) || !mount(&["-o", "remount,bind,ro", to]) {
        let _ = Command::new("umount").arg("-l").arg(&point).output();
        return skipped("a_read_only_mount", "can't mount here");
    }
    let before = files(&path);
    let reader = Backend::open(&support::params(&point, &READ_ONLY)).map(|store| dump(&store).len());
    let writer = Backend::open(&support::params(&point, &[]));
    Command::new("umount").arg("-l").arg(&point).output().unwrap();
    assert_eq!(reader.unwrap(), 10);
    assert_eq!(writer.unwrap_err().code, Code::ReadOnly);
    assert!(files(&path) == before);
}

#[test]
fn a_reader_alone_changes_nothing_and_sees_a_writer_that_comes() {
    let (_dir, path) = sample();
    let before = files(&path);
    let reader = open_with(&path, &READ_ONLY);
    let second = open_with(&path, &READ_ONLY);
    let content = dump(&reader);
    assert_eq!(content.len(), 10);
    assert!(reader.check().unwrap().is_empty());
    assert!(files(&path) == before, "a reader changed something");
    for round in 0..4u8 {
        // The writer comes, works, merges and goes.
        let writer = open(&path);
        for n in 0..20 {
            writer.upsert("b", n.to_string(), &[round; 5000], 0).unwrap();
            assert_eq!(reader.get("b", n.to_string()).unwrap(), [round; 5000], "beside a writer");
        }
        writer.compact().unwrap();
        assert_eq!(dump(&reader), dump(&writer));
        drop(writer);
        assert_eq!(second.get("b", "7").unwrap(), [round; 5000], "after a writer");
        assert!(reader.check().unwrap().is_empty());
    }
    let e = reader.upsert("a", "b", b"c", 0).unwrap_err();
    assert_eq!(e.code, Code::ReadOnly, "{e}");
}

/// What shows that a file was made or written anew.
fn stamp(file: &Path) -> (u64, i64, i64) {
    let metadata = fs::metadata(file).unwrap();
    (metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
}

#[test]
fn an_open_writes_nothing_again_that_shared_says_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let [path, copied] = ["store", "copied"].map(|name| dir.path().join(name));
    open(&path).upsert("a", "b", b"c", 0).unwrap();
    copy(&path, &copied);
    // Longer than the system's stamps are coarse.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let stamps = |path: &Path| ["MANIFEST", "log-1"].map(|name| stamp(&path.join(name)));
    let (before, copy_before) = (stamps(&path), stamps(&copied));
    assert_eq!((open(&path).get("a", "b").unwrap(), stamps(&path)), (b"c".to_vec(), before));
    // The copy has another file called SHARED, which says nothing about it.
    assert_eq!(open(&copied).get("a", "b").unwrap(), b"c");
    let copy_now = stamps(&copied);
    assert!(copy_now.iter().zip(&copy_before).all(|(now, before)| now != before), "{copy_now:?}, {copy_before:?}");
}

/// Between the two manifests a segment became a table, and went; the live segment is the same.
#[test]
fn an_older_manifest_put_back_is_refused_and_costs_nothing() {
    let _watchdog = Watchdog::new("an_older_manifest_put_back_is_refused_and_costs_nothing");
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("MANIFEST");
    let store = open_with(dir.path(), &[("background", "off")]);
    for n in 0..9u8 {
        store.upsert("a", n.to_string(), &[n; 9000], 0).unwrap();
    }
    drop(store);
    let old = fs::read(&manifest).unwrap();
    let store = open(dir.path());
    while fs::read(&manifest).unwrap() == old {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let content = dump(&store);
    drop(store);
    let new = fs::read(&manifest).unwrap();
    fs::write(&manifest, &old).unwrap();
    for settings in [&READ_ONLY[..], &[]] {
        let refused = Backend::open(&support::params(dir.path(), settings)).unwrap_err();
        assert_eq!(refused.code, Code::Corrupt, "{refused}");
        assert!(refused.message.contains("MANIFEST"), "{refused}");
    }
    fs::write(&manifest, &new).unwrap();
    assert!(dump(&open(dir.path())) == content);
}

#[test]
fn a_reader_recovers_a_killed_writers_log_in_memory() {
    let (dir, path) = sample();
    let mut store = Some(open(&path));
    store.as_ref().unwrap().upsert("a", "last", b"word", 0).unwrap();
    // A copy is what a kill leaves: no clean end, and nobody there.
    let copied = dir.path().join("copied");
    copy(&path, &copied);
    drop(store.take());
    let log = files(&copied).into_keys().filter(|name| name.starts_with("log-")).max().unwrap();
    let before = files(&copied);
    let reader = open_with(&copied, &READ_ONLY);
    assert_eq!(reader.get("a", "last").unwrap(), b"word", "{log}");
    assert!(files(&copied) == before, "a reader changed something");
}

#[test]
fn there_is_no_store_for_a_reader() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Backend::open(&support::params(&dir.path().join("missing"), &READ_ONLY)).unwrap_err();
    assert!(missing.message.contains("missing"), "{missing}");
    let empty = Backend::open(&support::params(dir.path(), &READ_ONLY)).unwrap_err();
    assert_eq!(empty.code, Code::NotFound, "{empty}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "a reader made something");
}

/// Every change is refused from now on.
#[track_caller]
fn assert_refuses_changes(store: &Backend, what: &str) -> Error {
    let e = store.upsert("a", "two truths", b"x", 0).expect_err(what);
    assert!(matches!(e.code, Code::Io | Code::Corrupt), "{what}: {:?} {e}", e.code);
    assert!(store.delete("a", "1").is_err(), "{what}");
    assert!(store.compact().is_err(), "{what}");
    e
}

/// What becomes of a file under running processes.
const FATES: [&str; 4] = ["removed", "replaced", "moved away", "moved away and replaced"];

fn meet(fate: &str, file: &Path) {
    let bytes = fs::read(file).unwrap();
    match fate.starts_with("moved") {
        true => fs::rename(file, file.parent().unwrap().with_extension("away")).unwrap(),
        false => fs::remove_file(file).unwrap(),
    }
    if fate.ends_with("replaced") {
        fs::write(file, bytes).unwrap();
    }
}

/// Commits for long enough that the names aren't looked up each time any more; or right after the directory was changed.
fn commit_before(store: &Backend, path: &Path, quiet: bool) {
    let begun = Instant::now();
    fs::write(path.join("a change"), "").unwrap();
    store.upsert("a", "before", b"x", 0).unwrap();
    while quiet && begun.elapsed() < Duration::from_millis(50) {
        store.upsert("a", "before", b"x", 0).unwrap();
    }
}

#[test]
fn files_removed_or_replaced_under_running_processes() {
    let _watchdog = Watchdog::new("files_removed_or_replaced_under_running_processes");
    for name in ["LOCK", "SHARED"] {
        for (fate, quiet) in FATES.into_iter().flat_map(|fate| [(fate, true), (fate, false)]) {
            let what = format!("{name} {fate}");
            let (_dir, path) = sample();
            let (one, two) = (open(&path), open(&path));
            two.upsert("a", "before", b"w", 0).unwrap();
            commit_before(&one, &path, quiet);
            meet(fate, &path.join(name));
            for store in [&one, &two] {
                let e = assert_refuses_changes(store, &what);
                assert!(e.message.contains(name), "{what}: {e}");
            }
            assert_eq!(one.get("a", "before").unwrap(), b"x", "{what}: reads go on");
            // Another process makes the only truth.
            let fresh = open(&path);
            fresh.upsert("a", "fresh", b"y", 0).unwrap();
            assert_refuses_changes(&one, &what);
            drop((one, two));
            assert_eq!(fresh.get("a", "before").unwrap(), b"x", "{what}");
            fresh.upsert("a", "fresh", b"z", 0).unwrap();
            drop(fresh);
            let again = open(&path);
            assert_eq!(again.get("a", "fresh").unwrap(), b"z", "{what}");
            assert!(!again.exists("a", "two truths").unwrap(), "{what}");
            assert_clean(&again);
        }
    }
}

/// Writes enough for a roll or two; the first error.
fn roll(store: &Backend) -> Result<(), Error> {
    for n in 0..45u8 {
        store.upsert("roll", n.to_string(), &[n; 4000], 0)?;
    }
    Ok(())
}

#[test]
fn the_manifest_removed_or_replaced_under_running_processes() {
    let _watchdog = Watchdog::new("the_manifest_removed_or_replaced_under_running_processes");
    let (_dir, path) = sample();
    let old = fs::read(path.join("MANIFEST")).unwrap();
    roll(&open(&path)).unwrap();
    let other = sample();
    let foreign = fs::read(other.1.join("MANIFEST")).unwrap();
    let now = fs::read(path.join("MANIFEST")).unwrap();
    assert!(now != old);
    let cases: [(&str, Option<&[u8]>); 4] =
        [("removed", None), ("emptied", Some(b"")), ("old", Some(&old)), ("another store's", Some(&foreign))];
    for (what, bytes) in cases {
        let dir = tempfile::tempdir().unwrap();
        let copied = dir.path().join("store");
        copy(&path, &copied);
        let (one, two) = (open_with(&copied, &[("background", "off")]), open_with(&copied, &READ_ONLY));
        one.upsert("a", "before", b"x", 0).unwrap();
        let file = copied.join("MANIFEST");
        match bytes {
            None => fs::remove_file(&file).unwrap(),
            Some(bytes) => fs::write(&file, bytes).unwrap(),
        }
        let e = roll(&one).expect_err(what);
        assert_eq!(e.code, Code::Corrupt, "{what}: {e}");
        assert!(e.message.contains("MANIFEST"), "{what}: {e}");
        assert!(one.compact().is_err(), "{what}");
        assert!(!two.check().unwrap().is_empty(), "{what}: check is content");
        assert_eq!(two.get("a", "before").unwrap(), b"x", "{what}: reads go on");
        let left = fs::read(&file).ok();
        assert_eq!(left.as_deref(), bytes, "{what}: a damaged manifest was written over");
        // Nobody opens it either, while it is so.
        let opened = Backend::open(&support::params(&copied, &[]));
        let e = opened.expect_err(what);
        assert!(matches!(e.code, Code::Corrupt | Code::NotFound), "{what}: {e}");
        drop((one, two));
        assert!(Backend::open(&support::params(&copied, &[])).is_err(), "{what}: opened alone");
    }
}

#[test]
fn the_whole_directory_moves_and_goes() {
    let (dir, path) = sample();
    // A flush would make files in the directory while it is removed.
    let store = open_with(&path, &[("background", "off")]);
    let moved = dir.path().join("moved");
    fs::rename(&path, &moved).unwrap();
    // The handle holds the directory, not its name.
    store.upsert("a", "moved", b"x", 0).unwrap();
    assert_eq!(open(&moved).get("a", "moved").unwrap(), b"x");
    assert!(!path.exists());
    fs::remove_dir_all(&moved).unwrap();
    assert_refuses_changes(&store, "the directory is gone");
    assert_eq!(store.get("a", "moved").unwrap(), b"x");
    assert!(!moved.exists());
}

/// Reads from a cut image that is mounted in its own mount point.
fn reader(part: &Part) {
    let store = open(&part.path);
    let content = dump(&store);
    assert_clean(&store);
    let newest = content.values().map(|value| u64::from_le_bytes(*value.first_chunk().unwrap())).max();
    part.report(newest.unwrap_or(0));
    store.upsert("after", "the cut", &7u64.to_le_bytes(), 0).unwrap();
}

fn run(program: &str, args: &[&Path]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}

/// What is in the image at one moment is what a power cut would leave then: all that was acknowledged was flushed to it. But
/// the kernel writes to it whenever it likes, and a copy with a piece of before and a piece of after (the inodes before, the
/// journal after they were written in place and left it) is what no cut leaves.
fn copy_of_one_moment(image: &Path, copy: &Path) {
    for _ in 0..1000 {
        fs::copy(image, copy).unwrap();
        if fs::read(image).unwrap() == fs::read(copy).unwrap() {
            return;
        }
    }
    panic!("{} never keeps still", image.display());
}

/// Unmounts when the test ends, however it does.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        run("umount", &[Path::new("-l"), &self.0]);
    }
}

#[test]
fn a_loop_image_cut_and_mounted_again_in_the_same_boot() {
    const TEST: &str = "a_loop_image_cut_and_mounted_again_in_the_same_boot";
    let _watchdog = Watchdog::new(TEST);
    if !is_root() {
        return skipped(TEST, "needs root");
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (image, cut) = (at("image"), at("cut"));
    fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
    fs::create_dir(at("one")).unwrap();
    fs::create_dir(at("two")).unwrap();
    let mounts = (Mount(at("one")), Mount(at("two")));
    if !run("mkfs.ext4", &[Path::new("-q"), &image]) || !run("mount", &[Path::new("-oloop"), &image, &mounts.0.0]) {
        return skipped(TEST, "needs mkfs.ext4 and loop devices");
    }
    let store = open(&mounts.0.0.join("store"));
    let mut n = 0u64;
    for round in 0..6 {
        for _ in 0..40 {
            n += 1;
            store.upsert("cut", (n % 20).to_string(), &n.to_le_bytes().repeat(100), 0).unwrap();
        }
        if round % 2 == 1 {
            store.compact().unwrap();
        }
        copy_of_one_moment(&image, &cut);
        assert!(run("mount", &[Path::new("-oloop"), &cut, &mounts.1.0]), "the cut image can't be mounted");
        let said = Child::start("reader", &mounts.1.0.join("store"), &[]).finish();
        assert_eq!(said, [n.to_string()], "acknowledged before the cut");
        assert!(run("umount", &[&mounts.1.0]));
    }
    assert_clean(&store);
}
