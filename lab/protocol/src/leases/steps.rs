//! What one process does, step by step.

use super::*;

impl Leases {
    pub(super) fn step(&self, s: &mut State, p: usize) -> Outcome {
        let Some(op) = self.op(s, p) else { return Ok(Blocked) };
        let me = s.procs[p];
        match me.pc {
            Pc::Begin | Pc::Look | Pc::Sleep | Pc::Asleep => self.acquire(s, p, op),
            Pc::Commit | Pc::Decide | Pc::StoreEnd | Pc::StoreAppended => self.commit(s, p, op),
            Pc::Wait => self.wait(s, p, op),
            _ => self.sync(s, p),
        }
    }

    /// `acquire_lock`: the word, the look, the sleep.
    fn acquire(&self, s: &mut State, p: usize, op: Op) -> Outcome {
        let me = &mut s.procs[p];
        match me.pc {
            Pc::Begin if op != Op::Acquire => {
                (me.now, me.pc) = (s.now, Pc::Decide);
                Ok(Ran("reads the clock"))
            }
            Pc::Begin => {
                me.floor = if me.floor == 0 { s.greatest } else { me.floor };
                (me.epoch, me.pc) = (s.leases, Pc::Look);
                Ok(Ran("reads the futex word"))
            }
            Pc::Look => {
                let held = self.held(s, s.committed, s.now);
                let me = &mut s.procs[p];
                me.pc = if held.is_some() { Pc::Sleep } else { Pc::Commit };
                me.seen_expires = held.map_or(0, |f| f.expires);
                Ok(Ran(if held.is_some() { "sees the lock held" } else { "sees the lock free" }))
            }
            Pc::Sleep => {
                if !self.rules.epoch_first {
                    me.epoch = s.leases;
                }
                let passed = self.rules.expiry_wakes && me.seen_expires <= s.now;
                me.pc = if me.epoch == s.leases && !passed { Pc::Asleep } else { Pc::Begin };
                Ok(Ran("goes to sleep, if the word is still as it was"))
            }
            // MAX_SLEEP; only a lost wake-up makes a difference.
            _ => {
                if self.rules.bounded_sleep && s.left.kills < self.world.budget.kills {
                    me.pc = Pc::Begin;
                    return Ok(Ran("has slept long enough"));
                }
                Ok(Blocked)
            }
        }
    }

    /// The request, decided under `LOCK`, and its frame.
    fn commit(&self, s: &mut State, p: usize, op: Op) -> Outcome {
        let me = s.procs[p];
        match me.pc {
            Pc::Commit => {
                (s.procs[p].now, s.procs[p].pc) = (s.now, Pc::Decide);
                Ok(Ran("reads the clock"))
            }
            Pc::Decide => {
                if s.lock != 0 || usize::from(s.appended) + 2 > FRAMES {
                    return Ok(Blocked);
                }
                let at = if self.rules.decide_locked { s.appended } else { s.committed };
                let frame = self.decide(s, p, op, at);
                match frame {
                    Some(frame) => {
                        s.lock = p as u8 + 1;
                        (s.procs[p].frame, s.procs[p].pc) = (frame, Pc::StoreEnd);
                        Ok(Ran("takes LOCK, decides, writes its frame"))
                    }
                    None => {
                        (s.procs[p].goal, s.procs[p].refused, s.procs[p].pc) = (s.appended, true, Pc::Wait);
                        Ok(Ran("takes LOCK, is refused, unlocks"))
                    }
                }
            }
            Pc::StoreEnd => {
                if op == Op::Put || self.rules.end_first {
                    if op != Op::Put {
                        s.lease_end = s.appended + 1;
                    }
                    s.procs[p].pc = Pc::StoreAppended;
                    return Ok(Ran("stores lease_end"));
                }
                self.append(s, p);
                s.procs[p].pc = Pc::StoreAppended;
                Ok(Ran("stores appended"))
            }
            _ => {
                if op == Op::Put || self.rules.end_first {
                    self.append(s, p);
                } else {
                    s.lease_end = s.procs[p].goal;
                }
                (s.lock, s.procs[p].pc) = (0, Pc::Wait);
                Ok(Ran("stores what is left to store, unlocks"))
            }
        }
    }

    fn append(&self, s: &mut State, p: usize) {
        s.log[usize::from(s.appended)] = s.procs[p].frame;
        s.appended += 1;
        s.procs[p].goal = s.appended;
    }

    /// `Acquire::decide`, `Release::decide`, `Renew::decide`.
    fn decide(&self, s: &State, p: usize, op: Op, at: u8) -> Option<Frame> {
        let me = s.procs[p];
        let held = self.held(s, at, me.now);
        let mine = held.filter(|f| f.fence == me.fence || !self.rules.fence_checked);
        let frame = Frame { kind: Kind::Held, who: p as u8, fence: s.appended + 1, expires: me.now + TTL, void: false };
        match op {
            Op::Put => Some(Frame { kind: Kind::Other, ..Frame::default() }),
            Op::Acquire if held.is_some() => None,
            Op::Acquire => Some(frame),
            Op::Release => mine.map(|f| Frame { kind: Kind::Released, ..f }),
            Op::Renew => match mine {
                Some(f) => Some(Frame { expires: frame.expires, ..f }),
                // As if the caller's word were enough.
                None if !self.rules.renew_alive && me.fence != 0 => Some(Frame { fence: me.fence, ..frame }),
                None => None,
            },
        }
    }

    /// `Core::answer`; who waits may sync.
    fn wait(&self, s: &mut State, p: usize, op: Op) -> Outcome {
        let me = s.procs[p];
        if s.committed < me.goal {
            (s.procs[p].target, s.procs[p].pc) = (s.appended, Pc::Before);
            return Ok(Ran("reads appended, fdatasync"));
        }
        if me.refused {
            if op == Op::Acquire {
                s.procs[p].pc = Pc::Begin;
                (s.procs[p].goal, s.procs[p].refused) = (0, false);
                return Ok(Ran("somebody was quicker: looks again"));
            }
            self.give_up(s, p);
            return Ok(Ran("answers that its lease is gone"));
        }
        if s.log[usize::from(me.goal) - 1].void {
            self.finish(s, p);
            return Ok(Ran("answers IO"));
        }
        self.told(s, p, op)?;
        self.finish(s, p);
        Ok(Ran("answers"))
    }

    /// `Voucher::sync_appended` and `Page::publish`, one access of the page at a time.
    fn sync(&self, s: &mut State, p: usize) -> Outcome {
        let me = s.procs[p];
        match me.pc {
            Pc::Before => {
                s.procs[p].before = s.committed;
                s.procs[p].pc = if self.rules.bump_last { Pc::Raise } else { Pc::LeaseEnd };
                Ok(Ran("reads what was committed"))
            }
            Pc::Raise => {
                s.committed = s.committed.max(me.target);
                if !self.rules.before_first {
                    s.procs[p].before = s.committed;
                }
                s.procs[p].pc = if self.rules.bump_last { Pc::LeaseEnd } else { Pc::Wait };
                Ok(Ran("raises committed"))
            }
            Pc::LeaseEnd => {
                let to = if self.rules.bump_last { s.committed } else { me.target };
                let passed = if self.rules.any_passed {
                    me.before < s.lease_end && s.lease_end <= to
                } else {
                    s.lease_end == me.target
                };
                s.procs[p].pc = match passed {
                    true => Pc::Bump,
                    false if self.rules.bump_last => Pc::Wait,
                    false => Pc::Raise,
                };
                Ok(Ran("reads lease_end"))
            }
            _ => {
                s.leases = s.leases.wrapping_add(1);
                s.procs.iter_mut().filter(|q| q.pc == Pc::Asleep).for_each(|q| q.pc = Pc::Begin);
                s.procs[p].pc = if self.rules.bump_last { Pc::Wait } else { Pc::Raise };
                Ok(Ran("bumps the word, wakes all"))
            }
        }
    }

    /// A seal under `LOCK`, at `committed`; then `publish`.
    pub(super) fn seal(&self, s: &mut State, p: usize) {
        s.log[usize::from(s.committed)..usize::from(s.appended)].iter_mut().for_each(|f| f.void = true);
        s.procs[p].before = s.committed;
        s.log[usize::from(s.appended)].kind = Kind::Other;
        s.appended += 1;
        s.committed = s.appended;
        s.procs[p].pc = if self.rules.seal_wakes { Pc::LeaseEnd } else { Pc::Wait };
    }
}
