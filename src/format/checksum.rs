//! CRC32C (Castagnoli, RFC 3720 B.4) over all structures on disk.

use crate::sabotage::{self, Sabotage};

/// CRC32C of `bytes`, continuing from `seed` (0 to start).
pub fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(seed, bytes)
}

/// Whether bytes whose CRC is `computed` are those that were written with the CRC `stored`.
pub fn matches(computed: u32, stored: u32) -> bool {
    computed == stored || sabotage::is(Sabotage::CrcUnchecked)
}
