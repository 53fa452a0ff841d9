//! Every byte of each file flipped, every length cut to, every file made longer: opened for reading and for writing, in place
//! and as a copy.

use dirkv::format::segment::Header;

use crate::judge::{Count, WAYS, everything, judge, ways};
use crate::oracle::{frames, used};
use crate::small::{Small, Tail};
use crate::support::Watchdog;

/// The flips of a byte: each bit, and all of them; in the short form one bit, which is another from byte to byte, but all of
/// them where each is a case of its own, in what the log's end is found by.
fn flips(name: &str, at: usize, live: &str) -> Vec<u8> {
    let bits = (0..8).map(|bit| 1 << bit).chain([0xff]);
    if everything() || name == "MANIFEST" || name == live { bits.collect() } else { vec![1 << (at % 8)] }
}

/// Every place of a file; in the short form every so many of the zeros behind what it holds, and of what a table holds but
/// for its ends.
fn is_tried(name: &str, at: usize, len: usize, used: usize) -> bool {
    let inside = name.starts_with("table-") && (400..len - 400).contains(&at) || at > used + 8;
    everything() || !inside || at.is_multiple_of(13)
}

fn flip_all(tail: Tail, watchdog: &Watchdog) {
    let small = Small::new(tail);
    let files = small.memory.files();
    let (mut count, mut case) = (Count::default(), 0);
    for (name, bytes) in &files {
        let used = used(&files, name);
        for at in (0..bytes.len()).filter(|at| is_tried(name, *at, bytes.len(), used)) {
            watchdog.goes_on();
            for (nth, flip) in flips(name, at, &small.live()).into_iter().enumerate() {
                let mut bad = bytes.clone();
                bad[at] ^= flip;
                case += 1;
                let what = format!("byte {at} of {name} ^ {flip:#x} ({tail:?})");
                for way in ways(case + nth + at / 3) {
                    judge(&small, name, Some(bad.clone()), way, &what, &mut count);
                }
            }
        }
    }
    println!("flips, {tail:?}: {count:?}");
    assert!(count.noticed > 1000 && count.harmless > 100 && count.earlier > 10, "{count:?}");
}

#[test]
fn every_byte_flipped() {
    flip_all(Tail::Acknowledged, &Watchdog::new("every_byte_flipped"));
}

#[test]
fn every_byte_flipped_of_a_store_that_is_synced_seldom() {
    flip_all(Tail::Unsynced, &Watchdog::new("every_byte_flipped_of_a_store_that_is_synced_seldom"));
}

#[test]
fn every_length() {
    let watchdog = Watchdog::new("every_length");
    let mut count = Count::default();
    for tail in [Tail::Acknowledged, Tail::Unsynced, Tail::Large] {
        let small = Small::new(tail);
        let files = small.memory.files();
        for (name, bytes) in &files {
            let used = used(&files, name);
            for len in (0..bytes.len()).filter(|len| is_tried(name, *len, bytes.len(), used)) {
                watchdog.goes_on();
                for way in ways(len) {
                    let what = format!("{name} cut to {len} bytes ({tail:?})");
                    judge(&small, name, Some(bytes[..len].to_vec()), way, &what, &mut count);
                }
            }
        }
    }
    println!("lengths: {count:?}");
    assert!(count.noticed > 1000 && count.harmless > 100 && count.earlier > 10, "{count:?}");
}

/// What is appended to a file, and what is written behind the log's end, where zeros should be.
fn additions(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rng = fastrand::Rng::with_seed(bytes.len() as u64);
    let noise = |rng: &mut fastrand::Rng, len: usize| (0..len).map(|_| rng.u8(..)).collect::<Vec<u8>>();
    let mut all = vec![vec![0], vec![0; 5000], vec![0xff; 700]];
    all.extend([1, 31, 512, 4096].map(|len| noise(&mut rng, len)));
    // The file's own bytes once more: frames at another place, a second footer, a second manifest.
    all.extend([bytes.to_vec(), bytes[bytes.len() / 2..].to_vec(), bytes[bytes.len().min(64)..].to_vec()]);
    all
}

#[test]
fn garbage_and_more_at_the_end() {
    let _watchdog = Watchdog::new("garbage_and_more_at_the_end");
    let mut count = Count::default();
    for tail in [Tail::Acknowledged, Tail::Unsynced, Tail::Large] {
        let small = Small::new(tail);
        for (name, bytes) in &small.memory.files() {
            let ends = match name.starts_with("log-").then(|| Header::decode(bytes)) {
                Some(Ok(header)) => frames(bytes, &header).last().map_or(64, |(at, len)| (at + len) as usize),
                _ => bytes.len(),
            };
            for (nth, more) in additions(&bytes[..ends]).into_iter().enumerate().filter(|(_, more)| !more.is_empty()) {
                for at in [bytes.len(), ends] {
                    let mut bad = bytes.clone();
                    bad.resize(bad.len().max(at + more.len()), 0);
                    bad[at..at + more.len()].copy_from_slice(&more);
                    let what = format!("{} bytes of the {nth}. kind at {at} of {name} ({tail:?})", more.len());
                    WAYS.iter().for_each(|way| judge(&small, name, Some(bad.clone()), *way, &what, &mut count));
                }
            }
        }
    }
    println!("additions: {count:?}");
    assert!(count.noticed > 100 && count.harmless > 100 && count.earlier == 0, "{count:?}");
}
