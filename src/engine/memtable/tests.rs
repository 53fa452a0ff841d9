//! What an index says, compared with a list of everything that was ever written to its segment.

use super::*;
use crate::engine::source::Source;
use crate::engine::table::memory::MemDirectory;
use crate::error::Error;
use crate::files::names;
use crate::files::storage::{Access, Directory};
use crate::format::frame::Body;
use crate::format::segment::Header;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::thread;

/// The index of an empty segment in memory.
fn empty() -> Memtable {
    let (dir, header) = (MemDirectory::default(), Header { store: [5; 16], segment: 3, salt: 77 });
    let file = dir.open(&names::log(header.segment), Access::CreateNew).unwrap();
    file.write_at(&header.encode(), 0).unwrap();
    let segment = Segment::open(&dir, header.segment, &header.store, Access::Read).map_err(Error::from).unwrap();
    Memtable::new(Arc::new(segment), Default::default())
}

/// The frame that comes next in the segment.
fn next_frame(table: &Memtable, body: &Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (salt, at) = (table.segment().header().salt, offset_of(table.applied()));
    body.clone().write_frame(&mut bytes, salt, at, table.crc(), 0);
    bytes
}

/// Writes a frame to the segment and has the index follow.
fn append(table: &Memtable, body: &Body) {
    let (at, bytes) = (offset_of(table.applied()), next_frame(table, body));
    table.segment().file().write_at(&bytes, at).unwrap();
    let end = at + bytes.len() as u64;
    assert_eq!(table.follow(end).unwrap(), end);
    assert_eq!(table.applied(), table.segment().at(end));
}

/// Writes a frame to the segment and has the index take it over, as at an open.
fn take_over(table: &Memtable, body: &Body) -> std::result::Result<Position, &'static str> {
    let (at, bytes) = (offset_of(table.applied()), next_frame(table, body));
    table.segment().file().write_at(&bytes, at).unwrap();
    let frame = Frame::verify(&bytes, table.segment().header().salt, at).unwrap();
    let end = table.take_over(&frame, at)?;
    assert_eq!((table.applied(), table.crc()), (end, frame.crc()));
    Ok(end)
}

/// Applies a frame that is in memory only.
fn apply(table: &Memtable, body: &Body) -> std::result::Result<Position, &'static str> {
    let (at, bytes) = (offset_of(table.applied()), next_frame(table, body));
    table.apply(&Frame::verify(&bytes, table.segment().header().salt, at).unwrap(), at)
}

fn puts<'a>(keys: impl IntoIterator<Item = &'a [u8]>) -> Body {
    let mut body = Body::new();
    keys.into_iter().for_each(|key| body.put(key, 0, b""));
    body
}

/// Revision, and tag and value unless it is a tombstone.
type Held = (Position, Option<(u64, Vec<u8>)>);

fn held(version: &Version<'_>) -> Held {
    let value = match version.state {
        State::Live { tag, stored } => {
            assert_eq!(matches!(stored, Stored::Inline(_)), stored.len() <= INLINE_MAX);
            Some((tag, stored.bytes().unwrap().into_owned()))
        }
        State::Tombstone => None,
    };
    (version.revision, value)
}

/// What a source yields from a key on.
fn listed(table: &Memtable, from: &[u8], at: Position) -> Vec<(Vec<u8>, Held)> {
    let (mut source, mut all) = (table.source(at), Vec::new());
    assert!(source.current().is_none());
    source.seek(from).unwrap();
    while let Some(version) = source.current() {
        all.push((version.key.to_vec(), held(&version)));
        source.advance().unwrap();
    }
    source.advance().unwrap();
    assert!(source.current().is_none());
    all
}

/// From one key up to another.
type Range = (Vec<u8>, Vec<u8>);
/// A key, with the byte and the length of its value, or deleted.
type Change = (Vec<u8>, Option<(u8, usize)>);

#[derive(Clone, Debug)]
enum Step {
    /// Ranges that go, then single keys; whether it is taken over, as at an open.
    Frame(Vec<Range>, Vec<Change>, bool),
    /// The segment turns out to be sealed so many frames back (rule 17).
    Seal(usize),
}

/// Everything that was written and not cut off.
#[derive(Debug, Default)]
struct Model {
    versions: BTreeMap<Vec<u8>, Vec<Held>>,
    ranges: Vec<(Vec<u8>, Vec<u8>, Position)>,
    /// Where frames end, and their CRCs.
    ends: Vec<(Position, u32)>,
    /// Every bucket prefix of all keys that ever were.
    buckets: BTreeSet<Vec<u8>>,
}

impl Model {
    fn step(&mut self, table: &Memtable, step: &Step) {
        match step {
            Step::Frame(ranges, keys, at_open) => {
                let mut body = Body::new();
                ranges.iter().for_each(|(start, end)| body.delete_range(start, end));
                for (key, value) in keys {
                    match value {
                        Some((byte, len)) => body.put(key, u64::from(*byte) << 40, &vec![*byte; *len]),
                        None => body.delete(key),
                    }
                }
                match at_open {
                    true => drop(take_over(table, &body).unwrap()),
                    false => append(table, &body),
                }
                let revision = table.applied();
                self.ends.push((revision, table.crc()));
                self.ranges.extend(ranges.iter().map(|(start, end)| (start.clone(), end.clone(), revision)));
                for (key, value) in keys {
                    let value = value.map(|(byte, len)| (u64::from(byte) << 40, vec![byte; len]));
                    let versions = self.versions.entry(key.clone()).or_default();
                    versions.retain(|(r, _)| *r < revision);
                    versions.push((revision, value));
                    self.buckets.extend(bucket_prefixes(key).map(<[u8]>::to_vec));
                }
            }
            Step::Seal(back) => {
                let (end, crc) = self.ends[self.ends.len().saturating_sub(back + 1)];
                self.ends.retain(|(position, _)| *position <= end);
                self.versions.values_mut().for_each(|versions| versions.retain(|(revision, _)| *revision <= end));
                self.ranges.retain(|(.., revision)| *revision <= end);
                table.truncate(end, crc);
                assert_eq!((table.applied(), table.crc()), (end, crc));
                assert!(table.covers(end) && !table.covers(end + 1));
            }
        }
    }

    /// What a reader at `at` finds.
    fn as_of(&self, at: Position) -> Vec<(Vec<u8>, Held)> {
        let newest = |versions: &[Held]| versions.iter().rfind(|(revision, _)| *revision <= at).cloned();
        self.versions.iter().filter_map(|(key, versions)| Some((key.clone(), newest(versions)?))).collect()
    }

    fn hidden(&self, key: &[u8], at: Position) -> Position {
        let over = self.ranges.iter().filter(|(start, end, r)| start[..] <= *key && *key < end[..] && *r <= at);
        over.map(|(.., revision)| *revision).max().unwrap_or(0)
    }

    /// Compares what the index says, at the end of each frame and beyond all.
    fn check(&self, table: &Memtable, asked: &[Vec<u8>]) {
        for at in self.ends.iter().map(|(end, _)| *end).chain([Position::MAX]) {
            let expected = self.as_of(at);
            assert_eq!(listed(table, b"", at), expected);
            for key in self.versions.keys().chain(asked) {
                let first = expected.partition_point(|(k, _)| k < key);
                assert_eq!(listed(table, key, at), expected[first..]);
                let here = expected.get(first).filter(|(k, _)| k == key);
                let reading = table.read();
                assert_eq!(reading.find(key, hash(key), at).map(|v| held(&v)), here.map(|(_, held)| held.clone()));
                assert_eq!(reading.hidden(key, at), self.hidden(key, at));
            }
        }
        for prefix in asked.iter().flat_map(|key| bucket_prefixes(key)).chain(self.buckets.iter().map(|b| &b[..])) {
            let put = |versions: &Vec<Held>| versions.iter().any(|(_, value)| value.is_some());
            let holds = self.versions.iter().any(|(key, versions)| key.starts_with(prefix) && put(versions));
            assert!(!holds || table.may_hold_bucket(prefix), "{prefix:?}");
            assert!(self.buckets.contains(prefix) || !table.may_hold_bucket(prefix), "{prefix:?}");
        }
    }
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(&b"\x01ab"[..]), 0..5)
}

fn any_step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![8 => 0..30usize, 1 => INLINE_MAX - 1..INLINE_MAX + 2];
    let keys = prop::collection::vec((any_key(), prop::option::weighted(0.7, (any::<u8>(), len))), 0..12);
    let ranges = prop::collection::vec((any_key(), any_key()), 0..2);
    let frame = (ranges, keys, any::<bool>()).prop_map(|(ranges, keys, at_open)| Step::Frame(ranges, keys, at_open));
    prop_oneof![4 => frame, 1 => (0..4usize).prop_map(Step::Seal)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_index_says_what_its_frames_said_as_of_each_of_them(
        steps in prop::collection::vec((any_step(), any::<bool>()), 1..10),
        asked in prop::collection::vec(any_key(), 0..20),
    ) {
        let (table, mut model) = (empty(), Model::default());
        model.ends.push((table.applied(), table.crc()));
        for (step, is_asked) in &steps {
            model.step(&table, step);
            if *is_asked {
                model.check(&table, &asked);
            }
        }
        model.check(&table, &asked);
    }
}

#[test]
fn what_is_taken_over_waits_until_the_filter_is_not_enough() {
    let table = empty();
    let is_indexed = || !table.inner.read().entries.is_empty();
    for key in [&b"a"[..], b"b", b"c"] {
        take_over(&table, &puts([key])).unwrap();
    }
    assert!(table.may_tell(hash(b"b")) && !table.may_tell(hash(b"x")) && !is_indexed());
    assert!(table.read().find(b"b", hash(b"b"), Position::MAX).is_some());
    assert!(is_indexed() && !table.waits.load(Ordering::Relaxed));
    // A frame without any operation leaves nothing to be done.
    take_over(&table, &Body::new()).unwrap();
    assert!(table.read().find(b"x", hash(b"x"), Position::MAX).is_none() && !table.waits.load(Ordering::Relaxed));
    // A large value stays in the log, and so is not kept.
    let mut large = Body::new();
    large.put(b"large", 1, &vec![7; INLINE_MAX + 1]);
    take_over(&table, &puts([&b"d"[..]])).unwrap();
    let before = table.inner.read().arena.len();
    take_over(&table, &large).unwrap();
    assert!(!table.waits.load(Ordering::Relaxed) && table.inner.read().arena.len() < before + 100);
    assert_eq!(listed(&table, b"", Position::MAX).len(), 5);
    // A batch is indexed at once.
    let keys: Vec<[u8; 4]> = (0..100_u32).map(u32::to_be_bytes).collect();
    take_over(&table, &puts(keys.iter().map(|key| &key[..]))).unwrap();
    assert!(!table.waits.load(Ordering::Relaxed));
    assert_eq!(listed(&table, b"", Position::MAX).len(), 105);
}

#[test]
fn a_key_that_is_taken_over_while_others_are_indexed_stays_noted() {
    const FRAMES: u32 = 40_000;
    let (table, is_done, both_are_there) = (empty(), AtomicBool::new(false), Barrier::new(2));
    let lost = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            both_are_there.wait();
            while !is_done.load(Ordering::Relaxed) {
                assert!(table.ranges().is_empty());
            }
        });
        both_are_there.wait();
        let is_lost = |key: &u32| {
            let (at, bytes) = (offset_of(table.applied()), next_frame(&table, &puts([&key.to_be_bytes()[..]])));
            table.take_over(&Frame::written(&bytes), at).unwrap();
            !table.may_tell(hash(&key.to_be_bytes()))
        };
        let lost: Vec<u32> = (0..FRAMES).filter(is_lost).collect();
        is_done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
        lost
    });
    assert!(lost.is_empty(), "{lost:?} are not noted");
    assert!((0..FRAMES).all(|key| table.may_tell(hash(&key.to_be_bytes()))));
    assert_eq!(listed(&table, b"", Position::MAX).len(), FRAMES as usize);
}

#[test]
fn an_index_weighs_the_same_however_its_frames_came() {
    let (applied, taken) = (empty(), empty());
    for n in 0..300_u32 {
        let mut body = Body::new();
        body.put(&(n % 200).to_be_bytes(), 1, &vec![7; n as usize]);
        body.put(&(n % 200).to_be_bytes(), 1, &vec![8; n as usize]);
        body.delete(&n.to_be_bytes());
        if n % 100 == 50 {
            body.put(b"large", 1, &vec![9; INLINE_MAX + 1]);
        }
        apply(&applied, &body).unwrap();
        take_over(&taken, &body).unwrap();
        // Some of it is indexed meanwhile.
        assert!(n % 70 != 0 || taken.ranges().is_empty());
    }
    assert!(taken.ranges().is_empty());
    assert_eq!(applied.inner.read().weight(), taken.inner.read().weight());
    assert!(taken.inner.read().overhead > 0);
}

#[test]
fn what_waits_is_bounded() {
    const EACH: usize = 4000;
    let (table, mut written) = (empty(), 0_u32);
    while !(written > 0 && table.inner.read().waiting.is_none()) {
        let mut body = Body::new();
        body.put(&written.to_be_bytes(), 1, &[written as u8; EACH]);
        take_over(&table, &body).unwrap();
        written += 1;
        assert!((written as usize) < (16 << 20) / EACH, "{written} frames wait");
    }
    assert!(written as usize > (15 << 20) / EACH, "only {written} frames waited");
    let all = listed(&table, b"", Position::MAX);
    let expected = |n: u32| (n.to_be_bytes().to_vec(), Some((1, vec![n as u8; EACH])));
    assert!(all.into_iter().map(|(key, (_, value))| (key, value)).eq((0..written).map(expected)));
}

#[test]
fn keys_are_sorted_however_many_come_at_once() {
    let (table, mut all, mut number) = (empty(), BTreeSet::new(), 1_u32);
    for fresh in [100, 200, 10, 70, 1000, 1, 64, 65] {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for _ in 0..fresh {
            number = number.wrapping_mul(0x9e37_79b1);
            keys.push(number.to_be_bytes().to_vec());
        }
        append(&table, &puts(keys.iter().map(|key| &key[..])));
        all.extend(keys);
        let sorted: Vec<Vec<u8>> = listed(&table, b"", Position::MAX).into_iter().map(|(key, _)| key).collect();
        assert!(sorted.iter().eq(&all), "{fresh} more, {} in all", all.len());
    }
}

#[test]
fn a_bucket_that_only_begins_like_one_is_not_here() {
    let table = empty();
    append(&table, &puts([&b"\x01k"[..], b"a", b"a\x01", b"a\x01b\x01k", b"ab\x01k"]));
    for here in [&b"\x01"[..], b"a\x01", b"a\x01b\x01", b"ab\x01"] {
        assert!(table.may_hold_bucket(here), "{here:?}");
    }
    for absent in [&b"k\x01"[..], b"b\x01", b"a\x01k\x01", b"ab\x01k\x01", b"abc\x01"] {
        assert!(!table.may_hold_bucket(absent), "{absent:?}");
    }
}

#[test]
fn two_keys_with_one_hash_are_two_keys() {
    let table = empty();
    apply(&table, &puts([&b"old"[..]])).unwrap();
    {
        let mut inner = table.inner.write();
        let Inner { entries, by_hash, .. } = &mut *inner;
        entries[0].hash = hash(b"new");
        by_hash.clear();
        by_hash.insert_unique(hash(b"new"), 0, |_| hash(b"new"));
    }
    let revision = |key| table.read().find(key, hash(b"new"), Position::MAX).map(|version| version.revision);
    let first = table.applied();
    assert_eq!((revision(b"old"), revision(b"new")), (Some(first), None));
    let second = apply(&table, &puts([&b"new"[..]])).unwrap();
    assert_eq!((revision(b"old"), revision(b"new")), (Some(first), Some(second)));
}

#[test]
fn an_index_that_is_larger_than_any_writer_lets_it_become_takes_nothing() {
    let (table, full) = (empty(), usize::try_from(MAX_INDEX).unwrap());
    // Zeros that nobody touches take no memory.
    let mut arena = vec![0; full + ARENA_STEP];
    arena.truncate(full);
    table.inner.write().arena = arena;
    let end = apply(&table, &puts([&b"a"[..]])).unwrap();
    assert!(apply(&table, &puts([&b"b"[..]])).unwrap_err().contains("larger than any"));
    assert_eq!(table.applied(), end);
    assert!(table.read().find(b"b", hash(b"b"), Position::MAX).is_none());
}

#[test]
fn readers_get_a_turn_in_the_middle_of_a_frame() {
    const TURNS: u32 = 20;
    let keys: Vec<[u8; 4]> = (0..TURNS * TURN).map(u32::to_be_bytes).collect();
    let body = puts(keys.iter().map(|key| &key[..]));
    // A writer that is done before the reader comes proves nothing.
    for _ in 0..200 {
        let (table, both_are_there) = (empty(), Barrier::new(2));
        let seen = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                both_are_there.wait();
                loop {
                    let versions = table.inner.read().versions.len();
                    if versions > 0 {
                        return versions;
                    }
                }
            });
            both_are_there.wait();
            apply(&table, &body).unwrap();
            reader.join().unwrap()
        });
        if seen < keys.len() {
            assert_eq!(seen % TURN as usize, 0);
            return;
        }
    }
    panic!("no reader got in");
}
