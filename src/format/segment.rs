//! A log segment, file `log-<n>`: a header, then frames one after the other ([`super::frame`]). The blocks are allocated
//! ahead and read as zeros until written.
//!
//! ```text
//!  0  8  magic "DIRKVLOG"
//!  8  u32 format version
//! 12  u32 zero
//! 16  16 store id
//! 32  u64 segment number, as in the file's name
//! 40  u64 salt: random; seeds the checksum of every frame of the segment
//! 48  u32 CRC32C of bytes 0..48
//! 52  12 zero
//! 64     frames
//! ```

use super::checksum::{crc32c, matches};
use super::manifest::{FIRST_VERSION, StoreId};
use super::position::{Position, position};

/// Where the first frame begins.
pub const HEADER_LEN: u64 = 64;
const MAGIC: &[u8; 8] = b"DIRKVLOG";

/// The header of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The store it belongs to.
    pub store: StoreId,
    /// Its number.
    pub segment: u64,
    /// Seeds the checksum of its frames.
    pub salt: u64,
}

/// The position of a segment's first frame.
pub fn start(segment: u64) -> Position {
    position(segment, HEADER_LEN)
}

impl Header {
    /// The bytes on disk.
    pub fn encode(&self) -> [u8; HEADER_LEN as usize] {
        let mut bytes = [0; HEADER_LEN as usize];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FIRST_VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.store);
        bytes[32..40].copy_from_slice(&self.segment.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32c(0, &bytes[..48]);
        bytes[48..52].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header back; the error says which part is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Header, &'static str> {
        let bytes: &[u8; HEADER_LEN as usize] =
            bytes.first_chunk().ok_or("the file is shorter than a segment's header")?;
        if &bytes[0..8] != MAGIC {
            return Err("no segment begins with these bytes");
        }
        if !matches(crc32c(0, &bytes[..48]), u32_at(bytes, 48)) {
            return Err("the segment header's checksum doesn't match");
        }
        if u32_at(bytes, 8) != FIRST_VERSION {
            return Err("the segment has another format version than the manifest");
        }
        if u32_at(bytes, 12) != 0 || bytes[52..] != [0; 12] {
            return Err("a reserved byte of the segment's header isn't zero");
        }
        let mut store = StoreId::default();
        store.copy_from_slice(&bytes[16..32]);
        Ok(Header { store, segment: u64_at(bytes, 32), salt: u64_at(bytes, 40) })
    }

    /// What the first frame carries as the CRC of the frame before.
    pub fn crc(&self) -> u32 {
        u32_at(&self.encode(), 48)
    }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        Header { store: [7; 16], segment: 3, salt: 99 }
    }

    #[test]
    fn a_header_is_read_back_and_no_flipped_bit_passes() {
        let bytes = sample().encode();
        assert_eq!(Header::decode(&bytes), Ok(sample()));
        for i in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[i / 8] ^= 1 << (i % 8);
            assert!(Header::decode(&bad).is_err(), "bit {i}");
        }
        for len in 0..bytes.len() {
            assert!(Header::decode(&bytes[..len]).is_err(), "length {len}");
        }
    }

    #[test]
    fn what_is_wrong_though_its_checksum_is_right_is_named() {
        for (at, what) in [(8, "another format version"), (12, "a reserved byte"), (52, "a reserved byte")] {
            let mut bytes = sample().encode();
            bytes[at] ^= 3;
            let crc = crc32c(0, &bytes[..48]);
            bytes[48..52].copy_from_slice(&crc.to_le_bytes());
            assert!(Header::decode(&bytes).unwrap_err().contains(what), "byte {at}");
        }
    }
}
