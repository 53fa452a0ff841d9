//! The engines behind one small trait. Each is set up as its own documentation recommends; the comment atop each file says how
//! and why. A call means the same everywhere: it sees the newest state when it begins, and with `Sync::Full` a change survives
//! a power cut once it has returned.

mod dirkv;
mod fjall;
mod lmdb;
mod raw;
mod redb;
mod sqlite;

use std::ffi::CStr;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::names::Name;

/// Which engine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// dirkv, through its C interface.
    Dirkv,
    /// LMDB.
    Lmdb,
    /// SQLite.
    Sqlite,
    /// redb.
    Redb,
    /// fjall.
    Fjall,
    /// What the machine can do: bare system calls, and a map in memory.
    Raw,
    /// The same with every change written a second time, as a log and its tables do.
    Twice,
}

impl Kind {
    /// All, in the order of the table's columns.
    pub const ALL: [Kind; 7] = [Kind::Dirkv, Kind::Lmdb, Kind::Sqlite, Kind::Redb, Kind::Fjall, Kind::Raw, Kind::Twice];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Dirkv => "dirkv",
            Kind::Lmdb => "LMDB",
            Kind::Sqlite => "SQLite",
            Kind::Redb => "redb",
            Kind::Fjall => "fjall",
            Kind::Raw => "raw",
            Kind::Twice => "raw-twice",
        }
    }

    /// The engine of this name, in any case.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// Whether it is a store that users could choose instead of dirkv.
    pub fn is_peer(self) -> bool {
        self.is_store() && self != Kind::Dirkv
    }

    /// Whether what it was told can be read back; from the raw limit only what it was filled with.
    pub fn is_store(self) -> bool {
        !matches!(self, Kind::Raw | Kind::Twice)
    }

    /// What was linked: name and version.
    pub fn version(self) -> String {
        match self {
            Kind::Dirkv => dirkv::version(),
            Kind::Lmdb => lmdb::version(),
            Kind::Sqlite => format!("SQLite {}", rusqlite::version()),
            Kind::Redb => format!("redb {}", locked("redb")),
            Kind::Fjall => format!("fjall {}", locked("fjall")),
            Kind::Raw | Kind::Twice => self.name().to_owned(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The version of a package of this build.
fn locked(package: &str) -> &'static str {
    let lines: Vec<&str> = include_str!("../../Cargo.lock").lines().collect();
    let name = format!("name = \"{package}\"");
    let version = lines.windows(2).find(|pair| pair[0] == name).and_then(|pair| pair[1].strip_prefix("version = \""));
    version.map_or("of unknown version", |rest| rest.trim_end_matches('"'))
}

/// What a change survives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Sync {
    /// A power cut, as soon as its call has returned.
    Full,
    /// The end of its process. After a power cut the store is an earlier state of its own.
    Os,
}

/// What a process does with a store, and others at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Role {
    /// It is the only one.
    Alone,
    /// It reads, and so do others.
    AmongReaders,
    /// It reads, and one other writes.
    BesideWriter,
    /// It writes, and others read.
    OnlyWriter,
    /// It writes, and so do others.
    AmongWriters,
}

/// How a store is opened.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// What a change survives.
    pub sync: Sync,
    /// What this process does with it, and others.
    pub role: Role,
    /// How long values are, for an engine that has one set-up for small and another for large ones.
    pub value: usize,
    /// How large caches in private memory may be.
    pub cache: Cache,
}

/// What an engine with caches of its own may take for them; LMDB has the page cache.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Cache {
    /// Less than half of the 32 MiB that the line allows, since an engine has other needs too.
    Frugal,
    /// As redb has it by default.
    Usual,
    /// Room for all of the data, where the usual cache has none: LMDB has the whole page cache, and fjall's documentation
    /// recommends 20-25 % of the memory.
    Ample,
}

impl Cache {
    /// The cache for a store that holds so much, if it doesn't have to be frugal.
    pub fn for_data(bytes: u64) -> Cache {
        if bytes > Cache::Usual.bytes() { Cache::Ample } else { Cache::Usual }
    }

    /// How large it is.
    pub fn bytes(self) -> u64 {
        match self {
            Cache::Frugal => 12 << 20,
            Cache::Usual => 1 << 30,
            Cache::Ample => 4 << 30,
        }
    }
}

/// An open store, for any number of threads.
pub trait Engine: Send + std::marker::Sync {
    /// What one thread needs to use it.
    fn session(&self) -> Result<Box<dyn Session + '_>>;

    /// Returns once nothing is left to do in the background.
    fn settle(&self) -> Result<()> {
        Ok(())
    }

    /// Returns once nothing is under way in the background: after a turn, so that it doesn't go on in the next engine's.
    fn rest(&self) -> Result<()> {
        Ok(())
    }

    /// Does once what the engine does to keep the store small; false if it has nothing of the kind that runs beside writers.
    fn compact(&self) -> Result<bool> {
        Ok(false)
    }

    /// Its locks between processes, if it has any.
    fn leases(&self) -> Option<&dyn Leases> {
        None
    }
}

/// One thread's way to a store.
pub trait Session {
    /// Copies a value to the caller's memory; false if there is none.
    fn get(&mut self, name: Name<'_>, value: &mut Vec<u8>) -> Result<bool> {
        self.view(name, &mut |bytes| {
            value.clear();
            value.extend_from_slice(bytes);
        })
    }

    /// Shows a value where it lies, without a copy where the engine can do that.
    fn view(&mut self, name: Name<'_>, see: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Puts a value, whatever was there.
    fn put(&mut self, name: Name<'_>, value: &[u8]) -> Result<()>;

    /// Puts all or none.
    fn batch(&mut self, items: &[(Name<'_>, &[u8])]) -> Result<()>;

    /// Puts all before a line begins, while no clock runs.
    fn fill(&mut self, items: &[(Name<'_>, &[u8])]) -> Result<()> {
        self.batch(items)
    }

    /// Puts a value if `old` is there; false if not.
    fn swap(&mut self, name: Name<'_>, old: &[u8], new: &[u8]) -> Result<bool>;

    /// Puts a value if there is none; false if there is.
    fn create(&mut self, name: Name<'_>, value: &[u8]) -> Result<bool>;

    /// Deletes a value; false if there was none.
    fn delete(&mut self, name: Name<'_>) -> Result<bool>;

    /// Shows the items of one consistent cut, in order.
    fn items(&mut self, range: Range<'_>, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<()>;

    /// The same without the values.
    fn keys(&mut self, range: Range<'_>, see: &mut dyn FnMut(&[u8])) -> Result<()>;
}

/// Locks that are held by one process at a time.
pub trait Leases {
    /// Waits until the lock is taken.
    fn acquire(&self, name: &CStr) -> Result<u64>;
    /// Gives it back.
    fn release(&self, name: &CStr, fence: u64) -> Result<()>;
}

/// A part of a bucket: at most `limit` items after `after`.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// The bucket, for an engine that has buckets.
    pub bucket: &'a CStr,
    /// What the bucket's keys begin with, for an engine that has none.
    pub prefix: &'a [u8],
    /// Where it begins, itself left out; or at the bucket's first.
    pub after: Option<Name<'a>>,
    /// How many.
    pub limit: usize,
}

/// Opens a store, or creates it.
pub fn open(kind: Kind, path: &Path, setup: &Setup) -> Result<Box<dyn Engine>> {
    std::fs::create_dir_all(path)?;
    Ok(match kind {
        Kind::Dirkv => Box::new(dirkv::Dirkv::open(path, setup)?),
        Kind::Lmdb => Box::new(lmdb::Lmdb::open(path, setup)?),
        Kind::Sqlite => Box::new(sqlite::Sqlite::open(path, setup)?),
        Kind::Redb => Box::new(redb::Redb::open(path, setup)?),
        Kind::Fjall => Box::new(fjall::Fjall::open(path, setup)?),
        Kind::Raw | Kind::Twice => Box::new(raw::Raw::open(path, setup, kind == Kind::Twice)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Names, Shape};

    #[test]
    fn every_store_opens_with_every_cache() {
        let (names, mut value) = (Names::of(Shape::Plain, [7]), Vec::new());
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_store()) {
            let folder = tempfile::tempdir().unwrap();
            for cache in [Cache::Frugal, Cache::Usual, Cache::Ample] {
                let setup = Setup { sync: Sync::Full, role: Role::Alone, value: 200, cache };
                let engine = open(kind, folder.path(), &setup).unwrap();
                let mut session = engine.session().unwrap();
                let text = format!("{cache:?}");
                session.put(names.get(0), text.as_bytes()).unwrap();
                assert!(session.get(names.get(0), &mut value).unwrap(), "{kind}, {text}");
                assert_eq!(value, text.as_bytes(), "{kind}");
            }
        }
    }
}
