//! Where the library's few log records go. The caller's logger is called only inside a call of the handle, on that
//! call's thread, with nothing locked: records made elsewhere (the background thread, a decision under the store's lock)
//! wait for the next call.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::latch::Mutex;

/// How important a record is. The numbers are part of the C ABI: never renumber.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(i32)]
pub enum Level {
    /// Something is lost or broken.
    Error = 1,
    /// Something is odd, and was dealt with.
    Warn = 2,
    /// A milestone: opened, recovered, compacted.
    Info = 3,
    /// Details for who hunts a bug.
    Debug = 4,
}

/// What receives the records: one line each, without a line end.
pub type Logger = Arc<dyn Fn(Level, &str) + Send + Sync>;

/// The most records that wait; further ones push out the oldest.
const MAX_WAITING: usize = 128;

/// The records of a handle that wait, and who gets them.
#[derive(Default)]
pub struct Log {
    /// Whether a record may wait: all that a call looks at when there is none.
    pending: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    logger: Option<(Logger, Level)>,
    waiting: VecDeque<(Level, String)>,
    lost: u64,
}

impl Log {
    /// Sets or removes the logger, which gets records of `level` and of greater importance. Records that wait go to the new one.
    pub fn set(&self, logger: Option<Logger>, level: Level) {
        let mut state = self.state.lock();
        state.logger = logger.map(|l| (l, level));
        self.pending.store(true, Ordering::Release);
    }

    /// Leaves a record for the next [`Log::deliver`].
    pub fn push(&self, level: Level, text: String) {
        let mut state = self.state.lock();
        if state.waiting.len() == MAX_WAITING {
            state.waiting.pop_front();
            state.lost += 1;
        }
        state.waiting.push_back((level, text));
        self.pending.store(state.logger.is_some(), Ordering::Release);
    }

    /// Hands the records that wait to the logger.
    #[inline]
    pub fn deliver(&self) {
        if self.pending.load(Ordering::Acquire) {
            self.deliver_all();
        }
    }

    #[cold]
    fn deliver_all(&self) {
        let (logger, level, waiting, lost) = {
            let mut state = self.state.lock();
            self.pending.store(false, Ordering::Release);
            let Some((logger, level)) = state.logger.clone() else { return };
            (logger, level, std::mem::take(&mut state.waiting), std::mem::take(&mut state.lost))
        };
        if lost > 0 {
            logger(Level::Warn, &format!("{lost} log records were dropped: no call was made that could deliver them"));
        }
        for (importance, text) in waiting.iter().filter(|(importance, _)| *importance <= level) {
            logger(*importance, text);
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("pending", &self.pending).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Seen = Arc<Mutex<Vec<(Level, String)>>>;

    fn collector() -> (Logger, Seen) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = seen.clone();
        (Arc::new(move |level, text: &str| into.lock().push((level, text.to_owned()))), seen)
    }

    #[test]
    fn records_wait_for_a_logger_and_for_a_call() {
        let (log, (logger, seen)) = (Log::default(), collector());
        log.push(Level::Info, "early".to_owned());
        log.deliver();
        log.set(Some(logger), Level::Info);
        assert!(seen.lock().is_empty());
        log.push(Level::Debug, "too fine".to_owned());
        log.push(Level::Warn, "late".to_owned());
        log.deliver();
        log.deliver();
        assert_eq!(*seen.lock(), [(Level::Info, "early".to_owned()), (Level::Warn, "late".to_owned())]);
        log.set(None, Level::Info);
        log.push(Level::Error, "nobody".to_owned());
        log.deliver();
        assert_eq!(seen.lock().len(), 2);
    }

    #[test]
    fn the_oldest_go_when_nobody_fetches_them() {
        let (log, (logger, seen)) = (Log::default(), collector());
        (0..=MAX_WAITING).for_each(|n| log.push(Level::Info, n.to_string()));
        log.set(Some(logger), Level::Info);
        log.deliver();
        let seen = seen.lock();
        assert_eq!(seen.len(), MAX_WAITING + 1);
        assert_eq!(
            seen[0],
            (Level::Warn, "1 log records were dropped: no call was made that could deliver them".to_owned())
        );
        assert_eq!(seen[1].1, "1");
    }
}
