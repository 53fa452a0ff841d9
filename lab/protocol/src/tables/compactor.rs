//! `replace`, `build`, `fill`, `clean`: everything of compaction but the switch.

use super::state::*;
use super::worlds::Op;
use super::{Blocked, Outcome, Ran, Tables};

impl Tables {
    /// `Run::flush`, `Run::merge`; nothing to do is done.
    pub(super) fn choose(&self, s: &mut State, p: usize, did: &'static str) -> Outcome {
        let m = s.procs[p].view.manifest;
        let len = m.len() as u8;
        let (first, segments) = match self.op(s, p) {
            Some(Op::Flush) => (len, m.live - m.first),
            Some(Op::MergeNewest) => (len.saturating_sub(2), 0),
            _ => (0, 0),
        };
        if segments == 0 && (first == len || self.op(s, p) == Some(Op::Flush)) {
            self.finish(s, p);
            return Ok(Ran("finds nothing to compact"));
        }
        let me = &mut s.procs[p];
        (me.first, me.tables, me.segments) = (first, len - first, segments);
        Ok(Ran(did))
    }

    pub(super) fn compact_on(&self, s: &mut State, p: usize) -> Outcome {
        let me = s.procs[p];
        match me.pc {
            Pc::Number => self.new_table(s, p),
            // fill and TableBuilder::finish.
            Pc::Fill => {
                s.content[usize::from(me.file)] = std::array::from_fn(|key| self.merged(s, &me, key));
                if self.rules.table_synced {
                    s.durable |= 1 << me.file;
                }
                s.procs[p].pc = if self.rules.name_synced { Pc::SyncName } else { Pc::Switch };
                Ok(Ran("writes the table and syncs it"))
            }
            Pc::SyncName => {
                s.sync_dir();
                s.procs[p].pc = Pc::Switch;
                Ok(Ran("syncs the directory"))
            }
            // build: the inputs go, one by one.
            Pc::Inputs => {
                self.remove_next(s, p);
                if s.procs[p].tables_gone | s.procs[p].segments_gone == 0 {
                    self.finish(s, p);
                }
                Ok(Ran("removes an input"))
            }
            // build: not switched, stopped, or empty.
            Pc::Unlink => {
                s.dir[usize::from(me.number)] = 0;
                let retries = matches!(self.op(s, p), Some(Op::Flush | Op::Merge)) && !me.stopped && !me.switched;
                if retries {
                    s.procs[p] = Proc { op: me.op, view: me.view, ..Proc::default() };
                } else if me.tables_gone | me.segments_gone == 0 {
                    self.finish(s, p);
                } else {
                    s.procs[p].pc = Pc::Inputs;
                }
                Ok(Ran("removes its own table by name"))
            }
            // remove_unnamed.
            _ => {
                if !self.try_lock(s, p) {
                    return Ok(Blocked);
                }
                if s.frozen && self.rules.seal_finished {
                    return self.finish_seal(s, p);
                }
                if s.manifest.generation != s.generation && self.rules.unnamed_durable {
                    s.procs[p].pc = Pc::LeftDir;
                    return Ok(Ran("after a failed switch: takes LOCK, finds a manifest that may not be durable"));
                }
                if !self.rules.unnamed_only || !s.manifest.names(me.number) {
                    s.dir[usize::from(me.number)] = 0;
                }
                self.unlock(s, p);
                self.finish(s, p);
                Ok(Ran("after a failed switch: removes its table unless the manifest names it, unlocks"))
            }
        }
    }

    /// `new_table`: the first number from the next one on whose name is free.
    fn new_table(&self, s: &mut State, p: usize) -> Outcome {
        let mut number = s.procs[p].view.manifest.next_table;
        if self.rules.number_locked {
            if s.lock != 0 {
                return Ok(Blocked);
            }
            number = s.manifest.next_table;
        }
        while s.dir[usize::from(number)] != 0 {
            number += 1;
        }
        if usize::from(s.files) + 1 == NUMBERS || usize::from(number) + 1 == NUMBERS {
            return Ok(Blocked);
        }
        s.files += 1;
        s.dir[usize::from(number)] = s.files;
        (s.procs[p].number, s.procs[p].file, s.procs[p].pc) = (number, s.files, Pc::Fill);
        Ok(Ran("creates a table"))
    }

    /// The newest frame of the run; a tombstone only if something older may lie below.
    fn merged(&self, s: &State, me: &Proc, key: usize) -> u8 {
        let m = &me.view.manifest;
        let (first, tables) = (usize::from(me.first), usize::from(me.tables));
        let inputs = (first..first + tables).map(|i| s.content[usize::from(me.view.files[i])][key]);
        let segments = (m.first..m.first + me.segments).filter(|&g| self.world.key(g) == key);
        let newest = inputs.chain(segments).rfind(|&frame| frame != 0).unwrap_or(0);
        let dropped = self.world.deletes(newest) && (me.first == 0 || !self.rules.tombstones);
        if dropped { 0 } else { newest }
    }

    fn remove_next(&self, s: &mut State, p: usize) {
        let me = &mut s.procs[p];
        if me.tables_gone != 0 {
            s.dir[me.tables_gone.trailing_zeros() as usize] = 0;
            me.tables_gone &= me.tables_gone - 1;
        } else {
            s.logs &= !(1 << me.segments_gone.trailing_zeros());
            me.segments_gone &= me.segments_gone - 1;
        }
    }

    /// `clean`, up to the durable manifest.
    pub(super) fn clean(&self, s: &mut State, p: usize) -> Outcome {
        if !self.try_lock(s, p) {
            return Ok(Blocked);
        }
        if s.frozen && self.rules.seal_finished {
            return self.finish_seal(s, p);
        }
        let left = s.manifest.generation != s.generation && self.rules.strays_durable;
        s.procs[p].pc = if left { Pc::LeftDir } else { Pc::List };
        Ok(Ran("takes LOCK to remove strays"))
    }

    /// `remove_strays`.
    pub(super) fn clean_on(&self, s: &mut State, p: usize) -> Outcome {
        if s.procs[p].pc == Pc::List {
            let m = s.manifest;
            let stray = |n: u8| (n < m.next_table || !self.rules.strays_spared) && !m.names(n);
            let there = (1..NUMBERS as u8).filter(|&n| s.dir[usize::from(n)] != 0 && stray(n));
            let (tables, segments) = (there.fold(0, |set, n| set | 1 << n), s.logs & ((1 << m.first) - 1));
            (s.procs[p].tables_gone, s.procs[p].segments_gone, s.procs[p].pc) = (tables, segments, Pc::Stray);
            return Ok(Ran("lists the directory"));
        }
        if s.procs[p].tables_gone | s.procs[p].segments_gone != 0 {
            self.remove_next(s, p);
            return Ok(Ran("removes a stray"));
        }
        self.unlock(s, p);
        self.finish(s, p);
        Ok(Ran("unlocks"))
    }
}
