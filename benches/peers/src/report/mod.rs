//! What a run leaves: a table, plots, and every figure.

pub mod json;
mod plot;
pub mod table;
mod verdict;

use std::fs;
use std::path::Path;

use crate::Result;
use crate::durable::Syncs;
use crate::engines::Kind;
use crate::lines::Line;
use crate::machine::Machine;
use crate::round::Samples;
use crate::stages::Metric;

/// A line with its samples.
pub struct Measured {
    /// The line.
    pub line: Line,
    /// Of each engine and metric one for each round in which it had a part.
    pub samples: Samples,
}

impl Measured {
    /// The samples of one engine.
    pub fn of(&self, metric: Metric, kind: Kind) -> Option<Vec<f64>> {
        self.samples.get(&(metric, kind)).map(|rounds| rounds.values().copied().collect())
    }

    /// The kinds of figures that this line has.
    pub fn metrics(&self) -> Vec<Metric> {
        let mut metrics: Vec<Metric> = self.samples.keys().map(|(metric, _)| *metric).collect();
        metrics.dedup();
        metrics
    }
}

/// A whole run.
pub struct Report {
    /// On what.
    pub machine: Machine,
    /// How often each engine syncs.
    pub syncs: Syncs,
    /// What came of each line.
    pub measured: Vec<Measured>,
}

/// Writes table and figures to a folder: after each line, since a run may take long and end early.
pub fn save(report: &Report, out: &Path) -> Result<()> {
    fs::create_dir_all(out)?;
    fs::write(out.join("peers.md"), table::markdown(report))?;
    Ok(fs::write(out.join("peers.json"), json::text(report)?)?)
}

/// At the end: prints the table, and adds the plots.
pub fn finish(report: &Report, out: &Path) -> Result<()> {
    println!("\n{}", table::markdown(report));
    plot::write(report, out)?;
    println!("written to {}: peers.md, peers.json and the plots", out.display());
    Ok(())
}
