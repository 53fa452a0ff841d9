//! Leases: who holds a lock, by frames, fences and a clock; and the futex word on which others wait for it.
//!
//! What `backend/lock.rs` does in `acquire_lock`, `release_lock` and `renew_lock`, and what `Group::publish_appended`,
//! `Voucher::sync_appended` and `Page::publish` do for those who sleep. The log is one row of frames; a position is how many
//! there are. There is one clock. Nobody's sleep ends by itself, but for the rule `bounded_sleep`: so a lost wake-up is a
//! world that stands still.

mod property;
mod steps;
mod worlds;

use crate::room::room;
use crate::rules::rules;
use crate::search::Step::{Blocked, Ran};
use crate::search::{MACHINE, Model, Next, Outcome, Verdict, each_process};
use worlds::{Budget, Op, World};

room! {
    name: "leases",
    about: "exclusion by fence and expiry, and who is woken",
    model: |world, rules| Leases { world, rules },
}

rules! {
    epoch_first: "the futex word is read before the look at the lock (acquire_lock)" => "wake",
    end_first: "lease_end is stored before appended (publish_appended)" => "relay",
    before_first: "what was committed is read before the raise (sync_appended)" => "wake",
    bump_last: "committed is raised before the wake-up (publish)" => "wake",
    any_passed: "who raises committed past lease_end wakes, wherever between it lies (publish: before < lease_end <= committed)" => "relay",
    seal_wakes: "the end of a seal wakes, too (finish_seal: publish); idle: what is void has freed nothing" => "",
    bounded_sleep: "a sleep is bounded, since who owes the wake may be killed (MAX_SLEEP)" => "kill",
    expiry_wakes: "a sleep ends when the lease that was seen expires (sleep)" => "expire",
    decide_locked: "the lock is decided under LOCK, on what is appended (Acquire::decide)" => "wake",
    fence_checked: "only the holder's fence releases or renews (Release::decide, Renew::decide)" => "late",
    renew_alive: "an expired lease can't be renewed once another holds it (Renew::decide)" => "renew",
}

const PROCS: usize = 3;
const FRAMES: usize = 10;
/// How long a lease is.
const TTL: u8 = 2;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
enum Kind {
    #[default]
    None,
    /// Acquired or renewed.
    Held,
    Released,
    /// The start of the next segment, or a change of something else.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Frame {
    kind: Kind,
    who: u8,
    fence: u8,
    expires: u8,
    void: bool,
}

/// Where a process stands; each is one atomic step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
enum Pc {
    #[default]
    Begin,
    Look,
    Sleep,
    Asleep,
    Commit,
    Decide,
    StoreEnd,
    StoreAppended,
    Wait,
    Before,
    Raise,
    LeaseEnd,
    Bump,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct Proc {
    pc: Pc,
    op: u8,
    /// The fence that it was told, and until when.
    fence: u8,
    until: u8,
    /// The futex word as read; the clock as read; when the lease that it saw expires.
    epoch: u8,
    now: u8,
    seen_expires: u8,
    frame: Frame,
    /// What has to be committed before it is answered; refused if no frame of its own ends there.
    goal: u8,
    refused: bool,
    target: u8,
    before: u8,
    /// The greatest fence that anybody had been told when this call began.
    floor: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct State {
    lock: u8,
    now: u8,
    log: [Frame; FRAMES],
    appended: u8,
    committed: u8,
    lease_end: u8,
    leases: u8,
    greatest: u8,
    procs: [Proc; PROCS],
    left: Budget,
}

/// A world with its rules.
struct Leases {
    world: World,
    rules: Rules,
}

impl Leases {
    fn procs(&self) -> usize {
        self.world.programs.len()
    }
    fn op(&self, s: &State, p: usize) -> Option<Op> {
        self.world.programs[p].get(usize::from(s.procs[p].op)).copied()
    }

    /// The newest frame that isn't void, among those up to `to`.
    fn newest(&self, s: &State, to: u8) -> Frame {
        let frames = s.log[..usize::from(to)].iter().rev();
        frames.copied().find(|f| !f.void && f.kind != Kind::Other).unwrap_or_default()
    }

    /// The lease as a clock that shows `now` sees it.
    fn held(&self, s: &State, to: u8, now: u8) -> Option<Frame> {
        Some(self.newest(s, to)).filter(|f| f.kind == Kind::Held && f.expires > now)
    }

    fn finish(&self, s: &mut State, p: usize) {
        let Proc { op, fence, until, .. } = s.procs[p];
        s.procs[p] = Proc { op: op + 1, fence, until, ..Proc::default() };
    }

    fn machine(&self, s: &State, out: &mut Vec<Next<State>>) {
        for p in 0..self.procs() {
            let me = s.procs[p];
            if s.left.kills > 0 && me.pc != Pc::Begin {
                let mut next = *s;
                next.left.kills -= 1;
                if next.lock == p as u8 + 1 {
                    next.lock = 0;
                }
                let gone = self.world.programs[p].len() as u8;
                next.procs[p] = Proc { op: gone, ..Proc::default() };
                out.push(Next { who: p as u8, what: "is KILLED", then: Ok(next) });
            }
            if s.left.fails > 0 && me.pc == Pc::Before && s.lock == 0 && s.committed < s.appended {
                let mut next = *s;
                next.left.fails -= 1;
                self.seal(&mut next, p);
                out.push(Next { who: p as u8, what: "fdatasync FAILS: seals at committed", then: Ok(next) });
            }
        }
        if s.left.time > 0 {
            let mut next = *s;
            next.left.time -= 1;
            next.now += 1;
            if self.rules.expiry_wakes {
                let over = |p: &&mut Proc| p.pc == Pc::Asleep && p.seen_expires <= next.now;
                next.procs.iter_mut().filter(over).for_each(|p| p.pc = Pc::Begin);
            }
            out.push(Next { who: MACHINE, what: "time passes", then: Ok(next) });
        }
    }
}

impl Model for Leases {
    type State = State;
    fn start(&self) -> State {
        State { left: self.world.budget, ..State::default() }
    }
    fn successors(&self, s: &State, out: &mut Vec<Next<State>>) {
        each_process(s, self.procs(), |s, p| self.step(s, p), "answers", out);
        self.machine(s, out);
    }
    fn check(&self, s: &State) -> Verdict {
        self.nobody_sleeps_for_ever(s)
    }
    fn show(&self, s: &State) -> String {
        let log: Vec<String> = s.log[..usize::from(s.appended)]
            .iter()
            .map(|f| {
                format!(
                    "{:?} P{} fence {} until {}{}",
                    f.kind,
                    f.who,
                    f.fence,
                    f.expires,
                    if f.void { " VOID" } else { "" }
                )
            })
            .collect();
        let State { now, appended, committed, lease_end, leases, .. } = s;
        format!(
            "time {now}, appended {appended}, committed {committed}, lease_end {lease_end}, word {leases} | {}",
            log.join("; ")
        )
    }
}
