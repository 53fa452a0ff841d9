//! Which filesystem a directory lies on: whether the store can live there, and what has to be done differently.

use super::storage::Blocks;
use crate::error::{Code, Error, Result};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{FallocateFlags, IFlags, SeekFrom, fallocate, fstatfs, ioctl_getflags, ioctl_setflags, seek};
use rustix::io::{Errno, retry_on_intr};
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What has to be done differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filesystem {
    /// Nothing.
    Plain,
    /// It copies on write unless a file is told not to, while it is empty.
    Btrfs,
    /// A file opened before its copy-up stays the lower one to a map. What lies below isn't told: it may be btrfs.
    Overlay,
}

const BTRFS: u64 = 0x9123_683e;
const OVERLAY: u64 = 0x794c_7630;

/// Filesystems on which a shared mapping isn't coherent between all who see the file, or a store to it may fail though
/// its block was allocated, by the magic number that statfs reports.
const REFUSED: [(u64, &str); 23] = [
    (0x6969, "NFS"),
    (0x00c3_6400, "CephFS"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9p"),
    (0xff53_4d42, "SMB (CIFS)"),
    (0xfe53_4d42, "SMB2"),
    (0x517b, "SMB"),
    (0x564c, "NCP"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "kAFS"),
    (0x7375_7245, "Coda"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x2003_0528, "OrangeFS"),
    (0xaad7_aaea, "PanFS"),
    (0xa501_fcf5, "VxFS"),
    (0x786f_4256, "VirtualBox shared folder"),
    (0xbacb_acbc, "VMware shared folder"),
    (0x7c7c_6673, "Parallels shared folder"),
    (0xca45_1a4e, "bcachefs"),
];

/// Looks at the filesystem of an open directory; `UNSUPPORTED` names the one that was found. Filesystems not known here
/// are taken for local ones.
pub fn examine(directory: BorrowedFd<'_>, path: &Path) -> Result<Filesystem> {
    let found = fstatfs(directory)
        .map_err(|e| Error::io(format_args!("examine the filesystem of {}", path.display()), &e.into()))?;
    match classify(magic(found.f_type)) {
        Err(name) => Err(unsupported(path, &format!("{name}, where a shared mapping can't be relied on"))),
        Ok(Filesystem::Overlay) if is_volatile(directory) => Err(unsupported(
            path,
            "an overlayfs mounted `volatile`, which keeps nothing that it promised after a power cut",
        )),
        Ok(filesystem) => Ok(filesystem),
    }
}

fn unsupported(path: &Path, what: &str) -> Error {
    Error::new(Code::Unsupported, format!("{} lies on {what}: use a directory of a local filesystem", path.display()))
}

fn classify(magic: u64) -> std::result::Result<Filesystem, &'static str> {
    match REFUSED.iter().find(|(number, _)| *number == magic) {
        Some((_, name)) => Err(name),
        None if magic == BTRFS => Ok(Filesystem::Btrfs),
        None if magic == OVERLAY => Ok(Filesystem::Overlay),
        None => Ok(Filesystem::Plain),
    }
}

/// The magic number as the manual lists it: 32 bits, whatever the width and the sign of the field are here.
#[allow(clippy::cast_sign_loss, clippy::unnecessary_cast)]
fn magic(field: impl Into<i64>) -> u64 {
    field.into() as u64 & 0xffff_ffff
}

/// Whether the overlayfs of this directory has the mount option `volatile`. Without /proc it can't be told: no.
fn is_volatile(directory: BorrowedFd<'_>) -> bool {
    let about = fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", directory.as_raw_fd())).unwrap_or_default();
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
    let id = about.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    id.is_some_and(|id| {
        ["volatile", "fsync=volatile"].iter().any(|option| mount_has_option(&mounts, id.trim(), option))
    })
}

/// In /proc/thread-self/mountinfo: whether the mount `id` has `option` among those of its superblock, the last field.
fn mount_has_option(mountinfo: &str, id: &str, option: &str) -> bool {
    let line = mountinfo.lines().find(|line| line.split(' ').next() == Some(id));
    line.and_then(|line| line.split(' ').next_back()).is_some_and(|options| options.split(',').any(|o| o == option))
}

/// Sees to it that writing an allocated block of this new, empty file again takes no new space.
pub(super) fn forbid_copy_on_write(filesystem: Filesystem, file: impl AsFd) -> io::Result<()> {
    if filesystem == Filesystem::Plain {
        return Ok(());
    }
    match (filesystem, set_no_copy_on_write(file)) {
        (_, Ok(())) | (Filesystem::Plain, _) => Ok(()),
        // Below may be ext4, which knows no such flag and needs none.
        (Filesystem::Overlay, Err(_)) => Ok(()),
        (Filesystem::Btrfs, Err(error)) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("btrfs doesn't let the file's copying on write be switched off (FS_NOCOW_FL): {error}"),
        )),
    }
}

fn set_no_copy_on_write(file: impl AsFd) -> std::result::Result<(), Errno> {
    let flags = ioctl_getflags(&file)?;
    ioctl_setflags(&file, flags | IFlags::NOCOW)?;
    // A filesystem may take the flag and drop it without a word.
    if ioctl_getflags(&file)?.contains(IFlags::NOCOW) { Ok(()) } else { Err(Errno::OPNOTSUPP) }
}

/// Gives the first `len` bytes of the file their blocks.
pub(super) fn allocate(file: &fs::File, len: u64, blocks: Blocks) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    // The system call itself: posix_fallocate of the C library writes zeros where the filesystem can't allocate.
    let before = file.metadata()?.len();
    let allocated = match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, len)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this filesystem can't allocate the blocks of a file ahead (fallocate)",
        )),
        Ok(()) if blocks == Blocks::Written || is_written_in_place(file) => write_holes(file, len),
        result => result.map_err(io::Error::from),
    };
    if allocated.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::StorageFull) && len > before {
        // Some keep what they could allocate before the disk was full.
        file.set_len(before)?;
    }
    allocated
}

/// Whether it is a file of btrfs that [`forbid_copy_on_write`] has changed, below an overlayfs too.
fn is_written_in_place(file: impl AsFd) -> bool {
    ioctl_getflags(file).is_ok_and(|flags| flags.contains(IFlags::NOCOW))
}

/// Fills with zeros what was allocated and never written. On btrfs it has to be so: while somebody syncs the whole
/// filesystem, an fdatasync may return before it is known durably that the block it wrote is one that was written (seen on
/// Linux 6.18): after a power cut the block reads as zeros. A block that was written before needs no such knowledge.
fn write_holes(file: &fs::File, len: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut at = 0;
    while at < len {
        at = seek(file, SeekFrom::Hole(at))?;
        let end = match seek(file, SeekFrom::Data(at)) {
            Err(Errno::NXIO) => len,
            next => next?.min(len),
        };
        while at < end {
            let step = ZEROS.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
            file.write_all_at(&ZEROS[..step], at)?;
            at += step as u64;
        }
    }
    Ok(())
}

/// Whether a store to a map of this file could fail for want of space: on btrfs a file that copies on write, such as one
/// that was copied there.
pub(super) fn map_may_fail(filesystem: Filesystem, file: impl AsFd) -> bool {
    filesystem == Filesystem::Btrfs && !is_written_in_place(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::prepare::open_directory;
    use crate::files::quiet_thread::testing::{mount, with_filesystem, with_mounts};
    use crate::files::storage::{Access, Directory};
    use std::process::Command;

    const MOUNTS: &str = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/volatile rw,errors=remount-ro\n\
        36 22 0:30 / /volatile rw,volatile - overlay overlay rw,lowerdir=/volatile,upperdir=/u,workdir=/w\n\
        37 22 0:31 / /b rw - overlay overlay rw,lowerdir=/a,upperdir=/u,workdir=/w,volatile,xino=off\n";

    #[test]
    fn options_of_the_right_mount_are_read() {
        let volatile = ["22", "36", "37", "3", "38"].map(|id| mount_has_option(MOUNTS, id, "volatile"));
        assert_eq!(volatile, [false, false, true, false, false]);
    }

    #[test]
    fn filesystems_are_told_apart() {
        // NFS, CIFS as a negative 32-bit number (sign-extended, as some machines have it), FUSE.
        for (field, name) in [(0x6969, "NFS"), (-11_317_950, "SMB (CIFS)"), (0x6573_5546, "FUSE")] {
            assert_eq!(classify(magic(field)), Err(name));
        }
        // ext4, xfs, tmpfs, f2fs, zfs, ramfs, and one that nobody knows.
        for field in [0xef53_i64, 0x5846_5342, 0x0102_1994, 0xf2f5_2010, 0x2fc1_2fc1, 0x8584_58f6, 0x1234_5678] {
            assert_eq!(classify(magic(field)), Ok(Filesystem::Plain), "{field:x}");
        }
        assert_eq!(classify(magic(0x9123_683e_i64)), Ok(Filesystem::Btrfs));
        assert_eq!(classify(magic(0x794c_7630)), Ok(Filesystem::Overlay));
    }

    #[test]
    fn a_volatile_overlay_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path();
        with_mounts(|| {
            mount(&["-t", "tmpfs", "dirkv-test", base.to_str().unwrap()]);
            for name in ["lower", "upper", "work", "plain", "volatile"] {
                std::fs::create_dir(base.join(name)).unwrap();
            }
            let place = |name: &str| base.join(name).display().to_string();
            let options = format!("lowerdir={},upperdir={},workdir={}", place("lower"), place("upper"), place("work"));
            mount(&["-t", "overlay", "-o", &options, "overlay", &place("plain")]);
            let plain = open_directory(&base.join("plain"), 0o700, 0o600, false).unwrap();
            assert_eq!(plain.filesystem(), Filesystem::Overlay);
            plain.open("log-1", Access::CreateNew).unwrap().allocate(8192, Blocks::Unwritten).unwrap();
            drop(plain);
            Command::new("umount").arg(base.join("plain")).status().unwrap();
            mount(&["-t", "overlay", "-o", &format!("{options},volatile"), "overlay", &place("volatile")]);
            let refused = open_directory(&base.join("volatile/new"), 0o700, 0o600, false).unwrap_err();
            assert_eq!(refused.code, Code::Unsupported);
            assert!(refused.message.contains("volatile"), "{refused}");
            assert!(!base.join("volatile/new").exists(), "nothing is made there");
        });
    }

    #[test]
    fn an_allocation_that_finds_no_room_takes_none() {
        for kind in ["ext4", "xfs", "btrfs"] {
            with_filesystem(kind, &[], 320, |point| {
                let directory = open_directory(&point.join("store"), 0o700, 0o600, false).unwrap();
                let file = directory.open("log-1", Access::CreateNew).unwrap();
                file.allocate(1 << 20, Blocks::Unwritten).unwrap();
                let error = file.allocate(1 << 30, Blocks::Unwritten).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{kind}");
                assert_eq!(file.identity().unwrap().len, 1 << 20, "{kind}");
                directory.open("log-2", Access::CreateNew).unwrap().allocate(100 << 20, Blocks::Unwritten).unwrap();
            });
        }
    }

    /// Whether the file has blocks that were never written.
    fn holes(path: &Path) -> bool {
        let file = std::fs::File::open(path).unwrap();
        let len = file.metadata().unwrap().len();
        seek(&file, SeekFrom::Hole(0)).unwrap() < len
    }

    #[test]
    fn blocks_are_written_ahead_where_that_is_asked_for() {
        for kind in ["ext4", "xfs", "btrfs"] {
            with_filesystem(kind, &[], 320, |point| {
                let directory = open_directory(&point.join("store"), 0o700, 0o600, false).unwrap();
                let file = directory.open("table-1", Access::CreateNew).unwrap();
                file.allocate(1 << 20, Blocks::Unwritten).unwrap();
                file.write_at(&[9; 5_000], 300_000).unwrap();
                let path = point.join("store/table-1");
                assert!(holes(&path), "{kind}");
                file.allocate(2 << 20, Blocks::Written).unwrap();
                assert!(!holes(&path), "{kind}");
                let mut expected = vec![0; 2 << 20];
                expected[300_000..305_000].fill(9);
                assert!(std::fs::read(&path).unwrap() == expected, "{kind}");
            });
        }
    }

    #[test]
    fn segments_and_the_page_are_not_copied_on_write_on_btrfs() {
        with_filesystem("btrfs", &[], 256, |point| {
            let directory = open_directory(&point.join("store"), 0o700, 0o600, false).unwrap();
            assert_eq!(directory.filesystem(), Filesystem::Btrfs);
            let nocow = |name: &str| {
                let file = std::fs::File::open(point.join("store").join(name)).unwrap();
                ioctl_getflags(file).unwrap().contains(IFlags::NOCOW)
            };
            for (name, expected) in [("log-1", true), ("SHARED", true), ("table-1", false), ("foreign", false)] {
                directory.open(name, Access::CreateNew).unwrap().allocate(1 << 20, Blocks::Unwritten).unwrap();
                assert_eq!(nocow(name), expected, "{name}");
            }
            let holes = |name: &str| holes(&point.join("store").join(name));
            assert!(!holes("log-1") && !holes("SHARED"), "no block stays unwritten");
            let larger = directory.open("log-1", Access::Write).unwrap();
            larger.write_at(&[9; 5_000], 300_000).unwrap();
            larger.allocate(2 << 20, Blocks::Unwritten).unwrap();
            let (mut kept, mut zeros) = ([0; 5_000], [1; 5_000]);
            assert_eq!(larger.read_at(&mut kept, 300_000).unwrap(), 5_000);
            assert_eq!(larger.read_at(&mut zeros, 1_500_000).unwrap(), 5_000);
            assert!(!holes("log-1") && kept == [9; 5_000] && zeros == [0; 5_000]);
            let shared = directory.open("SHARED", Access::Write).unwrap();
            let page = directory.map(&shared, true).unwrap();
            fill(point);
            page.store(1, 1);
            let segment = directory.open("log-1", Access::Write).unwrap();
            segment.write_at(&[7; 1 << 20], 0).unwrap();
            segment.sync_data().unwrap();
            drop(page);
            let copied = directory.open("foreign", Access::Write).unwrap();
            assert_eq!(directory.map(&copied, true).unwrap_err().kind(), io::ErrorKind::Unsupported);
            assert!(directory.map(&copied, false).is_ok());
        });
    }

    /// Writes until nothing fits any more.
    fn fill(point: &Path) {
        let hog = std::fs::File::create(point.join("hog")).unwrap();
        let block = vec![1; 1 << 20];
        for step in [1 << 20, 4096] {
            while io::Write::write_all(&mut &hog, &block[..step]).is_ok() {}
            let _ = hog.sync_all();
        }
    }
}
