//! SQLite, as its documentation advises for a key-value table ("Write-Ahead Logging", "Clustered Indexes and the WITHOUT
//! ROWID Optimization", "Memory-Mapped I/O", "Compile-time Options"):
//!
//! - WAL; `synchronous=FULL` is durable. `Sync::Os` is `synchronous=NORMAL`: "WAL mode is always consistent with
//!   synchronous=NORMAL, but does lose durability", the like of `sync=os`;
//! - one table, its key the primary key: WITHOUT ROWID where rows are small ("less than about 1/20th the size of a database
//!   page": values of 200 B, the usual ones here, are at that limit), else with its rowid;
//! - `mmap_size` for all of the file, so that a read is no `pread` (compiled with a larger `SQLITE_MAX_MMAP_SIZE`);
//!   `cache_size`, which holds what a transaction changes, as large as the caches of the other engines;
//! - pages of 16 KiB for values of 64 KiB and more ("Internal Versus External BLOBs");
//! - `locking_mode` stays NORMAL: EXCLUSIVE would keep every other process out;
//! - prepared statements that are kept; a get is one statement, and so a transaction of its own; connections of one thread
//!   without SQLite's mutexes (rusqlite's default), compiled without memory statistics and with `fdatasync`;
//! - the log is checkpointed as by default, at 1000 pages, by whoever commits;
//! - each thread has a connection of its own, as "Using SQLite In Multi-Threaded Applications" has it. (One for all writers
//!   behind a mutex was tried; it gave less.) Writers meet at the file lock, where SQLite can only try again: a busy handler
//!   sleeps for 50 us before it does. `busy_timeout`, whose sleeps grow to 100 ms, gave far less;
//! - a compare-and-swap, a create and a delete are one conditional statement each, without a transaction around it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rusqlite::{CachedStatement, Connection, params};

use super::{Engine, Range, Session, Setup, Sync};
use crate::Result;
use crate::names::Name;

const GET: &str = "SELECT v FROM kv WHERE k = ?1";
const PUT: &str = "INSERT INTO kv (k, v) VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = excluded.v";
const SWAP: &str = "UPDATE kv SET v = ?3 WHERE k = ?1 AND v = ?2";
const CREATE: &str = "INSERT INTO kv (k, v) VALUES (?1, ?2) ON CONFLICT (k) DO NOTHING";
const DELETE: &str = "DELETE FROM kv WHERE k = ?1";
const ITEMS_FROM: &str = "SELECT k, v FROM kv WHERE k >= ?1 ORDER BY k LIMIT ?2";
const ITEMS_AFTER: &str = "SELECT k, v FROM kv WHERE k > ?1 ORDER BY k LIMIT ?2";
const KEYS_FROM: &str = "SELECT k FROM kv WHERE k >= ?1 ORDER BY k LIMIT ?2";
const KEYS_AFTER: &str = "SELECT k FROM kv WHERE k > ?1 ORDER BY k LIMIT ?2";

/// Rows with values up to this length are small.
const SMALL: usize = 200;
/// Values from this length on are large.
const LARGE: usize = 64 << 10;
const OPEN: &str = "a session has its connection until it is dropped";
/// Between two tries for the file lock.
const NAP: Duration = Duration::from_micros(50);

pub struct Sqlite {
    path: PathBuf,
    setup: Setup,
    /// Connections that no session has: the store stays open between sessions, as the last one that closes takes the log
    /// away, and a process with one thread has one connection.
    free: Mutex<Vec<Connection>>,
}

impl Sqlite {
    pub fn open(folder: &Path, setup: &Setup) -> Result<Sqlite> {
        let path = folder.join("data.sqlite");
        let connection = connect(&path, setup)?;
        let how = if setup.value <= SMALL { "WITHOUT ROWID" } else { "" };
        connection
            .execute_batch(&format!("CREATE TABLE IF NOT EXISTS kv (k BLOB PRIMARY KEY, v BLOB NOT NULL) {how}"))?;
        Ok(Sqlite { path, setup: setup.clone(), free: Mutex::new(vec![connection]) })
    }

    fn free(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn thread(&self) -> Result<Thread<'_>> {
        let free = self.free().pop();
        let connection = free.map_or_else(|| connect(&self.path, &self.setup), Ok)?;
        Ok(Thread { connection: Some(connection), store: self })
    }

    fn checkpoint(&self, how: &str) -> Result<()> {
        // It answers with a row: whether it was blocked, and how far it got.
        Ok(self.thread()?.connection().query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(()))?)
    }
}

fn connect(path: &Path, setup: &Setup) -> Result<Connection> {
    let mut connection = Connection::open(path)?;
    connection.busy_handler(Some(|_| {
        thread::sleep(NAP);
        true
    }))?;
    let level = if setup.sync == Sync::Full { "FULL" } else { "NORMAL" };
    if setup.value >= LARGE {
        connection.pragma_update(None, "page_size", 16 << 10)?;
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", level)?;
    connection.pragma_update_and_check(None, "mmap_size", 64_i64 << 30, |_| Ok(()))?;
    connection.pragma_update(None, "cache_size", -((setup.cache.bytes() >> 10) as i64))?;
    connection.set_prepared_statement_cache_capacity(16);
    Ok(connection)
}

impl Engine for Sqlite {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(self.thread()?))
    }

    fn settle(&self) -> Result<()> {
        self.checkpoint("TRUNCATE")
    }

    fn compact(&self) -> Result<bool> {
        self.checkpoint("PASSIVE")?;
        Ok(true)
    }
}

struct Thread<'a> {
    connection: Option<Connection>,
    store: &'a Sqlite,
}

impl Drop for Thread<'_> {
    fn drop(&mut self) {
        self.store.free().extend(self.connection.take());
    }
}

impl Thread<'_> {
    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect(OPEN)
    }

    fn list(
        &self,
        from: &str,
        after: &str,
        range: Range<'_>,
        see: &mut dyn FnMut(&rusqlite::Row<'_>) -> Seen,
    ) -> Result<()> {
        let limit = i64::try_from(range.limit).unwrap_or(-1);
        let (mut statement, begin): (CachedStatement<'_>, &[u8]) = match range.after {
            Some(name) => (self.connection().prepare_cached(after)?, name.flat),
            None => (self.connection().prepare_cached(from)?, range.prefix),
        };
        let mut rows = statement.query(params![begin, limit])?;
        while let Some(row) = rows.next()? {
            if !see(row)? {
                break;
            }
        }
        Ok(())
    }
}

/// Whether the row was one of the range.
type Seen = Result<bool>;

impl Session for Thread<'_> {
    fn view(&mut self, name: Name<'_>, see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let mut statement = self.connection().prepare_cached(GET)?;
        let mut rows = statement.query([name.flat])?;
        let Some(row) = rows.next()? else { return Ok(false) };
        see(row.get_ref(0)?.as_blob()?);
        Ok(true)
    }

    fn put(&mut self, name: Name<'_>, value: &[u8]) -> Result<()> {
        self.connection().prepare_cached(PUT)?.execute(params![name.flat, value])?;
        Ok(())
    }

    fn batch(&mut self, items: &[(Name<'_>, &[u8])]) -> Result<()> {
        let connection = self.connection.as_mut().expect(OPEN);
        let change = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut statement = change.prepare_cached(PUT)?;
        for (name, value) in items {
            statement.execute(params![name.flat, value])?;
        }
        drop(statement);
        Ok(change.commit()?)
    }

    fn swap(&mut self, name: Name<'_>, old: &[u8], new: &[u8]) -> Result<bool> {
        Ok(self.connection().prepare_cached(SWAP)?.execute(params![name.flat, old, new])? == 1)
    }

    fn create(&mut self, name: Name<'_>, value: &[u8]) -> Result<bool> {
        Ok(self.connection().prepare_cached(CREATE)?.execute(params![name.flat, value])? == 1)
    }

    fn delete(&mut self, name: Name<'_>) -> Result<bool> {
        Ok(self.connection().prepare_cached(DELETE)?.execute([name.flat])? == 1)
    }

    fn items(&mut self, range: Range<'_>, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        self.list(ITEMS_FROM, ITEMS_AFTER, range, &mut |row| {
            let key = row.get_ref(0)?.as_blob()?;
            let inside = key.starts_with(range.prefix);
            if inside {
                see(key, row.get_ref(1)?.as_blob()?);
            }
            Ok(inside)
        })
    }

    fn keys(&mut self, range: Range<'_>, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.list(KEYS_FROM, KEYS_AFTER, range, &mut |row| {
            let key = row.get_ref(0)?.as_blob()?;
            let inside = key.starts_with(range.prefix);
            if inside {
                see(key);
            }
            Ok(inside)
        })
    }
}
