//! Faults, made in one process: a simulated machine whose power is cut, whose processes are killed, whose calls fail; and a
//! real directory whose calls fail.

mod broken;
mod calls;
mod cuts;
mod groups;
mod late;
mod overwritten;
mod panics;
mod readers;
mod real;
mod records;
mod refusals;
mod rows;
mod seals;
mod stops;
mod switches;
mod tails;
mod threads;
mod waiters;
mod wakes;
