//! What must hold: two never hold the lock at once, fences grow, and nobody sleeps for ever.

use super::*;

impl Leases {
    /// A change of the lock is answered.
    pub(super) fn told(&self, s: &mut State, p: usize, op: Op) -> Result<(), &'static str> {
        let frame = s.procs[p].frame;
        if op == Op::Put {
            return Ok(());
        }
        if op == Op::Release {
            (s.procs[p].fence, s.procs[p].until) = (0, 0);
            return Ok(());
        }
        let others = s.procs.iter().enumerate().filter(|(q, other)| *q != p && other.fence != 0 && s.now < other.until);
        let releasing = |q: usize| self.op(s, q) == Some(Op::Release) && s.procs[q].pc != Pc::Begin;
        for (q, _) in others {
            if s.now < frame.expires && !releasing(q) {
                return Err("two hold the lock at once");
            }
        }
        if op == Op::Acquire && frame.fence <= s.procs[p].floor {
            return Err("a later holder's fence isn't greater");
        }
        s.greatest = s.greatest.max(frame.fence);
        (s.procs[p].fence, s.procs[p].until) = (frame.fence, frame.expires);
        Ok(())
    }

    /// The caller was told that it doesn't hold the lock.
    pub(super) fn give_up(&self, s: &mut State, p: usize) {
        (s.procs[p].fence, s.procs[p].until) = (0, 0);
        self.finish(s, p);
    }

    /// Everyone else has come to rest, the lock is free, and yet somebody sleeps: its wake-up is lost.
    pub(super) fn nobody_sleeps_for_ever(&self, s: &State) -> Verdict {
        let asleep = |p: usize| s.procs[p].pc == Pc::Asleep;
        let rests = |p: usize| self.op(s, p).is_none() || self.step(&mut s.clone(), p) == Ok(Blocked);
        let lost = (0..self.procs()).all(rests) && (0..self.procs()).any(asleep);
        let free = self.held(s, s.committed, s.now).is_none();
        if lost && free { Err("a wake-up is lost") } else { Ok(()) }
    }
}
