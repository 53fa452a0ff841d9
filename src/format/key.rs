//! Keys of the engine: components joined by one byte that no name can hold and that sorts below every byte of a name, so
//! that bytewise order is the order by component, a key before the bucket of its name. A bucket is the prefix that ends
//! in the separator.

/// Between the components of a key.
pub const SEPARATOR: u8 = 1;

/// Every prefix of the key that names a bucket, the outermost first.
pub fn bucket_prefixes(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    bucket_prefixes_beyond(key, 0)
}

/// Those that have more than `len` bytes.
pub fn bucket_prefixes_beyond(key: &[u8], len: usize) -> impl Iterator<Item = &[u8]> {
    (len..key.len()).filter(|at| key[*at] == SEPARATOR).map(|at| &key[..=at])
}

/// How many bytes two keys begin with alike.
#[inline]
pub fn shared_len(a: &[u8], b: &[u8]) -> usize {
    let mut at = 0;
    // A word at a time: keys that lie side by side have much in common.
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        let unlike = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if unlike != 0 {
            return at + unlike.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + a[at..].iter().zip(&b[at..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::shared_len;

    #[test]
    fn what_two_keys_share_ends_at_the_first_byte_that_differs() {
        let key: Vec<u8> = (0..40).collect();
        for len in 0..key.len() {
            assert_eq!(shared_len(&key, &key[..len]), len);
            assert_eq!(shared_len(&key[..len], &key), len);
            let mut other = key.clone();
            other[len] ^= 0x80;
            assert_eq!(shared_len(&key, &other), len);
        }
        assert_eq!(shared_len(&key, &key), key.len());
    }

    #[test]
    fn prefixes_end_in_the_separator() {
        let all: Vec<&[u8]> = super::bucket_prefixes(b"a\x01bc\x01k").collect();
        assert_eq!(all, [&b"a\x01"[..], b"a\x01bc\x01"]);
        assert_eq!(super::bucket_prefixes(b"k").count(), 0);
        let counts = [1, 2, 4, 5, 6].map(|len| super::bucket_prefixes_beyond(b"a\x01bc\x01k", len).count());
        assert_eq!(counts, [2, 1, 1, 0, 0]);
    }
}
