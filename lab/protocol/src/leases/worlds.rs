//! The bounded worlds, small ones first.

/// A call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Takes the lock, waiting for ever.
    Acquire,
    /// Frees it.
    Release,
    /// Extends the lease.
    Renew,
    /// Changes something else.
    Put,
}
use Op::*;

/// How often each fault may happen on one path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Budget {
    /// A process is killed.
    pub kills: u8,
    /// An fdatasync fails.
    pub fails: u8,
    /// Time passes; a lease lasts for two.
    pub time: u8,
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
pub const SMALL: usize = 7;

const A: &[Op] = &[Acquire];
const A_R: &[Op] = &[Acquire, Release];

/// The worlds.
pub const WORLDS: [World; 12] = [
    // name, programs, kills fails time
    world("wake", &[A_R, A_R], [0, 0, 0]),
    world("relay", &[A_R, A, &[Put]], [0, 0, 0]),
    world("void", &[A_R, A_R], [0, 1, 0]),
    world("kill", &[A_R, A_R], [1, 0, 2]),
    world("expire", &[A, A_R], [0, 0, 3]),
    world("late", &[&[Acquire, Release, Acquire], A], [0, 0, 2]),
    world("renew", &[&[Acquire, Renew], A], [0, 0, 3]),
    // The large ones.
    world("relay3", &[A_R, A_R, A_R], [0, 0, 0]),
    world("killed3", &[A_R, A_R, A_R], [1, 0, 0]),
    world("void3", &[A_R, A_R, A_R], [0, 1, 0]),
    world("renewals", &[&[Acquire, Renew, Release], &[Acquire, Renew], A_R], [0, 0, 3]),
    world("leases-all", &[&[Acquire, Renew, Release], A_R, A_R], [1, 1, 3]),
];

const fn world(name: &'static str, programs: &'static [&'static [Op]], [kills, fails, time]: [u8; 3]) -> World {
    World { name, programs, budget: Budget { kills, fails, time } }
}
