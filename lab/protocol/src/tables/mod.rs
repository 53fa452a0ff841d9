//! Tables: flushes, merges, the manifest's switch, the removal of files, and readers with older views, all at once.
//!
//! Each segment holds one frame of one of two keys, so that a table is known by the newest frame of each. A view keeps its files open, as
//! in the code: what is unlinked stays readable for it. The directory has two states, as everyone sees it and as it is on
//! disk; until it is synced, a power cut may keep either of each name. Data that no fdatasync covered is lost.
//! `Tables::step` lets one process take its next atomic step; each arm names its code.

mod compactor;
mod faults;
mod property;
mod reader;
mod state;
mod switch;
mod worlds;

use crate::room::room;
use crate::rules::rules;
use crate::search::Step::{Blocked, Ran};
use crate::search::{Model, Next, Outcome, Verdict, each_process};
use state::{Pc, State};
use worlds::{Op, World};

room! {
    name: "tables",
    about: "flush, merge, the manifest's switch, readers with older views",
    model: |world, rules| Tables { world, rules },
}

rules! {
    table_synced: "a table is durable before the manifest names it (TableBuilder::finish)" => "flush",
    name_synced: "so is its name (build: dir.sync)" => "flush",
    manifest_synced: "a manifest is durable before it is renamed (manifest::store: sync_data)" => "flush",
    switch_durable: "13 the directory is synced before a manifest is published (manifest::store: dir.sync)" => "flush",
    switch_locked: "the manifest is switched under LOCK (switch)" => "flush",
    inputs_there: "a switch happens only if its inputs are still there as they were (replaced)" => "merges",
    linked: "a table that was unlinked is not switched in (switch: links)" => "stopped",
    in_place: "a merged table takes the place of its inputs (replaced: splice)" => "merge",
    tombstones: "a tombstone is kept unless the run reaches the oldest table (fill)" => "tombstone",
    generation: "the generation is published before the inputs are removed (switch, build)" => "flush",
    seal_generation: "and when a segment is sealed (finish_seal); idle: who needs the new segment finds its view behind by its number" => "",
    look_again: "who finds a file gone loads the manifest again if the generation has changed (refresh)" => "flush",
    fresh_view: "a snapshot's view is no older than the generation (snapshot); idle: an old view is right, but keeps removed files open" => "",
    table_behind: "a snapshot loads committed after its view: no table reaches past it (snapshot)" => "seals",
    strays_spared: "tables with a number not yet given are no strays (remove_strays)" => "strays",
    switch_finishes: "16 a manifest that a failed switch left is made durable and published before the next (published_manifest)" => "flushes",
    strays_durable: "16 a manifest that a failed switch left is made durable before strays are removed (clean)" => "flushes",
    unnamed_durable: "16 likewise before the table of a failed switch is removed (remove_unnamed)" => "unnamed",
    unnamed_only: "after a failed switch its table is removed only if the manifest doesn't name it (remove_unnamed)" => "flush",
    number_locked: "a table's number is taken under LOCK, from the manifest as it is, so that none is used twice (new_table)" => "numbers",
    recover_rewrites: "16 recovery writes the manifest again, durable, before it removes strays (recover)" => "flushes",
    seal_finished: "15 who takes LOCK finishes a seal before it switches (take_lock); idle: a switch makes the seal's manifest durable with its own" => "",
}

/// A world with its rules.
pub struct Tables {
    world: World,
    rules: Rules,
}

impl Tables {
    fn procs(&self) -> usize {
        self.world.programs.len()
    }
    fn op(&self, s: &State, p: usize) -> Option<Op> {
        self.world.programs[p].get(usize::from(s.procs[p].op)).copied()
    }

    fn step(&self, s: &mut State, p: usize) -> Outcome {
        if self.op(s, p).is_none() {
            return Ok(Blocked);
        }
        match s.procs[p].pc {
            Pc::Begin => self.begin(s, p),
            Pc::Load | Pc::Open | Pc::Look => self.read_on(s, p),
            Pc::Number | Pc::Fill | Pc::SyncName | Pc::Inputs | Pc::Unlink | Pc::Unnamed => self.compact_on(s, p),
            Pc::List | Pc::Stray => self.clean_on(s, p),
            _ => self.switch_on(s, p),
        }
    }

    /// The first step of a call; a store that nobody has open is recovered first.
    fn begin(&self, s: &mut State, p: usize) -> Outcome {
        if !s.believed {
            return self.recover(s);
        }
        match self.op(s, p) {
            Some(Op::Clean) => self.clean(s, p),
            Some(Op::Seal) => self.seal(s, p),
            Some(Op::Read) => {
                if !self.rules.table_behind {
                    // The wrong order: `committed` first, then the view.
                    s.procs[p].at = s.committed;
                }
                self.with_view(s, p, "loads its view")
            }
            _ => self.with_view(s, p, "loads its view"),
        }
    }

    fn finish(&self, s: &mut State, p: usize) {
        let me = s.procs[p];
        s.procs[p] = state::Proc { op: me.op + 1, view: me.view, ..Default::default() };
    }

    fn holds_lock(&self, s: &State, p: usize) -> bool {
        s.lock == p as u8 + 1
    }

    /// True if `LOCK` is ours now.
    fn try_lock(&self, s: &mut State, p: usize) -> bool {
        let free = s.lock == 0 || self.holds_lock(s, p);
        if free {
            s.lock = p as u8 + 1;
        }
        free
    }

    fn unlock(&self, s: &mut State, p: usize) {
        if self.holds_lock(s, p) {
            s.lock = 0;
        }
    }
}

impl Model for Tables {
    type State = State;
    fn start(&self) -> State {
        State::new(&self.world)
    }
    fn successors(&self, s: &State, out: &mut Vec<Next<State>>) {
        each_process(s, self.procs(), |s, p| self.step(s, p), "goes on", out);
        self.faults(s, out);
    }
    fn check(&self, s: &State) -> Verdict {
        self.survives_power_cut(s)
    }
    fn live(&self, s: &State) -> Verdict {
        self.everyone_gets_on(s)
    }
    fn show(&self, s: &State) -> String {
        s.line()
    }
}
