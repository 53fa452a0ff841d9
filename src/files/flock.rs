//! flock on an open file description. It is released by LOCK_UN, or when the last copy of the descriptor is closed.

use super::storage::Lock;
use fs2::FileExt;
use std::fs::File;
use std::io;

/// Takes the lock if no other description is in the way; never blocks.
pub(super) fn try_lock(file: &File, lock: Lock) -> io::Result<bool> {
    loop {
        let result = match lock {
            Lock::Shared => FileExt::try_lock_shared(file),
            Lock::Exclusive => FileExt::try_lock_exclusive(file),
        };
        match result {
            Ok(()) => return Ok(true),
            Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// LOCK_UN: it frees the lock for every copy of the descriptor, a forked child's too.
pub(super) fn unlock(file: &File) -> io::Result<()> {
    loop {
        match FileExt::unlock(file) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::quiet_thread::testing::soon;

    #[test]
    fn descriptions_exclude_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("LOCK");
        let first = File::create(&path).unwrap();
        let second = File::open(&path).unwrap();
        assert!(try_lock(&first, Lock::Exclusive).unwrap());
        assert!(!try_lock(&second, Lock::Exclusive).unwrap());
        assert!(!try_lock(&second, Lock::Shared).unwrap());
        // A copy of the descriptor is the same owner, and its LOCK_UN frees the lock.
        let copy = first.try_clone().unwrap();
        assert!(try_lock(&copy, Lock::Exclusive).unwrap());
        unlock(&copy).unwrap();
        assert!(try_lock(&second, Lock::Shared).unwrap());
        assert!(try_lock(&first, Lock::Shared).unwrap());
        assert!(!try_lock(&first, Lock::Exclusive).unwrap(), "another holds it shared");
        drop(second);
        soon(|| try_lock(&first, Lock::Exclusive).unwrap());
    }
}
