//! One state of the world: what the kernel, the disk, `SHARED` and the processes hold, and what the callers were told.

use super::Budget;

pub const PROCS: usize = 3;
pub const SEGS: usize = 4;
pub const SLOTS: usize = 4;
pub const FRAMES: usize = 12;

/// Segment and offset in one number, as in the code; an offset counts frames.
pub type Pos = u8;
pub const fn pos(seg: usize, off: usize) -> Pos {
    (seg * 8 + off) as Pos
}
pub const fn seg(p: Pos) -> usize {
    (p >> 3) as usize
}
pub const fn off(p: Pos) -> usize {
    (p & 7) as usize
}

/// A frame is known by the call that wrote it, 1 and up; 0 is zeros.
pub type Id = u8;
pub const TORN: Id = 255;
pub const LIVE: u8 = 255;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Manifest {
    /// The live segment; those before it are sealed.
    pub live: u8,
    pub sealed: [u8; SEGS],
}

/// Where a process stands; each is one atomic step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Pc {
    #[default]
    Idle,
    // with LOCK
    Rewrite,
    Write,
    Tail,
    Append,
    OsRaise,
    // a waiter
    Wait,
    Claim,
    Syncing,
    Raise,
    Error,
    /// A failed write whose seal didn't succeed.
    Below,
    // with LOCK
    RollSync,
    RollSyncing,
    OsSealSync,
    OsSealSyncing,
    SealManifest,
    SealDir,
    SealAppended,
    SealCommitted,
    Recover,
    RecoverSync,
    RecoverDir,
    Publish,
    AloneSync,
    // a reader
    Lookup,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Proc {
    pub pc: Pc,
    pub op: u8,
    /// The index: the frame that this process applied for each place of the log.
    pub index: [[Id; SLOTS]; SEGS],
    /// Frames of the call still to write, and those written, one bit each.
    pub todo: u8,
    pub wrote: u8,
    /// The position whose sync answers the call; for a failed condition the frame that decided it.
    pub goal: Pos,
    pub decider: Id,
    /// What a sync covers: `appended` as read, and the slots that were dirty at its start.
    pub target: Pos,
    pub mask: u8,
    /// A read: `committed` as loaded, and the newest position of its key that anybody had been told of.
    pub seen: Pos,
    pub floor: Pos,
    /// The sealed end that this sealer writes; the end of the log that an opener found.
    pub end: Pos,
    /// Second try of a sync before a seal.
    pub again: bool,
    /// Its write failed: the answer is IO.
    pub failed: bool,
}

/// What the threads of a process share: the handle, and its descriptors, one bit per segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Fd {
    /// It has the store open: flock(SHARED, LOCK_SH).
    pub user: bool,
    pub open: u8,
    /// A failed write-back not yet reported.
    pub err: u8,
    /// Opened while a range wasn't durable, and hasn't written it again.
    pub fresh: u8,
    /// An error was reported: may not vouch (`Voucher::failed`).
    pub failed: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    pub lock: u8,
    pub cache: [[Id; SLOTS]; SEGS],
    pub disk: [[Id; SLOTS]; SEGS],
    pub dirty: [u8; SEGS],
    /// The manifest as renamed, and as the directory on disk has it.
    pub manifest: Manifest,
    pub manifest_disk: Manifest,
    // SHARED, believed while anybody has it open
    pub appended: Pos,
    pub committed: Pos,
    pub synced: Pos,
    pub frozen: bool,
    /// The generation: up to which live segment a manifest was published.
    pub published: u8,
    /// Where the last frame ends and which it is (its CRC), twice: a writer stores the pair that isn't in use, then `appended`.
    pub tails: [(Pos, Id); 2],
    pub procs: [Proc; PROCS],
    pub fds: [Fd; PROCS],
    // Each frame's bytes: the frame before, where it ends (its revision), and `durable_before`.
    pub prev: [Id; FRAMES],
    pub place: [Pos; FRAMES],
    pub known: [Pos; FRAMES],
    /// Segments with a failure that no descriptor has reported yet: Linux may report it to a newcomer, too.
    pub unseen: u8,
    /// Frames that some answer depends on; those that have to survive a power cut; those whose callers got IO.
    pub told: u16,
    pub sure: u16,
    pub void: u16,
    /// Frames that `appended` has passed; with sync=os, those that the medium lost.
    pub passed: u16,
    pub gone: u16,
    pub left: Budget,
}

impl State {
    pub fn new(left: Budget) -> State {
        let manifest = Manifest { live: 0, sealed: [LIVE; SEGS] };
        State {
            lock: 0,
            cache: Default::default(),
            disk: Default::default(),
            dirty: [0; SEGS],
            manifest,
            manifest_disk: manifest,
            appended: 0,
            committed: 0,
            synced: 0,
            frozen: false,
            published: 0,
            tails: [(0, 0); 2],
            procs: Default::default(),
            fds: Default::default(),
            prev: [0; FRAMES],
            place: [0; FRAMES],
            known: [0; FRAMES],
            unseen: 0,
            told: 0,
            sure: 0,
            void: 0,
            passed: 0,
            gone: 0,
            left,
        }
    }

    /// Somebody has the store open, so that `SHARED` is believed.
    pub fn believed(&self) -> bool {
        self.fds.iter().any(|f| f.user)
    }
    pub fn is_told(&self, id: Id) -> bool {
        self.told & 1 << id != 0
    }
    pub fn is_void(&self, id: Id) -> bool {
        self.void & 1 << id != 0
    }

    /// The frame that a frame says it follows.
    pub fn before(&self, id: Id) -> Id {
        if id == TORN { 0 } else { self.prev[usize::from(id)] }
    }

    /// The end of a segment: its sealed end, or `live` if it isn't sealed.
    pub fn sealed_end(&self, g: usize, live: usize) -> usize {
        if self.manifest.sealed[g] == LIVE { live } else { usize::from(self.manifest.sealed[g]) }
    }

    /// One line for a trace.
    pub fn line(&self) -> String {
        let p = |p: Pos| format!("{}.{}", seg(p), off(p));
        let segs: Vec<String> = (0..SEGS)
            .filter(|&g| self.cache[g] != [0; SLOTS] || self.disk[g] != [0; SLOTS])
            .map(|g| format!("log-{g} cache {:?} disk {:?} dirty {:#b}", self.cache[g], self.disk[g], self.dirty[g]))
            .collect();
        let m = |m: &Manifest| match m.live {
            0 => "-".into(),
            n => format!("log-{} sealed at {}", n - 1, m.sealed[n as usize - 1]),
        };
        format!(
            "appended {} committed {}{} synced {} | {} | manifest {} disk {} | told {:#b} void {:#b}",
            p(self.appended),
            p(self.committed),
            if self.frozen { " FROZEN" } else { "" },
            p(self.synced),
            segs.join("; "),
            m(&self.manifest),
            m(&self.manifest_disk),
            self.told,
            self.void
        )
    }
}
