//! The only code that touches the system: everything above reaches files, locks, shared memory and clocks through the
//! traits of [`storage`]. [`os`] is the real thing; a simulated disk and kernel can take its place.

pub mod storage;
