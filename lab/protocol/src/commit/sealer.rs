//! Under `LOCK`: `Core::roll`, `Core::seal`, `Core::sync_before_seal`, `Core::finish_seal`.

use super::state::*;
use super::{Commit, Outcome, Ran, Step};

impl Commit {
    pub(super) fn seal_on(&self, s: &mut State, p: usize) -> Outcome {
        let (r, f, me, g) = (&self.rules, self.fd(p), s.procs[p], seg(s.appended));
        match me.pc {
            Pc::Below => self.seal_below(s, p),
            Pc::RollSync => {
                if self.busy(s, p) {
                    return Ok(Step::Blocked);
                }
                if self.world.os || s.committed >= s.appended || s.fds[f].failed & 1 << g != 0 {
                    return Ok(self.seal(s, p, "starts to seal at committed, to go on in a new segment"));
                }
                if !r.roll_syncs {
                    let did = self.seal(s, p, "starts to seal the full segment at appended");
                    s.procs[p].end = s.appended;
                    return Ok(did);
                }
                s.procs[p].mask = s.dirty[g];
                s.procs[p].pc = Pc::RollSyncing;
                Ok(Ran("fdatasync starts, under LOCK"))
            }
            Pc::RollSyncing => {
                if self.sync_ends(s, p, g) {
                    s.committed = s.appended;
                }
                Ok(self.seal(s, p, "fdatasync under LOCK ends; starts to seal at committed"))
            }
            Pc::OsSealSync | Pc::OsSealSyncing => self.os_seal(s, p),
            _ => self.finish_seal(s, p),
        }
    }

    /// `Core::seal` up to the freeze.
    pub(super) fn seal(&self, s: &mut State, p: usize, did: &'static str) -> Step {
        if self.world.os && self.rules.os_seal_syncs {
            s.procs[p].pc = Pc::OsSealSync;
            return Ran(did);
        }
        self.freeze(s, p);
        Ran(did)
    }

    fn freeze(&self, s: &mut State, p: usize) {
        s.frozen = self.rules.freeze;
        s.procs[p].end = s.committed;
        s.procs[p].pc = Pc::SealManifest;
        if !self.rules.seal_locked {
            s.lock = 0;
        }
    }

    /// `Core::sync_before_seal`.
    fn os_seal(&self, s: &mut State, p: usize) -> Outcome {
        let (f, g, bit) = (self.fd(p), seg(s.appended), 1 << seg(s.appended));
        if s.procs[p].pc == Pc::OsSealSync {
            if self.busy(s, p) {
                return Ok(Step::Blocked);
            }
            if s.fds[f].open & bit == 0 {
                self.open_segment(s, f, g);
            }
            if s.fds[f].fresh & bit != 0 && !self.write_again(s, p) {
                return self.lost(s, p);
            }
            if s.synced >= s.appended {
                self.freeze(s, p);
                return Ok(Ran("sees all synced, freezes"));
            }
            if s.fds[f].failed & bit == 0 {
                (s.procs[p].mask, s.procs[p].pc) = (s.dirty[g], Pc::OsSealSyncing);
                return Ok(Ran("fdatasync starts, before the seal"));
            }
        } else if self.sync_ends(s, p, g) {
            s.synced = s.synced.max(s.appended);
            self.freeze(s, p);
            return Ok(Ran("fdatasync before the seal returns success, freezes"));
        }
        if self.rules.os_again && !self.write_again(s, p) {
            return self.lost(s, p);
        }
        s.fds[f].failed &= !bit;
        if std::mem::replace(&mut s.procs[p].again, true) {
            self.give_up(s, p);
            return Ok(Ran("fdatasync before the seal fails a second time: gives up"));
        }
        s.procs[p].pc = Pc::OsSealSync;
        Ok(Ran("fdatasync before the seal fails: writes again"))
    }

    /// `Core::lost`: the caller gets `CORRUPT`, or `UNCERTAIN` if its write failed.
    fn lost(&self, s: &mut State, p: usize) -> Outcome {
        if s.left.fails == self.world.budget.fails {
            return Err("a sound store is called CORRUPT");
        }
        self.unlock(s, p, Pc::Idle);
        self.finish(s, p);
        Ok(Ran("can't read back what a sync should have covered: gives up"))
    }

    /// The seal didn't begin: the call ends with an error, or its failed write waits for a later seal.
    pub(super) fn give_up(&self, s: &mut State, p: usize) {
        let failed = s.procs[p].failed;
        s.procs[p].again = false;
        self.unlock(s, p, if failed { Pc::Below } else { Pc::Idle });
        if !failed {
            self.finish(s, p);
        }
    }

    fn finish_seal(&self, s: &mut State, p: usize) -> Outcome {
        let (r, me) = (&self.rules, s.procs[p]);
        let (n, next) = (seg(me.end), pos(seg(me.end) + 1, 0));
        Ok(match me.pc {
            // manifest::store: the temporary file is synced and renamed.
            Pc::SealManifest => {
                if n + 1 == SEGS {
                    return Ok(Step::Blocked);
                }
                if s.manifest.sealed[n] == LIVE || r.finish_rewrites && r.seal_again || !r.finish_seal {
                    s.manifest.sealed[n] = off(me.end) as u8;
                    s.manifest.live = n as u8 + 1;
                    s.procs[p].pc = if r.seal_durable { Pc::SealDir } else { Pc::SealAppended };
                    return Ok(Ran("renames the manifest with the sealed end"));
                }
                s.procs[p].pc = Pc::SealAppended;
                Ran("finds the sealed end in the manifest")
            }
            Pc::SealDir => {
                s.manifest_disk = s.manifest;
                s.published = s.manifest.live;
                s.procs[p].pc = Pc::SealAppended;
                Ran("syncs the directory: the seal is durable; stores the generation")
            }
            Pc::SealAppended if r.committed_last => {
                self.store_tail(s, next, 0);
                (s.appended, s.published) = (next, s.manifest.live);
                s.procs[p].pc = Pc::SealCommitted;
                Ran("stores appended = next segment")
            }
            Pc::SealAppended => {
                (s.committed, s.frozen, s.published) = (next, false, s.manifest.live);
                s.procs[p].pc = Pc::SealCommitted;
                Ran("stores committed = next segment")
            }
            // Page::raise_synced, Page::thaw.
            _ => {
                s.synced = s.synced.max(next);
                if r.committed_last {
                    (s.committed, s.frozen) = (next, false);
                } else {
                    s.appended = next;
                }
                self.leave_seal(s, p);
                Ran("ends the seal, unlocks")
            }
        })
    }

    /// Unlocks after a seal, or when the manifest can't be made durable: then the store stays frozen, for the next who
    /// takes `LOCK`. (The code goes on under the same hold; to begin again allows that and more.)
    pub(super) fn leave_seal(&self, s: &mut State, p: usize) {
        s.procs[p].again = false;
        let pc = if s.procs[p].goal == 0 { Pc::Idle } else { Pc::Wait };
        self.unlock(s, p, pc);
        if pc == Pc::Idle {
            self.forget_call(s, p);
        }
    }
}
