//! Walks a table in the order of its keys.

use super::Table;
use crate::engine::source::{Source, Version, Visit};
use crate::error::Result;
use crate::files::prefetch::{LINE, prefetch};
use crate::format::position::Position;
use crate::format::table::block::Block;
use crate::format::table::node::Node;
use std::cmp::Ordering;
use std::sync::Arc;

/// A place in a table; owns a reference to it.
#[derive(Debug)]
pub struct TableCursor {
    table: Arc<Table>,
    fill: bool,
    /// `None` before the first seek, past the last key, and after an error.
    place: Option<Place>,
    /// The key at the place.
    key: Vec<u8>,
}

#[derive(Debug)]
struct Place {
    leaf: Arc<Node>,
    /// The number of the leaf in the root, of the block in the leaf, of the entry in the block.
    i: usize,
    j: usize,
    k: usize,
    block: Block,
}

impl Place {
    /// The first entry of the next block of the same leaf, which is `block`.
    fn next(self, block: Block) -> Place {
        Place { j: self.j + 1, k: 0, block, ..self }
    }
}

impl TableCursor {
    pub(super) fn new(table: Arc<Table>, fill: bool) -> TableCursor {
        TableCursor { table, fill, place: None, key: Vec::new() }
    }

    /// The first place at or after the key.
    fn find(&mut self, key: &[u8]) -> Result<Option<Place>> {
        if let Some(mut place) = self.place.take() {
            let block = &place.block;
            if block.compare(0, key) != Ordering::Greater && block.compare(block.len() - 1, key) != Ordering::Less {
                place.k = block.lower_bound(key);
                return Ok(Some(place));
            }
        }
        let Some(i) = self.table.leaves()?.find(key) else { return Ok(None) };
        let leaf = self.table.leaf(i, self.fill)?;
        let Some(j) = leaf.find(key) else { return Ok(None) };
        let block = self.table.block(&leaf, i, j, self.fill)?;
        let k = block.lower_bound(key);
        Ok(Some(Place { leaf, i, j, k, block }))
    }

    /// The place after this one, which is the last of its block.
    fn next_block(&self, place: Place) -> Result<Option<Place>> {
        if place.j + 1 < place.leaf.len() {
            let block = self.table.block(&place.leaf, place.i, place.j + 1, self.fill)?;
            return Ok(Some(place.next(block)));
        }
        let i = place.i + 1;
        if i == self.table.leaves()?.len() {
            return Ok(None);
        }
        let leaf = self.table.leaf(i, self.fill)?;
        let block = self.table.block(&leaf, i, 0, self.fill)?;
        Ok(Some(Place { leaf, i, j: 0, k: 0, block }))
    }

    /// Looks the next block of the same leaf up, and has the processor load it while this one is still being read: a listing
    /// waits for memory more than for anything else. `None` if there is no such block, or something is wrong with it; `Some(None)`
    /// if it isn't in the cache.
    fn ahead(&self, place: &Place) -> Option<Option<Block>> {
        if place.j + 1 == place.leaf.len() {
            return None;
        }
        // What is wrong is told by who comes to the block.
        let block = self.table.cached_block(&place.leaf, place.j + 1).ok()?;
        block.iter().for_each(|block| prefetch(block.bytes().as_ptr(), block.bytes().len() / LINE));
        Some(block)
    }

    /// Stands at the place from now on.
    fn stand(&mut self, place: Option<Place>) {
        if let Some(Place { block, k, .. }) = &place {
            self.key.clear();
            self.key.extend_from_slice(block.prefix());
            self.key.extend_from_slice(block.suffix(*k));
        }
        self.place = place;
    }
}

impl Source for TableCursor {
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        let place = self.find(key)?;
        self.stand(place);
        Ok(())
    }

    fn current(&self) -> Option<Version<'_>> {
        let place = self.place.as_ref()?;
        Some(self.table.version(&self.key, place.block.entry(place.k)))
    }

    fn key(&self) -> Option<&[u8]> {
        self.place.as_ref().map(|_| &self.key[..])
    }

    fn newest(&self) -> Position {
        self.table.entry().to
    }

    fn advance(&mut self) -> Result<()> {
        match self.place.take() {
            Some(mut place) if place.k + 1 < place.block.len() => {
                place.k += 1;
                self.stand(Some(place));
            }
            Some(place) => {
                let next = self.next_block(place)?;
                self.stand(next);
            }
            None => {}
        }
        Ok(())
    }

    fn visit(&mut self, until: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        while let Some(mut place) = self.place.take() {
            let block = &place.block;
            let (len, shared) = (block.len(), block.prefix().len());
            let end = until.map_or(len, |until| block.lower_bound(until));
            let ahead = if end == len { self.ahead(&place) } else { None };
            while place.k < end {
                let entry = block.entry(place.k);
                self.key.truncate(shared);
                self.key.extend_from_slice(entry.suffix);
                if !visit(self.table.version(&self.key, entry))? {
                    break;
                }
                place.k += 1;
            }
            if place.k < len {
                self.stand(Some(place));
                return Ok(());
            }
            let next = match ahead {
                Some(Some(block)) => Some(place.next(block)),
                Some(None) => {
                    let block = self.table.fresh_block(&place.leaf, place.i, place.j + 1, self.fill)?;
                    Some(place.next(block))
                }
                None => self.next_block(place)?,
            };
            self.stand(next);
        }
        Ok(())
    }
}
