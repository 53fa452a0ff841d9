//! All bytes a second time: what a store with a log and sorted tables writes at least. A thread of its own does that, piece by
//! piece, while changes go on; whoever is two pieces ahead of it has to wait.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::SIZE;
use crate::Result;
use crate::patience::steady;

/// After so many bytes of changes as many are written, and synced.
const PIECE: u64 = 4 << 20;
/// Between two looks at how far it is.
const NAP: Duration = Duration::from_millis(1);

pub struct Table {
    changed: AtomicU64,
    written: Arc<AtomicU64>,
    due: Option<SyncSender<()>>,
    writer: Option<JoinHandle<Result<()>>>,
}

impl Table {
    /// In a file of `SIZE` bytes, from front to end and again.
    pub fn new(file: File) -> Table {
        let (due, pieces) = sync_channel(1);
        let written = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&written);
        let writer = thread::spawn(move || write(&file, &pieces, &count));
        Table { changed: AtomicU64::new(0), written, due: Some(due), writer: Some(writer) }
    }

    /// So many bytes were changed.
    pub fn add(&self, len: u64) -> Result<()> {
        let before = self.changed.fetch_add(len, Ordering::Relaxed);
        let due = self.due.as_ref().ok_or("the table is closed")?;
        for _ in before / PIECE..(before + len) / PIECE {
            due.send(()).map_err(|_| "the table's writer has failed")?;
        }
        Ok(())
    }

    /// Waits until every full piece is written.
    pub fn rest(&self) -> Result<()> {
        let written = || self.written.load(Ordering::Acquire);
        let due = self.changed.load(Ordering::Relaxed) / PIECE;
        steady("the table's writer", NAP, || Ok((written() == due).then_some(due)))
    }
}

fn write(file: &File, pieces: &Receiver<()>, written: &AtomicU64) -> Result<()> {
    let piece = vec![0x55; PIECE as usize];
    for (at, ()) in (0..SIZE).step_by(piece.len()).cycle().zip(pieces) {
        file.write_all_at(&piece, at)?;
        file.sync_data()?;
        written.fetch_add(1, Ordering::Release);
    }
    Ok(())
}

impl Drop for Table {
    fn drop(&mut self) {
        self.due = None;
        // A failure was told to who changed something after it.
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_full_piece_is_written_before_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create_new(folder.path().join("table")).unwrap();
        let table = Table::new(file.try_clone().unwrap());
        for _ in 0..11 {
            table.add(PIECE / 4).unwrap();
        }
        table.rest().unwrap();
        assert_eq!(file.metadata().unwrap().len(), 2 * PIECE);
        drop(table);
        assert_eq!(file.metadata().unwrap().len(), 2 * PIECE);
    }
}
