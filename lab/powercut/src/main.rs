//! The parts that the lab's processes play, and what a person types: `powercut run`, `powercut replay`.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use dirkv_powercut::drive::{Kind, unable};
use dirkv_powercut::probe::probe;
use dirkv_powercut::run::{Plan, Recorded, replay};
use dirkv_powercut::sufferer;
use dirkv_powercut::worker::{Failure, work};

const USAGE: &str = "powercut run SECONDS [SEED]: cuts the power of every filesystem until the time is over
powercut replay FOLDER: makes the cut of a failure again
powercut sabotage NAME CUTS [SEED]: in how many cuts what workers break on purpose is found out";

/// How many cuts are made of one recording.
const CUTS: u64 = 50;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match play(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

fn play(args: &[&str]) -> Result<(), Failure> {
    match *args {
        ["work", orders] => work(&serde_json::from_str(orders)?),
        ["probe", orders] => probe(&serde_json::from_str(orders)?),
        ["fill", orders] => sufferer::fill(&serde_json::from_str(orders)?),
        ["suffer-reads", orders] => sufferer::read(&serde_json::from_str(orders)?),
        ["suffer-writes", orders] => sufferer::write(&serde_json::from_str(orders)?),
        ["settle", orders] => sufferer::settle(&serde_json::from_str(orders)?),
        ["run", seconds] => run(seconds.parse()?, fastrand::u64(..1 << 32)),
        ["run", seconds, seed] => run(seconds.parse()?, seed.parse()?),
        ["sabotage", name, cuts] => sabotage(name, cuts.parse()?, fastrand::u64(..1 << 32)),
        ["sabotage", name, cuts, seed] => sabotage(name, cuts.parse()?, seed.parse()?),
        ["replay", folder] => {
            replay(&std::env::current_exe()?, Path::new(folder))?;
            println!("this time nothing was lost");
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

fn run(seconds: u64, seed: u64) -> Result<(), Failure> {
    if let Some(why) = unable() {
        println!("SKIPPED: powercut: {why}");
        return Ok(());
    }
    let until = Instant::now() + Duration::from_secs(seconds);
    println!("seed {seed}");
    std::thread::scope(|scope| {
        let all = Kind::ALL.map(|kind| scope.spawn(move || cuts(kind, seed, until)));
        all.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })
}

/// Recordings of one filesystem, and cuts of each.
fn cuts(kind: Kind, first: u64, until: Instant) -> Result<(), Failure> {
    let program = std::env::current_exe()?;
    let (mut cuts, mut recordings, mut flushes) = (0, 0, 0);
    for seed in first.. {
        if Instant::now() > until {
            break;
        }
        let recorded = Recorded::new(&program, Plan { kind, seed, steps: 60, sabotage: None })?;
        recordings += 1;
        flushes += recorded.recording.flushes().len();
        for cut in (0..CUTS).map(|n| seed * CUTS + n) {
            if Instant::now() > until {
                break;
            }
            if let Err(e) = recorded.cut(cut, cut % 2 == 0) {
                let folder = recorded.keep(cut, &e)?;
                let program = program.display();
                return Err(format!("{}: {e}\nreplay: {program} replay {}", kind.name(), folder.display()).into());
            }
            cuts += 1;
        }
    }
    println!("{}: {recordings} recordings with {flushes} flushes, {cuts} cuts, nothing lost", kind.name());
    Ok(())
}

/// Counts the cuts that find out what is broken.
fn sabotage(name: &str, cuts: u64, seed: u64) -> Result<(), Failure> {
    let program = std::env::current_exe()?;
    for kind in Kind::ALL {
        let plan = Plan { kind, seed, steps: 60, sabotage: Some(name.to_owned()) };
        let found = Recorded::new(&program, plan).map(|recorded| {
            let failures = (0..cuts).filter_map(|cut| recorded.cut(cut, false).err());
            failures.inspect(|e| println!("{e}")).count()
        });
        match found {
            Ok(found) => println!("{name} on {}: found out in {found} of {cuts} cuts", kind.name()),
            Err(e) => println!("{name} on {}: found out before any cut: {e}", kind.name()),
        }
    }
    Ok(())
}
