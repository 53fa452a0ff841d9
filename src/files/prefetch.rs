//! A hint to the processor: memory that will be read soon.
#![allow(unsafe_code)]

/// The bytes of a cache line.
pub const LINE: usize = 64;

/// Has the processor bring the lines from `start` on into its caches, many at a time, while it goes on with something else.
/// Nothing is read, so that what lies there, if anything does, may be freed or change. Where the language has no such hint yet,
/// nothing is done.
#[inline]
pub fn prefetch<T>(start: *const T, lines: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..lines {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which neither faults nor changes anything, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.cast::<i8>().wrapping_add(line * LINE)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, lines);
}
