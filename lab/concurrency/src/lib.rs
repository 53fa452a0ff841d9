//! The engine's threads as shuttle's: one goes on at a time, and before each look at anything that they share the scheduler
//! decides anew which. The engine is the real one, the machine below it the simulated one.
//!
//! | file | job |
//! |---|---|
//! | `turns` | shuttle as the scheduler of `dirkv::latch`: steps, waiting, time, and when nobody can go on |
//! | `seams` | the machine as the threads see it: syncs that take long, wake-ups that can be missed |
//! | `explore` | runs a story under many schedules, or under the one that failed |
//! | `stories` | what happens: threads that write, read, wait and close, and what fails meanwhile |
//! | `diary` | what threads were told, and whether it holds after a power cut |

pub mod diary;
pub mod explore;
pub mod seams;
pub mod stories;
pub mod turns;
