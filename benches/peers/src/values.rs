//! Values that say what they are: the first sixteen bytes are the key's number and a version, the rest is random bytes that
//! follow from both. So whoever reads one can tell whether every byte is right. Random, so that nobody gains by compression.

use crate::Result;

/// Where the random bytes come from; a value is a window of it.
const POOL: usize = 4 << 20;
/// Number and version.
const HEAD: usize = 16;

/// Makes and checks values. The same in every process.
pub struct Values {
    pool: Vec<u8>,
    len: usize,
}

impl Values {
    /// Values of so many bytes, at least 16.
    pub fn new(len: usize) -> Values {
        assert!((HEAD..=POOL / 2).contains(&len), "values of 16 B to 2 MiB");
        let mut pool = vec![0; if len <= 4096 { 256 << 10 } else { POOL }];
        fastrand::Rng::with_seed(1).fill(&mut pool);
        Values { pool, len }
    }

    /// Bytes of a value.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Writes the value of a key's version.
    pub fn fill(&self, value: &mut Vec<u8>, number: u64, version: u64) {
        value.clear();
        value.extend_from_slice(self.window(number, version));
        value[..8].copy_from_slice(&number.to_le_bytes());
        value[8..HEAD].copy_from_slice(&version.to_le_bytes());
    }

    /// The version of a value of this key; an error if a single byte is wrong.
    pub fn version(&self, value: &[u8], number: u64) -> Result<u64> {
        if value.len() != self.len {
            return Err(format!("the value of key {number} has {} bytes, not {}", value.len(), self.len).into());
        }
        let word = |at: usize| u64::from_le_bytes(value[at..at + 8].try_into().expect("eight bytes"));
        let (said, version) = (word(0), word(8));
        if said != number {
            return Err(format!("the value of key {number} is that of key {said}").into());
        }
        if value[HEAD..] != self.window(number, version)[HEAD..] {
            return Err(format!("the value of key {number}, version {version}, has wrong bytes").into());
        }
        Ok(version)
    }

    fn window(&self, number: u64, version: u64) -> &[u8] {
        let mixed = (number ^ version.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let begin = (mixed >> 32) as usize % (self.pool.len() - self.len);
        &self.pool[begin..begin + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_tells_its_version() {
        for len in [16, 200, 4096, 1 << 20] {
            let values = Values::new(len);
            let mut value = Vec::new();
            values.fill(&mut value, 12, 34);
            assert_eq!(value.len(), len);
            assert_eq!(values.version(&value, 12).unwrap(), 34);
        }
    }

    #[test]
    fn a_wrong_byte_is_noticed() {
        let values = Values::new(200);
        let mut value = Vec::new();
        values.fill(&mut value, 12, 34);
        assert!(values.version(&value, 13).unwrap_err().to_string().contains("is that of key 12"));
        value[199] ^= 1;
        assert!(values.version(&value, 12).unwrap_err().to_string().contains("wrong bytes"));
        assert!(values.version(&value[..199], 12).is_err());
    }
}
