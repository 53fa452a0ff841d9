//! What each target begins with: real structures, real texts, and random bytes that describe calls and damage. The same each
//! time, so that the committed ones can be made again.

use fastrand::Rng;

use crate::ops::{Change, body};
use crate::packed::{Entry, pack};
use crate::reseal;
use crate::small::{Small, Tail};

/// The seeds of a target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "frame" => [frames(), described(24, &[2])].concat(),
        "manifest" => [manifests(), described(8, &[2])].concat(),
        "names" => [names(), described(16, &[])].concat(),
        "packed" => [blocks(), described(12, &[2])].concat(),
        "params" => params(),
        "segment" => [headers(), described(32, &[2])].concat(),
        "table" => [parts(), described(20, &[4])].concat(),
        _ => described(32, &[]),
    }
}

/// Random bytes, small numbers more often than large ones, behind a first byte that says of what kind they are.
fn described(count: usize, first: &[u8]) -> Vec<Vec<u8>> {
    let mut rng = Rng::with_seed(count as u64);
    let mut seed = |n: usize| {
        let len = 16 + n * n * 3;
        let mut byte = || if rng.bool() { rng.u8(..) } else { rng.u8(..4) };
        first.iter().copied().chain(std::iter::repeat_with(&mut byte).take(len)).collect()
    };
    (0..count).map(&mut seed).collect()
}

fn with(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind], bytes].concat()
}

fn frames() -> Vec<Vec<u8>> {
    let key = |text: &str| text.as_bytes().to_vec();
    let mut changes = [
        Change::DeleteRange { start: key("a\x01"), end: key("a\x02") },
        Change::Put { key: key("bucket\x01one"), tag: 7, value: vec![5; 40] },
        Change::Put { key: key("bucket\x01two"), tag: 0, value: Vec::new() },
        Change::Delete { key: key("bucket\x01t") },
    ];
    let mut frame = Vec::new();
    body(&mut changes).write_frame(&mut frame, 0x5a17, 64, 99, 5);
    let mut flipped = frame.clone();
    flipped[40] ^= 4;
    let mut empty = Vec::new();
    body(&mut []).write_frame(&mut empty, 0x5a17, 64, 0, 0);
    vec![with(0, &frame), with(0, &flipped), with(1, &frame), with(1, &flipped), with(0, &empty), with(1, &empty)]
}

fn manifests() -> Vec<Vec<u8>> {
    let small = Small::new(Tail::Acknowledged);
    let mut seeds = Vec::new();
    for bytes in small.past["MANIFEST"].iter().rev().step_by(2).take(5) {
        let mut flipped = bytes.clone();
        flipped[17] ^= 1;
        seeds.extend([with(0, bytes), with(1, bytes), with(0, &flipped)]);
    }
    seeds
}

fn headers() -> Vec<Vec<u8>> {
    let files = Small::new(Tail::Acknowledged).memory.files();
    let header =
        |bytes: &Vec<u8>| [with(0, &bytes[..64]), with(1, &bytes[..64]), with(0, &[&bytes[..50], &[1; 14]].concat())];
    files.iter().filter(|(name, _)| name.starts_with("log-")).flat_map(|(_, bytes)| header(bytes)).collect()
}

/// Small parts of a real table; those with a right checksum for their place, and those with a wrong one.
fn parts() -> Vec<Vec<u8>> {
    let small = Small::new(Tail::Acknowledged);
    let files = small.memory.files();
    let mut seeds = Vec::new();
    for (_, bytes) in files.iter().filter(|(name, _)| name.starts_with("table-")) {
        seeds.push(with(0, &bytes[bytes.len() - 128..]));
        for place in reseal::parts(bytes).into_iter().filter(|place| place.len() < 1200).take(4) {
            let mut part = bytes[place].to_vec();
            reseal::part(&mut part, 3, 50_000);
            let kinds: &[u8] = &[1, 2, 3];
            seeds.extend(kinds.iter().map(|kind| with(*kind, &part)));
            part[0] ^= 1;
            seeds.extend(kinds.iter().map(|kind| with(*kind, &part)));
        }
    }
    seeds
}

fn blocks() -> Vec<Vec<u8>> {
    let entry = |kind, time, name: &str, value: &[u8]| Entry {
        kind,
        pid: 0,
        time,
        revision: 1,
        name: name.as_bytes().to_vec(),
        value: value.to_vec(),
    };
    let all = [
        vec![entry(0, 0, "a", b"")],
        vec![entry(0, 9_000, "key", b"12345678"), entry(3, 2_000_000, "b", b"value"), entry(3, 0, "ключ", b"\0")],
        vec![entry(0, -1, "a", b"negative")],
        vec![entry(0, 0, "a/b", b"a path")],
        vec![entry(1, 0, "a", b"no item")],
        vec![],
    ];
    let mut seeds: Vec<Vec<u8>> = all.iter().map(|entries| with(0, &pack(entries))).collect();
    let whole = pack(&all[1]);
    seeds.extend([with(0, &whole[..whole.len() - 8]), with(1, &whole[4..]), with(0, &[&whole[..], &[0; 8]].concat())]);
    seeds
}

fn params() -> Vec<Vec<u8>> {
    const TEXTS: [(u8, &str); 26] = [
        (0, "/var/lib/example"),
        (1, ""),
        (2, "full"),
        (2, "os"),
        (3, "250ms"),
        (3, "24h"),
        (3, "86400000000001us"),
        (3, "0"),
        (4, "off"),
        (5, "true"),
        (6, "0750"),
        (6, "0688"),
        (7, "640"),
        (7, "+600"),
        (8, "64KiB"),
        (8, "65535B"),
        (8, "1GiB"),
        (8, "018446744073709551616B"),
        (9, "65GiB"),
        (9, "1MiB"),
        (10, "1ms"),
        (10, "8760h"),
        (10, "1.5s"),
        (200, "sync=os"),
        (200, "colour=red"),
        (200, "Path=x"),
    ];
    let mut seeds: Vec<Vec<u8>> = TEXTS.iter().map(|(name, text)| with(*name, text.as_bytes())).collect();
    seeds.push(vec![2, b'o', 0xff, b's']);
    seeds
}

/// Texts stand at the front, what says how long they are at the end.
fn names() -> Vec<Vec<u8>> {
    let texts =
        ["shop/fruit apple", "größe/日本 ключ", "a//b .x ..", "/a a/ a/b", ".locks token", "\u{85}\u{9f}\u{7f} \u{1f}"];
    let seed = |(n, text): (usize, &&str)| {
        let mut bytes = text.as_bytes().repeat(1 + n % 3 * 20);
        bytes.extend((0..8).map(|i| ((n * 37 + i * 11) % 24) as u8));
        bytes
    };
    texts.iter().enumerate().map(seed).collect()
}
