//! A wrapper around a real directory that fails the n-th call.

use dirkv::files::storage::{Access, Blocks, Directory, File, Identity, Lock, SharedPage};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

/// Which call fails, and how.
#[derive(Debug)]
pub struct Script {
    left: AtomicI64,
    errno: i32,
}

impl Script {
    /// The call after `skip` others fails.
    pub fn fail(skip: i64, errno: i32) -> Script {
        Script { left: AtomicI64::new(skip), errno }
    }

    /// Whether it has failed.
    pub fn is_over(&self) -> bool {
        self.left.load(SeqCst) < 0
    }

    fn step(&self) -> io::Result<()> {
        if self.left.fetch_sub(1, SeqCst) == 0 { Err(io::Error::from_raw_os_error(self.errno)) } else { Ok(()) }
    }
}

/// The directory.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Directory>,
    script: Arc<Script>,
}

impl Faulty {
    pub fn new(inner: Arc<dyn Directory>, script: Arc<Script>) -> Faulty {
        Faulty { inner, script }
    }
}

impl Directory for Faulty {
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        self.script.step()?;
        Ok(Arc::new(FaultyFile { inner: self.inner.open(name, access)?, script: self.script.clone() }))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.script.step()?;
        self.inner.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.script.step()?;
        self.inner.remove(name)
    }
    fn names(&self) -> io::Result<Vec<String>> {
        self.script.step()?;
        self.inner.names()
    }
    fn sync(&self) -> io::Result<()> {
        self.script.step()?;
        self.inner.sync()
    }
    fn identity(&self, name: &str) -> io::Result<Identity> {
        self.script.step()?;
        self.inner.identity(name)
    }
    fn map(&self, file: &Arc<dyn File>, writable: bool) -> io::Result<Arc<dyn SharedPage>> {
        self.script.step()?;
        let any: &dyn std::any::Any = &**file;
        self.inner.map(&any.downcast_ref::<FaultyFile>().expect("a file of this directory").inner, writable)
    }
    fn random(&self) -> io::Result<u64> {
        self.inner.random()
    }

    fn path(&self) -> String {
        self.inner.path()
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn File>,
    script: Arc<Script>,
}

impl File for FaultyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.script.step()?;
        self.inner.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let outcome = self.script.step();
        if outcome.is_err() {
            // A part of it, or all of it, may be there all the same.
            let len = if offset.is_multiple_of(2) { buf.len() } else { buf.len() / 2 };
            self.inner.write_at(&buf[..len], offset)?;
        }
        outcome?;
        self.inner.write_at(buf, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.script.step()?;
        self.inner.sync_data()
    }
    fn allocate(&self, len: u64, blocks: Blocks) -> io::Result<()> {
        self.script.step()?;
        self.inner.allocate(len, blocks)
    }
    fn identity(&self) -> io::Result<Identity> {
        self.script.step()?;
        self.inner.identity()
    }
    fn try_lock(&self, lock: Lock) -> io::Result<bool> {
        self.script.step()?;
        self.inner.try_lock(lock)
    }
    fn unlock(&self) -> io::Result<()> {
        // It fails for nothing but a descriptor that isn't one.
        self.inner.unlock()
    }
}
