//! Gives changed bytes the checksums that they should have: what bit rot can't do and an attacker can. It computes them
//! itself, bit by bit, so that a mistake in the library's own doesn't cancel out.

use std::collections::BTreeMap;
use std::ops::Range;

/// CRC32C (Castagnoli), continuing from `seed`; 0 to start.
pub fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    static TABLE: [u32; 256] = table();
    let step = |crc: u32, byte: &u8| crc >> 8 ^ TABLE[(crc as u8 ^ byte) as usize];
    !bytes.iter().fold(!seed, step)
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let (mut crc, mut bit) = (n as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[n] = crc;
        n += 1;
    }
    table
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn put(bytes: &mut [u8], at: usize, crc: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
}

/// The checksum that a frame at `offset` of a segment with `salt` should have.
pub fn frame_crc(frame: &[u8], salt: u64, offset: u64) -> u32 {
    let seed = crc32c(crc32c(0, &salt.to_le_bytes()), &offset.to_le_bytes());
    crc32c(crc32c(seed, &frame[..4]), &frame[8..])
}

/// Seals a segment's header, and the frames at these places, each with the CRC of the one before.
pub fn segment(bytes: &mut [u8], frames: &[Range<usize>]) {
    let len = bytes.len();
    if len < 64 {
        return;
    }
    let mut previous = crc32c(0, &bytes[..48]);
    put(bytes, 48, previous);
    let salt = u64_at(bytes, 40).unwrap_or(0);
    for place in frames.iter().filter(|place| place.start + 32 <= len) {
        put(bytes, place.start + 8, previous);
        // One that claims another length is sealed as that one.
        let claimed = u32_at(bytes, place.start).map_or(0, |len| len as usize);
        let end = if claimed >= 32 { place.start.saturating_add(claimed) } else { place.end }.min(len);
        previous = frame_crc(&bytes[place.start..end], salt, place.start as u64);
        put(bytes, place.start + 4, previous);
    }
}

/// Where the frames of a segment lie, by the lengths that they claim.
pub fn frames(bytes: &[u8]) -> Vec<Range<usize>> {
    let (mut found, mut at) = (Vec::new(), 64);
    while let Some(len) = u32_at(bytes, at).filter(|len| *len >= 32 && at + *len as usize <= bytes.len()) {
        found.push(at..at + len as usize);
        at += len as usize;
    }
    found
}

/// Seals a manifest: its length and its checksum.
pub fn manifest(bytes: &mut [u8]) {
    if bytes.len() >= 84 {
        let (end, len) = (bytes.len() - 4, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        put(bytes, 12, len);
        let crc = crc32c(0, &bytes[..end]);
        put(bytes, end, crc);
    }
}

/// Seals a table's footer.
pub fn footer(bytes: &mut [u8]) {
    if let Some(at) = bytes.len().checked_sub(128) {
        let crc = crc32c(0, &bytes[at..at + 124]);
        put(bytes, at + 124, crc);
    }
}

/// Seals a part of table `number` that lies at `offset` and is all of `bytes`.
pub fn part(bytes: &mut [u8], number: u64, offset: u64) {
    if bytes.len() >= 4 {
        let seed = crc32c(crc32c(0, &number.to_le_bytes()), &offset.to_le_bytes());
        let crc = crc32c(seed, &bytes[4..]);
        put(bytes, 0, crc);
    }
}

/// Where the parts of a table lie that have a checksum: nodes, blocks, range tombstones.
pub fn parts(bytes: &[u8]) -> Vec<Range<usize>> {
    let Some(footer) = bytes.len().checked_sub(128) else { return Vec::new() };
    let at = |at: usize| u64_at(bytes, footer + at).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let (ranges, root) = (at(80), at(96));
    let mut found: Vec<Range<usize>> =
        [ranges..root, root..footer].into_iter().filter(|place| !place.is_empty()).collect();
    for leaf in children(bytes, root) {
        found.extend(children(bytes, leaf.start));
        found.push(leaf);
    }
    found
}

fn children(bytes: &[u8], node: usize) -> Vec<Range<usize>> {
    let at = |at: usize| u32_at(bytes, node + at).unwrap_or(0) as usize;
    let (count, lines) = (at(4), at(8));
    let first = node + 16 + lines * 64 + count * 8;
    let child = |i: usize| {
        let start = usize::try_from(u64_at(bytes, first + i * 16)?).ok()?;
        Some(start..start + u32_at(bytes, first + i * 16 + 8)? as usize)
    };
    (0..count).filter_map(child).collect()
}

/// What a store's files are sealed by: places that were found before anything was changed.
pub struct Places(BTreeMap<String, Vec<Range<usize>>>);

impl Places {
    /// Of these files, which are whole.
    pub fn of(files: &BTreeMap<String, Vec<u8>>) -> Places {
        let places = |(name, bytes): (&String, &Vec<u8>)| {
            let found = if name.starts_with("table-") { parts(bytes) } else { frames(bytes) };
            (name.clone(), found)
        };
        Places(files.iter().map(places).collect())
    }

    /// Seals the changed bytes of one of them.
    pub fn seal(&self, name: &str, bytes: &mut [u8]) {
        let places = self.0.get(name).map_or(&[][..], Vec::as_slice);
        if name == "MANIFEST" {
            manifest(bytes);
        } else if name.starts_with("log-") {
            segment(bytes, places);
        } else if let Some(number) = name.strip_prefix("table-").and_then(|n| n.parse().ok()) {
            for place in places {
                if let Some(bytes) = bytes.get_mut(place.clone()) {
                    part(bytes, number, place.start as u64);
                }
            }
            footer(bytes);
        }
    }
}

#[test]
fn the_checksum_is_castagnoli() {
    assert_eq!(crc32c(0, b"123456789"), 0xe306_9283);
    assert_eq!(crc32c(crc32c(0, b"1234"), b"56789"), 0xe306_9283);
}
