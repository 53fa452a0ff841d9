//! The figures of `docs/performance.md`, each as a ratio to something measured in the same run: `cargo bench --bench ratios`.
//!
//! Rounds of the two sides are interleaved, so that a machine whose speed drifts drifts for both; a figure is the median of
//! the rounds' ratios, with the least and the greatest. `DIRKV_BENCH_DIR` says on which filesystem (default: the system's
//! temporary directory), words on the command line choose lines by their name.

mod commits;
mod gets;
mod growth;
mod million;
mod support;

use support::Bench;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    if let Some(job) = std::env::var_os("DIRKV_BENCH_CHILD") {
        return support::child(&job.to_string_lossy());
    }
    let bench = Bench::new(arguments);
    println!("{:<58} {:>8} {:>8} {:>8}  {:>10}", "line", "median", "least", "greatest", "wanted");
    commits::run(&bench);
    gets::run(&bench);
    million::run(&bench);
    growth::run(&bench);
}
