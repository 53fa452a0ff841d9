//! `open_core`: who is alone recovers (`recover::recover`), everyone else believes `SHARED`. All under `LOCK`.

use super::state::*;
use super::{Commit, Outcome, Ran, Step};

impl Commit {
    pub(super) fn open_store(&self, s: &mut State, p: usize) -> Outcome {
        let f = self.fd(p);
        if s.lock != 0 {
            return Ok(Step::Blocked);
        }
        if s.believed() {
            s.fds[f].user = true;
            return Ok(Ran("opens the store: others have it open, believes SHARED"));
        }
        s.lock = p as u8 + 1;
        if !self.read_only(p) {
            s.procs[p].pc = Pc::Recover;
            return Ok(Ran("opens the store, alone with it"));
        }
        let (live, end) = self.scan(s);
        s.fds[f] = Fd { open: 1 << live, ..Fd::default() };
        (s.procs[p].end, s.procs[p].mask, s.procs[p].pc) = (pos(live, end), s.dirty[live], Pc::AloneSync);
        if self.rules.alone_syncs {
            return Ok(Ran("opens the store read-only, alone with it: scans the log, fdatasync starts"));
        }
        Ok(self.read_alone(s, p, "opens the store read-only, alone with it: scans the log, loads its end"))
    }

    /// Where the live segment's frames end.
    fn scan(&self, s: &State) -> (usize, usize) {
        let live = usize::from(s.manifest.live);
        let end = (0..usize::from(self.world.slots)).find(|&o| !self.verifies(s, live, o, |o| s.cache[live][o]));
        (live, end.unwrap_or(usize::from(self.world.slots)))
    }

    fn read_alone(&self, s: &mut State, p: usize, did: &'static str) -> Step {
        let end = s.procs[p].end;
        self.unlock(s, p, Pc::Idle);
        self.load_committed(s, p, end, did)
    }

    pub(super) fn open_on(&self, s: &mut State, p: usize) -> Outcome {
        let (r, f, me) = (&self.rules, self.fd(p), s.procs[p]);
        let again = r.finish_rewrites && r.recover_again && s.published != s.manifest.live;
        let after_sync = if again { Pc::RecoverDir } else { Pc::Publish };
        Ok(match me.pc {
            Pc::AloneSync => {
                if self.sync_ends(s, p, seg(me.end)) {
                    return Ok(self.read_alone(s, p, "fdatasync returns success, loads the end of the log"));
                }
                self.unlock(s, p, Pc::Idle);
                self.finish(s, p);
                Ran("fdatasync returns an ERROR: can't open")
            }
            // recover: scan, adopt.
            Pc::Recover => {
                let (live, end) = self.scan(s);
                s.procs[p].end = pos(live, end);
                if !r.recover_syncs {
                    s.procs[p].pc = after_sync;
                    return Ok(Ran("scans the log"));
                }
                let known = match end {
                    // What SHARED says, as it was left.
                    _ if self.durable(s) == pos(live, end) || !r.recover_writes => pos(live, end),
                    0 => 0,
                    _ => s.known[usize::from(s.cache[live][end - 1])],
                };
                for o in if seg(known) == live { off(known) } else { 0 }..end {
                    self.put(s, live, o, s.cache[live][o]);
                }
                s.fds[f] = Fd { open: 1 << live, ..Fd::default() };
                s.procs[p].mask = s.dirty[live];
                s.procs[p].pc = Pc::RecoverSync;
                Ran("scans the log, writes again what isn't known durable, fdatasync starts")
            }
            Pc::RecoverSync => {
                if self.sync_ends(s, p, seg(me.end)) {
                    s.procs[p].pc = after_sync;
                    return Ok(Ran("recovery: fdatasync returns success"));
                }
                self.leave_opening(s, p);
                Ran("recovery: fdatasync returns an ERROR: can't open")
            }
            Pc::RecoverDir => {
                s.manifest_disk = s.manifest;
                s.procs[p].pc = Pc::Publish;
                Ran("recovery: writes the manifest again, durable")
            }
            // Page::initialise.
            _ => {
                (s.appended, s.committed, s.synced, s.frozen) = (me.end, me.end, me.end, false);
                let last = if off(me.end) == 0 { 0 } else { s.cache[seg(me.end)][off(me.end) - 1] };
                s.tails = [(me.end, last), (0, 0)];
                s.published = s.manifest.live;
                s.fds[f].user = true;
                self.unlock(s, p, Pc::Idle);
                self.forget_call(s, p);
                Ran("recovery: publishes SHARED, unlocks")
            }
        })
    }

    /// The open failed; the next call opens again.
    pub(super) fn leave_opening(&self, s: &mut State, p: usize) {
        s.fds[self.fd(p)] = Fd::default();
        self.unlock(s, p, Pc::Idle);
        self.forget_call(s, p);
    }
}
