//! What a handle has seen of the leases that it waits for, so that a lease ends although the system's clock was set back.
//! It outlives a call: a waiter that waits in slices loses nothing.

use std::collections::HashMap;

use super::lease::Stored;
use crate::latch::Mutex;

/// The most leases that are watched; beyond it all are forgotten, which only makes their watchers begin anew.
const MAX_WATCHED: usize = 1024;

/// What is watched, by the lease's key.
#[derive(Debug, Default)]
pub struct Watches(Mutex<HashMap<Box<[u8]>, Watch>>);

#[derive(Clone, Copy, Debug)]
struct Watch {
    /// The revision that was seen,
    revision: u64,
    /// since then (nanoseconds since boot).
    since: u64,
}

impl Watches {
    /// Whether the lease, seen now (nanoseconds since boot), has been seen unchanged for its whole length.
    pub fn outlasted(&self, key: &[u8], lease: &Stored, now: u64) -> bool {
        let mut seen = self.0.lock();
        match seen.get(key) {
            Some(watch) if watch.revision == lease.revision => now.saturating_sub(watch.since) >= lease.length,
            _ => {
                if seen.len() >= MAX_WATCHED {
                    seen.clear();
                }
                seen.insert(key.into(), Watch { revision: lease.revision, since: now });
                false
            }
        }
    }

    /// Ends the watch of a lease.
    pub fn forget(&self, key: &[u8]) {
        self.0.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(revision: u64) -> Stored {
        Stored { revision, fence: 1, expires: 0, length: 10, pid: 1, host: String::new() }
    }

    #[test]
    fn its_whole_length_unchanged() {
        let watches = Watches::default();
        assert!(!watches.outlasted(b"a", &lease(1), 100));
        assert!(!watches.outlasted(b"a", &lease(1), 109));
        assert!(!watches.outlasted(b"other", &lease(7), 109), "its own watch begins");
        assert!(watches.outlasted(b"a", &lease(1), 110));
        assert!(!watches.outlasted(b"a", &lease(2), 111), "a renewal begins anew");
        assert!(!watches.outlasted(b"a", &lease(2), 120));
        assert!(watches.outlasted(b"a", &lease(2), 121));
        watches.forget(b"a");
        assert!(!watches.outlasted(b"a", &lease(2), 200));
        assert!(!watches.outlasted(b"b", &lease(2), 200), "each key for itself");
    }

    #[test]
    fn memory_is_bounded() {
        let watches = Watches::default();
        for n in 0..3 * MAX_WATCHED {
            watches.outlasted(&n.to_le_bytes(), &lease(1), 0);
        }
        assert!(watches.0.lock().len() <= MAX_WATCHED);
    }
}
