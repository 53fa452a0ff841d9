//! Whole files: missing, exchanged, another store's, an older copy put back, one that had been removed put back.

use crate::judge::{Count, WAYS, Way, judge, judge_as};
use crate::oracle::{Expected, expected};
use crate::small::{Small, Tail};
use crate::support::Watchdog;

const TAILS: [Tail; 3] = [Tail::Acknowledged, Tail::Unsynced, Tail::Large];

/// Calls `f` with a store of each kind and each way to open it.
fn each(mut f: impl FnMut(&Small, Way, &mut Count)) -> Count {
    let mut count = Count::default();
    for tail in TAILS {
        let small = Small::new(tail);
        WAYS.into_iter().for_each(|way| f(&small, way, &mut count));
    }
    count
}

#[test]
fn each_file_missing() {
    let _watchdog = Watchdog::new("each_file_missing");
    let count = each(|small, way, count| {
        for name in small.memory.files().keys() {
            // A reader makes no LOCK: it sees no store.
            if name == "LOCK" && way.read_only {
                let memory = small.memory.copy();
                memory.take(name);
                judge_as(small, &memory, name, &Expected::Noticed, way, "LOCK removed", count);
            } else {
                judge(small, name, None, way, &format!("{name} removed"), count);
            }
        }
    });
    assert!(count.noticed > 20 && count.harmless > 20 && count.earlier == 0, "{count:?}");
}

#[test]
fn each_pair_exchanged() {
    let _watchdog = Watchdog::new("each_pair_exchanged");
    let count = each(|small, way, count| {
        let files = small.memory.files();
        let names: Vec<&String> = files.keys().collect();
        for (i, one) in names.iter().enumerate() {
            for two in &names[i + 1..] {
                let memory = if way.in_place { small.memory.twin() } else { small.memory.copy() };
                memory.put(one, files[*two].clone());
                memory.put(two, files[*one].clone());
                let alone = |name: &str, other: &str| expected(small, name, Some(&files[other]), way.in_place);
                let both = match [alone(one, two), alone(two, one)] {
                    [Expected::Noticed, _] | [_, Expected::Noticed] => Expected::Noticed,
                    [Expected::Now, Expected::Now] => Expected::Now,
                    _ => Expected::NowOrNoticed,
                };
                judge_as(small, &memory, one, &both, way, &format!("{one} and {two} exchanged"), count);
            }
        }
    });
    assert!(count.noticed > 100 && count.harmless > 10 && count.earlier == 0, "{count:?}");
}

#[test]
fn each_file_of_another_store() {
    let _watchdog = Watchdog::new("each_file_of_another_store");
    let other = Small::seeded(Tail::Acknowledged, 2).memory.files();
    let count = each(|small, way, count| {
        for name in small.memory.files().keys() {
            let Some(bytes) = other.get(name) else { continue };
            judge(small, name, Some(bytes.clone()), way, &format!("{name} of another store"), count);
        }
    });
    assert!(count.noticed > 20 && count.harmless > 20 && count.earlier == 0, "{count:?}");
}

/// An old log in a copied store is a torn tail to the letter: all later frames are gone with their witness.
#[test]
fn an_older_copy_of_each_file() {
    let _watchdog = Watchdog::new("an_older_copy_of_each_file");
    let count = each(|small, way, count| {
        let files = small.memory.files();
        for (name, versions) in small.past.iter().filter(|(name, _)| files.contains_key(*name)) {
            for (age, old) in versions.iter().rev().enumerate().skip(1) {
                judge(small, name, Some(old.clone()), way, &format!("{name} of {age} versions ago"), count);
            }
        }
    });
    assert!(count.noticed > 100 && count.harmless > 10 && count.earlier > 10, "{count:?}");
}

#[test]
fn a_file_that_was_removed_comes_back() {
    let _watchdog = Watchdog::new("a_file_that_was_removed_comes_back");
    let count = each(|small, way, count| {
        let files = small.memory.files();
        for (name, versions) in small.past.iter().filter(|(name, _)| !files.contains_key(*name)) {
            for old in versions {
                let memory = if way.in_place { small.memory.twin() } else { small.memory.copy() };
                memory.put(name, old.clone());
                judge_as(small, &memory, name, &Expected::Now, way, &format!("{name} put back"), count);
            }
        }
    });
    assert!(count.harmless > 100 && count.noticed == 0 && count.earlier == 0, "{count:?}");
}
