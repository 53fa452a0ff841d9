//! A commit: threads of one process queue, one of them takes `LOCK`, decides and appends for all of them with one write, and
//! waits for the sync on their behalf.

use super::index::Applying;
use super::snapshot::Snapshot;
use super::store_lock::Held;
use super::sync::{Fate, Voucher};
use super::{Core, queue::Pending};
use crate::error::{Code, Error, Result};
use crate::format::frame::{Body, Frame, MAX_LEN};
use crate::format::manifest::SyncMode;
use crate::format::position::{Position, offset_of, segment_of};
use arc_swap::Guard;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The index of a segment may take so many times the segment's size, and never more than this (its offsets have 32 bits, and one
/// batch more has to fit).
const INDEX_GROWTH: u64 = 8;
const MAX_INDEX: u64 = 1 << 30;

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
enum Goal {
    /// The frame that ends here is committed.
    Frame(Position),
    /// What was looked at is committed; then this is the answer (rule 5).
    Looked(Position, Error),
    /// A write failed: a durable seal below the frame (rule 10), then this is the answer.
    Unwritten(Position, Error),
}

/// A leader. Should it panic (a request may), nobody who queues waits for ever.
struct Lead<'a> {
    core: &'a Core,
    mine: &'a Arc<Pending>,
    /// Those that it works for, once it has taken them.
    batch: Vec<Arc<Pending>>,
    is_over: bool,
}

impl Lead<'_> {
    fn pass(&mut self) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.core.queue.pass_lead();
        }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.core.queue.remove(self.mine);
            self.batch.iter().for_each(|pending| pending.abandon());
        }
        self.pass();
    }
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
}

impl Run {
    fn new(start: Position, crc: u32) -> Run {
        Run { bytes: Vec::new(), start, end: start, crc_before: crc, crc, lease_end: None }
    }
}

/// One leader's work under `LOCK`.
struct Group<'a, 'h> {
    core: &'a Core,
    held: &'a mut Held<'h>,
    voucher: Arc<Voucher>,
    /// The right to apply; given back while another segment is made ready, and lost when that fails.
    applying: Option<Applying<'a>>,
    run: Run,
    /// A seal failed: the store is frozen, and nothing more is appended.
    broken: Option<Error>,
    /// Those of the run, in no goal yet because it isn't written.
    in_run: Vec<(Arc<Pending>, Goal)>,
    done: Vec<(Arc<Pending>, Goal, Arc<Voucher>)>,
}

impl Core {
    /// How much memory the index of one segment may take before the segment counts as full.
    fn heaviest(&self) -> u64 {
        (INDEX_GROWTH * self.segment_size).min(MAX_INDEX)
    }

    /// Leads: takes `LOCK`, decides and appends for all who queue, and answers them. If `LOCK` can't be had, only `mine`
    /// is answered.
    pub fn lead(&self, mine: &Arc<Pending>, deadline: u64) {
        let mut lead = Lead { core: self, mine, batch: Vec::new(), is_over: false };
        // Under LOCK only what was appended since is left to follow; what can't be followed shows there, too.
        let _ = self.snapshot();
        let mut held = match self.take_lock(deadline) {
            Ok(held) => held,
            Err(e) => {
                self.queue.remove(mine);
                mine.answer(Err(e));
                return;
            }
        };
        let batch = self.queue.take_all();
        lead.batch = batch.clone();
        let done = self.append_all(&mut held, batch);
        drop(held);
        lead.pass();
        for (pending, goal, voucher) in done {
            self.answer(&pending, goal, &voucher);
        }
    }

    /// Under `LOCK`: decides and appends; whoever can be answered at once is.
    fn append_all(&self, held: &mut Held<'_>, batch: Vec<Arc<Pending>>) -> Vec<(Arc<Pending>, Goal, Arc<Voucher>)> {
        match Group::begin(self, held) {
            Ok(mut group) => {
                for pending in batch {
                    group.decide(pending);
                }
                // An error has been told to those whom it concerns.
                let _ = group.write();
                std::mem::take(&mut group.done)
            }
            Err(e) => {
                batch.iter().for_each(|pending| pending.answer(Err(e.clone())));
                Vec::new()
            }
        }
    }

    /// Without `LOCK`: waits for what the goal needs, then answers.
    fn answer(&self, pending: &Arc<Pending>, goal: Goal, voucher: &Voucher) {
        let answer = match goal {
            Goal::Frame(revision) => match self.wait_committed(revision, voucher) {
                Ok(Fate::Committed) => Ok(Committed { revision }),
                Ok(Fate::Void) => Err(void(voucher)),
                Err(e) => Err(uncertain(&e)),
            },
            Goal::Looked(position, refusal) => match self.wait_committed(position, voucher) {
                Ok(Fate::Committed) => Err(refusal),
                Ok(Fate::Void) => return pending.again(),
                Err(e) => Err(e),
            },
            Goal::Unwritten(start, e) => match self.seal_below(start, voucher) {
                Ok(()) => Err(e),
                Err(e) => Err(uncertain(&e)),
            },
        };
        pending.answer(answer);
    }

    /// After a failed write at `start` whose seal didn't succeed: seals (rule 10), unless somebody did. Another's frame that
    /// was written over it takes its place for good once that is committed.
    fn seal_below(&self, start: Position, voucher: &Voucher) -> Result<()> {
        let deadline = self.clock.boottime() + self.lock_timeout;
        loop {
            let tried = self.take_lock(deadline).and_then(|mut held| {
                let appended = self.page.appended();
                if appended == start {
                    self.seal(&mut held)?;
                }
                Ok(appended)
            });
            let tried =
                tried.and_then(|appended| match segment_of(appended) == segment_of(start) && appended > start {
                    true => self.wait_committed(appended, voucher).map(drop),
                    false => Ok(()),
                });
            match tried {
                Err(e) if self.clock.boottime() >= deadline => return Err(e),
                Err(_) => {
                    let seen = self.page.published();
                    self.page.wait_published(seen, std::time::Duration::from_millis(20));
                }
                Ok(()) => return Ok(()),
            }
        }
    }
}

impl<'a, 'h> Group<'a, 'h> {
    fn begin(core: &'a Core, held: &'a mut Held<'h>) -> Result<Group<'a, 'h>> {
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
            in_run: Vec::new(),
            done: Vec::new(),
        })
    }

    /// Decides one request against the state after all before it.
    fn decide(&mut self, pending: Arc<Pending>) {
        let view = match (&self.applying, &self.broken) {
            (Some(applying), None) => Snapshot::new(Guard::from_inner(applying.view.clone()), self.run.end),
            (_, Some(e)) => return pending.answer(Err(e.clone())),
            (None, None) => return pending.answer(Err(Error::new(Code::Internal, "a leader lost its view"))),
        };
        let decision = pending.request().decide(&view);
        let seen = view.seen();
        match decision {
            Ok(Decision::Append(body)) => match self.append(&body) {
                Ok(revision) => self.in_run.push((pending, Goal::Frame(revision))),
                Err(e) => pending.answer(Err(e)),
            },
            // Rule 5: answered once what decided it is committed.
            Ok(Decision::Refuse(e)) if seen <= self.core.page.committed().position() => pending.answer(Err(e)),
            Ok(Decision::Refuse(e)) => self.in_run.push((pending, Goal::Looked(seen, e))),
            Err(e) => pending.answer(Err(e)),
        }
    }

    /// Encodes the frame behind the run and applies it; goes on in a new segment if this one is full.
    fn append(&mut self, body: &Body) -> Result<Position> {
        let len = body.frame_len();
        if len > MAX_LEN {
            return Err(Error::new(
                Code::LimitExceeded,
                format!("a batch of {len} bytes is larger than {MAX_LEN} bytes"),
            ));
        }
        // Keys are whole in the index and cut short in the log: a segment whose index has grown too large is full, too.
        let heavy = self.applying.as_ref().is_some_and(|a| a.view.live().weight() as u64 > self.core.heaviest());
        if heavy || offset_of(self.run.end) + len as u64 > self.voucher.capacity {
            self.roll(len as u64)?;
        }
        self.core.make_next(segment_of(self.run.end), 0)?;
        let offset = offset_of(self.run.end);
        let run = &mut self.run;
        let (at, salt) = (run.bytes.len(), self.voucher.segment.header().salt);
        let applying = self.applying.as_ref().ok_or_else(|| Error::new(Code::Internal, "a leader lost its view"))?;
        // Rule 1: the frame carries the CRC of the one before.
        let crc = body.write_frame(&mut run.bytes, salt, offset, run.crc, self.core.durable());
        let applied = match Frame::verify(&run.bytes[at..], salt, offset) {
            Some(frame) => applying.apply(&frame, offset),
            None => Err(Error::new(Code::Internal, "a frame just encoded doesn't verify")),
        };
        run.end = applied.inspect_err(|_| run.bytes.truncate(at))?;
        run.crc = crc;
        if body.is_lease() {
            run.lease_end = Some(run.end);
        }
        self.core.counters.commits.fetch_add(1, Ordering::Relaxed);
        Ok(run.end)
    }

    /// The next segment, since the frame of `len` bytes doesn't fit this one.
    fn roll(&mut self, len: u64) -> Result<()> {
        let decided_at = self.run.end;
        let full = self.voucher.clone();
        // What was decided on frames that were refused must not happen (rule 10).
        self.write().map_err(|e| self.broken.clone().unwrap_or(e))?;
        let rolled = match self.broken.clone() {
            Some(e) => return Err(e),
            None => self.elsewhere(|core, held, voucher| core.roll(held, voucher, len)),
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
    fn write(&mut self) -> Result<()> {
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

    fn publish_appended(&self, run: &Run) {
        let page = &self.core.page;
        if let Some(end) = run.lease_end {
            page.store_lease_end(end);
        }
        page.store_appended(run.end, run.crc);
        if self.core.mode == SyncMode::Os {
            page.raise_committed(run.end);
            page.publish(run.start);
        }
    }

    /// Rule 10: the bytes may lie in the cache, whole, so the frames are answered only after a durable seal below them. What
    /// others appended before them is synced first, if that can be done.
    fn write_failed(&mut self, run: &Run, pending: Vec<(Arc<Pending>, Goal)>, e: &std::io::Error) -> Error {
        if let Some(applying) = &self.applying {
            applying.view.live().truncate(run.start, run.crc_before);
        }
        let error = Error::io(format_args!("write {}", self.voucher.segment.name()), e);
        let voucher = self.voucher.clone();
        let sealed = self.elsewhere(|core, held, voucher| core.roll(held, voucher, 0));
        if let Err(e) = &sealed {
            self.run = Run::new(run.start, run.crc_before);
            self.broken = Some(e.clone());
        }
        for (pending, goal) in pending {
            match goal {
                Goal::Looked(seen, _) if seen > run.start => pending.again(),
                Goal::Looked(..) => self.done.push((pending, goal, voucher.clone())),
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

fn void(voucher: &Voucher) -> Error {
    let what = format!("the change did not happen: syncing {} failed", voucher.segment.name());
    Error { os_errno: voucher.errno(), ..Error::new(Code::Io, what) }
}

fn uncertain(e: &Error) -> Error {
    let what = format!("the change may or may not have happened: recovering from a failed disk write failed: {e}");
    Error { os_errno: e.os_errno, ..Error::new(Code::Uncertain, what) }
}
