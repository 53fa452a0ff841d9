//! The bounded worlds, small ones first.

/// A call; a process whose handle isn't open opens it first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Appends a frame.
    Put,
    /// Closes its handle.
    Close,
}
use Op::*;

/// How often each fault may happen on one path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Budget {
    /// A process is killed.
    pub kills: u8,
    /// `LOCK` is removed; the next opener makes another.
    pub locks: u8,
    /// `SHARED` is.
    pub shares: u8,
    /// A power cut.
    pub cuts: u8,
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
}

/// So many of them are explored in seconds: `cargo test` takes these.
pub const SMALL: usize = 6;

const P: &[Op] = &[Put];
const P_P: &[Op] = &[Put, Put];
const P_C_P: &[Op] = &[Put, Close, Put];

/// The worlds.
pub const WORLDS: [World; 8] = [
    // name, programs, kills, LOCK removed, SHARED removed, power cuts
    world("first", &[P_P, P_P], [0, 0, 0, 0]),
    world("die", &[P_C_P, P_P], [1, 0, 0, 1]),
    world("lock", &[P_P, P_P], [0, 1, 0, 0]),
    world("shared", &[P_P, P_P], [0, 0, 1, 0]),
    world("openers", &[P, P, P], [0, 1, 0, 0]),
    world("both", &[P_C_P, P_P], [1, 1, 1, 1]),
    // The large ones.
    world("both3", &[P_C_P, P_P, P_P], [1, 1, 1, 1]),
    world("twice-removed", &[P_P, P_P, P], [1, 2, 1, 1]),
];

const fn world(name: &'static str, programs: &'static [&'static [Op]], [kills, locks, shares, cuts]: [u8; 4]) -> World {
    World { name, programs, budget: Budget { kills, locks, shares, cuts } }
}
