//! What a thread asks next of the leases: few tokens, leases so short that those of the killed expire during the run, fences
//! that are still good and fences that aren't any more.

use std::collections::HashMap;

use fastrand::Rng;

use crate::history::{Answer, Ask};

const TOKENS: [&str; 2] = ["left", "right"];
const MILLISECOND: i64 = 1_000_000;

/// The next question of one thread.
#[derive(Default)]
pub struct Leases {
    /// The last fence of each token that this thread took.
    fences: HashMap<String, u64>,
}

impl Leases {
    /// The next question.
    pub fn next(&self, rng: &mut Rng) -> Ask {
        let key = TOKENS[rng.usize(..TOKENS.len())].to_owned();
        let ttl = rng.i64(2..60) * MILLISECOND;
        match (rng.u32(..100), self.fences.get(&key)) {
            (0..12, _) => Ask::Locks {},
            (12..15, _) => Ask::ReleaseLock { key, fence: 0 },
            (15..45, Some(fence)) => Ask::ReleaseLock { key, fence: *fence },
            (45..65, Some(fence)) => Ask::RenewLock { key, fence: *fence, ttl },
            (65..75, _) => Ask::AcquireLock { key, ttl, wait: 0 },
            _ => Ask::AcquireLock { key, ttl, wait: rng.i64(1..30) * MILLISECOND },
        }
    }

    /// Learns from an answer. A fence that was lost is kept: to show it again must be in vain.
    pub fn hear(&mut self, ask: &Ask, answer: &Answer) {
        if let Ask::AcquireLock { key, .. } = ask
            && answer.outcome == "OK"
        {
            self.fences.insert(key.clone(), answer.revision);
        }
    }
}
