//! Writes a table, front to back, with a buffer of its own. What it needs of memory doesn't grow with the table, but for the
//! root and the range tombstones.

use crate::engine::ranges::RangeSet;
use crate::engine::source::{State, Version};
use crate::engine::value::{Home, INLINE_MAX, Stored};
use crate::error::{Code, Error, Result};
use crate::files::storage::File;
use crate::format::checksum::{crc32c, matches};
use crate::format::frame::MAX_KEY;
use crate::format::key::{bucket_prefixes_beyond, shared_len};
use crate::format::manifest::{Holder, StoreId};
use crate::format::position::Position;
use crate::format::table::block::Content;
use crate::format::table::block_writer::BlockWriter;
use crate::format::table::node::NodeWriter;
use crate::format::table::{Extent, Footer, filter, ranges};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How much is written at once.
const BUFFER: usize = 512 << 10;
/// A group ends when its leaf has this many bytes, and at least [`LEAF_MIN`] blocks, so that the root stays small.
const LEAF: usize = 4 << 10;
const LEAF_MIN: usize = 16;
/// A group ends when its filter has this many entries.
const LEAF_ENTRIES: usize = 8 << 10;

/// A range tombstone: start, end, revision.
type OwnedRange = (Box<[u8]>, Box<[u8]>, Position);

/// What a table says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableName {
    /// The store it belongs to.
    pub store: StoreId,
    /// Its number, as in the file's name.
    pub number: u64,
    /// It holds the log after this position,
    pub from: Position,
    /// up to this one.
    pub to: Position,
}

/// Writes a table from versions in ascending order. After an error the file is good for nothing.
#[derive(Debug)]
pub struct TableBuilder {
    file: Arc<dyn File>,
    footer: Footer,
    buffer: Vec<u8>,
    /// Where the buffer's first byte comes to lie.
    written: u64,
    block: BlockWriter,
    leaf: NodeWriter,
    root: NodeWriter,
    last_key: Vec<u8>,
    ranges: Vec<OwnedRange>,
    kept: BTreeSet<Holder>,
    named: BTreeSet<Holder>,
}

impl TableBuilder {
    /// Begins a table in an empty file.
    pub fn new(file: Arc<dyn File>, name: TableName) -> TableBuilder {
        let TableName { store, number, from, to } = name;
        let footer = Footer {
            store,
            number,
            from,
            to,
            versions: 0,
            tombstones: 0,
            bytes: 0,
            ranges_at: 0,
            ranges: 0,
            root_at: 0,
            large: Some(0),
        };
        TableBuilder {
            file,
            footer,
            buffer: Vec::with_capacity(BUFFER),
            written: 0,
            block: BlockWriter::default(),
            leaf: NodeWriter::default(),
            root: NodeWriter::default(),
            last_key: Vec::new(),
            ranges: Vec::new(),
            kept: BTreeSet::new(),
            named: BTreeSet::new(),
        }
    }

    /// From now on large values in these files are named where they are; others are copied.
    pub fn keep(&mut self, files: BTreeSet<Holder>) {
        self.kept = files;
    }

    /// The other files in which values lie that were added.
    pub fn named(&self) -> &BTreeSet<Holder> {
        &self.named
    }

    /// Adds a version: `Some` tag and value, or `None` for a tombstone. Keys come in strictly ascending order.
    pub fn add(&mut self, key: &[u8], revision: Position, value: Option<(u64, Stored<'_>)>) -> Result<()> {
        let shared = shared_len(&self.last_key, key);
        let follows = self.footer.versions == 0 || key.get(shared) > self.last_key.get(shared);
        if key.len() > MAX_KEY || !follows {
            return Err(Error::new(Code::Internal, format!("{}: a key is too long or not in order", self.name())));
        }
        match value {
            None => {
                self.footer.tombstones += 1;
                self.push(key, shared, revision, &Content::Tombstone)?;
            }
            Some((tag, Stored::Inline(bytes))) if bytes.len() <= INLINE_MAX => {
                self.push(key, shared, revision, &Content::Inline(tag, bytes))?;
            }
            Some((tag, stored)) if stored.len() <= INLINE_MAX => {
                self.push(key, shared, revision, &Content::Inline(tag, &stored.bytes()?))?;
            }
            Some((tag, Stored::Extent { home, extent })) if self.kept.contains(&home.holder) => {
                self.named.insert(home.holder);
                self.push(key, shared, revision, &Content::Elsewhere(tag, home.holder, extent))?;
            }
            Some((tag, stored)) => {
                // The block that was begun ends before the extent, if the entry finds no room in it.
                let extent = Extent { offset: 0, len: 0, crc: 0 };
                if !self.block.has_room(key, &Content::Extent(tag, extent)) {
                    self.end_block()?;
                }
                let extent = self.put_extent(stored)?;
                self.push(key, shared, revision, &Content::Extent(tag, extent))?;
            }
        }
        self.footer.versions += 1;
        self.footer.bytes += (key.len() + value.map_or(0, |(_, stored)| stored.len())) as u64;
        Ok(())
    }

    /// Adds a version as a source yields it.
    pub fn add_version(&mut self, version: &Version<'_>) -> Result<()> {
        let value = match version.state {
            State::Live { tag, stored } => Some((tag, stored)),
            State::Tombstone => None,
        };
        self.add(version.key, version.revision, value)
    }

    /// Adds a range tombstone; at any time, in any order.
    pub fn add_range(&mut self, start: &[u8], end: &[u8], revision: Position) {
        self.ranges.push((start.into(), end.into(), revision));
    }

    /// How large the file is so far, about.
    pub fn size_so_far(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.footer.versions == 0 && self.ranges.is_empty()
    }

    /// Writes the rest and syncs the file; returns its size. The directory's sync is the caller's.
    pub fn finish(mut self) -> Result<u64> {
        self.end_block()?;
        self.end_leaf()?;
        let (number, mut ranges) = (self.footer.number, RangeSet::new());
        self.ranges.sort_by_key(|(_, _, revision)| *revision);
        for (start, end, revision) in self.ranges.drain(..) {
            ranges.add(&start, &end, revision);
        }
        self.footer.ranges_at = self.size_so_far();
        self.footer.ranges = ranges.len() as u64;
        if !ranges.is_empty() {
            ranges::encode(ranges.iter(), number, self.footer.ranges_at, &mut self.buffer);
        }
        self.footer.root_at = self.size_so_far();
        self.root.finish(number, self.footer.root_at, &mut self.buffer);
        self.buffer.extend_from_slice(&self.footer.encode());
        self.write()?;
        self.file.sync_data().map_err(|e| Error::io(format!("sync {}", self.name()), &e))?;
        Ok(self.written)
    }

    fn name(&self) -> String {
        format!("table-{}", self.footer.number)
    }

    /// Adds an entry whose key begins with `shared` bytes of the last one.
    fn push(&mut self, key: &[u8], shared: usize, revision: Position, content: &Content<'_>) -> Result<()> {
        if !self.block.push_if_room(key, revision, content) {
            self.end_block()?;
            self.block.push(key, revision, content);
        }
        // Of the prefixes that name buckets, those of the key before are there already, if they are of the same leaf.
        let noted = if self.leaf.noted() == 0 { 0 } else { shared };
        self.leaf.note(filter::hash(key));
        for prefix in bucket_prefixes_beyond(key, noted) {
            self.leaf.note(filter::hash(prefix));
        }
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(&key[shared..]);
        Ok(())
    }

    fn end_block(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let (offset, at) = (self.size_so_far(), self.buffer.len());
        self.block.finish(self.footer.number, offset, &mut self.buffer);
        let len = u32::try_from(self.buffer.len() - at).expect("a block is small");
        if !self.leaf.push(offset, len, &self.last_key) {
            return Err(self.too_large());
        }
        let full = self.leaf.index_len() >= LEAF && self.leaf.len() >= LEAF_MIN;
        if full || self.leaf.noted() >= LEAF_ENTRIES {
            self.end_leaf()?;
        }
        self.write_if_full()
    }

    fn end_leaf(&mut self) -> Result<()> {
        if self.leaf.is_empty() {
            return Ok(());
        }
        let (offset, at) = (self.size_so_far(), self.buffer.len());
        self.leaf.finish(self.footer.number, offset, &mut self.buffer);
        let len = u32::try_from(self.buffer.len() - at).expect("a leaf is small");
        if self.root.push(offset, len, &self.last_key) { Ok(()) } else { Err(self.too_large()) }
    }

    fn too_large(&self) -> Error {
        Error::new(Code::LimitExceeded, format!("{} is too large: its index has no more room", self.name()))
    }

    /// Copies a large value to the file, piece by piece.
    fn put_extent(&mut self, stored: Stored<'_>) -> Result<Extent> {
        let offset = self.size_so_far();
        let crc = match stored {
            Stored::Inline(bytes) => {
                for piece in bytes.chunks(BUFFER) {
                    self.buffer.extend_from_slice(piece);
                    self.write_if_full()?;
                }
                crc32c(0, bytes)
            }
            Stored::Extent { home: Home { file, name, .. }, extent } => {
                let (mut done, len, mut crc) = (0, stored.len(), 0);
                while done < len {
                    let (at, piece) = (self.buffer.len(), BUFFER.min(len - done));
                    self.buffer.resize(at + piece, 0);
                    let offset = extent.offset + done as u64;
                    let read = file.read_at(&mut self.buffer[at..], offset);
                    if read.map_err(|e| Error::io(format!("read {name} at offset {offset}"), &e))? != piece {
                        return Err(Error::corrupt(name, extent.offset, "the file ends within a value"));
                    }
                    crc = crc32c(crc, &self.buffer[at..]);
                    done += piece;
                    self.write_if_full()?;
                }
                if !matches(crc, extent.crc) {
                    return Err(Error::corrupt(name, extent.offset, "the checksum of a value doesn't match"));
                }
                crc
            }
        };
        let len = u32::try_from(stored.len());
        let len = len.map_err(|_| Error::new(Code::LimitExceeded, "a value is longer than 4 GiB"))?;
        self.footer.large = self.footer.large.map(|large| large + u64::from(len));
        Ok(Extent { offset, len, crc })
    }

    fn write_if_full(&mut self) -> Result<()> {
        if self.buffer.len() >= BUFFER { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        let done = self.file.write_at(&self.buffer, self.written);
        done.map_err(|e| Error::io(format!("write {}", self.name()), &e))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
#[path = "builder_tests.rs"]
mod tests;
