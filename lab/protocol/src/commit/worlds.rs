//! The bounded worlds, small ones first. A process is a list of calls, a call a list of frames.

use super::Kind::*;
use super::{Budget, Op, World};

const A: u8 = 0;
const B: u8 = 1;

/// So many of them are explored in seconds: `cargo test` takes these.
pub const SMALL: usize = 20;

// The short programs that most worlds share.
const R: &[Op] = &[&[(Read, A)]];
const P: &[Op] = &[&[(Put, A)]];
const P_R: &[Op] = &[&[(Put, A)], &[(Read, A)]];
const C_R: &[Op] = &[&[(Create, A)], &[(Read, A)]];
const P_P: &[Op] = &[&[(Put, A)], &[(Put, A)]];
const C_P: &[Op] = &[&[(Create, A)], &[(Put, A)]];
const P_C_R: &[Op] = &[&[(Put, A)], &[(Create, A)], &[(Read, A)]];
const C_P_R: &[Op] = &[&[(Create, A)], &[(Put, A)], &[(Read, A)]];
const P_S: &[Op] = &[&[(Put, A)], &[(Sync, A)]];
const P_P_S: &[Op] = &[&[(Put, A)], &[(Put, A)], &[(Sync, A)]];
const GROUP: &[Op] = &[&[(Put, A), (Create, B)], &[(Read, B)]];
const FOUR_P: &[Op] = &[&[(Put, A)], &[(Create, A)], &[(Put, A)], &[(Read, A)]];
const FOUR_C: &[Op] = &[&[(Create, A)], &[(Put, A)], &[(Put, A)], &[(Read, A)]];
const UPDATE: &[Op] = &[&[(Update, A)], &[(Create, A)], &[(Read, A)]];

/// The worlds.
pub const WORLDS: [World; 34] = [
    // name, programs, how often each fault, frames a segment
    //                         kills fails cuts writebacks write_errors closes
    world("calm", &[P_R, C_R], [0, 0, 0, 0, 0, 0], 4),
    world("fail", &[P_R, C_R], [1, 1, 0, 0, 0, 0], 4),
    world("cut", &[P_R, C_R], [1, 1, 1, 0, 0, 0], 4),
    world("longer", &[P_C_R, C_P_R], [1, 1, 0, 0, 0, 0], 4),
    // Two frames in one write, killed in between, then overwritten.
    world("group", &[GROUP, &[&[(Put, B)], &[(Read, B)]]], [1, 1, 1, 0, 0, 0], 4),
    world("roll", &[&[&[(Put, A)], &[(Put, A)], &[(Read, A)]], P_C_R], [1, 1, 0, 0, 0, 0], 2),
    world("rollcut", &[P_R, C_P], [1, 1, 1, 0, 0, 0], 1),
    world("pwrite", &[P_R, C_R], [1, 1, 1, 0, 1, 0], 3),
    world("lost", &[P, C_R], [1, 1, 0, 0, 0, 1], 4),
    world("threads", &[P_R, C_R], [1, 1, 0, 0, 0, 0], 4).threads(),
    world("twice", &[P_R, C_R], [1, 2, 0, 0, 0, 0], 3),
    world("alone", &[P, P, R], [2, 0, 1, 0, 0, 1], 3).reader(),
    world("os", &[P_R, C_R], [1, 1, 0, 0, 0, 0], 4).os(),
    world("os-cut", &[P_S, C_R], [1, 1, 1, 0, 0, 0], 4).os(),
    world("os-roll", &[P_S, C_P_R], [1, 1, 1, 0, 0, 0], 1).os(),
    world("os-threads", &[P_S, P_S], [0, 1, 1, 0, 0, 0], 2).os().threads(),
    world("os-pwrite", &[P_R, C_R], [1, 1, 1, 0, 1, 0], 3).os(),
    world("os-twice", &[P_S, P_R], [1, 2, 0, 0, 0, 0], 2).os(),
    world("os-evict", &[P_P, P_R], [2, 1, 0, 1, 0, 0], 4).os(),
    world("os-below", &[P, P], [1, 1, 0, 1, 1, 0], 2).os(),
    // The large ones.
    world("lost2", &[P_P, C_R], [2, 1, 0, 0, 0, 1], 4),
    world("threads3", &[P, C_R, P], [1, 1, 0, 0, 0, 0], 1).threads(),
    // A dead frame on disk shows again below a lost one.
    world("evict", &[P_P, P_R], [2, 1, 0, 1, 0, 0], 4),
    world("delete", &[&[&[(Put, A)], &[(Delete, A)]], UPDATE], [1, 1, 1, 0, 0, 0], 4),
    world("three", &[P, C_R, P], [1, 1, 0, 0, 0, 0], 3),
    world("threecut", &[P, C_R, P], [1, 1, 1, 0, 0, 0], 3),
    world("longer3", &[P_R, C_R, P], [1, 1, 0, 0, 0, 0], 2),
    world("twice3", &[P, C_R, P], [2, 2, 0, 0, 0, 0], 3),
    world("six", &[P_P, C_R, P_R], [1, 1, 0, 0, 0, 0], 3),
    world("fours", &[FOUR_P, FOUR_C], [1, 1, 0, 0, 0, 0], 3),
    world("os-three", &[P_P_S, C_R, P_S], [1, 1, 1, 0, 0, 0], 2).os(),
    world("os-all", &[P_P_S, C_P_R], [1, 1, 1, 1, 1, 1], 2).os(),
    world("alone-all", &[P_P, C_P, R], [2, 0, 1, 1, 1, 1], 2).reader(),
    world("all", &[P_C_R, &[&[(Create, A)], &[(Delete, A)], &[(Read, A)]]], [1, 1, 1, 1, 1, 1], 2),
];

const fn world(
    name: &'static str,
    programs: &'static [&'static [Op]],
    [kills, fails, cuts, writebacks, write_errors, closes]: [u8; 6],
    slots: u8,
) -> World {
    let budget = Budget { kills, fails, cuts, writebacks, write_errors, closes };
    World { name, programs, budget, slots, threads: false, os: false, reader: false }
}

impl World {
    const fn threads(mut self) -> World {
        self.threads = true;
        self
    }
    const fn os(mut self) -> World {
        self.os = true;
        self
    }
    const fn reader(mut self) -> World {
        self.reader = true;
        self
    }
}
