//! The packed block: a whole list, or a whole batch, as one piece of memory. The layout is told in the header's preamble
//! and is part of the ABI: never change it, make a second one.

use crate::error::{Code, Error, Result};

/// The layout's number, the block's first four bytes.
const LAYOUT: u32 = 1;
/// Bytes of the block before its first entry.
const HEADER_LEN: usize = 8;
/// Bytes of an entry before its name.
const FIXED_LEN: usize = 32;
/// Entries begin at multiples of this.
const ALIGN: usize = 8;

/// Room for a hundred small items at once: to grow bit by bit takes up to a fifth of a short list's time. What is left is given
/// back.
const BYTES_AHEAD: usize = 32 << 10;
const ENTRIES_AHEAD: usize = 128;

/// One entry of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry<'a> {
    pub kind: u32,
    pub pid: u32,
    pub time: i64,
    pub revision: u64,
    pub name: &'a [u8],
    pub value: &'a [u8],
}

/// A block, and where in it each entry begins.
#[derive(Debug)]
pub(super) struct Packed {
    pub block: Box<[u8]>,
    pub begins: Box<[u32]>,
}

/// Writes a block.
#[derive(Debug)]
pub(super) struct Packer {
    block: Vec<u8>,
    begins: Vec<u32>,
}

impl Packer {
    /// A block without entries.
    pub fn new() -> Packer {
        let mut block = Vec::with_capacity(BYTES_AHEAD);
        block.extend_from_slice(&LAYOUT.to_le_bytes());
        block.extend_from_slice(&0_u32.to_le_bytes());
        Packer { block, begins: Vec::with_capacity(ENTRIES_AHEAD) }
    }

    /// Adds an entry. (Inlined, or reading it back from the stack costs as much as the rest.)
    #[inline(always)]
    pub fn add(&mut self, entry: &Entry<'_>) -> Result<()> {
        let Entry { kind, pid, time, revision, name, value } = *entry;
        let length = |len: usize| u32::try_from(len).map_err(|_| too_long());
        self.begins.push(length(self.block.len())?);
        let mut fixed = [0; FIXED_LEN];
        fixed[0..4].copy_from_slice(&kind.to_le_bytes());
        fixed[4..8].copy_from_slice(&pid.to_le_bytes());
        fixed[8..12].copy_from_slice(&length(name.len())?.to_le_bytes());
        fixed[12..16].copy_from_slice(&length(value.len())?.to_le_bytes());
        fixed[16..24].copy_from_slice(&time.to_le_bytes());
        fixed[24..32].copy_from_slice(&revision.to_le_bytes());
        // Room for all that follows, so that no part asks for its own.
        self.block.reserve(FIXED_LEN + name.len() + 1 + value.len() + ALIGN);
        self.block.extend_from_slice(&fixed);
        self.block.extend_from_slice(name);
        self.block.push(0);
        self.block.extend_from_slice(value);
        let end = self.block.len().next_multiple_of(ALIGN);
        self.block.extend_from_slice(&[0; ALIGN]);
        self.block.truncate(end);
        Ok(())
    }

    /// The whole block.
    pub fn finish(mut self) -> Result<Packed> {
        let count = u32::try_from(self.begins.len()).map_err(|_| too_long())?;
        self.block[4..HEADER_LEN].copy_from_slice(&count.to_le_bytes());
        Ok(Packed { block: self.block.into_boxed_slice(), begins: self.begins.into_boxed_slice() })
    }
}

fn too_long() -> Error {
    Error::new(Code::LimitExceeded, "a list is too long for one block")
}

/// Reads a block, whoever made it: nothing about it is believed.
#[derive(Debug)]
pub(super) struct Unpacker<'a> {
    block: &'a [u8],
    at: usize,
    left: u32,
}

impl<'a> Unpacker<'a> {
    /// Looks at the header.
    pub fn new(block: &'a [u8]) -> Result<Unpacker<'a>> {
        let header: &[u8; HEADER_LEN] = block.first_chunk().ok_or_else(|| broken(0, CUT))?;
        let [layout, left] = [0, 4].map(|at| u32_at(header, at));
        if layout != LAYOUT {
            return Err(broken(0, &format!("its layout is {layout}, not {LAYOUT}")));
        }
        Ok(Unpacker { block, at: HEADER_LEN, left })
    }

    /// How many entries are still to come, if the header tells the truth.
    pub fn left(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    /// The next entry; `None` after the last, where the block must end.
    pub fn next(&mut self) -> Result<Option<Entry<'a>>> {
        if self.left == 0 {
            let rest = self.block.len() - self.at;
            return if rest == 0 { Ok(None) } else { Err(broken(self.at, &format!("{rest} bytes too many"))) };
        }
        self.left -= 1;
        let (entry, end) = entry_at(self.block, self.at).map_err(|(at, what)| broken(at, what))?;
        self.at = end;
        Ok(Some(entry))
    }
}

/// What is wrong with a block, and at which byte.
type Flaw = (usize, &'static str);

/// The block is shorter than what it says.
const CUT: &str = "more bytes should follow, the block ends before";

/// The entry that begins at a byte of the block, and where it ends.
#[inline]
pub(super) fn entry_at(block: &[u8], at: usize) -> std::result::Result<(Entry<'_>, usize), Flaw> {
    let part = |at: usize, len: usize| at.checked_add(len).and_then(|end| block.get(at..end)).ok_or((at, CUT));
    let fixed: &[u8; FIXED_LEN] = block.get(at..).and_then(<[u8]>::first_chunk).ok_or((at, CUT))?;
    let [kind, pid, name_len, value_len] = [0, 4, 8, 12].map(|at| u32_at(fixed, at));
    let [time, revision] = [16, 24].map(|at| u64_at(fixed, at));
    let name_at = at + FIXED_LEN;
    let name = part(name_at, name_len as usize)?;
    let nul_at = name_at + name.len();
    if part(nul_at, 1)? != [0] {
        return Err((nul_at, "no NUL after the name"));
    }
    let value = part(nul_at + 1, value_len as usize)?;
    let value_end = nul_at + 1 + value.len();
    let end = value_end.next_multiple_of(ALIGN);
    part(value_end, end - value_end)?;
    Ok((Entry { kind, pid, time: time as i64, revision, name, value }, end))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

#[cold]
fn broken(at: usize, what: &str) -> Error {
    Error::new(Code::BadParameter, format!("the packed block is not well formed at byte {at}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(name: &'a [u8], value: &'a [u8]) -> Entry<'a> {
        Entry { kind: 3, pid: 7, time: -2, revision: 1 << 40, name, value }
    }

    fn packed(entries: &[Entry<'_>]) -> Result<Box<[u8]>> {
        let mut packer = Packer::new();
        entries.iter().try_for_each(|entry| packer.add(entry))?;
        let Packed { block, begins } = packer.finish()?;
        for (entry, begin) in entries.iter().zip(&begins) {
            assert_eq!(begin % 8, 0);
            assert_eq!(entry_at(&block, *begin as usize).map(|(entry, _)| entry), Ok(*entry));
        }
        assert_eq!(begins.len(), entries.len());
        Ok(block)
    }

    #[test]
    fn what_is_packed_is_unpacked() -> Result<()> {
        let entries = [entry(b"a", b""), entry(b"key", b"12345678"), entry(b"", b"\0\0"), entry(&[b'x'; 1024], b"v")];
        let block = packed(&entries)?;
        let mut unpacker = Unpacker::new(&block)?;
        assert_eq!(unpacker.left(), 4);
        for entry in entries {
            assert_eq!(unpacker.next()?, Some(entry));
        }
        assert_eq!(unpacker.next()?, None);
        assert_eq!(Unpacker::new(&packed(&[])?)?.next()?, None);
        Ok(())
    }

    /// The layout as the header tells it, byte by byte.
    #[test]
    fn golden_bytes() -> Result<()> {
        let block = packed(&[entry(b"ab", b"xyz")])?;
        let mut expected = vec![1, 0, 0, 0, 1, 0, 0, 0];
        expected.extend_from_slice(&[3, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
        expected.extend_from_slice(&[0xfe, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 1, 0, 0]);
        expected.extend_from_slice(b"ab\0xyz\0\0");
        assert_eq!(*block, *expected);
        Ok(())
    }

    #[test]
    fn broken_blocks_are_refused() -> Result<()> {
        let whole = packed(&[entry(b"ab", b"xyz"), entry(b"c", b"")])?;
        let read = |block: &[u8]| -> Result<()> {
            let mut unpacker = Unpacker::new(block)?;
            while unpacker.next()?.is_some() {}
            Ok(())
        };
        assert!(read(&whole).is_ok());
        for len in 0..whole.len() {
            assert_eq!(read(&whole[..len]).map_err(|error| error.code), Err(Code::BadParameter), "cut to {len}");
        }
        let mut longer = whole.to_vec();
        longer.push(0);
        assert!(read(&longer).is_err());
        for at in [0, 4, 16, 20, 42] {
            let mut other = whole.clone();
            other[at] ^= 0x80;
            assert!(read(&other).is_err(), "byte {at}");
        }
        Ok(())
    }
}
