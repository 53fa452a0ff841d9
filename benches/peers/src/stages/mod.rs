//! A stage is one engine made ready for one line: its store filled, its workers waiting. A round of it gives a few figures.

mod load;
mod lock;
mod open;
mod rest;
mod space;
mod workers;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::bench::Bench;
use crate::choice::Choice;
use crate::engines::{Cache, Kind, Role, Setup, Sync};
use crate::names::Shape;
use crate::work::What;

/// What a figure means.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Metric {
    /// Operations a second.
    Rate,
    /// The latency that one operation in a thousand exceeds, over the median.
    Tail,
    /// What the slowest worker did, over what the fastest did.
    Fairness,
    /// MiB of private memory.
    PrivateMiB,
    /// Milliseconds.
    Millis,
    /// Microseconds.
    Micros,
    /// Blocks on disk over live bytes.
    Disk,
    /// Time on the processor over time, in percent.
    Busy,
    /// Time on the processor while the engine came to rest after a turn, over the time of the turn and its warm-up, in percent.
    RestBusy,
    /// Bytes made dirty while the engine came to rest after a turn, over those of the turn, in percent.
    RestWritten,
}

impl Metric {
    /// Whether more of it is better.
    pub fn rises(self) -> bool {
        matches!(self, Metric::Rate | Metric::Fairness)
    }

    /// What a figure is followed by.
    pub fn unit(self) -> &'static str {
        match self {
            Metric::Rate => "ops/s",
            Metric::Tail => "x the median at p99.9",
            Metric::Fairness => "slowest / fastest",
            Metric::PrivateMiB => "MiB private",
            Metric::Millis => "ms",
            Metric::Micros => "us",
            Metric::Disk => "x live bytes",
            Metric::Busy => "% of a core",
            Metric::RestBusy => "% of a core for the turn, at rest",
            Metric::RestWritten => "% of what the turn wrote, at rest",
        }
    }

    /// Whether it tells what no clock has seen.
    pub fn is_of_rest(self) -> bool {
        matches!(self, Metric::RestBusy | Metric::RestWritten)
    }
}

/// One figure of one round.
pub type Sample = (Metric, f64);

/// One engine, ready for one line.
pub trait Stage {
    /// Measures, then checks what the store holds.
    fn round(&mut self, round: u64) -> Result<Vec<Sample>>;
}

/// Who the workers are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// Threads of this process, with one handle.
    Threads(u64),
    /// Processes of one thread, each with a handle of its own.
    Processes(u64),
}

impl Who {
    /// How many.
    pub fn count(self) -> u64 {
        match self {
            Who::Threads(count) | Who::Processes(count) => count,
        }
    }
}

/// A line in which workers do one thing for a span of time. Most are of this kind.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What they do.
    pub what: What,
    /// How many keys are there beforehand.
    pub keys: u64,
    /// Bytes of a value.
    pub value: usize,
    /// How the keys look.
    pub shape: Shape,
    /// Which are chosen.
    pub choice: Choice,
    /// Who does it.
    pub who: Who,
    /// What a change survives.
    pub sync: Sync,
    /// Whether caches are small.
    pub frugal: bool,
    /// Whether each operation is timed by itself.
    pub latencies: bool,
    /// What else goes on.
    pub beside: Beside,
    /// Whether the store is one that other lines have filled and used, too.
    pub reuse: bool,
}

/// What else goes on while the clock runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beside {
    /// Nothing.
    Nothing,
    /// One more process that upserts as fast as it can.
    Writer,
    /// A thread that compacts again and again.
    Compaction,
}

impl Plan {
    /// One thread, durable, uniform choice of plain keys, with a store of its own.
    pub fn new(what: What, keys: u64, value: usize) -> Plan {
        Plan {
            what,
            keys,
            value,
            shape: Shape::Plain,
            choice: Choice::Uniform,
            who: Who::Threads(1),
            sync: Sync::Full,
            frugal: false,
            latencies: false,
            beside: Beside::Nothing,
            reuse: false,
        }
    }

    /// With other workers.
    pub fn by(self, who: Who) -> Plan {
        Plan { who, ..self }
    }

    /// With a store that other lines use, too: nothing may depend on what they left.
    pub fn reused(self) -> Plan {
        Plan { reuse: true, ..self }
    }

    /// How a worker opens the store.
    pub fn setup(&self) -> Setup {
        let role = match self.who {
            _ if self.beside == Beside::Writer => Role::BesideWriter,
            Who::Threads(_) | Who::Processes(1) => Role::Alone,
            Who::Processes(_) if self.what.reads_only() => Role::AmongReaders,
            Who::Processes(_) => Role::AmongWriters,
        };
        Setup { role, ..self.alone() }
    }

    /// How it is opened by whoever is the only one.
    pub fn alone(&self) -> Setup {
        let cache = if self.frugal { Cache::Frugal } else { Cache::for_data(self.keys * self.value as u64) };
        Setup { sync: self.sync, role: Role::Alone, cache, value: self.value }
    }
}

/// What kind of stage a line has.
#[derive(Clone, Debug)]
pub enum Script {
    /// Workers.
    Workers(Plan),
    /// A new store is filled by durable batches of 1,000, in order or not.
    Load {
        /// How many keys.
        keys: u64,
        /// Whether they come in order.
        sorted: bool,
    },
    /// A lock goes to and fro between two processes.
    Lock {
        /// How long each keeps it.
        hold: Duration,
    },
    /// A process opens a store of so many keys.
    Open {
        /// How many keys.
        keys: u64,
    },
    /// So many keys are overwritten three times; then the disk is looked at.
    Space {
        /// How many keys.
        keys: u64,
    },
}

impl Script {
    /// How many keys a store of it holds.
    pub fn keys(&self) -> u64 {
        match self {
            Script::Workers(plan) => plan.keys,
            Script::Load { keys, .. } | Script::Open { keys } | Script::Space { keys } => *keys,
            Script::Lock { .. } => 0,
        }
    }

    /// Makes an engine ready.
    pub fn stage<'a>(&self, bench: &'a Bench, kind: Kind) -> Result<Box<dyn Stage + 'a>> {
        Ok(match self {
            Script::Workers(plan) => workers::stage(bench, kind, plan)?,
            Script::Load { keys, sorted } => Box::new(load::Load::new(bench, kind, *keys, *sorted)),
            Script::Lock { hold } => Box::new(lock::Lock::new(bench, kind, *hold)?),
            Script::Open { keys } => Box::new(open::Open::new(bench, kind, *keys)?),
            Script::Space { keys } => Box::new(space::Space::new(bench, kind, *keys)),
        })
    }
}
