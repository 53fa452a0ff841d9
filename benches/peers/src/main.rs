//! Measures dirkv beside its peers in one run, and says what it has reached. See `--help`.

#![deny(unsafe_code)]

mod arguments;
mod bench;
mod choice;
mod disk;
mod durable;
mod engines;
mod handoff;
mod lines;
mod machine;
mod names;
mod opening;
mod patience;
mod processes;
mod report;
mod round;
mod run;
mod stages;
mod statistics;
mod turn;
mod values;
mod work;

use std::process::ExitCode;

/// Whatever goes wrong ends the run with a sentence.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// See `Error`.
pub type Result<T> = std::result::Result<T, Error>;

fn main() -> ExitCode {
    let child = std::env::args().nth(1).is_some_and(|first| first == processes::CHILD);
    let done = if child { processes::play() } else { arguments::parse().and_then(|given| run::run(&given)) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}
