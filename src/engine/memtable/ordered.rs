//! A memtable's versions in the order of their keys, for listings and flushes.

use super::{Inner, Memtable, Place, Written, hash, offset};
use crate::engine::log::Segment;
use crate::engine::ranges::RangeSet;
use crate::engine::source::{Source, State, Version, Visit};
use crate::engine::value::Stored;
use crate::error::Result;
use crate::format::position::Position;
use std::sync::Arc;

/// How many entries are visited at most before writers get a turn.
const TURN: usize = 64;

impl Memtable {
    /// A sorted source of the versions at or below `at`.
    pub fn source(&self, at: Position) -> MemSource<'_> {
        MemSource { table: self, at, order: self.order(), next: 0, key: Vec::new(), value: Vec::new(), found: None }
    }

    /// What a listing of the bucket with this prefix (of everything, if it is empty) takes from here: such a source, unless
    /// surely no version lies under the prefix, and the range tombstones, if there are any.
    pub fn bucket(&self, prefix: &[u8], at: Position) -> (Option<MemSource<'_>>, Option<Arc<RangeSet>>) {
        let (may_hold, ranges) = {
            let inner = self.reading();
            let may_hold = prefix.is_empty() || inner.buckets.contains(&hash(prefix));
            (may_hold, (!inner.ranges.is_empty()).then(|| inner.ranges.clone()))
        };
        (may_hold.then(|| self.source(at)), ranges)
    }

    fn order(&self) -> Arc<Vec<u32>> {
        {
            let inner = self.reading();
            if inner.sorted.len() == inner.entries.len() {
                return inner.sorted.clone();
            }
        }
        let mut inner = self.writing();
        inner.sort();
        inner.sorted.clone()
    }
}

impl Inner {
    /// The value of a version, if it lies in the arena.
    fn inline(&self, written: &Written) -> &[u8] {
        match written.place {
            Place::Arena { at, len } => &self.arena[at as usize..(at + len) as usize],
            Place::Tombstone | Place::Log(_) => &[],
        }
    }

    /// Brings new entries into the sorted order: few of them one by one, many by sorting everything.
    fn sort(&mut self) {
        let mut sorted = std::mem::take(&mut self.sorted);
        let order = Arc::make_mut(&mut sorted);
        let first = order.len();
        let mut fresh: Vec<u32> = (first..self.entries.len()).map(offset).collect();
        fresh.sort_unstable_by(|a, b| self.key(*a).cmp(self.key(*b)));
        if fresh.len() > 64 && fresh.len() * 8 > first {
            *order = merged(order, &fresh, |a, b| self.key(a) < self.key(b));
        } else {
            for entry in fresh {
                let at = order.partition_point(|&other| self.key(other) < self.key(entry));
                order.insert(at, entry);
            }
        }
        self.sorted = sorted;
    }
}

fn merged(a: &[u32], b: &[u32], less: impl Fn(u32, u32) -> bool) -> Vec<u32> {
    let (mut i, mut j, mut out) = (0, 0, Vec::with_capacity(a.len() + b.len()));
    while i < a.len() && j < b.len() {
        if less(a[i], b[j]) {
            out.push(a[i]);
            i += 1;
        } else {
            out.push(b[j]);
            j += 1;
        }
    }
    out.extend_from_slice(&a[i..]);
    out.extend_from_slice(&b[j..]);
    out
}

/// The versions at or below a position, in the order of their keys.
pub struct MemSource<'a> {
    table: &'a Memtable,
    at: Position,
    order: Arc<Vec<u32>>,
    next: usize,
    key: Vec<u8>,
    value: Vec<u8>,
    found: Option<Written>,
}

fn state<'a>(written: &Written, inline: &'a [u8], segment: &'a Segment) -> State<'a> {
    let live = |stored| State::Live { tag: written.tag, stored };
    match written.place {
        Place::Tombstone => State::Tombstone,
        Place::Arena { .. } => live(Stored::Inline(inline)),
        Place::Log(extent) => live(segment.stored(extent)),
    }
}

impl MemSource<'_> {
    /// Copies the first version at or after the place `next` of the order; the arena may move once the lock is released.
    fn load(&mut self, inner: &Inner) {
        self.found = None;
        while let Some(&entry) = self.order.get(self.next) {
            if let Some(version) = inner.version_at(entry, self.at) {
                let written = inner.versions[version as usize];
                self.key.clear();
                self.key.extend_from_slice(inner.key(entry));
                self.value.clear();
                self.value.extend_from_slice(inner.inline(&written));
                self.found = Some(written);
                return;
            }
            self.next += 1;
        }
    }
}

impl Source for MemSource<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        let inner = self.table.inner.read();
        self.next = self.order.partition_point(|&entry| inner.key(entry) < key);
        self.load(&inner);
        Ok(())
    }

    fn current(&self) -> Option<Version<'_>> {
        let written = self.found.as_ref()?;
        let state = state(written, &self.value, &self.table.segment);
        Some(Version { key: &self.key, revision: written.revision, state })
    }

    fn key(&self) -> Option<&[u8]> {
        self.found.as_ref().map(|_| &self.key[..])
    }

    fn advance(&mut self) -> Result<()> {
        if self.found.is_some() {
            self.next += 1;
            self.load(&self.table.inner.read());
        }
        Ok(())
    }

    fn visit(&mut self, until: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        let (table, mut goes_on) = (self.table, true);
        while goes_on && self.found.is_some() && until.is_none_or(|until| self.key[..] < *until) {
            let inner = table.inner.read();
            let turn = &self.order[self.next..];
            let turn = &turn[..turn.len().min(TURN)];
            let is_within = |&entry: &u32| until.is_none_or(|until| inner.key(entry) < until);
            let turn = if turn.last().is_some_and(is_within) { turn } else { &turn[..turn.partition_point(is_within)] };
            for &entry in turn {
                let Some(version) = inner.version_at(entry, self.at) else {
                    self.next += 1;
                    continue;
                };
                let written = &inner.versions[version as usize];
                let state = state(written, inner.inline(written), &table.segment);
                goes_on = visit(Version { key: inner.key(entry), revision: written.revision, state })?;
                self.next += usize::from(goes_on);
                // Whoever reads a large value may take long.
                if !goes_on || matches!(written.place, Place::Log(_)) {
                    break;
                }
            }
            self.load(&inner);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::table::memory::MemDirectory;
    use crate::files::storage::{Access, Directory};
    use crate::format::frame::Op;
    use crate::format::segment::Header;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Key, revision, and the value's length unless it is a tombstone.
    type Shown = (u8, Position, Option<usize>);

    fn table() -> Memtable {
        let (dir, header) = (MemDirectory::default(), Header { store: [7; 16], segment: 1, salt: 5 });
        dir.open("log-1", Access::CreateNew).unwrap().write_at(&header.encode(), 0).unwrap();
        let Ok(segment) = Segment::open(&dir, 1, &header.store, Access::Read) else { panic!("it was made just now") };
        Memtable::new(Arc::new(segment), Default::default())
    }

    fn shown(version: Version<'_>) -> Shown {
        let len = match version.state {
            State::Live { tag, stored } => {
                assert_eq!(tag, version.revision);
                Some(stored.len())
            }
            State::Tombstone => None,
        };
        (version.key[0], version.revision, len)
    }

    fn any_change() -> impl Strategy<Value = (u8, Option<usize>)> {
        let len = prop_oneof![0..40usize, Just(crate::engine::value::INLINE_MAX + 1)];
        (any::<u8>(), prop::option::weighted(0.8, len))
    }

    proptest! {
        #[test]
        fn a_visit_shows_the_newest_versions_in_order(
            changes in prop::collection::vec(any_change(), 0..600),
            at in 0..700u64,
            (from, until) in (any::<u8>(), prop::option::of(any::<u8>())),
            limit in 1..300usize,
        ) {
            let (table, mut model) = (table(), BTreeMap::new());
            for (&(key, len), revision) in changes.iter().zip(1..) {
                let (value, key) = (vec![key; len.unwrap_or(0)], &[key][..]);
                let op = match len {
                    Some(_) => Op::Put { key, tag: revision, value: &value, value_at: 9 },
                    None => Op::Delete { key },
                };
                table.inner.write().apply(op, revision, 0, None, Some(&table.noted));
                if revision <= at {
                    model.insert(key[0], (key[0], revision, len));
                }
            }
            let mut expected = model.range(from..).map(|(_, shown)| *shown);
            let mut source = table.source(at);
            source.seek(&[from]).unwrap();
            let mut visited = Vec::new();
            let end = until.map(|until| [until]);
            let mut visit = |version: Version<'_>| {
                visited.push(shown(version));
                Ok(visited.len() < limit)
            };
            source.visit(end.as_ref().map(|end| &end[..]), &mut visit).unwrap();
            let within = |shown: &Shown| until.is_none_or(|until| shown.0 < until);
            let all: Vec<_> = expected.clone().take_while(within).take(limit).collect();
            prop_assert_eq!(&visited, &all);
            let stands_at = if visited.len() == limit { all.last().copied() } else { expected.nth(all.len()) };
            prop_assert_eq!(source.current().map(shown), stands_at);
        }
    }

    #[test]
    fn a_bucket_with_nothing_but_a_tombstone_is_asked() {
        let table = table();
        table.inner.write().apply(Op::Delete { key: b"a\x01k" }, 5, 0, None, Some(&table.noted));
        assert!(table.bucket(b"a\x01", 9).0.is_some() && table.bucket(b"", 9).0.is_some());
        assert!(table.bucket(b"b\x01", 9).0.is_none() && table.bucket(b"b\x01", 9).1.is_none());
        table.inner.write().apply(Op::DeleteRange { start: b"b\x01", end: b"b\x02" }, 6, 0, None, Some(&table.noted));
        assert!(table.bucket(b"b\x01", 9).0.is_none() && table.bucket(b"b\x01", 9).1.is_some());
    }
}
