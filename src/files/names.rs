//! The names of a store's files. No other place knows them.
//!
//! | name | what |
//! |---|---|
//! | `LOCK` | flock target of writers |
//! | `SHARED` | the shared page |
//! | `MANIFEST`, `MANIFEST.tmp` | the manifest, and the next one until it is renamed |
//! | `COMPACT` | flock target of compaction |
//! | `log-<n>`, `table-<n>` | a log segment, a table; `n` is decimal without leading zeros |

/// flock target of writers.
pub const LOCK: &str = "LOCK";
/// The shared page.
pub const SHARED: &str = "SHARED";
/// The manifest.
pub const MANIFEST: &str = "MANIFEST";
/// The next manifest, until it is renamed to [`MANIFEST`].
pub const MANIFEST_NEW: &str = "MANIFEST.tmp";
/// flock target of compaction.
pub const COMPACT: &str = "COMPACT";

const LOG_PREFIX: &str = "log-";
const TABLE_PREFIX: &str = "table-";

/// What a name of ours stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Name {
    /// [`LOCK`].
    Lock,
    /// [`SHARED`].
    Shared,
    /// [`MANIFEST`].
    Manifest,
    /// [`MANIFEST_NEW`].
    ManifestNew,
    /// [`COMPACT`].
    Compact,
    /// The log segment of this number.
    Log(u64),
    /// The table of this number.
    Table(u64),
}

/// The name of a log segment.
pub fn log(number: u64) -> String {
    format!("{LOG_PREFIX}{number}")
}

/// The name of a table.
pub fn table(number: u64) -> String {
    format!("{TABLE_PREFIX}{number}")
}

/// What the name stands for; `None` if it is not one of ours. Every name of ours has exactly one spelling.
pub fn parse(name: &str) -> Option<Name> {
    match name {
        LOCK => Some(Name::Lock),
        SHARED => Some(Name::Shared),
        MANIFEST => Some(Name::Manifest),
        MANIFEST_NEW => Some(Name::ManifestNew),
        COMPACT => Some(Name::Compact),
        _ => {
            let log = name.strip_prefix(LOG_PREFIX).and_then(number).map(Name::Log);
            log.or_else(|| name.strip_prefix(TABLE_PREFIX).and_then(number).map(Name::Table))
        }
    }
}

/// A decimal number without sign and without leading zeros.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spell(name: Name) -> String {
        match name {
            Name::Lock => LOCK.into(),
            Name::Shared => SHARED.into(),
            Name::Manifest => MANIFEST.into(),
            Name::ManifestNew => MANIFEST_NEW.into(),
            Name::Compact => COMPACT.into(),
            Name::Log(n) => log(n),
            Name::Table(n) => table(n),
        }
    }

    #[test]
    fn only_the_one_spelling_is_ours() {
        let foreign = "log- log-01 log-00 log-+1 log--1 log-1a log-1.tmp table- table-٣ log-18446744073709551616 lock LOCK2 MANIFEST.tmp2";
        for name in foreign.split(' ').chain(["", "log-1 ", " LOCK", "log-\u{0}"]) {
            assert!(parse(name).is_none(), "{name:?}");
        }
        assert_eq!(parse("log-0"), Some(Name::Log(0)));
        assert_eq!(parse("log-18446744073709551615"), Some(Name::Log(u64::MAX)));
        for fixed in [Name::Lock, Name::Shared, Name::Manifest, Name::ManifestNew, Name::Compact] {
            assert_eq!(parse(&spell(fixed)), Some(fixed));
        }
    }

    proptest! {
        #[test]
        fn numbers_round_trip(n in any::<u64>()) {
            prop_assert_eq!(parse(&log(n)), Some(Name::Log(n)));
            prop_assert_eq!(parse(&table(n)), Some(Name::Table(n)));
        }

        #[test]
        fn what_parses_spells_itself(name in "(log|table|LOCK)-?[0-9+]{0,21}") {
            if let Some(parsed) = parse(&name) {
                prop_assert_eq!(spell(parsed), name);
            }
        }
    }
}
