//! The real directory and its files. Everything is relative to one open directory descriptor, so that no name can lead
//! out of it and a directory that is renamed stays the same store.

use super::filesystem::{self, Filesystem};
use super::names::{self, Name};
use super::shared_map::Mapping;
use super::shared_view::View;
use super::storage::{Access, Blocks, Directory, File, Identity, Lock, SharedPage};
use super::{clock, flock, storage};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::{Errno, retry_on_intr};
use std::any::Any;
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The coarsest stamps of any filesystem, in nanoseconds.
const CUT: i64 = 2_000_000_000;

/// A directory of a local filesystem. [`super::prepare::open_directory`] makes one from a path.
#[derive(Debug)]
pub struct RealDirectory {
    descriptor: Arc<OwnedFd>,
    path: PathBuf,
    file_mode: Mode,
    filesystem: Filesystem,
}

impl RealDirectory {
    /// From an open descriptor; new files get `file_mode`, whatever the umask.
    pub fn new(descriptor: OwnedFd, path: &Path, file_mode: u32, filesystem: Filesystem) -> RealDirectory {
        let file_mode = Mode::from_raw_mode(file_mode & 0o777);
        RealDirectory { descriptor: Arc::new(descriptor), path: path.to_owned(), file_mode, filesystem }
    }

    /// What kind of filesystem it lies on.
    pub fn filesystem(&self) -> Filesystem {
        self.filesystem
    }

    /// A change of a name is stamped before the name is seen to change. Both happen under a lock of the kernel's, under which it
    /// reads a directory, too: what is read doesn't matter.
    fn await_changes(&self) -> io::Result<()> {
        let mut entries = [MaybeUninit::uninit(); 512];
        match RawDir::new(&self.descriptor, &mut entries).next() {
            Some(Err(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn open_existing(&self, name: &str, access: OFlags) -> io::Result<RealFile> {
        let descriptor = open_at(&self.descriptor, name, access, Mode::empty())?;
        // A FIFO or a device in place of our file would make us wait, or worse.
        let kind = FileType::from_raw_mode(fs::fstat(&descriptor)?.st_mode);
        if kind != FileType::RegularFile {
            return Err(io::Error::new(ErrorKind::InvalidInput, format!("it is no regular file ({kind:?})")));
        }
        Ok(self.file(name, descriptor))
    }

    fn create(&self, name: &str) -> io::Result<RealFile> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = self.file(name, open_at(&self.descriptor, name, flags, self.file_mode)?);
        self.set_up(name, &file).inspect_err(|_| drop(self.remove(name)))?;
        Ok(file)
    }

    fn set_up(&self, name: &str, file: &RealFile) -> io::Result<()> {
        // The umask took bits away at the creation.
        retry_on_intr(|| fs::fchmod(&file.file, self.file_mode))?;
        match names::parse(name) {
            Some(Name::Shared | Name::Log(_)) => filesystem::forbid_copy_on_write(self.filesystem, &file.file),
            _ => Ok(()),
        }
    }

    fn file(&self, name: &str, descriptor: OwnedFd) -> RealFile {
        RealFile { file: descriptor.into(), name: name.into(), directory: Arc::clone(&self.descriptor) }
    }
}

impl Directory for RealDirectory {
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        let file = match access {
            Access::Read => self.open_existing(name, OFlags::RDONLY),
            Access::Write => self.open_existing(name, OFlags::RDWR),
            Access::CreateNew => self.create(name),
        };
        file.map(|file| -> Arc<dyn File> { Arc::new(file) })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(retry_on_intr(|| fs::renameat(&self.descriptor, from, &self.descriptor, to))?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(retry_on_intr(|| fs::unlinkat(&self.descriptor, name, AtFlags::empty()))?)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.descriptor)? {
            let entry = entry?;
            // A name that is not UTF-8 can't be ours.
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.descriptor)?)
    }

    fn may_change(&self) -> io::Result<()> {
        let wanted = fs::Access::WRITE_OK | fs::Access::EXEC_OK;
        match fs::accessat(&self.descriptor, ".", wanted, AtFlags::EACCESS) {
            Err(refused @ (Errno::ACCESS | Errno::ROFS)) => Err(refused.into()),
            // A system that doesn't let one ask (EPERM, too) says nothing about the directory.
            _ => Ok(()),
        }
    }

    fn identity(&self, name: &str) -> io::Result<Identity> {
        self.await_changes()?;
        Ok(identity(&retry_on_intr(|| fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW))?))
    }

    // The fields have other widths on other machines.
    #[allow(clippy::unnecessary_cast, clippy::cast_possible_wrap)]
    fn changed(&self) -> Option<i64> {
        let stat = fs::fstat(&self.descriptor).ok()?;
        let changed = clock::nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64);
        // A change is stamped with the time of the last tick or a later one, which some filesystems cut, to whole seconds or
        // worse. A second change may get the same stamp until that tick, or what it was cut to, is over.
        let grain = if changed % 1_000 == 0 { CUT } else { 1_000 };
        (clock::last_tick() > changed.saturating_add(grain)).then_some(changed)
    }

    fn map(&self, file: &Arc<dyn File>, writable: bool) -> io::Result<Arc<dyn SharedPage>> {
        let any: &dyn Any = &**file;
        let Some(real) = any.downcast_ref::<RealFile>() else {
            return Err(io::Error::new(ErrorKind::InvalidInput, "only a file of a real directory can be mapped"));
        };
        if !writable && self.filesystem == Filesystem::Overlay {
            return Ok(Arc::new(View::new(Arc::clone(file))?));
        }
        if writable && filesystem::map_may_fail(self.filesystem, &real.file) {
            return Err(io::Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{} was copied: on btrfs, remove it while no process has the store open, and open again",
                    real.name
                ),
            ));
        }
        Ok(Arc::new(Mapping::new(&real.file, writable)?))
    }

    fn random(&self) -> io::Result<u64> {
        getrandom::u64().map_err(io::Error::other)
    }

    fn path(&self) -> String {
        self.path.display().to_string()
    }
}

/// A file of a [`RealDirectory`].
#[derive(Debug)]
pub struct RealFile {
    file: std::fs::File,
    name: Box<str>,
    directory: Arc<OwnedFd>,
}

impl RealFile {
    /// Its descriptor, and that of its directory, which can take its place in a forked child.
    pub(super) fn descriptors(&self) -> (BorrowedFd<'_>, BorrowedFd<'_>) {
        (self.file.as_fd(), self.directory.as_fd())
    }
}

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match retry_on_intr(|| rustix::io::pread(&self.file, &mut buf[done..], advance(offset, done)))? {
                0 => break,
                n => done += n,
            }
        }
        Ok(done)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            match retry_on_intr(|| rustix::io::pwrite(&self.file, &buf[done..], advance(offset, done)))? {
                0 => return Err(ErrorKind::WriteZero.into()),
                n => done += n,
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        // Not even EINTR is retried: what a second call says of the first one's data is worth nothing.
        Ok(fs::fdatasync(&self.file)?)
    }

    fn allocate(&self, len: u64, blocks: Blocks) -> io::Result<()> {
        filesystem::allocate(&self.file, len, blocks)
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(identity(&fs::fstat(&self.file)?))
    }

    fn try_lock(&self, lock: Lock) -> io::Result<bool> {
        flock::try_lock(&self.file, lock)
    }

    fn unlock(&self) -> io::Result<()> {
        flock::unlock(&self.file)
    }
}

/// Opens without following a symbolic link, without waiting for the other end of a FIFO, closed on exec.
fn open_at(directory: impl AsFd, name: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        return Err(io::Error::new(ErrorKind::InvalidInput, format!("{name:?} is no name of a file")));
    }
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    away_from_stdio(retry_on_intr(|| fs::openat(&directory, name, flags, mode))?)
}

/// A program that closed its standard streams would print into our file: numbers 0 to 2 are never used.
pub(super) fn away_from_stdio(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    const FIRST: i32 = 3;
    if std::os::fd::AsRawFd::as_raw_fd(&descriptor) >= FIRST {
        return Ok(descriptor);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&descriptor, FIRST)?)
}

/// `offset + done`; past the end of what an offset can say, the system call refuses it.
fn advance(offset: u64, done: usize) -> u64 {
    u64::try_from(done).map_or(u64::MAX, |done| offset.saturating_add(done))
}

// The fields have other widths on other machines.
#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)]
fn identity(stat: &Stat) -> storage::Identity {
    let (device, inode) = (stat.st_dev as u64, stat.st_ino as u64);
    Identity { device, inode, links: stat.st_nlink as u64, len: stat.st_size as u64 }
}

#[cfg(test)]
#[path = "os_tests.rs"]
mod tests;
