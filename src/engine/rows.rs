//! The row cache: values that were read from tables, each found by one probe instead of a search through
//! tables. A lookup writes to no memory that other threads read (but once, to move a row), so readers on many processors don't
//! slow each other down.
//!
//! A set of four places, one cache line, holds a tag of each row and leads to it. While there is room, a row is kept at the
//! first read of its key. Then the first read leaves only the tag, and a row is kept from the second on, so that keys that
//! are read once push out nothing that is used (TinyLFU's idea of a doorkeeper, Einziger and others, 2017). When the rows
//! weigh too much, a hand goes round the sets and takes each row that wasn't read since it came by last (CLOCK, Corbató, 1968). Of all the sets only as many are in use as the
//! rows need, so that few rows lie close together; when that number doubles, half of the rows belong elsewhere, and move when
//! they are next read. Those that are not before it doubles again are lost.
//!
//! A row holds what one set of tables says, whose *epoch* it bears: it is never changed, and never believed by a view with
//! other tables.

use super::source::{State, Version};
use super::value::Stored;
use crate::files::prefetch::{LINE, prefetch};
use crate::format::position::Position;
use crate::sabotage::{self, Sabotage};
use arc_swap::{ArcSwapAny, Guard};
use smallvec::SmallVec;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use triomphe::ThinArc;

const WAYS: usize = 4;
/// Sets are made so many at a time, when one of them is first needed.
const CHUNK: usize = 64;
/// There is at most one place for so many bytes of the limit.
const SHARE: u64 = 64;
/// One row may take such a part of the limit, no more: a few large values don't push out all the others.
const PART: u64 = 16;
/// While the rows weigh less than the limit without such a part of it, a row is kept at its first read; the rest is for what is
/// read again.
const REST: u64 = 4;
/// A key and its value are joined on the stack up to this length.
const JOINED: usize = 2 << 10;
/// The mark of a place where nothing was yet.
const EMPTY: u32 = 0;
/// The bits of a tag that say how many cache lines its row has, or that it has more.
const LINES: u32 = 0x1f;
/// What a row takes beside its key and value, its part of a set included.
const OVERHEAD: usize = size_of::<Row>() + 3 * size_of::<usize>() + size_of::<Set>() / 2;

/// What is known of a row; its key and its value follow, one piece of memory.
struct Row {
    epoch: u64,
    revision: Position,
    tag: u64,
    key_len: usize,
    /// Read since the hand came by.
    used: AtomicBool,
}

type Shared = Option<ThinArc<Row, u8>>;

#[derive(Default)]
#[repr(align(64))]
struct Set {
    /// The mark of a row that is or was there, and how many lines it has.
    tags: [AtomicU32; WAYS],
    rows: [ArcSwapAny<Shared>; WAYS],
    next: AtomicUsize,
}

/// Rows that were read lately, up to a number of bytes.
pub struct RowCache {
    sets: Box<[OnceLock<Box<[Set]>>]>,
    /// How many sets are in use: a power of two.
    active: AtomicUsize,
    limit: u64,
    weight: AtomicU64,
    /// Tags that had to make room for another since the number of sets in use grew.
    pressed: AtomicUsize,
    hand: AtomicUsize,
}

/// The row at the place of a hash, if there is one; whether it is that of a key and of some tables is to be seen.
pub struct Likely(Option<Guard<Shared>>);

impl Likely {
    #[inline]
    fn row(self, epoch: u64, key: &[u8]) -> Option<Hit> {
        let guard = self.0?;
        let found = guard.as_ref()?;
        let row = &found.header.header;
        let believed = row.epoch == epoch || sabotage::is(Sabotage::RowOfOtherTables);
        if !believed || found.slice.get(..row.key_len) != Some(key) {
            return None;
        }
        if !row.used.load(Relaxed) {
            row.used.store(true, Relaxed);
        }
        Some(Hit(guard))
    }
}

/// A row that was found; it lives as long as this.
pub struct Hit(Guard<Shared>);

impl Hit {
    /// The row as a version of `key`, for which it was found.
    #[inline]
    pub fn version<'a>(&'a self, key: &'a [u8]) -> Option<Version<'a>> {
        let row = self.0.as_ref()?;
        let Row { revision, tag, key_len, .. } = row.header.header;
        Some(Version { key, revision, state: State::Live { tag, stored: Stored::Inline(&row.slice[key_len..]) } })
    }
}

/// By what a row is known in its set, but for its lines; never that of an empty place.
#[inline]
fn mark(hash: u64) -> u32 {
    ((hash >> 32) as u32 & !LINES) | (LINES + 1)
}

/// How many cache lines the row lies in, as its tag says it.
fn lines(row: &Shared) -> u32 {
    let Some(row) = row else { return 0 };
    let (start, len) = (row.as_ptr().addr() % LINE, size_of::<Row>() + 2 * size_of::<usize>() + row.slice.len());
    u32::try_from((start + len).div_ceil(LINE)).map_or(LINES, |lines| lines.min(LINES))
}

/// Where in the set the row with this mark is, or was.
#[inline]
fn way_of(set: &Set, mark: u32) -> Option<usize> {
    set.tags.iter().position(|tag| tag.load(Relaxed) & !LINES == mark)
}

fn weight(row: &Shared) -> u64 {
    row.as_ref().map_or(0, |row| (row.slice.len() + OVERHEAD) as u64)
}

impl RowCache {
    /// A cache of about `limit` bytes.
    pub fn new(limit: u64) -> RowCache {
        let sets = usize::try_from(limit / SHARE).unwrap_or(usize::MAX / 2).div_ceil(WAYS).next_power_of_two();
        let chunks = std::iter::repeat_with(OnceLock::new).take(sets.div_ceil(CHUNK)).collect();
        let active = AtomicUsize::new(CHUNK);
        RowCache {
            sets: chunks,
            active,
            limit,
            weight: AtomicU64::new(0),
            pressed: AtomicUsize::new(0),
            hand: AtomicUsize::new(0),
        }
    }

    /// About how many bytes it holds.
    pub fn weight(&self) -> u64 {
        self.weight.load(Relaxed)
    }

    fn places(&self) -> usize {
        self.sets.len() * CHUNK
    }

    /// The row that is likely that of the key with this hash. The processor loads it meanwhile, so ask early: what is
    /// looked up in between costs nothing then.
    #[inline]
    pub fn likely(&self, hash: u64) -> Likely {
        Likely(self.look(self.places_of(hash).0, hash).map(|(_, guard)| guard))
    }

    /// The row of the key, whose hash is given, in the tables of this epoch, if it is the likely one or has to move.
    #[inline]
    pub fn get(&self, likely: Likely, epoch: u64, key: &[u8], hash: u64) -> Option<Hit> {
        match likely.row(epoch, key) {
            Some(hit) => Some(hit),
            None => {
                let (place, before) = self.places_of(hash);
                self.moved(before?, place, epoch, key, hash)
            }
        }
    }

    /// The row where it was before the number of sets doubled. From now on it is where it belongs, if there is a place without
    /// a row: a hit pushes nothing out.
    #[inline(never)]
    fn moved(&self, before: usize, place: usize, epoch: u64, key: &[u8], hash: u64) -> Option<Hit> {
        let (way, guard) = self.look(before, hash)?;
        let hit = Likely(Some(guard)).row(epoch, key)?;
        let (old, new) = (self.set(before), self.set(place));
        let empty = || new.rows.iter().position(|row| row.load().is_none());
        if let Some(free) = way_of(new, mark(hash)).or_else(empty) {
            self.replace(new, free, mark(hash), hit.0.clone());
            self.replace(old, way, EMPTY, None);
        }
        Some(hit)
    }

    /// The row in that set with the mark of this hash, and where in it.
    #[inline]
    fn look(&self, set: usize, hash: u64) -> Option<(usize, Guard<Shared>)> {
        let set = self.made(set)?;
        let way = way_of(set, mark(hash))?;
        let guard = set.rows[way].load();
        prefetch(guard.as_ref()?.as_ptr(), (set.tags[way].load(Relaxed) & LINES) as usize);
        Some((way, guard))
    }

    /// Which set a hash belongs to, and to which other it did before there were twice as many. The low bits are also those by
    /// which a hash table chooses.
    #[inline]
    fn places_of(&self, hash: u64) -> (usize, Option<usize>) {
        let (bits, active) = ((hash >> 8) as usize, self.active.load(Relaxed));
        let (place, before) = (bits & (active - 1), bits & (active / 2 - 1));
        (place, (before != place && active > CHUNK).then_some(before))
    }

    /// A set, if it was made.
    #[inline]
    fn made(&self, number: usize) -> Option<&Set> {
        self.sets[number / CHUNK].get()?.get(number % CHUNK)
    }

    fn set(&self, number: usize) -> &Set {
        let chunk =
            self.sets[number / CHUNK].get_or_init(|| std::iter::repeat_with(Set::default).take(CHUNK).collect());
        &chunk[number % CHUNK]
    }

    /// Offers what the tables of this epoch say of the key: `version`, which no range tombstone of theirs hides. A value that
    /// is not beside its key is read for it, from a key's second read on.
    pub fn offer(&self, epoch: u64, version: &Version<'_>, hash: u64) {
        let State::Live { tag, stored } = version.state else { return };
        if (version.key.len() + stored.len()) as u64 > self.limit / PART {
            return;
        }
        let has_room = matches!(stored, Stored::Inline(_)) && self.weight() < self.limit - self.limit / REST;
        let (place, before) = self.places_of(hash);
        let set = self.set(place);
        let way = match way_of(set, mark(hash)) {
            Some(way) => way,
            None => {
                let Some(way) = self.free_way(set) else { return };
                // Read once already, before the number of sets doubled?
                if !self.forget(before, hash) && !has_room {
                    return self.replace(set, way, mark(hash), None);
                }
                way
            }
        };
        // Whoever offers it reads it, too, and is told what is wrong.
        let Ok(value) = stored.bytes() else { return };
        let row =
            Row { epoch, revision: version.revision, tag, key_len: version.key.len(), used: AtomicBool::new(false) };
        let mut bytes = SmallVec::<[u8; JOINED]>::from_slice(version.key);
        bytes.extend_from_slice(&value);
        let row = Some(ThinArc::from_header_and_slice(row, &bytes));
        self.replace(set, way, mark(hash), row);
        self.shrink();
    }

    /// Removes the tag, and its row, from where it was before the number of sets doubled. Whether it was there.
    fn forget(&self, before: Option<usize>, hash: u64) -> bool {
        let Some(set) = before.and_then(|before| self.made(before)) else { return false };
        let Some(way) = way_of(set, mark(hash)) else { return false };
        self.replace(set, way, EMPTY, None);
        true
    }

    /// Takes more sets into use, once a quarter as many tags had to make room as there are sets in use.
    fn grow(&self) {
        let active = self.active.load(Relaxed);
        if self.pressed.fetch_add(1, Relaxed) >= active / 4 && active < self.places() {
            self.pressed.store(0, Relaxed);
            // Who was faster has done the same.
            let _ = self.active.compare_exchange(active, 2 * active, Relaxed, Relaxed);
        }
    }

    /// An empty place, or that of a row that wasn't read lately.
    fn free_way(&self, set: &Set) -> Option<usize> {
        let way = way_of(set, EMPTY).unwrap_or_else(|| {
            self.grow();
            set.next.fetch_add(1, Relaxed) % WAYS
        });
        let was_read = set.rows[way].load().as_ref().is_some_and(|row| row.header.header.used.swap(false, Relaxed));
        (!was_read).then_some(way)
    }

    fn replace(&self, set: &Set, way: usize, mark: u32, row: Shared) {
        set.tags[way].store(mark | lines(&row), Relaxed);
        self.weight.fetch_add(weight(&row), Relaxed);
        let old = set.rows[way].swap(row);
        self.weight.fetch_sub(weight(&old), Relaxed);
    }

    /// Lets the hand go on until the rows weigh little enough.
    fn shrink(&self) {
        // In the second round no row is marked, but for those that are read meanwhile.
        for _ in 0..2 * self.places() {
            if self.weight() <= self.limit {
                return;
            }
            let number = self.hand.fetch_add(1, Relaxed) & (self.active.load(Relaxed) - 1);
            let Some(set) = self.made(number) else { continue };
            for way in 0..WAYS {
                let unread =
                    set.rows[way].load().as_ref().is_some_and(|row| !row.header.header.used.swap(false, Relaxed));
                if unread {
                    self.replace(set, way, set.tags[way].load(Relaxed) & !LINES, None);
                }
            }
        }
    }
}

impl fmt::Debug for RowCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowCache").field("limit", &self.limit).field("weight", &self.weight).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
