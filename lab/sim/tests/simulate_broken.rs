//! The proof that the simulator's proof can fail: each breakage in turn, and after how many seeds it is found. A program of its
//! own, since a breakage is one of the whole process.

use dirkv::sabotage::{self, Sabotage};
use dirkv_sim::plan::Plan;
use dirkv_sim::simulate::run;

/// Those for which so many things have to meet that chance takes too long: tests made for them find them (`faults/broken.rs`). And
/// a lost wake-up, since nobody sleeps without a time limit: `lab/concurrency` finds it.
const LEFT_TO_OTHERS: [Sabotage; 8] = [
    Sabotage::Unchained,
    Sabotage::TailUnknown,
    Sabotage::NotRewritten,
    Sabotage::SyncsTogether,
    Sabotage::CommittedFirst,
    Sabotage::ManifestNotRepeated,
    Sabotage::WakeLost,
    Sabotage::RowOfOtherTables,
];

fn found_after(seeds: u64) -> Option<(u64, String)> {
    (0..seeds).find_map(|seed| run(&Plan::of(seed)).err().map(|why| (seed + 1, why)))
}

#[test]
fn each_breakage_is_found() {
    std::panic::set_hook(Box::new(|_| ()));
    let asked = std::env::var("DIRKV_SEEDS").ok().map(|seeds| seeds.parse().unwrap());
    let mut unnoticed = Vec::new();
    for (sabotage, name, what) in Sabotage::ALL {
        let left = LEFT_TO_OTHERS.contains(sabotage);
        if left && asked.is_none() {
            continue;
        }
        sabotage::commit(Some(*sabotage));
        let found = found_after(asked.unwrap_or(12_000));
        sabotage::commit(None);
        match &found {
            Some((seeds, why)) => {
                println!("{name:20} found after {seeds:5} seeds: {}", why.lines().next().unwrap_or_default());
            }
            None => println!("{name:20} NOT FOUND ({what})"),
        }
        if found.is_none() && !left {
            unnoticed.push(*name);
        }
    }
    let _ = std::panic::take_hook();
    assert!(unnoticed.is_empty(), "nothing noticed {unnoticed:?}");
    assert!(found_after(50).is_none(), "a healthy build");
}
