//! A frame: one atomic batch in the log.
//!
//! ```text
//!  0  u32 length of the whole frame, this header included
//!  4  u32 CRC32C of bytes 0..4 and 8..length, seeded with the segment's salt and the frame's own offset
//!  8  u32 CRC of the frame before (rule 1); of the segment's header for the first frame
//! 12  u8  flags: 1 = changes a lease; 3 bytes zero
//! 16  u64 durable_before: the position known committed when the frame was written
//! 24  u32 number of operations
//! 28  u32 zero
//! 32     operations
//!
//! operation:
//!  0  u8  kind: 1 put, 2 delete, 3 delete range; u8 zero
//!  2  u16 how many bytes the key shares with the (start) key of the operation before
//!  4  u16 how many bytes follow for the key
//!  put:          6 u32 length of the value; 10 u64 tag; 18 key bytes, value
//!  delete:       6 key bytes
//!  delete range: 6 u16 length of the end; 8 key bytes (start, included), end (excluded)
//! ```
//!
//! All keys of a frame, each counted whole, have at most 256 MiB. Delete ranges come first in a frame and hide only versions of earlier frames; of several puts and deletes of one key
//! the last wins. The tag is eight bytes of the layer above (the expiry).
//!
//! *Torn tail*: the log of an unsealed segment ends at the first frame that doesn't verify. The medium is assumed to write
//! a sector of 512 bytes whole or not at all. Numbers are never renumbered.

use super::checksum::{crc32c, matches};
use super::key::shared_len;
use super::position::Position;
use super::segment::{u16_at, u32_at, u64_at};
use crate::sabotage::{self, Sabotage};
use smallvec::SmallVec;

/// Bytes before the operations.
pub const HEADER_LEN: usize = 32;
/// The largest frame.
pub const MAX_LEN: usize = 256 << 20;
/// The longest key of the engine.
pub const MAX_KEY: usize = 16 << 10;
/// The most bytes that all keys of a frame have, each counted whole: a frame cuts them short, memory doesn't.
pub const MAX_KEYS: usize = 256 << 20;

/// Keys up to so many bytes take no allocation.
const USUAL_KEY: usize = 64;

/// Bytes of a put beside its key and its value.
pub const PUT_LEN: usize = 18;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_RANGE: u8 = 3;
const LEASE: u8 = 1;

/// Whether a frame may be so long: no other is written, or taken for one.
pub fn is_len(len: usize) -> bool {
    (HEADER_LEN..=MAX_LEN).contains(&len)
}

/// The operations of a frame, encoded as they are added.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Body {
    /// Room for the header comes first.
    bytes: Vec<u8>,
    count: u32,
    last: SmallVec<[u8; USUAL_KEY]>,
    lease: bool,
    frees_lease: bool,
    ranged: bool,
}

impl Default for Body {
    fn default() -> Body {
        Body::with_room(0)
    }
}

impl Body {
    /// No operation yet.
    pub fn new() -> Body {
        Body::default()
    }

    /// No operation yet, and room for so many bytes of operations.
    pub fn with_room(bytes: usize) -> Body {
        let mut header = Vec::with_capacity(HEADER_LEN + bytes);
        header.resize(HEADER_LEN, 0);
        Body { bytes: header, count: 0, last: SmallVec::new(), lease: false, frees_lease: false, ranged: false }
    }

    /// Puts a value. A key is at most [`MAX_KEY`] bytes.
    pub fn put(&mut self, key: &[u8], tag: u64, value: &[u8]) {
        self.bytes.reserve(PUT_LEN + key.len() + value.len());
        let suffix = self.head(PUT, key);
        self.bytes.extend_from_slice(&u32::try_from(value.len()).expect("a value is at most 64 MiB").to_le_bytes());
        self.bytes.extend_from_slice(&tag.to_le_bytes());
        self.bytes.extend_from_slice(&key[suffix..]);
        self.bytes.extend_from_slice(value);
        self.ranged = true;
    }

    /// Deletes a key.
    pub fn delete(&mut self, key: &[u8]) {
        let suffix = self.head(DELETE, key);
        self.bytes.extend_from_slice(&key[suffix..]);
        self.ranged = true;
    }

    /// Deletes every key from `start` on and before `end`. Before any put or delete of the same body.
    pub fn delete_range(&mut self, start: &[u8], end: &[u8]) {
        assert!(!self.ranged, "delete ranges come first in a frame");
        let suffix = self.head(DELETE_RANGE, start);
        self.bytes.extend_from_slice(&u16::try_from(end.len()).expect("a key is at most MAX_KEY bytes").to_le_bytes());
        self.bytes.extend_from_slice(&start[suffix..]);
        self.bytes.extend_from_slice(end);
    }

    /// Marks the frame as one that changes a lease: those who wait for leases wake when it is committed.
    pub fn changes_lease(&mut self) {
        self.lease = true;
    }

    /// The same, of a frame that gives a lease back: they wake as soon as it is appended.
    pub fn frees_lease(&mut self) {
        (self.lease, self.frees_lease) = (true, true);
    }

    /// Whether it is marked as one that changes a lease.
    pub fn is_lease(&self) -> bool {
        self.lease
    }

    /// Whether it is marked as one that gives a lease back.
    pub fn is_lease_freed(&self) -> bool {
        self.frees_lease
    }

    /// The length of the frame that this body makes.
    pub fn frame_len(&self) -> usize {
        self.bytes.len()
    }

    /// How many operations it has.
    pub fn operations(&self) -> u32 {
        self.count
    }

    fn head(&mut self, kind: u8, key: &[u8]) -> usize {
        assert!(key.len() <= MAX_KEY, "a key is at most MAX_KEY bytes");
        let shared = shared_len(&self.last, key);
        let [a, b] = u16::try_from(shared).expect("within MAX_KEY").to_le_bytes();
        let [c, d] = u16::try_from(key.len() - shared).expect("within MAX_KEY").to_le_bytes();
        self.bytes.extend_from_slice(&[kind, 0, a, b, c, d]);
        self.last.truncate(shared);
        self.last.extend_from_slice(&key[shared..]);
        self.count += 1;
        shared
    }

    /// Appends the frame to `out`, as it stands at `offset` of a segment with `salt`; returns its CRC.
    pub fn write_frame(
        self,
        out: &mut Vec<u8>,
        salt: u64,
        offset: u64,
        previous: u32,
        durable_before: Position,
    ) -> u32 {
        let (at, len) = (out.len(), u32::try_from(self.bytes.len()).expect("a frame is at most 256 MiB"));
        match at {
            // Mostly a commit is one frame, which is not copied then.
            0 => *out = self.bytes,
            _ => out.extend_from_slice(&self.bytes),
        }
        let frame = &mut out[at..];
        frame[..4].copy_from_slice(&len.to_le_bytes());
        frame[8..12].copy_from_slice(&previous.to_le_bytes());
        frame[12] = if self.lease { LEASE } else { 0 };
        frame[16..24].copy_from_slice(&durable_before.to_le_bytes());
        frame[24..28].copy_from_slice(&self.count.to_le_bytes());
        let crc = checksum(salt, offset, frame);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
        crc
    }
}

fn checksum(salt: u64, offset: u64, frame: &[u8]) -> u32 {
    // One short piece instead of three: most frames are short, too.
    let mut head = [0; 20];
    head[..8].copy_from_slice(&salt.to_le_bytes());
    head[8..16].copy_from_slice(&offset.to_le_bytes());
    head[16..].copy_from_slice(&frame[..4]);
    let place = if sabotage::is(Sabotage::Unchained) { &head[16..] } else { &head[..] };
    crc32c(crc32c(0, place), &frame[8..])
}

/// One operation of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op<'a> {
    /// A value for a key.
    Put {
        /// The key.
        key: &'a [u8],
        /// Eight bytes of the layer above.
        tag: u64,
        /// The value.
        value: &'a [u8],
        /// Where the value begins, counted from the frame's first byte.
        value_at: usize,
    },
    /// A key that goes.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// Every earlier version of the keys in `start..end` goes.
    DeleteRange {
        /// The first key.
        start: &'a [u8],
        /// The first key beyond.
        end: &'a [u8],
    },
}

/// A frame whose checksum matched.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The length that a frame's first four bytes claim; `None` if no frame has it.
    pub fn claimed_len(head: &[u8]) -> Option<usize> {
        let len = u32::from_le_bytes(*head.first_chunk()?) as usize;
        is_len(len).then_some(len)
    }

    /// The frame at the start of `bytes`, if its checksum matches as that of the frame at `offset` of a segment with `salt`.
    pub fn verify(bytes: &'a [u8], salt: u64, offset: u64) -> Option<Frame<'a>> {
        let bytes = bytes.get(..Frame::claimed_len(bytes)?)?;
        matches(checksum(salt, offset, bytes), u32_at(bytes, 4)).then_some(Frame { bytes })
    }

    /// The frame that [`Body::write_frame`] has just written, which needs no second look at its checksum.
    pub fn written(bytes: &'a [u8]) -> Frame<'a> {
        debug_assert_eq!(Frame::claimed_len(bytes), Some(bytes.len()), "one whole frame");
        Frame { bytes }
    }

    /// The length.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
    /// All of it.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
    /// Its own CRC.
    pub fn crc(&self) -> u32 {
        u32_at(self.bytes, 4)
    }
    /// The CRC of the frame before.
    pub fn previous(&self) -> u32 {
        u32_at(self.bytes, 8)
    }
    /// Whether it changes a lease.
    pub fn is_lease(&self) -> bool {
        self.bytes[12] & LEASE != 0
    }
    /// How many operations it claims, no more than it can hold.
    pub fn operations(&self) -> usize {
        (u32_at(self.bytes, 24) as usize).min(self.bytes.len() / 6)
    }
    /// The position known committed when it was written.
    pub fn durable_before(&self) -> Position {
        u64_at(self.bytes, 16)
    }

    /// Calls `f` for each operation in order. The error names what is wrong with the operations.
    pub fn each_op(&self, mut f: impl FnMut(Op<'_>)) -> Result<(), &'static str> {
        if self.bytes[13..16] != [0; 3] || self.bytes[28..32] != [0; 4] || self.bytes[12] & !LEASE != 0 {
            return Err("a reserved byte of the frame's header isn't zero");
        }
        let (mut at, mut key, mut ranges_over, mut keys) = (HEADER_LEN, SmallVec::<[u8; USUAL_KEY]>::new(), false, 0);
        for _ in 0..u32_at(self.bytes, 24) {
            let head = self.take(&mut at, 6)?;
            let (shared, suffix) = (u16_at(head, 2) as usize, u16_at(head, 4) as usize);
            if head[1] != 0 || shared > key.len() || shared + suffix > MAX_KEY {
                return Err("an operation's key is malformed");
            }
            keys += shared + suffix;
            if keys > MAX_KEYS {
                return Err("the keys of a frame are longer than those of any that is written");
            }
            key.truncate(shared);
            match head[0] {
                PUT => {
                    let rest = self.take(&mut at, 12)?;
                    key.extend_from_slice(self.take(&mut at, suffix)?);
                    let value_at = at;
                    let value = self.take(&mut at, u32_at(rest, 0) as usize)?;
                    f(Op::Put { key: &key, tag: u64_at(rest, 4), value, value_at });
                    ranges_over = true;
                }
                DELETE => {
                    key.extend_from_slice(self.take(&mut at, suffix)?);
                    f(Op::Delete { key: &key });
                    ranges_over = true;
                }
                DELETE_RANGE if !ranges_over => {
                    let end = u16_at(self.take(&mut at, 2)?, 0) as usize;
                    key.extend_from_slice(self.take(&mut at, suffix)?);
                    f(Op::DeleteRange { start: &key, end: self.take(&mut at, end)? });
                }
                _ => return Err("an operation is of no known kind, or a delete range comes late"),
            }
        }
        if at == self.bytes.len() { Ok(()) } else { Err("bytes follow the last operation") }
    }

    fn take(&self, at: &mut usize, len: usize) -> Result<&'a [u8], &'static str> {
        let bytes = self.bytes.get(*at..*at + len).ok_or("an operation is longer than its frame")?;
        *at += len;
        Ok(bytes)
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
