//! What must hold in every state.

use super::state::*;
use super::{Blocked, Tables};
use crate::search::Verdict;

impl Tables {
    /// Whatever a power cut leaves now: the manifest is whole, everything that it names is there and durable.
    pub(super) fn survives_power_cut(&self, s: &State) -> Verdict {
        if !s.manifest_sound && s.manifest != s.manifest_disk {
            return Err("a power cut leaves a manifest without its bytes");
        }
        for m in [&s.manifest, &s.manifest_disk] {
            for entry in m.named() {
                let n = usize::from(entry.number);
                if s.dir[n] == 0 || s.dir_disk[n] != s.dir[n] {
                    return Err("a table that the manifest names isn't there after a power cut");
                }
                if s.durable & 1 << s.dir[n] == 0 {
                    return Err("a table that the manifest names isn't whole after a power cut");
                }
            }
            if (m.first..=m.live).any(|g| s.logs & s.logs_disk & 1 << g == 0) {
                return Err("a segment that the manifest names isn't there after a power cut");
            }
        }
        Ok(())
    }

    /// Each process ends its call though all others stop for ever, save that one who holds `LOCK` goes on until it unlocks.
    pub(super) fn everyone_gets_on(&self, s: &State) -> Verdict {
        (0..self.procs()).filter(|&p| self.op(s, p).is_some()).try_for_each(|p| {
            let mut t = *s;
            for _ in 0..100 {
                let holder = if t.lock == 0 { p } else { usize::from(t.lock) - 1 };
                match self.step(&mut t, holder) {
                    // Another property that breaks on the way is found elsewhere.
                    Err(_) => return Ok(()),
                    Ok(Blocked) => break,
                    Ok(_) if t.procs[p].op > s.procs[p].op => return Ok(()),
                    Ok(_) => {}
                }
            }
            Err("a process waits for ever")
        })
    }
}
