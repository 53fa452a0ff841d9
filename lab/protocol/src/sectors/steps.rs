//! The writer, the syncer, and what may go wrong.

use super::*;

impl Sectors {
    /// `Group::write` and `Page::store_appended`; a killed one leaves a part of its run.
    pub(super) fn writer(&self, s: &State, out: &mut Vec<Next<State>>) {
        let mut add = |what, next| out.push(Next { who: 0, what, then: Ok(next) });
        if s.pc == Pc::Written {
            let mut next = *s;
            let len: u8 = self.run_of(s).map(|id| self.world.lens[id - 1]).sum();
            next.appended += len;
            (next.pc, next.run) = (Pc::Begin, s.run + 1);
            add("stores appended", next);
            return;
        }
        let ids: Vec<usize> = self.run_of(s).collect();
        let total: usize = ids.iter().map(|&id| usize::from(self.world.lens[id - 1])).sum();
        if ids.is_empty() || s.sealed || usize::from(s.appended) + total > UNITS {
            return;
        }
        if s.fresh {
            let mut next = *s;
            next.fresh = false;
            let range = usize::from(s.committed)..usize::from(s.appended);
            if s.cache[range.clone()] != s.log[range.clone()] {
                next.sealed = true;
                add("opens the segment, can't verify the uncommitted range: seals", next);
                return;
            }
            if self.rules.rewrite {
                self.put(&mut next, range.start, range.end, &s.cache);
            }
            add("opens the segment, writes the uncommitted range again", next);
            return;
        }
        let (mut next, mut bytes, mut at) = (*s, s.log, usize::from(s.appended));
        bytes[at..].fill(0);
        let mut last = self.scan(s, &bytes).1;
        for id in ids {
            (next.place[id], next.prev[id]) = (at as u8, last as u8);
            next.known[id] = if self.rules.known { s.committed } else { s.appended };
            for p in 0..usize::from(self.world.lens[id - 1]) {
                bytes[at] = self.unit(id, p);
                at += 1;
            }
            last = id;
        }
        for written in 1..=total {
            let to = usize::from(s.appended) + written;
            let mut next = next;
            self.put(&mut next, usize::from(s.appended), to, &bytes);
            if written == total {
                (next.pc, next.log) = (Pc::Written, bytes);
                add("writes its run", next);
            } else if s.left.kills > 0 {
                self.kill(&mut next);
                add("is KILLED in the middle of its write", next);
            }
        }
    }

    fn run_of(&self, s: &State) -> impl Iterator<Item = usize> + use<> {
        let before: usize = self.world.runs.iter().take(usize::from(s.run)).sum();
        let count = self.world.runs.get(usize::from(s.run)).copied().unwrap_or(0);
        (1..=count).map(move |i| before + i)
    }

    fn put(&self, s: &mut State, from: usize, to: usize, bytes: &Bytes) {
        s.cache[from..to].copy_from_slice(&bytes[from..to]);
        s.dirty |= (from..to).fold(0, |set, unit| set | 1 << (unit / SECTOR));
    }

    /// The next writer has descriptors of its own.
    fn kill(&self, s: &mut State) {
        s.left.kills -= 1;
        (s.pc, s.run, s.target, s.mask, s.error) = (Pc::Begin, s.run + 1, 0, 0, false);
        s.fresh = s.committed < s.appended;
    }

    /// `Voucher::sync_appended`.
    pub(super) fn syncer(&self, s: &State, out: &mut Vec<Next<State>>) {
        let mut next = *s;
        if s.target == 0 {
            if s.committed < s.appended && !s.sealed && !s.fresh {
                (next.target, next.mask) = (s.appended, s.dirty);
                out.push(Next { who: 1, what: "reads appended, fdatasync starts", then: Ok(next) });
            }
            return;
        }
        (next.target, next.mask) = (0, 0);
        if s.error {
            (next.error, next.sealed) = (false, true);
            out.push(Next { who: 1, what: "fdatasync returns an ERROR: seals", then: Ok(next) });
            return;
        }
        for sector in (0..SECTORS).filter(|sector| s.mask & s.dirty & 1 << sector != 0) {
            next.disk[units(sector)].copy_from_slice(&s.cache[units(sector)]);
        }
        // Written to since it began: still to be written back, for all that anybody knows.
        let later =
            (usize::from(s.target)..UNITS).filter(|&u| s.cache[u] != 0).fold(0, |set, u| set | 1 << (u / SECTOR));
        next.dirty &= !(s.mask & !later);
        next.committed = s.committed.max(s.target);
        out.push(Next { who: 1, what: "fdatasync returns success, raises committed", then: Ok(next) });
    }

    pub(super) fn machine(&self, s: &State, out: &mut Vec<Next<State>>) {
        let mut add = |what, next| out.push(Next { who: MACHINE, what, then: Ok(next) });
        if s.left.kills > 0 && s.pc == Pc::Written {
            let mut next = *s;
            self.kill(&mut next);
            add("the writer is KILLED", next);
        }
        for sector in 0..SECTORS {
            let (dirty, differs) = (s.dirty & 1 << sector != 0, s.cache[units(sector)] != s.disk[units(sector)]);
            let mut next = *s;
            if dirty && s.left.writebacks > 0 {
                next.left.writebacks -= 1;
                next.disk[units(sector)].copy_from_slice(&s.cache[units(sector)]);
                next.dirty &= !(1 << sector);
                add("a sector is written back", next);
            } else if dirty && s.left.fails > 0 {
                next.left.fails -= 1;
                (next.dirty, next.error) = (s.dirty & !(1 << sector), true);
                add("the write-back of a sector FAILS, it is marked clean", next);
            } else if !dirty && differs {
                next.cache[units(sector)].copy_from_slice(&s.disk[units(sector)]);
                add("a sector is evicted", next);
            }
        }
        if s.left.cuts > 0 {
            for image in self.images(s) {
                let mut next = *s;
                next.left.cuts -= 1;
                next.run += u8::from(s.pc == Pc::Written);
                (next.cache, next.disk, next.dirty) = (image, image, 0);
                self.recover(&mut next);
                add("POWER CUT, and recovery", next);
            }
        }
        if s.left.ends > 0 && !s.sealed {
            let mut next = *s;
            next.left.ends -= 1;
            next.run += u8::from(s.pc == Pc::Written);
            self.recover(&mut next);
            add("every process ends, and recovery", next);
        }
    }

    /// `recover` and `adopt`, up to the published page.
    fn recover(&self, s: &mut State) {
        let (end, last) = self.scan(s, &s.cache);
        let from = usize::from(s.known[last]).min(end);
        if self.rules.again {
            s.disk[from..end].copy_from_slice(&s.cache[from..end]);
        }
        for sector in 0..SECTORS {
            if s.dirty & 1 << sector != 0 && units(sector).start < end {
                s.disk[units(sector)].copy_from_slice(&s.cache[units(sector)]);
                s.dirty &= !(1 << sector);
            }
        }
        s.log = s.cache;
        (s.appended, s.committed) = (end as u8, end as u8);
        (s.pc, s.fresh, s.target, s.mask, s.error, s.sealed) = (Pc::Begin, false, 0, 0, false, false);
    }
}
