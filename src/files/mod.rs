//! The only code that touches the system: everything above reaches files, locks, shared memory and clocks through the
//! traits of [`storage`]. [`os`] is the real thing; a simulated disk and kernel can take its place.

pub mod clock;
pub mod filesystem;
mod flock;
pub mod fork;
pub mod host;
pub mod names;
pub mod os;
pub mod prefetch;
pub mod prepare;
pub mod private_page;
pub mod quiet_thread;
pub mod shared_map;
pub mod shared_view;
pub mod storage;
