//! Exhaustive models of dirkv's protocols: every interleaving of a few processes with every fault at every step, breadth
//! first, so that a counterexample is a shortest one. Each room models one protocol as the code takes it, step by step, and
//! has numbered or named rules, each of which can be left out.

pub mod commit;
pub mod leases;
pub mod names;
mod room;
pub mod rules;
pub mod search;
pub mod sectors;
pub mod tables;

pub use room::Room;

/// Every room.
pub const ROOMS: &[Room] = &[commit::ROOM, tables::ROOM, leases::ROOM, names::ROOM, sectors::ROOM];
