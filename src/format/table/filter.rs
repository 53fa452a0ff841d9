//! The filter of a leaf: says of a key, or of a bucket's prefix, "surely not here" or "maybe". About one "maybe" in a hundred
//! is wrong.
//!
//! ```text
//! lines of 64 bytes, each a Bloom filter of 512 bits; bit i of a line is bit i % 8 of its byte i / 8
//! h = XXH3 of the key, 128 bits, seed 0
//! line of a key = (bits 32..63 of h) * lines >> 32
//! its 7 bits    = bits 64..72, 73..81, ... 118..126 of h
//! ```
//!
//! It holds every key of the group and every bucket prefix of each ([`crate::format::key::bucket_prefixes`]). There are
//! ceil(entries * 10 / 512) lines, at least one.

use xxhash_rust::xxh3::xxh3_128;

/// The length of a line.
pub const LINE: usize = 64;
const BITS_AN_ENTRY: usize = 10;
const PROBES: u32 = 7;

/// The hash of a key or of a bucket's prefix; fixed for ever.
pub fn hash(bytes: &[u8]) -> u128 {
    xxh3_128(bytes)
}

/// How many lines a filter of so many entries has.
pub fn lines(entries: usize) -> usize {
    (entries * BITS_AN_ENTRY).div_ceil(LINE * 8).max(1)
}

/// Where the line of a hash begins.
fn line_of(filter: &[u8], hash: u128) -> usize {
    let high = (hash & u128::from(u64::MAX)) >> 32;
    let line = (high * (filter.len() / LINE) as u128) >> 32;
    line as usize * LINE
}

/// The numbers of the hash's bits in its line.
fn probes(hash: u128) -> impl Iterator<Item = usize> {
    let high = (hash >> 64) as u64;
    (0..PROBES).map(move |i| (high >> (9 * i)) as usize & (LINE * 8 - 1))
}

/// Adds a hash to a filter of at least one line.
pub fn insert(filter: &mut [u8], hash: u128) {
    let at = line_of(filter, hash);
    for bit in probes(hash) {
        filter[at + bit / 8] |= 1 << (bit % 8);
    }
}

/// Whether the hash may have been added; a filter without a line holds everything.
pub fn contains(filter: &[u8], hash: u128) -> bool {
    if filter.is_empty() {
        return true;
    }
    let at = line_of(filter, hash);
    let line = &filter[at..at + LINE];
    probes(hash).all(|bit| line[bit / 8] >> (bit % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_specification() {
        // Published test vectors of XXH3, 128 bits, seed 0.
        assert_eq!(hash(b""), 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
    }

    #[test]
    fn each_entry_has_ten_bits_in_whole_lines() {
        for (entries, expected) in [(0, 1), (1, 1), (51, 1), (52, 2), (512, 10), (513, 11), (5000, 98)] {
            assert_eq!(lines(entries), expected, "{entries} entries");
        }
    }

    #[test]
    fn holds_what_was_added_and_little_else() {
        let mut filter = vec![0; lines(5000) * LINE];
        for i in 0..5000u32 {
            insert(&mut filter, hash(&i.to_le_bytes()));
        }
        assert!((0..5000u32).all(|i| contains(&filter, hash(&i.to_le_bytes()))));
        let wrong = (5000..105_000u32).filter(|i| contains(&filter, hash(&i.to_le_bytes()))).count();
        assert!(wrong < 2500, "{wrong} of 100000");
    }

    #[test]
    fn a_filter_without_lines_holds_everything() {
        assert!(contains(&[], hash(b"anything")));
        assert!(!contains(&[0; LINE], hash(b"anything")));
    }
}
