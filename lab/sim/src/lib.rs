//! A machine in memory, for the real engine to run on: disk, page cache, flocks, shared page, processes that can be killed.
//!
//! | file | job |
//! |---|---|
//! | `machine` | what is durable, what a power cut may leave, which calls fail |
//! | `contents`, `medium`, `cut` | a file's bytes by sectors; what the medium holds of it; each state of the disk after a cut |
//! | `process` | the seams of dirkv, as one process of the machine has them |
//! | `world` | what a store should hold, and random operations on it |
//! | `scheduler` | which thread of which process goes on, by one seed |
//! | `story`, `plan` | what threads do, what goes wrong |
//! | `simulate` | one run, from a plan to a history |
//! | `causes`, `linear` | whether something explains an error; whether what everybody was told can be |
//! | `clock`, `alone` | time; time for a single thread |
//! | `script`, `groups`, `twist` | courses of operations; those of threads that commit together; what goes wrong in them |
//! | `run`, `crowd` | one run, judged and recorded; what threads are told that do something at once |
//! | `crashes`, `tour` | every state that a power cut may leave of a run, booted and judged; which runs |

pub mod alone;
pub mod causes;
pub mod clock;
pub mod contents;
pub mod crashes;
pub mod crowd;
pub mod cut;
pub mod groups;
pub mod linear;
pub mod machine;
pub mod medium;
pub mod plan;
pub mod process;
pub mod run;
pub mod scheduler;
pub mod script;
pub mod simulate;
pub mod story;
pub mod tour;
pub mod twist;
pub mod world;
