//! Lease locks. A lock is a key in the reserved bucket `.locks`; who creates it while no unexpired one is there holds it.
//! Its fencing number is the revision of that change, greater than any earlier holder's. Waiters stand in no queue: they
//! sleep on the leases' futex word and try again when any lease changed, or when the holder's time is over.

use std::time::Duration;

use super::lease::{self, Stored};
use super::name::{self, Key, LOCKS, LOCKS_END};
use super::{Backend, log, ttl, write};
use crate::engine::{Decision, Request, Snapshot};
use crate::error::{Code, Error, Result};
use crate::files::host;
use crate::format::frame::Body;

/// The longest sleep of a waiter: a wake may be lost with the process that owed it, and a replaced clock does not move the kernel's.
const MAX_SLEEP: Duration = Duration::from_millis(50);

/// How a refused [`Acquire`] is told from a `TIMEOUT` of the engine's own.
const TAKEN: Code = Code::AlreadyExists;

/// A lock that is held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Its name.
    pub token: String,
    /// The holder's fencing number.
    pub fence: u64,
    /// When it expires, in nanoseconds since the epoch.
    pub expires: i64,
    /// The process that acquired it.
    pub pid: u32,
    /// The host on which that process runs.
    pub host: String,
}

impl Backend {
    /// Takes the lock for `ttl` nanoseconds (more than 0, at most the parameter `max_lock_ttl`), and returns its fencing
    /// number, greater than that of any earlier holder. `wait` is how many nanoseconds to wait for another holder: 0 tries
    /// once, less than 0 waits for ever.
    ///
    /// `TIMEOUT`, naming the holder, if another holds it until then; `CLOSED` if the handle is closed meanwhile.
    pub fn acquire_lock(&self, token: impl AsRef<[u8]>, ttl: i64, wait: i64) -> Result<u64> {
        self.enter_to_write()?;
        let key = Key::lock(token.as_ref())?;
        let length = self.lease_length(ttl)?;
        let deadline = u64::try_from(wait).ok().map(|wait| self.clock.boottime().saturating_add(wait));
        loop {
            // Before the look, so that a release after it is not slept through; before `closed`, so that a close isn't.
            let epoch = self.engine.lease_epoch();
            self.enter()?;
            let now = self.clock.now();
            let view = self.engine.snapshot()?;
            let held = write::live(&view, &key, now, |item| Stored::decode(&item))?;
            drop(view);
            let outlasted = held.as_ref().and_then(|lease| self.outlasted(&key, lease));
            if held.is_none() || outlasted.is_some() || self.is_given_back(&key, now) {
                match self.try_acquire(&key, ttl, length, outlasted) {
                    // Somebody was quicker. Who has time looks again.
                    Err(e) if e.code == TAKEN && !self.is_over(deadline) => continue,
                    Err(e) if e.code == TAKEN => return Err(Error { code: Code::Timeout, ..e }),
                    result => return result,
                }
            }
            let Some(held) = held else { continue };
            if self.is_over(deadline) {
                return Err(held_by(Code::Timeout, &key, &held, now));
            }
            self.engine.wait_leases(epoch, self.sleep(&held, now, deadline));
        }
    }

    /// Frees the lock before its time. A `fence` of 0 frees it whoever holds it, another only if it is the holder's.
    ///
    /// `NOT_FOUND` if nobody holds it, `COMPARE_FAILED` if another does.
    pub fn release_lock(&self, token: impl AsRef<[u8]>, fence: u64) -> Result<()> {
        self.enter_to_write()?;
        let key = Key::lock(token.as_ref())?;
        self.commit(Release { key, now: self.clock.now(), fence }).map(drop)
    }

    /// Extends the lease that has this fencing number: it expires `ttl` nanoseconds from now, even if that is sooner.
    ///
    /// `LOCK_LOST` if it expired, or another holds the lock, or nobody does.
    pub fn renew_lock(&self, token: impl AsRef<[u8]>, fence: u64, ttl: i64) -> Result<()> {
        self.enter_to_write()?;
        let key = Key::lock(token.as_ref())?;
        if fence == 0 {
            return Err(Error::new(Code::BadParameter, "fence is 0, which is no holder's"));
        }
        let length = self.lease_length(ttl)?;
        let now = self.clock.now();
        self.commit(Renew { key, now, fence, length, tag: ttl::tag(now, ttl)? }).map(drop)
    }

    /// Every lock that is held, sorted by token.
    pub fn locks(&self) -> Result<Vec<Lease>> {
        self.enter()?;
        let view = self.engine.snapshot()?;
        let now = self.clock.now();
        let mut cursor = view.scan(LOCKS, Some(LOCKS_END))?;
        let mut leases = Vec::new();
        while let Some(item) = cursor.next()? {
            if ttl::is_expired(item.tag, now) {
                continue;
            }
            let Stored { fence, expires, pid, host, .. } = Stored::decode(&item)?;
            leases.push(Lease { token: name::decode(&item.key[LOCKS.len()..])?, fence, expires, pid, host });
        }
        Ok(leases)
    }

    fn try_acquire(&self, key: &Key, ttl: i64, length: u64, outlasted: Option<u64>) -> Result<u64> {
        let now = self.clock.now();
        let mut body = Body::new();
        body.put(key, ttl::tag(now, ttl)?, &lease::encode(0, length, host::process_id(), &host::name()));
        body.changes_lease();
        let fence = self.commit(Acquire { key: key.clone(), now, outlasted, body: Some(body) })?;
        self.watches.forget(key);
        if outlasted.is_some() {
            let why = "its lease stood unchanged for its whole length, though by the clock it has time left";
            self.log.push(log::Level::Warn, format!("{} was taken over: {why}", show(key)));
        }
        Ok(fence)
    }

    /// Whether the holder's release is appended though not yet committed. Who appends behind it shares its sync, and is answered
    /// only when both are committed.
    fn is_given_back(&self, key: &Key, now: i64) -> bool {
        let held = self.engine.foresight().and_then(|view| write::live(&view, key, now, |_| Ok(())));
        // What can't be read now is waited for.
        held.is_ok_and(|held| held.is_none())
    }

    fn lease_length(&self, ttl: i64) -> Result<u64> {
        let max = self.max_lock_ttl.as_nanos();
        match u64::try_from(ttl) {
            Ok(length) if length > 0 && u128::from(length) <= max => Ok(length),
            _ => Err(Error::new(
                Code::BadParameter,
                format!("the TTL of a lock is {ttl} ns: it is more than 0 and at most {max} ns (max_lock_ttl)"),
            )),
        }
    }

    /// The lease's revision, if this handle has seen it unchanged for its whole length by the clock that never steps.
    /// After the system's clock was set back a lease would else last for long. (A replaced clock is the caller's to mend.)
    fn outlasted(&self, key: &Key, lease: &Stored) -> Option<u64> {
        if self.clock.is_replaced() {
            return None;
        }
        self.watches.outlasted(key, lease, self.clock.boottime()).then_some(lease.revision)
    }

    fn is_over(&self, deadline: Option<u64>) -> bool {
        deadline.is_some_and(|deadline| self.clock.boottime() >= deadline)
    }

    fn sleep(&self, held: &Stored, now: i64, deadline: Option<u64>) -> Duration {
        let remaining = u64::try_from(held.expires.saturating_sub(now)).unwrap_or(0);
        let own = deadline.map_or(u64::MAX, |deadline| deadline.saturating_sub(self.clock.boottime()));
        Duration::from_nanos(remaining.min(own)).min(MAX_SLEEP)
    }
}

struct Acquire {
    key: Key,
    now: i64,
    /// The revision of a lease that may be taken although it hasn't expired.
    outlasted: Option<u64>,
    body: Option<Body>,
}

impl Request for Acquire {
    fn decide(&mut self, view: &Snapshot) -> Result<Decision> {
        match write::live(view, &self.key, self.now, |item| Stored::decode(&item))? {
            Some(held) if self.outlasted != Some(held.revision) => {
                Ok(Decision::Refuse(held_by(TAKEN, &self.key, &held, self.now)))
            }
            _ => write::append(&mut self.body),
        }
    }
}

struct Release {
    key: Key,
    now: i64,
    fence: u64,
}

impl Request for Release {
    fn decide(&mut self, view: &Snapshot) -> Result<Decision> {
        let Release { key, now, fence } = self;
        let Some(held) = write::live(view, key, *now, |item| Stored::decode(&item))? else {
            return Ok(Decision::Refuse(Error::new(Code::NotFound, format!("{} is not held", show(key)))));
        };
        if *fence != 0 && *fence != held.fence {
            return Ok(Decision::Refuse(other(Code::CompareFailed, key, &held, *fence)));
        }
        let mut body = Body::new();
        body.delete(key);
        body.frees_lease();
        Ok(Decision::Append(body))
    }
}

struct Renew {
    key: Key,
    now: i64,
    fence: u64,
    length: u64,
    tag: u64,
}

impl Request for Renew {
    fn decide(&mut self, view: &Snapshot) -> Result<Decision> {
        let Renew { key, now, fence, length, tag } = self;
        let Some(held) = write::live(view, key, *now, |item| Stored::decode(&item))? else {
            let text = format!("{} is not held any more with fence {fence}", show(key));
            return Ok(Decision::Refuse(Error::new(Code::LockLost, text)));
        };
        if held.fence != *fence {
            return Ok(Decision::Refuse(other(Code::LockLost, key, &held, *fence)));
        }
        let mut body = Body::new();
        body.put(key, *tag, &lease::encode(*fence, *length, held.pid, &held.host));
        body.changes_lease();
        Ok(Decision::Append(body))
    }
}

#[cold]
fn held_by(code: Code, key: &Key, held: &Stored, now: i64) -> Error {
    let left = Duration::from_nanos(u64::try_from(held.expires.saturating_sub(now)).unwrap_or(0));
    let Stored { pid, host, fence, .. } = held;
    Error::new(
        code,
        format!("{} is held by process {pid} on host {host:?} for another {left:?} (fence {fence})", show(key)),
    )
}

#[cold]
fn other(code: Code, key: &Key, held: &Stored, fence: u64) -> Error {
    let Stored { pid, host, fence: theirs, .. } = held;
    Error::new(
        code,
        format!("{} is held by process {pid} on host {host:?} with fence {theirs}, not {fence}", show(key)),
    )
}

fn show(key: &Key) -> String {
    format!("lock {}", name::quoted(key.strip_prefix(LOCKS).unwrap_or(key)))
}
