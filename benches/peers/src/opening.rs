//! A process that opens a large store: how long until it has its first value, and how much private memory it takes.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::engines;
use crate::names::{Names, Shape};
use crate::processes::{Part, Process, Task};
use crate::turn::now;
use crate::values::Values;

/// What it does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Opener {
    /// The store holds the numbers below.
    pub keys: u64,
    /// Bytes of a value.
    pub value: usize,
    /// How many gets it does after the first, before it looks at its memory.
    pub gets: u64,
    /// Where its choices come from.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Opened {
    /// Nanoseconds from before the open to after the first get.
    pub first: u64,
    /// Bytes of private memory more than before the open.
    pub private: u64,
}

/// Starts one and waits for what it tells.
pub fn run(task: &Task) -> Result<Opened> {
    Process::start(task)?.hear()
}

/// The child's part.
pub fn play(task: &Task, opener: &Opener) -> Result<Opened> {
    let Part::Opener(_) = task.part else { return Err("not an opener".into()) };
    let values = Values::new(opener.value);
    let mut dice = fastrand::Rng::with_seed(opener.seed);
    let numbers: Vec<u64> = (0..=opener.gets).map(|_| dice.u64(..opener.keys)).collect();
    let names = Names::of(Shape::Plain, numbers.iter().copied());
    let mut value = Vec::with_capacity(2 * opener.value);
    let before = private_memory()?;
    let begin = now();
    let engine = engines::open(task.kind, &task.path, &task.setup)?;
    let mut session = engine.session()?;
    let found = session.get(names.get(0), &mut value)?;
    let first = now() - begin;
    if !found {
        return Err(format!("key {} is not there", numbers[0]).into());
    }
    for (name, number) in names.iter().zip(&numbers) {
        if !session.get(name, &mut value)? {
            return Err(format!("key {number} is not there").into());
        }
        values.version(&value, *number)?;
    }
    let private = private_memory()?.saturating_sub(before);
    Ok(Opened { first, private })
}

/// Bytes of memory that this process shares with nobody: no page of a file.
pub fn private_memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon in the status")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn private_memory_grows_with_what_is_touched() {
        let before = super::private_memory().unwrap();
        let memory = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = super::private_memory().unwrap();
        assert!(after > before + (60 << 20), "{before} to {after}");
        drop(memory);
    }
}
