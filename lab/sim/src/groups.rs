//! Courses in which threads commit together: their frames queue behind one leader, and one fdatasync is for all of them.

use crate::machine::{Call, EIO, ENOSPC};
use crate::script::Act::{self, Do, Fail, KillAfter, KillAt, Together};
use crate::script::{MOST, Script, batch, create, delete, put, swap};
use crate::world::Op;

/// Threads of the first process.
fn threads<const N: usize>(ops: [Op; N]) -> Act {
    Together(ops.map(|op| (0, op)).to_vec())
}

pub fn scripts() -> Vec<Script> {
    let mut scripts = whole();
    scripts.extend(broken());
    scripts
}

fn whole() -> Vec<Script> {
    vec![
        Script::new(
            "group",
            vec![
                Do(0, put("k", 10)),
                threads([put("k", 600), put("l", 20), put("m", 1_200)]),
                // One of two is refused, by a frame that nobody may know of yet.
                threads([create("n", 10), create("n", 700), Op::Read]),
                threads([swap("k", 600, 30), delete("l")]),
                Do(0, Op::Read),
            ],
        ),
        Script::new(
            "group-rolls",
            vec![
                Do(0, put("k", MOST)),
                threads([put("l", 300), put("m", 800), batch(30)]),
                threads([put("k", 70_000), put("l", 20)]),
                Do(0, Op::Read),
            ],
        ),
        Script::new(
            "group-of-two",
            vec![
                Do(0, put("k", 10)),
                Do(1, put("l", 20)),
                Together(vec![(0, put("k", 600)), (0, put("l", 700)), (1, create("m", 20))]),
                Together(vec![(1, put("k", 30)), (1, delete("l")), (0, Op::Read)]),
                Do(1, Op::Read),
            ],
        ),
        Script::new(
            "os-group",
            vec![
                threads([put("k", 10), put("l", 1_200)]),
                Do(1, Op::Sync),
                threads([put("k", 600), delete("l"), create("m", 20)]),
                Do(1, Op::Read),
            ],
        ),
    ]
}

/// What the group needs fails, or its process is killed.
fn broken() -> Vec<Script> {
    let course = |name: &str, fault: Act| {
        let mut acts = vec![Do(0, put("k", 10)), Do(1, put("l", 20)), fault];
        // The second create is refused by a frame that turns out void.
        acts.push(threads([put("k", 1_300), create("m", 20), create("m", 600)]));
        acts.extend([Do(1, Op::Read), Do(0, put("l", 30)), threads([create("m", 700), put("k", 40)])]);
        Script::new(name, acts)
    };
    vec![
        course("group-sealed", Fail(Call::SyncData, "log-1", 1, EIO)),
        course("group-unwritten", Fail(Call::Write, "log-1", 1, ENOSPC)),
        course("group-left", KillAt(Call::SyncData, "log-1")),
        course("group-left-unsaid", KillAfter(Call::Write, "log-1")),
    ]
}
