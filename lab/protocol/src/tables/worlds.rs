//! The bounded worlds, small ones first.

/// A call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// A lookup.
    Read,
    /// The sealed segments become a table.
    Flush,
    /// All tables become one.
    Merge,
    /// The two newest become one.
    MergeNewest,
    /// Strays are removed.
    Clean,
    /// The live segment is sealed, and the next one's frame is committed.
    Seal,
}
use Op::*;

/// How often each fault may happen on one path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Budget {
    /// A process is killed.
    pub kills: u8,
    /// The directory can't be synced.
    pub fails: u8,
    /// A power cut.
    pub cuts: u8,
    /// A compactor is told to stop.
    pub stops: u8,
    /// Every process ends; the page cache stays.
    pub ends: u8,
}

/// A bounded world.
#[derive(Clone, Copy)]
pub struct World {
    /// What it is called.
    pub name: &'static str,
    /// One list of calls per process.
    pub programs: &'static [&'static [Op]],
    /// The faults.
    pub budget: Budget,
    /// How many tables there are at the start, one segment's frame in each.
    pub tables: u8,
    /// The live segment; those after the tables' are there.
    pub live: u8,
    /// The frame of each segment: `a` and `b` put that key, `A` and `B` delete it.
    pub frames: &'static [u8],
}

impl World {
    /// The key of a segment's frame.
    pub fn key(&self, frame: u8) -> usize {
        usize::from(self.kind(frame).eq_ignore_ascii_case(&b'b'))
    }
    /// Whether it deletes the key.
    pub fn deletes(&self, frame: u8) -> bool {
        self.kind(frame).is_ascii_uppercase()
    }
    fn kind(&self, frame: u8) -> u8 {
        match frame {
            0 => b'-',
            n => self.frames[usize::from(n - 1) % self.frames.len()],
        }
    }
}

/// So many of them are explored in seconds: `cargo test` takes these.
pub const SMALL: usize = 10;

/// The worlds.
pub const WORLDS: [World; 15] = [
    // name, programs, kills fails cuts stops ends, tables, live segment, frames
    world("flush", &[&[Flush], &[Read, Read], &[Seal]], [1, 1, 1, 0, 0], (0, 2), b"ab"),
    world("flushes", &[&[Flush], &[Flush, Clean], &[Read]], [1, 1, 0, 0, 1], (0, 3), b"ab"),
    world("merge", &[&[Merge], &[Flush], &[Read, Read]], [0, 1, 1, 0, 0], (2, 4), b"aaab"),
    world("merges", &[&[Merge], &[MergeNewest], &[Flush, Read]], [1, 0, 0, 0, 0], (2, 4), b"aaab"),
    world("tombstone", &[&[Flush, Merge], &[MergeNewest], &[Read, Read]], [0, 0, 1, 0, 0], (1, 3), b"aAb"),
    world("strays", &[&[Flush], &[Flush, Clean], &[Clean]], [1, 1, 1, 0, 0], (1, 3), b"aab"),
    world("stopped", &[&[Merge], &[Flush, Clean], &[Read]], [0, 0, 1, 1, 0], (2, 4), b"aaab"),
    world("numbers", &[&[Merge], &[Merge], &[Flush, Clean]], [0, 0, 0, 0, 0], (2, 4), b"aaab"),
    world("unnamed", &[&[Merge], &[MergeNewest], &[Read]], [1, 1, 0, 0, 0], (3, 4), b"bAAb"),
    world("seals", &[&[Seal, Flush], &[Seal, Clean], &[Read]], [1, 1, 1, 0, 1], (0, 1), b"ab"),
    // The large ones.
    world("numbers-read", &[&[Merge], &[Flush, MergeNewest], &[Seal, Flush], &[Read, Read]], [0; 5], (2, 4), b"aaab"),
    world("busy", &[&[Flush, Merge], &[Flush, Clean], &[Seal, Seal], &[Read, Read]], [1, 1, 0, 0, 0], (1, 3), b"aAb"),
    world("cuts", &[&[Flush, Merge], &[Merge, Clean], &[Seal, Read]], [1, 1, 2, 0, 1], (1, 3), b"aAb"),
    world("four", &[&[Merge], &[Merge], &[Flush, Clean], &[Read, Read]], [1, 1, 0, 1, 0], (2, 4), b"aaAb"),
    world(
        "long",
        &[&[Seal, Flush, Merge], &[Seal, Flush, Clean], &[Read, Read, Read]],
        [1, 1, 1, 0, 0],
        (0, 1),
        b"aAb",
    ),
];

const fn world(
    name: &'static str,
    programs: &'static [&'static [Op]],
    [kills, fails, cuts, stops, ends]: [u8; 5],
    (tables, live): (u8, u8),
    frames: &'static [u8],
) -> World {
    World { name, programs, budget: Budget { kills, fails, cuts, stops, ends }, tables, live, frames }
}
