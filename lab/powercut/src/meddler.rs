//! A real directory on whose filesystem another program syncs at the worst instant: just before a rename. POSIX leaves a
//! rename undone until its directory is synced; the journals of real filesystems make that hard to see, because the fsync
//! of any file made later takes the rename along. Not so on btrfs, if a sync of everything came between writing the file
//! and renaming it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use dirkv::backend::Params;
use dirkv::files::clock::SystemClock;
use dirkv::files::os::RealDirectory;
use dirkv::files::prepare::open_directory;
use dirkv::files::storage::{Access, Directory, File, Identity, SharedPage};
use dirkv::{Backend, Result};

#[derive(Debug)]
struct Meddled {
    inner: RealDirectory,
    /// Any file of the filesystem.
    within: std::fs::File,
}

/// Opens a store in such a directory.
pub fn open(path: &Path, params: &Params) -> Result<Backend> {
    let inner = open_directory(path, 0o700, 0o600, false)?;
    let within = std::fs::File::open(path).map_err(|e| dirkv::Error::io("open the directory again", &e))?;
    Backend::open_in(params, Arc::new(Meddled { inner, within }), Arc::new(SystemClock))
}

impl Directory for Meddled {
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        self.inner.open(name, access)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        rustix::fs::syncfs(&self.within)?;
        self.inner.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }
    fn names(&self) -> io::Result<Vec<String>> {
        self.inner.names()
    }
    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
    fn identity(&self, name: &str) -> io::Result<Identity> {
        self.inner.identity(name)
    }
    fn map(&self, file: &Arc<dyn File>, writable: bool) -> io::Result<Arc<dyn SharedPage>> {
        self.inner.map(file, writable)
    }
    fn random(&self) -> io::Result<u64> {
        self.inner.random()
    }
    fn path(&self) -> String {
        self.inner.path()
    }
}
