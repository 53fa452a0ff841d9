//! The time of this lab: how many writes and flushes the disk has taken. It lies in a file that the disk and all processes
//! map, so that whoever hears an answer can say what the disk had taken by then.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};

/// A shared counter.
pub struct Clock(MmapRaw);

impl Clock {
    /// The counter in this file, which is made if it is absent.
    pub fn open(path: &Path) -> io::Result<Clock> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.set_len(8)?;
        Ok(Clock(MmapOptions::new().len(8).map_raw(&file)?))
    }

    /// What the disk has taken.
    pub fn now(&self) -> u64 {
        self.word().load(Ordering::SeqCst)
    }

    /// The disk takes one more.
    pub fn tick(&self) {
        self.word().fetch_add(1, Ordering::SeqCst);
    }

    fn word(&self) -> &AtomicU64 {
        // SAFETY: the map begins at a page, is 8 bytes long, lives as long as `self`, and is only used as an atomic.
        unsafe { AtomicU64::from_ptr(self.0.as_mut_ptr().cast()) }
    }
}
