//! A hint to the processor: memory that will be read soon.
#![allow(unsafe_code)]

/// Has the processor bring the bytes into its caches (but for a rest shorter than a line), many lines at a time, while it goes
/// on with something else. Where the language has no such hint yet, nothing is done.
#[inline]
pub fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for line in bytes.as_chunks::<LINE>().0 {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which neither faults nor changes anything, for bytes that are there.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

/// The bytes of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;
