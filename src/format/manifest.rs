//! `MANIFEST`: what the store consists of. Replaced whole (temporary file, fdatasync, rename, fsync of the directory).
//!
//! ```text
//!  0  8  magic "DIRKVMAN"
//!  8  u32 format version: 2; 1 has no value files
//! 12  u32 length of the whole file
//! 16  u64 generation: grows by one with each new manifest
//! 24  16 store id
//! 40  u8  sync mode: 0 full, 1 os; 7 bytes zero
//! 48  u64 the next table's number
//! 56  u64 segment size
//! 64  u32 tables; u32 segments; u32 voids; u32 value files
//! 80     tables, oldest first:   u64 number, u64 from (position, excluded), u64 to (included), u64 file size
//!        segments, oldest first: u64 number, u64 sealed end (an offset; 0 while live: the last one)
//!        voids:                  the same, of segments that had frames beyond their sealed end; kept for ever
//!        value files:            u64 number of the table they belong to, u32 kind: 0 log segment, 1 table; u32 zero,
//!                                u64 its number, u64 its size; in the order of these
//!   end  u32 CRC32C of all before
//! ```

use super::checksum::{crc32c, matches};
use super::position::{MAX_OFFSET, Position, offset_of, segment_of};
use super::segment::{u32_at, u64_at};

/// The format of manifests and tables that this library writes: 2 has value files, and tables that count large values.
pub const FORMAT_VERSION: u32 = 2;
/// The format before, which is read; segments and the shared page are the same in both.
pub const FIRST_VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"DIRKVMAN";
const HEADER_LEN: usize = 80;
/// Numbers of segments are below this, so that positions stay below 2^63.
const MAX_SEGMENT: u64 = 1 << 31;

/// Random bytes that name the store.
pub type StoreId = [u8; 16];

/// When a commit is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncMode {
    /// Once it is durable.
    Full,
    /// Once the kernel has it: survives the process, not the power.
    Os,
}

/// A sorted table that the manifest names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableEntry {
    /// Its number, as in the file's name.
    pub number: u64,
    /// It holds the log after this position,
    pub from: Position,
    /// up to this one.
    pub to: Position,
    /// The size of its file.
    pub size: u64,
}

/// A segment that the manifest names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentEntry {
    /// Its number, as in the file's name.
    pub number: u64,
    /// Where its frames end; 0 while it is live.
    pub sealed: u64,
}

/// A file that holds large values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Holder {
    /// The log segment of this number.
    Log(u64),
    /// The table of this number.
    Table(u64),
}

/// A segment whose frames are in a table, or a table whose versions are in another, that stays for the large values in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ValueFile {
    /// The number of the table whose entries name it. No other table's do.
    pub owner: u64,
    /// Which file it is.
    pub holder: Holder,
    /// How many bytes of it may be named.
    pub size: u64,
}

/// The whole manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// Grows with each manifest.
    pub generation: u64,
    /// The store's name.
    pub store: StoreId,
    /// The store's promise.
    pub sync: SyncMode,
    /// The next table's number, never used before.
    pub next_table: u64,
    /// How large a new segment is made.
    pub segment_size: u64,
    /// Tables, oldest first; each begins where the one before ends.
    pub tables: Vec<TableEntry>,
    /// Segments that are in no table, oldest first, without a gap; the last one is live.
    pub segments: Vec<SegmentEntry>,
    /// Segments with frames beyond their sealed end.
    pub voids: Vec<SegmentEntry>,
    /// Files that stay for the large values in them, in ascending order.
    pub value_files: Vec<ValueFile>,
}

/// Why bytes are no manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// A newer library wrote it.
    Version(u32),
    /// At this offset something is wrong.
    Damage(u64, &'static str),
}

impl Manifest {
    /// The number of the live segment.
    pub fn live(&self) -> u64 {
        self.segments.last().map_or(0, |s| s.number)
    }

    /// Where the segment's frames end, if it is sealed and known: an offset.
    pub fn sealed_end(&self, segment: u64) -> Option<u64> {
        let mut known = self.segments.iter().chain(&self.voids);
        known.find(|s| s.number == segment && s.sealed != 0).map(|s| s.sealed)
    }

    /// Whether a frame that ends at `position`, of a sealed segment, is beyond its sealed end.
    pub fn is_void(&self, position: Position) -> bool {
        self.sealed_end(segment_of(position)).is_some_and(|end| offset_of(position) > end)
    }

    /// The value files of a table.
    pub fn value_files_of(&self, table: u64) -> &[ValueFile] {
        let end = self.value_files.partition_point(|file| file.owner <= table);
        let start = self.value_files.partition_point(|file| file.owner < table);
        &self.value_files[start..end]
    }

    /// Whether the file is named, be it only for the large values in it.
    pub fn names(&self, holder: Holder) -> bool {
        let as_itself = match holder {
            Holder::Log(number) => self.segments.iter().any(|segment| segment.number == number),
            Holder::Table(number) => self.tables.iter().any(|table| table.number == number),
        };
        as_itself || self.value_files.iter().any(|file| file.holder == holder)
    }

    /// The bytes on disk.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.store);
        out.extend_from_slice(&u64::from(self.sync == SyncMode::Os).to_le_bytes());
        out.extend_from_slice(&self.next_table.to_le_bytes());
        out.extend_from_slice(&self.segment_size.to_le_bytes());
        for count in [self.tables.len(), self.segments.len(), self.voids.len(), self.value_files.len()] {
            out.extend_from_slice(&u32::try_from(count).expect("far fewer files than 2^32").to_le_bytes());
        }
        for t in &self.tables {
            for n in [t.number, t.from, t.to, t.size] {
                out.extend_from_slice(&n.to_le_bytes());
            }
        }
        for s in self.segments.iter().chain(&self.voids) {
            for n in [s.number, s.sealed] {
                out.extend_from_slice(&n.to_le_bytes());
            }
        }
        for file in &self.value_files {
            let (kind, number) = match file.holder {
                Holder::Log(number) => (0, number),
                Holder::Table(number) => (1, number),
            };
            for n in [file.owner, kind, number, file.size] {
                out.extend_from_slice(&n.to_le_bytes());
            }
        }
        let len = u32::try_from(out.len() + 4).expect("a manifest is far below 4 GiB");
        out[12..16].copy_from_slice(&len.to_le_bytes());
        let crc = crc32c(0, &out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a manifest back.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, Flaw> {
        if bytes.len() < HEADER_LEN + 4 || &bytes[..8] != MAGIC {
            return Err(Flaw::Damage(0, "no manifest begins with these bytes"));
        }
        // The version is believed before the checksum: a later format may have another one.
        let version = u32_at(bytes, 8);
        if version > FORMAT_VERSION {
            return Err(Flaw::Version(version));
        }
        let (body, crc) = bytes.split_at(bytes.len() - 4);
        if u32_at(bytes, 12) as usize != bytes.len() || !matches(crc32c(0, body), u32_at(crc, 0)) {
            return Err(Flaw::Damage(12, "the length or the checksum of the manifest doesn't match"));
        }
        let counts = [64, 68, 72, 76].map(|at| u32_at(body, at) as usize);
        let sync = match u64_at(body, 40) {
            0 => SyncMode::Full,
            1 => SyncMode::Os,
            _ => return Err(Flaw::Damage(40, "no sync mode has this number")),
        };
        if version == 0
            || version == FIRST_VERSION && counts[3] != 0
            || HEADER_LEN + (counts[0] + counts[3]) * 32 + (counts[1] + counts[2]) * 16 != body.len()
        {
            return Err(Flaw::Damage(64, "the counts don't fit the manifest's length"));
        }
        let (tables, rest) = body[HEADER_LEN..].split_at(counts[0] * 32);
        let (segments, rest) = rest.split_at(counts[1] * 16);
        let (voids, files) = rest.split_at(counts[2] * 16);
        let entries = |bytes: &[u8]| -> Vec<SegmentEntry> {
            bytes.chunks_exact(16).map(|e| SegmentEntry { number: u64_at(e, 0), sealed: u64_at(e, 8) }).collect()
        };
        let table =
            |e: &[u8]| TableEntry { number: u64_at(e, 0), from: u64_at(e, 8), to: u64_at(e, 16), size: u64_at(e, 24) };
        let value_file = |e: &[u8]| {
            let holder = match u64_at(e, 8) {
                0 => Holder::Log(u64_at(e, 16)),
                1 => Holder::Table(u64_at(e, 16)),
                _ => return Err(Flaw::Damage(76, "no kind of file has this number")),
            };
            Ok(ValueFile { owner: u64_at(e, 0), holder, size: u64_at(e, 24) })
        };
        let mut value_files = Vec::with_capacity(counts[3]);
        for entry in files.chunks_exact(32) {
            value_files.push(value_file(entry)?);
        }
        let manifest = Manifest {
            generation: u64_at(body, 16),
            store: std::array::from_fn(|i| body[24 + i]),
            sync,
            next_table: u64_at(body, 48),
            segment_size: u64_at(body, 56),
            tables: tables.chunks_exact(32).map(table).collect(),
            segments: entries(segments),
            voids: entries(voids),
            value_files,
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// What every writer of a manifest guarantees, so that no number is beyond what the engine can count with.
    fn check(&self) -> Result<(), Flaw> {
        let ordered = self.tables.windows(2).all(|w| w[0].to == w[1].from) && self.tables.iter().all(|t| t.from < t.to);
        let gapless =
            self.segments.windows(2).all(|w| w[0].number.checked_add(1) == Some(w[1].number) && w[0].sealed != 0);
        let live = self.segments.last().is_some_and(|s| s.sealed == 0);
        if !ordered || !gapless || !live {
            return Err(Flaw::Damage(80, "the tables or segments have a gap"));
        }
        let mut segments = self.segments.iter().chain(&self.voids);
        let segments = segments.all(|s| (1..MAX_SEGMENT).contains(&s.number) && s.sealed <= MAX_OFFSET);
        let tables = self.tables.iter().all(|t| t.number < self.next_table && segment_of(t.to) < self.live());
        if !self.value_files_are_well() {
            return Err(Flaw::Damage(76, "a value file belongs to no table, or is named twice"));
        }
        let counters = [self.generation, self.next_table].iter().all(|n| *n < u64::MAX);
        if segments && tables && counters && self.segment_size <= MAX_OFFSET {
            return Ok(());
        }
        Err(Flaw::Damage(16, "a number is greater than any that is ever written"))
    }

    /// In order, each once, and nothing else than the values of one table.
    fn value_files_are_well(&self) -> bool {
        let mut tables: Vec<u64> = self.tables.iter().map(|table| table.number).collect();
        let mut holders: Vec<Holder> = self.value_files.iter().map(|file| file.holder).collect();
        tables.sort_unstable();
        holders.sort_unstable();
        let is_table = |number: &u64| tables.binary_search(number).is_ok();
        let first = self.segments.first().map_or(0, |segment| segment.number);
        let is_spare = |holder: &Holder| match holder {
            Holder::Log(number) => (1..first).contains(number),
            Holder::Table(number) => *number < self.next_table && !is_table(number),
        };
        self.value_files.is_sorted()
            && self.value_files.iter().all(|file| is_table(&file.owner))
            && holders.is_sorted_by(|a, b| a < b)
            && holders.iter().all(is_spare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        Manifest {
            generation: 9,
            store: [7; 16],
            sync: SyncMode::Os,
            next_table: 4,
            segment_size: 8 << 20,
            tables: vec![TableEntry { number: 3, from: 0, to: 77, size: 5 }],
            segments: vec![SegmentEntry { number: 2, sealed: 500 }, SegmentEntry { number: 3, sealed: 0 }],
            voids: vec![SegmentEntry { number: 1, sealed: 400 }],
            value_files: vec![],
        }
    }

    /// The same with two value files.
    fn keeping() -> Manifest {
        let file = |holder, size| ValueFile { owner: 3, holder, size };
        Manifest { value_files: vec![file(Holder::Log(1), 400), file(Holder::Table(2), 90)], ..sample() }
    }

    #[test]
    fn what_is_written_is_read_back_and_no_flipped_bit_passes() {
        let bytes = keeping().encode();
        assert_eq!(Manifest::decode(&bytes), Ok(keeping()));
        for i in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[i / 8] ^= 1 << (i % 8);
            assert!(Manifest::decode(&bad).is_err(), "bit {i}");
        }
        for len in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..len]).is_err(), "length {len}");
        }
    }

    #[test]
    fn numbers_that_nobody_can_count_with_are_found() {
        let (large, none) = (u64::MAX, SegmentEntry { number: 0, sealed: 9 });
        let segment = |number, sealed| SegmentEntry { number, sealed };
        for wrong in [
            Manifest { generation: large, ..sample() },
            Manifest { next_table: large, ..sample() },
            Manifest { next_table: 3, ..sample() },
            Manifest { segment_size: large, ..sample() },
            Manifest { tables: vec![TableEntry { number: 3, from: 0, to: large, size: 5 }], ..sample() },
            Manifest { segments: vec![segment(large, 500), segment(0, 0)], ..sample() },
            Manifest { segments: vec![segment(2, 1 << 32), segment(3, 0)], ..sample() },
            Manifest { segments: vec![segment(1 << 31, 0)], ..sample() },
            Manifest { voids: vec![segment(1, large)], ..sample() },
            Manifest { voids: vec![none], ..sample() },
        ] {
            assert!(matches!(Manifest::decode(&wrong.encode()), Err(Flaw::Damage(..))), "{wrong:?}");
        }
    }

    #[test]
    fn tables_and_segments_follow_each_other_without_a_gap() {
        let table = |number, from, to| TableEntry { number, from, to, size: 5 };
        let segment = |number, sealed| SegmentEntry { number, sealed };
        let two = Manifest { tables: vec![table(1, 0, 7), table(3, 7, 77)], ..sample() };
        assert_eq!(Manifest::decode(&two.encode()), Ok(two.clone()));
        for wrong in [
            Manifest { tables: vec![table(1, 0, 7), table(3, 8, 77)], ..sample() },
            Manifest { tables: vec![table(1, 7, 7)], ..sample() },
            Manifest { tables: vec![table(1, 0, 3 << 32 | 5)], ..sample() },
            Manifest { segments: vec![segment(2, 500), segment(4, 0)], ..sample() },
            Manifest { segments: vec![segment(2, 0), segment(3, 0)], ..sample() },
            Manifest { segments: vec![segment(2, 500), segment(3, 500)], ..sample() },
            Manifest { segments: vec![], ..sample() },
        ] {
            assert!(matches!(Manifest::decode(&wrong.encode()), Err(Flaw::Damage(..))), "{wrong:?}");
        }
    }

    /// A manifest with some of its bytes changed and a checksum that is right all the same.
    fn forged(change: impl FnOnce(&mut Vec<u8>)) -> Result<Manifest, Flaw> {
        let mut bytes = sample().encode();
        bytes.truncate(bytes.len() - 4);
        change(&mut bytes);
        let len = u32::try_from(bytes.len() + 4).unwrap();
        bytes[12..16].copy_from_slice(&len.to_le_bytes());
        let crc = crc32c(0, &bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        Manifest::decode(&bytes)
    }

    #[test]
    fn what_is_wrong_though_its_checksum_is_right_is_named() {
        assert_eq!(forged(|_| ()), Ok(sample()));
        assert_eq!(forged(|b| b[8] = 3), Err(Flaw::Version(3)));
        assert_eq!(forged(|b| b[8] = 1), Ok(sample()), "the first format");
        assert!(matches!(forged(|b| b[8] = 0), Err(Flaw::Damage(64, _))));
        assert!(matches!(forged(|b| b[40] = 2), Err(Flaw::Damage(40, _))));
        for at in [64, 68, 72, 76] {
            assert!(matches!(forged(|b| b[at] += 1), Err(Flaw::Damage(64, _))), "count at {at}");
        }
        let nothing = Manifest { tables: vec![], segments: vec![], voids: vec![], ..sample() };
        assert!(matches!(Manifest::decode(&nothing.encode()), Err(Flaw::Damage(80, _))));
        assert!(matches!(forged(|b| b.truncate(HEADER_LEN - 4)), Err(Flaw::Damage(0, _))));
    }

    #[test]
    fn a_value_file_belongs_to_one_table_and_is_nothing_else() {
        let m = keeping();
        let named = [1, 2, 3].map(|n| (m.names(Holder::Log(n)), m.names(Holder::Table(n))));
        assert_eq!(named, [(true, false), (true, true), (true, true)]);
        assert!(!sample().names(Holder::Log(1)) && !sample().names(Holder::Table(2)));
        let file = |owner, holder| ValueFile { owner, holder, size: 9 };
        for wrong in [
            vec![file(4, Holder::Log(1))],
            vec![file(3, Holder::Log(0))],
            vec![file(3, Holder::Log(2))],
            vec![file(3, Holder::Table(3))],
            vec![file(3, Holder::Table(4))],
            vec![file(3, Holder::Table(2)), file(3, Holder::Log(1))],
            vec![file(3, Holder::Log(1)), file(3, Holder::Log(1))],
            vec![file(3, Holder::Log(1)), ValueFile { size: 10, ..file(3, Holder::Log(1)) }],
        ] {
            let wrong = Manifest { value_files: wrong, ..sample() };
            assert!(matches!(Manifest::decode(&wrong.encode()), Err(Flaw::Damage(76, _))), "{wrong:?}");
        }
        // The kind of the last one; the format.
        for (at, value) in [(m.encode().len() - 4 - 24, 2), (8, 1)] {
            let (mut bytes, end) = (m.encode(), m.encode().len() - 4);
            bytes[at] = value;
            let crc = crc32c(0, &bytes[..end]);
            bytes[end..].copy_from_slice(&crc.to_le_bytes());
            assert!(matches!(Manifest::decode(&bytes), Err(Flaw::Damage(64 | 76, _))), "byte {at}");
        }
    }

    #[test]
    fn a_frame_beyond_a_sealed_end_is_void() {
        let m = sample();
        assert!(m.is_void(1 << 32 | 401) && !m.is_void(1 << 32 | 400));
        assert!(m.is_void(2 << 32 | 501) && !m.is_void(3 << 32 | 9_999));
    }
}
