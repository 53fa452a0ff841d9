//! Reads a table: the footer when it is opened, everything else when it is first wanted.
//!
//! What a part claims is compared with what leads to it: a node's or block's last key with the key in the node above, its
//! first key with the end of its neighbour. So whatever the bytes are, a walk over a table ascends and ends.

use super::cache::Part;
use super::value_files::ValueFiles;
use super::{BlockCache, TableCursor};
use crate::engine::ranges::RangeSet;
use crate::engine::source::{State, Version};
use crate::engine::value::{Extent, Home, Stored};
use crate::error::{Code, Error, Result};
use crate::files::storage::{Access, Directory, File};
use crate::format::manifest::{Holder, StoreId, TableEntry, ValueFile};
use crate::format::position::Position;
use crate::format::table::block::{Block, Content, Entry};
use crate::format::table::filter;
use crate::format::table::node::Node;
use crate::format::table::{FOOTER_LEN, Flaw, Footer, ranges};
use std::cmp::Ordering;
use std::io;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Why a table didn't open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OpenError {
    /// There is no file of this name: it may have been merged into another since the manifest was read.
    Missing(String),
    /// Anything else.
    Failed(Error),
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Error {
        match error {
            OpenError::Missing(name) => Error::corrupt(name, 0, "the manifest names it, but it is gone"),
            OpenError::Failed(e) => e,
        }
    }
}

/// An open table. Any number of threads may read it at once.
#[derive(Debug)]
pub struct Table {
    home: Home,
    entry: TableEntry,
    footer: Footer,
    value_files: ValueFiles,
    cache: Arc<BlockCache>,
    root: OnceLock<Root>,
    ranges: OnceLock<Arc<RangeSet>>,
}

/// The root, and the leaves that were read so far, if all of them together are small.
#[derive(Debug)]
struct Root {
    node: Node,
    leaves: Box<[OnceLock<Arc<Node>>]>,
}

impl Table {
    /// Opens the table that the manifest names, and its value files, those that the tables in `open` have not; reads nothing but
    /// footers and headers.
    pub fn open(
        dir: &Arc<dyn Directory>,
        entry: TableEntry,
        value_files: &[ValueFile],
        open: &[Arc<Table>],
        store: StoreId,
        cache: Arc<BlockCache>,
    ) -> std::result::Result<Table, OpenError> {
        let name = format!("table-{}", entry.number);
        let file = open_file(&**dir, &name)?;
        let footer = footer_of(&*file, &name, entry, store).map_err(OpenError::Failed)?;
        let value_files = ValueFiles::open(&**dir, value_files, open.iter().map(|table| &table.value_files), store)?;
        Ok(Table {
            home: Home::new(Holder::Table(entry.number), file),
            entry,
            footer,
            value_files,
            cache,
            root: OnceLock::new(),
            ranges: OnceLock::new(),
        })
    }

    /// What the manifest says of it.
    pub fn entry(&self) -> TableEntry {
        self.entry
    }

    /// What the manifest says of its value files, and the length of each.
    pub fn value_files(&self) -> impl Iterator<Item = (ValueFile, u64)> {
        self.value_files.entries(self.entry.number)
    }

    /// What it takes on disk, with its value files.
    pub fn size(&self) -> u64 {
        self.entry.size + self.value_files().map(|(_, len)| len).sum::<u64>()
    }

    /// The bytes of the large values in its own file, if they were counted.
    pub fn large(&self) -> u64 {
        self.footer.large.unwrap_or(0)
    }

    /// How many versions it holds, tombstones included.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        self.footer.versions
    }

    /// Calls `f` with the table's version of the key, if it has one. Range tombstones are not applied.
    pub fn get<R>(&self, key: &[u8], f: impl FnOnce(Version<'_>) -> R) -> Result<Option<R>> {
        let root = self.root()?;
        let Some(i) = root.node.find(key) else { return Ok(None) };
        match root.leaves.get(i).and_then(OnceLock::get) {
            Some(leaf) => self.get_in(leaf, i, key, f),
            None => self.get_in(&*self.leaf(i, true)?, i, key, f),
        }
    }

    fn get_in<R>(&self, leaf: &Node, i: usize, key: &[u8], f: impl FnOnce(Version<'_>) -> R) -> Result<Option<R>> {
        if !leaf.may_hold(filter::hash(key)) {
            return Ok(None);
        }
        let Some(j) = leaf.find(key) else { return Ok(None) };
        let block = self.block(leaf, i, j, true)?;
        Ok(block.find(key).map(|k| f(self.version(key, block.entry(k)))))
    }

    /// The revision of the newest range tombstone over the key.
    pub fn range_revision(&self, key: &[u8]) -> Result<Option<Position>> {
        if self.footer.ranges == 0 {
            return Ok(None);
        }
        Ok(self.range_set()?.newest(key, Position::MAX))
    }

    /// The range tombstones.
    pub fn ranges(&self) -> Result<Arc<RangeSet>> {
        self.range_set().cloned()
    }

    /// False if surely no version lies under the prefix, which ends in the separator.
    pub fn may_hold_bucket(&self, prefix: &[u8]) -> Result<bool> {
        // The first key after the prefix is in the leaf that would hold the prefix itself.
        let Some(i) = self.root()?.node.find(prefix) else { return Ok(false) };
        Ok(self.leaf(i, true)?.may_hold(filter::hash(prefix)))
    }

    /// A cursor over the table; `fill` says whether the blocks it reads go to the cache (a compaction's should not).
    pub fn cursor(self: &Arc<Self>, fill: bool) -> TableCursor {
        TableCursor::new(self.clone(), fill)
    }

    pub(super) fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The footer as it is in the file now.
    pub(super) fn read_footer(&self) -> Result<Footer> {
        footer_of(&*self.home.file, &self.home.name, self.entry, self.footer.store)
    }

    /// An entry of one of the table's blocks as a version of `key`.
    pub(super) fn version<'a>(&'a self, key: &'a [u8], entry: Entry<'a>) -> Version<'a> {
        let state = match entry.content {
            Content::Tombstone => State::Tombstone,
            Content::Inline(tag, value) => State::Live { tag, stored: Stored::Inline(value) },
            Content::Extent(tag, extent) => State::Live { tag, stored: self.stored(extent) },
            Content::Elsewhere(tag, holder, extent) => State::Live { tag, stored: self.stored_in(holder, extent) },
        };
        Version { key, revision: entry.revision, state }
    }

    #[inline(never)]
    fn stored(&self, extent: Extent) -> Stored<'_> {
        Stored::Extent { home: &self.home, extent }
    }

    #[inline(never)]
    fn stored_in(&self, holder: Holder, extent: Extent) -> Stored<'_> {
        self.value_files.stored(holder, extent).expect("read_block has found the value to be in a value file")
    }

    /// The index of the leaves.
    pub(super) fn leaves(&self) -> Result<&Node> {
        Ok(&self.root()?.node)
    }

    fn root(&self) -> Result<&Root> {
        if let Some(root) = self.root.get() {
            return Ok(root);
        }
        let node = self.read_root()?;
        let total: u64 = (0..node.len()).map(|i| node.child(i)).map(|leaf| leaf.end - leaf.start).sum();
        let kept = if total <= self.cache.largest() { node.len() } else { 0 };
        let leaves = std::iter::repeat_with(OnceLock::new).take(kept).collect();
        Ok(self.root.get_or_init(|| Root { node, leaves }))
    }

    fn range_set(&self) -> Result<&Arc<RangeSet>> {
        if let Some(set) = self.ranges.get() {
            return Ok(set);
        }
        let set = Arc::new(self.read_ranges()?);
        Ok(self.ranges.get_or_init(|| set))
    }

    /// Leaf `i` of the root.
    pub(super) fn leaf(&self, i: usize, fill: bool) -> Result<Arc<Node>> {
        let root = self.root()?;
        let (place, slot) = (root.node.child(i), root.leaves.get(i));
        if let Some(leaf) = slot.and_then(OnceLock::get) {
            return Ok(leaf.clone());
        }
        if slot.is_none()
            && let Some(part) = self.cache.get(self.entry.number, place.start)
        {
            return match part {
                Part::Node(leaf) => Ok(leaf),
                Part::Block(_) => Err(self.damage(place.start, "a leaf and a block lie in the same place")),
            };
        }
        let leaf = Arc::new(self.read_leaf(&root.node, i)?);
        match slot {
            Some(slot) => return Ok(slot.get_or_init(|| leaf).clone()),
            None if fill => self.keep(&place, Part::Node(leaf.clone())),
            None => {}
        }
        Ok(leaf)
    }

    /// Block `j` of `leaf`, which is leaf `i` of the root.
    pub(super) fn block(&self, leaf: &Node, i: usize, j: usize, fill: bool) -> Result<Block> {
        match self.cached_block(leaf, j)? {
            Some(block) => Ok(block),
            None => self.fresh_block(leaf, i, j, fill),
        }
    }

    /// The same, if it is in the cache.
    pub(super) fn cached_block(&self, leaf: &Node, j: usize) -> Result<Option<Block>> {
        let at = leaf.child(j).start;
        match self.cache.get(self.entry.number, at) {
            Some(Part::Block(block)) => Ok(Some(block)),
            Some(Part::Node(_)) => Err(self.damage(at, "a leaf and a block lie in the same place")),
            None => Ok(None),
        }
    }

    /// The same, where it was not in the cache.
    pub(super) fn fresh_block(&self, leaf: &Node, i: usize, j: usize, fill: bool) -> Result<Block> {
        let block = self.read_block(leaf, i, j)?;
        if fill {
            self.keep(&leaf.child(j), Part::Block(block.clone()));
        }
        Ok(block)
    }

    fn keep(&self, place: &Range<u64>, part: Part) {
        self.cache.insert(self.entry.number, place.start, place.end - place.start, part);
    }

    /// The root as it is in the file.
    pub(super) fn read_root(&self) -> Result<Node> {
        let (at, end) = (self.footer.root_at, self.entry.size - FOOTER_LEN as u64);
        let node = Node::decode(self.read(at..end)?, self.entry.number, at, 0..self.footer.ranges_at);
        node.map_err(|flaw| self.damage(at, flaw))
    }

    /// The range tombstones as they are in the file.
    pub(super) fn read_ranges(&self) -> Result<RangeSet> {
        let mut set = RangeSet::new();
        let Footer { ranges_at: at, root_at: end, ranges: count, .. } = self.footer;
        if count > 0 {
            let (bytes, number) = (self.read(at..end)?, self.entry.number);
            let decoded = ranges::decode(&bytes, number, at, count, |(start, end, r)| set.add(start, end, r));
            decoded.map_err(|flaw| self.damage(at, flaw))?;
        }
        Ok(set)
    }

    /// Leaf `i` as it is in the file; it ends with the key that the root says, and begins after the leaf before.
    pub(super) fn read_leaf(&self, root: &Node, i: usize) -> Result<Node> {
        let place = root.child(i);
        let floor = if i == 0 { 0 } else { root.child(i - 1).end };
        let leaf = Node::decode(self.read(place.clone())?, self.entry.number, place.start, floor..place.start);
        let leaf = leaf.map_err(|flaw| self.damage(place.start, flaw))?;
        if leaf.is_empty() || leaf.key(leaf.len() - 1) != root.key(i) {
            return Err(self.damage(place.start, "a leaf doesn't end with the key in the root"));
        }
        Ok(leaf)
    }

    /// Block `j` of a leaf as it is in the file; it ends with the key that the leaf says, and begins after the block before.
    pub(super) fn read_block(&self, leaf: &Node, i: usize, j: usize) -> Result<Block> {
        let place = leaf.child(j);
        let block = Block::decode(self.read(place.clone())?, self.entry.number, place.start);
        let block = block.map_err(|flaw| self.damage(place.start, flaw))?;
        let before = match (i.checked_sub(1), j.checked_sub(1)) {
            (_, Some(before)) => Some(leaf.key(before)),
            (Some(before), None) => Some(self.root()?.node.key(before)),
            (None, None) => None,
        };
        let begins = before.is_none_or(|before| block.compare(0, before) == Ordering::Greater);
        if !begins || block.compare(block.len() - 1, leaf.key(j)) != Ordering::Equal {
            return Err(self.damage(place.start, "a block doesn't hold the keys that its leaf says"));
        }
        if block.elsewhere().any(|(holder, extent)| self.value_files.stored(holder, extent).is_none()) {
            return Err(self.damage(place.start, "a value lies in no value file of the table"));
        }
        Ok(block)
    }

    /// Reads a part whose place was found to be within the file.
    fn read(&self, place: Range<u64>) -> Result<Arc<[u8]>> {
        let len =
            usize::try_from(place.end - place.start).map_err(|_| self.damage(place.start, "a part is too long"))?;
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, len).collect();
        let read = self.home.file.read_at(Arc::make_mut(&mut bytes), place.start);
        let read = read.map_err(|e| Error::io(format!("read {} at offset {}", self.home.name, place.start), &e))?;
        if read != len {
            return Err(self.damage(place.start, "the file ends too early"));
        }
        Ok(bytes)
    }

    pub(super) fn damage(&self, offset: u64, what: &str) -> Error {
        Error::corrupt(&self.home.name, offset, what)
    }
}

pub(super) fn open_file(dir: &dyn Directory, name: &str) -> std::result::Result<Arc<dyn File>, OpenError> {
    dir.open(name, Access::Read).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => OpenError::Missing(name.to_owned()),
        _ => OpenError::Failed(Error::io(format!("open {name}"), &e)),
    })
}

/// The footer of the table that the manifest names.
fn footer_of(file: &dyn File, name: &str, entry: TableEntry, store: StoreId) -> Result<Footer> {
    let footer = read_footer(file, name, entry.size)?;
    if (footer.store, footer.number, footer.from, footer.to) != (store, entry.number, entry.from, entry.to) {
        return Err(Error::corrupt(name, entry.size, "it is another table than the manifest names"));
    }
    Ok(footer)
}

/// The footer of a table of this size, whichever it is.
pub(super) fn read_footer(file: &dyn File, name: &str, size: u64) -> Result<Footer> {
    let len = file.identity().map_err(|e| Error::io(format!("stat {name}"), &e))?.len;
    let at = size.checked_sub(FOOTER_LEN as u64).filter(|_| len == size).ok_or_else(|| {
        Error::corrupt(name, len.min(size), format!("it has {len} bytes, not the {size} of the manifest"))
    })?;
    let mut bytes = [0; FOOTER_LEN];
    let read = file.read_at(&mut bytes, at).map_err(|e| Error::io(format!("read {name} at offset {at}"), &e))?;
    if read != FOOTER_LEN {
        return Err(Error::corrupt(name, at, "the file ends too early"));
    }
    Footer::decode(&bytes, size).map_err(|flaw| match flaw {
        Flaw::Damage(what) => Error::corrupt(name, at, what),
        Flaw::Version(v) => {
            Error::new(Code::Unsupported, format!("{name} has format version {v}, which is newer than this library's"))
        }
    })
}
