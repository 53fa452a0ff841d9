//! Gets of keys that are there, and of keys that are not.

use std::hint::black_box;

use super::{Spec, Step, What, Work};
use crate::Result;
use crate::choice::Chooser;
use crate::engines::Session;
use crate::names::Names;
use crate::values::Values;

/// How many answers are checked byte by byte after a round.
const CHECKED: usize = 512;

pub struct Reads {
    spec: Spec,
    values: Values,
    chooser: Chooser,
    numbers: Vec<u64>,
    names: Names,
    next: usize,
    value: Vec<u8>,
}

impl Reads {
    pub fn new(spec: Spec) -> Reads {
        let (values, chooser) = (Values::new(spec.value), Chooser::new(spec.choice, spec.keys));
        Reads { values, chooser, spec, numbers: Vec::new(), names: Names::default(), next: 0, value: Vec::new() }
    }

    fn there(&self) -> bool {
        self.spec.what != What::GetAbsent
    }
}

impl Work for Reads {
    fn prepare(&mut self, _: &mut dyn Session, round: u64) -> Result<()> {
        let mut dice = self.spec.dice(round);
        self.numbers = (0..self.spec.ahead()).map(|_| self.chooser.next(&mut dice)).collect();
        let names = Names::of(self.spec.shape, self.numbers.iter().copied());
        self.names = if self.there() { names } else { names.absent() };
        self.next = 0;
        Ok(())
    }

    fn step(&mut self, session: &mut dyn Session) -> Result<Step> {
        let name = self.names.get(self.next);
        self.next = (self.next + 1) % self.names.len();
        let mut seen = 0;
        let found = if self.spec.what == What::View {
            session.view(name, &mut |value| {
                black_box((value.first().copied(), value.last().copied()));
                seen = value.len();
            })?
        } else {
            let found = session.get(name, &mut self.value)?;
            seen = self.value.len();
            found
        };
        if found != self.there() || (found && seen != self.spec.value) {
            return Err(format!("{:?}: found is {found}, with {seen} bytes", name.key).into());
        }
        Ok(Step::Done)
    }

    fn verify(&mut self, session: &mut dyn Session) -> Result<()> {
        for (name, number) in self.names.iter().zip(&self.numbers).take(CHECKED) {
            let found = session.get(name, &mut self.value)?;
            if found != self.there() {
                return Err(format!("{:?}: found is {found}", name.key).into());
            }
            if found {
                self.values.version(&self.value, *number)?;
            }
        }
        Ok(())
    }

    fn burst(&self) -> u32 {
        32
    }
}
