//! Power cuts and kills at random calls of random operations, by seed; and machines that lie about being durable, which
//! must be found out.

use dirkv_sim::machine::{Action, Call, Disk, Lies, Machine, Plan};
use dirkv_sim::world::{Handle, Op, World, boot};
use fastrand::Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs the seeds for a while; `DIRKV_SEEDS` asks for others, however long they take: how many, or `from..to`.
fn each_seed(usual: u64, patience: Duration, run: impl Fn(u64)) {
    let asked = std::env::var("DIRKV_SEEDS").ok();
    let seeds = match asked.as_deref().map(|text| text.split_once("..").unwrap_or(("0", text))) {
        Some((from, to)) => from.parse().unwrap()..to.parse().unwrap(),
        None => 0..usual,
    };
    let began = Instant::now();
    for seed in seeds {
        if asked.is_none() && began.elapsed() > patience {
            eprintln!("only {seed} seeds in {patience:?}");
            return;
        }
        run(seed);
    }
}

/// Every fourth store need not survive the power.
fn world(seed: u64) -> World {
    if seed % 4 == 3 { World::of_os(format!("seed {seed}")) } else { World::new(format!("seed {seed}")) }
}

/// One life of the machine: opens, operations by one to three processes, until the cut.
fn live(machine: &Arc<Machine>, world: &mut World, rng: &mut Rng, ops: u64) {
    let mut handles: Vec<Handle> = Vec::new();
    let settings = world.settings();
    let most = rng.usize(1..4);
    for number in 0..ops {
        if machine.is_off() {
            return;
        }
        if handles.is_empty() || handles.len() < most && rng.u8(..6) == 0 {
            match Handle::open(machine, settings) {
                Some(Ok(handle)) => handles.push(handle),
                Some(Err(e)) => panic!("{}: can't open: {e}", world.name),
                None => continue,
            }
        }
        let at = rng.usize(..handles.len());
        match rng.u8(..40) {
            0 => drop(handles.swap_remove(at)),
            1 => {
                handles[at].process.kill();
                handles.swap_remove(at);
            }
            _ => {
                if !world.run(&handles[at], &Op::random(rng, number)) {
                    handles.swap_remove(at);
                }
            }
        }
    }
}

/// A few lives of one disk, each ended by a power cut at any call.
fn cuts(seed: u64, lies: Lies) {
    let mut rng = Rng::with_seed(seed);
    let mut world = world(seed);
    let mut disk = Disk::default();
    for life in 0..rng.u64(1..4) {
        let machine = Machine::boot(disk, rng.u64(..), lies);
        machine.plan(Plan::nth(rng.u64(..400), Action::Cut));
        live(&machine, &mut world, &mut rng, 40);
        disk = machine.cut();
        world.cut();
        let again = boot(disk.clone(), rng.u64(..));
        let handle =
            Handle::open(&again, world.settings()).expect("no plan").unwrap_or_else(|e| panic!("{}: {e}", world.name));
        world.settle(&handle);
        if life % 2 == 0 {
            (0..5).for_each(|n| assert!(world.run(&handle, &Op::random(&mut rng, 1_000 + n))));
            drop(handle);
            disk = again.cut();
            world.cut();
            let last = boot(disk.clone(), rng.u64(..));
            world.settle(&Handle::open(&last, world.settings()).expect("no plan").expect("opens once more"));
        }
    }
}

#[test]
fn nothing_that_anybody_was_told_is_lost_by_a_power_cut() {
    each_seed(2_000, Duration::from_secs(30), |seed| cuts(seed, Lies::default()));
}

/// How many of the seeds found the lie out.
fn caught(lies: Lies) -> usize {
    (0..60).filter(|&seed| catch_unwind(AssertUnwindSafe(|| cuts(seed, lies))).is_err()).count()
}

#[test]
fn a_machine_that_lies_is_found_out() {
    assert_eq!(caught(Lies::default()), 0, "an honest machine");
    let of_syncs = caught(Lies { sync: true, ..Lies::default() });
    let of_names = caught(Lies { dir_sync: true, ..Lies::default() });
    assert!(of_syncs > 5, "skipped fdatasyncs were noticed by {of_syncs} of 60 seeds");
    assert!(of_names > 5, "skipped directory syncs were noticed by {of_names} of 60 seeds");
}

/// Processes killed at any step, a store to the shared page included; others go on, in the same page cache.
fn kills(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let mut world = world(seed);
    let machine = Machine::new(rng.u64(..));
    for _ in 0..rng.usize(1..6) {
        let anywhere = rng.bool();
        let matches = Box::new(move |call, _: &str| anywhere || call == Call::Page);
        machine.plan(Plan { matches, skip: rng.u64(..900), times: 1, action: Action::Kill });
        live(&machine, &mut world, &mut rng, 15);
    }
    machine.no_plan();
    let handle =
        Handle::open(&machine, world.settings()).expect("no plan").unwrap_or_else(|e| panic!("{}: {e}", world.name));
    world.settle(&handle);
    (0..10).for_each(|n| assert!(world.run(&handle, &Op::random(&mut rng, 2_000 + n))));
    drop(handle);
    let disk = machine.cut();
    world.cut();
    world.settle(&Handle::open(&boot(disk, 1), world.settings()).expect("no plan").expect("opens after the cut"));
}

#[test]
fn whoever_is_killed_leaves_whole_batches_and_others_go_on() {
    each_seed(2_000, Duration::from_secs(30), kills);
}
