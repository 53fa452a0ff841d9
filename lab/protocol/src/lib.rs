//! Exhaustive models of dirkv's protocols: every interleaving of a few processes with every fault at every step, breadth
//! first, so that a counterexample is a shortest one. Each room models one protocol as the code takes it, step by step, and
//! has numbered or named rules, each of which can be left out.

pub mod commit;
pub mod leases;
pub mod names;
pub mod rules;
pub mod search;
pub mod sectors;
pub mod tables;

use rules::Rule;
use search::{Limits, Report};
use std::time::Duration;

/// One protocol and its bounded worlds.
pub struct Room {
    /// What it is called.
    pub name: &'static str,
    /// What is modelled.
    pub about: &'static str,
    /// Its rules.
    pub rules: &'static [Rule],
    /// The worlds, small ones first.
    pub worlds: &'static [&'static str],
    /// How many of them are small: explored in seconds.
    pub small: usize,
    /// Explores one world without some rules.
    pub run: fn(world: usize, without: &[&str], limits: &Limits) -> Report,
}

impl Room {
    /// What breaks in a world without some rules: first what nobody may ever see, and only if that holds, who waits for ever.
    pub fn counterexample(&self, world: usize, without: &[&str], bytes: usize, time: Duration) -> Report {
        let safe = (self.run)(world, without, &Limits { bytes, time, live_every: u64::MAX });
        match safe.broken {
            Some(_) => safe,
            None => (self.run)(world, without, &Limits { bytes, time, live_every: 1 }),
        }
    }
}

/// Every room.
pub const ROOMS: &[Room] = &[commit::ROOM, tables::ROOM, leases::ROOM, names::ROOM, sectors::ROOM];
