//! Tables: each part from bytes whose checksum is right, and whole tables, made, read, changed and sealed again.

use std::collections::BTreeMap;
use std::sync::Arc;

use arbitrary::Arbitrary;
use dirkv::engine::source::{Source, State};
use dirkv::engine::table::{BlockCache, Table, TableBuilder, TableName};
use dirkv::engine::value::Stored;
use dirkv::files::storage::{Access, Directory};
use dirkv::format::manifest::TableEntry;
use dirkv::format::table::block::{Block, Content};
use dirkv::format::table::block_writer::BlockWriter;
use dirkv::format::table::node::{Node, NodeWriter};
use dirkv::format::table::{FOOTER_LEN, Footer, filter, ranges};

use crate::memory::Memory;
use crate::{described, kind, reseal, within};

const NUMBER: u64 = 3;
const AT: u64 = 50_000;

pub fn run(data: &[u8]) {
    match kind(data, 6) {
        Some((0, rest)) => footer(rest),
        Some((1, rest)) => block(rest),
        Some((2, rest)) => node(rest),
        Some((3, rest)) => range_tombstones(rest),
        Some((_, rest)) => {
            if let Some(whole) = described::<Whole>(rest) {
                table(whole);
            }
        }
        None => (),
    }
}

fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    reseal::part(&mut bytes, NUMBER, AT);
    bytes
}

fn footer(bytes: &[u8]) {
    let Some(bytes) = bytes.first_chunk::<FOOTER_LEN>() else { return };
    let mut right = *bytes;
    reseal::footer(&mut right);
    for given in [*bytes, right] {
        if let Ok(footer) = within(0, || Footer::decode(&given, AT)) {
            assert_eq!((footer.encode(), right), (given, given));
            assert!(footer.ranges_at <= footer.root_at && footer.root_at <= AT - FOOTER_LEN as u64);
        }
    }
}

/// A block that decodes finds each of its keys, and is written again: as it was, if it was as short as can be.
fn block(bytes: &[u8]) {
    let right = sealed(bytes);
    assert!(right == bytes || Block::decode(bytes.into(), NUMBER, AT).is_err(), "the checksum wasn't looked at");
    let shared: Arc<[u8]> = right.as_slice().into();
    let Ok(block) = within(0, || Block::decode(shared, NUMBER, AT)) else { return };
    let (mut writer, mut longest) = (BlockWriter::default(), 0);
    for i in 0..block.len() {
        let (key, entry) = ([block.prefix(), block.suffix(i)].concat(), block.entry(i));
        assert_eq!((block.find(&key), block.lower_bound(&key)), (Some(i), i));
        if let Content::Inline(_, value) = entry.content {
            longest = longest.max(value.len());
        }
        writer.push(&key, entry.revision, &entry.content);
    }
    let mut out = Vec::new();
    writer.finish(NUMBER, AT, &mut out);
    assert!(out.len() <= right.len(), "a block grows when it is written again");
    assert!(out.len() < right.len() || out == right, "another block of the same length says the same");
    let again = Block::decode(out.into(), NUMBER, AT).expect("just written");
    let entries = |block: &Block| {
        let entry = |i| (block.prefix().len() + block.suffix(i).len(), block.entry(i).revision);
        (0..block.len()).map(entry).collect::<Vec<_>>()
    };
    assert_eq!(entries(&again), entries(&block));
}

fn node(bytes: &[u8]) {
    let right = sealed(bytes);
    assert!(right == bytes || Node::decode(bytes.into(), NUMBER, AT, 0..AT).is_err(), "the checksum wasn't looked at");
    let shared: Arc<[u8]> = right.as_slice().into();
    let Ok(node) = within(0, || Node::decode(shared, NUMBER, AT, 0..AT)) else { return };
    let (mut writer, mut end) = (NodeWriter::default(), 0);
    for i in 0..node.len() {
        let place = node.child(i);
        assert!(end <= place.start && place.start < place.end && place.end <= AT);
        assert_eq!(node.find(node.key(i)), Some(i));
        assert!(writer.push(place.start, (place.end - place.start) as u32, node.key(i)));
        end = place.end;
    }
    let _ = node.may_hold(filter::hash(b"key"));
    let mut out = Vec::new();
    writer.finish(NUMBER, AT, &mut out);
    let again = Node::decode(out.into(), NUMBER, AT, 0..AT).expect("just written");
    (0..node.len()).for_each(|i| assert_eq!((again.child(i), again.key(i)), (node.child(i), node.key(i))));
}

fn range_tombstones(bytes: &[u8]) {
    let (count, right) = (u64::from(bytes.first().copied().unwrap_or(0) % 8), sealed(bytes));
    let mut found = Vec::with_capacity(64);
    let read = within(24 * 64 * right.len(), || ranges::decode(&right, NUMBER, AT, count, |range| found.push(range)));
    if read.is_ok() {
        assert_eq!(found.len() as u64, count);
        let mut out = Vec::new();
        ranges::encode(found.into_iter(), NUMBER, AT, &mut out);
        assert_eq!(out, right);
    }
}

/// A table's content, and what becomes of its bytes.
#[derive(Arbitrary, Debug)]
struct Whole {
    keys: BTreeMap<Vec<u8>, Version>,
    ranges: BTreeMap<Vec<u8>, u8>,
    changes: Vec<(u16, u8)>,
    absent: Vec<u8>,
}

#[derive(Arbitrary, Clone, PartialEq, Debug)]
struct Version {
    revision: u8,
    tag: u64,
    /// Length and byte of the value; a tombstone without.
    value: Option<(u16, u8)>,
}

impl Version {
    fn value(&self) -> Option<(u64, Vec<u8>)> {
        self.value.map(|(len, byte)| (self.tag, vec![byte; usize::from(len) % 9000]))
    }

    fn revision(&self) -> u64 {
        100 + u64::from(self.revision)
    }
}

fn table(mut whole: Whole) {
    whole.keys.retain(|key, _| key.len() <= 1000);
    let memory = Memory::default();
    let file = memory.open("table-3", Access::CreateNew).expect("a new name");
    let name = TableName { store: [7; 16], number: NUMBER, from: 99, to: 400 };
    let mut builder = TableBuilder::new(file.clone(), name);
    for (key, version) in &whole.keys {
        let value = version.value();
        let stored = value.as_ref().map(|(tag, value)| (*tag, Stored::Inline(value)));
        builder.add(key, version.revision(), stored).expect("in order");
    }
    // Side by side: each ends where the next begins.
    let starts: Vec<&Vec<u8>> = whole.ranges.keys().collect();
    for pair in starts.windows(2) {
        builder.add_range(pair[0], pair[1], 100 + u64::from(whole.ranges[pair[0]]));
    }
    let size = builder.finish().expect("memory has room");
    let entry = TableEntry { number: NUMBER, from: 99, to: 400, size };
    let opened = open(&memory, entry).expect("just written");
    holds(&opened, &whole);
    let mut bytes = memory.files()["table-3"].clone();
    let parts = reseal::parts(&bytes);
    for (at, xor) in &whole.changes {
        let at = usize::from(*at) % bytes.len();
        bytes[at] ^= xor;
    }
    for part in parts {
        reseal::part(&mut bytes[part.clone()], NUMBER, part.start as u64);
    }
    reseal::footer(&mut bytes);
    file.write_at(&bytes, 0).expect("memory has room");
    // Whatever it says now: it ends, and no value is more than the file could hold.
    let Some(hostile) = open(&memory, entry) else { return };
    within(16 * bytes.len() + (64 << 10), || {
        let _ = hostile.verify();
        let mut cursor = hostile.cursor(true);
        let mut last: Option<Vec<u8>> = None;
        let mut moved = cursor.seek(b"");
        while let (Ok(()), Some(key)) = (&moved, cursor.key()) {
            assert!(last.as_deref() < Some(key), "a walk over a table ascends");
            last = Some(key.to_vec());
            moved = cursor.advance();
        }
        let _ = hostile.get(&whole.absent, |_| ());
    });
}

fn open(memory: &Memory, entry: TableEntry) -> Option<Arc<Table>> {
    let dir: Arc<dyn Directory> = Arc::new(memory.clone());
    Table::open(&dir, entry, &[], &[], [7; 16], Arc::new(BlockCache::new(1 << 16, 1 << 13))).ok().map(Arc::new)
}

fn holds(table: &Arc<Table>, whole: &Whole) {
    assert_eq!(table.verify(), [""; 0]);
    assert_eq!(table.len(), whole.keys.len() as u64);
    let mut cursor = table.cursor(true);
    cursor.seek(b"").expect("whole");
    for (key, version) in &whole.keys {
        let found = cursor.current().expect("no key is missing");
        assert_eq!((found.key, found.revision), (&key[..], version.revision()));
        assert_eq!(state(found.state), version.value());
        let got = table.get(key, |found| (found.revision, state(found.state))).expect("whole");
        assert_eq!(got, Some((version.revision(), version.value())));
        cursor.advance().expect("whole");
    }
    assert!(cursor.current().is_none());
    if !whole.keys.contains_key(&whole.absent) {
        assert!(table.get(&whole.absent, |_| ()).expect("whole").is_none());
    }
    let covering = whole.ranges.range(..=whole.absent.clone()).next_back();
    let is_last =
        covering.is_some_and(|(start, _)| whole.ranges.last_key_value().is_some_and(|(last, _)| last == start));
    let expected = covering.filter(|_| !is_last).map(|(_, revision)| 100 + u64::from(*revision));
    assert_eq!(table.range_revision(&whole.absent).expect("whole"), expected);
}

fn state(state: State<'_>) -> Option<(u64, Vec<u8>)> {
    match state {
        State::Tombstone => None,
        State::Live { tag, stored } => Some((tag, stored.bytes().expect("whole").into_owned())),
    }
}
