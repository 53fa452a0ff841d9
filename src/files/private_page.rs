//! A page of words in the process's own memory, for a read-only handle that is alone with its store.

use super::storage::SharedPage;
use crate::format::shared::LEN;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// The words; nobody else sees them.
#[derive(Debug)]
pub struct PrivatePage(Vec<AtomicU64>);

impl Default for PrivatePage {
    fn default() -> PrivatePage {
        PrivatePage((0..LEN / 8).map(|_| AtomicU64::new(0)).collect())
    }
}

impl SharedPage for PrivatePage {
    fn load(&self, word: usize) -> u64 {
        self.0[word].load(SeqCst)
    }
    fn store(&self, word: usize, value: u64) {
        self.0[word].store(value, SeqCst);
    }
    fn compare_exchange(&self, word: usize, current: u64, new: u64) -> Result<u64, u64> {
        self.0[word].compare_exchange(current, new, SeqCst, SeqCst)
    }
    fn fetch_or(&self, word: usize, bits: u64) -> u64 {
        self.0[word].fetch_or(bits, SeqCst)
    }
    fn fetch_add(&self, word: usize, amount: u64) -> u64 {
        self.0[word].fetch_add(amount, SeqCst)
    }
    /// Nobody else could change the word.
    fn wait(&self, _: usize, _: u32, timeout: Duration) {
        std::thread::sleep(timeout);
    }
    fn wake_all(&self, _: usize) -> bool {
        false
    }
}
