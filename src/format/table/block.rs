//! A data block: versions in the order of their keys, searched by bisection without decoding it. At most 4 KiB, or one
//! entry. Written by [`super::block_writer`].
//!
//! ```text
//! 0  u32 CRC32C of the rest, seeded with the table's number and the block's offset
//! 4  u16 number of entries, at least 1
//! 6  u16 length of the prefix
//! 8  the prefix: what all keys begin with
//!    for each entry: the first 4 bytes of the rest of its key, zeros where it is shorter
//!    for each entry: u16 where it begins, counted from the block's begin
//!    entries; each ends where the next begins
//!
//! entry:
//!  0  u64 revision
//!  8  u64 tag (0 of a tombstone)
//! 16  u16 length of the rest of the key
//! 18  u8  kind: 0 tombstone, 1 value inline, 2 value in an extent of this file, 3 of a log segment, 4 of another table; u8 zero
//! 20  the rest of the key
//!     inline: the value; extent: u64 offset, u32 length, u32 CRC32C of the value; kinds 3 and 4: u64 number of the file
//! ```

use super::{Extent, first, is_sealed, u16_at, u32_at, u64_at};
use crate::format::manifest::Holder;
use crate::format::position::Position;
use std::cmp::Ordering;
use std::sync::Arc;

/// The size up to which a block is filled.
pub const TARGET: usize = 4 << 10;
pub(super) const HEADER: usize = 8;
pub(super) const HEAD: usize = 4;
pub(super) const SLOT: usize = 2;
pub(super) const ENTRY: usize = 20;
pub(super) const EXTENT: usize = 16;

pub(super) const TOMBSTONE: u8 = 0;
pub(super) const INLINE: u8 = 1;
pub(super) const OUTSIDE: u8 = 2;
pub(super) const IN_LOG: u8 = 3;
pub(super) const IN_TABLE: u8 = 4;
/// The length of the number of a file that holds a value.
pub(super) const HOLDER: usize = 8;

/// What an entry says of its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content<'a> {
    /// It was deleted.
    Tombstone,
    /// Tag and value.
    Inline(u64, &'a [u8]),
    /// Tag and the value's place in the table's file.
    Extent(u64, Extent),
    /// Tag and the value's place in a value file.
    Elsewhere(u64, Holder, Extent),
}

/// An entry of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// What follows the block's prefix in its key.
    pub suffix: &'a [u8],
    /// The version's revision.
    pub revision: Position,
    /// What it says.
    pub content: Content<'a>,
}

/// A block that was read and found to be well-formed; shared by all who hold a clone. It is one piece of memory, and the
/// heads lie together, so that a search touches few cache lines.
#[derive(Clone, Debug)]
pub struct Block {
    bytes: Arc<[u8]>,
}

/// The first bytes of the rest of a key, such that they compare as the keys do, unless they are equal.
pub(super) fn head_of(suffix: &[u8]) -> [u8; HEAD] {
    std::array::from_fn(|i| suffix.get(i).copied().unwrap_or(0))
}

fn extent_at(bytes: &[u8]) -> Extent {
    Extent { offset: u64_at(bytes, 0), len: u32_at(bytes, 8), crc: u32_at(bytes, 12) }
}

impl Block {
    /// The block at `offset` of table `number`; its extents lie before it. The error names what is wrong.
    pub fn decode(bytes: Arc<[u8]>, number: u64, offset: u64) -> Result<Block, &'static str> {
        if !is_sealed(&bytes, number, offset) {
            return Err("the checksum of a block doesn't match");
        }
        if bytes.len() < HEADER {
            return Err("a block is shorter than its header");
        }
        let block = Block { bytes };
        let entries_at = block.heads_at() + block.len() * (HEAD + SLOT);
        if block.len() == 0 || entries_at > block.bytes.len() {
            return Err("a block is shorter than its parts");
        }
        if block.slot(0) != entries_at {
            return Err("the first entry of a block lies where it can't");
        }
        for i in 0..block.len() {
            block.check(i, offset)?;
        }
        Ok(block)
    }

    fn check(&self, i: usize, offset: u64) -> Result<(), &'static str> {
        let (at, end) = (self.slot(i), self.end(i));
        if at + ENTRY > end || end > self.bytes.len() {
            return Err("an entry of a block lies where it can't");
        }
        let room = (end - at - ENTRY).checked_sub(usize::from(u16_at(&self.bytes, at + 16)));
        let room = room.ok_or("a key is longer than its entry")?;
        match self.bytes[at + 18] {
            TOMBSTONE if room == 0 && u64_at(&self.bytes, at + 8) == 0 => {}
            INLINE => {}
            OUTSIDE if room == EXTENT => {
                let (from, len) = (u64_at(&self.bytes, end - EXTENT), u32_at(&self.bytes, end - EXTENT + 8));
                if from.checked_add(u64::from(len)).is_none_or(|to| to > offset) {
                    return Err("an extent lies where it can't");
                }
            }
            IN_LOG | IN_TABLE if room == EXTENT + HOLDER => {}
            _ => return Err("an entry of a block is malformed"),
        }
        if self.bytes[at + 19] != 0 {
            return Err("a reserved byte of an entry isn't zero");
        }
        if self.head(i) != u32::from_be_bytes(head_of(self.suffix(i))) {
            return Err("the head of a key isn't that of the key");
        }
        if i > 0 && self.suffix(i - 1) >= self.suffix(i) {
            return Err("the keys of a block are not in order");
        }
        Ok(())
    }

    /// Where the heads begin, which is where the prefix ends.
    fn heads_at(&self) -> usize {
        HEADER + usize::from(u16_at(&self.bytes, 6))
    }

    fn head(&self, i: usize) -> u32 {
        u32_at(&self.bytes, self.heads_at() + i * HEAD).swap_bytes()
    }

    fn slot(&self, i: usize) -> usize {
        usize::from(u16_at(&self.bytes, self.heads_at() + self.len() * HEAD + i * SLOT))
    }

    fn end(&self, i: usize) -> usize {
        if i + 1 < self.len() { self.slot(i + 1) } else { self.bytes.len() }
    }

    /// How many entries there are: at least one.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        usize::from(u16_at(&self.bytes, 4))
    }

    /// The block as it is in the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What all keys begin with.
    pub fn prefix(&self) -> &[u8] {
        &self.bytes[HEADER..self.heads_at()]
    }

    /// What follows the prefix in the key of entry `i`.
    #[inline]
    pub fn suffix(&self, i: usize) -> &[u8] {
        let at = self.slot(i);
        &self.bytes[at + ENTRY..at + ENTRY + usize::from(u16_at(&self.bytes, at + 16))]
    }

    /// Compares the key of entry `i` with `key`.
    pub fn compare(&self, i: usize, key: &[u8]) -> Ordering {
        let prefix = self.prefix();
        match key.get(..prefix.len()) {
            Some(start) if start == prefix => self.suffix(i).cmp(&key[prefix.len()..]),
            _ => prefix.cmp(key),
        }
    }

    /// The entry of the key.
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        let suffix = key.strip_prefix(self.prefix())?;
        let i = self.bisect(suffix);
        (i < self.len() && self.suffix(i) == suffix).then_some(i)
    }

    /// The number of the first entry at or after the key; [`Block::len`] if all are before it.
    pub fn lower_bound(&self, key: &[u8]) -> usize {
        match key.strip_prefix(self.prefix()) {
            Some(suffix) => self.bisect(suffix),
            None if key < self.prefix() => 0,
            None => self.len(),
        }
    }

    fn bisect(&self, suffix: &[u8]) -> usize {
        let head = u32::from_be_bytes(head_of(suffix));
        first(self.len(), |i| match self.head(i).cmp(&head) {
            Ordering::Equal => self.suffix(i) < suffix,
            unequal => unequal == Ordering::Less,
        })
    }

    /// The values that lie in value files. A look at the kinds alone, since most blocks have none.
    pub fn elsewhere(&self) -> impl Iterator<Item = (Holder, Extent)> {
        let others = (0..self.len()).filter(|i| self.bytes[self.slot(*i) + 18] >= IN_LOG);
        others.filter_map(|i| match self.entry(i).content {
            Content::Elsewhere(_, holder, extent) => Some((holder, extent)),
            _ => None,
        })
    }

    /// Entry `i`. (Inlined, or a listing writes it to the stack and reads it back.)
    #[inline(always)]
    pub fn entry(&self, i: usize) -> Entry<'_> {
        let (at, end) = (self.slot(i), self.end(i));
        let suffix = self.suffix(i);
        let rest = &self.bytes[at + ENTRY + suffix.len()..end];
        let tag = u64_at(&self.bytes, at + 8);
        let content = match self.bytes[at + 18] {
            TOMBSTONE => Content::Tombstone,
            INLINE => Content::Inline(tag, rest),
            OUTSIDE => Content::Extent(tag, extent_at(rest)),
            IN_LOG => Content::Elsewhere(tag, Holder::Log(u64_at(rest, EXTENT)), extent_at(rest)),
            _ => Content::Elsewhere(tag, Holder::Table(u64_at(rest, EXTENT)), extent_at(rest)),
        };
        Entry { suffix, revision: u64_at(&self.bytes, at), content }
    }
}

#[cfg(test)]
mod tests {
    use super::super::block_writer::BlockWriter;
    use super::super::seal;
    use super::*;

    const EXTENT_OF_TEST: Extent = Extent { offset: 5, len: 6000, crc: 9 };
    const SAMPLE: [(&[u8], u64, Content<'_>); 6] = [
        (b"b\x01a", 10, Content::Inline(1, b"one")),
        (b"b\x01aa", 11, Content::Tombstone),
        (b"b\x01b", 12, Content::Inline(0, b"")),
        (b"b\x01c", 13, Content::Extent(7, EXTENT_OF_TEST)),
        (b"b\x01e", 14, Content::Elsewhere(8, Holder::Log(3), Extent { offset: u64::MAX, ..EXTENT_OF_TEST })),
        (b"b\x01f", 15, Content::Elsewhere(0, Holder::Table(u64::MAX), EXTENT_OF_TEST)),
    ];

    fn sample() -> Vec<u8> {
        let (mut writer, mut out) = (BlockWriter::default(), vec![1, 2]);
        for (key, revision, content) in &SAMPLE {
            assert!(writer.has_room(key, content));
            writer.push(key, *revision, content);
        }
        writer.finish(4, 7000, &mut out);
        assert!(writer.is_empty());
        out.split_off(2)
    }

    fn decode(bytes: &[u8]) -> Result<Block, &'static str> {
        Block::decode(bytes.into(), 4, 7000)
    }

    #[test]
    fn what_is_written_is_found() {
        let block = decode(&sample()).unwrap();
        assert_eq!((block.len(), block.prefix()), (SAMPLE.len(), &b"b\x01"[..]));
        for (i, (key, revision, content)) in SAMPLE.iter().enumerate() {
            assert_eq!(block.find(key), Some(i));
            assert_eq!(block.entry(i), Entry { suffix: &key[2..], revision: *revision, content: *content });
            assert_eq!(block.compare(i, key), Ordering::Equal);
        }
        for absent in [&b""[..], b"b", b"b\x01", b"b\x01ab", b"b\x01d", b"c", b"a"] {
            assert_eq!(block.find(absent), None);
            let bound = SAMPLE.iter().take_while(|(key, ..)| *key < absent).count();
            assert_eq!(block.lower_bound(absent), bound, "{absent:?}");
            assert_eq!(block.compare(0, absent), SAMPLE[0].0.cmp(absent), "{absent:?}");
        }
    }

    #[test]
    fn another_place_and_an_extent_beyond_the_block_are_found() {
        assert!(Block::decode(sample().into(), 4, 7001).is_err());
        assert!(Block::decode(sample().into(), 5, 7000).is_err());
        let mut out = Vec::new();
        let mut writer = BlockWriter::default();
        writer.push(b"k", 1, &Content::Extent(0, EXTENT_OF_TEST));
        writer.finish(4, 6004, &mut out);
        assert_eq!(Block::decode(out.into(), 4, 6004).unwrap_err(), "an extent lies where it can't");
    }

    #[test]
    fn an_entry_of_the_wrong_kind_is_found() {
        let good = decode(&sample()).unwrap();
        assert_eq!(good.bytes().len(), sample().len());
        for i in 0..good.len() {
            let kind = good.slot(i) + 18;
            for other in (0..=5).filter(|other| *other != good.bytes[kind]) {
                let mut bad = sample();
                bad[kind] = other;
                seal(&mut bad, 0, 4, 7000);
                // Any bytes are a value, an empty one without a tag differs from a tombstone by its kind alone, and so do values in
                // a segment and in a table.
                let fits = other == INLINE || [(2, TOMBSTONE), (4, IN_TABLE), (5, IN_LOG)].contains(&(i, other));
                assert_eq!(decode(&bad).is_ok(), fits, "entry {i} as kind {other}");
            }
            let mut tagged = sample();
            tagged[good.slot(i) + 8] ^= 0x80;
            seal(&mut tagged, 0, 4, 7000);
            assert_eq!(decode(&tagged).is_err(), good.bytes[kind] == TOMBSTONE, "entry {i}");
        }
    }

    #[test]
    fn a_place_in_the_file_has_its_one_length() {
        for len in 0..2 * EXTENT {
            let (mut writer, mut out, value) = (BlockWriter::default(), Vec::new(), vec![0; len]);
            writer.push(b"k", 1, &Content::Inline(0, &value));
            writer.finish(4, 7000, &mut out);
            let kind = decode(&out).unwrap().slot(0) + 18;
            for (place, right) in [(OUTSIDE, EXTENT), (IN_LOG, EXTENT + HOLDER), (IN_TABLE, EXTENT + HOLDER)] {
                out[kind] = place;
                seal(&mut out, 0, 4, 7000);
                assert_eq!(decode(&out).is_ok(), len == right, "{len} bytes of kind {place}");
            }
        }
    }

    #[test]
    fn a_key_beyond_the_last_is_not_looked_up_in_what_follows_the_slots() {
        // The first entry begins with a revision, whose bytes would be a slot far outside.
        let (mut writer, mut out) = (BlockWriter::default(), Vec::new());
        writer.push(b"k", u64::MAX, &Content::Tombstone);
        writer.push(b"l", 1, &Content::Tombstone);
        writer.finish(4, 7000, &mut out);
        let block = decode(&out).unwrap();
        assert_eq!((block.find(b"z"), block.lower_bound(b"z")), (None, 2));
    }

    #[test]
    fn hostile_bytes_with_a_right_checksum_never_panic() {
        let good = sample();
        for at in 4..good.len() {
            for value in [0, 1, 2, 3, 4, 5, 127, 128, 255] {
                let mut bad = good.clone();
                bad[at] = value;
                seal(&mut bad, 0, 4, 7000);
                if let Ok(block) = decode(&bad) {
                    let _ = (block.find(b"b\x01b"), block.lower_bound(b"b\x01b"));
                    (0..block.len()).for_each(|i| assert!(block.entry(i).suffix.len() < bad.len()));
                }
            }
        }
        for len in 0..good.len() {
            let mut short = good[..len].to_vec();
            if len >= 4 {
                seal(&mut short, 0, 4, 7000);
            }
            let _ = decode(&short);
        }
    }
}
