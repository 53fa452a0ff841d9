//! A commit under `LOCK`: requests are decided one after the other, their frames appended with one write.

use super::index::Applying;
use super::lead::AllDone;
use super::memtable::MAX_INDEX;
use super::seal::FirstFrame;
use super::snapshot::Snapshot;
use super::store_lock::Held;
use super::sync::Voucher;
use super::value::INLINE_MAX;
use super::{Core, queue::Pending};
use crate::error::{Code, Error, Result};
use crate::format::frame::{self, Body, Frame, MAX_LEN};
use crate::format::manifest::SyncMode;
use crate::format::position::{Position, offset_of, segment_of};
use crate::sabotage::{self, Sabotage};
use arc_swap::Guard;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The index of a segment may take so many times the segment's size, and never more than [`MAX_INDEX`] (its offsets have 32
/// bits, and one batch more has to fit).
const INDEX_GROWTH: u64 = 8;

/// What is to be changed, decided as a whole under `LOCK`.
pub trait Request: Send {
    /// Looks at the newest state and decides. Called again if what decided a refusal turned out void.
    fn decide(&mut self, view: &Snapshot) -> Result<Decision>;
}

/// What a request decided.
pub enum Decision {
    /// These operations become one frame.
    Append(Body),
    /// The condition doesn't hold: the error is answered once everything that the request looked at is committed.
    Refuse(Error),
}

/// A committed change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Committed {
    /// The position at which its frame ends.
    pub revision: Position,
}

/// What has to happen before a pending commit is answered.
pub enum Goal {
    /// The frame that ends here is committed.
    Frame(Position),
    /// What was looked at is committed; then this is the answer (rule 5).
    Looked(Position, Error),
    /// A write failed: a durable seal below the frame (rule 10), then this is the answer.
    Unwritten(Position, Error),
}

/// Frames encoded one after the other, to be written at once.
struct Run {
    bytes: Vec<u8>,
    start: Position,
    end: Position,
    /// The CRC of the frame that ends at `start`, and at `end`.
    crc_before: u32,
    crc: u32,
    lease_end: Option<Position>,
    wake: Wake,
    /// A value of it may be so large that it is looked up in the file.
    is_large: bool,
}

impl Run {
    fn new(start: Position, crc: u32) -> Run {
        Run {
            bytes: Vec::new(),
            start,
            end: start,
            crc_before: crc,
            crc,
            lease_end: None,
            wake: Wake::Nobody,
            is_large: false,
        }
    }
}

/// Those whose frames are in a run, or who looked at it.
type InRun = SmallVec<[(Arc<Pending>, Goal); 1]>;

/// Whom a group wakes of those who wait for leases.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wake {
    Nobody,
    /// All, to look again.
    Waiters,
    /// The same, and one of them finds a lease that was given back.
    NextHolder,
}

/// One leader's work under `LOCK`.
pub struct Group<'a, 'h> {
    core: &'a Core,
    held: &'a mut Held<'h>,
    voucher: Arc<Voucher>,
    /// The right to apply; given back while another segment is made ready, and lost when that fails.
    applying: Option<Applying<'a>>,
    run: Run,
    /// A seal failed: the store is frozen, and nothing more is appended.
    broken: Option<Error>,
    /// Those of the run, in no goal yet because it isn't written.
    in_run: InRun,
    /// Those that still wait for something.
    pub done: AllDone,
    /// Who has to look at what was appended once `LOCK` is free.
    pub wake: Wake,
}

impl Core {
    /// How much memory the index of a segment of this length may take before the segment counts as full. One that was made
    /// for large values isn't for many small ones.
    fn heaviest(&self, len: u64) -> u64 {
        let growth = if len > self.segment_size { 1 } else { INDEX_GROWTH };
        (growth * self.segment_size).min(MAX_INDEX)
    }
}

impl<'a, 'h> Group<'a, 'h> {
    /// With the log followed to `appended`.
    pub fn begin(core: &'a Core, held: &'a mut Held<'h>) -> Result<Group<'a, 'h>> {
        let voucher = core.prepare(held)?;
        let appended = core.page.appended();
        let applying = core.index.follow_and_hold(core, appended)?;
        let run = Run::new(appended, applying.view.live().crc());
        Ok(Group {
            core,
            held,
            voucher,
            applying: Some(applying),
            run,
            broken: None,
            in_run: InRun::new(),
            done: AllDone::new(),
            wake: Wake::Nobody,
        })
    }

    /// Decides one request against the state after all before it.
    pub fn decide(&mut self, pending: Arc<Pending>) {
        if self.run.is_large {
            // An error has been told to those whom it concerns.
            let _ = self.write();
        }
        let view = match (&self.applying, &self.broken) {
            (Some(applying), None) => Snapshot::new(Guard::from_inner(applying.view.clone()), self.sees()),
            (_, Some(e)) => return pending.answer(Err(e.clone())),
            (None, None) => return pending.answer(Err(Error::new(Code::Internal, "a leader lost its view"))),
        };
        let decision = pending.request().decide(&view);
        let seen = view.seen();
        match decision {
            Ok(Decision::Append(body)) => match self.append(body) {
                Ok(revision) => self.in_run.push((pending, Goal::Frame(revision))),
                Err(e) => pending.answer(Err(e)),
            },
            // Rule 5: answered once what decided it is committed.
            Ok(Decision::Refuse(e))
                if seen <= self.core.page.committed().position() || sabotage::is(Sabotage::RefusedEarly) =>
            {
                pending.answer(Err(e));
            }
            Ok(Decision::Refuse(e)) => self.in_run.push((pending, Goal::Looked(seen, e))),
            Err(e) => pending.answer(Err(e)),
        }
    }

    /// Everything before this request.
    fn sees(&self) -> Position {
        match sabotage::is(Sabotage::LostUpdate) {
            true => self.core.page.committed().position(),
            false => self.run.end,
        }
    }

    /// Encodes the frame behind the run and applies it; goes on in a new segment if this one is full.
    fn append(&mut self, body: Body) -> Result<Position> {
        let len = body.frame_len();
        if !frame::is_len(len) {
            return Err(Error::new(
                Code::LimitExceeded,
                format!("a batch of {len} bytes is larger than {MAX_LEN} bytes"),
            ));
        }
        // Keys are whole in the index and cut short in the log: a segment whose index has grown too large is full, too.
        let heavy = self
            .applying
            .as_ref()
            .is_some_and(|a| a.view.live().memory() as u64 > self.core.heaviest(self.voucher.capacity));
        if heavy || offset_of(self.run.end) + len as u64 > self.voucher.capacity {
            self.roll(FirstFrame { len: len as u64, operations: u64::from(body.operations()) })?;
        }
        self.core.make_next(segment_of(self.run.end), 0, self.core.blocks_for(len))?;
        let offset = offset_of(self.run.end);
        let run = &mut self.run;
        let (at, salt) = (run.bytes.len(), self.voucher.segment.header().salt);
        let applying = self.applying.as_ref().ok_or_else(|| Error::new(Code::Internal, "a leader lost its view"))?;
        let (is_lease, frees_lease) = (body.is_lease(), body.is_lease_freed());
        // Rule 1: the frame carries the CRC of the one before.
        let crc = body.write_frame(&mut run.bytes, salt, offset, run.crc, self.core.durable());
        let applied = applying.apply(&Frame::written(&run.bytes[at..]), offset);
        run.end = applied.inspect_err(|_| run.bytes.truncate(at))?;
        run.crc = crc;
        run.is_large |= len > INLINE_MAX;
        if is_lease {
            run.lease_end = Some(run.end);
            run.wake = match (frees_lease, run.wake) {
                (true, _) => Wake::NextHolder,
                // Who queued behind the release has the lease already.
                (false, Wake::NextHolder) => Wake::Waiters,
                (false, before) => before,
            };
        }
        self.core.counters.commits.fetch_add(1, Ordering::Relaxed);
        Ok(run.end)
    }

    /// The next segment, since this one has no room for what is its first frame then.
    fn roll(&mut self, first: FirstFrame) -> Result<()> {
        let decided_at = self.run.end;
        let full = self.voucher.clone();
        // What was decided on frames that were refused must not happen (rule 10).
        self.write().map_err(|e| self.broken.clone().unwrap_or(e))?;
        let rolled = match self.broken.clone() {
            Some(e) => return Err(e),
            None => self.elsewhere(|core, held, voucher| core.roll(held, voucher, first)),
        };
        // Nothing of this batch can be decided without a view.
        if self.applying.is_none() {
            self.broken = rolled.clone().err();
        }
        // Rule 18: what wasn't synced is void now, and what was decided on it must not happen.
        match &self.applying {
            Some(applying) if applying.view.manifest.is_void(decided_at) => Err(void(&full)),
            _ => rolled,
        }
    }

    /// Does what leaves the live segment, then goes on with the index and the run as `appended` says. If that can't be
    /// done everything stays as it was; but a seal that has begun has to be finished before anything else (rule 15).
    fn elsewhere(&mut self, leave: impl FnOnce(&Core, &mut Held<'_>, &Voucher) -> Result<()>) -> Result<()> {
        let core = self.core;
        self.applying = None;
        let left = leave(core, self.held, &self.voucher);
        if core.page.committed().frozen() {
            return left;
        }
        self.voucher = core.prepare(self.held)?;
        let appended = core.page.appended();
        let applying = core.index.follow_and_hold(core, appended)?;
        self.run = Run::new(appended, applying.view.live().crc());
        self.applying = Some(applying);
        left
    }

    /// One write for the whole run, then `appended`. An error has been told to those of the run already.
    pub fn write(&mut self) -> Result<()> {
        let run = std::mem::replace(&mut self.run, Run::new(0, 0));
        (self.run.start, self.run.end) = (run.end, run.end);
        (self.run.crc_before, self.run.crc) = (run.crc, run.crc);
        let pending = std::mem::take(&mut self.in_run);
        let voucher = self.voucher.clone();
        if !run.bytes.is_empty()
            && let Err(e) = voucher.segment.file().write_at(&run.bytes, offset_of(run.start))
        {
            return Err(self.write_failed(&run, pending, &e));
        }
        if run.end != run.start {
            self.publish_appended(&run);
        }
        self.done.extend(pending.into_iter().map(|(pending, goal)| (pending, goal, voucher.clone())));
        Ok(())
    }

    fn publish_appended(&mut self, run: &Run) {
        let page = &self.core.page;
        if let Some(end) = run.lease_end {
            page.store_lease_end(end);
        }
        page.store_appended(run.end, run.crc);
        if self.core.mode == SyncMode::Os {
            // Nobody waits for it but those who try again after an error, and they look again by themselves.
            page.raise_committed(run.end);
            if run.lease_end.is_some() {
                self.wake = self.wake.max(Wake::Waiters);
            }
        }
        self.wake = self.wake.max(run.wake);
    }

    /// Rule 10: the bytes may lie in the cache, whole, so the frames are answered only after a durable seal below them. What
    /// others appended before them is synced first, if that can be done.
    fn write_failed(&mut self, run: &Run, pending: InRun, e: &std::io::Error) -> Error {
        if let Some(applying) = &self.applying {
            applying.view.live().truncate(run.start, run.crc_before);
        }
        let error = Error::io(format_args!("write {}", self.voucher.segment.name()), e);
        if sabotage::is(Sabotage::FailedWriteAnswered) {
            self.run = Run::new(run.start, run.crc_before);
            pending.iter().for_each(|(pending, _)| pending.answer(Err(error.clone())));
            return error;
        }
        let voucher = self.voucher.clone();
        let sealed = self.elsewhere(|core, held, voucher| core.roll(held, voucher, FirstFrame::default()));
        if let Err(e) = &sealed {
            self.run = Run::new(run.start, run.crc_before);
            self.broken = Some(e.clone());
        }
        for (pending, goal) in pending {
            match goal {
                // What it looked at may be among what was not written.
                Goal::Looked(..) => pending.again(),
                _ if sealed.is_ok() => pending.answer(Err(error.clone())),
                _ => self.done.push((pending, Goal::Unwritten(run.start, error.clone()), voucher.clone())),
            }
        }
        error
    }
}

impl Drop for Group<'_, '_> {
    /// After a panic: frames that were never written leave the index (as rule 17 has it of void ones).
    fn drop(&mut self) {
        if let Some(applying) = self.applying.as_ref().filter(|_| !self.run.bytes.is_empty()) {
            applying.view.live().truncate(self.run.start, self.run.crc_before);
        }
    }
}

/// The answer to a frame beyond its segment's sealed end.
pub fn void(voucher: &Voucher) -> Error {
    let what = format!("the change did not happen: syncing {} failed", voucher.segment.name());
    Error { os_errno: voucher.errno(), ..Error::new(Code::Io, what) }
}
