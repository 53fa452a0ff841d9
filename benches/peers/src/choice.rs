//! Which keys are chosen: uniformly, or by Zipf's law as YCSB does.

use serde::{Deserialize, Serialize};

/// How keys are chosen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Choice {
    /// Each as often as any other.
    Uniform,
    /// A few most of the time: the exponent of YCSB, 0.99. Which those are has nothing to do with their order.
    Zipf,
}

/// A source of chosen numbers below a limit.
pub enum Chooser {
    /// Uniform.
    Uniform(u64),
    /// By Zipf's law.
    Zipf(Zipf),
}

impl Chooser {
    /// Numbers below `limit`.
    pub fn new(choice: Choice, limit: u64) -> Chooser {
        match choice {
            Choice::Uniform => Chooser::Uniform(limit),
            Choice::Zipf => Chooser::Zipf(Zipf::new(limit)),
        }
    }

    /// The next number.
    pub fn next(&self, dice: &mut fastrand::Rng) -> u64 {
        match self {
            Chooser::Uniform(limit) => dice.u64(..limit),
            Chooser::Zipf(zipf) => scramble(zipf.rank(dice)) % zipf.limit,
        }
    }
}

/// The generator of Gray et al., "Quickly Generating Billion-Record Synthetic Databases" (SIGMOD 1994).
pub struct Zipf {
    limit: u64,
    zeta: f64,
    eta: f64,
}

const THETA: f64 = 0.99;

impl Zipf {
    fn new(limit: u64) -> Zipf {
        let zeta = |n: u64| (1..=n).map(|i| (i as f64).powf(-THETA)).sum::<f64>();
        let whole = zeta(limit);
        let eta = (1.0 - (2.0 / limit as f64).powf(1.0 - THETA)) / (1.0 - zeta(2) / whole);
        Zipf { limit, zeta: whole, eta }
    }

    /// From 0, the most frequent.
    fn rank(&self, dice: &mut fastrand::Rng) -> u64 {
        let u = dice.f64();
        let uz = u * self.zeta;
        if uz < 1.0 {
            return 0;
        }
        if uz < 1.0 + 0.5_f64.powf(THETA) {
            return 1;
        }
        let rank = self.limit as f64 * (self.eta * u - self.eta + 1.0).powf(1.0 / (1.0 - THETA));
        (rank as u64).min(self.limit - 1)
    }
}

/// FNV-1a over the bytes, as YCSB does.
fn scramble(number: u64) -> u64 {
    number
        .to_le_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(choice: Choice) -> Vec<u32> {
        let chooser = Chooser::new(choice, 1000);
        let mut dice = fastrand::Rng::with_seed(7);
        let mut counts = vec![0; 1000];
        for _ in 0..100_000 {
            counts[chooser.next(&mut dice) as usize] += 1;
        }
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts
    }

    #[test]
    fn uniform_is_flat() {
        let counts = counts(Choice::Uniform);
        assert!(counts[0] < 160 && counts[999] > 50, "{} to {}", counts[999], counts[0]);
    }

    #[test]
    fn zipf_has_favourites() {
        let counts = counts(Choice::Zipf);
        // The first of 1,000 has 1 / zeta(1000, 0.99) = 13 % of all, the second half of that.
        assert!((12_000..15_000).contains(&counts[0]), "{}", counts[0]);
        assert!((6_000..8_000).contains(&counts[1]), "{}", counts[1]);
    }
}
