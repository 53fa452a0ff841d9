//! What an engine of this process leaves to its rest, which no clock of a line sees: processor time, and bytes for the disk.

use std::fs;
use std::time::Instant;

use super::{Metric, Sample};
use crate::Result;
use crate::engines::Engine;
use crate::handoff::busy;

/// This process at one moment.
struct Used {
    moment: Instant,
    busy: u64,
    written: Option<u64>,
}

impl Used {
    fn now() -> Used {
        Used { moment: Instant::now(), busy: busy(), written: written() }
    }
}

/// A turn that is being played.
pub struct Turn(Used);

impl Turn {
    /// Begins.
    pub fn begin() -> Turn {
        Turn(Used::now())
    }

    /// Ends: the engine comes to rest. Of bytes there is no figure if the turn wrote none, or the system doesn't count them.
    pub fn rest(self, engine: &dyn Engine) -> Result<Vec<Sample>> {
        let played = Used::now();
        engine.rest()?;
        let rested = Used::now();
        let turn = (played.moment - self.0.moment).as_nanos().max(1) as f64;
        let mut samples = vec![(Metric::RestBusy, 100.0 * rested.busy.saturating_sub(played.busy) as f64 / turn)];
        if let (Some(before), Some(after), Some(then)) = (self.0.written, played.written, rested.written)
            && after > before
        {
            samples.push((Metric::RestWritten, 100.0 * then.saturating_sub(after) as f64 / (after - before) as f64));
        }
        Ok(samples)
    }
}

/// Bytes that this process has made dirty, for the disk.
fn written() -> Option<u64> {
    write_bytes(&fs::read_to_string("/proc/self/io").ok()?)
}

fn write_bytes(counts: &str) -> Option<u64> {
    counts.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_the_disk_is_counted_and_not_what_is_written_to_pipes() {
        let counts = "rchar: 1\nwchar: 2\nread_bytes: 3\nwrite_bytes: 4096\ncancelled_write_bytes: 5\n";
        assert_eq!((write_bytes(counts), write_bytes("wchar: 2\n")), (Some(4096), None));
    }
}
