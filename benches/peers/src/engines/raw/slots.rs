//! What lies in a file: each value in a slot, whose place follows from the number in its key, so that nothing is looked up.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::Result;
use crate::names::Name;

const BLOCK: usize = 4096;
/// The length of a value, in one byte, and the value.
const SLOT: usize = 256;
/// Of a number at the end of a key.
const DIGITS: usize = 10;

pub struct Slots(File);

impl Slots {
    pub fn open(path: &Path) -> Result<Slots> {
        Ok(Slots(super::open(path)?))
    }

    pub fn fill(&self, items: &[(Name<'_>, &[u8])]) -> Result<()> {
        for (name, value) in items {
            let at = place(*name).ok_or("a key without a number has no slot")?;
            let len = u8::try_from(value.len())?;
            self.0.write_all_at(&[&[len], *value].concat(), at as u64)?;
        }
        Ok(())
    }

    /// Until what was written is on disk: writing it back would disturb who reads.
    pub fn settle(&self) -> Result<()> {
        Ok(self.0.sync_all()?)
    }

    /// Reads the block that holds a value; an empty slot holds none.
    pub fn view(&self, name: Name<'_>, block: &mut Vec<u8>, see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let Some(at) = place(name) else { return Ok(false) };
        block.resize(BLOCK, 0);
        // The last block of the file may be a part of one.
        let read = self.0.read_at(block, (at - at % BLOCK) as u64)?;
        let Some(slot) = block[..read].get(at % BLOCK..) else { return Ok(false) };
        let Some((len, rest)) = slot.split_first().filter(|(len, _)| **len > 0) else { return Ok(false) };
        see(&rest[..usize::from(*len)]);
        Ok(true)
    }
}

fn place(name: Name<'_>) -> Option<usize> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| usize::from(byte - b'0'));
    let number = name.flat.last_chunk::<DIGITS>()?.iter().try_fold(0, |sum, byte| Some(10 * sum + digit(byte)?));
    number.map(|number| number * SLOT)
}
