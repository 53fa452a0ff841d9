//! The engine's counters as one JSON text. The names are part of the ABI: new ones may come, none goes.

use std::fmt::Write;

use crate::engine::Stats;

/// One JSON object whose values are numbers.
pub fn json(stats: &Stats) -> String {
    // Taken apart, so that a counter that is added can't be forgotten here.
    let Stats {
        revision,
        tables,
        table_bytes,
        table_entries,
        segments,
        log_bytes,
        memtable_bytes,
        cache_bytes,
        cache_hits,
        cache_misses,
        commits,
        syncs,
        seals,
        compactions,
        compacted_bytes,
    } = *stats;
    let counters = [
        ("revision", revision),
        ("tables", tables),
        ("table_bytes", table_bytes),
        ("table_entries", table_entries),
        ("segments", segments),
        ("log_bytes", log_bytes),
        ("memtable_bytes", memtable_bytes),
        ("cache_bytes", cache_bytes),
        ("cache_hits", cache_hits),
        ("cache_misses", cache_misses),
        ("commits", commits),
        ("syncs", syncs),
        ("seals", seals),
        ("compactions", compactions),
        ("compacted_bytes", compacted_bytes),
    ];
    let mut text = String::from("{");
    for (i, (name, count)) in counters.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        // Writing to a String can't fail.
        let _ = write!(text, "{comma}\"{name}\":{count}");
    }
    text.push('}');
    text
}
