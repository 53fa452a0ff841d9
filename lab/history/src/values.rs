//! What a thread asks next of the values: all calls, over so few keys that threads are in each other's way. Conditions name
//! what the thread saw last, so that some hold and some don't.

use std::collections::HashMap;

use fastrand::Rng;

use crate::history::{Answer, Ask, Entry};

const KEYS: [&str; 5] = ["a/1", "a/2", "a/3", "b/1", "b/2"];
const BUCKETS: [&str; 2] = ["a", "b"];

/// The next question of one thread.
pub struct Values {
    /// What the values it writes are called: no two threads use the same.
    name: String,
    written: u32,
    read_only: bool,
    /// Value and revision of each key as this thread saw it last.
    seen: HashMap<String, Entry>,
    /// It has looked at a key and is about to change it.
    looked: Option<String>,
}

impl Values {
    /// What a thread asks whose values begin with `name`.
    pub fn new(name: String, read_only: bool) -> Values {
        Values { name, written: 0, read_only, seen: HashMap::new(), looked: None }
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
        match rng.u32(..44) {
            0..12 => Ask::Create { key: one_of(rng, &KEYS), value: self.value() },
            12..24 => Ask::Upsert { key: one_of(rng, &KEYS), value: self.value() },
            24..34 => Ask::Delete { key: one_of(rng, &KEYS) },
            34..41 => {
                let bucket = one_of(rng, &BUCKETS);
                let mut keys: Vec<_> = KEYS.iter().filter(|key| key.starts_with(&bucket)).collect();
                rng.shuffle(&mut keys);
                let count = rng.usize(1..=keys.len());
                let entry = |key: &&str| Entry { key: (*key).to_owned(), value: self.value(), revision: 0 };
                Ask::UpsertItems { items: keys.into_iter().take(count).map(entry).collect() }
            }
            _ => Ask::DeleteBucket { key: one_of(rng, &BUCKETS) },
        }
    }

    /// A change under the condition that the key is as this thread saw it last.
    fn conditional(&mut self, rng: &mut Rng, key: String) -> Ask {
        let value = self.value();
        let Some(Entry { value: previous, revision: expected, .. }) = self.seen.get(&key).cloned() else {
            return Ask::PutIfRevision { key, value, expected: 0 };
        };
        match rng.u32(..5) {
            0..2 => Ask::CompareAndSwap { key, value, previous },
            2..4 => Ask::PutIfRevision { key, value, expected },
            _ => Ask::DeleteIfRevision { key, expected },
        }
    }

    /// Learns from an answer.
    pub fn hear(&mut self, ask: &Ask, answer: &Answer) {
        let ok = answer.outcome == "OK";
        let mut see = |key: &String, value: &String| {
            let entry = Entry { key: key.clone(), value: value.clone(), revision: answer.revision };
            self.seen.insert(key.clone(), entry);
        };
        match ask {
            Ask::GetItem { key } if ok => see(key, &answer.value),
            Ask::Create { key, value }
            | Ask::Upsert { key, value }
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
            _ => (),
        }
    }

    fn value(&mut self) -> String {
        self.written += 1;
        format!("{}.{}", self.name, self.written)
    }
}

fn one_of(rng: &mut Rng, names: &[&str]) -> String {
    names[rng.usize(..names.len())].to_owned()
}
