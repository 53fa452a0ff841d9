//! Frames of a segment that is read from its begin, as at an open, wait in the arena, noted and not indexed, until something is
//! asked that the filter can't answer: for a key that the filter may hold, whether a name is a bucket's, a listing, a change. Who
//! opens a large store for a few keys mostly never asks.

use super::{Entry, Inner, Memtable, Written, hash};
use crate::engine::value::INLINE_MAX;
use crate::format::frame::{Frame, Op};
use crate::format::position::{Position, position};
use crate::latch::{RwLockReadGuard, RwLockWriteGuard};
use std::sync::atomic::Ordering;

/// An index in which something waits weighs no more than this, with what indexing that may add: other frames are indexed at once.
const MOST: usize = 16 << 20;

/// A frame with more operations is indexed at once: each costs less there than to be looked at twice.
const FEW: usize = 16;

/// Whole frames, one after the other, at the end of the arena.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Where in the arena they begin, and where in the segment.
    at: usize,
    offset: u64,
    operations: usize,
    /// The bytes of their keys, written out.
    keys: usize,
}

impl Waiting {
    fn weight(&self) -> usize {
        self.keys + self.operations * (size_of::<Entry>() + size_of::<Written>())
    }
}

impl Memtable {
    /// The same as [`Memtable::apply`], but the frame may be indexed only when something is asked for that takes more than the
    /// filter. For many frames, as there are when a segment is read from its begin.
    pub fn take_over(&self, frame: &Frame<'_>, at: u64) -> Result<Position, &'static str> {
        if frame.operations() > FEW {
            return self.apply(frame, at);
        }
        let (mut keys, mut may_wait) = (0, true);
        frame.each_op(|op| match op {
            Op::Put { key, value, .. } => {
                keys += key.len();
                // A large value stays in the log.
                may_wait &= value.len() <= INLINE_MAX;
                self.noted.key(hash(key));
            }
            Op::Delete { key } => {
                keys += key.len();
                self.noted.key(hash(key));
            }
            Op::DeleteRange { .. } => self.noted.range(),
        })?;
        if !may_wait || !self.inner.write().keep_waiting(frame, at, keys) {
            return self.apply(frame, at);
        }
        self.waits.store(true, Ordering::Release);
        let revision = position(self.segment.number(), at + frame.len() as u64);
        self.stands_at(revision, frame.crc());
        Ok(revision)
    }

    /// The index, of everything that was applied.
    #[inline]
    pub(super) fn reading(&self) -> RwLockReadGuard<'_, Inner> {
        if self.waits.load(Ordering::Acquire) {
            drop(self.writing());
        }
        self.inner.read()
    }

    pub(super) fn writing(&self) -> RwLockWriteGuard<'_, Inner> {
        let mut inner = self.inner.write();
        inner.index_waiting(self.segment.number());
        self.waits.store(false, Ordering::Release);
        inner
    }
}

impl Inner {
    /// Keeps a frame that begins at `offset` of the segment and has so many bytes of keys, which nothing but its index is
    /// missing from; false if it is too much.
    pub(super) fn keep_waiting(&mut self, frame: &Frame<'_>, offset: u64, keys: usize) -> bool {
        let waiting = self.waiting.take().unwrap_or(Waiting { at: self.arena.len(), offset, ..Waiting::default() });
        let more =
            Waiting { operations: waiting.operations + frame.operations(), keys: waiting.keys + keys, ..waiting };
        let fits = self.weight() + self.overhead + frame.len() + more.weight() <= MOST;
        if fits {
            self.reserve(0, frame.len());
            self.arena.extend_from_slice(frame.bytes());
            self.overhead += frame.len();
        }
        let waits = if fits { more } else { waiting };
        self.waiting = (waits.operations > 0).then_some(waits);
        fits
    }

    /// Indexes what waits, frames of the segment with this number.
    pub(super) fn index_waiting(&mut self, segment: u64) {
        let Some(Waiting { mut at, mut offset, operations, keys }) = self.waiting.take() else { return };
        let (end, mut bytes) = (self.arena.len(), Vec::new());
        self.reserve(operations, keys);
        while let Some(len) = Frame::claimed_len(&self.arena[at..end]) {
            bytes.clear();
            bytes.extend_from_slice(&self.arena[at..at + len]);
            let revision = position(segment, offset + len as u64);
            let applied = Frame::written(&bytes).each_op(|op| self.apply(op, revision, offset, Some(at), None));
            applied.expect("its operations were looked at before it was kept");
            (at, offset) = (at + len, offset + len as u64);
        }
    }
}
