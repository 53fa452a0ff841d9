//! How much is too much. Past a limit the answer is `LIMIT_EXCEEDED`, and nothing is written or listed.

use std::fmt::Display;

use crate::error::{Code, Error, Result};
use crate::format::frame;

/// The largest value, in bytes.
pub const MAX_VALUE: usize = 64 << 20;
/// The most items in one batch.
pub const MAX_BATCH_ITEMS: usize = 1_000_000;
/// The largest batch, in bytes as it is written: keys without what they share with the one before, values, and 18 bytes an item.
pub const MAX_BATCH: usize = frame::MAX_LEN;
/// The most bytes that the keys of a batch may have, each with its bucket's path: memory holds them in full.
pub const MAX_BATCH_KEYS: usize = frame::MAX_KEYS;
/// The largest listing, in bytes.
pub const MAX_LISTING: usize = 1 << 30;
/// What an item of a listing counts beside its name and its value.
pub const LISTING_ITEM: usize = 64;

const MIB: usize = 1 << 20;

/// Refuses a value that is too large; `what` names it.
pub fn value(what: &dyn Display, value: &[u8]) -> Result<()> {
    if value.len() <= MAX_VALUE {
        return Ok(());
    }
    Err(exceeded(format!("{what} has {} bytes, more than the limit of {} MiB", value.len(), MAX_VALUE / MIB)))
}

/// Refuses a batch of this many items.
pub fn batch_items(count: usize) -> Result<()> {
    match count {
        0 => Err(Error::new(Code::BadParameter, "the batch has no item, it takes at least 1")),
        1..=MAX_BATCH_ITEMS => Ok(()),
        _ => Err(exceeded(format!("the batch has {count} items, more than the limit of {MAX_BATCH_ITEMS}"))),
    }
}

/// Refuses a batch whose frame is or becomes this long.
pub fn batch_bytes(len: usize) -> Result<()> {
    if len <= MAX_BATCH {
        return Ok(());
    }
    Err(exceeded(format!("the batch takes more than the limit of {} MiB", MAX_BATCH / MIB)))
}

/// Refuses a batch whose keys, each with its bucket's path, have this many bytes.
pub fn batch_keys(len: usize) -> Result<()> {
    if len <= MAX_BATCH_KEYS {
        return Ok(());
    }
    let limit = MAX_BATCH_KEYS / MIB;
    Err(exceeded(format!(
        "the keys of the batch, each with its bucket's path, take more than the limit of {limit} MiB"
    )))
}

/// Adds up a listing.
#[derive(Default)]
pub struct Listing {
    bytes: usize,
}

impl Listing {
    /// Counts one more item; refuses it if the listing becomes too large.
    pub fn add(&mut self, name: usize, value: usize) -> Result<()> {
        self.bytes = self.bytes.saturating_add(name).saturating_add(value).saturating_add(LISTING_ITEM);
        if self.bytes <= MAX_LISTING {
            return Ok(());
        }
        let limit = MAX_LISTING / MIB;
        Err(exceeded(format!(
            "the listing takes more than the limit of {limit} MiB: ask for it in parts (after, limit)"
        )))
    }
}

fn exceeded(message: String) -> Error {
    Error::new(Code::LimitExceeded, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<()>) -> Option<Code> {
        result.err().map(|e| e.code)
    }

    #[test]
    fn the_limit_itself_is_allowed_and_one_more_is_not() {
        assert_eq!(code(batch_bytes(256 << 20)), None);
        assert_eq!(code(batch_bytes((256 << 20) + 1)), Some(Code::LimitExceeded));
        assert_eq!(code(batch_keys(256 << 20)), None);
        assert_eq!(code(batch_keys((256 << 20) + 1)), Some(Code::LimitExceeded));
        assert_eq!(code(batch_items(1)), None);
        assert_eq!(code(batch_items(1_000_000)), None);
        assert_eq!(code(batch_items(1_000_001)), Some(Code::LimitExceeded));
        assert_eq!(code(batch_items(0)), Some(Code::BadParameter));
        let large = vec![0; (64 << 20) + 1];
        assert_eq!(code(value(&"the value", &large[1..])), None);
        let refused = value(&"the value", &large).unwrap_err();
        assert_eq!(refused.code, Code::LimitExceeded);
        assert_eq!(refused.message, "the value has 67108865 bytes, more than the limit of 64 MiB");
        let names = batch_keys((256 << 20) + 1).unwrap_err().message;
        assert!(names.ends_with("take more than the limit of 256 MiB"), "{names}");
    }

    #[test]
    fn a_listing_is_counted_as_a_whole() {
        let mut listing = Listing::default();
        listing.add(36, MAX_LISTING - 200).unwrap();
        listing.add(36, 0).unwrap();
        let refused = listing.add(0, 0).unwrap_err();
        assert_eq!(refused.code, Code::LimitExceeded);
        assert!(refused.message.contains("more than the limit of 1024 MiB"), "{}", refused.message);
        assert_eq!(code(Listing::default().add(usize::MAX, usize::MAX)), Some(Code::LimitExceeded));
    }
}
