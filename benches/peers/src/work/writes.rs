//! Upserts, creates and deletes of single keys.

use super::batches::fill;
use super::{Spec, Step, Work};
use crate::Result;
use crate::choice::Chooser;
use crate::engines::Session;
use crate::names::Names;
use crate::values::Values;

/// How many of the last changes are read again after a round.
const CHECKED: usize = 4096;

/// What was written last: the number of a key and its version.
pub type Written = (u64, u64);

/// Reads again what was written, the newest first; of a key that was written twice only the last counts.
pub fn verify(session: &mut dyn Session, spec: &Spec, values: &Values, written: &[Written]) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    let mut value = Vec::new();
    for (number, version) in written.iter().rev().take(CHECKED) {
        if !seen.insert(*number) {
            continue;
        }
        let names = Names::of(spec.shape, [*number]);
        if !session.get(names.get(0), &mut value)? {
            return Err(format!("key {number} was written and is not there").into());
        }
        let found = values.version(&value, *number)?;
        if found != *version {
            return Err(format!("key {number} has version {found}, not {version}").into());
        }
    }
    Ok(())
}

/// Upserts of keys that are there.
pub struct Puts {
    spec: Spec,
    values: Values,
    chooser: Chooser,
    numbers: Vec<u64>,
    names: Names,
    next: usize,
    version: u64,
    value: Vec<u8>,
    written: Vec<Written>,
}

impl Puts {
    pub fn new(spec: Spec) -> Puts {
        Puts {
            values: Values::new(spec.value),
            chooser: Chooser::new(spec.choice, spec.keys),
            spec,
            numbers: Vec::new(),
            names: Names::default(),
            next: 0,
            version: 0,
            value: Vec::new(),
            written: Vec::new(),
        }
    }
}

impl Work for Puts {
    fn prepare(&mut self, _: &mut dyn Session, round: u64) -> Result<()> {
        let mut dice = self.spec.dice(round);
        let count = self.spec.ahead().min(1 << 15);
        self.numbers = (0..count).map(|_| self.spec.own(self.chooser.next(&mut dice))).collect();
        self.names = Names::of(self.spec.shape, self.numbers.iter().copied());
        self.next = 0;
        self.written.clear();
        Ok(())
    }

    fn step(&mut self, session: &mut dyn Session) -> Result<Step> {
        let number = self.numbers[self.next];
        self.version += 1;
        self.values.fill(&mut self.value, number, self.version);
        session.put(self.names.get(self.next), &self.value)?;
        self.written.push((number, self.version));
        self.next = (self.next + 1) % self.numbers.len();
        Ok(Step::Done)
    }

    fn verify(&mut self, session: &mut dyn Session) -> Result<()> {
        verify(session, &self.spec, &self.values, &self.written)
    }
}

/// The first number of keys that a worker makes beside those that the store was filled with.
fn fresh(spec: &Spec) -> u64 {
    1_000_000_000 * (spec.who + 1)
}

/// Creates of keys that are not there, in order.
pub struct Creates {
    spec: Spec,
    values: Values,
    next: u64,
    names: Names,
    used: usize,
    value: Vec<u8>,
    written: Vec<Written>,
}

impl Creates {
    /// How many names are made at once.
    const AHEAD: u64 = 1 << 14;

    pub fn new(spec: Spec) -> Creates {
        let (values, next) = (Values::new(spec.value), fresh(&spec));
        Creates { spec, values, next, names: Names::default(), used: 0, value: Vec::new(), written: Vec::new() }
    }
}

impl Work for Creates {
    fn prepare(&mut self, _: &mut dyn Session, _: u64) -> Result<()> {
        self.names = Names::of(self.spec.shape, self.next..self.next + Self::AHEAD);
        self.used = 0;
        self.written.clear();
        Ok(())
    }

    fn step(&mut self, session: &mut dyn Session) -> Result<Step> {
        if self.used == self.names.len() {
            return Ok(Step::Empty);
        }
        self.values.fill(&mut self.value, self.next, 1);
        if !session.create(self.names.get(self.used), &self.value)? {
            return Err(format!("key {} is said to be there", self.next).into());
        }
        self.written.push((self.next, 1));
        self.next += 1;
        self.used += 1;
        Ok(Step::Done)
    }

    fn verify(&mut self, session: &mut dyn Session) -> Result<()> {
        verify(session, &self.spec, &self.values, &self.written)
    }
}

/// Deletes of keys that are there, in random order; the stock is filled up before each round.
pub struct Deletes {
    spec: Spec,
    values: Values,
    left: Vec<u64>,
    names: Names,
    used: usize,
}

impl Deletes {
    pub fn new(spec: Spec) -> Deletes {
        Deletes { values: Values::new(spec.value), spec, left: Vec::new(), names: Names::default(), used: 0 }
    }
}

impl Work for Deletes {
    fn prepare(&mut self, session: &mut dyn Session, round: u64) -> Result<()> {
        let stock = fresh(&self.spec)..fresh(&self.spec) + self.spec.ahead().min(1 << 14) as u64;
        fill(session, self.spec.shape, &self.values, stock.clone())?;
        self.left = stock.collect();
        self.spec.dice(round).shuffle(&mut self.left);
        self.names = Names::of(self.spec.shape, self.left.iter().copied());
        self.used = 0;
        Ok(())
    }

    fn step(&mut self, session: &mut dyn Session) -> Result<Step> {
        if self.used == self.names.len() {
            return Ok(Step::Empty);
        }
        if !session.delete(self.names.get(self.used))? {
            return Err(format!("key {} is said not to be there", self.left[self.used]).into());
        }
        self.used += 1;
        Ok(Step::Done)
    }

    fn verify(&mut self, session: &mut dyn Session) -> Result<()> {
        let mut value = Vec::new();
        for (index, name) in self.names.iter().enumerate().take(self.used + CHECKED) {
            if session.get(name, &mut value)? != (index >= self.used) {
                return Err(
                    format!("key {}: {} of {} are deleted", self.left[index], self.used, self.left.len()).into()
                );
            }
        }
        Ok(())
    }
}
