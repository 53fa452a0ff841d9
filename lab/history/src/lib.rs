//! Histories: real processes use one store at once while some of them are killed, stopped, or told by the system that a call
//! failed. Each logs what it asked and what it was answered; a judge that was not written here (porcupine, in `judge/`) says
//! whether one order of all operations explains every answer.
//!
//! | room | job |
//! |---|---|
//! | [`history`] | the format of a history |
//! | [`plan`] | what a run does, drawn from one seed |
//! | [`run`] | starts, kills and stops the processes, and gathers the history |
//! | [`worker`] | one of the processes |
//! | [`values`], [`leases`] | what a thread asks next |
//! | [`perform`], [`through_c`] | asks it of the store, through the Rust or the C interface |
//! | [`content`] | the bytes behind a value's short name |
//! | [`log`] | what a thread writes down, before and after each call |
//! | [`judge`] | builds the judge and asks it |
//! | [`campaign`] | many runs, each judged |

#![deny(missing_docs, unsafe_code)]

pub mod campaign;
pub mod content;
pub mod history;
pub mod judge;
pub mod leases;
pub mod log;
pub mod perform;
pub mod plan;
pub mod run;
pub mod through_c;
pub mod values;
pub mod worker;

/// What goes wrong with a run or with its judge.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
