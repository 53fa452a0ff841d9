//! What a run does, drawn from one seed: who takes part, which of their system calls fail, and when somebody is killed or
//! stopped. How the processes then interleave is up to the machine.

use std::time::Duration;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// How long the processes work.
pub const LENGTH: Duration = Duration::from_millis(600);

/// So long a writer waits for the store's lock: some stops outlast it.
pub const LOCK_TIMEOUT: &str = "150ms";

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What all of it is drawn from.
    pub seed: u64,
    /// Whether the threads use leases instead of values.
    pub leases: bool,
    /// The store's parameter `sync`.
    pub sync: &'static str,
    /// Who takes part.
    pub roles: Vec<Role>,
    /// What is done to them, in this order.
    pub events: Vec<(Duration, Event)>,
}

/// A process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    /// How many threads it has.
    pub threads: u32,
    /// It only reads, through a handle that can do no more.
    pub read_only: bool,
    /// Each thread has a handle of its own, and sometimes opens it anew.
    pub own_handles: bool,
    /// It has a thread for compaction; else it compacts between two operations.
    pub background: bool,
    /// Its calls go through the C interface.
    pub through_c: bool,
    /// What the system refuses it, as strace says it.
    pub faults: Vec<String>,
}

/// What is done to the process of a role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// SIGKILL; another begins at once.
    Kill(usize),
    /// SIGSTOP.
    Stop(usize),
    /// SIGCONT.
    Continue(usize),
    /// SIGKILL for all at once, so that the next opener has to recover.
    KillAll,
}

/// What is done to system calls, as strace says it. A sync that fails takes a while: others may look at what
/// will never have happened, and, if it takes long, sync it themselves.
const FAULTS: [(&str, &str); 10] = [
    ("fdatasync", "error=EIO"),
    ("fdatasync", "error=EIO:delay_enter=700"),
    ("fdatasync", "error=EIO:delay_enter=4000"),
    ("fdatasync", "delay_enter=8000"),
    ("pwrite64", "error=EIO"),
    ("pwrite64", "error=ENOSPC"),
    ("fsync", "error=EIO"),
    ("renameat", "error=EIO"),
    ("fallocate", "error=ENOSPC"),
    ("pread64", "error=EIO"),
];

impl Plan {
    /// Draws one. `strace` says whether system calls can be made to fail here.
    pub fn draw(seed: u64, strace: bool) -> Plan {
        let mut rng = Rng::with_seed(seed);
        let leases = rng.u32(..4) == 0;
        let mut roles: Vec<Role> = (0..4).map(|n| Role::draw(&mut rng, n == 3 && !leases, strace)).collect();
        // One at least speaks C.
        roles[0].through_c = true;
        let sync = if rng.u32(..3) == 0 { "os" } else { "full" };
        let events = events(&mut rng, roles.len());
        Plan { seed, leases, sync, roles, events }
    }

    /// Whether calls of this name fail for somebody.
    pub fn fails(&self, call: &str) -> bool {
        let fault = format!("inject={call}:error=");
        self.roles.iter().flat_map(|role| &role.faults).any(|f| f.starts_with(&fault))
    }
}

impl Role {
    fn draw(rng: &mut Rng, read_only: bool, strace: bool) -> Role {
        let faulty = strace && rng.u32(..5) < 2;
        let count = if faulty { rng.usize(1..3) } else { 0 };
        Role {
            threads: if read_only { 1 } else { 2 },
            read_only,
            own_handles: rng.bool(),
            background: rng.bool(),
            through_c: rng.u32(..4) == 0,
            faults: (0..count).map(|_| fault(rng)).collect(),
        }
    }
}

/// The first calls of all are those of the loader, which gives up; those of an open, which is tried again, follow.
fn fault(rng: &mut Rng) -> String {
    let (call, what) = FAULTS[rng.usize(..FAULTS.len())];
    let (first, step) = (rng.u32(8..40), rng.u32(2..40));
    format!("inject={call}:{what}:when={first}+{step}")
}

/// About six kills and six stops, sorted.
fn events(rng: &mut Rng, roles: usize) -> Vec<(Duration, Event)> {
    let length = u64::try_from(LENGTH.as_micros()).unwrap_or(u64::MAX);
    let mut events = Vec::new();
    for _ in 0..rng.u32(0..7) {
        events.push((Duration::from_micros(rng.u64(20_000..length)), Event::Kill(rng.usize(..roles))));
    }
    for _ in 0..rng.u32(0..7) {
        let (from, role) = (rng.u64(20_000..length), rng.usize(..roles));
        let most = if rng.u32(..4) == 0 { 300_000 } else { 40_000 };
        events.push((Duration::from_micros(from), Event::Stop(role)));
        events.push((Duration::from_micros(from + rng.u64(1_000..most)), Event::Continue(role)));
    }
    if rng.u32(..3) == 0 {
        events.push((Duration::from_micros(rng.u64(100_000..length)), Event::KillAll));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_plan_and_many_seeds_have_everything() {
        let text = |seed| format!("{:?}", Plan::draw(seed, true));
        assert_eq!(text(5), text(5));
        assert_ne!(text(5), text(6));
        let plans: Vec<Plan> = (0..200).map(|seed| Plan::draw(seed, true)).collect();
        for (call, what) in FAULTS {
            let fault = format!("inject={call}:{what}:when");
            let has = |plan: &Plan| plan.roles.iter().any(|role| role.faults.iter().any(|f| f.starts_with(&fault)));
            assert!(plans.iter().any(has), "{fault}");
        }
        assert!(plans.iter().any(|plan| plan.leases) && plans.iter().any(|plan| plan.sync == "os"));
        assert!(plans.iter().all(|plan| plan.events.is_sorted_by_key(|(at, _)| *at)));
        assert!((0..50).all(|seed| Plan::draw(seed, false).roles.iter().all(|role| role.faults.is_empty())));
    }
}
