//! Under `LOCK`: the live segment is made ready for appending, or sealed and followed by the next one.

use super::log::{self, Segment};
use super::store_lock::Held;
use super::sync::Voucher;
use super::value::INLINE_MAX;
use super::{Core, manifest};
use crate::error::{Code, Error, Result};
use crate::files::storage::{Access, Blocks};
use crate::format::manifest::{SegmentEntry, SyncMode};
use crate::format::position::{Position, offset_of, segment_of};
use crate::format::segment::{HEADER_LEN, start};
use crate::sabotage::{self, Sabotage};
use std::sync::Arc;

/// A segment that begins with a large value gets room for so many of them,
const VALUES: u64 = 64;
/// but is at most so many times as large as others, and so large: it is read when the store is opened.
const LARGER: u64 = 8;
const LARGEST: u64 = 64 << 20;

/// A frame up to this length is synced sooner in blocks that were written ahead (on ext4 without a journal in two thirds of the
/// time); from twice as long on, writing every byte twice takes what is won.
const SMALL: usize = 32 << 10;
/// No more than this is written ahead, since all writers wait meanwhile.
const MOST_WRITTEN: u64 = 8 << 20;

/// What the next segment has to hold.
#[derive(Clone, Copy, Default, Debug)]
pub struct FirstFrame {
    /// The length of its first frame; 0 if it isn't known.
    pub len: u64,
    /// The number of operations in it.
    pub operations: u64,
}

impl Core {
    /// Takes `LOCK`, and finishes a seal that another began before anything else (rule 15).
    pub fn take_lock(&self, deadline: u64) -> Result<Held<'_>> {
        if self.read_only {
            return Err(Error::new(Code::ReadOnly, "the store was opened with read_only=true"));
        }
        let mut held = self.lock.take(&*self.files.dir, &self.page, &*self.clock, deadline)?;
        if self.page.committed().frozen() && !sabotage::is(Sabotage::FreezeIgnored) {
            self.finish_seal(&mut held)?;
        }
        Ok(held)
    }

    /// Brings the index up to `appended` and answers with a descriptor that may vouch for the live segment. Seals
    /// whatever can't be vouched for.
    pub fn prepare(&self, held: &mut Held<'_>) -> Result<Arc<Voucher>> {
        loop {
            let appended = self.page.appended();
            let known = held.writer.voucher.clone().filter(|v| v.segment.number() == segment_of(appended));
            let (voucher, fresh) = match known {
                Some(voucher) => (voucher, false),
                // Rule 6: opened while holding LOCK.
                None => (Arc::new(Voucher::new(self.open_segment(segment_of(appended), Access::Write)?)?), true),
            };
            self.settle(held, &voucher)?;
            if self.page.appended() != appended {
                continue;
            }
            // Rule 7: a descriptor opened while the range is uncommitted vouches only for what it has written itself.
            let again = fresh && !sabotage::is(Sabotage::NotRewritten);
            if !self.ends_as_told(appended)? || again && !self.vouches(&voucher, appended)? {
                self.seal(held)?;
                continue;
            }
            self.raise_for_the_dead();
            held.writer.voucher = Some(voucher.clone());
            return Ok(voucher);
        }
    }

    /// Under `LOCK`: with `sync=os` nobody but a writer raises `committed`, and one may have been killed before it did.
    pub fn raise_for_the_dead(&self) {
        let (appended, before) = (self.page.appended(), self.page.committed().position());
        if self.mode == SyncMode::Os && before < appended {
            self.page.raise_committed(appended);
            self.page.publish(before);
        }
    }

    /// Follows to `appended`; false if what lies beyond `committed` doesn't verify or isn't what its writer wrote (rule 2).
    fn ends_as_told(&self, appended: Position) -> Result<bool> {
        match self.index.follow(self, appended) {
            Ok(crc) => Ok(self.page.tail_crc(appended) == Some(crc) || sabotage::is(Sabotage::TailUnknown)),
            Err(e) if matches!(e.code, Code::Corrupt | Code::Io) => {
                // Up to committed it has to verify; else the medium lost it, and nothing may be cut.
                self.index.follow(self, self.page.committed().position())?;
                if self.page.committed().position() >= appended { Err(e) } else { Ok(false) }
            }
            Err(e) => Err(e),
        }
    }

    /// Writes again what isn't durable; false if it has to be sealed off. What readers have seen can't be: with `sync=os` a
    /// system that refuses to read or write it now is an error, and the next writer tries again.
    fn vouches(&self, voucher: &Voucher, appended: Position) -> Result<bool> {
        match self.write_again(voucher, appended) {
            Err(_) if self.mode == SyncMode::Full => Ok(false),
            answer => answer,
        }
    }

    /// Verifies what isn't durable and writes the same bytes again, so that this descriptor's sync covers them (rule 7); false
    /// if it doesn't verify.
    fn write_again(&self, voucher: &Voucher, appended: Position) -> Result<bool> {
        let durable = self.durable();
        if durable >= appended {
            return Ok(true);
        }
        let segment = &voucher.segment;
        let from = if segment_of(durable) == segment.number() { offset_of(durable) } else { HEADER_LEN };
        let Some(crc) = self.page.tail_crc(appended) else { return Ok(false) };
        match segment.verified(from, offset_of(appended), crc) {
            Ok(Some(bytes)) => {
                let written = segment.file().write_at(&bytes, from);
                written.map(|()| true).map_err(|e| Error::io(format_args!("write {}", segment.name()), &e))
            }
            Ok(None) => Ok(false),
            Err(e) if e.code == Code::Corrupt => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// A descriptor met an error and something is not durable: in a store with `sync=full` the segment is sealed; with
    /// `sync=os` readers have seen the range, so it is written again for the next sync.
    pub fn doubt_ends(&self, held: &mut Held<'_>, voucher: &Voucher) -> Result<()> {
        match self.mode {
            SyncMode::Full => self.seal(held),
            SyncMode::Os if self.write_again(voucher, self.page.appended())? => {
                voucher.clear();
                Ok(())
            }
            SyncMode::Os => Err(self.lost(voucher)),
        }
    }

    fn lost(&self, voucher: &Voucher) -> Error {
        let what = "a sync failed, and what it should have covered can't be read back";
        let mut e = Error::corrupt(voucher.segment.name(), offset_of(self.page.synced()), what);
        e.os_errno = voucher.errno();
        e
    }

    /// Opens a segment of this store.
    pub fn open_segment(&self, number: u64, access: Access) -> Result<Segment> {
        Segment::open(&*self.files.dir, number, &self.files.store, access).map_err(Error::from)
    }

    /// No frame is appended unless the next segment exists, so that a seal never fails for want of space. `len` is what it
    /// must hold at least.
    pub fn make_next(&self, live: u64, len: u64, blocks: Blocks) -> Result<()> {
        let usual = self.segment_size;
        if self.page.made() > live && len <= usual {
            return Ok(());
        }
        log::make(&*self.files.dir, live + 1, &self.files.store, len.max(usual), blocks)?;
        self.page.store_made(live + 1);
        Ok(())
    }

    /// The blocks of a new segment, chosen by the frame that is appended when it is made: others come that are about as long.
    pub fn blocks_for(&self, frame: usize) -> Blocks {
        // With `sync=os` no commit waits for a sync.
        match self.mode == SyncMode::Full && frame <= SMALL && self.segment_size <= MOST_WRITTEN {
            true => Blocks::Written,
            false => Blocks::Unwritten,
        }
    }

    /// The next segment, with room for more than one large value, so that not every few of them take a seal.
    fn make_room(&self, live: u64, first: FirstFrame) -> Result<()> {
        let needed = HEADER_LEN + first.len;
        let value = first.len / first.operations.max(1);
        let is_large = value > INLINE_MAX as u64;
        let wanted = if is_large { (VALUES * value).min(LARGER * self.segment_size).min(LARGEST) } else { 0 };
        match self.make_next(live, needed.max(wanted), Blocks::Unwritten) {
            Err(e) if e.code == Code::NoSpace && wanted > needed => self.make_next(live, needed, Blocks::Unwritten),
            made => made,
        }
    }

    /// Goes on in the next segment: syncs the full one to `appended`, then seals it; if that sync fails it is sealed at
    /// `committed` (rule 18).
    pub fn roll(&self, held: &mut Held<'_>, voucher: &Voucher, first: FirstFrame) -> Result<()> {
        self.make_room(segment_of(self.page.appended()), first)?;
        if sabotage::is(Sabotage::FullUnsynced) {
            self.page.raise_committed(self.page.appended());
        } else if self.mode == SyncMode::Full
            && let Some(before) = voucher.sync_appended(self)?
        {
            self.page.publish(before);
        }
        self.seal(held)
    }

    /// Seals the live segment at `committed`.
    pub fn seal(&self, held: &mut Held<'_>) -> Result<()> {
        let live = segment_of(self.page.appended());
        self.make_next(live, 0, Blocks::Unwritten)?;
        if self.mode == SyncMode::Os {
            self.sync_before_seal(held, live)?;
        }
        // Rule 11: frozen first, so that nobody raises committed past the end that the manifest will tell.
        self.page.freeze();
        if sabotage::is(Sabotage::SealUnlocked) {
            held.free_early();
        }
        self.finish_seal(held)
    }

    /// With `sync=os` what readers have seen is made durable before the manifest says that it is.
    fn sync_before_seal(&self, held: &Held<'_>, live: u64) -> Result<()> {
        let known = held.writer.voucher.clone().filter(|v| v.segment.number() == live);
        let appended = self.page.appended();
        let voucher = match known {
            Some(voucher) => voucher,
            None => {
                let fresh = Arc::new(Voucher::new(self.open_segment(live, Access::Write)?)?);
                // Rule 7, with `synced` in the place of `committed`.
                if !self.write_again(&fresh, appended)? {
                    return Err(self.lost(&fresh));
                }
                fresh
            }
        };
        for _ in 0..2 {
            if self.page.synced() >= appended || voucher.sync_appended(self)?.is_some() {
                return Ok(());
            }
            if !self.write_again(&voucher, appended)? {
                return Err(self.lost(&voucher));
            }
            voucher.clear();
        }
        let mut e =
            Error::new(Code::Io, format!("can't sync {}: the system reported an error", voucher.segment.name()));
        e.os_errno = voucher.errno();
        Err(e)
    }

    /// The frozen position becomes the sealed end: durable manifest first (rules 13 and 16), then `appended`, then
    /// `committed`, which ends the freeze (rule 14). All under `LOCK` (rule 12). Whoever begins after a crash does it all again.
    fn finish_seal(&self, held: &mut Held<'_>) -> Result<()> {
        let end = self.page.committed().position();
        let segment = segment_of(end);
        let mut new = self.files.current_manifest(&self.page)?;
        if new.live() == segment {
            let sealed = SegmentEntry { number: segment, sealed: offset_of(end) };
            if self.page.appended() > end {
                new.voids.push(sealed);
            }
            if let Some(last) = new.segments.last_mut() {
                *last = sealed;
            }
            new.segments.push(SegmentEntry { number: segment + 1, sealed: 0 });
            new.generation += 1;
        } else if new.live() != segment + 1 {
            return Err(Error::corrupt("MANIFEST", 0, "it names another live segment than the running store has"));
        }
        let next = self.open_segment(segment + 1, Access::Read)?;
        manifest::store(&*self.files.dir, &new)?;
        let begin = start(segment + 1);
        self.page.store_generation(new.generation);
        let committed_first = sabotage::is(Sabotage::CommittedFirst);
        if committed_first {
            self.page.thaw(begin);
        }
        self.page.store_appended(begin, next.header().crc());
        self.page.raise_synced(begin);
        if !committed_first {
            self.page.thaw(begin);
        }
        self.page.publish(end);
        held.writer.voucher = None;
        self.counters.seals.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}
