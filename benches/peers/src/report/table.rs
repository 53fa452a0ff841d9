//! The table: ratios, and absolute figures only where the bound is one.

use std::fmt::Write;

use super::verdict::{met, ratio};
use super::{Measured, Report};
use crate::durable::OPERATIONS;
use crate::engines::Kind;
use crate::lines::{Bound, Line, Of, Reach};
use crate::stages::Metric;
use crate::statistics::Figure;

/// The whole file.
pub fn markdown(report: &Report) -> String {
    let mut text = String::from("# dirkv beside its peers\n\n");
    let machine = &report.machine;
    let head = [
        ("date", machine.date.clone()),
        ("command", format!("`{}`", machine.command)),
        ("form", machine.form.clone()),
        ("machine", machine.machine.clone()),
        ("kernel", machine.kernel.clone()),
        ("filesystem", machine.filesystem.clone()),
        ("versions", machine.versions.join(", ")),
        ("load when it began", machine.load.clone()),
    ];
    head.iter().for_each(|(name, value)| line(&mut text, &format!("- {name}: {value}")));
    text.push_str(EXPLAINED);
    rows(&mut text, report);
    rests(&mut text, report);
    syncs(&mut text, report);
    text
}

const EXPLAINED: &str = "
A figure is dirkv's over the other's, so that more than 1 is in dirkv's favour (of memory, disk and latencies the inverse): the
median of the rounds' ratios, and in brackets the middle half of them. `-` does not take part: fjall and the raw limit
belong to one process, the raw limit reads nothing that was changed, and writes all bytes twice, as a log and its tables do, only
where they are many; no peer has locks. An absolute figure stands where the bound is one.

";

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn rows(text: &mut String, report: &Report) {
    let others = &Kind::ALL[1..];
    let names: Vec<String> = others.iter().map(|kind| format!("/ {kind}")).collect();
    line(text, &format!("| line | dirkv | {} | to reach | |", names.join(" | ")));
    line(text, &format!("|---|---|{}---|---|", "---|".repeat(others.len())));
    for measured in &report.measured {
        for metric in measured.metrics().into_iter().filter(|metric| !metric.is_of_rest()) {
            let cells: Vec<String> = others.iter().map(|kind| cell(ratio(measured, metric, *kind))).collect();
            let reaches: Vec<&Reach> = measured.line.reaches.iter().filter(|reach| reach.metric == metric).collect();
            let bounds: Vec<String> = reaches.iter().map(|reach| bound(reach)).collect();
            let verdicts: Vec<&str> = reaches.iter().map(|reach| verdict(&report.measured, measured, reach)).collect();
            let title = if metric == Metric::Rate {
                measured.line.title.clone()
            } else {
                format!("{}: {}", measured.line.title, metric.unit())
            };
            let (own, cells) = (absolute(measured, metric), cells.join(" | "));
            line(text, &format!("| {title} | {own} | {cells} | {} | {} |", bounds.join("; "), verdicts.join("; ")));
        }
    }
}

fn verdict(all: &[Measured], measured: &Measured, reach: &Reach) -> &'static str {
    match met(all, measured, reach) {
        Some(true) => "met",
        Some(false) => "**missed**",
        None => "not measured",
    }
}

/// dirkv's own figure, if it means something by itself.
fn absolute(measured: &Measured, metric: Metric) -> String {
    match measured.of(metric, Kind::Dirkv) {
        Some(samples) if metric != Metric::Rate => {
            let figure = Figure::of(&samples);
            format!("{} ({} to {})", number(figure.median), number(figure.low), number(figure.high))
        }
        _ => "-".to_owned(),
    }
}

fn cell(figure: Option<Figure>) -> String {
    // Of something over nothing there is no figure.
    figure
        .filter(|figure| figure.median.is_finite())
        .map_or_else(|| "-".to_owned(), |f| format!("{} ({} to {})", number(f.median), number(f.low), number(f.high)))
}

/// Three digits that say something.
fn number(number: f64) -> String {
    let digits = if number.abs() >= 100.0 {
        0
    } else if number.abs() >= 10.0 {
        1
    } else {
        2
    };
    format!("{number:.digits$}")
}

/// What a line is to reach, as text.
pub fn reach(line: &Line) -> String {
    line.reaches.iter().map(bound).collect::<Vec<_>>().join("; ")
}

fn bound(reach: &Reach) -> String {
    match reach.bound {
        Bound::Times(times, of) => {
            let whose = match of {
                Of::Kind(kind) => kind.name().to_owned(),
                Of::BestPeer => "the best peer".to_owned(),
                Of::Line(id) => format!("`{id}`"),
            };
            if (times - 1.0).abs() < f64::EPSILON { format!(">= {whose}") } else { format!(">= {times} x {whose}") }
        }
        Bound::Below(bound) => format!("< {bound} {}", reach.metric.unit()),
        Bound::AtLeast(bound) => format!(">= {bound} {}", reach.metric.unit()),
    }
}

/// A line as it is printed while the run goes on.
pub fn short(measured: &Measured) -> String {
    let mut text = String::new();
    for metric in measured.metrics().into_iter().filter(|metric| !metric.is_of_rest()) {
        if metric != Metric::Rate {
            let _ = write!(text, "{} {}  ", absolute(measured, metric), metric.unit());
        }
        for kind in &Kind::ALL[1..] {
            if let Some(figure) = ratio(measured, metric, *kind) {
                let _ = write!(text, "{} {}  ", kind, number(figure.median));
            }
        }
    }
    text.trim_end().to_owned()
}

const RESTS: &str = "
## What is left to a rest

After each turn in which something was written an engine comes to rest before the next one's turn, and no figure above counts that. For
the lines of threads, in percent, medians of the rounds: processor time of the rest over the time of the turn with its preparation and
warm-up; bytes that the rest made dirty for the disk over those of the turn.

";

fn rests(text: &mut String, report: &Report) {
    let has_rest = |measured: &&Measured| measured.metrics().iter().any(|metric| metric.is_of_rest());
    let lines: Vec<&Measured> = report.measured.iter().filter(has_rest).collect();
    if lines.is_empty() {
        return;
    }
    let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    text.push_str(RESTS);
    line(text, &format!("| line | {} |", names.join(" | ")));
    line(text, &format!("|---|{}", "---|".repeat(names.len())));
    for measured in lines {
        let median = |metric, kind| measured.of(metric, kind).map(|samples| number(Figure::of(&samples).median));
        let cell = |kind: &Kind| {
            let halves = [Metric::RestBusy, Metric::RestWritten].map(|metric| median(metric, *kind));
            halves.map(|half| half.unwrap_or_else(|| "-".to_owned())).join("; ")
        };
        let cells: Vec<String> = Kind::ALL.iter().map(cell).collect();
        line(text, &format!("| {} | {} |", measured.line.title, cells.join(" | ")));
    }
}

fn syncs(text: &mut String, report: &Report) {
    if report.syncs.is_empty() {
        return;
    }
    line(text, "\n## What a durable commit asks of the kernel\n\nCounted by strace, for each commit of one thread.\n");
    let names: Vec<&str> = OPERATIONS.iter().map(|(name, _)| *name).collect();
    line(text, &format!("| engine | {} |", names.join(" | ")));
    line(text, &format!("|---|{}", "---|".repeat(names.len())));
    for (kind, operations) in &report.syncs {
        line(text, &format!("| {kind} | {} |", operations.join(" | ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Form;
    use crate::lines;
    use crate::machine::Machine;
    use crate::round::Samples;

    fn measured(id: &str, samples: &[(Metric, Kind, &[f64])]) -> Measured {
        let line = lines::all(&Form::short()).into_iter().find(|line| line.id == id).unwrap();
        let samples: Samples =
            samples.iter().map(|(m, k, s)| ((*m, *k), (0..).zip(s.iter().copied()).collect())).collect();
        Measured { line, samples }
    }

    fn table(measured: Vec<Measured>) -> String {
        let none = String::new;
        let machine = Machine {
            date: none(),
            command: none(),
            form: none(),
            machine: none(),
            kernel: none(),
            filesystem: none(),
            versions: Vec::new(),
            load: none(),
        };
        let syncs = vec![(Kind::Dirkv, vec!["1.00 fdatasync".to_owned(); OPERATIONS.len()])];
        markdown(&Report { machine, syncs, measured })
    }

    #[test]
    fn a_rate_is_a_ratio_with_its_verdict() {
        let rate = Metric::Rate;
        let text = table(vec![measured("get.threads-1", &[(rate, Kind::Dirkv, &[30.0]), (rate, Kind::Lmdb, &[10.0])])]);
        assert!(text.contains("| - | 3.00 (3.00 to 3.00) | - | - | - | - | - | >= 2 x LMDB | met |"), "{text}");
        assert!(text.contains("| dirkv | 1.00 fdatasync | 1.00 fdatasync |"), "{text}");
    }

    #[test]
    fn a_bound_on_both_sides_is_told_twice() {
        let rate = Metric::Rate;
        let samples = [
            (rate, Kind::Dirkv, &[9.0][..]),
            (rate, Kind::Raw, &[10.0]),
            (rate, Kind::Sqlite, &[6.0]),
            (rate, Kind::Redb, &[8.0]),
        ];
        let text = table(vec![measured("upsert.threads-1", &samples)]);
        assert!(text.contains(">= 0.95 x raw; >= the best peer | **missed**; met |"), "{text}");
    }

    #[test]
    fn less_memory_is_better_and_told_absolutely() {
        let samples = [(Metric::PrivateMiB, Kind::Dirkv, &[20.0][..]), (Metric::PrivateMiB, Kind::Redb, &[30.0])];
        let text = table(vec![measured("get.large", &samples)]);
        assert!(
            text.contains("MiB private | 20.0 (20.0 to 20.0) | - | - | 1.50 (1.50 to 1.50) | - | - | - |"),
            "{text}"
        );
        assert!(text.contains("< 32 MiB private | met |"), "{text}");
    }

    #[test]
    fn what_is_left_to_a_rest_has_a_table_of_its_own() {
        let samples = [
            (Metric::Rate, Kind::Dirkv, &[1.0][..]),
            (Metric::RestBusy, Kind::Dirkv, &[2.5, 3.5, 30.0]),
            (Metric::RestWritten, Kind::Dirkv, &[40.0]),
        ];
        let text = table(vec![measured("upsert.threads-1", &samples)]);
        assert!(text.contains("1 thread | 3.50; 40.0 | -; - |"), "{text}");
        assert!(!text.contains("at rest"), "{text}");
        assert!(!table(vec![measured("get.threads-1", &[(Metric::Rate, Kind::Dirkv, &[1.0])])]).contains("to a rest"));
    }

    #[test]
    fn another_line_can_be_the_measure() {
        let rate = Metric::Rate;
        let alone = || measured("get.alone", &[(rate, Kind::Dirkv, &[100.0])]);
        let beside = |own| measured("get.beside-a-writer", &[(rate, Kind::Dirkv, &[own])]);
        assert!(table(vec![alone(), beside(81.0)]).contains("| >= 0.8 x `get.alone` | met |"));
        assert!(table(vec![alone(), beside(79.0)]).contains("| >= 0.8 x `get.alone` | **missed** |"));
        assert!(table(vec![beside(79.0)]).contains("| >= 0.8 x `get.alone` | not measured |"));
    }
}
