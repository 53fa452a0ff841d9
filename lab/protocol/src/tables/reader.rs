//! `Index::refresh` and `build` (a view of the newest manifest), `Core::snapshot` and a lookup.

use super::state::*;
use super::worlds::Op;
use super::{Outcome, Ran, Tables};

impl Tables {
    /// Goes on with a view that is new enough, or makes one (`Index::refreshed`).
    pub(super) fn with_view(&self, s: &mut State, p: usize, did: &'static str) -> Outcome {
        let view = &s.procs[p].view.manifest;
        let reads = self.op(s, p) == Some(Op::Read);
        let old = view.generation < s.generation && (!reads || self.rules.fresh_view);
        s.procs[p].pc = match view.live < s.committed || view.generation == 0 || old {
            true => Pc::Load,
            false if reads => Pc::Look,
            false => Pc::Number,
        };
        if s.procs[p].pc == Pc::Look && self.rules.table_behind {
            s.procs[p].at = s.committed;
        }
        if s.procs[p].pc == Pc::Number { self.choose(s, p, did) } else { Ok(Ran(did)) }
    }

    pub(super) fn read_on(&self, s: &mut State, p: usize) -> Outcome {
        let me = s.procs[p];
        match me.pc {
            // Files::current_manifest.
            Pc::Load => {
                if s.manifest.generation < s.generation {
                    return Err("CORRUPT: the manifest is older than the one published");
                }
                s.procs[p].before = s.generation;
                s.procs[p].next = View { manifest: s.manifest, ..View::default() };
                (s.procs[p].nth, s.procs[p].pc) = (0, Pc::Open);
                Ok(Ran("loads the manifest"))
            }
            Pc::Open => self.open_next(s, p),
            // Snapshot::get.
            _ => {
                // Time has passed since `committed` was loaded: the view need not be the newest any more.
                if (0..KEYS).any(|key| self.look_up(s, &me.view, me.at, key) != self.truth(me.at, key)) {
                    return Err("a read returns what was never true at its position");
                }
                self.finish(s, p);
                Ok(Ran("looks up and answers"))
            }
        }
    }

    /// `build`: what the old view has open is kept, by its number.
    fn open_next(&self, s: &mut State, p: usize) -> Outcome {
        let me = s.procs[p];
        let (m, n) = (me.next.manifest, usize::from(me.nth));
        let gone = if n < m.len() {
            let number = m.tables[n].number;
            let known = (0..TABLES).find(|&i| me.view.manifest.tables[i].number == number);
            let file = known.map_or(s.dir[usize::from(number)], |i| me.view.files[i]);
            s.procs[p].next.files[n] = file;
            file == 0
        } else {
            let old = &me.view.manifest;
            (m.first..=m.live).any(|g| s.logs & 1 << g == 0 && (old.generation == 0 || g < old.first || g > old.live))
        };
        if gone && (s.generation == me.before || !self.rules.look_again) {
            return Err("CORRUPT: a file that the manifest names is gone");
        }
        if gone {
            s.procs[p].pc = Pc::Load;
            return Ok(Ran("finds a file gone, and another generation"));
        }
        s.procs[p].nth += 1;
        if n < m.len() {
            return Ok(Ran("opens a table"));
        }
        (s.procs[p].view, s.procs[p].next) = (me.next, View::default());
        (s.procs[p].nth, s.procs[p].before) = (0, 0);
        self.with_view(s, p, "opens the segments, has a view")
    }

    /// The newest version that the view shows at this position: memtables first, then tables, newest first.
    fn look_up(&self, s: &State, view: &View, at: u8, key: usize) -> u8 {
        let m = &view.manifest;
        let memtable = (m.first..=m.live).rfind(|&g| g <= at && self.world.key(g) == key);
        let mut tables = (0..m.len()).map(|i| s.content[usize::from(view.files[i])][key]);
        let newest = memtable.or(tables.rfind(|&frame| frame != 0)).unwrap_or(0);
        if self.world.deletes(newest) { 0 } else { newest }
    }

    /// The newest of all frames of the key up to this segment's.
    fn truth(&self, at: u8, key: usize) -> u8 {
        let newest = (1..=at).rev().find(|&frame| self.world.key(frame) == key).unwrap_or(0);
        if self.world.deletes(newest) { 0 } else { newest }
    }
}
