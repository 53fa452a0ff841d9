//! What a damaged store may say. It follows `docs/durability.md`, "A torn tail, and damage", from the bytes and from what the
//! store is known to have held, and shares nothing with the engine but the layout of a frame.

use std::collections::BTreeMap;

use dirkv::format::frame::Frame;
use dirkv::format::manifest::Holder;
use dirkv::format::position::position;
use dirkv::format::segment::{HEADER_LEN, Header};

use crate::small::{Content, Small};

/// What may come out.
#[derive(Clone, PartialEq, Debug)]
pub enum Expected {
    /// Somebody must notice.
    Noticed,
    /// All that was written; or somebody notices.
    NowOrNoticed,
    /// All that was written, and nobody complains.
    Now,
    /// The exception, and the only one: a torn tail without a witness. Exactly this, an earlier state, and nobody complains.
    Earlier(Content),
}

/// A file that a store can do without, or that has no byte of meaning.
fn is_spare(small: &Small, name: &str) -> bool {
    let number = name.strip_prefix("log-").and_then(|n| n.parse::<u64>().ok());
    name == "LOCK" || name == "COMPACT" || number.is_some_and(|n| n > small.manifest.live())
}

/// What the store says when the file `name` has these bytes, or none. `in_place`: its `SHARED` is the file that it knows.
pub fn expected(small: &Small, name: &str, bytes: Option<&[u8]>, in_place: bool) -> Expected {
    let original = &small.memory.files()[name];
    if bytes == Some(original) || is_spare(small, name) {
        return Expected::Now;
    }
    if name == "SHARED" {
        // Where it is believed, it may say too much; it never says too little for a log that is whole.
        return if bytes.is_none() { Expected::Now } else { Expected::NowOrNoticed };
    }
    let Some(bytes) = bytes.filter(|_| name.starts_with("log-")) else { return Expected::Noticed };
    let number: u64 = name["log-".len()..].parse().unwrap();
    let header = Header::decode(&original[..]).unwrap();
    if bytes.len() < HEADER_LEN as usize || bytes[..HEADER_LEN as usize] != original[..HEADER_LEN as usize] {
        return Expected::Noticed;
    }
    let reached = end(bytes, &header);
    if number != small.manifest.live() {
        let of_its_values = || small.manifest.value_files.iter().find(|file| file.holder == Holder::Log(number));
        let sealed = small.manifest.sealed_end(number).unwrap_or_else(|| of_its_values().unwrap().size);
        return if reached < sealed { Expected::Noticed } else { Expected::Now };
    }
    if (bytes.len() as u64) < small.manifest.segment_size {
        return Expected::Noticed;
    }
    if reached == end(original, &header) {
        return Expected::Now;
    }
    torn(small, bytes, &header, reached, in_place)
}

/// The live segment's frames end too early, at the offset `bad`.
fn torn(small: &Small, bytes: &[u8], header: &Header, bad: u64, in_place: bool) -> Expected {
    let place = position(header.segment, bad);
    let told_by_shared = in_place && small.durable() > place;
    // A frame needs no chain to be a witness.
    let told_by_later = frames(&small.memory.files()[&small.live()], header).into_iter().any(|(at, _)| {
        let frame = bytes.get(at as usize..).and_then(|rest| Frame::verify(rest, header.salt, at));
        at > bad && frame.is_some_and(|frame| frame.durable_before() > place)
    });
    if told_by_shared || told_by_later {
        return Expected::Noticed;
    }
    let earlier = small.states.range(..=place).next_back().map_or_else(Content::new, |(_, content)| content.clone());
    Expected::Earlier(earlier)
}

/// Where the frames that chain end.
fn end(bytes: &[u8], header: &Header) -> u64 {
    frames(bytes, header).last().map_or(HEADER_LEN, |(at, len)| at + len)
}

/// Offset and length of each frame.
pub fn frames(bytes: &[u8], header: &Header) -> Vec<(u64, u64)> {
    let (mut found, mut at, mut previous) = (Vec::new(), HEADER_LEN, header.crc());
    while let Some(frame) = bytes.get(at as usize..).and_then(|rest| Frame::verify(rest, header.salt, at)) {
        if frame.previous() != previous {
            break;
        }
        found.push((at, frame.len() as u64));
        previous = frame.crc();
        at += frame.len() as u64;
    }
    found
}

/// How many bytes of each file carry meaning: those up to the last that isn't zero.
pub fn used(files: &BTreeMap<String, Vec<u8>>, name: &str) -> usize {
    files[name].iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1)
}
