//! What a thread writes down: one line before each call and one after it, each by one write, so that what a killed process
//! wrote stays. A question without an answer is an operation that may have happened.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::history::{Answer, Ask, KILLED, Operation};

/// Nanoseconds by the one clock that all processes share and that never steps.
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // Neither is negative.
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// The store's clock goes in steps of so many nanoseconds, so that there is room for a mark beyond them.
pub const TICK: u64 = 100_000;

/// The clock by which things expire, set forward by `ahead` nanoseconds.
pub fn store_clock(ahead: i64) -> i64 {
    (now() / TICK * TICK).cast_signed() + ahead
}

#[derive(Serialize, Deserialize)]
struct Question {
    call: u64,
    #[serde(flatten)]
    ask: Ask,
}

#[derive(Serialize, Deserialize)]
struct Reply {
    #[serde(rename = "return")]
    returned: u64,
    #[serde(flatten)]
    answer: Answer,
}

/// The log of one thread.
pub struct Log(File);

impl Log {
    /// Begins the log of a thread.
    pub fn create(folder: &Path, process: u32, thread: u32) -> Result<Log> {
        Ok(Log(File::create_new(path(folder, process, thread))?))
    }

    /// Asks, between the two lines.
    pub fn around(&mut self, ask: &Ask, perform: impl FnOnce() -> Answer) -> Result<Answer> {
        self.line(&Question { call: now(), ask: ask.clone() })?;
        let answer = perform();
        let reply = Reply { returned: now(), answer };
        self.line(&reply)?;
        Ok(reply.answer)
    }

    fn line(&mut self, what: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        Ok(self.0.write_all(&line)?)
    }
}

/// What the threads of a process did, which was over at `end`.
pub fn read(folder: &Path, process: u32, threads: u32, end: u64) -> Result<Vec<Operation>> {
    let mut operations = Vec::new();
    for thread in 0..threads {
        // A process that was killed early has none.
        let Ok(text) = fs::read_to_string(path(folder, process, thread)) else { continue };
        // A line that the kill cut short was never read by its writer: a question of that kind wasn't asked.
        let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        while let Some(line) = lines.next() {
            let Question { call, ask } = serde_json::from_str(line)?;
            let killed = || Reply { returned: end, answer: Answer { outcome: KILLED.to_owned(), ..Answer::default() } };
            let Reply { returned, answer } = lines.next().map(serde_json::from_str).transpose()?.unwrap_or_else(killed);
            operations.push(Operation { process, thread, ask, call, returned, answer });
        }
    }
    Ok(operations)
}

fn path(folder: &Path, process: u32, thread: u32) -> PathBuf {
    folder.join(format!("process-{process}-thread-{thread}"))
}
