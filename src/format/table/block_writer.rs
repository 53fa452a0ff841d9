//! Writes data blocks, as [`super::block`] specifies them.

use super::block::{
    Content, ENTRY, EXTENT, HEAD, HEADER, HOLDER, IN_LOG, IN_TABLE, INLINE, OUTSIDE, SLOT, TARGET, TOMBSTONE, head_of,
};
use super::{Extent, seal};
use crate::format::key::shared_len;
use crate::format::manifest::Holder;
use crate::format::position::Position;

/// Builds a block.
#[derive(Debug, Default)]
pub struct BlockWriter {
    /// For each entry its fixed part (whose length of the key is filled in at the end), and where its key and value end.
    entries: Vec<([u8; ENTRY], usize, usize)>,
    keys: Vec<u8>,
    values: Vec<u8>,
    shared: usize,
}

impl BlockWriter {
    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn first_key(&self) -> &[u8] {
        self.entries.first().map_or(&[], |(_, end, _)| &self.keys[..*end])
    }

    fn shared_with(&self, key: &[u8]) -> usize {
        if self.is_empty() { key.len() } else { shared_len(&self.first_key()[..self.shared], key) }
    }

    /// Whether the block has room for one more entry; an empty one always has.
    pub fn has_room(&self, key: &[u8], content: &Content<'_>) -> bool {
        self.fits(key.len(), self.shared_with(key), content)
    }

    /// Whether there is room for an entry with which all keys share so much.
    fn fits(&self, key_len: usize, shared: usize, content: &Content<'_>) -> bool {
        let value = match content {
            Content::Tombstone => 0,
            Content::Inline(_, value) => value.len(),
            Content::Extent(..) => EXTENT,
            Content::Elsewhere(..) => EXTENT + HOLDER,
        };
        let count = self.entries.len() + 1;
        let keys = self.keys.len() + key_len - shared * count;
        self.is_empty() || HEADER + shared + count * (HEAD + SLOT + ENTRY) + keys + self.values.len() + value <= TARGET
    }

    /// Adds an entry; its key is greater than the last one, at most [`super::super::frame::MAX_KEY`] bytes, and an inline
    /// value is at most 4096 bytes.
    pub fn push(&mut self, key: &[u8], revision: Position, content: &Content<'_>) {
        self.put(key, self.shared_with(key), revision, content);
    }

    /// The same, if the block has room; false if it hasn't.
    #[must_use]
    pub fn push_if_room(&mut self, key: &[u8], revision: Position, content: &Content<'_>) -> bool {
        let shared = self.shared_with(key);
        let fits = self.fits(key.len(), shared, content);
        if fits {
            self.put(key, shared, revision, content);
        }
        fits
    }

    fn put(&mut self, key: &[u8], shared: usize, revision: Position, content: &Content<'_>) {
        self.shared = shared;
        let (kind, tag) = match *content {
            Content::Tombstone => (TOMBSTONE, 0),
            Content::Inline(tag, value) => {
                self.values.extend_from_slice(value);
                (INLINE, tag)
            }
            Content::Extent(tag, extent) => {
                self.put_extent(extent);
                (OUTSIDE, tag)
            }
            Content::Elsewhere(tag, holder, extent) => {
                self.put_extent(extent);
                let (kind, number) = match holder {
                    Holder::Log(number) => (IN_LOG, number),
                    Holder::Table(number) => (IN_TABLE, number),
                };
                self.values.extend_from_slice(&number.to_le_bytes());
                (kind, tag)
            }
        };
        self.keys.extend_from_slice(key);
        let mut fixed = [0; ENTRY];
        fixed[0..8].copy_from_slice(&revision.to_le_bytes());
        fixed[8..16].copy_from_slice(&tag.to_le_bytes());
        fixed[18] = kind;
        self.entries.push((fixed, self.keys.len(), self.values.len()));
    }

    fn put_extent(&mut self, extent: Extent) {
        self.values.extend_from_slice(&extent.offset.to_le_bytes());
        self.values.extend_from_slice(&extent.len.to_le_bytes());
        self.values.extend_from_slice(&extent.crc.to_le_bytes());
    }

    /// Appends the block, which lies at `offset` of table `number`, to `out`, and begins the next one.
    pub fn finish(&mut self, number: u64, offset: u64, out: &mut Vec<u8>) {
        let (at, shared) = (out.len(), self.shared);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&small(self.entries.len()));
        out.extend_from_slice(&small(shared));
        out.extend_from_slice(&self.first_key()[..shared]);
        let (mut key_at, mut value_at) = (0, 0);
        for (_, key_end, _) in &self.entries {
            out.extend_from_slice(&head_of(&self.keys[key_at + shared..*key_end]));
            key_at = *key_end;
        }
        key_at = 0;
        let slots_at = out.len();
        out.resize(slots_at + self.entries.len() * SLOT, 0);
        for (i, (mut fixed, key_end, value_end)) in self.entries.drain(..).enumerate() {
            let begins = small(out.len() - at);
            out[slots_at + i * SLOT..slots_at + (i + 1) * SLOT].copy_from_slice(&begins);
            let suffix = &self.keys[key_at + shared..key_end];
            fixed[16..18].copy_from_slice(&small(suffix.len()));
            out.extend_from_slice(&fixed);
            out.extend_from_slice(suffix);
            out.extend_from_slice(&self.values[value_at..value_end]);
            (key_at, value_at) = (key_end, value_end);
        }
        seal(out, at, number, offset);
        self.keys.clear();
        self.values.clear();
        self.shared = 0;
    }
}

fn small(n: usize) -> [u8; 2] {
    u16::try_from(n).expect("a block is at most 4 KiB, or one key of 16 KiB and one value of 4 KiB").to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_stays_below_its_target_when_the_prefix_shrinks() {
        let mut writer = BlockWriter::default();
        let mut key = vec![b'a'; 1000];
        let content = Content::Tombstone;
        while writer.push_if_room(&key, 1, &content) {
            let last = key.len() - 1;
            if key[last] == u8::MAX { key.push(0) } else { key[last] += 1 }
        }
        assert!(writer.entries.len() > (TARGET - key.len()) / 30, "{}", writer.entries.len());
        assert!(!writer.has_room(b"b", &content));
        let mut out = Vec::new();
        writer.finish(1, 0, &mut out);
        assert!(out.len() <= TARGET && out.len() > TARGET - 100, "{}", out.len());
        let (key, value) = (vec![7; crate::format::frame::MAX_KEY], vec![8; 4096]);
        assert!(writer.has_room(&key, &Content::Inline(1, &value)));
        assert!(writer.push_if_room(&key, 1, &Content::Inline(1, &value)));
        writer.finish(1, 0, &mut out);
    }

    #[test]
    fn a_block_stays_below_its_target_whatever_it_holds() {
        let (mut writer, mut out) = (BlockWriter::default(), Vec::new());
        let contents = [Content::Tombstone, Content::Inline(1, &[9; 50]), Content::Inline(1, &[9; 300])];
        let mut entries = contents.iter().cycle().zip(0_u32..);
        assert!(entries.any(|(content, key)| !writer.push_if_room(&key.to_be_bytes(), 1, content)));
        writer.finish(1, 0, &mut out);
        assert!(out.len() <= TARGET && out.len() > TARGET - 400, "{}", out.len());
    }
}
