//! What must hold in every state: after a power cut now, and for everyone who waits.

use super::state::*;
use super::{Commit, Step};
use crate::search::Verdict;

impl Commit {
    /// Whatever a power cut leaves now: what anybody was told is there, and what got IO is not.
    pub(super) fn survives_power_cut(&self, s: &State) -> Verdict {
        for m in [&s.manifest_disk, &s.manifest] {
            for id in (1..FRAMES as Id).filter(|&id| s.sure & 1 << id != 0 || s.is_void(id)) {
                let (g, o) = (seg(s.place[usize::from(id)]), off(s.place[usize::from(id)]) - 1);
                let named = g <= usize::from(m.live) && o < usize::from(m.sealed[g]);
                let (mut sure, mut may, mut at) = (named, named, id);
                for o in (0..=o).rev() {
                    let (disk, dirty) = (s.disk[g][o] == at, s.dirty[g] & 1 << o != 0);
                    let cached = s.cache[g][o] == at;
                    sure &= disk && (!dirty || cached);
                    may &= at != 0 && (disk || dirty && cached);
                    at = s.before(at);
                }
                if s.sure & 1 << id != 0 && !sure {
                    return Err("1, 2: a power cut, or the sealed end, takes back what somebody was told");
                }
                if s.is_void(id) && may {
                    return Err("3: a power cut brings back a frame whose caller got IO");
                }
            }
            self.recovery_is_calm(s, m)?;
        }
        Ok(())
    }

    /// Nothing that recovery may find looks like data lost by the medium: no claim of a frame (`durable_before`), of the
    /// manifest (sealed ends), or of an old `SHARED` (the witness), which may be on disk as it is now.
    fn recovery_is_calm(&self, s: &State, m: &Manifest) -> Verdict {
        let witness = if s.believed() { self.durable(s) } else { 0 };
        if seg(witness) > usize::from(m.live) {
            return Err("recovery finds a manifest that is older than what SHARED says was durable");
        }
        for g in 0..=usize::from(m.live) {
            let there = (0..SLOTS).flat_map(|o| [(o, s.disk[g][o]), (o, s.cache[g][o])]);
            let claims = there.filter(|&(o, id)| {
                let i = usize::from(id);
                id != 0 && id != TORN && s.place[i] == pos(g, o + 1) && seg(s.known[i]) == g
            });
            let claimed = claims.map(|(o, id)| off(s.known[usize::from(id)]).min(o)).max().unwrap_or(0);
            let end = if g < usize::from(m.live) { usize::from(m.sealed[g]) } else { claimed };
            let sure = |o: usize| {
                (s.dirty[g] & 1 << o == 0 || s.cache[g][o] == s.disk[g][o]) && self.verifies(s, g, o, |o| s.disk[g][o])
            };
            if !(0..end).all(sure) {
                return Err("recovery calls a sound store CORRUPT");
            }
            if seg(witness) == g && !(0..off(witness)).all(sure) {
                return Err("1, 2: a power cut takes back what SHARED says is durable");
            }
        }
        let next = usize::from(m.live) + 1;
        match next < SEGS && (s.cache[next][0] != 0 || s.disk[next][0] != 0) {
            true => Err("recovery finds frames in the segment after the live one"),
            false => Ok(()),
        }
    }

    /// Each process is answered though all others stop for ever, save that one who holds `LOCK` goes on until it unlocks.
    pub(super) fn everyone_gets_on(&self, s: &State) -> Verdict {
        (0..self.procs()).filter(|&p| !self.done(s, p)).try_for_each(|p| self.gets_on(s, p))
    }

    fn gets_on(&self, s: &State, p: usize) -> Verdict {
        let mut t = *s;
        for _ in 0..200 {
            let holder = if t.lock == 0 { p } else { usize::from(t.lock) - 1 };
            let mut ran = Ok(Step::Blocked);
            // A process stops with all its threads.
            for q in (0..self.procs()).filter(|&q| self.fd(q) == self.fd(p) || self.fd(q) == self.fd(holder)) {
                if ran == Ok(Step::Blocked) {
                    ran = self.step(&mut t, q);
                }
            }
            // Another property that breaks on the way is found elsewhere.
            if t.procs[p].op > s.procs[p].op || ran.is_err() {
                return Ok(());
            }
            if ran == Ok(Step::Blocked) {
                break;
            }
        }
        let out_of_segments = t.procs.iter().any(|q| q.pc == Pc::SealManifest && seg(q.end) + 1 == SEGS);
        if out_of_segments { Ok(()) } else { Err("5: a process waits for ever") }
    }
}
