//! What the calls mean: names, time-to-live, conditions, limits, locks. Below it the engine keeps ordered, revisioned
//! bytes; nothing here knows about files or the log.
//!
//! Names come as bytes, are checked here, and become keys of the engine ([`name`]). A value's expiry travels beside it
//! as the engine's tag ([`ttl`]). Changes are decided under the engine's lock ([`write`]), reads take none ([`read`],
//! [`list`]); a lock is a value in a reserved bucket ([`lock`]).

mod lease;
pub mod limits;
mod list;
mod lock;
mod log;
mod machine;
mod name;
mod params;
mod read;
mod stats;
mod ttl;
mod units;
mod watch;
mod words;
mod write;

use std::fmt;
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::engine::{Config, Engine, Surroundings};
use crate::error::{Code, Error, Result};
use crate::files::storage::{Clock, Directory};

use self::log::Log;
use machine::Process;
use ttl::HandleClock;
use watch::Watches;

pub use self::log::{Level, Logger};
pub use list::Name;
pub use lock::Lease;
pub use params::{ClockFn, Params};
pub use read::{Fit, Item};
pub use write::NewItem;

/// An open store. Any number of threads may use one handle at once, any number of handles and processes one store.
///
/// Names are given as anything that is bytes; they are checked, UTF-8 included. A bucket is a path, its components
/// joined by `/`; `""` is the root. Times are nanoseconds. Every change is atomic, and durable on return (in a store with
/// `sync=full`); what it returns is its revision, greater than that of any change before it.
///
/// Beside the errors that a call names it may return `BAD_PARAMETER`, `READ_ONLY` (a change, on a handle opened with
/// `read_only`), `CLOSED`, `FORKED` (in a child of the process that opened the handle), and what the disk says: `IO`,
/// `NO_SPACE`, `CORRUPT`, `TIMEOUT` (the store's lock, for `lock_timeout`), `UNCERTAIN`.
pub struct Backend {
    engine: Arc<Engine>,
    clock: Arc<HandleClock>,
    log: Arc<Log>,
    closed: AtomicBool,
    process: Process,
    watches: Watches,
    read_only: bool,
    max_lock_ttl: Duration,
    path: String,
}

impl Backend {
    /// The name of this kind of backend.
    pub const NAME: &str = "dir";

    /// Opens the store that `params` describe, creating it if it is absent.
    ///
    /// `BAD_PARAMETER` if no path is set; `NOT_FOUND` for a read-only handle where no store is; `UNSUPPORTED` for a filesystem, a format or a `sync` mode that won't do;
    /// `CORRUPT`, `READ_ONLY`, `IO` as the directory has it.
    pub fn open(params: &Params) -> Result<Backend> {
        let (directory, clock) = machine::open(params)?;
        Backend::open_in(params, directory, clock)
    }

    /// Opens the store in the directory `path` with every other parameter at its default.
    pub fn open_path(path: impl AsRef<Path>) -> Result<Backend> {
        let mut params = Params::new();
        params.set_path(path)?;
        Backend::open(&params)
    }

    /// Opens the store in a directory that is open already, on a machine that may be a simulated one. The path and the
    /// modes of `params` count for nothing then.
    pub fn open_in(params: &Params, directory: Arc<dyn Directory>, clock: Arc<dyn Clock>) -> Result<Backend> {
        let path = directory.path();
        let handle_clock = Arc::new(HandleClock::new(clock.clone(), params.clock.clone()));
        let log = Arc::new(Log::default());
        let (judge, records) = (handle_clock.clone(), log.clone());
        let surroundings = Surroundings {
            dir: directory,
            clock,
            retain: Arc::new(move |_, tag| judge.retains(tag)),
            log: Arc::new(move |is_warning, text| {
                records.push(if is_warning { Level::Warn } else { Level::Info }, text.to_owned());
            }),
        };
        let config = Config {
            sync: params.sync,
            read_only: params.read_only,
            segment_size: params.segment_size,
            lock_timeout: params.lock_timeout,
            memory_limit: params.memory_limit,
            background: params.background,
        };
        let engine = Arc::new(Engine::open(config, surroundings)?);
        log.push(Level::Info, format!("opened the store in {path:?}"));
        Ok(Backend {
            engine,
            clock: handle_clock,
            log,
            closed: AtomicBool::new(false),
            process: Process::current(),
            watches: Watches::default(),
            read_only: params.read_only,
            max_lock_ttl: params.max_lock_ttl,
            path,
        })
    }

    /// Closes the handle: whoever waits for a lease gets `CLOSED`, and so does every later call. Locks that are held stay
    /// until they are released or expire. Again, or in a forked child: does nothing. It does
    /// not wait for other calls in progress.
    pub fn close(&self) {
        if self.process.is_forked() || self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        self.log.deliver();
        if !self.read_only {
            // Who waits for a lease looks at `closed` once it is awake. (A read-only handle has no waiters, and may wake nobody.)
            self.engine.wake_leases();
        }
        self.engine.close();
    }

    /// The time of the handle's clock, in nanoseconds since the epoch.
    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    /// Where the library's log records of at least the importance `level` go; `None` for nowhere, as at first. The logger
    /// is called only inside a call of this handle, on that call's thread, and must not call dirkv.
    pub fn set_logger(&self, logger: Option<Logger>, level: Level) {
        self.log.set(logger, level);
    }

    /// In a store with `sync=os`: everything written before is durable on return.
    pub fn sync(&self) -> Result<()> {
        self.enter()?;
        self.engine.sync()
    }

    /// Compacts now, and returns when that is done.
    pub fn compact(&self) -> Result<()> {
        self.enter_to_write()?;
        self.engine.compact()
    }

    /// Verifies every byte that the store rests on against its checksums and order; one sentence for each thing that is wrong, none if
    /// all is well.
    pub fn check(&self) -> Result<Vec<String>> {
        self.enter()?;
        self.engine.check()
    }

    /// Counters of this handle and of its store, as one JSON object of numbers. New ones may come.
    pub fn stats_json(&self) -> Result<String> {
        self.enter()?;
        Ok(stats::json(&self.engine.stats()?))
    }

    /// Whether calls of this handle can do anything: `CLOSED` after [`Backend::close`], `FORKED` in a child of the
    /// process that opened it.
    #[inline]
    pub fn usable(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(self.refused(Code::Closed, "is closed"));
        }
        if self.process.is_forked() {
            return Err(
                self.refused(Code::Forked, "was opened by the process of which this one is a fork: open it anew")
            );
        }
        Ok(())
    }

    /// Where each call begins: refuses a handle that is of no use any more, and delivers the log records that wait.
    #[inline]
    fn enter(&self) -> Result<()> {
        self.usable()?;
        self.log.deliver();
        Ok(())
    }

    /// Where each change begins.
    fn enter_to_write(&self) -> Result<()> {
        self.enter()?;
        if self.read_only {
            return Err(self.refused(Code::ReadOnly, "was opened with read_only=true, which allows no change"));
        }
        Ok(())
    }

    #[cold]
    fn refused(&self, code: Code, why: &str) -> Error {
        Error::new(code, format!("the handle of the store in {:?} {why}", self.path))
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if self.process.is_forked() {
            // Its threads and locks are the parent's: nothing of it may be torn down here.
            mem::forget(self.engine.clone());
            return;
        }
        self.close();
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("path", &self.path).field("closed", &self.closed).finish_non_exhaustive()
    }
}
