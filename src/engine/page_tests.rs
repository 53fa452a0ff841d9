//! The shared page on words that write down who waits for what and who is woken.

use super::page::{Fresh, Page};
use crate::files::storage::SharedPage;
use crate::format::shared as word;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TIME: Duration = Duration::from_millis(7);
/// A word whose upper half is not empty, as after many bumps.
const BUMPED: u64 = 5 << 32 | 77;

#[derive(Debug, PartialEq, Eq)]
enum Event {
    Waited(usize, u32, Duration),
    Woken(usize),
}

#[derive(Debug)]
struct Words {
    words: Vec<AtomicU64>,
    events: Mutex<Vec<Event>>,
}

impl Words {
    /// All words hold this.
    fn filled(with: u64) -> Arc<Words> {
        let words = (0..word::LEN / 8).map(|_| AtomicU64::new(with)).collect();
        Arc::new(Words { words, events: Mutex::default() })
    }

    fn events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }
}

impl SharedPage for Words {
    fn load(&self, word: usize) -> u64 {
        self.words[word].load(SeqCst)
    }
    fn store(&self, word: usize, value: u64) {
        self.words[word].store(value, SeqCst);
    }
    fn compare_exchange(&self, word: usize, current: u64, new: u64) -> Result<u64, u64> {
        self.words[word].compare_exchange(current, new, SeqCst, SeqCst)
    }
    fn fetch_or(&self, word: usize, bits: u64) -> u64 {
        self.words[word].fetch_or(bits, SeqCst)
    }
    fn fetch_add(&self, word: usize, amount: u64) -> u64 {
        self.words[word].fetch_add(amount, SeqCst)
    }
    fn wait(&self, word: usize, expected: u32, timeout: Duration) {
        self.events.lock().unwrap().push(Event::Waited(word, expected, timeout));
    }
    fn wake_all(&self, word: usize) -> bool {
        self.events.lock().unwrap().push(Event::Woken(word));
        true
    }
    fn make_writable(&self) -> std::io::Result<()> {
        Err(std::io::Error::from_raw_os_error(5))
    }
}

fn page(with: u64) -> (Page, Arc<Words>) {
    let words = Words::filled(with);
    (Page::new(words.clone()), words)
}

fn fresh() -> Fresh {
    Fresh { store: std::array::from_fn(|i| i as u8 + 1), inode: 3, incarnation: 4, generation: 5, end: 600, crc: 7 }
}

#[test]
fn positions_only_grow_and_a_frozen_one_stays() {
    let (page, words) = page(0);
    for to in [70, 60, 80] {
        page.raise_committed(to);
        page.raise_synced(to);
    }
    assert_eq!((page.committed().position(), page.synced()), (80, 80));
    page.raise_committed(10);
    assert_eq!(page.committed().position(), 80);
    assert_eq!(page.freeze(), 80);
    for to in [10, 90] {
        page.raise_committed(to);
        assert_eq!(words.load(word::COMMITTED), word::FROZEN | 80);
    }
    page.thaw(100);
    assert_eq!((page.committed().position(), page.committed().frozen()), (100, false));
}

#[test]
fn who_waits_sleeps_on_the_word_that_it_saw() {
    let (page, words) = page(BUMPED);
    page.wait_published(page.published(), TIME);
    page.wait_leases(page.leases(), TIME);
    page.wait_unlocked(page.unlocked(), TIME);
    let waits = [word::PUBLISHED, word::LEASES, word::UNLOCKED].map(|word| Event::Waited(word, 77, TIME));
    assert_eq!(words.events(), waits);
}

#[test]
fn a_publication_wakes_who_waits_for_leases_only_if_it_passed_a_change_of_one() {
    for (before, lease_end, committed, wakes) in
        [(10, 20, 30, true), (19, 20, 20, true), (20, 20, 30, false), (25, 20, 30, false), (10, 31, 30, false)]
    {
        let (page, words) = page(0);
        page.store_lease_end(lease_end);
        page.raise_committed(committed);
        page.publish(before);
        let mut woken = vec![Event::Woken(word::PUBLISHED)];
        woken.extend(wakes.then_some(Event::Woken(word::LEASES)));
        assert_eq!(words.events(), woken, "{before} {lease_end} {committed}");
        assert_eq!((page.published(), page.leases()), (1, u32::from(wakes)));
    }
}

#[test]
fn an_unlock_wakes_those_who_are_counted() {
    let (page, words) = page(0);
    page.announce_unlock();
    assert_eq!(words.events(), []);
    let waiters = [page.lock_waiter(), page.lock_waiter()];
    page.announce_unlock();
    assert_eq!((words.events(), page.unlocked()), (vec![Event::Woken(word::UNLOCKED)], 1));
    drop(waiters);
    page.announce_unlock();
    assert_eq!((words.events(), page.unlocked()), (vec![], 1));
}

#[test]
fn a_claim_to_sync_is_taken_once_and_given_back_by_its_owner() {
    let (page, _) = page(0);
    assert!(page.claim_sync(0, 5));
    assert!(!page.claim_sync(0, 6));
    page.release_sync(6);
    assert_eq!(page.syncing(), 5);
    assert!(page.claim_sync(5, 6), "who takes too long is passed over");
    page.release_sync(5);
    assert_eq!(page.syncing(), 6);
    page.release_sync(6);
    assert_eq!(page.syncing(), 0);
}

#[test]
fn the_duration_of_a_sync_is_a_mean_that_moves_by_an_eighth() {
    let (page, _) = page(0);
    for (took, mean) in [(8_000, 1_000), (16_000, 2_875), (0, 2_516)] {
        page.record_sync_time(took);
        assert_eq!(page.sync_time(), Duration::from_nanos(mean));
    }
}

#[test]
fn a_page_made_anew_holds_nothing_of_the_one_before() {
    let (page, words) = page(u64::MAX);
    page.initialise(&fresh());
    assert_eq!((page.appended(), page.committed().position(), page.synced()), (600, 600, 600));
    assert_eq!((page.tail_crc(600), page.generation(), page.made()), (Some(7), 5, 0));
    assert_eq!([word::PUBLISHED, word::SYNCING, word::LEASE_END, word::LOCK_WAITERS].map(|at| words.load(at)), [0; 4]);
    assert_eq!(words.load(word::LEN as usize / 8 - 1), 0);
}

#[test]
fn a_page_is_that_of_one_store_and_one_file() {
    let (page, words) = page(0);
    let Fresh { store, inode, .. } = fresh();
    page.initialise(&fresh());
    assert!(page.belongs_to(&store, inode));
    assert_eq!([0, 1].map(|n| words.load(word::STORE + n)), [0x0807_0605_0403_0201, 0x100f_0e0d_0c0b_0a09]);
    assert!(!page.belongs_to(&store, inode + 1), "a copy of the file");
    for byte in [0, 7, 8, 15] {
        let mut other = store;
        other[byte] ^= 0x80;
        assert!(!page.belongs_to(&other, inode), "another store, by byte {byte}");
    }
    words.store(word::MAGIC_WORD, 0);
    assert!(!page.belongs_to(&store, inode), "half made");
}

#[test]
fn a_page_that_cannot_be_written_is_an_error() {
    assert_eq!(page(0).0.make_writable().unwrap_err().os_errno, 5);
}
