//! A run: line after line, all engines of a group interleaved; then the report.

use std::io::Write;

use crate::Result;
use crate::arguments::Arguments;
use crate::bench::Bench;
use crate::engines::Kind;
use crate::lines::{self, Line};
use crate::report::{self, Measured, Report};
use crate::{durable, machine, round};

/// Does what was asked for.
pub fn run(arguments: &Arguments) -> Result<()> {
    let lines = chosen(arguments)?;
    if arguments.list {
        lines.iter().for_each(|line| println!("{:<26} {}  [{}]", line.id, line.title, report::table::reach(line)));
        return Ok(());
    }
    println!("seed {}", arguments.seed);
    let bench = Bench::new(arguments.form.clone(), arguments.seed, &arguments.parent)?;
    let machine = machine::describe(bench.folder(), arguments)?;
    let syncs = durable::count(&bench, &arguments.kinds)?;
    let mut report = Report { machine, syncs, measured: Vec::new() };
    for line in lines {
        print!("{:<26} ", line.id);
        std::io::stdout().flush()?;
        let line = measure(&bench, line, &arguments.kinds)?;
        println!("{}", report::table::short(&line));
        report.measured.push(line);
        report::save(&report, &arguments.out)?;
    }
    report::finish(&report, &arguments.out)
}

fn chosen(arguments: &Arguments) -> Result<Vec<Line>> {
    let wanted = |line: &Line| arguments.only.is_empty() || arguments.only.iter().any(|word| line.id.starts_with(word));
    let lines: Vec<Line> = lines::all(&arguments.form).into_iter().filter(wanted).collect();
    if lines.is_empty() { Err("no line has such a name: see --list".into()) } else { Ok(lines) }
}

/// One line: everyone of a group is made ready, measured in turns, checked, and removed.
fn measure(bench: &Bench, line: Line, kinds: &[Kind]) -> Result<Measured> {
    let mut dice = fastrand::Rng::with_seed(bench.seed);
    let samples = round::measure(&line.groups(kinds), line.rounds, &mut dice, |kind| line.script.stage(bench, kind))
        .map_err(|error| {
            let (id, seed) = (&line.id, bench.seed);
            format!("{id}: {error}\nto have it again: --only {id} --seed {seed}")
        })?;
    Ok(Measured { line, samples })
}
