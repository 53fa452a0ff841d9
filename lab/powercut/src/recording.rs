//! Everything that a disk was told, in order: what lay on it at first, then its writes and flushes.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use crate::image::Image;

/// What a disk was told.
#[derive(PartialEq, Debug)]
pub enum Event {
    /// To write; it may lie in the disk's cache until the next flush.
    Write {
        /// Where, in bytes.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// To make durable what it had answered before.
    Flush,
}

/// The life of a disk until now.
pub struct Recording {
    /// What lay on it at first.
    pub base: Image,
    /// What it was told since.
    pub events: Vec<Event>,
}

impl Recording {
    /// Where the flushes are.
    pub fn flushes(&self) -> Vec<usize> {
        let events = self.events.iter().enumerate();
        events.filter(|(_, event)| **event == Event::Flush).map(|(at, _)| at).collect()
    }

    /// Keeps it in a folder.
    pub fn save(&self, folder: &Path) -> io::Result<()> {
        self.base.save(&folder.join("base.img"))?;
        let mut file = BufWriter::new(File::create(folder.join("events"))?);
        for event in &self.events {
            let (offset, bytes) = match event {
                Event::Write { offset, bytes } => (*offset, &bytes[..]),
                Event::Flush => (0, &[][..]),
            };
            file.write_all(&offset.to_le_bytes())?;
            file.write_all(&(bytes.len() as u64).to_le_bytes())?;
            file.write_all(bytes)?;
        }
        file.flush()
    }

    /// Reads what [`Recording::save`] kept. (A write is never empty: that is how a flush is told.)
    pub fn load(folder: &Path) -> io::Result<Recording> {
        let base = Image::load(&folder.join("base.img"))?;
        let path = folder.join("events");
        let (mut file, mut left) = (BufReader::new(File::open(&path)?), fs::metadata(&path)?.len());
        let mut events = Vec::new();
        while left > 0 {
            let (mut offset, mut len) = ([0; 8], [0; 8]);
            file.read_exact(&mut offset)?;
            file.read_exact(&mut len)?;
            let len = u64::from_le_bytes(len);
            left = left.checked_sub(16 + len).ok_or(ErrorKind::InvalidData)?;
            let mut bytes = vec![0; len as usize];
            file.read_exact(&mut bytes)?;
            events.push(match len {
                0 => Event::Flush,
                _ => Event::Write { offset: u64::from_le_bytes(offset), bytes },
            });
        }
        Ok(Recording { base, events })
    }
}
