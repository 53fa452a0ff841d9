//! Expiry: an absolute instant, computed from the handle's clock. The engine carries it beside the value as a tag of
//! eight bytes: nanoseconds since the epoch as an `i64`'s bits, 0 for never. An item is gone from that instant on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::error::{Code, Error, Result};
use crate::files::storage::Clock;

use super::params::ClockFn;

/// The tag of what never expires.
pub const NEVER: u64 = 0;

/// The tag of a value that lives `ttl` nanoseconds from `now` on; 0 is for ever. Saturates at the end of time.
pub fn tag(now: i64, ttl: i64) -> Result<u64> {
    match ttl {
        0 => Ok(NEVER),
        1.. => Ok(instant(now, ttl).cast_unsigned()),
        _ => Err(Error::new(Code::BadParameter, format!("the TTL is negative ({ttl} ns); it is 0 (for ever) or more"))),
    }
}

/// The instant `ttl` (more than 0) after `now`. Never 0, which would be for ever: with a clock before the epoch it is 1 ns late.
fn instant(now: i64, ttl: i64) -> i64 {
    match now.saturating_add(ttl) {
        0 => 1,
        expires => expires,
    }
}

/// When the value with this tag expires: nanoseconds since the epoch, 0 for never.
pub fn expires(tag: u64) -> i64 {
    tag.cast_signed()
}

/// Whether a value with this tag is gone at `now`.
pub fn is_expired(tag: u64, now: i64) -> bool {
    tag != NEVER && now >= expires(tag)
}

/// The time of a handle: the system's, or what the caller's function says.
pub struct HandleClock {
    system: Arc<dyn Clock>,
    replaced: Option<ClockFn>,
    /// What the caller's function said last: the background thread may not call it.
    seen: AtomicI64,
}

impl HandleClock {
    /// A clock that asks `replaced`, or `system` if there is none.
    pub fn new(system: Arc<dyn Clock>, replaced: Option<ClockFn>) -> HandleClock {
        HandleClock { system, replaced, seen: AtomicI64::new(i64::MIN) }
    }

    /// Nanoseconds since the epoch.
    pub fn now(&self) -> i64 {
        let Some(ask) = &self.replaced else { return self.system.wall() };
        let now = ask();
        self.seen.store(now, Ordering::Relaxed);
        now
    }

    /// What the caller's function says, if there is one. For who is about to ask [`HandleClock::is_past`] at a place where
    /// nothing of the caller's may be called.
    pub fn ask(&self) -> Option<i64> {
        self.replaced.as_ref().map(|_| self.now())
    }

    /// Whether a value with this tag is gone at the time that [`HandleClock::ask`] gave. The system's clock is read only if
    /// the answer depends on it.
    pub fn is_past(&self, tag: u64, asked: Option<i64>) -> bool {
        tag != NEVER && is_expired(tag, asked.unwrap_or_else(|| self.system.wall()))
    }

    /// Whether the caller replaced it.
    pub fn is_replaced(&self) -> bool {
        self.replaced.is_some()
    }

    /// Nanoseconds since boot, by the kernel's clock that never steps.
    pub fn boottime(&self) -> u64 {
        self.system.boottime()
    }

    /// Whether compaction must keep a value with this tag: it goes only if it is expired by the system's clock and by
    /// the handle's, as a replaced clock must not destroy others' data. Calls nothing of the caller's.
    pub fn retains(&self, tag: u64) -> bool {
        if tag == NEVER {
            return true;
        }
        let by_handle = self.replaced.is_none() || is_expired(tag, self.seen.load(Ordering::Relaxed));
        !(by_handle && is_expired(tag, self.system.wall()))
    }
}

impl fmt::Debug for HandleClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandleClock").field("replaced", &self.is_replaced()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Fixed(AtomicI64);

    impl Clock for Fixed {
        fn wall(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }
        fn boottime(&self) -> u64 {
            0
        }
        fn yield_now(&self) {}
        fn sleep(&self, _: std::time::Duration) {}
    }

    #[test]
    fn gone_from_the_instant_on() {
        let tag = tag(100, 50).unwrap();
        assert_eq!(expires(tag), 150);
        assert!(!is_expired(tag, 149));
        assert!(is_expired(tag, 150));
        assert!(is_expired(tag, i64::MAX));
    }

    #[test]
    fn zero_is_for_ever_and_negative_is_refused() {
        assert_eq!(tag(100, 0).unwrap(), NEVER);
        assert!(!is_expired(NEVER, i64::MAX));
        let refused = tag(100, -1).unwrap_err();
        assert_eq!(refused.code, Code::BadParameter);
        assert!(refused.message.contains("TTL is negative (-1 ns)"), "{refused}");
    }

    #[test]
    fn the_end_of_time_saturates_and_before_the_epoch_works() {
        assert_eq!(expires(tag(i64::MAX - 1, i64::MAX).unwrap()), i64::MAX);
        assert_eq!(expires(tag(-100, 50).unwrap()), -50);
        assert!(is_expired(tag(-100, 50).unwrap(), -50));
        assert_eq!(expires(tag(-50, 50).unwrap()), 1, "0 would be for ever");
    }

    #[test]
    fn compaction_drops_what_is_expired_by_both_clocks() {
        let system = Arc::new(Fixed::default());
        let handle = Arc::new(AtomicI64::new(0));
        let ask = handle.clone();
        let clock = HandleClock::new(system.clone(), Some(Arc::new(move || ask.load(Ordering::Relaxed))));
        let tag = tag(0, 10).unwrap();
        assert!(clock.retains(NEVER));
        system.0.store(20, Ordering::Relaxed);
        assert!(clock.retains(tag), "the handle's clock never said anything");
        handle.store(20, Ordering::Relaxed);
        assert!(clock.retains(tag), "the caller's function isn't called");
        assert_eq!(clock.now(), 20);
        assert!(!clock.retains(tag), "expired by both");
        system.0.store(5, Ordering::Relaxed);
        assert!(clock.retains(tag), "not expired by the system's");
        system.0.store(20, Ordering::Relaxed);
        let plain = HandleClock::new(system, None);
        assert!(!plain.retains(tag) && plain.retains(NEVER));
        assert!(plain.ask().is_none() && plain.is_past(tag, None) && !plain.is_past(NEVER, None));
        assert!(clock.ask() == Some(20) && clock.is_past(tag, Some(10)) && !clock.is_past(tag, Some(9)));
    }
}
