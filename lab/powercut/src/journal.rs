//! What a worker did and heard, in order, each with the time by the disk's clock: one line of JSON an entry, written at once,
//! to a file that does not lie on the disk that is tried.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// A value, told by a number that no other value has, and its length.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Value {
    /// The number.
    pub tag: u64,
    /// How many bytes.
    pub len: usize,
}

impl Value {
    /// The shortest.
    pub const LEAST: usize = 8;

    /// Its bytes: the number, then bytes that follow from it.
    pub fn bytes(self) -> Vec<u8> {
        let mut bytes = self.tag.to_le_bytes().to_vec();
        let mut rng = Rng::with_seed(self.tag);
        bytes.resize_with(self.len, || rng.u8(..));
        bytes
    }

    /// Whose bytes these are: a value's, down to the last, or nobody's.
    pub fn of(bytes: &[u8]) -> Option<Value> {
        let tag = u64::from_le_bytes(*bytes.first_chunk()?);
        let value = Value { tag, len: bytes.len() };
        (value.bytes() == bytes).then_some(value)
    }
}

/// What a bucket holds, by path.
pub type Content = BTreeMap<String, Value>;

/// A number that stands for a content.
pub fn print(content: &Content) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

/// A change that a worker makes of its own bucket, which nobody else changes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// An upsert.
    Put(String, Value),
    /// An atomic batch, in the bucket `batch` of the worker's.
    Batch(Vec<(String, Value)>),
    /// A delete, of a key that may be absent.
    Delete(String),
    /// Everything is deleted.
    Clear,
}

impl Change {
    /// What it makes of the bucket.
    pub fn apply(&self, content: &mut Content) {
        match self {
            Change::Put(key, value) => drop(content.insert(key.clone(), *value)),
            Change::Batch(items) => content.extend(items.iter().map(|(key, value)| (format!("batch/{key}"), *value))),
            Change::Delete(key) => drop(content.remove(key)),
            Change::Clear => content.clear(),
        }
    }
}

/// One thing that happened. `revision` is what the library told.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Event {
    /// A change of its own bucket begins.
    Begin(Change),
    /// It was acknowledged. (A delete has no revision to tell.)
    Done {
        /// That of the change.
        revision: Option<u64>,
    },
    /// A change of a key that all workers change begins.
    Offer {
        /// The key.
        key: String,
        /// What it shall become.
        value: Value,
    },
    /// It was acknowledged.
    Taken {
        /// That of the change.
        revision: u64,
    },
    /// It was refused, because a version newer than this is there.
    Refused {
        /// The newest version that the worker knew; 0 is none.
        known: u64,
    },
    /// Such a key was read.
    Saw {
        /// That of its version.
        revision: u64,
    },
    /// A worker's bucket was listed.
    Listed {
        /// Whose.
        whose: u64,
        /// What it held.
        print: u64,
    },
    /// A lock is to be acquired, if it is free.
    Acquire {
        /// Its name.
        token: String,
    },
    /// It was.
    Acquired {
        /// The fencing number.
        fence: u64,
    },
    /// A lock is to be released.
    Release {
        /// The fencing number.
        fence: u64,
    },
    /// It was.
    Released {
        /// The fencing number.
        fence: u64,
    },
    /// All that this worker had heard before was made durable, as the library says.
    Synced,
}

/// When, and what.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// By the disk's clock: before what begins, after what was heard.
    pub at: u64,
    /// What happened.
    pub event: Event,
}

/// The journal that a worker writes.
pub struct Journal(File);

impl Journal {
    /// A new one, or more of it.
    pub fn open(path: &Path) -> io::Result<Journal> {
        Ok(Journal(OpenOptions::new().create(true).append(true).open(path)?))
    }

    /// Writes an entry.
    pub fn note(&mut self, at: u64, event: Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Entry { at, event })?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}

/// Reads a journal.
pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let lines = BufReader::new(File::open(path)?).lines();
    lines.map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_by_every_byte() {
        let value = Value { tag: 77, len: 600 };
        let mut bytes = value.bytes();
        assert_eq!(Value::of(&bytes), Some(value));
        bytes[599] ^= 1;
        assert_eq!(Value::of(&bytes), None);
        assert_eq!(Value::of(&bytes[..7]), None);
    }

    #[test]
    fn a_journal_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let events =
            [Event::Begin(Change::Put("k".to_owned(), Value { tag: 1, len: 9 })), Event::Done { revision: None }];
        let mut journal = Journal::open(&path).unwrap();
        events.iter().zip(3..).for_each(|(event, at)| journal.note(at, event.clone()).unwrap());
        let read = read(&path).unwrap();
        assert_eq!(read.iter().map(|entry| entry.at).collect::<Vec<_>>(), [3, 4]);
        assert!(read.iter().zip(&events).all(|(entry, event)| entry.event == *event));
    }
}
