//! What a lookup asks before it takes a memtable's lock: a Bloom filter with one probe, read without a lock. "No" is certain of
//! everything that was noted before.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// So many times 64 bits: with a full segment of 4 MiB and values of 200 bytes about one key in sixteen that isn't there is
/// looked up all the same.
const WORDS: usize = 4096;

/// The keys, and whether there is a range tombstone, which may hide any.
#[derive(Debug)]
pub struct Noted {
    words: Box<[AtomicU64]>,
    ranges: AtomicBool,
}

impl Default for Noted {
    fn default() -> Noted {
        Noted {
            words: std::iter::repeat_with(AtomicU64::default).take(WORDS).collect(),
            ranges: AtomicBool::new(false),
        }
    }
}

impl Noted {
    /// Notes a key by its hash. One thread at a time notes: who follows the log.
    pub fn key(&self, hash: u64) {
        let (word, bit) = self.place(hash);
        word.store(word.load(Relaxed) | bit, Relaxed);
    }

    /// Notes that there is a range tombstone.
    pub fn range(&self) {
        self.ranges.store(true, Relaxed);
    }

    /// Whether a key with this hash, or a range, may have been noted.
    #[inline]
    pub fn may_tell(&self, hash: u64) -> bool {
        let (word, bit) = self.place(hash);
        word.load(Relaxed) & bit != 0 || self.ranges.load(Relaxed)
    }

    fn place(&self, hash: u64) -> (&AtomicU64, u64) {
        (&self.words[(hash >> 6) as usize % WORDS], 1 << (hash % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash;
    use super::*;

    #[test]
    fn what_was_noted_is_told_and_little_else() {
        let noted = Noted::default();
        let of = |n: u32| hash(&n.to_le_bytes());
        (0..10_000).for_each(|n| noted.key(of(n)));
        assert!((0..10_000).all(|n| noted.may_tell(of(n))));
        let wrong = (10_000..20_000).filter(|n| noted.may_tell(of(*n))).count();
        assert!((100..800).contains(&wrong), "{wrong} of 10,000 are told for nothing");
        noted.range();
        assert!((10_000..20_000).all(|n| noted.may_tell(of(n))));
    }
}
