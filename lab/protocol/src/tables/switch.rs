//! Under `LOCK`: the manifest's switch by a compactor (`switch`, `replaced`) and by a seal (`finish_seal`), and recovery.

use super::state::*;
use super::{Blocked, Outcome, Ran, Tables};

impl Tables {
    pub(super) fn switch_on(&self, s: &mut State, p: usize) -> Outcome {
        match s.procs[p].pc {
            Pc::Switch => return self.switch(s, p),
            // manifest::store, its last step.
            Pc::SwitchDir => {
                s.sync_dir();
                s.procs[p].pc = Pc::SwitchPublish;
                return Ok(Ran("syncs the directory: the switch is durable"));
            }
            Pc::SwitchPublish => {
                if self.rules.generation {
                    s.generation = s.manifest.generation;
                }
                self.unlock(s, p);
                self.switched(s, p);
                return Ok(Ran("publishes the generation, unlocks"));
            }
            Pc::LeftDir => {
                s.sync_dir();
                s.generation = s.manifest.generation;
                s.procs[p].pc = match self.op(s, p) {
                    Some(super::Op::Clean) => Pc::List,
                    _ if s.procs[p].failed => Pc::Unnamed,
                    _ => Pc::Switch,
                };
                return Ok(Ran("writes the manifest again, durable, publishes the generation"));
            }
            Pc::SealDir => {
                s.sync_dir();
                s.procs[p].pc = Pc::SealGeneration;
                return Ok(Ran("syncs the directory: the seal is durable"));
            }
            Pc::SealGeneration => {
                if self.rules.seal_generation {
                    s.generation = s.manifest.generation;
                }
                s.procs[p].pc = Pc::SealCommitted;
                return Ok(Ran("publishes the generation"));
            }
            _ => {}
        }
        // Page::thaw, and then the next segment's frame is committed.
        s.committed = s.manifest.live;
        s.frozen = false;
        self.unlock(s, p);
        self.after_seal(s, p);
        Ok(Ran("moves committed into the next segment, unlocks"))
    }

    fn switch(&self, s: &mut State, p: usize) -> Outcome {
        let me = s.procs[p];
        if self.rules.switch_locked {
            if !self.try_lock(s, p) {
                return Ok(Blocked);
            }
            if s.frozen && self.rules.seal_finished {
                return self.finish_seal(s, p);
            }
        }
        if s.manifest.generation != s.generation && self.rules.switch_finishes {
            s.procs[p].pc = Pc::LeftDir;
            return Ok(Ran("takes LOCK to switch, finds a manifest that may not be durable"));
        }
        let linked = s.dir[usize::from(me.number)] == me.file || !self.rules.linked;
        let base = if self.rules.switch_locked { s.manifest } else { me.view.manifest };
        let Some(mut new) = self.replaced(s, &base, &me).filter(|_| linked) else {
            self.unlock(s, p);
            s.procs[p].pc = Pc::Unlink;
            return Ok(Ran("finds its inputs or its table gone: doesn't switch"));
        };
        new.next_table = base.next_table.max(me.number + 1);
        new.generation = base.generation + 1;
        self.rename(s, new);
        s.procs[p].pc = if self.rules.switch_durable { Pc::SwitchDir } else { Pc::SwitchPublish };
        Ok(Ran("takes LOCK, renames the new manifest"))
    }

    /// manifest::store, up to the rename.
    fn rename(&self, s: &mut State, new: Manifest) {
        s.manifest = new;
        s.manifest_sound = self.rules.manifest_synced;
    }

    /// `replaced`: the manifest with the table in place of the run; `None` if the run isn't there as it was.
    fn replaced(&self, s: &State, now: &Manifest, me: &Proc) -> Option<Manifest> {
        let (mut new, old) = (*now, me.view.manifest);
        let (first, tables) = (usize::from(me.first), usize::from(me.tables));
        let run = &old.tables[first..first + tables];
        let (from, to) = match me.segments {
            0 => (run.first()?.from, run.last()?.to),
            n => (old.first, old.first + n - 1),
        };
        let empty = s.content[usize::from(me.file)] == [0; KEYS];
        let table = Entry { number: if empty { 0 } else { me.number }, from, to };
        if me.segments == 0 {
            let there = now.len() >= first + tables && &now.tables[first..first + tables] == run;
            if !there && self.rules.inputs_there {
                return None;
            }
            match self.rules.in_place {
                true => new.splice(first.min(now.len()), tables.min(now.len() - first.min(now.len())), table),
                false => {
                    new.splice(first, tables, Entry::default());
                    new.splice(new.len(), 0, table);
                }
            }
        } else {
            if (now.first != old.first || now.live < old.live) && self.rules.inputs_there {
                return None;
            }
            new.splice(now.len(), 0, table);
            new.first = new.first.max(to + 1);
        }
        Some(new)
    }

    /// What is to be removed after a switch: the inputs, and an empty table.
    fn switched(&self, s: &mut State, p: usize) {
        let (me, old) = (s.procs[p], s.procs[p].view.manifest);
        let run = old.tables[usize::from(me.first)..usize::from(me.first + me.tables)].iter();
        s.procs[p].tables_gone = run.fold(0, |set, t| set | 1 << t.number);
        s.procs[p].segments_gone = (old.first..old.first + me.segments).fold(0, |set, g| set | 1 << g);
        s.procs[p].switched = true;
        s.procs[p].pc = if s.manifest.names(me.number) { Pc::Inputs } else { Pc::Unlink };
    }

    /// A writer seals the live segment; the next one exists.
    pub(super) fn seal(&self, s: &mut State, p: usize) -> Outcome {
        if !self.try_lock(s, p) {
            return Ok(Blocked);
        }
        s.frozen = true;
        self.finish_seal(s, p)
    }

    /// `finish_seal`: a new manifest, or the one that is there again.
    pub(super) fn finish_seal(&self, s: &mut State, p: usize) -> Outcome {
        let mut new = s.manifest;
        if new.live == s.committed {
            new.live += 1;
            new.generation += 1;
            s.logs |= 1 << new.live;
            s.logs_disk |= 1 << new.live;
        }
        self.rename(s, new);
        s.procs[p].pc = if self.rules.switch_durable { Pc::SealDir } else { Pc::SealGeneration };
        Ok(Ran("takes LOCK, freezes, renames the manifest with the sealed end"))
    }

    /// Its own call was the seal, or goes on from its beginning: to switch, for who has a table ready.
    pub(super) fn after_seal(&self, s: &mut State, p: usize) {
        match self.op(s, p) {
            Some(super::Op::Seal) => self.finish(s, p),
            Some(super::Op::Clean) => s.procs[p].pc = Pc::Begin,
            _ => s.procs[p].pc = if s.procs[p].failed { Pc::Unnamed } else { Pc::Switch },
        }
    }

    /// `recover`: alone with the store, under `LOCK`.
    pub(super) fn recover(&self, s: &mut State) -> Outcome {
        let m = s.manifest;
        if m.named().any(|t| s.dir[usize::from(t.number)] == 0) || (m.first..=m.live).any(|g| s.logs & 1 << g == 0) {
            return Err("CORRUPT: recovery finds a file gone that the manifest names");
        }
        if self.rules.recover_rewrites {
            s.sync_dir();
        }
        (1..NUMBERS as u8).filter(|&n| !m.names(n)).for_each(|n| s.dir[usize::from(n)] = 0);
        s.logs &= !((1 << m.first) - 1);
        (s.believed, s.generation, s.committed, s.frozen) = (true, m.generation, m.live, false);
        Ok(Ran("opens the store, alone with it: recovers"))
    }
}
