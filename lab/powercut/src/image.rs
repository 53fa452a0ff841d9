//! What a disk holds: blocks in memory, shared between the copies of an image until one of them writes, so that a cut costs
//! no more than what it changes. A block that is absent is zeros.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// What the medium writes whole or not at all.
pub const SECTOR: usize = 512;

const BLOCK: usize = 4096;
const ZEROS: [u8; BLOCK] = [0; BLOCK];

/// The content of a disk.
#[derive(Clone)]
pub struct Image {
    size: u64,
    blocks: BTreeMap<u64, Arc<[u8; BLOCK]>>,
}

impl Image {
    /// Reads an image file, whose length is a multiple of 4 KiB.
    pub fn load(path: &Path) -> io::Result<Image> {
        let mut file = File::open(path)?;
        let mut image = Image { size: file.metadata()?.len(), blocks: BTreeMap::new() };
        let mut bytes = vec![0; 256 * BLOCK];
        let mut offset = 0;
        loop {
            let got = file.read(&mut bytes)?;
            if got == 0 {
                return Ok(image);
            }
            image.write(offset, &bytes[..got]);
            offset += got as u64;
        }
    }

    /// Writes a sparse image file.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let file = File::create(path)?;
        file.set_len(self.size)?;
        self.blocks.iter().try_for_each(|(number, block)| file.write_all_at(&block[..], number * BLOCK as u64))
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `bytes`, with zeros beyond the end.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) {
        each_block(offset, bytes.len(), |number, within, range| match self.blocks.get(&number) {
            Some(block) => {
                let len = range.len();
                bytes[range].copy_from_slice(&block[within..within + len]);
            }
            None => bytes[range].fill(0),
        });
    }

    /// Writes `bytes`.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        each_block(offset, bytes.len(), |number, within, range| {
            let part = &bytes[range];
            if part == &ZEROS[..part.len()] && !self.blocks.contains_key(&number) {
                return;
            }
            let block = self.blocks.entry(number).or_insert_with(|| Arc::new([0; BLOCK]));
            Arc::make_mut(block)[within..within + part.len()].copy_from_slice(part);
        });
    }

    /// Where on the disk these bytes lie, each at a sector's begin. (A file that is gone may have left copies.)
    pub fn find(&self, wanted: &[u8]) -> Vec<u64> {
        let mut bytes = vec![0; wanted.len()];
        let starts = self.blocks.keys().flat_map(|number| (0..BLOCK).step_by(SECTOR).map(move |at| (*number, at)));
        let starts = starts.map(|(number, at)| number * BLOCK as u64 + at as u64);
        starts
            .filter(|start| {
                self.read(*start, &mut bytes);
                bytes == wanted
            })
            .collect()
    }
}

/// Cuts a range of the disk at the blocks: each one's number, the offset within it, and the part of the range.
fn each_block(offset: u64, len: usize, mut f: impl FnMut(u64, usize, std::ops::Range<usize>)) {
    let mut done = 0;
    while done < len {
        let at = offset + done as u64;
        let within = (at % BLOCK as u64) as usize;
        let part = (BLOCK - within).min(len - done);
        f(at / BLOCK as u64, within, done..done + part);
        done += part;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_what_the_original_writes_over() {
        let mut image = Image { size: 1 << 20, blocks: BTreeMap::new() };
        image.write(4000, &[7; 200]);
        let copy = image.clone();
        image.write(4095, &[9; 2]);
        let read = |image: &Image| {
            let mut bytes = [1; 204];
            image.read(3998, &mut bytes);
            bytes
        };
        assert_eq!(read(&copy)[..3], [0, 0, 7]);
        assert_eq!(read(&copy)[202..], [0, 0]);
        assert_eq!(read(&copy)[97..99], [7, 7]);
        assert_eq!(read(&image)[96..100], [7, 9, 9, 7]);
    }

    #[test]
    fn a_file_of_it_is_read_back_and_searched() {
        let dir = tempfile::tempdir().unwrap();
        let mut image = Image { size: 1 << 20, blocks: BTreeMap::new() };
        image.write(3 * 512 + 8192, &[5; 700]);
        image.save(&dir.path().join("image")).unwrap();
        let again = Image::load(&dir.path().join("image")).unwrap();
        assert_eq!(again.size(), 1 << 20);
        assert_eq!(again.find(&[5; 700]), [3 * 512 + 8192]);
        assert!(again.find(&[6; 10]).is_empty());
    }
}
