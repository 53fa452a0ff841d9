//! The small bounds: in each small world all rules together hold, and each rule left out is noticed.

use dirkv_protocol::search::{Limits, Report};
use dirkv_protocol::{ROOMS, Room};
use std::time::Duration;

const BYTES: usize = 1 << 30;

fn explore(room: &Room, world: usize, without: &[&str]) -> Report {
    (room.run)(world, without, &Limits { bytes: BYTES, time: Duration::MAX, live_every: 8 })
}

/// Which world of a room is called so.
fn world(room: &Room, name: &str) -> usize {
    let found = room.worlds[..room.small].iter().position(|&world| world == name);
    found.unwrap_or_else(|| panic!("{} has no small world {name}", room.name))
}

#[test]
fn all_rules_together_hold() {
    let mut states = 0;
    for room in ROOMS {
        for (world, name) in room.worlds.iter().enumerate().take(room.small) {
            let report = explore(room, world, &[]);
            println!("{:9} {name:12} {:>9} states, depth {:>3}", room.name, report.states, report.depth);
            assert!(
                report.complete,
                "{name} breaks: replay with `cargo run --release -p dirkv-protocol -- {name}`: {report:?}"
            );
            states += report.states;
        }
    }
    println!("{states} states, all of every small world");
}

#[test]
fn each_rule_left_out_is_noticed() {
    for room in ROOMS {
        for rule in room.rules.iter().filter(|rule| rule.noticed_in.is_some()) {
            let name = rule.noticed_in.unwrap_or_default();
            let report = room.counterexample(world(room, name), &[rule.name], BYTES, Duration::MAX);
            let Some((why, steps)) = report.broken else { panic!("{name} holds without {}: {}", rule.name, rule.text) };
            println!(
                "{:9} -{:18} {name:12} {:>7} states, {:>2} steps: {why}",
                room.name,
                rule.name,
                report.states,
                steps.len()
            );
        }
    }
}

/// What a comment claims of a rule that nothing notices has to stay true.
#[test]
fn a_rule_said_to_be_idle_is_idle() {
    for room in ROOMS {
        for rule in room.rules.iter().filter(|rule| rule.noticed_in.is_none()) {
            for (world, name) in room.worlds.iter().enumerate().take(room.small) {
                let report = explore(room, world, &[rule.name]);
                assert!(report.complete, "{name} notices that {} is left out, after all: {report:?}", rule.name);
            }
        }
    }
}
