//! Real files in temporary folders.

use super::*;
use crate::files::prepare::open_directory;
use crate::files::quiet_thread::testing::{mount, soon, with_filesystem, with_mounts, without_stdio};
use std::os::unix::fs::symlink;

fn store() -> (tempfile::TempDir, RealDirectory) {
    let path = tempfile::tempdir().unwrap();
    let directory = open_directory(path.path(), 0o700, 0o600, false).unwrap();
    (path, directory)
}

#[test]
fn reads_and_writes_go_where_they_should() {
    let (_path, directory) = store();
    let file = directory.open("table-1", Access::CreateNew).unwrap();
    file.write_at(b"world", 6).unwrap();
    file.write_at(b"hello ", 0).unwrap();
    file.sync_data().unwrap();
    let mut buf = [0xff; 16];
    assert_eq!(file.read_at(&mut buf, 0).unwrap(), 11);
    assert_eq!(&buf[..12], b"hello world\xff");
    assert_eq!(file.read_at(&mut buf[..3], 2).unwrap(), 3);
    assert_eq!(&buf[..3], b"llo");
    assert_eq!(file.read_at(&mut buf, 11).unwrap(), 0);
    assert!(file.write_at(b"x", u64::MAX).is_err());
    let reader = directory.open("table-1", Access::Read).unwrap();
    assert!(reader.write_at(b"x", 0).is_err());
}

#[test]
fn what_exists_decides_how_it_opens() {
    let (_path, directory) = store();
    let kind = |name: &str, access| directory.open(name, access).unwrap_err().kind();
    assert_eq!(kind("log-1", Access::Read), ErrorKind::NotFound);
    assert_eq!(kind("log-1", Access::Write), ErrorKind::NotFound);
    directory.open("log-1", Access::CreateNew).unwrap();
    assert_eq!(kind("log-1", Access::CreateNew), ErrorKind::AlreadyExists);
    for name in ["", ".", "..", "../x", "a/b", "/etc/passwd"] {
        assert_eq!(kind(name, Access::Read), ErrorKind::InvalidInput, "{name:?}");
        assert_eq!(kind(name, Access::CreateNew), ErrorKind::InvalidInput, "{name:?}");
    }
}

#[test]
fn only_regular_files_open_and_no_link_is_followed() {
    let (path, directory) = store();
    let at = |name: &str| path.path().join(name);
    std::fs::create_dir(at("log-1")).unwrap();
    std::fs::write(at("target"), "x").unwrap();
    symlink("target", at("log-2")).unwrap();
    symlink("new", at("log-3")).unwrap();
    fs::mknodat(fs::CWD, at("log-4"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let error = |name: &str, access| directory.open(name, access).unwrap_err();
    assert_eq!(error("log-1", Access::Read).kind(), ErrorKind::InvalidInput);
    assert_eq!(error("log-2", Access::Read).raw_os_error(), Some(Errno::LOOP.raw_os_error()));
    assert_eq!(error("log-2", Access::Write).raw_os_error(), Some(Errno::LOOP.raw_os_error()));
    assert_eq!(error("log-3", Access::CreateNew).kind(), ErrorKind::AlreadyExists);
    assert!(!at("new").exists());
    assert_eq!(error("log-4", Access::Read).kind(), ErrorKind::InvalidInput);
    assert_eq!(error("log-4", Access::Write).kind(), ErrorKind::InvalidInput);
}

#[test]
fn identity_follows_inode_links_and_size() {
    let (_path, directory) = store();
    let file = directory.open("LOCK", Access::CreateNew).unwrap();
    let first = file.identity().unwrap();
    assert_eq!(first, directory.identity("LOCK").unwrap());
    assert_eq!((first.links, first.len), (1, 0));
    file.write_at(b"abc", 0).unwrap();
    directory.open("other", Access::CreateNew).unwrap();
    directory.rename("other", "LOCK").unwrap();
    let replaced = file.identity().unwrap();
    assert_eq!((replaced.inode, replaced.links, replaced.len), (first.inode, 0, 3));
    assert_ne!(directory.identity("LOCK").unwrap().inode, first.inode);
    directory.remove("LOCK").unwrap();
    assert_eq!(directory.identity("LOCK").unwrap_err().kind(), ErrorKind::NotFound);
}

/// Whatever was told before a change isn't told after it, however soon it follows the one before. The first few come late
/// enough for something to be told.
#[track_caller]
fn assert_told_apart(directory: &RealDirectory, late: usize) {
    let create = |name: &str| drop(directory.open(name, Access::CreateNew).unwrap());
    let changes: [&dyn Fn(); 5] = [
        &|| create("LOCK"),
        &|| create("other"),
        &|| directory.rename("other", "LOCK").unwrap(),
        &|| directory.rename("LOCK", "away").unwrap(),
        &|| directory.remove("away").unwrap(),
    ];
    let mut told = 0;
    for at in 0..2_000 {
        if at < late {
            soon(|| directory.changed().is_some());
        }
        let before = directory.changed();
        changes[at % changes.len()]();
        assert!(before.is_none() || directory.changed() != before, "change {at}: {before:?}");
        told += usize::from(before.is_some());
    }
    assert!(told >= late);
}

#[test]
fn no_change_of_a_name_is_taken_for_an_earlier_one() {
    let (path, directory) = store();
    assert_told_apart(&directory, 10);
    soon(|| directory.changed().is_some());
    let before = directory.changed();
    std::fs::write(path.path().join("link"), "x").unwrap();
    assert_ne!(directory.changed(), before);
    soon(|| directory.changed().is_some());
    let before = directory.changed();
    std::fs::write(path.path().join("link"), "xyz").unwrap();
    assert_eq!(directory.changed(), before, "no name changed");
}

/// An ext4 whose inodes have no room for more than seconds.
#[test]
fn no_change_of_a_name_is_taken_for_an_earlier_one_of_the_same_second() {
    with_filesystem("ext4", &["-I", "128"], 16, |point| {
        let directory = open_directory(point, 0o700, 0o600, false).unwrap();
        assert_told_apart(&directory, 2);
    });
}

#[test]
fn names_are_all_there_each_time() {
    let (path, directory) = store();
    for n in 0..100 {
        directory.open(&names::table(n), Access::CreateNew).unwrap();
    }
    std::fs::write(path.path().join(std::ffi::OsStr::new("caf\u{e9}")), "").unwrap();
    let bad: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"log-\xff");
    std::fs::write(path.path().join(bad), "").unwrap();
    for _ in 0..2 {
        let found: std::collections::BTreeSet<String> = directory.names().unwrap().into_iter().collect();
        assert_eq!(found.len(), 101);
        assert!(found.contains("table-0") && found.contains("table-99") && found.contains("caf\u{e9}"));
    }
    directory.sync().unwrap();
}

#[test]
fn allocation_grows_and_never_shrinks() {
    let (path, directory) = store();
    let file = directory.open("log-1", Access::CreateNew).unwrap();
    file.write_at(b"kept", 0).unwrap();
    file.allocate(0, Blocks::Unwritten).unwrap();
    file.allocate(1 << 20, Blocks::Unwritten).unwrap();
    file.allocate(4096, Blocks::Unwritten).unwrap();
    assert_eq!(file.identity().unwrap().len, 1 << 20);
    let blocks = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(path.path().join("log-1")).unwrap());
    assert!(blocks * 512 >= 1 << 20, "{blocks} blocks");
    let mut buf = [1; 8];
    assert_eq!(file.read_at(&mut buf, 0).unwrap(), 8);
    assert_eq!(&buf, b"kept\0\0\0\0");
}

#[test]
fn a_full_filesystem_says_so_and_recovers() {
    let path = tempfile::tempdir().unwrap();
    with_mounts(|| {
        mount(&["-t", "tmpfs", "-o", "size=1m", "dirkv-test", path.path().to_str().unwrap()]);
        let directory = open_directory(path.path(), 0o700, 0o600, false).unwrap();
        let small = directory.open("log-1", Access::CreateNew).unwrap();
        small.allocate(512 << 10, Blocks::Unwritten).unwrap();
        let large = directory.open("log-2", Access::CreateNew).unwrap();
        assert_eq!(large.allocate(2 << 20, Blocks::Unwritten).unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(large.write_at(&vec![1; 2 << 20], 0).unwrap_err().kind(), ErrorKind::StorageFull);
        small.write_at(&vec![2; 512 << 10], 0).unwrap();
        drop(large);
        directory.remove("log-2").unwrap();
        let third = directory.open("log-3", Access::CreateNew).unwrap();
        soon(|| third.allocate(256 << 10, Blocks::Unwritten).is_ok());
    });
}

#[test]
fn a_filesystem_that_cannot_allocate_says_so() {
    let path = tempfile::tempdir().unwrap();
    with_mounts(|| {
        mount(&["-t", "ramfs", "dirkv-test", path.path().to_str().unwrap()]);
        let directory = open_directory(path.path(), 0o700, 0o600, false).unwrap();
        let file = directory.open("log-1", Access::CreateNew).unwrap();
        let error = file.allocate(4096, Blocks::Unwritten).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("allocate"), "{error}");
        assert_eq!(file.identity().unwrap().len, 0, "no zeros written instead");
    });
}

#[test]
fn descriptors_close_on_exec_and_stay_away_from_the_standard_streams() {
    let path = tempfile::tempdir().unwrap();
    without_stdio(|| {
        let directory = open_directory(path.path(), 0o700, 0o600, false).unwrap();
        directory.open("LOCK", Access::CreateNew).unwrap();
        let file = directory.open_existing("LOCK", OFlags::RDWR).unwrap();
        for descriptor in [file.descriptors().0, file.descriptors().1] {
            assert!(rustix::io::fcntl_getfd(descriptor).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
            assert!(std::os::fd::AsRawFd::as_raw_fd(&descriptor) > 2);
        }
    });
}
