//! Kills, a directory that can't be synced, a compactor that is stopped, power cuts.

use super::Tables;
use super::state::*;
use crate::search::{MACHINE, Next};

impl Tables {
    pub(super) fn faults(&self, s: &State, out: &mut Vec<Next<State>>) {
        for p in 0..self.procs() {
            self.process_faults(s, p, out);
        }
        if s.left.cuts > 0 {
            self.power_cuts(s, out);
        }
        if s.left.ends > 0 && s.believed {
            let mut next = *s;
            next.left.ends -= 1;
            self.all_end(&mut next);
            out.push(Next { who: MACHINE, what: "every process ends", then: Ok(next) });
        }
    }

    fn process_faults(&self, s: &State, p: usize, out: &mut Vec<Next<State>>) {
        let (who, pc) = (p as u8, s.procs[p].pc);
        let mut add = |what, next| out.push(Next { who, what, then: Ok(next) });
        if s.left.kills > 0 && pc != Pc::Begin {
            let mut next = *s;
            next.left.kills -= 1;
            self.kill(&mut next, p);
            add("is KILLED", next);
        }
        if s.left.fails > 0 && matches!(pc, Pc::SwitchDir | Pc::SealDir | Pc::LeftDir) {
            let mut next = *s;
            next.left.fails -= 1;
            self.unlock(&mut next, p);
            match pc {
                Pc::SwitchDir => (next.procs[p].pc, next.procs[p].failed) = (Pc::Unnamed, true),
                _ => self.finish(&mut next, p),
            }
            add("can't sync the directory: unlocks", next);
        }
        if s.left.stops > 0 && pc == Pc::Fill {
            let mut next = *s;
            next.left.stops -= 1;
            (next.procs[p].pc, next.procs[p].stopped) = (Pc::Unlink, true);
            add("is told to stop", next);
        }
    }

    fn kill(&self, s: &mut State, p: usize) {
        self.unlock(s, p);
        s.procs[p] = Proc { op: s.procs[p].op + u8::from(s.procs[p].pc != Pc::Begin), ..Proc::default() };
    }

    fn all_end(&self, s: &mut State) {
        (0..self.procs()).for_each(|p| self.kill(s, p));
        (s.believed, s.frozen) = (false, false);
    }

    /// Of each name that isn't synced, either.
    fn power_cuts(&self, s: &State, out: &mut Vec<Next<State>>) {
        let mut worlds = vec![State { dir: s.dir_disk, logs: s.logs_disk, manifest: s.manifest_disk, ..*s }];
        let mut branch = |change: &dyn Fn(&mut State)| {
            for i in 0..worlds.len() {
                let mut other = worlds[i];
                change(&mut other);
                worlds.push(other);
            }
        };
        for n in (0..NUMBERS).filter(|&n| s.dir[n] != s.dir_disk[n]) {
            branch(&|other| other.dir[n] = s.dir[n]);
        }
        for g in (0..16).filter(|g| (s.logs ^ s.logs_disk) & 1 << g != 0) {
            branch(&|other| other.logs ^= 1 << g);
        }
        if s.manifest != s.manifest_disk {
            branch(&|other| other.manifest = s.manifest);
        }
        for mut next in worlds {
            next.left.cuts -= 1;
            self.all_end(&mut next);
            next.sync_dir();
            out.push(Next { who: MACHINE, what: "POWER CUT", then: Ok(next) });
        }
    }
}
