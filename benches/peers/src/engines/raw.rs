//! The raw limit: what the machine can do at most, without any store around it.
//!
//! - A change is one `pwrite` of the key's and the value's bytes at the end of a file, and one `fdatasync`, if it has to be
//!   durable. The file's blocks are allocated and written ahead, so that nothing of the filesystem's own changes with it. At
//!   its end it begins again at the front. It is not an engine: a change can't be read back.
//! - A read is a lookup in a `RwLock<HashMap>` that was filled beforehand; threads share it.
//! - A lock is `flock`, in which the kernel lets processes sleep and wakes them, and a durable change by whoever got it.
//! - What a store does to keep itself small is to write a file of some MiB beside the other one and to sync it.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FlockOperation, flock};

use super::{Engine, Leases, Range, Session, Setup, Sync};
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
    map: RwLock<HashMap<Vec<u8>, Vec<u8>>>,
}

impl Raw {
    pub fn open(folder: &Path, setup: &Setup) -> Result<Raw> {
        let path = folder.join("data.raw");
        let ready = path.exists();
        let open = |path| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let (file, lock) = (open(path)?, open(folder.join("lock.raw"))?);
        if !ready {
            let block = vec![0x55; PIECE];
            for at in (0..SIZE).step_by(block.len()) {
                file.write_all_at(&block, at)?;
            }
            file.sync_all()?;
        }
        let beside = folder.join("beside.raw");
        Ok(Raw { file, lock, beside, end: AtomicU64::new(0), full: setup.sync == Sync::Full, map: RwLock::default() })
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
        Ok(())
    }
}

impl Engine for Raw {
    fn session(&self) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(Thread { raw: self, bytes: Vec::new() }))
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
}

impl Session for Thread<'_> {
    fn view(&mut self, name: Name<'_>, see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let map = self.raw.map.read().map_err(|_| "the map's lock is poisoned")?;
        Ok(map.get(name.flat).map(|value| see(value)).is_some())
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
        let mut map = self.raw.map.write().map_err(|_| "the map's lock is poisoned")?;
        map.extend(items.iter().map(|(name, value)| (name.flat.to_vec(), value.to_vec())));
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

    fn items(&mut self, _: Range<'_>, _: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        Err("the raw limit has no order".into())
    }

    fn keys(&mut self, _: Range<'_>, _: &mut dyn FnMut(&[u8])) -> Result<()> {
        Err("the raw limit has no order".into())
    }
}
