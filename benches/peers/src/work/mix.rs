//! The core workloads of YCSB, A to F, and one of our own for many processes. All choose keys by Zipf's law, D the latest.

use serde::{Deserialize, Serialize};

use super::{Spec, Step, Work};
use crate::Result;
use crate::choice::Chooser;
use crate::engines::{Range, Session};
use crate::names::{BUCKET, Names};
use crate::values::Values;

/// Which workload.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Letter {
    /// Half reads, half updates.
    A,
    /// 95 % reads, 5 % updates.
    B,
    /// Reads only.
    C,
    /// 95 % reads of what was inserted lately, 5 % inserts.
    D,
    /// 95 % scans of 1 to 100 items, 5 % inserts.
    E,
    /// Half reads, half reads followed by a change of what was read.
    F,
}

impl Letter {
    /// All of them.
    pub const ALL: [Letter; 6] = [Letter::A, Letter::B, Letter::C, Letter::D, Letter::E, Letter::F];

    fn reads(self) -> f64 {
        match self {
            Letter::A | Letter::F => 0.5,
            Letter::B | Letter::D | Letter::E => 0.95,
            Letter::C => 1.0,
        }
    }
}

/// One operation, chosen ahead.
#[derive(Clone, Copy)]
enum Act {
    Read,
    Update,
    Insert,
    Scan(usize),
    Change,
}

pub struct Mix {
    spec: Spec,
    letter: Letter,
    values: Values,
    chooser: Chooser,
    acts: Vec<(Act, u64)>,
    names: Names,
    next: usize,
    inserted: u64,
    version: u64,
    value: Vec<u8>,
    fresh: Vec<u8>,
}

impl Mix {
    /// Choices made ahead for a round.
    const AHEAD: usize = 1 << 17;

    pub fn new(spec: Spec, letter: Letter) -> Mix {
        let (values, chooser) = (Values::new(spec.value), Chooser::new(spec.choice, spec.keys));
        // A version says who wrote it: several write one key.
        let version = (spec.who + 1) << 48;
        Mix {
            spec,
            letter,
            values,
            chooser,
            acts: Vec::new(),
            names: Names::default(),
            next: 0,
            inserted: 0,
            version,
            value: Vec::new(),
            fresh: Vec::new(),
        }
    }

    fn choose(&mut self, dice: &mut fastrand::Rng) -> (Act, u64) {
        let number = self.chooser.next(dice);
        let reads = dice.f64() < self.letter.reads();
        match (self.letter, reads) {
            (Letter::E, true) => (Act::Scan(dice.usize(1..=100)), number),
            (Letter::D, true) => {
                let back = number % self.inserted.clamp(1, 1000);
                if self.inserted == 0 { (Act::Read, number) } else { (Act::Read, self.own(self.inserted - 1 - back)) }
            }
            (_, true) => (Act::Read, number),
            (Letter::D | Letter::E, false) => {
                self.inserted += 1;
                (Act::Insert, self.own(self.inserted - 1))
            }
            (Letter::F, false) => (Act::Change, number),
            (_, false) => (Act::Update, number),
        }
    }

    /// The number of one of the keys that this worker inserts.
    fn own(&self, index: u64) -> u64 {
        1_000_000_000 * (self.spec.who + 1) + index
    }

    fn read(&mut self, session: &mut dyn Session, at: usize) -> Result<()> {
        if !session.get(self.names.get(at), &mut self.value)? || self.value.len() != self.spec.value {
            return Err(format!("key {} is not there as it should be", self.acts[at].1).into());
        }
        Ok(())
    }

    fn write(&mut self, session: &mut dyn Session, at: usize) -> Result<()> {
        self.version += 1;
        self.values.fill(&mut self.fresh, self.acts[at].1, self.version);
        session.put(self.names.get(at), &self.fresh)
    }

    fn scan(&mut self, session: &mut dyn Session, at: usize, limit: usize) -> Result<()> {
        let range = Range { bucket: BUCKET, prefix: b"", after: Some(self.names.get(at)), limit };
        let mut seen = 0;
        session.items(range, &mut |_, value| seen += usize::from(!value.is_empty()))?;
        if seen > limit {
            return Err(format!("a scan of {limit} shows {seen}").into());
        }
        Ok(())
    }
}

impl Work for Mix {
    fn prepare(&mut self, _: &mut dyn Session, round: u64) -> Result<()> {
        let mut dice = self.spec.dice(round);
        // What was chosen and not reached in the round before was never inserted.
        if let Some(first) = self.acts[self.next..].iter().find(|(act, _)| matches!(act, Act::Insert)) {
            self.inserted = first.1 - self.own(0);
        }
        self.acts = (0..Self::AHEAD).map(|_| self.choose(&mut dice)).collect();
        self.names = Names::of(self.spec.shape, self.acts.iter().map(|(_, number)| *number));
        self.next = 0;
        Ok(())
    }

    fn step(&mut self, session: &mut dyn Session) -> Result<Step> {
        if self.next == self.acts.len() {
            // Reads may come again; a second insert of a key would be none.
            if self.letter != Letter::C {
                return Ok(Step::Empty);
            }
            self.next = 0;
        }
        let at = self.next;
        match self.acts[at].0 {
            Act::Read => self.read(session, at)?,
            Act::Update | Act::Insert => self.write(session, at)?,
            Act::Scan(limit) => self.scan(session, at, limit)?,
            Act::Change => {
                self.read(session, at)?;
                self.write(session, at)?;
            }
        }
        self.next += 1;
        Ok(Step::Done)
    }

    fn verify(&mut self, session: &mut dyn Session) -> Result<()> {
        let done = &self.acts[self.next.saturating_sub(512)..self.next];
        for (offset, (_, number)) in done.iter().enumerate() {
            let at = self.next - done.len() + offset;
            if !session.get(self.names.get(at), &mut self.value)? {
                return Err(format!("key {number} is not there").into());
            }
            self.values.version(&self.value, *number)?;
        }
        Ok(())
    }

    fn burst(&self) -> u32 {
        if self.letter == Letter::C { 32 } else { 1 }
    }
}
