//! Every figure of every round, for who wants to look closer; null where an engine had no part in a round.

use serde_json::{Map, Value, json};

use super::Report;
use crate::Result;

/// The run as one JSON object.
pub fn text(report: &Report) -> Result<String> {
    let line = |measured: &super::Measured| {
        let mut figures = Map::new();
        let last = measured.samples.values().filter_map(|rounds| rounds.keys().last().copied()).max().unwrap_or(0);
        for ((metric, kind), samples) in &measured.samples {
            let of = figures.entry(format!("{metric:?}")).or_insert_with(|| json!({}));
            if let Value::Object(of) = of {
                let rounds: Vec<Option<&f64>> = (0..=last).map(|round| samples.get(&round)).collect();
                of.insert(kind.name().to_owned(), json!(rounds));
            }
        }
        json!({ "id": measured.line.id, "title": measured.line.title, "figures": figures })
    };
    let lines: Vec<Value> = report.measured.iter().map(line).collect();
    Ok(serde_json::to_string_pretty(&json!({ "run": report.machine, "syncs": report.syncs, "lines": lines }))?)
}
