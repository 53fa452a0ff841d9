//! Advice to the system about memory that will be filled.
#![allow(unsafe_code)]

const PAGE: usize = 4 << 10;
const HUGE_PAGE: usize = 2 << 20;

/// Has the system back what the vector has room for by huge pages, where it can: each small page is a page fault when it is first
/// touched. For much memory that will be filled at once, as a huge page is there as a whole.
pub fn back_by_huge_pages(bytes: &mut Vec<u8>) {
    let (start, room) = (bytes.as_mut_ptr(), bytes.capacity());
    if room < HUGE_PAGE {
        return;
    }
    // An allocator's word before the bytes is in their first page.
    let before = start.addr() % PAGE;
    let start = start.wrapping_sub(before);
    // SAFETY: advice, which changes no byte, for pages of a live allocation. Where there are no huge pages nothing is done.
    unsafe { libc::madvise(start.cast(), before + room, libc::MADV_HUGEPAGE) };
    // SAFETY: as above. That word has made the first page a small one: the huge page around it is made here (Linux 6.1).
    unsafe { libc::madvise(start.cast(), HUGE_PAGE, libc::MADV_COLLAPSE) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_what_they_were() {
        for room in [0, 100, HUGE_PAGE, 5 * HUGE_PAGE - PAGE] {
            let mut bytes = Vec::with_capacity(room);
            bytes.resize(room / 2, 7);
            back_by_huge_pages(&mut bytes);
            assert!(bytes.len() == room / 2 && bytes.iter().all(|byte| *byte == 7));
            bytes.resize(room, 9);
            assert!(bytes[room / 2..].iter().all(|byte| *byte == 9));
        }
    }
}
