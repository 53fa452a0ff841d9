//! Where the bytes of a value are: beside its key in memory, or outside as an *extent* of the file that holds it. Large
//! values are never kept in a memtable or a block, so that neither grows by them.

use crate::error::{Error, Result};
use crate::files::names;
use crate::files::storage::File;
use crate::format::checksum::{crc32c, matches};
use crate::format::manifest::Holder;
pub use crate::format::table::Extent;
use std::borrow::Cow;
use std::sync::Arc;

/// Values longer than this many bytes are kept as extents.
pub const INLINE_MAX: usize = 4096;

/// A file in which large values lie.
#[derive(Debug)]
pub struct Home {
    /// Which file of the store it is.
    pub holder: Holder,
    /// Its name, for messages.
    pub name: String,
    /// The file.
    pub file: Arc<dyn File>,
}

impl Home {
    /// The file of a store that is open as `file`.
    pub fn new(holder: Holder, file: Arc<dyn File>) -> Home {
        Home { holder, name: name_of(holder), file }
    }
}

/// The name of a file that holds large values.
pub fn name_of(holder: Holder) -> String {
    match holder {
        Holder::Log(number) => names::log(number),
        Holder::Table(number) => names::table(number),
    }
}

/// A value as it is stored, borrowed from whoever found it.
#[derive(Clone, Copy, Debug)]
pub enum Stored<'a> {
    /// The bytes themselves.
    Inline(&'a [u8]),
    /// The bytes are in a file, to be read and checked when they are wanted.
    Extent {
        /// The file.
        home: &'a Home,
        /// The place in it.
        extent: Extent,
    },
}

impl<'a> Stored<'a> {
    /// The value's length in bytes; reads nothing.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        match self {
            Stored::Inline(bytes) => bytes.len(),
            Stored::Extent { extent, .. } => extent.len as usize,
        }
    }

    /// The value's bytes; those of an extent are read and compared with their checksum.
    #[inline]
    pub fn bytes(&self) -> Result<Cow<'a, [u8]>> {
        match self {
            Stored::Inline(bytes) => Ok(Cow::Borrowed(bytes)),
            Stored::Extent { .. } => self.read().map(Cow::Owned),
        }
    }

    /// The same of an extent. (By value: nothing else would need an item of a listing to lie in memory.)
    #[inline(never)]
    fn read(self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.len()];
        self.copy_to(&mut bytes)?;
        Ok(bytes)
    }

    /// Copies the value to `out`, which is as long as the value.
    pub fn copy_to(&self, out: &mut [u8]) -> Result<()> {
        match self {
            Stored::Inline(bytes) => out.copy_from_slice(bytes),
            Stored::Extent { home: Home { file, name, .. }, extent } => {
                assert_eq!(out.len(), self.len(), "the caller gives a buffer of the value's length");
                let read = file
                    .read_at(out, extent.offset)
                    .map_err(|e| Error::io(format!("read {name} at offset {}", extent.offset), &e))?;
                if read != out.len() {
                    return Err(Error::corrupt(name, extent.offset, "the file ends within a value"));
                }
                if !matches(crc32c(0, out), extent.crc) {
                    return Err(Error::corrupt(name, extent.offset, "the checksum of a value doesn't match"));
                }
            }
        }
        Ok(())
    }
}

/// A live version of a key, as a lookup or a listing finds it.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The position at which the frame that wrote it ends.
    pub revision: u64,
    /// Eight bytes of the layer above.
    pub tag: u64,
    /// Where its value is.
    pub stored: Stored<'a>,
}

impl<'a> Item<'a> {
    /// The value's length in bytes; reads nothing.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.stored.len()
    }

    /// The value's bytes.
    pub fn bytes(&self) -> Result<Cow<'a, [u8]>> {
        self.stored.bytes()
    }

    /// Copies the value to `out`, which is as long as the value.
    pub fn copy_to(&self, out: &mut [u8]) -> Result<()> {
        self.stored.copy_to(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::table::memory::MemFile;
    use crate::error::Code;

    #[test]
    fn an_extent_is_read_and_compared_with_its_checksum() {
        let file: Arc<dyn File> = Arc::new(MemFile::default());
        file.write_at(b"..value", 0).unwrap();
        let good = Extent { offset: 2, len: 5, crc: crc32c(0, b"value") };
        let home = Home::new(Holder::Log(3), file);
        let stored = |extent| Stored::Extent { home: &home, extent };
        assert_eq!(stored(good).bytes().unwrap(), &b"value"[..]);
        let mut out = [0; 5];
        stored(good).copy_to(&mut out).unwrap();
        assert_eq!((&out, stored(good).len()), (b"value", 5));
        for bad in [Extent { crc: 0, ..good }, Extent { offset: 1, ..good }, Extent { len: 6, ..good }] {
            let error = stored(bad).bytes().unwrap_err();
            assert_eq!(error.code, Code::Corrupt);
            assert!(error.message.starts_with(&format!("log-3 is damaged at offset {}", bad.offset)), "{error}");
        }
    }

    #[test]
    fn an_inline_value_is_borrowed() {
        let item = Item { key: b"k", revision: 1, tag: 0, stored: Stored::Inline(b"xy") };
        assert!(matches!(item.bytes(), Ok(Cow::Borrowed(b"xy"))) && item.len() == 2);
    }
}
