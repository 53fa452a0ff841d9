//! Explores the models. `cargo run --release -p dirkv-protocol -- help` says how.

use dirkv_protocol::search::{Limits, Report};
use dirkv_protocol::{ROOMS, Room};
use std::time::{Duration, Instant};

const HELP: &str = "dirkv-protocol [SECONDS]            all rules, every world, within the time (600)
dirkv-protocol rules                every rule
dirkv-protocol mutate [SECONDS]     each rule left out: what notices it
dirkv-protocol WORLD [-RULE]...     one world, all rules but those named; a counterexample step by step
dirkv-protocol help";

const MEMORY: usize = 6 << 30;

fn print(room: &Room, world: usize, report: &Report) {
    let result = match &report.broken {
        Some((why, steps)) => format!("BROKEN in {} steps: {why}", steps.len()),
        None if report.complete => "holds, complete".into(),
        None => "holds as far as explored".into(),
    };
    let (states, depth, took) = (report.states, report.depth, report.took.as_secs_f32());
    println!(
        "{:9} {:12} {states:>11} states, depth {depth:>3}, {took:>6.1} s: {result}",
        room.name, room.worlds[world]
    );
}

/// Every world in turn; what one leaves of its share of the time is the others'. True if all hold.
fn all(time: Duration) -> bool {
    let began = Instant::now();
    let worlds: Vec<_> = ROOMS.iter().flat_map(|room| (0..room.worlds.len()).map(move |w| (room, w))).collect();
    let (mut states, mut complete, mut broken) = (0, 0, 0);
    for (i, &(room, world)) in worlds.iter().enumerate() {
        let time = time.saturating_sub(began.elapsed()) / (worlds.len() - i) as u32;
        let report = (room.run)(world, &[], &Limits { bytes: MEMORY, time, live_every: 16 });
        print(room, world, &report);
        states += report.states;
        complete += usize::from(report.complete);
        broken += usize::from(report.broken.is_some());
    }
    println!("{states} states in {} worlds, {complete} of them completely; {broken} broken", worlds.len());
    broken == 0
}

/// The first world that notices that the rule is left out.
fn mutate(room: &Room, rule: &str, time: Duration) -> bool {
    (0..room.worlds.len()).any(|world| {
        let report = room.counterexample(world, &[rule], MEMORY, time);
        print(room, world, &report);
        report.broken.is_some()
    })
}

fn one(name: &str, without: &[&str]) -> bool {
    let found = ROOMS.iter().find_map(|room| Some((room, room.worlds.iter().position(|&w| w == name)?)));
    let Some((room, world)) = found else { panic!("no world {name}\n{HELP}") };
    let report = room.counterexample(world, without, MEMORY, Duration::MAX);
    print(room, world, &report);
    let Some((why, steps)) = report.broken else { return true };
    steps.iter().enumerate().for_each(|(i, step)| println!("{:3} {step}", i + 1));
    println!("    {why}");
    false
}

fn seconds(arg: Option<&&str>, default: u64) -> Duration {
    Duration::from_secs(arg.map_or(default, |arg| arg.parse().expect("a number of seconds")))
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let held = match args.as_slice() {
        ["help"] => {
            println!("{HELP}");
            true
        }
        ["rules"] => {
            ROOMS.iter().for_each(|room| {
                println!("{}: {}", room.name, room.about);
                room.rules.iter().for_each(|rule| println!("  {:18} {}", rule.name, rule.text));
            });
            true
        }
        ["mutate", rest @ ..] => {
            let rules = ROOMS.iter().flat_map(|room| room.rules.iter().map(move |rule| (room, rule)));
            let astray = rules.filter(|(room, rule)| {
                println!("\nwithout {}: {}", rule.name, rule.text);
                let noticed = mutate(room, rule.name, seconds(rest.first(), 60));
                if !noticed {
                    println!("NOT NOTICED: {}", rule.name);
                }
                noticed != rule.noticed_in.is_some()
            });
            astray.count() == 0
        }
        [] => all(seconds(None, 600)),
        [time] if time.parse::<u64>().is_ok() => all(seconds(Some(time), 0)),
        [name, without @ ..] => {
            let rule =
                |arg: &&str| arg.strip_prefix('-').map(str::to_owned).unwrap_or_else(|| panic!("{arg}?\n{HELP}"));
            let without: Vec<String> = without.iter().map(rule).collect();
            one(name, &without.iter().map(String::as_str).collect::<Vec<_>>())
        }
    };
    std::process::exit(i32::from(!held));
}
