//! LMDB, through its C interface, as `lmdb.h` and the "Caveats" of its documentation advise:
//!
//! - a durable commit is the default one: `fdatasync` of the data, then the meta page through a descriptor with `O_DSYNC`.
//!   `MDB_WRITEMAP` is left out: the manual calls it less safe, and "slightly faster" only sometimes;
//! - `Sync::Os` is `MDB_NOSYNC` without `MDB_WRITEMAP`, of which the manual says that integrity is kept if the filesystem
//!   keeps the order of writes: the like of `sync=os`;
//! - a get is one read transaction, since it has to see what was committed before; `mdb_txn_reset` and `mdb_txn_renew` reuse
//!   it, which costs no allocation. `MDB_NOTLS`, so that the slot in the reader table stays with it;
//! - batches in order of their keys are told by `MDB_APPEND` (see `batch`);
//! - the map is large enough for every line, so that it never has to grow; it takes no memory and no disk before it is used;
//! - `MDB_NORDAHEAD` is left out: what is read fits into memory.

mod sys;

use std::path::Path;

use self::sys::{Environment, Reader};
use super::{Engine, Range, Session, Setup, Sync};
use crate::Result;
use crate::names::Name;

pub fn version() -> String {
    format!("LMDB {}", sys::version())
}

pub struct Lmdb {
    environment: Environment,
}

impl Lmdb {
    pub fn open(path: &Path, setup: &Setup) -> Result<Lmdb> {
        Ok(Lmdb { environment: Environment::open(path, setup.sync == Sync::Os)? })
    }
}

impl Engine for Lmdb {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Thread { environment: &self.environment, reader: self.environment.reader()? }))
    }
}

struct Thread<'a> {
    environment: &'a Environment,
    reader: Reader<'a>,
}

impl Session for Thread<'_> {
    fn view(&mut self, name: Name<'_>, see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let cut = self.reader.renew()?;
        let found = cut.get(name.flat)?;
        Ok(found.map(see).is_some())
    }

    fn put(&mut self, name: Name<'_>, value: &[u8]) -> Result<()> {
        let change = self.environment.write()?;
        change.put(name.flat, value)?;
        change.commit()
    }

    /// A run of keys in order, the first beyond the last of the store, is what `MDB_APPEND` is for; whoever loads in order
    /// knows that, and looking at the last key costs one descent for a batch.
    fn batch(&mut self, items: &[(Name<'_>, &[u8])]) -> Result<()> {
        let change = self.environment.write()?;
        let rising = items.windows(2).all(|pair| pair[0].0.flat < pair[1].0.flat);
        let first = items.first().map_or(&[][..], |(name, _)| name.flat);
        let beyond = rising && change.last()?.is_none_or(|last| last < first);
        for (name, value) in items {
            if beyond { change.append(name.flat, value)? } else { change.put(name.flat, value)? }
        }
        change.commit()
    }

    fn swap(&mut self, name: Name<'_>, old: &[u8], new: &[u8]) -> Result<bool> {
        let change = self.environment.write()?;
        if change.get(name.flat)? != Some(old) {
            return Ok(false);
        }
        change.put(name.flat, new)?;
        change.commit()?;
        Ok(true)
    }

    fn create(&mut self, name: Name<'_>, value: &[u8]) -> Result<bool> {
        let change = self.environment.write()?;
        if !change.insert(name.flat, value)? {
            return Ok(false);
        }
        change.commit()?;
        Ok(true)
    }

    fn delete(&mut self, name: Name<'_>) -> Result<bool> {
        let change = self.environment.write()?;
        if !change.delete(name.flat)? {
            return Ok(false);
        }
        change.commit()?;
        Ok(true)
    }

    fn items(&mut self, range: Range<'_>, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let cut = self.reader.renew()?;
        let begin = range.after.map_or(range.prefix, |after| after.flat);
        let mut cursor = cut.cursor()?;
        let mut entry = cursor.seek(begin)?;
        if let (Some(after), Some((key, _))) = (range.after, entry)
            && key == after.flat
        {
            entry = cursor.next()?;
        }
        for _ in 0..range.limit {
            let Some((key, value)) = entry.filter(|(key, _)| key.starts_with(range.prefix)) else { break };
            see(key, value);
            entry = cursor.next()?;
        }
        Ok(())
    }

    fn keys(&mut self, range: Range<'_>, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.items(range, &mut |key, _| see(key))
    }
}
