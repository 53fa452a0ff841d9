//! The bounded worlds, small ones first.

/// How often each fault may happen on one path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Budget {
    /// A writer is killed.
    pub kills: u8,
    /// A write-back fails.
    pub fails: u8,
    /// A power cut.
    pub cuts: u8,
    /// The kernel writes a sector back by itself.
    pub writebacks: u8,
    /// Every process ends; the page cache stays.
    pub ends: u8,
}

/// A bounded world.
#[derive(Clone, Copy)]
pub struct World {
    /// What it is called.
    pub name: &'static str,
    /// How many frames each run has, and how many units each frame.
    pub runs: &'static [usize],
    /// See `runs`.
    pub lens: &'static [u8],
    /// The frame whose second unit is the bytes of another log's frame; 0 is none.
    pub foreign: usize,
    /// The faults.
    pub budget: Budget,
}

/// So many of them are explored in seconds: `cargo test` takes these.
pub const SMALL: usize = 5;

/// The worlds.
pub const WORLDS: [World; 7] = [
    // name, frames in each run, units of each frame, which one has foreign bytes, kills fails cuts writebacks ends
    world("torn", &[1, 1, 1], &[3, 2, 3], 0, [1, 0, 1, 1, 0]),
    world("run", &[2, 1, 2], &[1, 1, 1, 3, 1], 0, [1, 0, 1, 1, 0]),
    world("foreign", &[1, 1], &[1, 3], 2, [0, 0, 1, 1, 0]),
    world("lost-sector", &[1, 1, 1], &[1, 2, 2], 0, [1, 1, 1, 0, 1]),
    world("over", &[1, 1, 1, 1], &[1, 3, 2, 1], 0, [2, 0, 1, 1, 0]),
    // The large ones.
    world("sectors-all", &[2, 1, 2], &[1, 2, 3, 1, 1], 0, [2, 1, 1, 2, 1]),
    world("two-cuts", &[1, 2, 1, 1], &[3, 1, 2, 1, 3], 0, [1, 1, 2, 2, 1]),
];

const fn world(
    name: &'static str,
    runs: &'static [usize],
    lens: &'static [u8],
    foreign: usize,
    [kills, fails, cuts, writebacks, ends]: [u8; 5],
) -> World {
    World { name, runs, lens, foreign, budget: Budget { kills, fails, cuts, writebacks, ends } }
}
