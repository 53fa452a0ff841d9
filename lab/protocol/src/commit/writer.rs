//! Under `LOCK`: what `Core::take_lock`, `Core::prepare` and `Group` do, up to the stored `appended`.

use super::state::*;
use super::{Commit, Kind, Outcome, Ran, Step};

impl Commit {
    /// `Core::take_lock` and the first part of `Core::prepare`.
    pub(super) fn take_lock(&self, s: &mut State, p: usize) -> Outcome {
        let (r, f, g) = (&self.rules, self.fd(p), seg(s.appended));
        if s.lock != 0 {
            return Ok(Step::Blocked);
        }
        s.lock = p as u8 + 1;
        if s.frozen && r.finish_seal {
            s.procs[p].end = s.committed;
            s.procs[p].pc = Pc::SealManifest;
            return Ok(Ran("takes LOCK, finds committed frozen"));
        }
        let bit = 1 << g;
        if s.fds[f].open & bit == 0 {
            self.open_segment(s, f, g);
        }
        if s.fds[f].failed & bit != 0 {
            // Core::settle (rule 9).
            match self.durable(s) >= s.appended {
                true => s.fds[f].failed &= !bit,
                false if !self.world.os => return Ok(self.seal(s, p, "takes LOCK, may not vouch, starts to seal")),
                false if self.rules.os_again => s.fds[f].fresh |= bit,
                false => s.fds[f].failed &= !bit,
            }
        }
        if !self.follow_locked(s, p) {
            return Ok(self.seal(s, p, "takes LOCK, can't read the uncommitted range, starts to seal"));
        }
        if s.fds[f].fresh & bit != 0 {
            s.procs[p].pc = Pc::Rewrite;
            return Ok(Ran("takes LOCK, follows, has to write the uncommitted range again"));
        }
        self.evaluate(s, p, "takes LOCK, follows, decides")
    }

    pub(super) fn write_on(&self, s: &mut State, p: usize) -> Outcome {
        let me = s.procs[p];
        Ok(match me.pc {
            // Core::write_again.
            Pc::Rewrite => {
                if !self.write_again(s, p) {
                    return Ok(self.seal(s, p, "the range doesn't verify any more, starts to seal"));
                }
                return self.evaluate(s, p, "writes the uncommitted range again, decides");
            }
            // Group::write.
            Pc::Write => {
                self.write(s, p);
                Ran("writes a frame")
            }
            // Page::store_appended: the spare pair, then `appended`.
            Pc::Tail => {
                self.store_tail(
                    s,
                    s.appended + me.wrote.count_ones() as u8,
                    self.ids(s, p, me.wrote).last().unwrap_or(0),
                );
                s.procs[p].pc = Pc::Append;
                Ran("stores the CRC of the last frame")
            }
            Pc::Append => {
                let from = off(s.appended);
                for (i, id) in self.ids(s, p, me.wrote).enumerate() {
                    s.procs[p].index[seg(s.appended)][from + i] = id;
                    s.passed |= 1 << id;
                }
                s.appended += me.wrote.count_ones() as u8;
                s.procs[p].goal = s.appended;
                if self.world.os {
                    s.procs[p].pc = Pc::OsRaise;
                    Ran("stores appended")
                } else {
                    self.unlock(s, p, Pc::Wait);
                    Ran("stores appended, unlocks")
                }
            }
            // Group::publish_appended with sync=os.
            _ => {
                s.committed = s.committed.max(s.appended);
                self.unlock(s, p, Pc::Wait);
                Ran("raises committed, unlocks")
            }
        })
    }

    /// What a successful fdatasync has covered (`Core::durable`).
    pub(super) fn durable(&self, s: &State) -> Pos {
        if self.world.os { s.synced } else { s.committed }
    }

    pub(super) fn open_segment(&self, s: &mut State, f: usize, g: usize) {
        s.fds[f].open |= 1 << g;
        if self.rules.rewrite && s.appended > self.durable(s) {
            s.fds[f].fresh |= 1 << g;
        }
    }

    /// Verifies what isn't durable, as it is in the cache, and writes it again; false if it doesn't verify.
    pub(super) fn write_again(&self, s: &mut State, p: usize) -> bool {
        let (g, f, durable) = (seg(s.appended), self.fd(p), self.durable(s));
        let from = if seg(durable) == g { off(durable) } else { 0 };
        let range = from..off(s.appended);
        // What the first one follows isn't asked: the chain back from the last fixes it.
        let at = |o: usize| if o < from { s.before(s.cache[g][from]) } else { s.cache[g][o] };
        let chained = range.clone().all(|o| self.verifies(s, g, o, at));
        let ends = range.is_empty()
            || !(self.rules.tail && self.rules.tail_again)
            || s.tails.contains(&(s.appended, s.cache[g][off(s.appended) - 1]));
        if !chained || !ends {
            return false;
        }
        for o in range {
            self.put(s, g, o, s.cache[g][o]);
        }
        s.fds[f].fresh &= !(1 << g);
        s.fds[f].failed &= !(1 << g);
        true
    }

    /// `Request::decide` for the whole group, on the state at `appended`.
    fn evaluate(&self, s: &mut State, p: usize, did: &'static str) -> Outcome {
        if self.world.os && self.rules.os_raises && s.committed < s.appended {
            s.committed = s.appended;
        }
        let Some(op) = self.op(s, p) else { return Ok(Step::Blocked) };
        if op[0].0 == Kind::Sync {
            self.unlock(s, p, Pc::Claim);
            return Ok(Ran(did));
        }
        let (mut todo, mut decider, mut own) = (0u8, 0, [0; 2]);
        for (i, &(kind, key)) in op.iter().enumerate() {
            let now = self.newest(&s.procs[p].index, key, s.appended);
            let at = if now == 0 { 0 } else { s.place[usize::from(now)] };
            if at < self.floor(s, key) {
                return Err("4: a condition is evaluated against less than somebody was told");
            }
            let now = if i == 1 && own[0] == key + 1 { self.first[p][usize::from(s.procs[p].op)] } else { now };
            if self.holds(kind, now) { (todo, own[i]) = (todo | 1 << i, key + 1) } else { decider = now }
        }
        let me = &mut s.procs[p];
        if todo == 0 {
            if self.rules.fail_waits && decider != 0 {
                (me.decider, me.goal) = (decider, s.place[usize::from(decider)]);
                self.unlock(s, p, Pc::Wait);
            } else {
                self.unlock(s, p, Pc::Idle);
                self.tell(s, p, decider)?;
                self.finish(s, p);
            }
        } else if off(s.appended) + todo.count_ones() as usize > usize::from(self.world.slots) {
            me.pc = Pc::RollSync;
        } else {
            (me.todo, me.pc) = (todo, Pc::Write);
        }
        Ok(Ran(did))
    }

    /// One frame reaches the page cache.
    pub(super) fn write(&self, s: &mut State, p: usize) {
        let (me, g) = (s.procs[p], seg(s.appended));
        let o = off(s.appended) + me.wrote.count_ones() as usize;
        let bit = me.todo & me.todo.wrapping_neg();
        let Some(id) = self.ids(s, p, bit).next() else { return };
        let before = if o == 0 { 0 } else { me.index[g][o - 1] };
        let i = usize::from(id);
        s.prev[i] = self.ids(s, p, me.wrote).last().unwrap_or(before);
        s.place[i] = pos(g, o + 1);
        s.known[i] = if self.rules.os_synced { self.durable(s) } else { s.committed };
        self.put(s, g, o, id);
        // A sync under way covers the bytes that were there.
        let syncs = |q: &&mut Proc| matches!(q.pc, Pc::Syncing) && seg(q.goal) == g;
        s.procs.iter_mut().filter(syncs).for_each(|q| q.mask &= !(1 << o));
        let me = &mut s.procs[p];
        (me.todo, me.wrote) = (me.todo & !bit, me.wrote | bit);
        if me.todo == 0 {
            me.pc = if self.rules.tail { Pc::Tail } else { Pc::Append };
        }
    }

    /// `Group::write_failed`: a write that the kernel refused, though the bytes may be there.
    pub(super) fn write_fails(&self, s: &mut State, p: usize) {
        self.write(s, p);
        if s.procs[p].todo != 0 {
            return;
        }
        if self.rules.write_seals {
            s.procs[p].goal = s.appended + s.procs[p].wrote.count_ones() as u8;
            s.procs[p].failed = true;
            s.procs[p].pc = Pc::RollSync;
        } else {
            self.unlock(s, p, Pc::Idle);
            self.answer_io(s, p);
        }
    }

    pub(super) fn answer_io(&self, s: &mut State, p: usize) {
        for id in self.ids(s, p, s.procs[p].wrote) {
            s.void |= 1 << id;
        }
        self.finish(s, p);
    }

    pub(super) fn store_tail(&self, s: &mut State, at: Pos, id: Id) {
        let spare = if s.tails[0].0 == s.appended { 1 } else { 0 };
        s.tails[spare] = (at, id);
    }

    pub(super) fn put(&self, s: &mut State, g: usize, o: usize, id: Id) {
        s.cache[g][o] = id;
        s.dirty[g] |= 1 << o;
    }

    pub(super) fn holds(&self, kind: Kind, now: Id) -> bool {
        let there = now != 0 && self.frames[usize::from(now)].0 != Kind::Delete;
        match kind {
            Kind::Create => !there,
            Kind::Update => there,
            _ => true,
        }
    }
}
