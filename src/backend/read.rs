//! Reads: one consistent cut of the store each, without a lock, and never waiting for a writer (but for a read-only handle
//! that was alone, which opens the store anew once a writer has come).

use super::name::{Key, LOCKS};
use super::{Backend, ttl, write};
use crate::engine::{self, Snapshot};
use crate::error::{Code, Error, Result};

/// What became of [`Backend::get_into`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fit {
    /// The value is in the buffer, and this long.
    Copied(usize),
    /// Nothing was copied; the value is this long.
    TooSmall(usize),
}

/// A value with all that is known about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// The key; in a recursive listing its path relative to the bucket listed.
    pub name: String,
    /// The value.
    pub value: Vec<u8>,
    /// When it expires, in nanoseconds since the epoch; 0 is never.
    pub expires: i64,
    /// The revision of the change that made it what it is.
    pub revision: u64,
}

impl Backend {
    /// Whether an unexpired value is there.
    pub fn exists(&self, bucket: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<bool> {
        self.enter()?;
        let mut full = Key::unset();
        full.set(bucket.as_ref(), key.as_ref())?;
        self.read(&full, |_| Ok(true), |_| Ok(false))
    }

    /// The value.
    ///
    /// `NOT_FOUND` if no unexpired one is there; `BAD_PARAMETER` if the name is only a bucket.
    pub fn get(&self, bucket: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Vec<u8>> {
        self.enter()?;
        let mut full = Key::unset();
        full.set(bucket.as_ref(), key.as_ref())?;
        self.read(&full, |item| Ok(item.bytes()?.into_owned()), |view| Err(self.absent_value(view, &full)))
    }

    /// The value, into the start of `out` if it fits.
    ///
    /// `NOT_FOUND` if no unexpired one is there; `BAD_PARAMETER` if the name is only a bucket.
    pub fn get_into(&self, bucket: impl AsRef<[u8]>, key: impl AsRef<[u8]>, out: &mut [u8]) -> Result<Fit> {
        self.enter()?;
        let mut full = Key::unset();
        full.set(bucket.as_ref(), key.as_ref())?;
        let copy = |item: engine::Item<'_>| {
            let len = item.len();
            let Some(out) = out.get_mut(..len) else { return Ok(Fit::TooSmall(len)) };
            item.copy_to(out)?;
            Ok(Fit::Copied(len))
        };
        self.read(&full, copy, |view| Err(self.absent_value(view, &full)))
    }

    /// The value with its expiry and revision.
    ///
    /// `NOT_FOUND` if no unexpired one is there.
    pub fn get_item(&self, bucket: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Item> {
        self.enter()?;
        let name = key.as_ref();
        let key = Key::new(bucket.as_ref(), name)?;
        let all = |item: engine::Item<'_>| {
            Ok(Item {
                name: super::name::decode(name)?,
                value: item.bytes()?.into_owned(),
                expires: ttl::expires(item.tag),
                revision: item.revision,
            })
        };
        self.read(&key, all, |_| Err(write::absent(&key)))
    }

    /// What `f` makes of the unexpired value of `key`, or `absent` of a cut in which there is none. The system's clock is read only if
    /// the value can expire.
    #[inline]
    fn read<R>(
        &self,
        key: &[u8],
        f: impl FnOnce(engine::Item<'_>) -> Result<R>,
        absent: impl FnOnce(&Snapshot) -> Result<R>,
    ) -> Result<R> {
        let asked = self.clock.ask();
        let unexpired = |item: engine::Item<'_>| match self.clock.is_past(item.tag, asked) {
            true => Ok(None),
            false => f(item).map(Some),
        };
        self.engine.get(key, unexpired, absent)
    }

    /// Why there is no value: the name may be one of a bucket (that of the locks, which a key's name can meet, is none to callers).
    #[cold]
    fn absent_value(&self, view: &Snapshot, key: &Key) -> Error {
        let prefix = key.as_bucket();
        if *prefix == *LOCKS {
            return write::absent(key);
        }
        match write::holds_any(view, &prefix, || self.clock.now()) {
            Ok(true) => Error::new(Code::BadParameter, format!("{key} is a bucket and has no value")),
            Ok(false) => write::absent(key),
            Err(error) => error,
        }
    }
}
