//! The storage and clock seams. An implementation of these traits is a whole machine to the engine: directory,
//! files with a page cache behind them, flock, the shared page with its futexes, and time.

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// It must exist; for reading.
    Read,
    /// It must exist; for reading and writing.
    Write,
    /// It must not exist; created for reading and writing.
    CreateNew,
}

/// Which flock is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lock {
    /// LOCK_SH.
    Shared,
    /// LOCK_EX.
    Exclusive,
}

/// What becomes of blocks that are allocated ahead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blocks {
    /// They read as zeros, whether or not they were written; if not, the filesystem has to note of each when it is.
    Unwritten,
    /// All are written with zeros, so that a later write is nothing but that write.
    Written,
}

/// What a descriptor or a name refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// How many names it has; 0 once unlinked.
    pub links: u64,
    /// Size in bytes.
    pub len: u64,
}

/// One directory: the store. All names are single components.
pub trait Directory: Send + Sync + Debug {
    /// Opens a file. Each call makes a new open file description (a new flock owner, a new reporter of failed write-backs).
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>>;
    /// Renames within the directory, replacing `to`. Durable only after [`Directory::sync`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Unlinks.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// All names, in no order.
    fn names(&self) -> io::Result<Vec<String>>;
    /// fsync of the directory: names created, renamed and removed before are durable on success.
    fn sync(&self) -> io::Result<()>;
    /// Whether files may be created, renamed and removed here, as far as that is known beforehand: else an error such as they
    /// would give. Nothing is changed.
    fn may_change(&self) -> io::Result<()> {
        Ok(())
    }
    /// What a name refers to now. Changes of names that are under way are waited for.
    fn identity(&self, name: &str) -> io::Result<Identity>;
    /// When a name was last created, renamed or removed here, in nanoseconds since the epoch; `None` unless it is sure that the
    /// next such change will be another instant. Asked before [`Directory::identity`]: as long as the answer is the same,
    /// so is what a name refers to, unless the system's time was set back to that very instant.
    fn changed(&self) -> Option<i64> {
        None
    }
    /// Maps the file as the shared page; `writable` false gives a view on which a store is an error of the caller's.
    fn map(&self, file: &Arc<dyn File>, writable: bool) -> io::Result<Arc<dyn SharedPage>>;
    /// Random bits for salts and ids, which nobody can guess.
    fn random(&self) -> io::Result<u64>;
    /// For messages: the path of the directory.
    fn path(&self) -> String;
}

/// One open file description; dropping the last reference closes it. `Any`, so that [`Directory::map`] finds its own.
pub trait File: Any + Send + Sync + Debug {
    /// Reads until `buf` is full or the file ends; returns how much was read. EINTR is retried within.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `buf` or fails; a failure may leave any part of it written. EINTR is retried within.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// fdatasync. An error is reported once; never retry it and call the data safe.
    fn sync_data(&self) -> io::Result<()>;
    /// Allocates blocks for `0..len` and grows the file to `len`; never shrinks it. Where there is no room, it stays as it was.
    /// Nobody else writes there meanwhile: zeros might be written over it.
    fn allocate(&self, len: u64, blocks: Blocks) -> io::Result<()>;
    /// What it is: inode, links, size.
    fn identity(&self) -> io::Result<Identity>;
    /// flock without blocking: false if another description holds it.
    fn try_lock(&self, lock: Lock) -> io::Result<bool>;
    /// LOCK_UN.
    fn unlock(&self) -> io::Result<()>;
}

/// The shared page: 64-bit words (number = byte offset / 8), visible to all processes at once. All operations are sequentially consistent.
pub trait SharedPage: Send + Sync + Debug {
    /// Reads a word.
    fn load(&self, word: usize) -> u64;
    /// Writes a word.
    fn store(&self, word: usize, value: u64);
    /// Writes `new` if the word is `current`: `Ok(current)`, or `Err` with what is there.
    fn compare_exchange(&self, word: usize, current: u64, new: u64) -> Result<u64, u64>;
    /// Sets bits; returns what was there before.
    fn fetch_or(&self, word: usize, bits: u64) -> u64;
    /// Adds, wrapping; returns what was there before.
    fn fetch_add(&self, word: usize, amount: u64) -> u64;
    /// Sleeps while the low 32 bits of the word are `expected`, at most `timeout`; may return early for no reason.
    fn wait(&self, word: usize, expected: u32, timeout: Duration);
    /// Wakes all who sleep on the word, in every process. Whether anybody did, as far as that is known.
    fn wake_all(&self, word: usize) -> bool;
    /// Makes sure that the stores which follow can't fail. A filesystem that shut itself down when its disk failed (xfs)
    /// answers a store to a page that it had written back with SIGBUS: so call this before the first store under `LOCK`,
    /// and before any store that follows a failed call. Costs less than a microsecond.
    fn make_writable(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Time as the system tells it.
pub trait Clock: Send + Sync + Debug {
    /// Nanoseconds since the epoch, CLOCK_REALTIME.
    fn wall(&self) -> i64;
    /// Nanoseconds since boot, sleep included (CLOCK_BOOTTIME); never steps.
    fn boottime(&self) -> u64;
    /// Lets others run (sched_yield).
    fn yield_now(&self);
    /// Sleeps for about so long.
    fn sleep(&self, time: Duration);
}
