//! What a worker does, one operation a step. A worker is a thread or a process; both get the same `Spec`, so that both do the
//! same. Whatever is not the engine's work (names, choices, checks) is done while no clock runs.

mod batches;
mod lists;
mod mix;
mod reads;
mod swaps;
mod writes;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::choice::Choice;
use crate::engines::Session;
use crate::names::Shape;

pub use batches::{Batch, fill};
pub use mix::Letter;

/// What one worker of several is to do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The operation.
    pub what: What,
    /// How many keys the store was filled with: the numbers from 0.
    pub keys: u64,
    /// Bytes of a value.
    pub value: usize,
    /// How keys look.
    pub shape: Shape,
    /// Which of them are chosen.
    pub choice: Choice,
    /// Of this worker: its number, from 0.
    pub who: u64,
    /// How many there are. Those that write each keep to their own keys, which is how each can check its own.
    pub workers: u64,
    /// Where its choices come from.
    pub seed: u64,
}

/// The operations.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum What {
    /// A value is copied to the caller.
    Get,
    /// A value is looked at where it lies, if the engine can do that.
    View,
    /// A key that is not there, but lies among those that are.
    GetAbsent,
    /// A key that is there gets a new value.
    Put,
    /// A key that is not there gets a value, under the condition that it is not there.
    Create,
    /// A key that is there goes.
    Delete,
    /// So many keys get new values at once.
    Batch(usize),
    /// The worker's own key, whose value it knows.
    SwapOwn,
    /// One key for all: read, swap, again on failure.
    SwapShared,
    /// All items of the only bucket.
    Items,
    /// All its keys.
    Keys,
    /// The items of one bucket of many.
    BucketItems,
    /// The keys of one bucket of many.
    BucketKeys,
    /// So many items after some key.
    Page(usize),
    /// A mixture of YCSB.
    Mix(Letter),
}

impl What {
    /// Whether it changes nothing.
    pub fn reads_only(self) -> bool {
        match self {
            What::Get | What::View | What::GetAbsent => true,
            What::Items | What::Keys | What::BucketItems | What::BucketKeys | What::Page(_) => true,
            What::Mix(letter) => letter == Letter::C,
            What::Put | What::Create | What::Delete | What::Batch(_) | What::SwapOwn | What::SwapShared => false,
        }
    }
}

/// What came of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// One operation more.
    Done,
    /// Tried in vain: another was faster.
    Missed,
    /// Nothing is left to do; the round ends early.
    Empty,
}

/// A worker's work.
pub trait Work {
    /// Before each round: chooses what its steps will do.
    fn prepare(&mut self, session: &mut dyn Session, round: u64) -> Result<()>;

    /// Does one.
    fn step(&mut self, session: &mut dyn Session) -> Result<Step>;

    /// After each round: whether the store holds what it has to.
    fn verify(&mut self, session: &mut dyn Session) -> Result<()>;

    /// How many steps are done between two looks at the clock.
    fn burst(&self) -> u32 {
        1
    }
}

impl Spec {
    /// The work itself.
    pub fn build(&self) -> Box<dyn Work + Send> {
        let spec = self.clone();
        match self.what {
            What::Get | What::View | What::GetAbsent => Box::new(reads::Reads::new(spec)),
            What::Put => Box::new(writes::Puts::new(spec)),
            What::Create => Box::new(writes::Creates::new(spec)),
            What::Delete => Box::new(writes::Deletes::new(spec)),
            What::Batch(size) => Box::new(batches::Batches::new(spec, size)),
            What::SwapOwn => Box::new(swaps::Own::new(&spec)),
            What::SwapShared => Box::new(swaps::Shared::new(&spec)),
            What::Items | What::Keys | What::BucketItems | What::BucketKeys | What::Page(_) => {
                Box::new(lists::Lists::new(spec))
            }
            What::Mix(letter) => Box::new(mix::Mix::new(spec, letter)),
        }
    }

    /// The random choices of one round of this worker.
    fn dice(&self, round: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed ^ (round << 16) ^ (self.who << 40))
    }

    /// How many choices are made ahead for a round: enough that few come twice, few enough to make them quickly.
    fn ahead(&self) -> usize {
        usize::try_from(self.keys).unwrap_or(usize::MAX).clamp(1 << 10, 1 << 18)
    }

    /// One of this worker's own keys that is nearest to a number.
    fn own(&self, number: u64) -> u64 {
        let own = number - number % self.workers + self.who;
        if own < self.keys { own } else { self.who }
    }
}
