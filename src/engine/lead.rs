//! Who leads: one thread of those that queue takes `LOCK`, has the commits of all of them decided and appended, and waits for
//! the sync on their behalf.

use super::Core;
use super::commit::{Committed, Goal, Group, Wake, void};
use super::queue::{Batch, Pending};
use super::store_lock::Held;
use super::sync::{Fate, Voucher};
use crate::error::{Code, Error, Result};
use crate::files::storage::Access;
use crate::format::manifest::SyncMode;
use crate::format::position::{Position, segment_of};
use crate::sabotage::{self, Sabotage};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

/// How long who gave a lease back waits for the next holder's frame before it syncs: about what waking up takes.
const GUESTS: Duration = Duration::from_micros(200);

/// A commit with what it waits for, and the descriptor of its segment.
pub type Done = (Arc<Pending>, Goal, Arc<Voucher>);
/// Those of one leader.
pub type AllDone = SmallVec<[Done; 1]>;

/// A leader. Should it panic (a request may), nobody who queues waits for ever.
struct Lead<'a> {
    core: &'a Core,
    mine: &'a Arc<Pending>,
    /// Those that it works for, once it has taken them.
    batch: Batch,
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

impl Core {
    /// Leads: takes `LOCK`, decides and appends for all who queue, and answers them. If `LOCK` can't be had, only `mine`
    /// is answered.
    pub fn lead(&self, mine: &Arc<Pending>, deadline: u64) {
        let mut lead = Lead { core: self, mine, batch: Batch::new(), is_over: false };
        // Under LOCK only what was appended since is left to follow; what can't be followed shows there, too.
        let _ = self.snapshot();
        let early = if sabotage::is(Sabotage::VoucherUnlocked) { self.voucher_without_lock() } else { None };
        let mut held = match self.take_lock(deadline) {
            Ok(held) => held,
            Err(e) => {
                self.queue.remove(mine);
                mine.answer(Err(e));
                return;
            }
        };
        if early.is_some() {
            held.writer.voucher = early;
        }
        lead.batch = self.queue.take_all();
        let (done, wake) = self.append_all(&mut held, &lead.batch);
        drop(held);
        let published = self.page.published();
        let guests = wake > Wake::Nobody && self.page.wake_for_leases();
        lead.pass();
        if guests && wake == Wake::NextHolder && self.mode == SyncMode::Full {
            // Who takes the lease now appends behind what gave it back, and one sync answers both.
            self.page.wait_published(published, self.page.sync_time().min(GUESTS));
        }
        for (pending, goal, voucher) in done {
            self.answer(&pending, goal, &voucher);
        }
    }

    /// Under `LOCK`: decides and appends; whoever can be answered at once is. Those who can't, and whom of those who wait for
    /// leases to wake.
    fn append_all(&self, held: &mut Held<'_>, batch: &[Arc<Pending>]) -> (AllDone, Wake) {
        match Group::begin(self, held) {
            Ok(mut group) => {
                for pending in batch {
                    group.decide(pending.clone());
                }
                // An error has been told to those whom it concerns.
                let _ = group.write();
                (std::mem::take(&mut group.done), group.wake)
            }
            Err(e) => {
                batch.iter().for_each(|pending| pending.answer(Err(e.clone())));
                (AllDone::new(), Wake::Nobody)
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
                match appended == start {
                    true => self.seal(&mut held)?,
                    false => self.raise_for_the_dead(),
                }
                Ok(appended)
            });
            let tried =
                tried.and_then(|appended| match segment_of(appended) == segment_of(start) && appended > start {
                    // With sync=os it isn't durable yet.
                    true => self.wait_committed(appended, voucher).and_then(|_| self.sync()),
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

    /// Broken on purpose (rule 6).
    fn voucher_without_lock(&self) -> Option<Arc<Voucher>> {
        let segment = self.open_segment(segment_of(self.page.appended()), Access::Write).ok()?;
        Voucher::new(segment).ok().map(Arc::new)
    }
}

fn uncertain(e: &Error) -> Error {
    let what = format!("the change may or may not have happened: recovering from a failed disk write failed: {e}");
    Error { os_errno: e.os_errno, ..Error::new(Code::Uncertain, what) }
}
