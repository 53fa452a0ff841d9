//! The proof that the proof runs: broken on purpose, the engine fails these stories within a bounded number of schedules. A test
//! program of its own with one test, since what is broken is broken for the whole process.

use dirkv::sabotage::{Sabotage, commit};
use dirkv_concurrency::{explore::fails_after, stories};

/// So many schedules are tried before a breakage counts as unnoticed. The seed is always the same, so either all of this always
/// passes, or it never does.
const MOST: usize = 4_000;
const SEED: u64 = 1;

type Story = (&'static str, fn());

const COMMITS: Story = ("commits", stories::commits);
const CONDITIONS: Story = ("conditions", stories::conditions);
const FAILURES: Story = ("failures", stories::failures);
const LEASES: Story = ("leases", stories::leases);
const ROLLS: Story = ("rolls", stories::rolls);

const FOUND: [(&str, Story); 21] = [
    ("rule-3", COMMITS),
    ("rule-4", ROLLS),
    ("rule-5", CONDITIONS),
    ("rule-8", FAILURES),
    ("rule-9", FAILURES),
    ("rule-10", FAILURES),
    ("rule-12", ROLLS),
    ("rule-13", ROLLS),
    ("rule-17", FAILURES),
    ("rule-18", ROLLS),
    ("no-fdatasync", COMMITS),
    ("publish-before-sync", FAILURES),
    ("no-directory-sync", COMMITS),
    ("lock-ignored", COMMITS),
    ("pending-shown", FAILURES),
    ("merge-keeps-older", ROLLS),
    ("stale-read", COMMITS),
    ("lost-update", CONDITIONS),
    ("lost-update", LEASES),
    ("wake-lost", COMMITS),
    ("wake-lost", LEASES),
];

#[test]
fn what_is_broken_on_purpose_is_found() {
    let mut unnoticed = Vec::new();
    for (name, (story, run)) in FOUND {
        let found = Sabotage::ALL.iter().find(|(_, known, _)| *known == name);
        let (sabotage, _, what) = found.unwrap_or_else(|| panic!("no sabotage {name}"));
        commit(Some(*sabotage));
        match fails_after(SEED, MOST, run) {
            Some(schedules) => println!("{name} ({what}): {story} fails after {schedules} schedules"),
            None => unnoticed.push((name, story)),
        }
    }
    assert!(unnoticed.is_empty(), "unnoticed in {MOST} schedules: {unnoticed:?}");
}
