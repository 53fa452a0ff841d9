//! A node of a table's index: a leaf, whose children are data blocks, or the root, whose children are leaves.
//!
//! ```text
//!  0  u32 CRC32C of the rest, seeded with the table's number and the node's offset
//!  4  u32 number of children
//!  8  u32 lines of the filter (none in the root)
//! 12  u32 how many bytes all the last keys begin with alike
//! 16  the filter, 64 bytes a line ([`super::filter`])
//!     for each child: of its last key the 8 bytes after those, zeros where it is shorter
//!     for each child: u64 offset, u32 length, u32 where its last key ends, counted from the first key's begin
//!     the last keys of the children, one after the other
//! ```
//!
//! Children lie in the order of their keys and offsets, before their node. A leaf has at least one; the root of a table
//! without versions has none.

use super::filter::{self, LINE};
use super::{first, is_sealed, seal, u32_at, u64_at};
use crate::format::key::shared_len;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

const HEADER: usize = 16;
const CHILD: usize = 16;
const HEAD: usize = 8;

/// A node that was read and found to be well-formed.
#[derive(Debug)]
pub struct Node {
    bytes: Arc<[u8]>,
    count: usize,
    /// How many bytes all keys begin with alike.
    shared: usize,
    heads_at: usize,
    children_at: usize,
    keys_at: usize,
}

/// Some bytes of a key, such that they compare as the keys do, unless they are equal.
fn head_of(suffix: &[u8]) -> [u8; HEAD] {
    std::array::from_fn(|i| suffix.get(i).copied().unwrap_or(0))
}

fn number(head: [u8; HEAD]) -> u64 {
    u64::from_be_bytes(head)
}

impl Node {
    /// The node at `offset` of table `number`, whose children lie within `span` of the file. The error names what is wrong.
    pub fn decode(bytes: Arc<[u8]>, number: u64, offset: u64, span: Range<u64>) -> Result<Node, &'static str> {
        if !is_sealed(&bytes, number, offset) {
            return Err("the checksum of an index node doesn't match");
        }
        if bytes.len() < HEADER {
            return Err("an index node is malformed");
        }
        let (count, lines) = (u32_at(&bytes, 4) as usize, u32_at(&bytes, 8) as usize);
        let heads_at = HEADER + lines * LINE;
        let children_at = heads_at + count * HEAD;
        let keys_at = children_at + count * CHILD;
        if keys_at > bytes.len() {
            return Err("an index node is shorter than its parts");
        }
        let shared = u32_at(&bytes, 12) as usize;
        let node = Node { bytes, count, shared, heads_at, children_at, keys_at };
        node.check(span)?;
        Ok(node)
    }

    fn check(&self, span: Range<u64>) -> Result<(), &'static str> {
        let (mut floor, mut key_end) = (span.start, 0);
        for i in 0..self.count {
            let (child, end) = (self.child(i), self.key_end(i));
            if child.start < floor || child.start >= child.end || child.end > span.end {
                return Err("the children of an index node lie where they can't");
            }
            if end < key_end || end > self.bytes.len() - self.keys_at {
                return Err("the keys of an index node lie where they can't");
            }
            (floor, key_end) = (child.end, end);
            if i > 0 && self.key(i - 1) >= self.key(i) {
                return Err("the keys of an index node are not in order");
            }
            let (key, common) = (self.key(i), self.key(0).get(..self.shared));
            if key.get(..self.shared) != common
                || common.is_none()
                || self.head(i) != number(head_of(&key[self.shared..]))
            {
                return Err("the heads of an index node are not those of its keys");
            }
        }
        if key_end == self.bytes.len() - self.keys_at { Ok(()) } else { Err("bytes follow the keys of an index node") }
    }

    /// How many children there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no child.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many bytes the node has.
    pub fn weight(&self) -> usize {
        self.bytes.len()
    }

    /// Where child `i` lies in the file.
    pub fn child(&self, i: usize) -> Range<u64> {
        let at = self.children_at + i * CHILD;
        let offset = u64_at(&self.bytes, at);
        offset..offset.saturating_add(u64::from(u32_at(&self.bytes, at + 8)))
    }

    fn key_end(&self, i: usize) -> usize {
        u32_at(&self.bytes, self.children_at + i * CHILD + 12) as usize
    }

    /// The last key of child `i`.
    pub fn key(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.key_end(i - 1) };
        &self.bytes[self.keys_at + start..self.keys_at + self.key_end(i)]
    }

    fn head(&self, i: usize) -> u64 {
        u64_at(&self.bytes, self.heads_at + i * HEAD).swap_bytes()
    }

    /// The first child that may hold keys at or after `key`: the only one that may hold `key`.
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        let common = if self.count == 0 { return None } else { &self.key(0)[..self.shared] };
        let found = match key.strip_prefix(common) {
            Some(rest) => {
                let head = number(head_of(rest));
                first(self.count, |i| match self.head(i).cmp(&head) {
                    Ordering::Equal => self.key(i) < key,
                    unequal => unequal == Ordering::Less,
                })
            }
            None if key < common => 0,
            None => self.count,
        };
        (found < self.count).then_some(found)
    }

    /// Whether the filter may hold what has this hash ([`filter::hash`]).
    pub fn may_hold(&self, hash: u128) -> bool {
        filter::contains(&self.bytes[HEADER..self.heads_at], hash)
    }
}

/// Builds a node.
#[derive(Debug, Default)]
pub struct NodeWriter {
    children: Vec<u8>,
    keys: Vec<u8>,
    hashes: Vec<u128>,
}

impl NodeWriter {
    /// Adds a child. False if the node can't take it: its keys would be longer than 4 GiB.
    #[must_use]
    pub fn push(&mut self, offset: u64, len: u32, last_key: &[u8]) -> bool {
        let Ok(end) = u32::try_from(self.keys.len() + last_key.len()) else { return false };
        self.children.extend_from_slice(&offset.to_le_bytes());
        self.children.extend_from_slice(&len.to_le_bytes());
        self.children.extend_from_slice(&end.to_le_bytes());
        self.keys.extend_from_slice(last_key);
        true
    }

    /// Adds a key or a bucket's prefix to the filter.
    pub fn note(&mut self, hash: u128) {
        self.hashes.push(hash);
    }

    /// How many children there are.
    pub fn len(&self) -> usize {
        self.children.len() / CHILD
    }

    /// Whether there is no child.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// The bytes of the index, without the filter.
    pub fn index_len(&self) -> usize {
        HEADER + self.children.len() + self.keys.len()
    }

    /// How many entries the filter has.
    pub fn noted(&self) -> usize {
        self.hashes.len()
    }

    fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.children.chunks_exact(CHILD).map(|child| u32_at(child, 12) as usize);
        ends.scan(0, |start, end| Some(&self.keys[std::mem::replace(start, end)..end]))
    }

    /// Appends the node, which lies at `offset` of table `number`, to `out`, and begins the next one.
    pub fn finish(&mut self, number: u64, offset: u64, out: &mut Vec<u8>) {
        let at = out.len();
        let lines = if self.hashes.is_empty() { 0 } else { filter::lines(self.hashes.len()) };
        // Keys between the first and the last one begin as both do.
        let shared = self.keys().next().zip(self.keys().last()).map_or(0, |(first, last)| shared_len(first, last));
        out.extend_from_slice(&[0; 4]);
        for n in [self.len(), lines, shared] {
            out.extend_from_slice(&u32::try_from(n).expect("a node's parts are small").to_le_bytes());
        }
        let filter_at = out.len();
        out.resize(filter_at + lines * LINE, 0);
        for hash in self.hashes.drain(..) {
            filter::insert(&mut out[filter_at..], hash);
        }
        self.keys().for_each(|key| out.extend_from_slice(&head_of(&key[shared..])));
        out.append(&mut self.children);
        out.append(&mut self.keys);
        seal(out, at, number, offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut writer = NodeWriter::default();
        assert!(writer.push(100, 50, b"b") && writer.push(150, 20, b"bd") && writer.push(180, 9, b"x"));
        writer.note(filter::hash(b"bc"));
        let mut out = Vec::new();
        writer.finish(1, 200, &mut out);
        assert!(writer.is_empty() && writer.noted() == 0);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Node, &'static str> {
        Node::decode(bytes.into(), 1, 200, 100..200)
    }

    #[test]
    fn a_key_is_found_in_the_first_child_that_ends_at_or_after_it() {
        let node = decode(&sample()).unwrap();
        for (key, child) in
            [(&b""[..], Some(0)), (b"b", Some(0)), (b"b\0", Some(1)), (b"bd", Some(1)), (b"c", Some(2)), (b"y", None)]
        {
            assert_eq!(node.find(key), child, "{key:?}");
        }
        assert_eq!((node.len(), node.child(1), node.key(1)), (3, 150..170, &b"bd"[..]));
        assert_eq!((node.is_empty(), node.weight()), (false, sample().len()));
        assert!(node.may_hold(filter::hash(b"bc")) && !node.may_hold(filter::hash(b"bb")));
    }

    #[test]
    fn children_outside_their_span_and_other_places_are_found() {
        let bytes = sample();
        assert!(Node::decode(bytes.clone().into(), 1, 201, 100..200).is_err());
        assert!(Node::decode(bytes.clone().into(), 2, 200, 100..200).is_err());
        assert!(Node::decode(bytes.clone().into(), 1, 200, 101..200).is_err());
        assert!(Node::decode(bytes.into(), 1, 200, 100..188).is_err());
    }

    #[test]
    fn keys_out_of_order_are_found() {
        for keys in [[&b"b"[..], b"a"], [b"b", b"b"]] {
            let mut writer = NodeWriter::default();
            assert!(writer.push(100, 50, keys[0]) && writer.push(150, 20, keys[1]));
            assert_eq!(writer.index_len(), HEADER + 2 * CHILD + 2);
            let mut out = Vec::new();
            writer.finish(1, 200, &mut out);
            assert_eq!(decode(&out).unwrap_err(), "the keys of an index node are not in order");
        }
    }

    #[test]
    fn the_empty_key_may_be_the_last_of_the_first_child() {
        let (mut writer, mut out) = (NodeWriter::default(), Vec::new());
        assert!(writer.push(100, 50, b"") && writer.push(150, 20, b"a"));
        writer.finish(1, 200, &mut out);
        let node = decode(&out).unwrap();
        assert_eq!((node.find(b""), node.find(b"a"), node.find(b"b")), (Some(0), Some(1), None));
    }

    #[test]
    fn a_node_without_children_holds_nothing() {
        let mut out = Vec::new();
        NodeWriter::default().finish(1, 200, &mut out);
        let node = decode(&out).unwrap();
        assert!(node.is_empty() && node.find(b"").is_none());
    }

    #[test]
    fn hostile_bytes_with_a_right_checksum_never_panic() {
        let good = sample();
        for at in 4..good.len() {
            for value in [0, 1, 127, 128, 255] {
                let mut bad = good.clone();
                bad[at] = value;
                seal(&mut bad, 0, 1, 200);
                if let Ok(node) = decode(&bad) {
                    let _ = (node.find(b"bd"), node.may_hold(filter::hash(b"bc")));
                }
            }
        }
        for len in 0..good.len() {
            let mut short = good[..len].to_vec();
            if len >= 4 {
                seal(&mut short, 0, 1, 200);
            }
            assert!(decode(&short).is_err(), "length {len}");
        }
    }
}
