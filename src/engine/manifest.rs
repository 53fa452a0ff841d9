//! `MANIFEST` as a file: loaded whole, replaced whole.

use super::Files;
use super::page::Page;
use crate::error::{Code, Error, Result};
use crate::files::names;
use crate::files::storage::{Access, Directory};
use crate::format::manifest::{FORMAT_VERSION, Flaw, Manifest};
use crate::sabotage::{self, Sabotage};
use std::io;

/// The manifest as it is now; `None` if there is none.
pub fn load(dir: &dyn Directory) -> Result<Option<Manifest>> {
    let failed = |e: &io::Error| Error::io("read MANIFEST", e);
    let file = match dir.open(names::MANIFEST, Access::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(&e)),
    };
    let len = file.identity().map_err(|e| failed(&e))?.len;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX).min(64 << 20)];
    let got = file.read_at(&mut bytes, 0).map_err(|e| failed(&e))?;
    match Manifest::decode(&bytes[..got]) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(Flaw::Damage(at, what)) => Err(Error::corrupt(names::MANIFEST, at, what)),
        Err(Flaw::Version(found)) => Err(Error::new(
            Code::Unsupported,
            format!("the store has format version {found}, this library knows versions up to {FORMAT_VERSION}"),
        )),
    }
}

impl Files {
    /// The manifest as it is now, which has to be this store's, and no older than what was published of it: a manifest is
    /// durable before its generation is (rule 13).
    pub fn current_manifest(&self, page: &Page) -> Result<Manifest> {
        let generation = page.generation();
        let manifest = load(&*self.dir)?.ok_or_else(|| Error::corrupt(names::MANIFEST, 0, "it is gone"))?;
        if manifest.store != self.store {
            return Err(Error::corrupt(names::MANIFEST, 24, "it is another store's"));
        }
        if manifest.generation < generation {
            return Err(Error::corrupt(names::MANIFEST, 16, "it is older than the one that the running store has"));
        }
        Ok(manifest)
    }
}

/// What was created, renamed and removed before is durable on success.
pub fn sync_directory(dir: &dyn Directory) -> Result<()> {
    if sabotage::is(Sabotage::NoDirectorySync) {
        return Ok(());
    }
    dir.sync().map_err(|e| Error::io("sync the directory", &e))
}

/// Under `LOCK`: replaces the manifest, durably, before anything of it is published (rule 13).
pub fn store(dir: &dyn Directory, manifest: &Manifest) -> Result<()> {
    if sabotage::is(Sabotage::ManifestNotRepeated)
        && load(dir)?.is_some_and(|there| there.generation >= manifest.generation)
    {
        return Ok(());
    }
    let new = names::MANIFEST_NEW;
    match dir.remove(new) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io(format_args!("remove {new}"), &e)),
        _ => (),
    }
    let file = dir.open(new, Access::CreateNew).map_err(|e| Error::io(format_args!("create {new}"), &e))?;
    file.write_at(&manifest.encode(), 0).map_err(|e| Error::io(format_args!("write {new}"), &e))?;
    file.sync_data().map_err(|e| Error::io(format_args!("sync {new}"), &e))?;
    dir.rename(new, names::MANIFEST).map_err(|e| Error::io(format_args!("rename {new}"), &e))?;
    match sabotage::is(Sabotage::SealNotDurable) {
        true => Ok(()),
        false => sync_directory(dir),
    }
}
