//! Ordered, revisioned bytes: log, index, tables, compaction. Knows nothing of TTLs, names or locks.
