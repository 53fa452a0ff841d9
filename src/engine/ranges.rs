//! Range tombstones: for any key, and as of any position, the newest deletion of a range that covers it.
//!
//! The set is a map of fragments that don't overlap, each with its newest revision. A range that is added takes the place of
//! the fragments under it, which become its *older* layer: older snapshots look there. So a fragment is moved at most once,
//! and memory grows with the number of ranges added, however they overlap.

use crate::format::position::Position;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

type Map = BTreeMap<Box<[u8]>, Fragment>;

/// Range tombstones, each hiding the versions in it with a lesser revision than its own. (A put of the same frame has the
/// same revision and so is not hidden.)
#[derive(Clone, Debug, Default)]
pub struct RangeSet {
    map: Map,
}

#[derive(Clone, Debug)]
struct Fragment {
    end: Box<[u8]>,
    revision: Position,
    /// What was here before; may reach beyond the fragment, where it means nothing.
    older: Option<Arc<Map>>,
}

/// Layers may lie thousands deep, too many to drop them by recursion.
impl Drop for Fragment {
    fn drop(&mut self) {
        let mut layers: Vec<Arc<Map>> = self.older.take().into_iter().collect();
        while let Some(layer) = layers.pop() {
            if let Some(mut map) = Arc::into_inner(layer) {
                layers.extend(map.values_mut().filter_map(|f| f.older.take()));
            }
        }
    }
}

fn covering<'a>(map: &'a Map, key: &[u8]) -> Option<(&'a [u8], &'a Fragment)> {
    let (start, fragment) = map.range::<[u8], _>((Bound::Unbounded, Bound::Included(key))).next_back()?;
    (key < &*fragment.end).then_some((&**start, fragment))
}

impl RangeSet {
    /// No range.
    pub fn new() -> RangeSet {
        RangeSet::default()
    }

    /// The union of several sets, with the newest revision only of each fragment.
    pub fn union<'a>(sets: impl IntoIterator<Item = &'a RangeSet>) -> RangeSet {
        let mut all: Vec<_> = sets.into_iter().flat_map(RangeSet::iter).collect();
        all.sort_by_key(|(_, _, revision)| *revision);
        let mut union = RangeSet::new();
        for (start, end, revision) in all {
            union.add(start, end, revision);
        }
        union.forget_older();
        union
    }

    /// Adds the range `start..end`; nothing if it is empty. The revision is no less than any that was added before.
    pub fn add(&mut self, start: &[u8], end: &[u8], revision: Position) {
        if start >= end {
            return;
        }
        self.split(start);
        self.split(end);
        let inside = (Bound::Included(start), Bound::Excluded(end));
        let under: Vec<Box<[u8]>> = self.map.range::<[u8], _>(inside).map(|(start, _)| start.clone()).collect();
        let older: Map = under.into_iter().filter_map(|start| self.map.remove_entry(&start)).collect();
        debug_assert!(older.values().all(|f| f.revision <= revision), "ranges come in the order of their revisions");
        let older = (!older.is_empty()).then(|| Arc::new(older));
        self.map.insert(start.into(), Fragment { end: end.into(), revision, older });
    }

    /// Makes a fragment that covers `at` and begins before it two.
    fn split(&mut self, at: &[u8]) {
        let before = (Bound::Unbounded, Bound::Excluded(at));
        let Some((_, left)) = self.map.range_mut::<[u8], _>(before).next_back() else { return };
        if &*left.end > at {
            let right = left.clone();
            left.end = at.into();
            self.map.insert(at.into(), right);
        }
    }

    /// The revision of the newest range that covers the key, of those at or below `at_most`.
    pub fn newest(&self, key: &[u8], at_most: Position) -> Option<Position> {
        self.newest_until(key, at_most).map(|(revision, _)| revision)
    }

    /// The same, with a key until which, from the given one on, ranges of at least that revision cover all keys.
    pub fn newest_until(&self, key: &[u8], at_most: Position) -> Option<(Position, &[u8])> {
        let (mut map, mut until): (_, Option<&[u8]>) = (&self.map, None);
        loop {
            let (_, fragment) = covering(map, key)?;
            until = Some(until.map_or(&*fragment.end, |until| until.min(&fragment.end)));
            if fragment.revision <= at_most {
                return Some((fragment.revision, until?));
            }
            map = fragment.older.as_deref()?;
        }
    }

    /// Removes every range with a revision beyond `end`.
    pub fn truncate(&mut self, end: Position) {
        let beyond: Vec<Box<[u8]>> =
            self.map.iter().filter(|(_, f)| f.revision > end).map(|(s, _)| s.clone()).collect();
        let mut open: Vec<(Box<[u8]>, Fragment)> = beyond.iter().filter_map(|s| self.map.remove_entry(s)).collect();
        while let Some((start, fragment)) = open.pop() {
            if fragment.revision <= end {
                self.map.insert(start, fragment);
                continue;
            }
            let Some(older) = fragment.older.as_deref() else { continue };
            let first = covering(older, &start).map_or(&*start, |(first, _)| first);
            let inside = (Bound::Included(first), Bound::Excluded(&*fragment.end));
            for (s, f) in older.range::<[u8], _>(inside) {
                let mut clipped = f.clone();
                clipped.end = f.end.clone().min(fragment.end.clone());
                open.push((s.clone().max(start.clone()), clipped));
            }
        }
    }

    /// Keeps the newest revision of each fragment only.
    fn forget_older(&mut self) {
        for fragment in self.map.values_mut() {
            fragment.older = None;
        }
    }

    /// Whether there is no range.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// How many fragments there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Each fragment with its newest revision, in the order of the keys: start, end, revision.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8], Position)> {
        self.map.iter().map(|(start, f)| (&**start, &*f.end, f.revision))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Start, end, revision.
    type Added = (Vec<u8>, Vec<u8>, Position);

    /// The same by looking at every range.
    fn expected(added: &[Added], key: &[u8], at: Position) -> Option<Position> {
        let over = added.iter().filter(|(start, end, r)| start[..] <= *key && *key < end[..] && *r <= at);
        over.map(|(_, _, r)| *r).max()
    }

    fn set(added: &[Added]) -> RangeSet {
        let mut set = RangeSet::new();
        added.iter().for_each(|(start, end, revision)| set.add(start, end, *revision));
        set
    }

    fn any_key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(0..4u8, 0..3)
    }

    /// Ranges, some empty, with revisions that grow and at times stay.
    fn any_ranges() -> impl Strategy<Value = Vec<Added>> {
        prop::collection::vec((any_key(), any_key(), 0..3u64), 0..40).prop_map(|ranges| {
            let mut revision = 10;
            let with_revision = |(start, end, step)| {
                revision += step;
                (start, end, revision)
            };
            ranges.into_iter().map(with_revision).collect()
        })
    }

    fn all_keys() -> Vec<Vec<u8>> {
        let two = (0..4u8).flat_map(|a| (0..4u8).map(move |b| vec![a, b]));
        [vec![]].into_iter().chain((0..4u8).map(|a| vec![a])).chain(two).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_newest_is_that_of_a_search_through_all(added in any_ranges(), end in 9..90u64) {
            let (early, late) = added.split_at(added.len() / 2);
            let union = RangeSet::union([&set(late), &RangeSet::new(), &set(early)]);
            let mut set = set(&added);
            for key in all_keys() {
                for at in (9..95).step_by(3) {
                    let found = set.newest_until(&key, at);
                    prop_assert_eq!(found.map(|f| f.0), expected(&added, &key, at));
                    if let Some((revision, until)) = found {
                        let under = all_keys().into_iter().filter(|k| *k >= key && k[..] < *until);
                        prop_assert!(key[..] < *until && under.map(|k| expected(&added, &k, at)).all(|r| r >= Some(revision)));
                    }
                }
            }
            let fragments: Vec<_> = set.iter().collect();
            prop_assert!(fragments.windows(2).all(|w| w[0].1 <= w[1].0) && fragments.iter().all(|f| f.0 < f.1));
            for key in all_keys() {
                // The newest of each fragment only: a reader before it finds none.
                let newest = expected(&added, &key, Position::MAX);
                for at in (9..95).step_by(3) {
                    prop_assert_eq!(union.newest(&key, at), newest.filter(|revision| *revision <= at));
                }
            }
            set.truncate(end);
            for key in all_keys() {
                for at in (9..95).step_by(3) {
                    prop_assert_eq!(set.newest(&key, at), expected(&added, &key, at.min(end)));
                }
            }
        }
    }

    #[test]
    fn a_hundred_thousand_layers_are_dropped_and_asked() {
        let mut set = RangeSet::new();
        for revision in 1..=100_000 {
            set.add(if revision % 2 == 0 { b"a" } else { b"b" }, b"c", revision);
        }
        assert_eq!(set.len(), 1);
        assert_eq!((set.newest(b"b", 3), set.newest(b"a", 3), set.newest(b"a", 1)), (Some(3), Some(2), None));
        let other = set.clone();
        set.truncate(10);
        assert_eq!((set.newest(b"b", 20), set.newest(b"a", 20)), (Some(10), Some(10)));
        assert_eq!(other.newest(b"b", Position::MAX), Some(100_000));
    }
}
