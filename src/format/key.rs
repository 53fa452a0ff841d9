//! Keys of the engine: components joined by one byte that no name can hold and that sorts below every byte of a name, so
//! that bytewise order is the order by component, a key before the bucket of its name. A bucket is the prefix that ends
//! in the separator.

/// Between the components of a key.
pub const SEPARATOR: u8 = 1;

/// Every prefix of the key that names a bucket, the outermost first.
pub fn bucket_prefixes(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    key.iter().enumerate().filter(|(_, b)| **b == SEPARATOR).map(|(at, _)| &key[..=at])
}

#[cfg(test)]
mod tests {
    #[test]
    fn prefixes_end_in_the_separator() {
        let all: Vec<&[u8]> = super::bucket_prefixes(b"a\x01bc\x01k").collect();
        assert_eq!(all, [&b"a\x01"[..], b"a\x01bc\x01"]);
        assert_eq!(super::bucket_prefixes(b"k").count(), 0);
    }
}
