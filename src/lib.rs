//! Named values in a plain directory, shared by many threads of many processes without a server.
//!
//! The rooms, from the caller down; a room calls those below it and knows nothing above:
//!
//! | room | job |
//! |---|---|
//! | [`ffi`] | the C ABI: pointers in, [`Backend`] calls, pointers out |
//! | [`backend`] | what the calls mean: names, TTL, conditions, locks |
//! | [`engine`] | ordered, revisioned bytes: log, index, tables, compaction |
//! | [`files`] | the only code that touches the system |
//! | [`format`] | the bytes on disk, without any I/O |
//! | [`error`] | what went wrong, in the caller's terms |
//! | `latch`, `sabotage` | what threads wait on; what tests break on purpose |

#![deny(missing_docs, unsafe_op_in_unsafe_fn, unsafe_code)]
#![deny(clippy::undocumented_unsafe_blocks)]

#[cfg(panic = "abort")]
compile_error!("dirkv turns panics into errors at the C boundary: build it with panic = \"unwind\"");

pub mod backend;
pub mod engine;
pub mod error;
#[allow(unsafe_code)]
pub mod ffi;
pub mod files;
pub mod format;
#[cfg(feature = "lab")]
pub mod latch;
#[cfg(not(feature = "lab"))]
mod latch;
#[cfg(feature = "lab")]
pub mod sabotage;
#[cfg(not(feature = "lab"))]
mod sabotage;

pub use backend::Backend;
pub use error::{Code, Error, Result};
