//! Bytes that are not those that were written: flipped, cut off, gone, exchanged, old, more. Each is found and named by open,
//! read or check, or it is harmless; nothing is cut or overwritten, and nothing panics or runs for ever. The one exception,
//! a torn tail that has no witness, is known to the letter ([`oracle`]).

mod bytes;
mod disk;
mod judge;
#[path = "../support/memory.rs"]
mod memory;
mod oracle;
mod small;
#[path = "../support/mod.rs"]
mod support;
mod whole_files;
