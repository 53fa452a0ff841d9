//! The format of a history, the same for whoever records one: a file of lines, one JSON object each, one operation each, in
//! any order. The judge (`judge/history.go`) reads it.
//!
//! ```text
//! {"process":3,"thread":0,"op":"put_if_revision","args":{"key":"a/1","value":"3.0.7","expected":8589934720},
//!  "call":81234567,"return":81299123,"outcome":"OK","revision":8589934901}
//! ```
//!
//! | field | what |
//! |---|---|
//! | `process`, `thread` | who asked; a thread has one operation at a time, and a process that was started again another number |
//! | `op`, `args` | what was asked, as in [`Ask`] |
//! | `call` | nanoseconds, by one clock for all, before the call began |
//! | `return` | after it returned, or after its process was dead |
//! | `outcome` | `OK`; the name of the error's code (`NOT_FOUND`, ...); `HELD`: another holds the lease; `KILLED`: nobody was answered |
//! | `revision` | what the call returned as revision or fence, or the revision of the item read |
//! | `value` | the value read |
//! | `expires` | when the item read ends, by the clock of the history; 0 is never |
//! | `message` | the error's words, where they may help |
//! | `listing` | the items listed, in their order: `key`, and where they were told `value`, `revision` and `expires` |
//!
//! A key is a path, its last component the key and the rest the bucket. A value is a short text that no other operation of the
//! history writes (what is in the store may be longer, as long as whoever records takes the one for the other). `exists` is
//! answered by `OK` or `NOT_FOUND`. Of leases, `key` is the token and `revision` the fence.
//!
//! Values and leases expire by the history's clock, which the store is told in steps ([`crate::log::store_clock`]). What a value's
//! `ttl` has beyond whole steps is a mark that no other of the history has, and so has the end that it sets: it tells whose doing
//! an end is. A `touch` always sets one.
//!
//! `KILLED`, `UNCERTAIN`: it may have happened, at any time after its call, or never. Any other error says that nothing
//! happened.

use serde::{Deserialize, Serialize};

use crate::Result;

/// What is asked of the store.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "op", content = "args", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are the arguments of the calls of these names")]
pub enum Ask {
    /// Answers with the value.
    Get {
        key: String,
    },
    /// Answers with value and revision.
    GetItem {
        key: String,
    },
    Exists {
        key: String,
    },
    /// A `ttl` is in nanoseconds, 0 for ever.
    Create {
        key: String,
        value: String,
        #[serde(default, skip_serializing_if = "is_zero")]
        ttl: i64,
    },
    Upsert {
        key: String,
        value: String,
        #[serde(default, skip_serializing_if = "is_zero")]
        ttl: i64,
    },
    CompareAndSwap {
        key: String,
        value: String,
        previous: String,
        #[serde(default, skip_serializing_if = "is_zero")]
        ttl: i64,
    },
    PutIfRevision {
        key: String,
        value: String,
        expected: u64,
        #[serde(default, skip_serializing_if = "is_zero")]
        ttl: i64,
    },
    /// Gives the value that is there another end.
    Touch {
        key: String,
        ttl: i64,
    },
    Delete {
        key: String,
    },
    DeleteIfRevision {
        key: String,
        expected: u64,
    },
    /// One atomic batch; all its keys lie in one bucket.
    UpsertItems {
        items: Vec<Entry>,
    },
    DeleteBucket {
        key: String,
    },
    /// Everything under a bucket, `""` for the whole store, with values and revisions, as one cut.
    Items {
        key: String,
    },
    /// The names of the keys of a bucket, as one cut.
    Keys {
        key: String,
    },
    /// Takes a lease for `ttl` nanoseconds, and waits for it for `wait`.
    AcquireLock {
        key: String,
        ttl: i64,
        wait: i64,
    },
    /// Frees a lease; a fence of 0 frees it whoever holds it.
    ReleaseLock {
        key: String,
        fence: u64,
    },
    RenewLock {
        key: String,
        fence: u64,
        ttl: i64,
    },
    /// The leases that are held, with their fences.
    Locks {},
}

impl Ask {
    /// The name of what is asked, as in the history.
    pub fn name(&self) -> Result<String> {
        let line = serde_json::to_value(self)?;
        Ok(line["op"].as_str().ok_or("a question without a name")?.to_owned())
    }

    /// Takes the end off every value that it writes, and off a touch.
    pub fn last_for_ever(&mut self) {
        match self {
            Ask::Create { ttl, .. }
            | Ask::Upsert { ttl, .. }
            | Ask::CompareAndSwap { ttl, .. }
            | Ask::PutIfRevision { ttl, .. }
            | Ask::Touch { ttl, .. } => *ttl = 0,
            Ask::UpsertItems { items } => items.iter_mut().for_each(|item| item.ttl = 0),
            _ => (),
        }
    }
}

/// An item that is written or listed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Entry {
    /// Its path from the root.
    pub key: String,
    /// Its value, where it was told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// Its revision, where it was told; of a lease the fence.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: u64,
    /// Of a value that is written, how long it lasts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ttl: i64,
    /// Of an item that was told with it, its end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub expires: i64,
}

/// What the store answered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// `OK`, or the name of an error's code.
    pub outcome: String,
    /// The revision or fence that came with it, or 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: u64,
    /// When the item read ends.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub expires: i64,
    /// The value read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// The error's words, where they may help.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What was listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listing: Vec<Entry>,
}

impl Answer {
    /// Nobody was told whether it happened.
    pub fn is_unknown(&self) -> bool {
        matches!(&*self.outcome, KILLED | "UNCERTAIN")
    }
}

/// The outcome of an operation whose process was killed before it heard.
pub const KILLED: &str = "KILLED";

/// One line of a history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Operation {
    /// The process that asked.
    pub process: u32,
    /// Its thread.
    pub thread: u32,
    /// What was asked.
    #[serde(flatten)]
    pub ask: Ask,
    /// When, in nanoseconds of the common clock.
    pub call: u64,
    /// When the answer was there, or the process dead.
    #[serde(rename = "return")]
    pub returned: u64,
    /// The answer.
    #[serde(flatten)]
    pub answer: Answer,
}

fn is_zero<T: Default + PartialEq>(n: &T) -> bool {
    *n == T::default()
}
