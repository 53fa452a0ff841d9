//! The range tombstones of a table: sorted, not overlapping, each with its newest revision only.
//!
//! ```text
//! 0  u32 CRC32C of the rest, seeded with the table's number and the section's offset
//! 4  for each range: u64 revision, u16 length of the start, u16 length of the end, start (included), end (excluded)
//! ```

use super::{is_sealed, seal, u16_at, u64_at};
use crate::format::position::Position;

/// A range tombstone: the first key, the first key beyond, and the revision below which versions are hidden.
pub type Range<'a> = (&'a [u8], &'a [u8], Position);

/// Appends the section, which lies at `offset` of table `number`, to `out`. A key is at most [`super::super::frame::MAX_KEY`] bytes.
pub fn encode<'a>(ranges: impl Iterator<Item = Range<'a>>, number: u64, offset: u64, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    for (start, end, revision) in ranges {
        out.extend_from_slice(&revision.to_le_bytes());
        for key in [start, end] {
            out.extend_from_slice(&u16::try_from(key.len()).expect("a key is at most MAX_KEY bytes").to_le_bytes());
        }
        out.extend_from_slice(start);
        out.extend_from_slice(end);
    }
    seal(out, at, number, offset);
}

/// Calls `f` for each of the section's ranges, in order; there are `count`. The error names what is wrong.
pub fn decode<'a>(
    bytes: &'a [u8],
    number: u64,
    offset: u64,
    count: u64,
    mut f: impl FnMut(Range<'a>),
) -> Result<(), &'static str> {
    if !is_sealed(bytes, number, offset) {
        return Err("the checksum of the range tombstones doesn't match");
    }
    let (mut at, mut last, mut seen): (usize, &[u8], u64) = (4, &[], 0);
    while at < bytes.len() {
        let head = bytes.get(at..at + 12).ok_or("a range tombstone is cut short")?;
        let (start_at, middle) = (at + 12, at + 12 + usize::from(u16_at(head, 8)));
        at = middle + usize::from(u16_at(head, 10));
        let start = bytes.get(start_at..middle).ok_or("a range tombstone is cut short")?;
        let end = bytes.get(middle..at).ok_or("a range tombstone is cut short")?;
        if start >= end || start < last {
            return Err("the range tombstones are not in order");
        }
        last = end;
        seen += 1;
        f((start, end, u64_at(head, 0)));
    }
    if seen == count { Ok(()) } else { Err("the footer counts other range tombstones than there are") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], count: u64) -> Result<Vec<Range<'_>>, &'static str> {
        let mut all = Vec::new();
        decode(bytes, 3, 50, count, |r| all.push(r)).map(|()| all)
    }

    #[test]
    fn ranges_are_read_back() {
        let ranges: [Range<'_>; 2] = [(b"a", b"c", 5), (b"c", b"cc", 9)];
        let mut out = vec![9];
        encode(ranges.into_iter(), 3, 50, &mut out);
        assert_eq!(read(&out[1..], 2), Ok(ranges.to_vec()));
        assert!(read(&out[1..], 3).is_err());
        assert!(decode(&out[1..], 3, 51, 2, |_| ()).is_err(), "another place");
        assert!(decode(&out[1..], 4, 50, 2, |_| ()).is_err(), "another table");
    }

    #[test]
    fn disorder_and_short_sections_are_found() {
        for wrong in [vec![(&b"b"[..], &b"a"[..], 1)], vec![(b"a", b"c", 1), (b"b", b"d", 1)], vec![(b"a", b"a", 1)]] {
            let (count, mut out) = (wrong.len() as u64, Vec::new());
            encode(wrong.into_iter(), 3, 50, &mut out);
            assert!(read(&out, count).is_err());
        }
        let mut out = Vec::new();
        encode([(&b"a"[..], &b"b"[..], 1)].into_iter(), 3, 50, &mut out);
        for len in 0..out.len() {
            let mut short = out[..len].to_vec();
            if len >= 4 {
                seal(&mut short, 0, 3, 50);
            }
            assert!(read(&short, 1).is_err(), "length {len}");
        }
    }
}
