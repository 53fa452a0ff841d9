//! Under `LOCK`, by the first opener: what the log holds is read again, adopted, made durable, and only then published.

use super::log::{self, OpenError, Segment};
use super::manifest;
use super::memtable::{Memtable, Spare};
use super::value::name_of;
use crate::error::{Code, Error, Result};
use crate::files::names::{self, Name};
use crate::files::storage::{Access, Blocks, Directory};
use crate::format::manifest::{Holder, Manifest, SegmentEntry, StoreId, SyncMode};
use crate::format::position::{Position, offset_of, segment_of};
use crate::format::segment::HEADER_LEN;
use crate::format::shared;
use crate::sabotage::{self, Sabotage};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

/// The end of the log as recovered.
#[derive(Debug)]
pub struct Recovered {
    /// The manifest.
    pub manifest: Manifest,
    /// The index of the live segment, applied to the last frame: its end is the log's.
    pub live: Arc<Memtable>,
}

/// What an old `SHARED` of this very file says: how much of the log was durable, at least, and which manifest.
#[derive(Clone, Copy, Debug)]
pub struct Witness {
    store: [u64; 2],
    generation: u64,
    committed: Position,
    synced: Position,
}

impl Witness {
    /// Reads the bytes of `SHARED`, whose inode number is `inode`.
    pub fn read(bytes: &[u8], inode: u64) -> Option<Witness> {
        let word = |n: usize| Some(u64::from_ne_bytes(*bytes.get(n * 8..)?.first_chunk()?));
        if word(shared::MAGIC_WORD)? != shared::MAGIC || word(shared::INODE)? != inode {
            return None;
        }
        let store = [word(shared::STORE)?, word(shared::STORE + 1)?];
        Some(Witness {
            store,
            generation: word(shared::GENERATION)?,
            committed: shared::position_of(word(shared::COMMITTED)?),
            synced: word(shared::SYNCED)?,
        })
    }

    fn is_of(&self, manifest: &Manifest) -> bool {
        self.store == super::page::store_words(&manifest.store)
    }

    fn durable(&self, manifest: &Manifest) -> Position {
        match manifest.sync {
            _ if !self.is_of(manifest) => 0,
            SyncMode::Full => self.committed,
            SyncMode::Os => self.synced,
        }
    }

    /// The generation of a manifest that was durable: it is stored after that (rule 13).
    fn published(&self, manifest: &Manifest) -> Option<u64> {
        self.is_of(manifest).then_some(self.generation)
    }
}

/// A store where there is none yet. No MANIFEST and no frame anywhere is an unfinished creation, begun again.
pub fn create(dir: &dyn Directory, sync: SyncMode, segment_size: u64) -> Result<Manifest> {
    let mut store = StoreId::default();
    store[..8].copy_from_slice(&log::random(dir)?.to_le_bytes());
    store[8..].copy_from_slice(&log::random(dir)?.to_le_bytes());
    for name in unfinished(dir)? {
        dir.remove(&name).map_err(|e| Error::io(format_args!("remove {name}"), &e))?;
    }
    for number in [1, 2] {
        log::make(dir, number, &store, segment_size, Blocks::Unwritten)?;
    }
    let manifest = Manifest {
        generation: 1,
        store,
        sync,
        next_table: 1,
        segment_size,
        tables: Vec::new(),
        segments: vec![SegmentEntry { number: 1, sealed: 0 }],
        voids: Vec::new(),
        value_files: Vec::new(),
    };
    manifest::store(dir, &manifest)?;
    Ok(manifest)
}

/// Without a MANIFEST: the segments that an unfinished creation left. A table or a frame means that a store was there.
pub fn unfinished(dir: &dyn Directory) -> Result<Vec<String>> {
    let mut segments = Vec::new();
    for name in list(dir)? {
        match names::parse(&name) {
            Some(Name::Table(_)) => return Err(orphan(&name)),
            Some(Name::Log(number)) if holds_a_frame(dir, number)? => return Err(orphan(&name)),
            Some(Name::Log(_)) => segments.push(name),
            _ => (),
        }
    }
    Ok(segments)
}

fn orphan(name: &str) -> Error {
    Error::new(Code::Corrupt, format!("MANIFEST is missing, but {name} is there: a part of the store was removed"))
}

fn holds_a_frame(dir: &dyn Directory, number: u64) -> Result<bool> {
    // Without a header that verifies, nothing behind it was ever a frame.
    let Some(segment) = Segment::open_any(dir, number)? else { return Ok(false) };
    let (end, _) = segment.frames((HEADER_LEN, segment.header().crc()), segment.len()?, |_, _| Ok(()))?;
    Ok(end > HEADER_LEN || segment.durable_beyond(HEADER_LEN, &segment.rest(HEADER_LEN)?))
}

/// Finds the end of the log; adopts what is intact and, if `write`, makes it durable (rule 19).
pub fn recover(
    dir: &dyn Directory,
    manifest: Manifest,
    witness: Option<Witness>,
    write: bool,
    spare: Arc<Spare>,
) -> Result<Recovered> {
    let live = manifest.live();
    let durable = witness.map_or(0, |w| w.durable(&manifest));
    let published = witness.and_then(|w| w.published(&manifest));
    if segment_of(durable) > live || published > Some(manifest.generation) {
        return Err(Error::corrupt(names::MANIFEST, 0, "it is older than what SHARED says was durable"));
    }
    let access = if write { Access::Write } else { Access::Read };
    let index = Memtable::new(Arc::new(Segment::open(dir, live, &manifest.store, access)?), spare);
    let segment = index.segment();
    let (mut durable_before, len) = (0, segment.len()?);
    if len < manifest.segment_size {
        // Its blocks were allocated, durably, before any manifest named it.
        return Err(Error::corrupt(segment.name(), len, "the file is shorter than it was made: it was cut"));
    }
    let mut flaw = None;
    let (end, crc) = segment.frames((HEADER_LEN, segment.header().crc()), len, |frame, at| {
        durable_before = frame.durable_before();
        index.take_over(frame, at).map(drop).inspect_err(|what| flaw = Some(*what))
    })?;
    if let Some(what) = flaw {
        // Its checksum is right: it is no end of the log.
        return Err(Error::corrupt(segment.name(), end, what));
    }
    let rest = segment.rest(end)?;
    if durable > segment.at(end) || segment.durable_beyond(end, &rest) {
        let what = "a frame that had been made durable doesn't verify";
        return Err(Error::corrupt(segment.name(), end, what));
    }
    if follows(dir, live + 1, &manifest.store)? {
        return Err(Error::corrupt(
            names::MANIFEST,
            0,
            "it is older than the log: the segment after the live one has frames",
        ));
    }
    let present = list(dir)?;
    all_there(dir, &present, &manifest)?;
    if write {
        // Rule 19: what a sync has covered, as the last frame or SHARED knows, isn't written again.
        let from = if durable == segment.at(end) || sabotage::is(Sabotage::AdoptedUnwritten) {
            end
        } else if segment_of(durable_before) == live {
            offset_of(durable_before)
        } else {
            HEADER_LEN
        };
        adopt(segment, (from, end, crc), &rest)?;
        if published == Some(manifest.generation) {
            // Who may make no files is told so here already, and not in some later commit.
            dir.may_change().map_err(|e| Error::io(format_args!("make files in {}", dir.path()), &e))?;
        } else {
            // Rule 16: the manifest may be there without being durable.
            manifest::store(dir, &manifest)?;
        }
        remove_strays(dir, &present, &manifest, true)?;
    } else if manifest.sync == SyncMode::Full {
        sync_to_show(segment)?;
    }
    Ok(Recovered { manifest, live: Arc::new(index) })
}

/// Before anything is removed that the manifest doesn't name: it is no older one that was put back.
fn all_there(dir: &dyn Directory, present: &[String], manifest: &Manifest) -> Result<()> {
    let tables = manifest.tables.iter().map(|table| names::table(table.number));
    let segments = manifest.segments.iter().map(|segment| names::log(segment.number));
    let values = manifest.value_files.iter().map(|file| name_of(file.holder));
    let mut named = tables.chain(segments).chain(values);
    let present: BTreeSet<&str> = present.iter().map(String::as_str).collect();
    if let Some(gone) = named.find(|name| !present.contains(name.as_str())) {
        return Err(Error::corrupt(gone, 0, "the manifest names it, but it is gone"));
    }
    // The one after the next is made once the next is live.
    let beyond = present.iter().filter_map(|name| match names::parse(name) {
        Some(Name::Log(number)) if number > manifest.live() + 1 => Some(number),
        _ => None,
    });
    for number in beyond {
        match Segment::open(dir, number, &manifest.store, Access::Read) {
            Ok(_) => {
                let what = "it is older than the log: there is a segment after the next one";
                return Err(Error::corrupt(names::MANIFEST, 0, what));
            }
            // It is only called like one of ours.
            Err(OpenError::Missing(_)) => (),
            Err(OpenError::Other(e)) if e.code == Code::Corrupt || e.os_errno == 0 => (),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

fn follows(dir: &dyn Directory, number: u64, store: &StoreId) -> Result<bool> {
    match Segment::open(dir, number, store, Access::Read) {
        Ok(next) => Ok(next.frames((HEADER_LEN, next.header().crc()), next.len()?, |_, _| Ok(()))?.0 > HEADER_LEN),
        // Not made yet, or not wholly: it will be made before the next append.
        Err(OpenError::Missing(_)) => Ok(false),
        Err(OpenError::Other(e)) if e.code == Code::Corrupt => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// What lies beyond the end goes: a whole frame there follows one that was lost, and would follow it again, if somebody wrote the same
/// bytes once more.
fn adopt(segment: &Segment, (from, end, crc): (u64, u64, u32), rest: &[u8]) -> Result<()> {
    if sabotage::is(Sabotage::AdoptedUnsynced) {
        return Ok(());
    }
    if end > from {
        // A write-back that failed meanwhile takes what was never promised out of the cache; the next open finds the new end.
        let lost =
            || Error::new(Code::Io, format!("what was just read of {} at {from} can't be read again", segment.name()));
        let bytes = segment.verified(from, end, crc)?.ok_or_else(lost)?;
        segment.file().write_at(&bytes, from).map_err(|e| Error::io(format_args!("write {}", segment.name()), &e))?;
    }
    if let Some(last) = rest.iter().rposition(|byte| *byte != 0) {
        let zeros = vec![0; last + 1];
        segment.file().write_at(&zeros, end).map_err(|e| Error::io(format_args!("write {}", segment.name()), &e))?;
    }
    segment.file().sync_data().map_err(|e| Error::io(format_args!("sync {}", segment.name()), &e))
}

/// Who only reads can't write again what a killed writer left, but syncs it before anybody is told of it. A filesystem that is
/// only ever read has nothing to sync.
fn sync_to_show(segment: &Segment) -> Result<()> {
    match segment.file().sync_data() {
        Err(e) if !matches!(e.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::InvalidInput) => {
            Err(Error::io(format_args!("sync {}", segment.name()), &e))
        }
        _ => Ok(()),
    }
}

/// Under `LOCK`: removes the files of ours that the manifest doesn't name. Tables with a number not yet given may be in the
/// making, unless the caller is `alone`.
pub fn remove_strays(dir: &dyn Directory, present: &[String], manifest: &Manifest, alone: bool) -> Result<()> {
    let first = manifest.segments.first().map_or(0, |s| s.number);
    for name in present {
        let stray = match names::parse(name) {
            Some(Name::Log(number)) => {
                number < first && (!manifest.names(Holder::Log(number)) || sabotage::is(Sabotage::ValueFileRemoved))
            }
            Some(Name::Table(number)) => {
                (alone || number < manifest.next_table) && !manifest.names(Holder::Table(number))
            }
            _ => false,
        };
        if !stray {
            continue;
        }
        match dir.remove(name) {
            // Who merged removes its inputs without LOCK, after it has switched the manifest.
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io(format_args!("remove {name}"), &e)),
            _ => (),
        }
    }
    Ok(())
}

/// The names of all files in the directory.
pub fn list(dir: &dyn Directory) -> Result<Vec<String>> {
    dir.names().map_err(|e| Error::io(format_args!("list {}", dir.path()), &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(store: StoreId, sync: SyncMode) -> Manifest {
        let (tables, segments, voids) = (Vec::new(), Vec::new(), Vec::new());
        Manifest {
            generation: 1,
            store,
            sync,
            next_table: 1,
            segment_size: 1,
            tables,
            segments,
            voids,
            value_files: Vec::new(),
        }
    }

    #[test]
    fn a_witness_speaks_of_its_own_store_and_file() {
        let (mut words, store) = (vec![0; shared::LEN as usize / 8], [9; 16]);
        (words[shared::MAGIC_WORD], words[shared::INODE]) = (shared::MAGIC, 3);
        words[shared::STORE..shared::STORE + 2].copy_from_slice(&crate::engine::page::store_words(&store));
        (words[shared::COMMITTED], words[shared::SYNCED]) = (shared::FROZEN | 70, 60);
        words[shared::GENERATION] = 1;
        let bytes: Vec<u8> = words.iter().flat_map(|word| u64::to_ne_bytes(*word)).collect();
        let witness = Witness::read(&bytes, 3).expect("a whole page");
        assert_eq!(witness.durable(&manifest(store, SyncMode::Full)), 70);
        assert_eq!(witness.durable(&manifest(store, SyncMode::Os)), 60);
        assert_eq!(witness.durable(&manifest([8; 16], SyncMode::Full)), 0);
        assert_eq!(witness.published(&manifest(store, SyncMode::Full)), Some(1));
        assert_eq!(witness.published(&manifest([8; 16], SyncMode::Full)), None);
        assert!(Witness::read(&bytes, 4).is_none() && Witness::read(&bytes[..100], 3).is_none());
    }
}
