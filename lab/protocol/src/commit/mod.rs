//! The commit protocol: append under `LOCK`, anyone's sync, seals, recovery, in both sync modes.
//!
//! `Commit::step` lets one process take its next atomic step. A step without a fault has one outcome, and each arm
//! says which code it stands for. Steps that nobody else can tell apart are one step: taking `LOCK`, following and
//! deciding; storing `appended` and unlocking; an invocation and the call's first step; the last step and its answer.
//! The hint and the futex words are left out (they are in the room `wake`): a waiter may sync at any time, which allows
//! all that they allow and more. So is time: who would get `UNCERTAIN` waits on.
//!
//! *Disk.* A frame is a slot with its content in the page cache, on disk, and a dirty bit. A power cut keeps any subset of the
//! dirty slots, or tears them. A failed write-back marks any subset clean that isn't on disk, tells every descriptor open then
//! once, and may tell later ones (Linux does while nobody has seen the error). A slot that is clean and differs from the disk may
//! be evicted at any time. fdatasync has a start (which slots) and an end (error, or those slots are on disk).

mod faults;
mod opener;
mod property;
mod reader;
mod sealer;
mod state;
mod waiter;
mod worlds;
mod writer;

use crate::room::room;
use crate::rules::rules;
use crate::search::Step::{self, Blocked, Ran};
use crate::search::{Model, Next, Outcome, Verdict, each_process};
use state::{FRAMES, Id, PROCS, Pc, State};

room! {
    name: "commit",
    about: "append, sync, seal, recover",
    model: |world, rules| Commit::new(world, rules),
}

rules! {
    chain: "1 a frame carries the CRC of the frame before" => "group",
    tail: "2 SHARED holds the CRC of the last appended frame; following the log under LOCK must end in it" => "longer",
    appended_first: "3 a syncer reads appended before its fdatasync" => "calm",
    raise_max: "4 committed is raised by compare and swap, never stored" => "calm",
    fail_waits: "5 a failed condition is answered once the frame that decided it is committed" => "calm",
    open_locked: "6 the descriptor that vouches is opened under LOCK" => "fail",
    rewrite: "7 who opens a segment with an uncommitted range writes that range again before it vouches for it" => "fail",
    one_sync: "8 threads that share a descriptor sync one at a time; an error stops them all" => "threads",
    doubt: "9 after an error a descriptor vouches for nothing until committed = appended under LOCK, or a seal" => "longer",
    write_seals: "10 a failed write is answered only after a durable seal below it" => "pwrite",
    freeze: "11 a seal first freezes committed: no raise succeeds until the seal is published" => "fail",
    seal_locked: "12 the seal happens before the unlock" => "fail",
    seal_durable: "13 the manifest is durable before the seal is published" => "fail",
    committed_last: "14 a seal stores appended first, committed (and with it the end of the freeze) last" => "fail",
    finish_seal: "15 who finds committed frozen takes LOCK and finishes the seal before anything else" => "fail",
    finish_rewrites: "16 who finishes a seal, or recovers, writes the manifest again, durable, unless SHARED says that it is" => "fail",
    drop_void: "17 frames beyond a sealed end leave every index" => "fail",
    roll_syncs: "18 a full segment is synced to appended, under LOCK, before it is sealed" => "roll",
    recover_syncs: "19 recovery writes again and syncs what it adopts before it publishes" => "cut",
    recover_writes: "19, a half: what SHARED doesn't call durable is written again, and not only synced (recover)" => "cut",
    tail_followed: "2, a half: what is followed under LOCK ends in that CRC (ends_as_told); idle: who is misled writes again, or is told of the loss" => "",
    tail_again: "2, a half: what is written again does (write_again)" => "longer",
    seal_again: "16, a half: who finishes a seal writes the manifest again (finish_seal)" => "fail",
    recover_again: "16, a half: so does who recovers, unless SHARED has its generation (recover)" => "cut",
    os_raises: "sync=os: who takes LOCK and finds committed below appended raises it (prepare)" => "os",
    os_seal_syncs: "sync=os: what readers have seen is synced before the segment is sealed (sync_before_seal)" => "os-roll",
    os_again: "sync=os: after an error the range is verified and written again before the next sync (doubt_ends)" => "os-twice",
    os_below: "sync=os: so does who finds its failed write written over (seal_below)" => "os-pwrite",
    os_below_syncs: "10 sync=os: and answers once what took its place is durable (seal_below)" => "os-below",
    os_synced: "sync=os: durable_before is synced, not committed (Core::durable)" => "os-cut",
    alone_syncs: "a read-only handle that is alone syncs what it shows (recover, without write)" => "alone",
}

/// What a frame does to its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A read; no frame.
    Read,
    /// `dirkv_sync`; no frame.
    Sync,
    /// Sets the key.
    Put,
    /// Deletes it.
    Delete,
    /// Sets it if it isn't there.
    Create,
    /// Sets it if it is there.
    Update,
}

/// One call: a read, a sync, or one write of one or two frames (two threads' commits that travel together).
pub type Op = &'static [(Kind, u8)];

/// How often each fault may happen on one path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Budget {
    /// A process is killed.
    pub kills: u8,
    /// A write-back fails, or the manifest can't be made durable, or the next segment can't be made.
    pub fails: u8,
    /// A power cut.
    pub cuts: u8,
    /// The kernel writes a dirty slot back by itself.
    pub writebacks: u8,
    /// A write reports an error though its bytes are in the cache.
    pub write_errors: u8,
    /// A handle is closed between two calls.
    pub closes: u8,
}

/// A bounded world.
#[derive(Clone, Copy)]
pub struct World {
    /// What it is called.
    pub name: &'static str,
    /// One list of calls per process.
    pub programs: &'static [&'static [Op]],
    /// The faults.
    pub budget: Budget,
    /// Frames that fit a segment.
    pub slots: u8,
    /// Processes 0 and 1 are two threads of one process: one descriptor.
    pub threads: bool,
    /// `sync=os`.
    pub os: bool,
    /// The last process opens the store read-only; nobody has it open at the start.
    pub reader: bool,
}

/// A world with its rules.
pub struct Commit {
    world: World,
    rules: Rules,
    /// What each frame says: kind and key.
    frames: [(Kind, u8); FRAMES],
    /// The first frame of each call.
    first: [[Id; 4]; PROCS],
}

impl Commit {
    fn new(world: World, rules: Rules) -> Commit {
        let (mut frames, mut first, mut next) = ([(Kind::Read, 0); FRAMES], [[0; 4]; PROCS], 1);
        for (p, calls) in world.programs.iter().enumerate() {
            for (i, call) in calls.iter().enumerate() {
                first[p][i] = next as Id;
                for &frame in call.iter().filter(|f| !matches!(f.0, Kind::Read | Kind::Sync)) {
                    frames[next] = frame;
                    next += 1;
                }
            }
        }
        Commit { world, rules, frames, first }
    }

    /// Whose descriptors the process uses.
    fn fd(&self, p: usize) -> usize {
        if self.world.threads && p == 1 { 0 } else { p }
    }
    fn procs(&self) -> usize {
        self.world.programs.len()
    }
    fn read_only(&self, p: usize) -> bool {
        self.world.reader && p + 1 == self.procs()
    }
    fn op(&self, s: &State, p: usize) -> Option<Op> {
        self.world.programs[p].get(usize::from(s.procs[p].op)).copied()
    }
    fn kind(&self, s: &State, p: usize) -> Option<Kind> {
        self.op(s, p).map(|op| op[0].0)
    }
    fn done(&self, s: &State, p: usize) -> bool {
        self.op(s, p).is_none()
    }
    fn ids(&self, s: &State, p: usize, bits: u8) -> impl Iterator<Item = Id> + use<> {
        let first = self.first[p][usize::from(s.procs[p].op)];
        (0..2).filter(move |i| bits & 1 << i != 0).map(move |i| first + i)
    }

    fn step(&self, s: &mut State, p: usize) -> Outcome {
        match s.procs[p].pc {
            Pc::Idle => self.begin(s, p),
            Pc::Rewrite | Pc::Write | Pc::Tail | Pc::Append | Pc::OsRaise => self.write_on(s, p),
            Pc::Wait | Pc::Claim | Pc::Syncing | Pc::Raise | Pc::Error => self.wait_on(s, p),
            Pc::Recover | Pc::RecoverSync | Pc::RecoverDir | Pc::Publish | Pc::AloneSync => self.open_on(s, p),
            Pc::Lookup => self.look_up(s, p),
            _ => self.seal_on(s, p),
        }
    }

    /// An invocation.
    fn begin(&self, s: &mut State, p: usize) -> Outcome {
        let Some(kind) = self.kind(s, p) else { return Ok(Blocked) };
        let (f, g) = (self.fd(p), state::seg(s.appended));
        if !s.fds[f].user {
            return self.open_store(s, p);
        }
        match kind {
            Kind::Read => return Ok(self.load_committed(s, p, s.committed, "reads: loads committed")),
            Kind::Sync => {
                (s.procs[p].goal, s.procs[p].pc) = (s.appended, Pc::Wait);
                return Ok(Ran("dirkv_sync: reads appended"));
            }
            _ => {}
        }
        if !self.rules.open_locked && s.fds[f].open & 1 << g == 0 {
            self.open_segment(s, f, g);
            return Ok(Ran("opens the segment, without LOCK"));
        }
        self.take_lock(s, p)
    }

    /// The process keeps its index, and nothing of its call.
    fn forget_call(&self, s: &mut State, p: usize) {
        let me = s.procs[p];
        s.procs[p] = state::Proc { pc: me.pc, op: me.op, index: me.index, ..Default::default() };
    }

    fn finish(&self, s: &mut State, p: usize) {
        self.forget_call(s, p);
        s.procs[p].op += 1;
        s.procs[p].pc = Pc::Idle;
    }

    fn unlock(&self, s: &mut State, p: usize, pc: Pc) {
        if s.lock == p as u8 + 1 {
            s.lock = 0;
        }
        s.procs[p].end = 0;
        s.procs[p].pc = pc;
    }
}

impl Model for Commit {
    type State = State;
    fn start(&self) -> State {
        let mut s = State::new(self.world.budget);
        (0..self.procs()).for_each(|p| s.fds[self.fd(p)].user = !self.world.reader);
        s
    }
    fn successors(&self, s: &State, out: &mut Vec<Next<State>>) {
        each_process(s, self.procs(), |s, p| self.step(s, p), "answers", out);
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
