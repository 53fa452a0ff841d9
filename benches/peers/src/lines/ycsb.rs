//! The core workloads of YCSB with durable writes, by two threads; and readers and writers over many processes.

use super::{EVERYONE, Line, Of, SHARING, STORES, count};
use crate::bench::Form;
use crate::choice::Choice;
use crate::stages::{Plan, Who};
use crate::work::{Letter, What};

fn says(letter: Letter) -> &'static str {
    match letter {
        Letter::A => "half reads, half updates",
        Letter::B => "95 % reads, 5 % updates",
        Letter::C => "reads only",
        Letter::D => "95 % reads of the latest, 5 % inserts",
        Letter::E => "95 % scans of up to 100, 5 % inserts",
        Letter::F => "half reads, half read-modify-write",
    }
}

pub fn lines(form: &Form) -> Vec<Line> {
    let plan = |letter| Plan { choice: Choice::Zipf, ..Plan::new(What::Mix(letter), form.hot, 1024) };
    let line = |letter: Letter| {
        let title = format!("YCSB {letter:?}, {} x 1 KiB, durable, 2 threads: {}", count(form.hot), says(letter));
        let id = format!("ycsb.{letter:?}").to_lowercase();
        let plan = plan(letter).by(Who::Threads(2));
        let kinds: &[_] = if plan.what.reads_only() { &EVERYONE } else { &STORES };
        Line::workers(form, id, title, kinds, plan).times(1.0, Of::BestPeer)
    };
    let many = |letter: Letter| {
        let title = format!("the mixture of YCSB {letter:?} by 4 processes");
        let id = format!("ycsb.{letter:?}-processes-4").to_lowercase();
        Line::workers(form, id, title, &SHARING, plan(letter).by(Who::Processes(4))).times(1.0, Of::BestPeer)
    };
    let mut lines: Vec<Line> = Letter::ALL.into_iter().map(line).collect();
    lines.extend([Letter::A, Letter::B].map(many));
    lines
}
