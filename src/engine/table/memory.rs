//! For tests: a directory of files in memory, as far as tables need one.

use crate::files::storage::{Access, Blocks, Directory, File, Identity, Lock, SharedPage};
use crate::latch::Mutex;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct MemFile {
    bytes: Mutex<Vec<u8>>,
}

impl MemFile {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.bytes.lock());
    }
}

fn unsupported<T>() -> io::Result<T> {
    Err(ErrorKind::Unsupported.into())
}

impl File for MemFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.bytes.lock();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let len = buf.len().min(bytes.len() - from);
        buf[..len].copy_from_slice(&bytes[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let (mut bytes, from) = (self.bytes.lock(), usize::try_from(offset).expect("small in tests"));
        let len = bytes.len().max(from + buf.len());
        bytes.resize(len, 0);
        bytes[from..from + buf.len()].copy_from_slice(buf);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn allocate(&self, _: u64, _: Blocks) -> io::Result<()> {
        unsupported()
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity { device: 0, inode: 0, links: 1, len: self.bytes.lock().len() as u64 })
    }

    fn try_lock(&self, _: Lock) -> io::Result<bool> {
        unsupported()
    }

    fn unlock(&self) -> io::Result<()> {
        unsupported()
    }
}

#[derive(Debug, Default)]
pub(crate) struct MemDirectory {
    files: Mutex<BTreeMap<String, Arc<MemFile>>>,
}

impl MemDirectory {
    pub(crate) fn file(&self, name: &str) -> Arc<MemFile> {
        self.files.lock()[name].clone()
    }
}

impl Directory for MemDirectory {
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        let mut files = self.files.lock();
        match (files.get(name), access) {
            (Some(_), Access::CreateNew) => Err(ErrorKind::AlreadyExists.into()),
            (None, Access::CreateNew) => Ok(files.entry(name.into()).or_default().clone()),
            (Some(file), _) => Ok(file.clone()),
            (None, _) => Err(ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        unsupported()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.lock().remove(name).map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.files.lock().keys().cloned().collect())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn identity(&self, name: &str) -> io::Result<Identity> {
        self.open(name, Access::Read)?.identity()
    }

    fn map(&self, _: &Arc<dyn File>, _: bool) -> io::Result<Arc<dyn SharedPage>> {
        unsupported()
    }

    fn random(&self) -> io::Result<u64> {
        unsupported()
    }

    fn path(&self) -> String {
        "memory".into()
    }
}
