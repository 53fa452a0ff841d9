//! A machine in memory, for the real engine to run on: disk, page cache, flocks, shared page, processes that can be killed.
//!
//! | file | job |
//! |---|---|
//! | `machine` | what is durable, what a power cut may leave, which calls fail |
//! | `process` | the seams of dirkv, as one process of the machine has them |
//! | `world` | what a store should hold, and random operations on it |

pub mod machine;
pub mod process;
pub mod world;
