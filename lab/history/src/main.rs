//! `history SECONDS [SEED]` records and judges histories for so long, each from the seed after the last one's; `history worker
//! TASK` is one of the processes that it starts.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use history::campaign::{Campaign, has_strace};
use history::judge::Judge;
use history::run::{Broken, Counts};
use history::{Result, worker};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        ["worker", task] => work(task),
        [seconds] => long(seconds, None),
        [seconds, seed] => long(seconds, Some(seed)),
        _ => Err("usage: history SECONDS [SEED]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

fn work(task: &str) -> Result<()> {
    worker::work(&serde_json::from_str(task)?)
}

/// Rounds until the time is over, at least one.
fn long(seconds: &str, seed: Option<&str>) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(seconds.parse()?);
    let first = seed.map_or_else(|| Ok(fastrand::u64(..1 << 48)), str::parse)?;
    let program = std::env::current_exe()?;
    let folder = program.parent().ok_or("a program without a folder")?.join("history-judge");
    let judge = Judge::build(&folder)?.ok_or("Go is missing, in which the judge is written")?;
    let campaign = Campaign { program, judge, strace: has_strace(), broken: Broken::default() };
    if !campaign.strace {
        eprintln!("SKIPPED: history: without strace no system call fails");
    }
    println!("histories from seed {first} on");
    let (mut rounds, mut of_leases, mut bad, mut sum) = (0, 0, 0, Counts::default());
    for seed in first.. {
        let round = campaign.round(seed)?;
        rounds += 1;
        of_leases += usize::from(round.plan.leases);
        sum += round.run.counts.clone();
        if !round.problems.is_empty() {
            bad += 1;
            println!("{}", round.keep()?);
        }
        if Instant::now() >= until {
            break;
        }
    }
    let Counts { operations, unanswered, kills, stops, faults, kinds } = sum;
    println!("{rounds} histories ({of_leases} of leases), {operations} operations ({unanswered} unanswered)");
    println!("{kills} kills, {stops} stops, {faults} system calls that failed or took long");
    println!("answered OK: {kinds:?}");
    println!("{bad} of them not good");
    if bad == 0 { Ok(()) } else { Err("what is wrong is said above".into()) }
}
