//! Changes. What a call puts is encoded before it takes its turn; what it decides under the store's lock ([`Request`])
//! looks at a key or two and allocates only to refuse. The clock is read before each attempt, never under the lock.

use super::name::{Key, Label, quoted};
use super::{Backend, limits, ttl};
use crate::engine::{Decision, Item, Request, Snapshot};
use crate::error::{Code, Error, Result};
use crate::format::frame::{Body, MAX_LEN, PUT_LEN};

/// One item of a batch.
#[derive(Clone, Copy, Debug)]
pub struct NewItem<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value, at most 64 MiB.
    pub value: &'a [u8],
    /// Its time to live in nanoseconds; 0 is for ever.
    pub ttl: i64,
}

impl Backend {
    /// Puts the value if no unexpired one is there, and returns its revision. `ttl` is in nanoseconds, 0 for ever.
    ///
    /// `ALREADY_EXISTS` if one is there; `LIMIT_EXCEEDED` if the value is larger than 64 MiB.
    pub fn create(&self, bucket: impl AsRef<[u8]>, key: impl AsRef<[u8]>, value: &[u8], ttl: i64) -> Result<u64> {
        self.put(bucket.as_ref(), key.as_ref(), value, ttl, Condition::Absent)
    }

    /// Puts the value, whatever is there, and returns its revision. The new time to live replaces the old.
    pub fn upsert(&self, bucket: impl AsRef<[u8]>, key: impl AsRef<[u8]>, value: &[u8], ttl: i64) -> Result<u64> {
        self.put(bucket.as_ref(), key.as_ref(), value, ttl, Condition::None)
    }

    /// Puts all items as one atomic batch, and returns the revision that they share. Of two items of one key the later wins.
    ///
    /// 1 to 1,000,000 items, together at most 256 MiB as they are written (18 bytes an item, its value, and its key
    /// without what that shares with the one before), and 256 MiB of keys, each with its bucket's path; beyond it is
    /// `LIMIT_EXCEEDED`. After an error, which names the item by its
    /// index, nothing is written.
    pub fn upsert_items(&self, bucket: impl AsRef<[u8]>, items: &[NewItem<'_>]) -> Result<u64> {
        self.enter_to_write()?;
        limits::batch_items(items.len())?;
        let values = items.iter().fold(0, |sum: usize, item| sum.saturating_add(item.value.len()));
        limits::batch_bytes(values)?;
        let prefix = Key::bucket(bucket.as_ref())?;
        let names = items.iter().fold(0, |sum: usize, item| sum.saturating_add(item.key.len()));
        limits::batch_keys(names.saturating_add(prefix.len().saturating_mul(items.len())))?;
        let now = self.clock.now();
        let room = (prefix.len() + names + values + PUT_LEN * items.len()).min(MAX_LEN);
        let (mut body, mut key) = (Body::with_room(room), prefix.clone());
        for (index, item) in items.iter().enumerate() {
            key.set_child(prefix.len(), &Label::item(index), item.key)?;
            limits::value(&format_args!("the value of item {index}"), item.value)?;
            let tag = ttl::tag(now, item.ttl).map_err(|e| Error { message: format!("item {index}: {e}"), ..e })?;
            body.put(&key, tag, item.value);
            limits::batch_bytes(body.frame_len())?;
        }
        self.commit(Put { key: prefix, now, condition: Condition::None, body: Some(body) })
    }

    /// Puts the value if the unexpired one that is there equals `previous` byte for byte, and returns its revision.
    ///
    /// `COMPARE_FAILED` otherwise: a value that is absent or expired equals nothing, not even an empty `previous`.
    pub fn compare_and_swap(
        &self,
        bucket: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
        value: &[u8],
        previous: &[u8],
        ttl: i64,
    ) -> Result<u64> {
        self.put(bucket.as_ref(), key.as_ref(), value, ttl, Condition::Equals(previous.into()))
    }

    /// Puts the value if the unexpired one that is there has this revision, and returns its own; 0 means that none is there.
    ///
    /// `COMPARE_FAILED` otherwise.
    pub fn put_if_revision(
        &self,
        bucket: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
        value: &[u8],
        revision: u64,
        ttl: i64,
    ) -> Result<u64> {
        self.put(bucket.as_ref(), key.as_ref(), value, ttl, Condition::Revision(revision))
    }

    /// Deletes the unexpired value if it has this revision.
    ///
    /// `NOT_FOUND` if none is there, `COMPARE_FAILED` if it has another.
    pub fn delete_if_revision(&self, bucket: impl AsRef<[u8]>, key: impl AsRef<[u8]>, revision: u64) -> Result<()> {
        self.delete_with(bucket.as_ref(), key.as_ref(), Some(revision))
    }

    /// Gives the value that is there a new time to live, counted from now, and returns its new revision.
    ///
    /// `NOT_FOUND` if no unexpired value is there.
    pub fn touch(&self, bucket: impl AsRef<[u8]>, key: impl AsRef<[u8]>, ttl: i64) -> Result<u64> {
        self.enter_to_write()?;
        let key = Key::new(bucket.as_ref(), key.as_ref())?;
        let now = self.clock.now();
        self.commit(Touch { key, now, tag: ttl::tag(now, ttl)? })
    }

    /// Deletes a key.
    ///
    /// `NOT_FOUND` if no unexpired value is there.
    pub fn delete(&self, bucket: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<()> {
        self.delete_with(bucket.as_ref(), key.as_ref(), None)
    }

    /// Deletes everything under the bucket `bucket` of the bucket `parent` (a path; `""` is the root), atomically. A key
    /// of the same name stays.
    ///
    /// `NOT_FOUND` if no unexpired item is under it.
    pub fn delete_bucket(&self, parent: impl AsRef<[u8]>, bucket: impl AsRef<[u8]>) -> Result<()> {
        self.enter_to_write()?;
        let prefix = Key::sub_bucket(parent.as_ref(), bucket.as_ref())?;
        let Some(end) = prefix.end() else {
            return Err(Error::new(Code::Internal, "the prefix of a sub-bucket is empty"));
        };
        self.commit(DeleteBucket { prefix, end, now: self.clock.now() }).map(drop)
    }

    fn put(&self, bucket: &[u8], key: &[u8], value: &[u8], ttl: i64, condition: Condition) -> Result<u64> {
        self.enter_to_write()?;
        let key = Key::new(bucket, key)?;
        limits::value(&"the value", value)?;
        let now = self.clock.now();
        let mut body = Body::with_room(PUT_LEN + key.len() + value.len());
        body.put(&key, ttl::tag(now, ttl)?, value);
        self.commit(Put { key, now, condition, body: Some(body) })
    }

    fn delete_with(&self, bucket: &[u8], key: &[u8], revision: Option<u64>) -> Result<()> {
        self.enter_to_write()?;
        let key = Key::new(bucket, key)?;
        let mut body = Body::new();
        body.delete(&key);
        self.commit(Delete { key, now: self.clock.now(), revision, body: Some(body) }).map(drop)
    }

    /// Hands a request to the engine and waits for its answer: the revision.
    pub(super) fn commit(&self, request: impl Request + 'static) -> Result<u64> {
        self.engine.commit(Box::new(request)).map(|committed| committed.revision)
    }
}

/// What must be true of the value that is there.
enum Condition {
    /// Nothing.
    None,
    /// There is no unexpired one.
    Absent,
    /// It is unexpired and equals these bytes.
    Equals(Box<[u8]>),
    /// It is unexpired and has this revision; 0: there is no unexpired one.
    Revision(u64),
}

struct Put {
    key: Key,
    now: i64,
    condition: Condition,
    body: Option<Body>,
}

impl Request for Put {
    fn decide(&mut self, view: &Snapshot) -> Result<Decision> {
        let Put { key, now, condition, .. } = self;
        let refusal = match condition {
            Condition::None => None,
            Condition::Absent => live(view, key, *now, |item| Ok(item.revision))?
                .map(|revision| refused(Code::AlreadyExists, key, &format!("is there already (revision {revision})"))),
            Condition::Equals(previous) => match live(view, key, *now, |item| equals(&item, previous))? {
                Some(true) => None,
                Some(false) => Some(refused(Code::CompareFailed, key, "has another value than the one given")),
                None => Some(refused(Code::CompareFailed, key, "is not there, so that it has no value to compare")),
            },
            Condition::Revision(wanted) => {
                let revision = live(view, key, *now, |item| Ok(item.revision))?.unwrap_or(0);
                (revision != *wanted).then(|| refused_revision(key, revision, *wanted))
            }
        };
        refusal.map_or_else(|| append(&mut self.body), |error| Ok(Decision::Refuse(error)))
    }
}

struct Delete {
    key: Key,
    now: i64,
    revision: Option<u64>,
    body: Option<Body>,
}

impl Request for Delete {
    fn decide(&mut self, view: &Snapshot) -> Result<Decision> {
        let Some(revision) = live(view, &self.key, self.now, |item| Ok(item.revision))? else {
            return Ok(Decision::Refuse(absent(&self.key)));
        };
        match self.revision {
            Some(wanted) if wanted != revision => Ok(Decision::Refuse(refused_revision(&self.key, revision, wanted))),
            _ => append(&mut self.body),
        }
    }
}

struct Touch {
    key: Key,
    now: i64,
    tag: u64,
}

impl Request for Touch {
    fn decide(&mut self, view: &Snapshot) -> Result<Decision> {
        let Touch { key, now, tag } = self;
        let body = live(view, key, *now, |item| {
            let mut body = Body::new();
            body.put(key, *tag, &item.bytes()?);
            Ok(body)
        })?;
        Ok(body.map_or_else(|| Decision::Refuse(absent(key)), Decision::Append))
    }
}

struct DeleteBucket {
    prefix: Key,
    end: Key,
    now: i64,
}

impl Request for DeleteBucket {
    fn decide(&mut self, view: &Snapshot) -> Result<Decision> {
        if !holds_any(view, &self.prefix, || self.now)? {
            let path = quoted(&self.prefix[..self.prefix.len() - 1]);
            return Ok(Decision::Refuse(Error::new(Code::NotFound, format!("bucket {path} is not there"))));
        }
        let mut body = Body::new();
        body.delete_range(&self.prefix, &self.end);
        Ok(Decision::Append(body))
    }
}

/// What `f` makes of the unexpired value of `key`.
pub(super) fn live<R>(
    view: &Snapshot,
    key: &[u8],
    now: i64,
    f: impl FnOnce(Item<'_>) -> Result<R>,
) -> Result<Option<R>> {
    view.get(key, |item| if ttl::is_expired(item.tag, now) { Ok(None) } else { f(item).map(Some) })
}

/// Whether an unexpired item lies in the bucket whose prefix this is. The clock is asked only if there may be one.
pub(super) fn holds_any(view: &Snapshot, prefix: &Key, now: impl FnOnce() -> i64) -> Result<bool> {
    if !view.may_hold_bucket(prefix)? {
        return Ok(false);
    }
    let now = now();
    let mut cursor = view.scan(prefix, prefix.end().as_deref())?;
    while let Some(item) = cursor.next()? {
        if !ttl::is_expired(item.tag, now) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The error that says that `key` is absent or expired.
#[cold]
pub(super) fn absent(key: &Key) -> Error {
    refused(Code::NotFound, key, "is not there")
}

/// Appends what was encoded before the request took its turn.
pub(super) fn append(body: &mut Option<Body>) -> Result<Decision> {
    let body =
        body.take().ok_or_else(|| Error::new(Code::Internal, "a change was decided again after it was appended"))?;
    Ok(Decision::Append(body))
}

fn equals(item: &Item<'_>, previous: &[u8]) -> Result<bool> {
    Ok(item.len() == previous.len() && *item.bytes()? == *previous)
}

#[cold]
fn refused(code: Code, key: &Key, why: &str) -> Error {
    let mut message = key.described();
    message.push(' ');
    message.push_str(why);
    Error::new(code, message)
}

#[cold]
fn refused_revision(key: &Key, revision: u64, wanted: u64) -> Error {
    let why = match (revision, wanted) {
        (_, 0) => format!("is there (revision {revision})"),
        (0, _) => format!("is not there, so that it doesn't have revision {wanted}"),
        _ => format!("has revision {revision}, not {wanted}"),
    };
    refused(Code::CompareFailed, key, &why)
}
