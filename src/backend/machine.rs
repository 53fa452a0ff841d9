//! Where a handle meets the machine: the real directory, its clock, and forks.

use std::sync::Arc;

use super::Params;
use crate::error::Result;
use crate::files::clock::SystemClock;
use crate::files::storage::{Clock, Directory};
use crate::files::{fork, prepare};

/// The directory of `params`, made if it is absent, and the system's clock.
pub fn open(params: &Params) -> Result<(Arc<dyn Directory>, Arc<dyn Clock>)> {
    let path = params.directory()?;
    let directory = prepare::open_directory(path, params.dir_mode, params.file_mode, params.read_only)?;
    Ok((Arc::new(directory), Arc::new(SystemClock)))
}

/// Knows whether this process is the one that opened a handle, or a fork of it.
#[derive(Debug)]
pub struct Process(u64);

impl Process {
    /// Remembers this process.
    pub fn current() -> Process {
        Process(fork::token())
    }

    /// Whether this is a child of the process that was remembered. No system call.
    #[inline]
    pub fn is_forked(&self) -> bool {
        fork::forked_since(self.0)
    }
}
