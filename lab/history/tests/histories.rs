//! The judge finds what is planted, in histories made by hand and in those of a broken store, and nothing in those of a sound
//! one. `DIRKV_TEST_SEED` repeats a run.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use history::campaign::{Campaign, Round, has_strace};
use history::history::{Answer, Ask, KILLED, Operation};
use history::judge::Judge;
use history::plan::Plan;
use history::run::{Broken, Counts};

/// A judge of its own for each test, since they run side by side; says so if it can't be had here.
fn judge(test: &str) -> Option<Judge> {
    let judge = Judge::build(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(test)).unwrap_or_else(|e| panic!("{e}"));
    if judge.is_none() {
        skipped(test, "needs Go");
    }
    judge
}

/// Past the test harness, which would keep it to itself.
fn skipped(test: &str, why: &str) {
    let _ = writeln!(io::stderr(), "\nSKIPPED: {test}: {why}");
}

/// The first seed of a test: from the environment, else random; printed, so that a run can be had again.
fn seed() -> u64 {
    let told = std::env::var("DIRKV_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = told.unwrap_or_else(|| fastrand::u64(..1 << 48));
    println!("DIRKV_TEST_SEED={seed}");
    seed
}

#[test]
fn what_is_planted_is_found() {
    let Some(judge) = judge("what_is_planted_is_found") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("planted")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        // The judge draws its picture beside the history.
        let copy = folder.path().join(name);
        fs::copy(&path, &copy).unwrap();
        let verdict = judge.judge(&copy).unwrap();
        assert_eq!(verdict.good, name.starts_with("good-"), "{}", verdict.text);
        assert!(
            verdict.good || name == "bad-corrupt.jsonl" || has_picture(folder.path(), name),
            "no picture of {name}"
        );
        found.push(name.to_owned());
    }
    for wanted in ["bad-stale-read", "bad-lost-update", "bad-two-holders", "bad-seen-after-its-end", "good-unknown"] {
        assert!(found.contains(&format!("{wanted}.jsonl")), "{wanted} is gone");
    }
}

/// The judge's own style, as Go's tools see it.
#[test]
fn the_judge_is_formatted_and_vetted() {
    if judge("the_judge_is_formatted_and_vetted").is_none() {
        return;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("judge");
    for (program, args) in [("gofmt", &["-l", "."][..]), ("go", &["vet", "."])] {
        let output = Command::new(program).args(args).current_dir(&source).output().unwrap();
        assert!(output.status.success() && output.stdout.is_empty(), "{program}: {output:?}");
    }
}

fn has_picture(folder: &Path, history: &str) -> bool {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.into_iter().any(|name| name.starts_with(history) && name.ends_with(".html"))
}

/// A read that nothing explains, after so many changes that may have happened that nobody can try all orders.
#[test]
fn what_cannot_be_decided_is_not_good() {
    let Some(judge) = judge("what_cannot_be_decided_is_not_good") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let mut operations: Vec<Operation> = (0..60)
        .map(|n| {
            let (key, value) = (format!("a/{}", n % 6), format!("{n}"));
            let answer = Answer { outcome: KILLED.to_owned(), ..Answer::default() };
            Operation { process: n, thread: 0, ask: Ask::Upsert { key, value, ttl: 0 }, call: 1, returned: 2, answer }
        })
        .collect();
    let answer = Answer { outcome: "OK".to_owned(), value: "nobody's".to_owned(), ..Answer::default() };
    let ask = Ask::Get { key: "a/0".to_owned() };
    operations.push(Operation { process: 60, thread: 0, ask, call: 3, returned: 4, answer });
    let lines: Vec<String> = operations.iter().map(|o| serde_json::to_string(o).unwrap()).collect();
    fs::write(&path, lines.join("\n")).unwrap();
    let verdict = judge.judge_within(Duration::from_millis(200), &path).unwrap();
    assert!(!verdict.good && verdict.text.contains("not decided"), "{}", verdict.text);
}

fn campaign(test: &str, broken: Broken) -> Option<Campaign> {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_history"));
    Some(Campaign { program, judge: judge(test)?, strace: has_strace(), broken })
}

const OF_VALUES: usize = 12;
const OF_LEASES: usize = 4;
/// So many histories of a broken store may look sound.
const MOST: usize = 48;

#[test]
fn one_order_explains_what_a_sound_store_answers() {
    const TEST: &str = "one_order_explains_what_a_sound_store_answers";
    let Some(campaign) = campaign(TEST, Broken::default()) else { return };
    if !campaign.strace {
        skipped(TEST, "without strace no system call fails");
    }
    let (mut sum, mut ended) = (Counts::default(), false);
    let first = seed();
    let of = |leases| (first..).filter(move |seed| Plan::draw(*seed, campaign.strace).leases == leases);
    for seed in of(false).take(OF_VALUES).chain(of(true).take(OF_LEASES)) {
        let round = campaign.round(seed).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        sum += round.run.counts.clone();
        assert!(round.problems.is_empty(), "{}", round.keep().unwrap());
        ended = ended || !round.plan.leases && needs_ends(&campaign.judge, &round);
    }
    assert!(ended, "no value was seen to end");
    println!("{sum:?}");
    assert!(sum.operations > 1_000 && sum.kills > 0 && sum.stops > 0, "{sum:?}");
    assert!(sum.faults > 0 || !campaign.strace, "{sum:?}");
    for kind in CALLS.iter().flat_map(|call| [(*call).to_owned(), format!("dirkv_{call}")]) {
        assert!(sum.kinds.get(&kind).is_some_and(|count| *count > 0), "never answered: {kind}; {sum:?}");
    }
}

/// The calls, each of which is to be answered `OK` in Rust and in C.
const CALLS: [&str; 18] = [
    "get",
    "get_item",
    "exists",
    "create",
    "upsert",
    "compare_and_swap",
    "put_if_revision",
    "touch",
    "delete",
    "delete_if_revision",
    "upsert_items",
    "delete_bucket",
    "items",
    "keys",
    "acquire_lock",
    "release_lock",
    "renew_lock",
    "locks",
];

/// Whether the same history is not good any more if every value were to last for ever: then one has ended.
fn needs_ends(judge: &Judge, round: &Round) -> bool {
    let text = fs::read_to_string(round.history()).unwrap();
    let for_ever = |line| {
        let mut operation: Operation = serde_json::from_str(line).unwrap();
        operation.ask.last_for_ever();
        let listed = operation.answer.listing.iter_mut().map(|entry| &mut entry.expires);
        listed.chain([&mut operation.answer.expires]).for_each(|expires| *expires = 0);
        serde_json::to_string(&operation).unwrap()
    };
    let lines: Vec<String> = text.lines().map(for_ever).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("for-ever.jsonl");
    fs::write(&path, lines.join("\n")).unwrap();
    let verdict = judge.judge_within(Duration::from_secs(5), &path).unwrap();
    verdict.text.contains("no order explains it")
}

/// Rounds of the plans that may show it, until somebody notices.
fn found(name: &str, broken: Broken, may_show: impl Fn(&Plan) -> bool) {
    let Some(campaign) = campaign(name, broken) else { return };
    let seeds = (seed()..).filter(|seed| may_show(&Plan::draw(*seed, campaign.strace)));
    let problem = |seed| {
        let Round { problems, .. } = campaign.round(seed).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        problems.into_iter().next()
    };
    let found = seeds.take(MOST).enumerate().find_map(|(n, seed)| Some((n + 1, seed, problem(seed)?)));
    let (rounds, seed, problem) = found.unwrap_or_else(|| panic!("{name}: nobody noticed"));
    println!("{name} was found by history {rounds}, seed {seed}: {problem}");
}

/// The same of what `DIRKV_SABOTAGE` may break.
fn found_sabotage(name: &'static str, may_show: impl Fn(&Plan) -> bool) {
    found(name, Broken { sabotage: Some(name), ahead: 0 }, may_show);
}

/// What is put with such a clock ends too early, or too late.
#[test]
fn a_clock_that_is_wrong_is_found() {
    for ahead in [-20_000_000, 20_000_000] {
        found("a wrong clock", Broken { sabotage: None, ahead }, |plan| !plan.leases);
    }
}

#[test]
fn a_stale_read_is_found() {
    found_sabotage("stale-read", |_| true);
}

#[test]
fn a_lost_update_is_found() {
    found_sabotage("lost-update", |_| true);
}

/// What is shown too early is a lie only if it never happens: if syncs fail.
#[test]
fn a_pending_version_that_is_shown_is_found() {
    if !has_strace() {
        return skipped("a_pending_version_that_is_shown_is_found", "needs strace");
    }
    found_sabotage("pending-shown", |plan| plan.sync == "full" && plan.fails("fdatasync"));
}

#[test]
fn an_ignored_lock_is_found() {
    found_sabotage("lock-ignored", |_| true);
}
