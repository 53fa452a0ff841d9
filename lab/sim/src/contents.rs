//! The bytes of a file by sectors. Those that don't change are shared, so that one more state of the disk costs what differs, and
//! each state has a hash by its content.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// The medium writes so many bytes whole or not at all.
pub const SECTOR: usize = 512;

/// One sector with the hash of its bytes; `None` is one of zeros.
pub type Held = Option<Arc<Sector>>;

#[derive(Debug)]
pub struct Sector {
    bytes: [u8; SECTOR],
    hash: u64,
}

impl Sector {
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn held(bytes: [u8; SECTOR]) -> Held {
    (bytes != [0; SECTOR]).then(|| Arc::new(Sector { hash: hash(bytes), bytes }))
}

/// A file's bytes.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    len: usize,
    sectors: Arc<Vec<Held>>,
    /// Of the hashes of the sectors with their numbers.
    sum: u64,
}

impl Contents {
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// By content; the length is no part of it.
    pub fn hash(&self) -> u64 {
        self.sum
    }

    pub fn sector(&self, number: usize) -> Held {
        self.sectors.get(number).cloned().flatten()
    }

    /// Whole, wherever the file ends.
    pub fn set_sector(&mut self, number: usize, new: Held) {
        let part = |held: &Held| held.as_ref().map_or(0, |sector| hash((number, sector.hash)));
        let sectors = Arc::make_mut(&mut self.sectors);
        if sectors.len() <= number {
            sectors.resize(number + 1, None);
        }
        self.sum = self.sum.wrapping_sub(part(&sectors[number])).wrapping_add(part(&new));
        sectors[number] = new;
    }

    /// Zeros behind what there is, or what lies beyond is gone.
    pub fn resize(&mut self, len: usize) {
        for number in len.div_ceil(SECTOR)..self.sectors.len() {
            self.set_sector(number, None);
        }
        if let (rest @ 1.., Some(last)) = (len % SECTOR, self.sector(len / SECTOR))
            && last.bytes[rest..].iter().any(|b| *b != 0)
        {
            let mut bytes = last.bytes;
            bytes[rest..].fill(0);
            self.set_sector(len / SECTOR, held(bytes));
        }
        self.len = len;
    }

    /// As much of `at..at + buf.len()` as there is.
    pub fn read(&self, buf: &mut [u8], at: usize) -> usize {
        let len = buf.len().min(self.len.saturating_sub(at));
        let (mut done, buf) = (0, &mut buf[..len]);
        while done < len {
            let (number, from) = ((at + done) / SECTOR, (at + done) % SECTOR);
            let piece = (SECTOR - from).min(len - done);
            match self.sectors.get(number) {
                Some(Some(sector)) => buf[done..done + piece].copy_from_slice(&sector.bytes[from..from + piece]),
                _ => buf[done..done + piece].fill(0),
            }
            done += piece;
        }
        len
    }

    /// Grows if need be. The numbers of the sectors that were written to.
    pub fn write(&mut self, bytes: &[u8], at: usize) -> std::ops::Range<usize> {
        if bytes.is_empty() {
            return 0..0;
        }
        self.len = self.len.max(at + bytes.len());
        let sectors = at / SECTOR..(at + bytes.len()).div_ceil(SECTOR);
        for number in sectors.clone() {
            let mut sector = self.sector(number).map_or([0; SECTOR], |old| old.bytes);
            let (from, to) = (at.max(number * SECTOR), (at + bytes.len()).min((number + 1) * SECTOR));
            sector[from - number * SECTOR..to - number * SECTOR].copy_from_slice(&bytes[from - at..to - at]);
            self.set_sector(number, held(sector));
        }
        sectors
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        self.read(&mut bytes, 0);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_equal_contents_have_equal_hashes() {
        let (mut a, mut b) = (Contents::default(), Contents::default());
        a.write(&[7; 1_000], 300);
        b.resize(1_300);
        assert_eq!((a.len(), b.len()), (1_300, 1_300));
        assert_ne!(a.hash(), b.hash());
        for at in (300..1_300).step_by(100) {
            b.write(&[7; 100], at);
        }
        assert_eq!((a.bytes(), a.hash()), (b.bytes(), b.hash()));
        let mut some = [1; 600];
        assert_eq!(a.read(&mut some, 100), 600);
        assert_eq!((&some[..200], &some[200..]), (&[0; 200][..], &[7; 400][..]));
        assert_eq!(a.read(&mut some, 1_200), 100);
    }

    #[test]
    fn what_lies_beyond_the_end_is_gone() {
        let (mut a, mut b) = (Contents::default(), Contents::default());
        a.write(&[7; 1_300], 0);
        let shared = a.clone();
        a.resize(700);
        a.resize(1_300);
        b.write(&[7; 700], 0);
        b.resize(1_300);
        assert_eq!((a.bytes(), a.hash()), (b.bytes(), b.hash()));
        assert_eq!(shared.bytes(), [7; 1_300]);
    }
}
