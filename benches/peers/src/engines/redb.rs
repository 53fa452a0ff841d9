//! redb, as its documentation advises:
//!
//! - the cache at its default of 1 GiB, 4 GiB for 10^7 keys, or small in a frugal setup;
//! - `Durability::Immediate` is durable, in one phase where a process is alone (the default). `Sync::Os` is `Durability::None`, the only other level
//!   there is; it promises less than `sync=os`: such commits are lost with their process, too;
//! - alone, `ConcurrencyMode::ExclusiveWriter` (the default), and a `ReadOnlyDatabase` where all processes only read; one writer
//!   beside readers is a `SingleWriter`, they have a `ReadOnlyDatabase` in the same mode; when several processes write,
//!   `MultiWriter`. The latter two always commit in two phases;
//! - a get is one read transaction, since it has to see what was committed before; a transaction can't be renewed.

use std::path::Path;

use redb::{
    ConcurrencyMode, Database, Durability, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, ReadableTable,
    TableDefinition, TableError, WriteTransaction,
};

use super::{Engine, Range, Role, Session, Setup, Sync};
use crate::Result;
use crate::names::Name;

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("kv");

pub struct Redb {
    handle: Handle,
    durability: Durability,
}

enum Handle {
    Reading(ReadOnlyDatabase),
    Writing(Database),
}

impl Redb {
    pub fn open(folder: &Path, setup: &Setup) -> Result<Redb> {
        let path = folder.join("data.redb");
        let mut builder = Database::builder();
        builder.set_cache_size(usize::try_from(setup.cache.bytes())?);
        builder.set_concurrency_mode(match setup.role {
            Role::Alone | Role::AmongReaders => ConcurrencyMode::ExclusiveWriter,
            Role::BesideWriter | Role::OnlyWriter => ConcurrencyMode::SingleWriter,
            Role::AmongWriters => ConcurrencyMode::MultiWriter,
        });
        let handle = match setup.role {
            Role::AmongReaders | Role::BesideWriter => Handle::Reading(builder.open_read_only(path)?),
            Role::Alone | Role::OnlyWriter | Role::AmongWriters => Handle::Writing(builder.create(path)?),
        };
        let durability = if setup.sync == Sync::Full { Durability::Immediate } else { Durability::None };
        let store = Redb { handle, durability };
        if matches!(store.read()?.open_table(TABLE), Err(TableError::TableDoesNotExist(_))) {
            let change = store.write()?;
            change.open_table(TABLE)?;
            change.commit()?;
        }
        Ok(store)
    }

    fn read(&self) -> Result<ReadTransaction> {
        Ok(match &self.handle {
            Handle::Reading(database) => database.begin_read()?,
            Handle::Writing(database) => database.begin_read()?,
        })
    }

    fn write(&self) -> Result<WriteTransaction> {
        let Handle::Writing(database) = &self.handle else { return Err("a reader writes".into()) };
        let mut change = database.begin_write()?;
        change.set_durability(self.durability)?;
        Ok(change)
    }
}

impl Engine for Redb {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Thread { store: self }))
    }
}

struct Thread<'a> {
    store: &'a Redb,
}

impl Session for Thread<'_> {
    fn view(&mut self, name: Name<'_>, see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let table = self.store.read()?.open_table(TABLE)?;
        let found = table.get(name.flat)?;
        Ok(found.map(|guard| see(guard.value())).is_some())
    }

    fn put(&mut self, name: Name<'_>, value: &[u8]) -> Result<()> {
        let change = self.store.write()?;
        change.open_table(TABLE)?.insert(name.flat, value)?;
        Ok(change.commit()?)
    }

    fn batch(&mut self, items: &[(Name<'_>, &[u8])]) -> Result<()> {
        let change = self.store.write()?;
        let mut table = change.open_table(TABLE)?;
        for (name, value) in items {
            table.insert(name.flat, value)?;
        }
        drop(table);
        Ok(change.commit()?)
    }

    fn swap(&mut self, name: Name<'_>, old: &[u8], new: &[u8]) -> Result<bool> {
        let change = self.store.write()?;
        let mut table = change.open_table(TABLE)?;
        let equal = table.get(name.flat)?.is_some_and(|there| there.value() == old);
        if equal {
            table.insert(name.flat, new)?;
        }
        drop(table);
        if equal {
            change.commit()?
        } else {
            change.abort()?
        }
        Ok(equal)
    }

    fn create(&mut self, name: Name<'_>, value: &[u8]) -> Result<bool> {
        let change = self.store.write()?;
        let fresh = change.open_table(TABLE)?.insert(name.flat, value)?.is_none();
        if fresh {
            change.commit()?
        } else {
            change.abort()?
        }
        Ok(fresh)
    }

    fn delete(&mut self, name: Name<'_>) -> Result<bool> {
        let change = self.store.write()?;
        let there = change.open_table(TABLE)?.remove(name.flat)?.is_some();
        if there {
            change.commit()?
        } else {
            change.abort()?
        }
        Ok(there)
    }

    fn items(&mut self, range: Range<'_>, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let table = self.store.read()?.open_table(TABLE)?;
        let begin = range.after.map_or(range.prefix, |after| after.flat);
        let mut rest = range.limit;
        for entry in table.range(begin..)? {
            let (key, value) = entry?;
            if range.after.is_some_and(|after| after.flat == key.value()) {
                continue;
            }
            if rest == 0 || !key.value().starts_with(range.prefix) {
                break;
            }
            rest -= 1;
            see(key.value(), value.value());
        }
        Ok(())
    }

    fn keys(&mut self, range: Range<'_>, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.items(range, &mut |key, _| see(key))
    }
}
