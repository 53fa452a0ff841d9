//! Compare-and-swap: each worker on a key of its own, or all on one.

use super::{Spec, Step, Work};
use crate::Result;
use crate::engines::Session;
use crate::names::Names;
use crate::values::Values;

/// One key, and what is known of it.
struct Cell {
    values: Values,
    names: Names,
    number: u64,
    old: Vec<u8>,
    new: Vec<u8>,
}

impl Cell {
    fn new(spec: &Spec, number: u64) -> Cell {
        let names = Names::of(spec.shape, [number]);
        Cell { values: Values::new(spec.value), names, number, old: Vec::new(), new: Vec::new() }
    }

    /// Reads the value; its version.
    fn read(&mut self, session: &mut dyn Session) -> Result<u64> {
        if !session.get(self.names.get(0), &mut self.old)? {
            return Err(format!("key {} is not there", self.number).into());
        }
        self.values.version(&self.old, self.number)
    }

    /// Puts a version in the place of what was read last.
    fn swap(&mut self, session: &mut dyn Session, version: u64) -> Result<bool> {
        self.values.fill(&mut self.new, self.number, version);
        session.swap(self.names.get(0), &self.old, &self.new)
    }
}

/// A worker that knows what is there, since nobody else changes it.
pub struct Own {
    cell: Cell,
    version: u64,
}

impl Own {
    pub fn new(spec: &Spec) -> Own {
        Own { cell: Cell::new(spec, spec.own(0)), version: 0 }
    }
}

impl Work for Own {
    fn prepare(&mut self, _: &mut dyn Session, _: u64) -> Result<()> {
        self.cell.values.fill(&mut self.cell.old, self.cell.number, self.version);
        Ok(())
    }

    fn step(&mut self, session: &mut dyn Session) -> Result<Step> {
        if !self.cell.swap(session, self.version + 1)? {
            return Err(format!("the own key {} is not at version {}", self.cell.number, self.version).into());
        }
        self.version += 1;
        std::mem::swap(&mut self.cell.old, &mut self.cell.new);
        Ok(Step::Done)
    }

    fn verify(&mut self, session: &mut dyn Session) -> Result<()> {
        let found = self.cell.read(session)?;
        if found != self.version {
            return Err(format!("the own key has version {found}, not {}", self.version).into());
        }
        Ok(())
    }
}

/// One of those that raise the version of key 0 by one. That no step was lost shows in the sum, which the line checks.
pub struct Shared {
    cell: Cell,
}

impl Shared {
    pub fn new(spec: &Spec) -> Shared {
        Shared { cell: Cell::new(spec, 0) }
    }
}

impl Work for Shared {
    fn prepare(&mut self, _: &mut dyn Session, _: u64) -> Result<()> {
        Ok(())
    }

    fn step(&mut self, session: &mut dyn Session) -> Result<Step> {
        let version = self.cell.read(session)?;
        Ok(if self.cell.swap(session, version + 1)? { Step::Done } else { Step::Missed })
    }

    fn verify(&mut self, session: &mut dyn Session) -> Result<()> {
        self.cell.read(session).map(|_| ())
    }
}
