//! What may go wrong at any moment, within the world's budget.

use super::Commit;
use super::state::*;
use crate::search::{MACHINE, Next};

fn machine(what: &'static str, next: State) -> Next<State> {
    Next { who: MACHINE, what, then: Ok(next) }
}

impl Commit {
    pub(super) fn faults(&self, s: &State, out: &mut Vec<Next<State>>) {
        for p in 0..self.procs() {
            self.process_faults(s, p, out);
            if self.fd(p) == p {
                self.ends(s, p, out);
            }
        }
        for g in usize::from(s.manifest_disk.live.min(s.manifest.live))..=usize::from(s.manifest.live) {
            self.slot_faults(s, g, out);
            self.failed_writebacks(s, g, out);
        }
        if s.left.cuts > 0 {
            self.power_cuts(s, out);
        }
    }

    fn fresh(&self, s: &State, p: usize) -> bool {
        s.procs[p].pc == Pc::Idle && Fd { user: false, ..s.fds[self.fd(p)] } == Fd::default()
    }

    fn process_faults(&self, s: &State, p: usize, out: &mut Vec<Next<State>>) {
        let (who, me) = (p as u8, s.procs[p]);
        let mut add = |what, next| out.push(Next { who, what, then: Ok(next) });
        if s.left.write_errors > 0 && me.pc == Pc::Write {
            let mut next = *s;
            next.left.write_errors -= 1;
            self.write_fails(&mut next, p);
            add("pwrite reports an error, though its bytes are in the cache", next);
        }
        if s.left.fails > 0 && me.pc == Pc::SealDir {
            let mut next = *s;
            next.left.fails -= 1;
            self.leave_seal(&mut next, p);
            add("can't sync the directory: unlocks, the store stays frozen", next);
        }
        if s.left.fails > 0 && me.pc == Pc::RecoverDir {
            let mut next = *s;
            next.left.fails -= 1;
            self.leave_opening(&mut next, p);
            add("can't sync the directory: can't open", next);
        }
        if s.left.fails > 0 && me.pc == Pc::RollSync && me.failed {
            let mut next = *s;
            next.left.fails -= 1;
            self.give_up(&mut next, p);
            add("can't make the next segment: unlocks, to seal below its failed write later", next);
        }
    }

    /// A kill, or a close between two calls.
    fn ends(&self, s: &State, p: usize, out: &mut Vec<Next<State>>) {
        let family = || (0..self.procs()).filter(|&q| self.fd(q) == p);
        if s.left.kills > 0 && family().any(|q| !self.fresh(s, q) && !self.done(s, q)) {
            let mut next = *s;
            next.left.kills -= 1;
            family().for_each(|q| self.kill(&mut next, q));
            out.push(Next { who: p as u8, what: "is KILLED", then: Ok(next) });
        }
        if s.left.closes > 0 && s.fds[p].user && family().all(|q| s.procs[q].pc == Pc::Idle) {
            let mut next = *s;
            next.left.closes -= 1;
            family().for_each(|q| self.kill(&mut next, q));
            out.push(Next { who: p as u8, what: "closes", then: Ok(next) });
        }
    }

    fn kill(&self, s: &mut State, p: usize) {
        if s.lock == p as u8 + 1 {
            s.lock = 0;
            // Nobody's business: as if the freeze had been the holder's own.
            if !self.rules.finish_seal {
                s.frozen = false;
            }
        }
        let op = s.procs[p].op + u8::from(s.procs[p].pc != Pc::Idle);
        s.procs[p] = Proc { op, ..Proc::default() };
        s.fds[self.fd(p)] = Fd::default();
        if !s.believed() {
            (s.appended, s.committed, s.synced, s.frozen, s.tails) = (0, 0, 0, false, [(0, 0); 2]);
        }
    }

    fn slot_faults(&self, s: &State, g: usize, out: &mut Vec<Next<State>>) {
        for o in 0..SLOTS {
            let (dirty, differs) = (s.dirty[g] & 1 << o != 0, s.cache[g][o] != s.disk[g][o]);
            let mut next = *s;
            if dirty && s.left.writebacks > 0 {
                next.left.writebacks -= 1;
                next.disk[g][o] = s.cache[g][o];
                next.dirty[g] &= !(1 << o);
                out.push(machine("writes one dirty frame back", next));
            } else if !dirty && differs {
                if self.world.os {
                    self.medium_loses(&mut next, g, o);
                }
                next.cache[g][o] = s.disk[g][o];
                out.push(machine("evicts a frame that was marked clean", next));
            }
        }
    }

    fn failed_writebacks(&self, s: &State, g: usize, out: &mut Vec<Next<State>>) {
        for f in (0..PROCS).filter(|&f| s.unseen & s.fds[f].open & !s.fds[f].err & 1 << g != 0) {
            let mut next = *s;
            next.fds[f].err |= 1 << g;
            out.push(machine("lets a newcomer's descriptor report the failure, too", next));
        }
        if s.left.fails == 0 || s.fds.iter().all(|f| f.open & 1 << g == 0) {
            return;
        }
        for lost in (0..1u8 << SLOTS).filter(|lost| lost & !s.dirty[g] == 0) {
            let mut next = *s;
            next.left.fails -= 1;
            next.dirty[g] &= !lost;
            next.unseen |= 1 << g;
            next.fds.iter_mut().filter(|f| f.open & 1 << g != 0).for_each(|f| f.err |= 1 << g);
            out.push(machine(
                if lost == 0 {
                    "write-back FAILS, no frame of ours"
                } else {
                    "write-back FAILS, frames are marked clean"
                },
                next,
            ));
        }
    }

    /// Any subset of the dirty frames is on disk, whole or torn.
    fn power_cuts(&self, s: &State, out: &mut Vec<Next<State>>) {
        for manifest in [s.manifest_disk, s.manifest] {
            let mut worlds = vec![*s];
            for g in usize::from(manifest.live)..SEGS {
                for o in (0..SLOTS).filter(|o| s.dirty[g] & 1 << o != 0 && s.cache[g][*o] != s.disk[g][*o]) {
                    for i in 0..worlds.len() {
                        let mut other = worlds[i];
                        other.disk[g][o] = s.cache[g][o];
                        worlds.push(other);
                        other.disk[g][o] = TORN;
                        // Torn on zeros is as good as zeros.
                        if s.disk[g][o] != 0 {
                            worlds.push(other);
                        }
                    }
                }
            }
            for mut next in worlds {
                next.left.cuts -= 1;
                (next.manifest, next.manifest_disk) = (manifest, manifest);
                (next.cache, next.dirty, next.unseen) = (next.disk, [0; SEGS], 0);
                (0..PROCS).for_each(|p| self.kill(&mut next, p));
                self.forget_lost(&mut next);
                out.push(machine("POWER CUT", next));
                // Each word of SHARED, too, may be on disk as it is or as it was.
                let older = State { published: 0, ..next };
                out.push(machine("POWER CUT, SHARED has an old generation", older));
                (next.committed, next.synced, next.frozen) = (0, 0, false);
                out.push(machine("POWER CUT, SHARED has an old committed", next));
                next.published = 0;
                out.push(machine("POWER CUT, SHARED is as it was made", next));
            }
            if s.manifest == s.manifest_disk {
                break;
            }
        }
    }

    /// With sync=os, what was told of this slot and those behind it is lost when a failed write-back's page is evicted:
    /// from then on it counts for nothing. Who follows finds `CORRUPT`, or a dead frame that the disk still has there.
    fn medium_loses(&self, s: &mut State, g: usize, from: usize) {
        let lost = s.cache[g][from..].iter().filter(|&&id| id != 0 && id != TORN).fold(0, |set, id| set | 1 << id);
        s.gone |= lost & !s.sure;
        s.told &= !s.gone;
    }

    /// With sync=os a power cut may take back what was told: from then on it counts for nothing.
    fn forget_lost(&self, s: &mut State) {
        for id in 1..FRAMES as Id {
            if !self.world.os || !s.is_told(id) {
                continue;
            }
            let (g, o) = (seg(s.place[usize::from(id)]), off(s.place[usize::from(id)]) - 1);
            if !(0..=o).all(|o| self.verifies(s, g, o, |o| s.disk[g][o])) || s.disk[g][o] != id {
                s.told &= !(1 << id);
            }
        }
    }
}
