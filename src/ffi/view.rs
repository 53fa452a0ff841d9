//! Views: structs that may grow, filled as far as the caller knows them.

use super::input::bad;
use super::lists::dirkv_entry;
use crate::error::Result;

/// What [`dirkv_entry`] was in its first version; a caller's is at least as large.
const ENTRY_SIZE: usize = size_of::<dirkv_entry>();
/// Larger ones would be a mistake.
const MAX_ENTRY_SIZE: usize = 4096;

/// A caller's view.
#[derive(Debug)]
pub(super) struct Out(*mut dirkv_entry);

impl Out {
    /// Clears the view, all of it: fields that this version doesn't know stay zero.
    ///
    /// # Safety
    ///
    /// `entry` is NULL or leads to `size` bytes that may be written to until the call ends.
    pub unsafe fn new(entry: *mut dirkv_entry, size: usize) -> Result<Out> {
        if entry.is_null() {
            return Err(bad("entry", "is NULL: it is where the result goes"));
        }
        if !(ENTRY_SIZE..=MAX_ENTRY_SIZE).contains(&size) {
            return Err(bad("entry_size", &format!("is {size}: it must be sizeof(dirkv_entry), here {ENTRY_SIZE}")));
        }
        // SAFETY: not NULL, and promised by the caller.
        unsafe { entry.cast::<u8>().write_bytes(0, size) };
        Ok(Out(entry))
    }

    /// Fills the part that this version knows.
    pub fn set(&self, entry: dirkv_entry) {
        // SAFETY: `new` checked that there is room; its caller promised that it lasts until the call ends.
        unsafe { self.0.write_unaligned(entry) };
    }
}
