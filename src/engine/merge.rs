//! A k-way merge of sources: of each key the newest version, unless a range tombstone of any of the sources hides it.

use super::ranges::RangeSet;
use super::source::{Source, State, Version};
use super::value::Item;
use crate::error::Result;
use crate::format::position::Position;
use crate::sabotage::{self, Sabotage};
use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What a merge is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// For a listing: live versions only.
    Scan,
    /// For a new table: tombstones too, since older tables may hold what they hide.
    Compact,
}

/// A source, with the range tombstones that were written beside its versions. They hide versions of all sources.
pub struct Input<'a> {
    /// The versions.
    pub source: Box<dyn Source + 'a>,
    /// The range tombstones.
    pub ranges: Arc<RangeSet>,
}

/// The merged versions; itself a source.
pub struct Merge<'a> {
    sources: Vec<Box<dyn Source + 'a>>,
    /// The numbers of the sources that have not ended, as a heap: by key, then the newest revision first.
    heap: Vec<usize>,
    ranges: Vec<Arc<RangeSet>>,
    at: Position,
    end: Option<Box<[u8]>>,
    mode: Mode,
    seen: Position,
    /// Where the next source comes in; kept for its memory.
    next: Vec<u8>,
}

impl<'a> Merge<'a> {
    /// A merge of `inputs`, in any order, as of position `at` (which bounds the range tombstones; the sources bound their
    /// versions themselves), over the keys before `end`. It stands nowhere; `seek` comes first.
    pub fn new(inputs: Vec<Input<'a>>, at: Position, end: Option<&[u8]>, mode: Mode) -> Merge<'a> {
        let (sources, ranges) = inputs.into_iter().map(|input| (input.source, input.ranges)).unzip();
        Merge::of(sources, ranges, at, end, mode)
    }

    /// The same with range tombstones that need not have a source beside them.
    pub fn of(
        sources: Vec<Box<dyn Source + 'a>>,
        mut ranges: Vec<Arc<RangeSet>>,
        at: Position,
        end: Option<&[u8]>,
        mode: Mode,
    ) -> Merge<'a> {
        ranges.retain(|set| !set.is_empty());
        Merge { sources, heap: Vec::new(), ranges, at, end: end.map(Box::from), mode, seen: 0, next: Vec::new() }
    }

    /// The largest revision of anything that the merge looked at so far: live versions, tombstones, and range tombstones
    /// that hid something, before `end`.
    pub fn seen(&self) -> Position {
        self.seen
    }

    /// Calls `f` with the items from here on, until it breaks. The merge then stands at the item with which it did so.
    ///
    /// As long as one source alone has the next keys, it is asked for all of them at once.
    pub fn visit<B>(&mut self, mut f: impl FnMut(Item<'_>) -> Result<ControlFlow<B>>) -> Result<ControlFlow<B>> {
        while let Some(&top) = self.heap.first() {
            let stretch = self.visit_top(top, &mut f);
            if let Some(with) = self.or_nowhere(stretch)? {
                return Ok(ControlFlow::Break(with));
            }
            self.moved(0);
            let settled = self.settle();
            self.or_nowhere(settled)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Calls `f` with the items of the top of the heap, up to the next key of any other source, to the end, to a version that
    /// is hidden by a range tombstone, or until `f` breaks.
    fn visit_top<B>(
        &mut self,
        top: usize,
        f: &mut impl FnMut(Item<'_>) -> Result<ControlFlow<B>>,
    ) -> Result<Option<B>> {
        let others = self.heap.iter().skip(1).take(2).filter_map(|other| self.sources[*other].key());
        let until = others.chain(self.end.as_deref()).min();
        self.next.clear();
        self.next.extend_from_slice(until.unwrap_or_default());
        let until = until.is_some().then_some(&self.next[..]);
        let (mut seen, mut broken) = (self.seen, None);
        self.sources[top].visit(until, &mut |version| {
            let Version { key, revision, .. } = version;
            if self.ranges.iter().any(|set| set.newest(key, self.at) > Some(revision)) {
                return Ok(false);
            }
            seen = seen.max(revision);
            let Some(item) = version.item() else { return Ok(true) };
            match f(item)? {
                ControlFlow::Continue(()) => Ok(true),
                ControlFlow::Break(with) => {
                    broken = Some(with);
                    Ok(false)
                }
            }
        })?;
        self.seen = seen;
        Ok(broken)
    }

    fn start(&mut self, key: &[u8]) -> Result<()> {
        self.heap.clear();
        for (number, source) in self.sources.iter_mut().enumerate() {
            source.seek(key)?;
            if source.key().is_some() {
                self.heap.push(number);
            }
        }
        (0..self.heap.len() / 2).rev().for_each(|at| self.sift_down(at));
        self.settle()
    }

    /// Whether the source at one place of the heap comes before that at another.
    fn less(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.sources[self.heap[a]], &self.sources[self.heap[b]]);
        match a.key().cmp(&b.key()) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => {
                let newer = a.current().map(|v| v.revision) > b.current().map(|v| v.revision);
                newer != (self.mode == Mode::Compact && sabotage::is(Sabotage::MergeKeepsOlder))
            }
        }
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let mut child = 2 * at + 1;
            if child >= self.heap.len() {
                return;
            }
            if child + 1 < self.heap.len() && self.less(child + 1, child) {
                child += 1;
            }
            if !self.less(child, at) {
                return;
            }
            self.heap.swap(at, child);
            at = child;
        }
    }

    /// The source at the place `at` of the heap, the top or a child of the top, has moved.
    fn moved(&mut self, at: usize) {
        if self.sources[self.heap[at]].key().is_none() {
            self.heap.swap_remove(at);
        }
        self.sift_down(at);
    }

    fn step(&mut self, at: usize) -> Result<()> {
        self.sources[self.heap[at]].advance()?;
        self.moved(at);
        Ok(())
    }

    /// Goes on until the top of the heap is a version to yield and no other source stands at its key.
    fn settle(&mut self) -> Result<()> {
        while let Some(&top) = self.heap.first() {
            if self.end.as_deref().is_some_and(|end| self.sources[top].key() >= Some(end)) {
                self.heap.clear();
                break;
            }
            for child in [1, 2] {
                while child < self.heap.len() && self.sources[self.heap[child]].key() == self.sources[top].key() {
                    self.step(child)?;
                }
            }
            let Some(version) = self.sources[top].current() else { break };
            let (revision, dead) = (version.revision, matches!(version.state, State::Tombstone));
            let over = self.ranges.iter().filter_map(|set| set.newest_until(version.key, self.at)).max();
            self.seen = self.seen.max(revision);
            match over {
                Some((range, until)) if range > revision => {
                    self.seen = self.seen.max(range);
                    // A source that ends before the range's revision has nothing to show in all of the range.
                    let source = &mut self.sources[top];
                    if source.newest() < range {
                        source.seek(until)?
                    } else {
                        source.advance()?
                    }
                    self.moved(0);
                }
                _ if dead && self.mode == Mode::Scan => self.step(0)?,
                _ => break,
            }
        }
        Ok(())
    }

    /// After an error the merge stands nowhere.
    fn or_nowhere<T>(&mut self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            self.heap.clear();
        }
        outcome
    }
}

impl Source for Merge<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        let outcome = self.start(key);
        self.or_nowhere(outcome)
    }

    fn current(&self) -> Option<Version<'_>> {
        self.sources[*self.heap.first()?].current()
    }

    fn key(&self) -> Option<&[u8]> {
        self.sources[*self.heap.first()?].key()
    }

    fn advance(&mut self) -> Result<()> {
        if self.heap.is_empty() {
            return Ok(());
        }
        let outcome = self.step(0).and_then(|()| self.settle());
        self.or_nowhere(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::Stored;
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Versions of one stretch of the log, as a source; the value of a live version is its revision.
    #[derive(Clone, Debug, Default)]
    struct List {
        versions: Vec<(Vec<u8>, Position, bool)>,
        at: usize,
        newest: Position,
    }

    impl Source for List {
        fn seek(&mut self, key: &[u8]) -> Result<()> {
            self.at = self.versions.partition_point(|(k, ..)| k[..] < *key);
            Ok(())
        }
        fn current(&self) -> Option<Version<'_>> {
            let (key, revision, live) = self.versions.get(self.at)?;
            let state =
                if *live { State::Live { tag: *revision, stored: Stored::Inline(key) } } else { State::Tombstone };
            Some(Version { key, revision: *revision, state })
        }
        fn advance(&mut self) -> Result<()> {
            self.at = self.versions.len().min(self.at + 1);
            Ok(())
        }
        fn newest(&self) -> Position {
            self.newest
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Put(u8),
        Delete(u8),
        DeleteRange(u8, u8),
    }

    /// What is left of a log: the newest version of each key, and the newest range over it.
    #[derive(Default)]
    struct Model {
        versions: BTreeMap<u8, (Position, bool)>,
        over: BTreeMap<u8, Position>,
    }

    impl Model {
        fn apply(&mut self, op: &Op, revision: Position) {
            match *op {
                Op::Put(key) => self.versions.extend([(key, (revision, true))]),
                Op::Delete(key) => self.versions.extend([(key, (revision, false))]),
                Op::DeleteRange(start, end) => self.over.extend((start..end).map(|key| (key, revision))),
            }
        }

        fn visible(&self, mode: Mode, from: u8, end: u8) -> Vec<(u8, Position, bool)> {
            let hidden = |key: &u8, revision: Position| self.over.get(key).is_some_and(|range| *range > revision);
            let all = self.versions.iter().map(|(key, (revision, live))| (*key, *revision, *live));
            all.filter(|(key, revision, live)| {
                (from..end).contains(key) && !hidden(key, *revision) && (*live || mode == Mode::Compact)
            })
            .collect()
        }

        fn seen(&self, from: u8, end: u8) -> Position {
            let all = self.versions.iter().filter(|(key, _)| (from..end).contains(*key));
            all.map(|(key, (revision, _))| self.over.get(key).copied().unwrap_or(0).max(*revision)).max().unwrap_or(0)
        }
    }

    /// The length of a part of the log that reaches to `seen` or further and says something else (rule 5). `seen` may be less
    /// than the greatest of all that hides something: what an earlier range hides anyway is skipped.
    fn untold_by(log: &[Op], seen: Position, (from, end): (u8, u8), told: &[(u8, Position, bool)]) -> Option<Position> {
        let mut model = Model::default();
        let parts = log.iter().zip(1..).map(|(op, revision)| {
            model.apply(op, revision);
            (revision, revision < seen || model.visible(Mode::Scan, from, end) == told)
        });
        parts.filter(|(_, same)| !same).map(|(revision, _)| revision).min()
    }

    fn any_op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (0..60u8).prop_map(Op::Put),
            2 => (0..60u8).prop_map(Op::Delete),
            1 => (0..60u8, 0..60u8).prop_map(|(a, b)| Op::DeleteRange(a, b)),
        ]
    }

    /// The log cut into stretches; each becomes a list and its ranges.
    fn lists(log: &[Op], cuts: &BTreeSet<usize>) -> Vec<(List, RangeSet)> {
        let (mut lists, mut model, mut ranges) = (Vec::new(), BTreeMap::new(), RangeSet::new());
        for (i, op) in log.iter().enumerate() {
            let revision = i as Position + 1;
            match *op {
                Op::Put(key) => model.extend([(key, (revision, true))]),
                Op::Delete(key) => model.extend([(key, (revision, false))]),
                Op::DeleteRange(start, end) => ranges.add(&[start], &[end], revision),
            }
            if cuts.contains(&i) || i + 1 == log.len() {
                let versions =
                    std::mem::take(&mut model).into_iter().map(|(k, (r, live))| (vec![k], r, live)).collect();
                lists.push((List { versions, at: 0, newest: revision }, std::mem::take(&mut ranges)));
            }
        }
        lists
    }

    fn drain(merge: &mut Merge<'_>) -> Vec<(u8, Position, bool)> {
        let mut all = Vec::new();
        while let Some(version) = merge.current() {
            assert_eq!(merge.key(), Some(version.key));
            all.push((version.key[0], version.revision, version.item().is_some()));
            merge.advance().unwrap();
        }
        merge.advance().unwrap();
        assert!(merge.current().is_none());
        all
    }

    /// What a visit shows that breaks at each `stride`-th item.
    fn visit(merge: &mut Merge<'_>, stride: usize) -> Vec<(u8, Position, bool)> {
        let mut all = Vec::new();
        loop {
            let outcome = merge.visit(|item| {
                all.push((item.key[0], item.revision, true));
                Ok(if all.len() % stride == 0 { ControlFlow::Break(all.len()) } else { ControlFlow::Continue(()) })
            });
            let ControlFlow::Break(len) = outcome.unwrap() else { return all };
            assert_eq!((merge.key(), len), (all.last().map(|(key, ..)| std::slice::from_ref(key)), all.len()));
            merge.advance().unwrap();
        }
    }

    proptest! {
        #[test]
        fn a_merge_is_what_the_whole_log_says(
            log in prop::collection::vec(any_op(), 0..300),
            cuts in prop::collection::btree_set(0..300usize, 0..9),
            from in 0..60u8,
            end in 0..61u8,
            backwards in any::<bool>(),
            stride in 1..9usize,
        ) {
            let mut model = Model::default();
            log.iter().enumerate().for_each(|(i, op)| model.apply(op, i as Position + 1));
            for mode in [Mode::Scan, Mode::Compact] {
                let build = || {
                    let inputs = lists(&log, &cuts).into_iter().map(|(list, ranges)| {
                        Input { source: Box::new(list), ranges: Arc::new(ranges) }
                    });
                    let mut inputs: Vec<_> = inputs.collect();
                    if backwards {
                        inputs.reverse();
                    }
                    Merge::new(inputs, Position::MAX, Some(&[end]), mode)
                };
                let mut merge = build();
                prop_assert!(merge.current().is_none());
                merge.seek(&[from]).unwrap();
                let told = drain(&mut merge);
                prop_assert_eq!(&told, &model.visible(mode, from, end));
                prop_assert!(merge.seen() <= model.seen(from, end));
                if mode == Mode::Scan {
                    prop_assert_eq!(untold_by(&log, merge.seen(), (from, end), &told), None);
                    let mut visited = build();
                    visited.seek(&[from]).unwrap();
                    prop_assert_eq!(visit(&mut visited, stride), told);
                    prop_assert_eq!(visited.seen(), merge.seen());
                }
                merge.seek(&[from / 2]).unwrap();
                prop_assert_eq!(drain(&mut merge), model.visible(mode, from / 2, end));
            }
        }
    }

    #[test]
    fn a_put_of_the_same_frame_as_a_range_is_not_hidden_and_later_ranges_are_not_seen() {
        let mut ranges = RangeSet::new();
        ranges.add(b"a", b"z", 5);
        ranges.add(b"a", b"z", 9);
        let list = List { versions: vec![(b"b".to_vec(), 4, true), (b"c".to_vec(), 5, true)], at: 0, newest: 5 };
        let mut merge =
            Merge::new(vec![Input { source: Box::new(list), ranges: Arc::new(ranges) }], 8, None, Mode::Scan);
        merge.seek(b"").unwrap();
        assert_eq!(drain(&mut merge), [(b'c', 5, true)]);
        assert_eq!(merge.seen(), 5);
        merge.seek(b"").unwrap();
        assert_eq!(visit(&mut merge, 9), [(b'c', 5, true)]);
    }
}
