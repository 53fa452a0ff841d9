//! The blocks and index nodes of tables that were used lately, in memory.

use crate::format::table::block::Block;
use crate::format::table::node::Node;
use foldhash::fast::FixedState;
use quick_cache::OptionsBuilder;
use quick_cache::sync::{Cache, DefaultLifecycle};
use std::sync::Arc;

/// In so many parts, each with a lock, the cache is divided, if it is large enough. (Unasked, it would read files of the system to
/// find out how many processors there are, at each open.)
const SHARDS: usize = 16;

/// A part of a table: its table's number and its offset there. Numbers are never used again, so a part never changes.
type Key = (u64, u64);

/// What a part is.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Block(Block),
    Node(Arc<Node>),
}

#[derive(Clone, Debug)]
struct Bytes;

impl quick_cache::Weighter<Key, Part> for Bytes {
    fn weight(&self, _: &Key, part: &Part) -> u64 {
        let (bytes, overhead) = match part {
            Part::Block(block) => (block.bytes().len(), 2 * size_of::<usize>()),
            Part::Node(node) => (node.weight(), size_of::<Node>()),
        };
        (bytes + overhead + size_of::<(Key, Part)>()) as u64
    }
}

/// The parts of all tables of an engine that were used lately, up to a number of bytes.
#[derive(Debug)]
pub struct BlockCache {
    parts: Cache<Key, Part, Bytes, FixedState>,
    largest: u64,
}

impl BlockCache {
    /// A cache of at most about `capacity` bytes, none of whose parts is larger than `largest`: a cache of one huge part would
    /// serve nobody.
    pub fn new(capacity: u64, largest: u64) -> BlockCache {
        let blocks = usize::try_from(capacity / crate::format::table::block::TARGET as u64).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity(blocks)
            .weight_capacity(capacity)
            .build()
            .expect("both capacities are given");
        let parts = Cache::with_options(options, Bytes, FixedState::default(), DefaultLifecycle::default());
        BlockCache { parts, largest }
    }

    /// How many lookups found their part, and how many did not.
    pub fn hits_and_misses(&self) -> (u64, u64) {
        (self.parts.hits(), self.parts.misses())
    }

    /// About how many bytes it holds.
    pub fn weight(&self) -> u64 {
        self.parts.weight()
    }

    /// The largest part that it takes.
    pub(super) fn largest(&self) -> u64 {
        self.largest
    }

    pub(super) fn get(&self, table: u64, offset: u64) -> Option<Part> {
        self.parts.get(&(table, offset))
    }

    pub(super) fn insert(&self, table: u64, offset: u64, len: u64, part: Part) {
        if len <= self.largest() {
            self.parts.insert((table, offset), part);
        }
    }
}
