//! Segments as files: how far their frames go, which frame behind the end tells of damage, and what is made anew.

use super::*;
use crate::files::prepare::open_directory;
use crate::format::frame::Body;
use tempfile::TempDir;

const STORE: StoreId = [7; 16];

fn directory() -> (impl Directory, TempDir) {
    let path = tempfile::tempdir().unwrap();
    (open_directory(path.path(), 0o700, 0o600, false).unwrap(), path)
}

/// Segment 1 with room for so many bytes.
fn segment(dir: &dyn Directory, len: u64) -> Segment {
    make(dir, 1, &STORE, len, Blocks::Unwritten).unwrap();
    Segment::open(dir, 1, &STORE, Access::Write).map_err(Error::from).unwrap()
}

/// A frame with one value of so many zeros, to be written at `at`, and its CRC.
fn frame(segment: &Segment, at: u64, previous: u32, durable_before: Position, value: u64) -> (Vec<u8>, u32) {
    let (mut body, mut frame) = (Body::new(), Vec::new());
    body.put(b"key", 0, &vec![0; value as usize]);
    body.changes_lease();
    let crc = body.write_frame(&mut frame, segment.header().salt, at, previous, durable_before);
    (frame, crc)
}

#[test]
fn a_witness_may_lie_far_behind_the_damage_and_end_in_zeros() {
    let ((dir, _path), len) = (directory(), 4 * CHUNK);
    let segment = segment(&dir, len);
    assert!(segment.rest(HEADER_LEN).unwrap().is_empty());
    let at = HEADER_LEN + 2 * CHUNK;
    for (durable_before, is_witness) in [(segment.at(HEADER_LEN), false), (segment.at(at), true)] {
        let (frame, _) = frame(&segment, at, 0, durable_before, CHUNK);
        segment.file().write_at(&frame, at).unwrap();
        let rest = segment.rest(HEADER_LEN).unwrap();
        assert_eq!(rest, segment.bytes(HEADER_LEN, len).unwrap());
        assert_eq!(segment.durable_beyond(HEADER_LEN, &rest), is_witness);
    }
}

#[test]
fn a_witness_may_end_with_the_file() {
    let ((dir, _path), len) = (directory(), CHUNK);
    let segment = segment(&dir, len);
    let at = len - frame(&segment, 0, 0, 0, 10).0.len() as u64;
    let (frame, _) = frame(&segment, at, 0, segment.at(at), 10);
    segment.file().write_at(&frame, at).unwrap();
    assert!(segment.durable_beyond(HEADER_LEN, &segment.rest(HEADER_LEN).unwrap()));
}

#[test]
fn frames_are_followed_to_the_end_and_none_beyond_it() {
    let (dir, _path) = directory();
    let segment = segment(&dir, 6 * CHUNK);
    let begin = (HEADER_LEN, segment.header().crc());
    let (mut end, mut ends) = (begin, vec![HEADER_LEN]);
    for value in [CHUNK, 10, CHUNK / 2, 2 * CHUNK] {
        let (frame, crc) = frame(&segment, end.0, end.1, 0, value);
        segment.file().write_at(&frame, end.0).unwrap();
        end = (end.0 + frame.len() as u64, crc);
        ends.push(end.0);
    }
    let reached = |to| segment.frames(begin, to, |_, _| Ok(())).unwrap().0;
    for pair in ends.windows(2) {
        assert_eq!((reached(pair[1] - 1), reached(pair[1])), (pair[0], pair[1]));
    }
    assert_eq!(segment.frames(begin, 6 * CHUNK, |_, _| Ok(())).unwrap(), end);
}

#[test]
fn no_more_is_asked_for_than_the_file_has() {
    let (dir, _path) = directory();
    let segment = segment(&dir, 2 * CHUNK);
    assert_eq!(segment.bytes(HEADER_LEN, 1 << 40).unwrap_err().code, Code::Corrupt);
}

#[test]
fn what_is_no_segment_of_that_store_and_number_is_made_anew() {
    let (dir, _path) = directory();
    for (number, store) in [(2, [8; 16]), (3, STORE), (3, [8; 16])] {
        make(&dir, number, &store, CHUNK, Blocks::Unwritten).unwrap();
        dir.rename(&names::log(number), &names::log(2)).unwrap();
        make(&dir, 2, &STORE, CHUNK, Blocks::Unwritten).unwrap();
        assert!(Segment::open(&dir, 2, &STORE, Access::Read).is_ok(), "it was segment {number} of {store:?}");
    }
}
