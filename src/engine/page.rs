//! The shared page by the names of its words: the two positions that only grow, and who may move them how.

use crate::error::{Error, Result};
use crate::files::storage::SharedPage;
use crate::format::position::Position;
use crate::format::shared::{self as word, FROZEN, is_frozen, position_of};
use crate::sabotage::{self, Sabotage};
use std::sync::Arc;
use std::time::Duration;

/// The shared page of one store.
#[derive(Clone, Debug)]
pub struct Page(Arc<dyn SharedPage>);

/// `committed` as loaded once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Committed(u64);

impl Committed {
    /// Readers may see what ends here or before.
    pub fn position(self) -> Position {
        position_of(self.0)
    }
    /// A seal is under way: nobody raises it.
    pub fn frozen(self) -> bool {
        is_frozen(self.0)
    }
}

impl Page {
    /// Wraps the mapped words.
    pub fn new(words: Arc<dyn SharedPage>) -> Page {
        Page(words)
    }

    /// Makes sure that a store to the page can't fail: on some filesystems, once they have met a disk error, it would end the
    /// program. Before the first store of whoever takes `LOCK`, and after a failed sync.
    pub fn make_writable(&self) -> Result<()> {
        self.0.make_writable().map_err(|e| Error::io("write to SHARED", &e))
    }

    /// The end of the last whole frame.
    pub fn appended(&self) -> Position {
        self.0.load(word::APPENDED)
    }

    /// What readers may see.
    pub fn committed(&self) -> Committed {
        Committed(self.0.load(word::COMMITTED))
    }

    /// The CRC of the frame that ends at `appended`, if a pair says so (rule 2).
    pub fn tail_crc(&self, appended: Position) -> Option<u32> {
        let pair = word::TAILS.into_iter().find(|&pair| self.0.load(pair) == appended)?;
        u32::try_from(self.0.load(pair + 1)).ok()
    }

    /// Under `LOCK`: moves the end of the log. Fills the pair that isn't in use, then stores `appended` (rule 2).
    pub fn store_appended(&self, position: Position, crc: u32) {
        let now = self.appended();
        let spare = word::TAILS.into_iter().find(|&pair| self.0.load(pair) != now).unwrap_or(word::TAILS[0]);
        self.0.store(spare, position);
        self.0.store(spare + 1, u64::from(crc));
        self.0.store(word::APPENDED, position);
    }

    /// Raises `committed` by compare and swap, never while frozen (rule 4).
    pub fn raise_committed(&self, to: Position) {
        if sabotage::is(Sabotage::CommittedStored) {
            return self.0.store(word::COMMITTED, to);
        }
        let mut now = self.0.load(word::COMMITTED);
        while position_of(now) < to && !is_frozen(now) {
            match self.0.compare_exchange(word::COMMITTED, now, to) {
                Ok(_) => return,
                Err(other) => now = other,
            }
        }
    }

    /// Freezes `committed` by one atomic OR; what it was is the sealed end (rule 11).
    pub fn freeze(&self) -> Position {
        if sabotage::is(Sabotage::NotFrozen) {
            return self.committed().position();
        }
        position_of(self.0.fetch_or(word::COMMITTED, FROZEN))
    }

    /// Ends a freeze at the start of the next segment, the last step of a seal (rule 14).
    pub fn thaw(&self, at: Position) {
        self.0.store(word::COMMITTED, at);
    }

    /// What a successful fdatasync has covered, in a store with `sync=os`.
    pub fn synced(&self) -> Position {
        self.0.load(word::SYNCED)
    }

    /// Raises `synced`.
    pub fn raise_synced(&self, to: Position) {
        let mut now = self.synced();
        while now < to {
            match self.0.compare_exchange(word::SYNCED, now, to) {
                Ok(_) => return,
                Err(other) => now = other,
            }
        }
    }

    /// The manifest's generation.
    pub fn generation(&self) -> u64 {
        self.0.load(word::GENERATION)
    }
    /// Publishes a manifest that is durable (rule 13).
    pub fn store_generation(&self, generation: u64) {
        self.0.store(word::GENERATION, generation);
    }

    /// The newest segment known to be made durably.
    pub fn made(&self) -> u64 {
        self.0.load(word::MADE)
    }
    /// Under `LOCK`, after the new segment and its name are durable.
    pub fn store_made(&self, segment: u64) {
        self.0.store(word::MADE, segment);
    }

    /// The word that a publication bumps; read it before looking at `committed`, then wait for it to change.
    pub fn published(&self) -> u32 {
        low(self.0.load(word::PUBLISHED))
    }
    /// Sleeps until a publication after `seen`, or the timeout.
    pub fn wait_published(&self, seen: u32, timeout: Duration) {
        self.0.wait(word::PUBLISHED, seen, timeout);
    }
    /// Wakes those who wait for `committed`, and those who wait for leases if it passed the end of a frame that changed one
    /// since `before`.
    pub fn publish(&self, before: Position) {
        if sabotage::is(Sabotage::WakeLost) {
            return;
        }
        self.0.fetch_add(word::PUBLISHED, 1);
        self.0.wake_all(word::PUBLISHED);
        let lease_end = self.0.load(word::LEASE_END);
        if before < lease_end && lease_end <= self.committed().position() {
            self.wake_for_leases();
        }
    }

    /// Under `LOCK`, before `appended`: the frame that ends here changes a lease.
    pub fn store_lease_end(&self, position: Position) {
        self.0.store(word::LEASE_END, position);
    }
    /// The word that a committed change of a lease bumps.
    pub fn leases(&self) -> u32 {
        low(self.0.load(word::LEASES))
    }
    /// Sleeps until a lease changed after `seen`, or the timeout.
    pub fn wait_leases(&self, seen: u32, timeout: Duration) {
        self.0.wait(word::LEASES, seen, timeout);
    }
    /// Wakes all who wait for leases; whether anybody did.
    pub fn wake_for_leases(&self) -> bool {
        self.0.fetch_add(word::LEASES, 1);
        self.0.wake_all(word::LEASES)
    }

    /// The word that unlocking `LOCK` bumps.
    pub fn unlocked(&self) -> u32 {
        low(self.0.load(word::UNLOCKED))
    }
    /// Sleeps until somebody unlocks after `seen`, or the timeout.
    pub fn wait_unlocked(&self, seen: u32, timeout: Duration) {
        self.0.wait(word::UNLOCKED, seen, timeout);
    }
    /// Counts a waiter for `LOCK` until the answer is dropped, so that who unlocks knows that there is one to wake. Before the
    /// waiter's last look at `LOCK`, else an unlock right after it would wake nobody.
    pub fn lock_waiter(&self) -> LockWaiter<'_> {
        self.0.fetch_add(word::LOCK_WAITERS, 1);
        LockWaiter(self)
    }
    /// After `LOCK` is free: wakes those who want it.
    pub fn announce_unlock(&self) {
        if self.0.load(word::LOCK_WAITERS) != 0 {
            self.0.fetch_add(word::UNLOCKED, 1);
            self.0.wake_all(word::UNLOCKED);
        }
    }

    /// The claim of who syncs now, 0 if nobody.
    pub fn syncing(&self) -> u64 {
        self.0.load(word::SYNCING)
    }
    /// Replaces the claim `seen` by `mine`; false if another was faster.
    pub fn claim_sync(&self, seen: u64, mine: u64) -> bool {
        self.0.compare_exchange(word::SYNCING, seen, mine).is_ok()
    }
    /// Gives the claim back, if it is still mine.
    pub fn release_sync(&self, mine: u64) {
        let _ = self.0.compare_exchange(word::SYNCING, mine, 0);
    }
    /// The recent duration of a sync.
    pub fn sync_time(&self) -> Duration {
        Duration::from_nanos(self.0.load(word::SYNC_TIME))
    }
    /// Takes one more sync into account: a moving mean over about eight.
    pub fn record_sync_time(&self, took: u64) {
        let mean = self.0.load(word::SYNC_TIME);
        self.0.store(word::SYNC_TIME, mean - mean / 8 + took / 8);
    }

    /// A page made anew by its first opener, who is alone with it. The magic comes last, so that a half-made page is
    /// never believed.
    pub fn initialise(&self, new: &Fresh) {
        self.0.store(word::MAGIC_WORD, 0);
        for at in 1..word::LEN as usize / 8 {
            self.0.store(at, 0);
        }
        self.0.store(word::VERSION, u64::from(crate::format::manifest::FIRST_VERSION));
        for (i, half) in store_words(&new.store).into_iter().enumerate() {
            self.0.store(word::STORE + i, half);
        }
        self.0.store(word::INODE, new.inode);
        self.0.store(word::INCARNATION, new.incarnation);
        self.0.store(word::GENERATION, new.generation);
        self.0.store(word::SYNC_TIME, 1_000_000);
        self.0.store(word::SYNCED, new.end);
        self.store_appended(new.end, new.crc);
        self.0.store(word::COMMITTED, new.end);
        self.0.store(word::MAGIC_WORD, word::MAGIC);
    }

    /// Whether the page belongs to this store and this file.
    pub fn belongs_to(&self, store: &[u8; 16], inode: u64) -> bool {
        let words = store_words(store);
        self.0.load(word::MAGIC_WORD) == word::MAGIC
            && [self.0.load(word::STORE), self.0.load(word::STORE + 1)] == words
            && self.0.load(word::INODE) == inode
    }
}

/// Someone who waits for `LOCK`.
pub struct LockWaiter<'a>(&'a Page);

impl Drop for LockWaiter<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(word::LOCK_WAITERS, u64::MAX);
    }
}

/// What a new page says.
#[derive(Debug)]
pub struct Fresh {
    /// The store's name.
    pub store: [u8; 16],
    /// The inode number of `SHARED`.
    pub inode: u64,
    /// Random.
    pub incarnation: u64,
    /// The manifest's generation.
    pub generation: u64,
    /// Where the log ends.
    pub end: Position,
    /// The CRC of the frame that ends there.
    pub crc: u32,
}

fn low(word: u64) -> u32 {
    (word & u64::from(u32::MAX)) as u32
}

/// The store id as two words of the page.
pub fn store_words(store: &[u8; 16]) -> [u64; 2] {
    let n = u128::from_le_bytes(*store);
    [(n & u128::from(u64::MAX)) as u64, (n >> 64) as u64]
}
