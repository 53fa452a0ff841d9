//! The index of one log segment: every version of every key that its frames wrote, so that a reader at any `committed`
//! sees a consistent cut. Keys and small values (whole frames, if many were read at once) lie in one arena; large values
//! stay in the log. A hash table finds a key; the sorted order is made when a listing or a flush first asks for it.

mod noted;
mod ordered;
mod spare;
mod waiting;

use super::log::Segment;
use super::ranges::RangeSet;
use super::source::{State, Version};
use super::value::{Extent, INLINE_MAX, Stored};
use crate::error::Result;
use crate::format::checksum::crc32c;
use crate::format::frame::{Frame, Op};
use crate::format::key::{SEPARATOR, bucket_prefixes, shared_len};
use crate::format::position::{Position, offset_of, position, segment_of};
use crate::format::segment::HEADER_LEN;
use crate::latch::{RwLock, RwLockReadGuard};
use foldhash::fast::FixedState;
use hashbrown::hash_table::Entry as Slot;
use hashbrown::{HashSet, HashTable};
use noted::Noted;
pub use spare::Spare;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use waiting::Waiting;

const NONE: u32 = u32::MAX;
/// Before a frame is appended the index of its segment takes no more than this.
pub const MAX_INDEX: u64 = 1 << 30;
/// How many operations are applied before readers get a turn.
const TURN: u32 = 512;
/// The arena grows by so much at least; what isn't touched takes no memory.
const ARENA_STEP: usize = 4 << 20;
/// The table of hashes grows so many times over, as growing finds a new place for each of its entries.
const TABLE_GROWTH: usize = 4;

/// One segment's index. Frames are applied or taken over under the follower's lock, or before anybody else has it; readers come
/// at any time, and may be the ones who index what waits.
#[derive(Debug)]
pub struct Memtable {
    segment: Arc<Segment>,
    /// The position up to which the segment has been applied.
    applied: AtomicU64,
    /// The CRC of the frame that ends there (at first of the segment's header).
    crc: AtomicU32,
    /// What is applied was noted before.
    noted: Noted,
    inner: RwLock<Inner>,
    /// Whether frames wait in it.
    waits: AtomicBool,
    /// Where the memory comes from, and goes to.
    spare: Arc<Spare>,
}

#[derive(Debug, Default)]
struct Inner {
    arena: Vec<u8>,
    entries: Vec<Entry>,
    versions: Vec<Written>,
    by_hash: HashTable<u32>,
    ranges: Arc<RangeSet>,
    /// What of the arena is not indexed yet.
    waiting: Option<Waiting>,
    /// The bytes of the arena that only frames that were taken over need: those of all that waits, and later what is not a value.
    overhead: usize,
    /// The bytes of all values that stayed in the log.
    large: u64,
    buckets: HashSet<u64, FixedState>,
    /// The key whose buckets were added to them last.
    last_noted: Vec<u8>,
    /// Entry numbers in the order of their keys; covers the first `sorted.len()` entries.
    sorted: Arc<Vec<u32>>,
}

/// A key: where it lies in the arena, its hash, and its newest version.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    key_at: u32,
    key_len: u32,
    newest: u32,
}

/// A version of a key.
#[derive(Clone, Copy, Debug)]
struct Written {
    revision: Position,
    tag: u64,
    older: u32,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Tombstone,
    Arena { at: u32, len: u32 },
    Log(Extent),
}

/// The hash of a key, the same in all memtables of a process.
pub fn hash(bytes: &[u8]) -> u64 {
    FixedState::default().hash_one(bytes)
}

/// Offsets fit: before a frame is appended, or applied, the index of its segment is within [`MAX_INDEX`], and one frame
/// adds at most 256 MiB of values and 256 MiB of whole keys.
fn offset(n: usize) -> u32 {
    u32::try_from(n).expect("an index is far below 4 GiB")
}

impl Memtable {
    /// Nothing applied yet.
    pub fn new(segment: Arc<Segment>, spare: Arc<Spare>) -> Memtable {
        let applied = AtomicU64::new(crate::format::segment::start(segment.number()));
        let crc = AtomicU32::new(segment.header().crc());
        let inner = RwLock::new(spare.take());
        Memtable { segment, applied, crc, noted: Noted::default(), inner, waits: AtomicBool::new(false), spare }
    }

    /// The segment that it indexes.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// How far the segment has been applied.
    pub fn applied(&self) -> Position {
        self.applied.load(Ordering::Acquire)
    }

    /// The CRC of the last frame applied.
    pub fn crc(&self) -> u32 {
        self.crc.load(Ordering::Acquire)
    }

    /// Reads the segment's frames up to the offset `to` and applies them, or takes them over if there was none before; returns
    /// where that ended.
    pub fn follow(&self, to: u64) -> Result<u64> {
        let from = (offset_of(self.applied()), self.crc());
        let is_first = from.0 == HEADER_LEN;
        let take = |frame: &Frame<'_>, at| match is_first {
            true => self.take_over(frame, at),
            false => self.apply(frame, at),
        };
        Ok(self.segment.frames(from, to, |frame, at| take(frame, at).map(drop))?.0)
    }

    /// Whether `position` lies in this segment, at or before what was applied.
    pub fn covers(&self, position: Position) -> bool {
        segment_of(position) == self.segment.number() && position <= self.applied()
    }

    /// Whether a lookup of the key with this [`hash`] may find anything here; false is certain, of all that was applied.
    #[inline]
    pub fn may_tell(&self, hash: u64) -> bool {
        self.noted.may_tell(hash)
    }

    /// Applies one frame that begins at `offset` of the segment. The error names what is wrong with it.
    pub fn apply(&self, frame: &Frame<'_>, at: u64) -> std::result::Result<Position, &'static str> {
        let revision = position(self.segment.number(), at + frame.len() as u64);
        let mut inner = self.writing();
        if inner.weight() as u64 > MAX_INDEX {
            return Err("the index of the segment is larger than any writer lets it become");
        }
        inner.reserve(frame.operations(), frame.len().min(ARENA_STEP));
        let mut count = 0;
        let applied = frame.each_op(|op| {
            inner.apply(op, revision, at, None, Some(&self.noted));
            count += 1;
            if count % TURN == 0 {
                // Readers get in between: what is half applied lies beyond what they may see.
                inner.let_readers_in();
            }
        });
        if applied.is_err() {
            // Half a frame must not show once `committed` has passed its place.
            inner.truncate(self.applied());
        }
        drop(inner);
        applied?;
        self.stands_at(revision, frame.crc());
        Ok(revision)
    }

    fn stands_at(&self, position: Position, crc: u32) {
        self.crc.store(crc, Ordering::Release);
        self.applied.store(position, Ordering::Release);
    }

    /// Drops every version beyond `end` (rule 17): frames beyond a sealed end leave the index. `crc` is that of the frame
    /// that ends there; it means nothing once the segment is sealed.
    pub fn truncate(&self, end: Position, crc: u32) {
        if self.applied() <= end {
            return;
        }
        self.writing().truncate(end);
        self.stands_at(end, crc);
    }

    /// Keeps the table still for lookups.
    #[inline]
    pub fn read(&self) -> Reading<'_> {
        Reading { segment: &self.segment, inner: self.reading() }
    }

    /// The range tombstones so far.
    pub fn ranges(&self) -> Arc<RangeSet> {
        self.reading().ranges.clone()
    }

    /// The bytes of the values that stayed in the log, of all versions.
    pub fn large(&self) -> u64 {
        self.reading().large
    }

    /// Whether any key under the prefix, which ends in the separator, was ever put or deleted here.
    pub fn may_hold_bucket(&self, prefix: &[u8]) -> bool {
        self.reading().buckets.contains(&hash(prefix))
    }

    /// About how much memory it takes.
    pub fn memory(&self) -> usize {
        let inner = self.inner.read();
        inner.weight() + inner.overhead
    }
}

impl Drop for Memtable {
    fn drop(&mut self) {
        self.spare.keep(std::mem::take(self.inner.get_mut()));
    }
}

/// A memtable that doesn't change.
pub struct Reading<'a> {
    segment: &'a Segment,
    inner: RwLockReadGuard<'a, Inner>,
}

impl Reading<'_> {
    /// The newest version of the key, whose [`hash`] is given, at or below `at`.
    #[inline]
    pub fn find<'a>(&'a self, key: &'a [u8], hash: u64, at: Position) -> Option<Version<'a>> {
        let inner = &*self.inner;
        let found = *inner.by_hash.find(hash, |&i| inner.entries[i as usize].hash == hash && inner.key(i) == key)?;
        let version = &inner.versions[inner.version_at(found, at)? as usize];
        let live = |stored| State::Live { tag: version.tag, stored };
        let state = match version.place {
            Place::Arena { at, len } => live(Stored::Inline(&inner.arena[at as usize..(at + len) as usize])),
            Place::Log(extent) => live(self.segment.stored(extent)),
            Place::Tombstone => State::Tombstone,
        };
        Some(Version { key, revision: version.revision, state })
    }

    /// The newest range tombstone over the key at or below `at`; 0 if there is none.
    #[inline]
    pub fn hidden(&self, key: &[u8], at: Position) -> Position {
        match self.inner.ranges.is_empty() {
            true => 0,
            false => self.inner.ranges.newest(key, at).unwrap_or(0),
        }
    }
}

impl Inner {
    /// The same for all who have indexed the same frames, in whichever way.
    fn weight(&self) -> usize {
        self.arena.len() - self.overhead
            + self.entries.len() * size_of::<Entry>()
            + self.versions.len() * size_of::<Written>()
    }

    fn truncate(&mut self, end: Position) {
        let Inner { entries, versions, ranges, .. } = self;
        for entry in entries {
            while entry.newest != NONE && versions[entry.newest as usize].revision > end {
                entry.newest = versions[entry.newest as usize].older;
            }
        }
        Arc::make_mut(ranges).truncate(end);
    }

    fn key(&self, entry: u32) -> &[u8] {
        let e = &self.entries[entry as usize];
        &self.arena[e.key_at as usize..(e.key_at + e.key_len) as usize]
    }

    fn version_at(&self, entry: u32, at: Position) -> Option<u32> {
        let mut version = self.entries[entry as usize].newest;
        while version != NONE && self.versions[version as usize].revision > at {
            version = self.versions[version as usize].older;
        }
        (version != NONE).then_some(version)
    }

    /// Room for so many operations and bytes at once, instead of growing step by step.
    fn reserve(&mut self, operations: usize, bytes: usize) {
        let Inner { arena, entries, versions, by_hash, .. } = self;
        if arena.capacity() - arena.len() < bytes {
            arena.reserve(bytes.max(ARENA_STEP));
        }
        entries.reserve(operations);
        versions.reserve(operations);
        if by_hash.capacity() - by_hash.len() < operations {
            let more = operations.max((TABLE_GROWTH - 1) * by_hash.len());
            by_hash.reserve(more, |&i| entries[i as usize].hash);
        }
    }

    /// `lies_at` is where in the arena the operation's frame lies, if it does; what waited there has been noted already.
    fn apply(&mut self, op: Op<'_>, revision: Position, frame_at: u64, lies_at: Option<usize>, noted: Option<&Noted>) {
        match op {
            Op::Put { key, tag, value, value_at } => {
                let place = if value.len() > INLINE_MAX {
                    self.large += value.len() as u64;
                    Place::Log(Extent {
                        offset: frame_at + value_at as u64,
                        len: offset(value.len()),
                        crc: crc32c(0, value),
                    })
                } else {
                    let at = lies_at.map_or(self.arena.len(), |frame| frame + value_at);
                    match lies_at {
                        Some(_) => self.overhead -= value.len(),
                        None => self.arena.extend_from_slice(value),
                    }
                    Place::Arena { at: offset(at), len: offset(value.len()) }
                };
                self.note_buckets(key);
                let hash = self.write(key, revision, tag, place);
                noted.inspect(|noted| noted.key(hash));
            }
            Op::Delete { key } => {
                self.note_buckets(key);
                let hash = self.write(key, revision, 0, Place::Tombstone);
                noted.inspect(|noted| noted.key(hash));
            }
            Op::DeleteRange { start, end } => {
                Arc::make_mut(&mut self.ranges).add(start, end, revision);
                noted.inspect(|noted| noted.range());
            }
        }
    }

    fn note_buckets(&mut self, key: &[u8]) {
        let shared = shared_len(&self.last_noted, key);
        if !key[shared..].contains(&SEPARATOR) {
            return;
        }
        self.last_noted.clear();
        self.last_noted.extend_from_slice(key);
        self.buckets.extend(bucket_prefixes(key).map(hash));
    }

    /// Returns the key's hash.
    fn write(&mut self, key: &[u8], revision: Position, tag: u64, place: Place) -> u64 {
        let hash = hash(key);
        let Inner { arena, entries, by_hash, .. } = self;
        let key_of = |i: u32| {
            let e = &entries[i as usize];
            &arena[e.key_at as usize..(e.key_at + e.key_len) as usize]
        };
        let is_key = |&i: &u32| entries[i as usize].hash == hash && key_of(i) == key;
        let entry = match by_hash.entry(hash, is_key, |&i| entries[i as usize].hash) {
            Slot::Occupied(found) => *found.get() as usize,
            Slot::Vacant(free) => {
                let number = entries.len();
                free.insert(offset(number));
                let key_at = offset(arena.len());
                arena.extend_from_slice(key);
                entries.push(Entry { hash, key_at, key_len: offset(key.len()), newest: NONE });
                number
            }
        };
        let newest = &mut self.entries[entry].newest;
        // Of several operations of one frame on one key the last wins.
        match self.versions.get_mut(*newest as usize).filter(|v| v.revision == revision) {
            Some(same) => (same.tag, same.place) = (tag, place),
            None => {
                let older = std::mem::replace(newest, offset(self.versions.len()));
                self.versions.push(Written { revision, tag, older, place });
            }
        }
        hash
    }
}

#[cfg(test)]
mod tests;
