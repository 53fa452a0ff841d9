//! The raw limit: what the machine can do at most, without any store around it.
//!
//! - A change is one `pwrite` of the key's and the value's bytes at the end of a file, and one `fdatasync`, if it has to be
//!   durable. The file's blocks are allocated and written ahead, so that nothing of the filesystem's own changes with it. At
//!   its end it begins again at the front. It is not an engine: a change can't be read back.
//!   Raw twice does that, and a thread of its own writes as many bytes to a second file of that kind, which is synced each 4 MiB.
//!   It takes part where much is written.
//! - A get is a lookup in a `RwLock<HashMap>` that was filled beforehand; threads share it. (It has 10^6 keys at most: of
//!   10^7 its maps would take more memory than any engine's cache.)
//! - Where caches have to be small, nobody can have such a map. A get is one `pread` of the 4 KiB that hold the value, from a
//!   file in the page cache, at a place that follows from the key: no map of the file, no index, no checksum.
//! - A listing of some 100 items is a range of a `RwLock<BTreeMap>`, copied into one buffer that is used again. Who shows items
//!   where they lie may be faster; and who keeps them packed, if there are thousands: the raw limit has no figure there.
//! - A lock is `flock`, in which the kernel lets processes sleep and wakes them, and a durable change by whoever got it.
//! - What a store does to keep itself small is to write a file of some MiB beside the other one and to sync it.

mod maps;
mod slots;
mod table;

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{RwLock, RwLockReadGuard};

use rustix::fs::{FlockOperation, flock};

use self::maps::Maps;
use self::slots::Slots;
use self::table::Table;
use super::{Cache, Engine, Leases, Range, Session, Setup, Sync};
use crate::Result;
use crate::names::Name;

const SIZE: u64 = 64 << 20;
/// How much is written beside the changes, and how much at once.
const BESIDE: u64 = 16 << 20;
const PIECE: usize = 1 << 20;

pub struct Raw {
    file: File,
    lock: File,
    beside: PathBuf,
    end: AtomicU64,
    full: bool,
    /// Of raw twice only.
    table: Option<Table>,
    maps: RwLock<Maps>,
    /// In place of the maps, where caches have to be small.
    slots: Option<Slots>,
}

impl Raw {
    pub fn open(folder: &Path, setup: &Setup, twice: bool) -> Result<Raw> {
        let (file, lock) = (ahead(&folder.join("data.raw"))?, open(&folder.join("lock.raw"))?);
        let table = if twice { Some(Table::new(ahead(&folder.join("table.raw"))?)) } else { None };
        let beside = folder.join("beside.raw");
        let slots = if setup.cache == Cache::Frugal { Some(Slots::open(&folder.join("slots.raw"))?) } else { None };
        let (end, full) = (AtomicU64::new(0), setup.sync == Sync::Full);
        Ok(Raw { file, lock, beside, end, full, table, maps: RwLock::default(), slots })
    }

    fn maps(&self) -> Result<RwLockReadGuard<'_, Maps>> {
        self.maps.read().map_err(|_| "the lock of the maps is poisoned".into())
    }

    fn append(&self, bytes: &[u8]) -> Result<()> {
        let len = bytes.len() as u64;
        let mut at = self.end.fetch_add(len, Ordering::Relaxed) % SIZE;
        if at + len > SIZE {
            at = 0;
        }
        self.file.write_all_at(bytes, at)?;
        if self.full {
            self.file.sync_data()?;
        }
        self.table.as_ref().map_or(Ok(()), |table| table.add(len))
    }
}

fn open(path: &Path) -> Result<File> {
    Ok(OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?)
}

/// A file whose blocks are allocated and written.
fn ahead(path: &Path) -> Result<File> {
    let ready = path.exists();
    let file = open(path)?;
    if !ready {
        let block = vec![0x55; PIECE];
        for at in (0..SIZE).step_by(block.len()) {
            file.write_all_at(&block, at)?;
        }
        file.sync_all()?;
    }
    Ok(file)
}

impl Engine for Raw {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Thread { raw: self, bytes: Vec::new() }))
    }

    fn settle(&self) -> Result<()> {
        self.slots.as_ref().map_or(Ok(()), Slots::settle)
    }

    fn rest(&self) -> Result<()> {
        self.table.as_ref().map_or(Ok(()), Table::rest)
    }

    fn compact(&self) -> Result<bool> {
        let (file, piece) = (File::create(&self.beside)?, vec![0x55; PIECE]);
        for at in (0..BESIDE).step_by(PIECE) {
            file.write_all_at(&piece, at)?;
        }
        file.sync_data()?;
        Ok(true)
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }
}

impl Leases for Raw {
    fn acquire(&self, name: &CStr) -> Result<u64> {
        flock(&self.lock, FlockOperation::LockExclusive)?;
        self.append(name.to_bytes())?;
        Ok(0)
    }

    fn release(&self, _: &CStr, _: u64) -> Result<()> {
        Ok(flock(&self.lock, FlockOperation::Unlock)?)
    }
}

struct Thread<'a> {
    raw: &'a Raw,
    bytes: Vec<u8>,
}

impl Thread<'_> {
    fn append(&mut self, name: Name<'_>, value: &[u8]) -> Result<()> {
        self.bytes.clear();
        self.bytes.extend_from_slice(name.flat);
        self.bytes.extend_from_slice(value);
        self.raw.append(&self.bytes)
    }

    /// What is copied while the lock is held is shown afterwards.
    fn list(&mut self, range: Range<'_>, values: bool, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        self.raw.maps()?.copy(range, values, &mut self.bytes)?;
        maps::walk(&self.bytes, see);
        Ok(())
    }
}

impl Session for Thread<'_> {
    fn view(&mut self, name: Name<'_>, see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        if let Some(slots) = &self.raw.slots {
            return slots.view(name, &mut self.bytes, see);
        }
        Ok(self.raw.maps()?.get(name).map(see).is_some())
    }

    fn put(&mut self, name: Name<'_>, value: &[u8]) -> Result<()> {
        self.append(name, value)
    }

    fn batch(&mut self, items: &[(Name<'_>, &[u8])]) -> Result<()> {
        self.bytes.clear();
        for (name, value) in items {
            self.bytes.extend_from_slice(name.flat);
            self.bytes.extend_from_slice(value);
        }
        self.raw.append(&self.bytes)
    }

    fn fill(&mut self, items: &[(Name<'_>, &[u8])]) -> Result<()> {
        if let Some(slots) = &self.raw.slots {
            return slots.fill(items);
        }
        self.raw.maps.write().map_err(|_| "the lock of the maps is poisoned")?.fill(items);
        Ok(())
    }

    fn swap(&mut self, name: Name<'_>, _: &[u8], new: &[u8]) -> Result<bool> {
        self.append(name, new)?;
        Ok(true)
    }

    fn create(&mut self, name: Name<'_>, value: &[u8]) -> Result<bool> {
        self.append(name, value)?;
        Ok(true)
    }

    fn delete(&mut self, name: Name<'_>) -> Result<bool> {
        self.append(name, &[])?;
        Ok(true)
    }

    fn items(&mut self, range: Range<'_>, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        self.list(range, true, see)
    }

    fn keys(&mut self, range: Range<'_>, see: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.list(range, false, &mut |key, _| see(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::Role;
    use crate::names::{Names, Shape};

    fn open(folder: &Path, cache: Cache) -> Raw {
        Raw::open(folder, &Setup { sync: Sync::Os, role: Role::Alone, cache, value: 200 }, false).unwrap()
    }

    fn fill(raw: &Raw, names: &Names) {
        let values: Vec<String> = (0..names.len()).map(|index| format!("value-{index}")).collect();
        let items: Vec<_> = names.iter().zip(values.iter().map(String::as_bytes)).collect();
        raw.session().unwrap().fill(&items).unwrap();
    }

    #[test]
    fn a_small_cache_leaves_the_values_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::of(Shape::Plain, [0, 15, 16, 40]);
        let raw = open(folder.path(), Cache::Frugal);
        fill(&raw, &names);
        raw.settle().unwrap();
        drop(raw);
        let raw = open(folder.path(), Cache::Frugal);
        let (mut session, mut value) = (raw.session().unwrap(), Vec::new());
        for (index, name) in names.iter().enumerate() {
            assert!(session.get(name, &mut value).unwrap());
            assert_eq!(value, format!("value-{index}").into_bytes());
        }
        // In a slot that is empty, beyond the end of the file, without a number.
        let others = Names::of(Shape::Plain, [14, 41, 1_000]);
        for name in others.iter().chain(Names::of(Shape::Plain, [15]).absent().iter()) {
            assert!(!session.get(name, &mut value).unwrap(), "{name:?}");
        }
        assert!(raw.maps().unwrap().get(names.get(0)).is_none(), "it lies in memory all the same");
    }

    #[test]
    fn a_listing_is_one_bucket_or_what_comes_after_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::of(Shape::Buckets(3), 0..9);
        let raw = open(folder.path(), Cache::Usual);
        fill(&raw, &names);
        let mut session = raw.session().unwrap();
        let mut seen = Vec::new();
        let bucket = Range { bucket: names.get(3).bucket, prefix: b"bucket-00000001/", after: None, limit: usize::MAX };
        session.items(bucket, &mut |key, value| seen.push((key.to_vec(), value.to_vec()))).unwrap();
        let items = 3..6;
        assert!(seen.into_iter().eq(items.map(|n| (names.get(n).flat.to_vec(), format!("value-{n}").into_bytes()))));
        let mut seen = Vec::new();
        let page = Range { prefix: b"", after: Some(names.get(3)), limit: 4, ..bucket };
        session.keys(page, &mut |key| seen.push(key.to_vec())).unwrap();
        assert!(seen.into_iter().eq((4..8).map(|n| names.get(n).flat.to_vec())));
    }
}
