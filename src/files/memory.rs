//! Advice to the system about memory that will be filled.
#![allow(unsafe_code)]

use rustix::mm::{Advice, madvise};

/// Has the system back what the vector has room for by huge pages, where it can: each small page is a page fault when it is first
/// touched. For much memory that will be filled at once, as a huge page is there as a whole. (Where an allocator has written a word of
/// its own before the bytes, the huge page around that one stays in small pages.)
pub fn back_by_huge_pages(bytes: &mut Vec<u8>) {
    const PAGE: usize = 4 << 10;
    let (start, room) = (bytes.as_mut_ptr(), bytes.capacity());
    if room == 0 {
        return;
    }
    // All pages that hold a byte of it: with one left out at either end, no huge page could lie there.
    let before = start.addr() % PAGE;
    let len = (before + room).next_multiple_of(PAGE);
    // SAFETY: advice, which changes no byte, about pages that are mapped. A system that has no such pages refuses it.
    let _ = unsafe { madvise(start.wrapping_sub(before).cast(), len, Advice::LinuxHugepage) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_what_they_were() {
        for room in [0, 100, 5_000, 2 << 20, (10 << 20) - 4096] {
            let mut bytes = Vec::with_capacity(room);
            bytes.resize(room / 2, 7);
            back_by_huge_pages(&mut bytes);
            assert!(bytes.len() == room / 2 && bytes.iter().all(|byte| *byte == 7));
            bytes.resize(room, 9);
            assert!(bytes[room / 2..].iter().all(|byte| *byte == 9));
        }
    }
}
