//! What a thread asks next of the values: all calls, over so few keys that threads are in each other's way. Conditions name
//! what the thread saw last, so that some hold and some don't. Every other value ends during the run.

use std::collections::HashMap;

use fastrand::Rng;

use crate::history::{Answer, Ask, Entry};
use crate::log::TICK;

const KEYS: [&str; 5] = ["a/1", "a/2", "a/3", "b/1", "b/2"];
const BUCKETS: [&str; 2] = ["a", "b"];

/// Each thread has so many marks of its own, which is more than the ends that it sets.
const MARKS: u64 = 1_000;
const MOST_THREADS: u32 = 4;
/// The longest that a value lasts if it ends: a quarter of the run.
const LONGEST: u64 = 150_000_000;

/// The next question of one thread.
pub struct Values {
    /// What the values it writes are called: no two threads use the same.
    name: String,
    written: u32,
    /// The mark of the next end that it sets.
    mark: u64,
    read_only: bool,
    /// Value and revision of each key as this thread saw it last.
    seen: HashMap<String, Entry>,
    /// It has looked at a key and is about to change it.
    looked: Option<String>,
}

impl Values {
    /// What a thread of a process asks.
    pub fn new(process: u32, thread: u32, read_only: bool) -> Values {
        let mark = u64::from(process * MOST_THREADS + thread) * MARKS;
        assert!(thread < MOST_THREADS && mark + MARKS < TICK, "no marks are left for thread {thread} of {process}");
        let name = format!("{process}.{thread}");
        Values { name, written: 0, mark, read_only, seen: HashMap::new(), looked: None }
    }

    /// The next question.
    pub fn next(&mut self, rng: &mut Rng) -> Ask {
        if let Some(key) = self.looked.take() {
            return self.conditional(rng, key);
        }
        match rng.u32(..100) {
            at if at < 32 || self.read_only => self.read(rng),
            32..46 => {
                // To look first is what makes a condition likely to hold.
                let key = one_of(rng, &KEYS);
                self.looked = Some(key.clone());
                Ask::GetItem { key }
            }
            46..56 => {
                let key = one_of(rng, &KEYS);
                self.conditional(rng, key)
            }
            _ => self.plain(rng),
        }
    }

    fn read(&self, rng: &mut Rng) -> Ask {
        match rng.u32(..100) {
            0..35 => Ask::Get { key: one_of(rng, &KEYS) },
            35..65 => Ask::GetItem { key: one_of(rng, &KEYS) },
            65..77 => Ask::Exists { key: one_of(rng, &KEYS) },
            77..92 => Ask::Items { key: one_of(rng, &["", "a", "b"]) },
            _ => Ask::Keys { key: one_of(rng, &BUCKETS) },
        }
    }

    /// A change that needs no knowledge of what is there.
    fn plain(&mut self, rng: &mut Rng) -> Ask {
        match rng.u32(..54) {
            0..12 => Ask::Create { key: one_of(rng, &KEYS), value: self.value(), ttl: self.ttl(rng) },
            12..24 => Ask::Upsert { key: one_of(rng, &KEYS), value: self.value(), ttl: self.ttl(rng) },
            24..32 => Ask::Delete { key: one_of(rng, &KEYS) },
            32..44 => Ask::Touch { key: one_of(rng, &KEYS), ttl: self.end(rng) },
            44..51 => {
                let bucket = one_of(rng, &BUCKETS);
                let mut keys: Vec<_> = KEYS.iter().filter(|key| key.starts_with(&bucket)).collect();
                rng.shuffle(&mut keys);
                let count = rng.usize(1..=keys.len());
                let entry = |key: &&str| {
                    let (key, value, ttl) = ((*key).to_owned(), self.value(), self.ttl(rng));
                    Entry { key, value, ttl, ..Entry::default() }
                };
                Ask::UpsertItems { items: keys.into_iter().take(count).map(entry).collect() }
            }
            _ => Ask::DeleteBucket { key: one_of(rng, &BUCKETS) },
        }
    }

    /// A change under the condition that the key is as this thread saw it last.
    fn conditional(&mut self, rng: &mut Rng, key: String) -> Ask {
        let (value, ttl) = (self.value(), self.ttl(rng));
        let Some(Entry { value: previous, revision: expected, .. }) = self.seen.get(&key).cloned() else {
            return Ask::PutIfRevision { key, value, expected: 0, ttl };
        };
        match rng.u32(..5) {
            0..2 => Ask::CompareAndSwap { key, value, previous, ttl },
            2..4 => Ask::PutIfRevision { key, value, expected, ttl },
            _ => Ask::DeleteIfRevision { key, expected },
        }
    }

    /// Learns from an answer.
    pub fn hear(&mut self, ask: &Ask, answer: &Answer) {
        let ok = answer.outcome == "OK";
        let mut see = |key: &String, value: &String| {
            let (key, value, revision) = (key.clone(), value.clone(), answer.revision);
            let entry = Entry { key, value, revision, ..Entry::default() };
            self.seen.insert(entry.key.clone(), entry);
        };
        match ask {
            Ask::GetItem { key } if ok => see(key, &answer.value),
            Ask::Create { key, value, .. }
            | Ask::Upsert { key, value, .. }
            | Ask::CompareAndSwap { key, value, .. }
            | Ask::PutIfRevision { key, value, .. }
                if ok =>
            {
                see(key, value);
            }
            Ask::UpsertItems { items } if ok => items.iter().for_each(|item| see(&item.key, &item.value)),
            Ask::GetItem { key } | Ask::Delete { key } | Ask::DeleteIfRevision { key, .. } => {
                self.seen.remove(key);
            }
            Ask::Touch { key, .. } if ok => {
                if let Some(seen) = self.seen.get_mut(key) {
                    seen.revision = answer.revision;
                }
            }
            _ => (),
        }
    }

    /// How long the next value lasts: for ever, or not.
    fn ttl(&mut self, rng: &mut Rng) -> i64 {
        if rng.bool() { 0 } else { self.end(rng) }
    }

    /// A TTL that ends during the run, with a mark of its own.
    fn end(&mut self, rng: &mut Rng) -> i64 {
        self.mark += 1;
        (rng.u64(1..=LONGEST / TICK) * TICK + self.mark).cast_signed()
    }

    fn value(&mut self) -> String {
        self.written += 1;
        format!("{}.{}", self.name, self.written)
    }
}

fn one_of(rng: &mut Rng, names: &[&str]) -> String {
    names[rng.usize(..names.len())].to_owned()
}
