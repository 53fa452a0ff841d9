//! Names in every form that an engine wants them, made before the clock starts: engines with buckets take a bucket and a
//! key, both ending in NUL; the others one flat key.

use std::ffi::CStr;

use serde::{Deserialize, Serialize};

/// The bucket of all keys, but for `Shape::Buckets`.
pub const BUCKET: &CStr = c"bench";

/// How keys look.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Shape {
    /// `key-0000000007`, all in one bucket.
    Plain,
    /// The same behind 160 bytes that all have in common.
    LongPrefix,
    /// So many to a bucket: `bucket-00000003/key-0000000007`. Engines without buckets get that as their key.
    Buckets(u64),
}

/// One name. The flat key holds what tells it from the others of its store: without the bucket if there is only one.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    /// For an engine that has buckets.
    pub bucket: &'a CStr,
    /// The key in its bucket.
    pub key: &'a CStr,
    /// For an engine that has none.
    pub flat: &'a [u8],
}

/// Names in the order in which they will be used.
#[derive(Default)]
pub struct Names {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// Where the parts begin, without their NULs.
#[derive(Clone, Copy)]
struct Entry {
    /// Of all names in one bucket none.
    bucket: Option<(u32, u32)>,
    key: (u32, u32),
    flat: (u32, u32),
}

impl Names {
    /// The names of these numbers.
    pub fn of(shape: Shape, numbers: impl IntoIterator<Item = u64>) -> Names {
        let mut names = Names::default();
        for number in numbers {
            names.push(shape, number);
        }
        names
    }

    /// Adds one.
    pub fn push(&mut self, shape: Shape, number: u64) {
        let key = match shape {
            Shape::Plain | Shape::Buckets(_) => format!("key-{number:010}"),
            Shape::LongPrefix => format!("{:-<160}key-{number:010}", "a-prefix-that-all-keys-share"),
        };
        let entry = match shape {
            Shape::Plain | Shape::LongPrefix => {
                let key = self.text(&key);
                Entry { bucket: None, key, flat: key }
            }
            Shape::Buckets(per) => {
                let bucket = format!("bucket-{:08}", number / per);
                let flat = self.text(&format!("{bucket}/{key}"));
                Entry { bucket: Some(self.text(&bucket)), key: self.text(&key), flat }
            }
        };
        self.entries.push(entry);
    }

    /// The same with one letter changed, so that none is there, but each lies among those that are.
    pub fn absent(mut self) -> Names {
        for entry in &self.entries {
            for (begin, len) in [entry.key, entry.flat] {
                self.bytes[(begin + len - 1) as usize] = b'x';
            }
        }
        self
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// One of them.
    pub fn get(&self, index: usize) -> Name<'_> {
        let Entry { bucket, key, flat } = self.entries[index];
        Name { bucket: bucket.map_or(BUCKET, |b| self.c(b)), key: self.c(key), flat: self.bytes(flat) }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Name<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    fn text(&mut self, text: &str) -> (u32, u32) {
        let begin = place(self.bytes.len());
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        (begin, place(text.len()))
    }

    fn bytes(&self, (begin, len): (u32, u32)) -> &[u8] {
        &self.bytes[begin as usize..][..len as usize]
    }

    #[allow(unsafe_code)]
    fn c(&self, (begin, len): (u32, u32)) -> &CStr {
        let text = &self.bytes[begin as usize..=(begin + len) as usize];
        // SAFETY: `text` is what `Names::text` wrote: our own letters and digits, then the one NUL.
        unsafe { CStr::from_bytes_with_nul_unchecked(text) }
    }
}

/// A place in the bytes of a sequence; four gigabytes of names are not asked for.
fn place(at: usize) -> u32 {
    u32::try_from(at).expect("a sequence of names of less than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bucket_needs_no_prefix() {
        let names = Names::of(Shape::Plain, [7, 8]);
        let name = names.get(1);
        assert_eq!((name.bucket, name.key, name.flat), (BUCKET, c"key-0000000008", b"key-0000000008".as_slice()));
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn many_buckets_go_into_the_flat_key() {
        let names = Names::of(Shape::Buckets(100), [205]);
        let name = names.get(0);
        assert_eq!((name.bucket, name.key), (c"bucket-00000002", c"key-0000000205"));
        assert_eq!(name.flat, b"bucket-00000002/key-0000000205");
    }

    #[test]
    fn absent_names_lie_among_the_others() {
        let names = Names::of(Shape::Plain, [7]).absent();
        assert_eq!((names.get(0).key, names.get(0).flat), (c"key-000000000x", b"key-000000000x".as_slice()));
    }

    #[test]
    fn long_prefixes_are_shared() {
        let names = Names::of(Shape::LongPrefix, [1, 2]);
        let (one, two) = (names.get(0).flat, names.get(1).flat);
        assert_eq!(one.len(), 174);
        assert_eq!(one[..173], two[..173]);
        assert_ne!(one, two);
    }
}
