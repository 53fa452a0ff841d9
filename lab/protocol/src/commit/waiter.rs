//! Without `LOCK`: `Core::wait_committed`, `Voucher::sync_appended`, `Core::resolve`, `Core::seal_below`, `Core::sync`.

use super::state::*;
use super::{Commit, Kind, Outcome, Ran, Step};

impl Commit {
    pub(super) fn wait_on(&self, s: &mut State, p: usize) -> Outcome {
        let (r, f, me, g) = (&self.rules, self.fd(p), s.procs[p], seg(s.appended));
        Ok(match me.pc {
            Pc::Wait => return self.wait(s, p),
            // Voucher::sync_appended, up to the call.
            Pc::Claim => {
                let own = seg(me.goal);
                if self.busy(s, p) {
                    return Ok(Step::Blocked);
                }
                if g != own || s.fds[f].failed & 1 << own != 0 {
                    if self.kind(s, p) == Some(Kind::Sync) && g == own {
                        self.finish(s, p);
                        return Ok(Ran("dirkv_sync: another thread met an error: answers IO"));
                    }
                    s.procs[p].pc = Pc::Wait;
                    return Ok(Ran("looks again"));
                }
                let me = &mut s.procs[p];
                (me.target, me.mask, me.pc) =
                    (if r.appended_first { s.appended } else { 0 }, s.dirty[own], Pc::Syncing);
                Ran("reads appended, fdatasync starts")
            }
            Pc::Syncing => {
                if self.sync_ends(s, p, seg(me.goal)) {
                    if !r.appended_first {
                        s.procs[p].target = s.appended;
                    }
                    s.procs[p].pc = Pc::Raise;
                    Ran("fdatasync returns success")
                } else if self.kind(s, p) == Some(Kind::Sync) {
                    self.finish(s, p);
                    Ran("dirkv_sync: fdatasync returns an ERROR: answers IO")
                } else {
                    s.procs[p].pc = Pc::Error;
                    Ran("fdatasync returns an ERROR")
                }
            }
            // Page::raise_committed, Page::raise_synced.
            Pc::Raise => {
                let stale = !self.world.os && r.freeze && s.frozen && s.committed < me.target;
                let word = if self.world.os { &mut s.synced } else { &mut s.committed };
                if !r.raise_max {
                    *word = me.target;
                } else if !stale {
                    *word = (*word).max(me.target);
                }
                (s.procs[p].target, s.procs[p].pc) = (0, Pc::Wait);
                Ran(if stale { "may not raise committed: frozen" } else { "raises committed" })
            }
            _ => return self.resolve(s, p),
        })
    }

    /// Looks at `committed`: an answer, a sync of its own, or `LOCK`.
    fn wait(&self, s: &mut State, p: usize) -> Outcome {
        let (r, f, me, g) = (&self.rules, self.fd(p), s.procs[p], seg(s.procs[p].goal));
        if self.kind(s, p) == Some(Kind::Sync) {
            return self.wait_synced(s, p);
        }
        // With sync=os what took the place of a failed write has to be durable before that is answered.
        let unsure = self.world.os && me.failed && self.rules.os_below_syncs && s.synced < me.goal;
        if s.committed >= me.goal && !unsure {
            let end = if seg(s.committed) == g { LIVE } else { s.manifest.sealed[g] };
            if (end == LIVE || off(me.goal) as u8 <= end) && !me.failed {
                for id in self.ids(s, p, me.wrote) {
                    self.tell(s, p, id)?;
                }
                self.tell(s, p, me.decider)?;
                self.finish(s, p);
                return Ok(Ran("sees its goal committed: answers"));
            }
            if me.wrote == 0 {
                self.forget_call(s, p);
                s.procs[p].pc = Pc::Idle;
                return Ok(Ran("sees that what decided its condition is void: decides again"));
            }
            self.answer_io(s, p);
            return Ok(Ran("sees its frame beyond the sealed end: answers IO"));
        }
        if s.frozen && r.finish_seal || s.fds[f].failed & 1 << g != 0 {
            return self.resolve(s, p);
        }
        s.procs[p].pc = Pc::Claim;
        Ok(Ran("sees its goal not committed"))
    }

    /// `Core::sync`, the head of its loop.
    fn wait_synced(&self, s: &mut State, p: usize) -> Outcome {
        let goal = s.procs[p].goal;
        if s.synced < goal {
            return self.take_lock(s, p);
        }
        let covered = |&id: &usize| s.is_told(id as Id) && s.place[id] <= goal;
        s.sure |= (1..FRAMES).filter(covered).fold(0, |set, id| set | 1 << id);
        self.finish(s, p);
        Ok(Ran("dirkv_sync: sees its goal synced: answers"))
    }

    /// Another thread syncs through the same descriptor (rule 8).
    pub(super) fn busy(&self, s: &State, p: usize) -> bool {
        let syncs = |q: usize| {
            let pc = s.procs[q].pc;
            q != p && self.fd(q) == self.fd(p) && matches!(pc, Pc::Syncing | Pc::RollSyncing | Pc::OsSealSyncing)
        };
        self.rules.one_sync && (0..self.procs()).any(syncs)
    }

    /// fdatasync ends: true when it reports success.
    pub(super) fn sync_ends(&self, s: &mut State, p: usize, g: usize) -> bool {
        let f = self.fd(p);
        let mask = std::mem::take(&mut s.procs[p].mask);
        if s.fds[f].err & 1 << g != 0 {
            s.fds[f].err &= !(1 << g);
            s.unseen &= !(1 << g);
            if self.rules.doubt && self.rules.one_sync {
                s.fds[f].failed |= 1 << g;
            }
            return false;
        }
        for o in (0..SLOTS).filter(|o| mask & s.dirty[g] & 1 << o != 0) {
            s.disk[g][o] = s.cache[g][o];
        }
        s.dirty[g] &= !mask;
        true
    }

    /// `Core::resolve` and `Core::settle`: takes `LOCK`, finishes a seal, else seals unless nothing is in doubt.
    fn resolve(&self, s: &mut State, p: usize) -> Outcome {
        let (r, f, me, g) = (&self.rules, self.fd(p), s.procs[p], seg(s.procs[p].goal));
        if s.lock != 0 {
            return Ok(Step::Blocked);
        }
        s.lock = p as u8 + 1;
        s.procs[p].target = 0;
        if s.frozen && r.finish_seal {
            s.procs[p].end = s.committed;
            s.procs[p].pc = Pc::SealManifest;
            return Ok(Ran("takes LOCK, finds committed frozen"));
        }
        let in_doubt = me.pc == Pc::Error || s.fds[f].failed & 1 << g != 0;
        let well = seg(s.appended) != g || self.durable(s) >= if r.doubt { s.appended } else { me.goal };
        if well || !in_doubt {
            s.fds[f].failed &= !(1 << g);
            self.unlock(s, p, Pc::Wait);
            return Ok(Ran("takes LOCK, finds that all is well, unlocks"));
        }
        Ok(self.seal(s, p, "takes LOCK, starts to seal at committed"))
    }

    /// `Core::seal_below`: a write failed at `goal` less what it wrote, and the next segment couldn't be made.
    pub(super) fn seal_below(&self, s: &mut State, p: usize) -> Outcome {
        if s.lock != 0 {
            return Ok(Step::Blocked);
        }
        let me = s.procs[p];
        let start = me.goal - me.wrote.count_ones() as u8;
        if s.frozen && self.rules.finish_seal {
            s.lock = p as u8 + 1;
            (s.procs[p].end, s.procs[p].pc) = (s.committed, Pc::SealManifest);
            return Ok(Ran("takes LOCK, finds committed frozen"));
        }
        if s.appended == start {
            s.lock = p as u8 + 1;
            return Ok(self.seal(s, p, "takes LOCK, starts to seal below its failed write"));
        }
        if seg(s.appended) != seg(start) {
            self.answer_io(s, p);
            return Ok(Ran("sees another segment: answers IO"));
        }
        if self.world.os && self.rules.os_below {
            s.committed = s.committed.max(s.appended);
        }
        (s.procs[p].goal, s.procs[p].pc) = (s.appended, Pc::Wait);
        Ok(Ran("sees its bytes written over: waits for what is there now"))
    }
}
