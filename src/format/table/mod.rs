//! A sorted table, file `table-<n>`: the newest version of each key that a stretch of the log wrote. Never changed.
//!
//! ```text
//! groups, in the order of their keys:
//!     for each data block: the extents that its entries name in this file, in their order, then the block ([block])
//!     the group's leaf: an index of its data blocks, and a filter of its keys                       ([node])
//! range tombstones, if there are any                                                                ([ranges])
//! root: an index of the leaves                                                                      ([node])
//! footer, 128 bytes
//! ```
//!
//! No byte lies between them. Blocks, nodes and range tombstones begin with a CRC32C of the rest of them, seeded with the
//! table's number and their own offset (8 bytes each), so that none passes for another. An *extent* is the bytes of one
//! large value, of this file or of a *value file* that the manifest names beside the table; the entry that names it has its
//! CRC32C (seed 0). To find a key takes the root, one leaf and one data block.
//!
//! The footer:
//!
//! ```text
//!   0  8  magic "DIRKVTAB"
//!   8  u32 format version: 2; 1 doesn't count large values, and names none in other files
//!  12  u32 zero
//!  16  16 store id
//!  32  u64 table number, as in the file's name
//!  40  u64 from, 48 u64 to: it holds the log after the position `from`, up to `to`
//!  56  u64 versions, 64 u64 tombstones among them
//!  72  u64 bytes of all keys and values
//!  80  u64 where the range tombstones begin; 88 u64 how many
//!  96  u64 where the root begins; it ends where the footer begins
//! 104  u64 bytes of the large values in this file; 112 12 zero
//! 124  u32 CRC32C of bytes 0..124
//! ```

pub mod block;
pub mod block_writer;
pub mod filter;
pub mod node;
pub mod ranges;

use super::checksum::{crc32c, matches};
use super::manifest::{FIRST_VERSION, FORMAT_VERSION, StoreId};
use super::position::Position;
use std::hint::select_unpredictable;

/// The footer's length.
pub const FOOTER_LEN: usize = 128;
const MAGIC: &[u8; 8] = b"DIRKVTAB";

/// A value's place in a file that the owner knows: a log segment or a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// The offset of its first byte.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u32,
    /// CRC32C of its bytes.
    pub crc: u32,
}

/// The footer of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Footer {
    /// The store it belongs to.
    pub store: StoreId,
    /// Its number.
    pub number: u64,
    /// It holds the log after this position,
    pub from: Position,
    /// up to this one.
    pub to: Position,
    /// How many versions it holds, tombstones included.
    pub versions: u64,
    /// How many of them are tombstones.
    pub tombstones: u64,
    /// The bytes of all keys and values.
    pub bytes: u64,
    /// Where the range tombstones begin, which is where the groups end.
    pub ranges_at: u64,
    /// How many range tombstones there are.
    pub ranges: u64,
    /// Where the root begins.
    pub root_at: u64,
    /// The bytes of the large values in this file; `None` of the first format, which doesn't count them.
    pub large: Option<u64>,
}

/// Why bytes are no footer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// A newer library wrote it.
    Version(u32),
    /// Something is wrong with it.
    Damage(&'static str),
}

impl Footer {
    /// The bytes on disk.
    pub fn encode(&self) -> [u8; FOOTER_LEN] {
        let mut bytes = [0; FOOTER_LEN];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.store);
        let numbers = [
            self.number,
            self.from,
            self.to,
            self.versions,
            self.tombstones,
            self.bytes,
            self.ranges_at,
            self.ranges,
            self.root_at,
            self.large.unwrap_or(0),
        ];
        for (at, n) in (32..).step_by(8).zip(numbers) {
            bytes[at..at + 8].copy_from_slice(&n.to_le_bytes());
        }
        let crc = crc32c(0, &bytes[..124]);
        bytes[124..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the footer of a file of `size` bytes back.
    pub fn decode(bytes: &[u8; FOOTER_LEN], size: u64) -> Result<Footer, Flaw> {
        if &bytes[..8] != MAGIC {
            return Err(Flaw::Damage("no table ends with these bytes"));
        }
        // The version is believed before the checksum: a later format may have another one.
        let version = u32_at(bytes, 8);
        if version > FORMAT_VERSION {
            return Err(Flaw::Version(version));
        }
        if version == 0 || !matches(crc32c(0, &bytes[..124]), u32_at(bytes, 124)) {
            return Err(Flaw::Damage("the checksum of the table's footer doesn't match"));
        }
        if bytes[12..16] != [0; 4] || bytes[112..124] != [0; 12] {
            return Err(Flaw::Damage("a reserved byte of the table's footer isn't zero"));
        }
        let footer = Footer {
            store: std::array::from_fn(|i| bytes[16 + i]),
            number: u64_at(bytes, 32),
            from: u64_at(bytes, 40),
            to: u64_at(bytes, 48),
            versions: u64_at(bytes, 56),
            tombstones: u64_at(bytes, 64),
            bytes: u64_at(bytes, 72),
            ranges_at: u64_at(bytes, 80),
            ranges: u64_at(bytes, 88),
            root_at: u64_at(bytes, 96),
            large: (version != FIRST_VERSION).then(|| u64_at(bytes, 104)),
        };
        let end = size.checked_sub(FOOTER_LEN as u64);
        let ordered = footer.ranges_at <= footer.root_at && end.is_some_and(|end| footer.root_at <= end);
        let counted = (footer.ranges == 0) == (footer.ranges_at == footer.root_at)
            && (version != FIRST_VERSION || u64_at(bytes, 104) == 0);
        if !ordered || !counted || footer.from >= footer.to || footer.tombstones > footer.versions {
            return Err(Flaw::Damage("the numbers in the table's footer contradict each other"));
        }
        Ok(footer)
    }
}

/// The checksum of a part that lies at `offset` of table `number` and begins with room for it.
fn checksum(number: u64, offset: u64, part: &[u8]) -> u32 {
    let seed = crc32c(crc32c(0, &number.to_le_bytes()), &offset.to_le_bytes());
    crc32c(seed, &part[4..])
}

/// Fills in the checksum of the part that ends `out` and began at its index `at`.
pub(crate) fn seal(out: &mut [u8], at: usize, number: u64, offset: u64) {
    let crc = checksum(number, offset, &out[at..]);
    out[at..at + 4].copy_from_slice(&crc.to_le_bytes());
}

/// Whether a part's checksum matches.
fn is_sealed(part: &[u8], number: u64, offset: u64) -> bool {
    part.len() >= 4 && matches(checksum(number, offset, part), u32_at(part, 0))
}

/// The first number below `count` for which `before` is false, else `count`; it is true for all below that, and for none
/// above. Without a branch that would depend on the answers: they can't be foretold.
fn first(count: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut size) = (0, count);
    while size > 1 {
        let half = size / 2;
        low = select_unpredictable(before(low + half), low + half, low);
        size -= half;
    }
    low + usize::from(size == 1 && before(low))
}

// One bounds check and one load each, since searches read many numbers.
#[inline]
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}
#[inline]
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}
#[inline]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}
#[inline]
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Footer {
        Footer {
            store: [3; 16],
            number: 7,
            from: 10,
            to: 20,
            versions: 5,
            tombstones: 2,
            bytes: 77,
            ranges_at: 100,
            ranges: 1,
            root_at: 140,
            large: Some(60),
        }
    }

    #[test]
    fn a_footer_is_read_back_and_no_flipped_bit_passes() {
        let bytes = sample().encode();
        assert_eq!(Footer::decode(&bytes, 300), Ok(sample()));
        for i in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[i / 8] ^= 1 << (i % 8);
            assert!(Footer::decode(&bad, 300).is_err(), "bit {i}");
        }
    }

    #[test]
    fn a_newer_format_is_named_and_contradictions_are_found() {
        let mut newer = sample().encode();
        newer[8] = 3;
        assert_eq!(Footer::decode(&newer, 300), Err(Flaw::Version(3)));
        let as_first = |footer: &Footer| {
            let mut bytes = footer.encode();
            bytes[8] = 1;
            let crc = crc32c(0, &bytes[..124]);
            bytes[124..].copy_from_slice(&crc.to_le_bytes());
            Footer::decode(&bytes, 300)
        };
        let first = Footer { large: None, ..sample() };
        assert_eq!((as_first(&first), as_first(&sample()).is_err()), (Ok(first), true));
        assert!(Footer::decode(&sample().encode(), 267).is_err(), "the root begins beyond the footer");
        assert!(Footer::decode(&sample().encode(), 268).is_ok());
        assert!(Footer::decode(&sample().encode(), 5).is_err());
        for wrong in [
            Footer { ranges_at: 150, ..sample() },
            Footer { ranges: 0, ..sample() },
            Footer { from: 20, ..sample() },
            Footer { tombstones: 6, ..sample() },
        ] {
            assert!(Footer::decode(&wrong.encode(), 300).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn each_reserved_byte_of_a_footer_is_zero() {
        for at in (12..16).chain(112..124) {
            let mut bytes = sample().encode();
            bytes[at] = 1;
            let crc = crc32c(0, &bytes[..124]);
            bytes[124..].copy_from_slice(&crc.to_le_bytes());
            assert!(
                matches!(Footer::decode(&bytes, 300), Err(Flaw::Damage(what)) if what.contains("reserved")),
                "{at}"
            );
        }
    }
}
