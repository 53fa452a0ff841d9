//! What one process does, step by step.

use super::*;

impl Names {
    pub(super) fn step(&self, s: &mut State, p: usize) -> Outcome {
        let Some(op) = self.op(s, p) else { return Ok(Blocked) };
        let me = s.procs[p];
        match me.pc {
            Pc::Begin if op == Op::Close => {
                self.leave(s, p);
                self.finish(s, p);
                Ok(Ran("closes"))
            }
            Pc::Begin if !me.is_open => {
                s.procs[p].lock = self.find(s, |s| &mut s.lock_name);
                s.procs[p].pc = Pc::OpenLock;
                Ok(Ran("opens LOCK"))
            }
            Pc::Begin => self.take(s, p, Pc::Check),
            Pc::Check | Pc::Write | Pc::Append => self.commit(s, p),
            _ => self.open(s, p),
        }
    }

    /// `open_or_create`.
    fn find(&self, s: &mut State, name: impl Fn(&mut State) -> &mut u8) -> u8 {
        if *name(s) == 0 {
            s.files += 1;
            *name(s) = s.files;
        }
        *name(s)
    }

    fn take(&self, s: &mut State, p: usize, then: Pc) -> Outcome {
        let held = &mut s.lock_held[usize::from(s.procs[p].lock)];
        if *held != 0 {
            return Ok(Blocked);
        }
        *held = p as u8 + 1;
        s.procs[p].pc = then;
        Ok(Ran("takes LOCK"))
    }

    fn unlock(&self, s: &mut State, p: usize) {
        let held = &mut s.lock_held[usize::from(s.procs[p].lock)];
        if *held == p as u8 + 1 {
            *held = 0;
        }
    }

    /// `open_core`.
    fn open(&self, s: &mut State, p: usize) -> Outcome {
        let (me, who) = (s.procs[p], p as u8 + 1);
        match me.pc {
            Pc::OpenLock => self.take(s, p, Pc::OpenCheck),
            Pc::OpenCheck => {
                if me.lock != s.lock_name && self.rules.opener_checks {
                    self.leave(s, p);
                    self.finish(s, p);
                    return Ok(Ran("LOCK was replaced meanwhile: can't open"));
                }
                s.procs[p].pc = Pc::OpenShared;
                Ok(Ran("sees that LOCK is still its file"))
            }
            Pc::OpenShared => {
                let file = self.find(s, |s| &mut s.shared_name);
                let used =
                    s.procs.iter().any(|q| q.is_open && q.shared == file) || s.shared_held[usize::from(file)] != 0;
                s.procs[p].shared = file;
                if used || s.page[usize::from(file)] != 0 && !self.rules.alone {
                    s.procs[p].is_open = true;
                    self.unlock(s, p);
                    self.opened(s, p)?;
                    return Ok(Ran("others have SHARED open: believes it, unlocks"));
                }
                s.shared_held[usize::from(file)] = who;
                if !self.rules.open_locked {
                    self.unlock(s, p);
                }
                s.procs[p].pc = Pc::Recover;
                Ok(Ran("is alone with SHARED"))
            }
            Pc::Recover => {
                s.procs[p].end = s.log.iter().filter(|&&who| who != 0).count() as u8;
                s.procs[p].pc = Pc::Share;
                Ok(Ran("reads the log to its end"))
            }
            // initialise, then LOCK_SH in place of LOCK_EX.
            _ => {
                s.page[usize::from(me.shared)] = me.end + 1;
                s.shared_held[usize::from(me.shared)] = 0;
                s.procs[p].is_open = true;
                self.unlock(s, p);
                self.opened(s, p)?;
                Ok(Ran("publishes SHARED, shares it, unlocks"))
            }
        }
    }

    /// What was told before has to be in the log that this page shows.
    fn opened(&self, s: &mut State, p: usize) -> Result<(), &'static str> {
        s.procs[p].pc = Pc::Begin;
        let shown = s.page[usize::from(s.procs[p].shared)].saturating_sub(1);
        if s.told >> shown != 0 { Err("who opens doesn't see what was told") } else { Ok(()) }
    }

    /// `StoreLock::take`, `still_ours`, `Group`; the sync is in the room `commit`.
    fn commit(&self, s: &mut State, p: usize) -> Outcome {
        let me = s.procs[p];
        let page = usize::from(me.shared);
        let end = s.page[page].saturating_sub(1);
        match me.pc {
            Pc::Check => {
                let lock = me.lock == s.lock_name || !self.rules.lock_checked;
                let shared = me.shared == s.shared_name || !self.rules.shared_checked;
                if lock && shared {
                    s.procs[p].pc = Pc::Write;
                    return Ok(Ran("sees that LOCK and SHARED are still its files"));
                }
                self.unlock(s, p);
                self.finish(s, p);
                Ok(Ran("LOCK or SHARED was replaced: answers IO"))
            }
            Pc::Write => {
                if s.told & 1 << end != 0 {
                    return Err("writes over a frame that was told");
                }
                s.log[usize::from(end)] = p as u8 + 1;
                s.procs[p].pc = Pc::Append;
                Ok(Ran("writes a frame"))
            }
            _ => {
                if s.log[usize::from(end)] != p as u8 + 1 {
                    return Err("tells of a frame that another wrote over");
                }
                s.page[page] = end + 2;
                s.told |= 1 << end;
                self.unlock(s, p);
                self.finish(s, p);
                Ok(Ran("stores appended, unlocks, is told that its frame is committed"))
            }
        }
    }
}
