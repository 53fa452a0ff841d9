//! From a path to an open directory: what is missing is made, durably, with the modes that were asked for.

use super::filesystem::{Filesystem, examine};
use super::names::MANIFEST;
use super::os::{RealDirectory, away_from_stdio};
use crate::error::{Code, Error, Result};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Opens the directory of a store. Symbolic links in `path` are resolved now, once. Unless `read_only`, directories that
/// are missing are made with `dir_mode`, and files made later get `file_mode`, both whatever the umask.
///
/// `BAD_PARAMETER` for an empty path or something else than a directory at its place, `NOT_FOUND` if `read_only` and nothing
/// is there, `UNSUPPORTED` for a filesystem on which a store can't live, else what the system said.
pub fn open_directory(path: &Path, dir_mode: u32, file_mode: u32, read_only: bool) -> Result<RealDirectory> {
    let text = path.as_os_str().as_bytes();
    if text.is_empty() || text.contains(&0) {
        return Err(Error::new(Code::BadParameter, "the path of a store is neither empty nor holds a NUL"));
    }
    let resolved = match path.canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound => match read_only {
            true => return Err(Error { code: Code::NotFound, ..failed("open", path, &error) }),
            false => make(path, dir_mode)?,
        },
        result => result.map_err(|e| failed("open", path, &e))?,
    };
    let (descriptor, filesystem) = open(&resolved, OFlags::RDONLY)?;
    if !read_only {
        sync_way_to(&descriptor, &resolved)?;
    }
    Ok(RealDirectory::new(descriptor, &resolved, file_mode, filesystem))
}

/// Opens an existing directory whose path holds no symbolic link, on a filesystem that will do.
fn open(path: &Path, access: OFlags) -> Result<(OwnedFd, Filesystem)> {
    let flags = access | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = retry_on_intr(|| fs::open(path, flags, Mode::empty())).map_err(io::Error::from);
    let descriptor = opened.and_then(away_from_stdio).map_err(|e| failed("open", path, &e))?;
    let filesystem = examine(descriptor.as_fd(), path)?;
    Ok((descriptor, filesystem))
}

/// Makes what is missing of the path, component by component; returns it without symbolic links.
fn make(path: &Path, mode: u32) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).map_err(|e| failed("find", path, &e))?;
    let mut at = PathBuf::new();
    for component in absolute.components() {
        let next = at.join(component);
        at = match next.canonicalize() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // Refused before anything is made on a filesystem that won't do.
                open(&at, OFlags::PATH)?;
                make_one(&next, mode)?;
                next.canonicalize()
            }
            result => result,
        }
        .map_err(|e| failed("make", &next, &e))?;
    }
    Ok(at)
}

/// Makes one directory, or finds that somebody else just did.
fn make_one(path: &Path, mode: u32) -> Result<()> {
    match retry_on_intr(|| fs::mkdir(path, Mode::from_raw_mode(mode & 0o777))) {
        Ok(()) => set_mode(path, mode).map_err(|e| failed("set the mode of", path, &e.into())),
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(failed("make", path, &error.into())),
    }
}

/// The mode that was asked for, which the umask narrowed; the group's inheritance stays as the parent passed it on.
fn set_mode(path: &Path, mode: u32) -> std::result::Result<(), Errno> {
    let inherited = Mode::from_raw_mode(fs::stat(path)?.st_mode) & Mode::SGID;
    retry_on_intr(|| fs::chmod(path, Mode::from_raw_mode(mode & 0o777) | inherited))
}

/// While the store has no manifest, it is being created: then every directory on the way to it may be new, made by this
/// process or by another that hasn't yet synced its parent, and all of them must outlast what is answered later.
fn sync_way_to(descriptor: &OwnedFd, path: &Path) -> Result<()> {
    if !matches!(fs::statat(descriptor, MANIFEST, AtFlags::SYMLINK_NOFOLLOW), Err(Errno::NOENT)) {
        return Ok(());
    }
    let device = device_of(descriptor, path)?;
    for parent in path.ancestors().skip(1) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent_descriptor = match retry_on_intr(|| fs::open(parent, flags, Mode::empty())) {
            // Somebody may make directories in it, but not read it: sync the whole filesystem instead.
            Err(Errno::ACCESS) => return fs::syncfs(descriptor).map_err(|e| failed("sync", parent, &e.into())),
            result => result.map_err(|e| failed("open", parent, &e.into()))?,
        };
        // Above a mount point: that was there before.
        if device_of(&parent_descriptor, parent)? != device {
            break;
        }
        match fs::fsync(&parent_descriptor) {
            // Directories of this filesystem can't be synced, and so need not be.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(failed("sync", parent, &error.into())),
        }
    }
    Ok(())
}

#[allow(clippy::unnecessary_cast)]
fn device_of(descriptor: &OwnedFd, path: &Path) -> Result<u64> {
    let stat = fs::fstat(descriptor).map_err(|e| failed("examine", path, &e.into()))?;
    Ok(stat.st_dev as u64)
}

/// What failed, with the path; something else than a directory in its place is the caller's mistake.
fn failed(what: &str, path: &Path, cause: &io::Error) -> Error {
    let error = Error::io(format_args!("{what} the directory {}", path.display()), cause);
    match cause.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => Error { code: Code::BadParameter, ..error },
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::quiet_thread::testing::with_umask;
    use crate::files::storage::{Access, Directory};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn mode(path: impl AsRef<Path>) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn refusal(path: &Path) -> Error {
        open_directory(path, 0o700, 0o600, false).unwrap_err()
    }

    #[test]
    fn modes_are_those_asked_for_whatever_the_umask() {
        for umask in [0o077, 0o000, 0o777] {
            let base = tempfile::tempdir().unwrap();
            let path = base.path().join("a/b");
            with_umask(umask, move || {
                let directory = open_directory(&path, 0o751, 0o640, false).unwrap();
                directory.open("log-1", Access::CreateNew).unwrap();
                assert_eq!(mode(&path), 0o751, "umask {umask:o}");
                assert_eq!(mode(path.parent().unwrap()), 0o751, "umask {umask:o}");
                assert_eq!(mode(path.join("log-1")), 0o640, "umask {umask:o}");
            });
        }
    }

    #[test]
    fn modes_of_what_is_there_stay() {
        let base = tempfile::tempdir().unwrap();
        std::fs::set_permissions(base.path(), PermissionsExt::from_mode(0o2755)).unwrap();
        open_directory(base.path(), 0o700, 0o600, false).unwrap();
        assert_eq!(mode(base.path()), 0o2755);
        open_directory(&base.path().join("new"), 0o700, 0o600, false).unwrap();
        assert_eq!(mode(base.path().join("new")), 0o2700, "the group's inheritance is passed on");
    }

    #[test]
    fn what_stands_in_the_way_is_named() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("file");
        std::fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below"), file.join("below/further")] {
            let error = refusal(&path);
            assert_eq!((error.code, error.os_errno), (Code::BadParameter, libc::ENOTDIR), "{error}");
            assert!(error.message.contains(file.to_str().unwrap()), "{error}");
        }
        let dangling = base.path().join("dangling");
        symlink(base.path().join("nowhere"), &dangling).unwrap();
        assert!(refusal(&dangling).message.contains("dangling"));
        assert!(!base.path().join("nowhere").exists());
        assert_eq!(refusal(Path::new("")).code, Code::BadParameter);
        assert_eq!(refusal(Path::new("a\0b")).code, Code::BadParameter);
    }

    #[test]
    fn a_reader_makes_nothing() {
        let base = tempfile::tempdir().unwrap();
        let missing = base.path().join("a/b");
        let error = open_directory(&missing, 0o700, 0o600, true).unwrap_err();
        assert_eq!((error.code, error.os_errno), (Code::NotFound, libc::ENOENT));
        assert!(error.message.contains("a/b"), "{error}");
        assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0);
        assert!(open_directory(base.path(), 0o700, 0o600, true).is_ok());
    }

    #[test]
    fn symbolic_links_are_resolved_once() {
        let base = tempfile::tempdir().unwrap();
        let (first, second, link) = (base.path().join("first"), base.path().join("second"), base.path().join("link"));
        std::fs::create_dir(&first).unwrap();
        std::fs::create_dir(&second).unwrap();
        symlink(&first, &link).unwrap();
        let directory = open_directory(&link, 0o700, 0o600, false).unwrap();
        let nested = open_directory(&link.join("x/../y"), 0o700, 0o600, false).unwrap();
        std::fs::remove_file(&link).unwrap();
        symlink(&second, &link).unwrap();
        directory.open("LOCK", Access::CreateNew).unwrap();
        nested.open("LOCK", Access::CreateNew).unwrap();
        assert!(first.join("LOCK").exists() && first.join("y/LOCK").exists());
        assert_eq!(std::fs::read_dir(&second).unwrap().count(), 0);
        assert_eq!(directory.path(), first.canonicalize().unwrap().display().to_string());
    }

    #[test]
    fn many_may_make_it_at_once() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/b/c/d");
        std::thread::scope(|scope| {
            let makers = [(); 8].map(|()| scope.spawn(|| open_directory(&path, 0o700, 0o600, false).unwrap()));
            makers.into_iter().for_each(|maker| drop(maker.join().unwrap()));
        });
        assert_eq!(mode(&path), 0o700);
    }
}
