//! fjall, as its documentation advises:
//!
//! - a durable change is an insert and `persist(SyncData)` ("use if you know that fdatasync is sufficient"), with
//!   `manual_journal_persist`, so that the journal is not written twice. `Sync::Os` is the default: each insert goes to the
//!   kernel, `PersistMode::Buffer`;
//! - the cache takes "20-25% of the available memory, or more if the data set fully fits": 1 GiB here, 4 GiB for 10^7 keys, small
//!   in a frugal setup;
//! - values of 4 KiB and more lie apart from their keys ("large blob use cases"; from 1 KiB on by default, but the lines of
//!   1 KiB mostly read, which it makes slower);
//! - when it is at rest is told by calls that its documentation hides;
//! - no compression: the values are random bytes, and no other engine compresses;
//! - conditions (compare-and-swap, create, delete) need transactions. The optimistic kind is taken, with which writers of
//!   different keys go on side by side; its plain keyspace inside serves all other calls;
//! - batches are `WriteBatch`, whole or not at all, with their durability;
//! - one process only: a second one is refused its lock.

use std::ops::Bound;
use std::path::Path;
use std::time::Duration;

use fjall::config::CompressionPolicy;
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, OptimisticTxDatabase,
    OptimisticTxKeyspace, OptimisticWriteTx, PersistMode, Readable,
};

use super::{Engine, Range, Session, Setup, Sync};
use crate::Result;
use crate::names::Name;
use crate::patience::steady;

/// Values from this length on are large.
const LARGE: usize = 4 << 10;
/// Between two looks at what goes on in the background.
const NAP: Duration = Duration::from_millis(10);

fn apart() -> KvSeparationOptions {
    KvSeparationOptions::default().compression(CompressionType::None)
}

pub struct Fjall {
    database: OptimisticTxDatabase,
    keyspace: OptimisticTxKeyspace,
    mode: PersistMode,
}

impl Fjall {
    pub fn open(folder: &Path, setup: &Setup) -> Result<Fjall> {
        let full = setup.sync == Sync::Full;
        let database = OptimisticTxDatabase::builder(folder.join("data.fjall"))
            .cache_size(setup.cache.bytes())
            .manual_journal_persist(full)
            .open()?;
        let options = || {
            KeyspaceCreateOptions::default()
                .manual_journal_persist(full)
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
                .with_kv_separation((setup.value >= LARGE).then(apart))
        };
        let keyspace = database.keyspace("kv", options)?;
        let mode = if full { PersistMode::SyncData } else { PersistMode::Buffer };
        Ok(Fjall { database, keyspace, mode })
    }

    fn plain(&self) -> &Keyspace {
        self.keyspace.inner()
    }

    fn inner(&self) -> &Database {
        self.database.inner()
    }

    /// Makes what was inserted as durable as it is to be.
    fn persist(&self) -> Result<()> {
        if self.mode == PersistMode::SyncData {
            self.inner().persist(self.mode)?;
        }
        Ok(())
    }

    /// Does a transaction until no other has come between; `change` says whether there is something to commit.
    fn transact(&self, mut change: impl FnMut(&mut OptimisticWriteTx) -> Result<bool>) -> Result<bool> {
        loop {
            let mut transaction = self.database.write_tx()?.durability(Some(self.mode));
            if !change(&mut transaction)? {
                return Ok(false);
            }
            if transaction.commit()?.is_ok() {
                return Ok(true);
            }
        }
    }
}

impl Engine for Fjall {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Thread { store: self }))
    }

    fn settle(&self) -> Result<()> {
        self.plain().rotate_memtable()?;
        self.rest()
    }

    fn rest(&self) -> Result<()> {
        steady("fjall", NAP, || {
            let database = self.inner();
            let flushing = self.plain().sealed_memtable_count() + database.outstanding_flushes();
            Ok((flushing + database.active_compactions() == 0).then(|| database.compactions_completed()))
        })
    }

    fn compact(&self) -> Result<bool> {
        self.plain().rotate_memtable_and_wait()?;
        self.plain().major_compact()?;
        Ok(true)
    }
}

struct Thread<'a> {
    store: &'a Fjall,
}

impl Session for Thread<'_> {
    fn view(&mut self, name: Name<'_>, see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let found = self.store.plain().get(name.flat)?;
        Ok(found.map(|value| see(&value)).is_some())
    }

    fn put(&mut self, name: Name<'_>, value: &[u8]) -> Result<()> {
        self.store.plain().insert(name.flat, value)?;
        self.store.persist()
    }

    fn batch(&mut self, items: &[(Name<'_>, &[u8])]) -> Result<()> {
        let mut batch = self.store.inner().batch().durability(Some(self.store.mode));
        for (name, value) in items {
            batch.insert(self.store.plain(), name.flat, *value);
        }
        Ok(batch.commit()?)
    }

    fn swap(&mut self, name: Name<'_>, old: &[u8], new: &[u8]) -> Result<bool> {
        self.store.transact(|change| {
            let equal = change.get(&self.store.keyspace, name.flat)?.is_some_and(|there| *there == *old);
            if equal {
                change.insert(&self.store.keyspace, name.flat, new);
            }
            Ok(equal)
        })
    }

    fn create(&mut self, name: Name<'_>, value: &[u8]) -> Result<bool> {
        self.store.transact(|change| {
            let fresh = !change.contains_key(&self.store.keyspace, name.flat)?;
            if fresh {
                change.insert(&self.store.keyspace, name.flat, value);
            }
            Ok(fresh)
        })
    }

    fn delete(&mut self, name: Name<'_>) -> Result<bool> {
        self.store.transact(|change| {
            let there = change.contains_key(&self.store.keyspace, name.flat)?;
            if there {
                change.remove(&self.store.keyspace, name.flat);
            }
            Ok(there)
        })
    }

    fn items(&mut self, range: Range<'_>, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let begin = range.after.map_or(Bound::Included(range.prefix), |after| Bound::Excluded(after.flat));
        for entry in self.store.plain().range::<&[u8], _>((begin, Bound::Unbounded)).take(range.limit) {
            let (key, value) = entry.into_inner()?;
            if !key.starts_with(range.prefix) {
                break;
            }
            see(&key, &value);
        }
        Ok(())
    }

    fn keys(&mut self, range: Range<'_>, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        let begin = range.after.map_or(Bound::Included(range.prefix), |after| Bound::Excluded(after.flat));
        for entry in self.store.plain().range::<&[u8], _>((begin, Bound::Unbounded)).take(range.limit) {
            let key = entry.key()?;
            if !key.starts_with(range.prefix) {
                break;
            }
            see(&key);
        }
        Ok(())
    }
}
