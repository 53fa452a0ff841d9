//! What a lock's value holds. Never renumber: it is on disk.
//!
//! ```text
//!  0  u64 the fencing number; 0 at acquire, when it is the revision of the frame that holds this
//!  8  u64 how long the lease lasts from its last change on, in nanoseconds
//! 16  u32 the holder's process id
//! 20      the holder's host name, UTF-8, to the end
//! ```
//!
//! The tag beside the value is its expiry, as with every value.

use std::borrow::Cow;

use crate::engine::Item;
use crate::error::{Code, Error, Result};

use super::{name, ttl};

const HOST: usize = 20;

/// A lease as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// The revision of its last change.
    pub revision: u64,
    /// Its fencing number: the revision at acquire.
    pub fence: u64,
    /// When it expires, in nanoseconds since the epoch.
    pub expires: i64,
    /// How long it lasts from its last change on, in nanoseconds.
    pub length: u64,
    /// The process that acquired it.
    pub pid: u32,
    /// Where that process runs.
    pub host: String,
}

impl Stored {
    /// Reads a lease back.
    pub fn decode(item: &Item<'_>) -> Result<Stored> {
        let bytes: Cow<'_, [u8]> = item.bytes()?;
        let damaged = || {
            let token = name::readable(item.key.strip_prefix(name::LOCKS).unwrap_or(item.key));
            Error::new(Code::Corrupt, format!("the lease of lock {token:?} is malformed"))
        };
        let (head, host) = bytes.split_at_checked(HOST).ok_or_else(damaged)?;
        let (fence, rest) = head.split_first_chunk().ok_or_else(damaged)?;
        let (length, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
        let pid = rest.first_chunk().ok_or_else(damaged)?;
        let fence = match u64::from_le_bytes(*fence) {
            0 => item.revision,
            first => first,
        };
        Ok(Stored {
            revision: item.revision,
            fence,
            expires: ttl::expires(item.tag),
            length: u64::from_le_bytes(*length),
            pid: u32::from_le_bytes(*pid),
            host: str::from_utf8(host).map_err(|_| damaged())?.to_owned(),
        })
    }
}

/// The value of a lock: `fence` is 0 at acquire.
pub fn encode(fence: u64, length: u64, pid: u32, host: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HOST + host.len());
    bytes.extend_from_slice(&fence.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&pid.to_le_bytes());
    bytes.extend_from_slice(host.as_bytes());
    bytes
}
