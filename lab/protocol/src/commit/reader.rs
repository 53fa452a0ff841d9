//! `Core::snapshot` and `Index::follow`; and what an answer says, which is checked here.

use super::state::*;
use super::{Commit, Outcome, Ran, Step};

impl Commit {
    pub(super) fn load_committed(&self, s: &mut State, p: usize, committed: Pos, did: &'static str) -> Step {
        let key = self.op(s, p).map_or(0, |op| op[0].1);
        s.procs[p].seen = committed;
        s.procs[p].floor = self.floor(s, key);
        s.procs[p].pc = Pc::Lookup;
        Ran(did)
    }

    pub(super) fn look_up(&self, s: &mut State, p: usize) -> Outcome {
        let (me, key) = (s.procs[p], self.op(s, p).map_or(0, |op| op[0].1));
        if !self.follow(s, p, me.seen) {
            // With sync=os the bytes may have gone with a failed write-back: CORRUPT.
            if self.world.os && s.left.fails < self.world.budget.fails {
                self.finish(s, p);
                return Ok(Ran("can't read what is committed: answers CORRUPT"));
            }
            return Err("1: what is committed can't be read");
        }
        let id = self.newest(&s.procs[p].index, key, me.seen);
        let at = if id == 0 { 0 } else { s.place[usize::from(id)] };
        if at < me.floor {
            return Err("4: a read returns less than somebody was told before it began");
        }
        self.tell(s, p, id)?;
        self.finish(s, p);
        Ok(Ran("looks up and answers"))
    }

    /// Does what stands at this place pass for a frame of the log?
    pub(super) fn verifies(&self, s: &State, g: usize, o: usize, at: impl Fn(usize) -> Id) -> bool {
        let id = at(o);
        id != 0
            && id != TORN
            && s.place[usize::from(id)] == pos(g, o + 1)
            && (!self.rules.chain || s.prev[usize::from(id)] == if o == 0 { 0 } else { at(o - 1) })
    }

    /// Brings the index up to `to`. False: a frame doesn't verify.
    fn follow(&self, s: &mut State, p: usize, to: Pos) -> bool {
        for g in 0..=seg(to) {
            let last = g == seg(to);
            let end = if last { off(to) } else { s.sealed_end(g, SLOTS) };
            let mut row = s.procs[p].index[g];
            if !last && self.rules.drop_void {
                row[end..].fill(0);
            }
            for o in 0..end {
                if row[o] != 0 {
                    continue;
                }
                row[o] = s.cache[g][o];
                if !self.verifies(s, g, o, |o| row[o]) {
                    row[o] = 0;
                    s.procs[p].index[g] = row;
                    return false;
                }
            }
            s.procs[p].index[g] = row;
        }
        true
    }

    /// `Core::ends_as_told`.
    pub(super) fn follow_locked(&self, s: &mut State, p: usize) -> bool {
        let (g, o) = (seg(s.appended), off(s.appended));
        self.follow(s, p, s.appended)
            && (!(self.rules.tail && self.rules.tail_followed)
                || o == 0
                || s.tails.contains(&(s.appended, s.procs[p].index[g][o - 1])))
    }

    /// The newest frame of the key that ends at or before `to`.
    pub(super) fn newest(&self, index: &[[Id; SLOTS]; SEGS], key: u8, to: Pos) -> Id {
        let mut found = 0;
        for (g, row) in index.iter().enumerate() {
            for (o, &id) in row.iter().enumerate() {
                if id != 0 && pos(g, o + 1) <= to && self.frames[usize::from(id)].1 == key {
                    found = id;
                }
            }
        }
        found
    }

    /// The newest position of the key that anybody has been told of.
    pub(super) fn floor(&self, s: &State, key: u8) -> Pos {
        let told = (1..FRAMES).filter(|&i| s.is_told(i as Id) && self.frames[i].1 == key);
        told.map(|i| s.place[i]).max().unwrap_or(0)
    }

    /// An answer depends on this frame: its caller's, a reader's, or that of a condition.
    pub(super) fn tell(&self, s: &mut State, p: usize, id: Id) -> Result<(), &'static str> {
        let (i, at) = (usize::from(id), s.place[usize::from(id)]);
        if id == 0 || (s.told | s.gone) & 1 << id != 0 {
            return Ok(());
        }
        if s.is_void(id) {
            return Err("3: a void frame shows");
        }
        let (kind, key) = self.frames[i];
        let before = self.newest(&s.procs[p].index, key, at - 1);
        if !self.holds(kind, before) {
            return Err("4: a frame shows whose condition didn't hold before it");
        }
        if (1..FRAMES).any(|j| j != i && (s.told | s.void & s.passed) & 1 << j != 0 && s.place[j] == at) {
            return Err("a revision is used twice");
        }
        let mut under = id;
        while under != 0 && s.gone & 1 << under == 0 {
            under = s.before(under);
        }
        if under != 0 {
            // Written behind a frame that the medium lost: lost with it.
            s.gone |= 1 << id;
            return Ok(());
        }
        s.told |= 1 << id;
        if !self.world.os {
            s.sure |= 1 << id;
        }
        Ok(())
    }
}
