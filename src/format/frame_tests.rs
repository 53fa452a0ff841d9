//! What frames hold, and what is wrong with those that lie.

use super::*;

fn ops(frame: &Frame<'_>) -> Vec<String> {
    let mut seen = Vec::new();
    frame.each_op(|op| seen.push(format!("{op:?}"))).unwrap();
    seen
}

#[test]
fn what_is_written_is_read_back() {
    let mut body = Body::new();
    body.delete_range(b"a\x01", b"a\x02");
    body.put(b"bucket\x01one", 7, b"first");
    body.put(b"bucket\x01two", 0, b"");
    body.delete(b"bucket\x01t");
    let (len, mut out) = (body.frame_len(), vec![1, 2, 3]);
    let crc = body.write_frame(&mut out, 42, 64, 99, 5);
    assert_eq!(out.len() - 3, len);
    let frame = Frame::verify(&out[3..], 42, 64).expect("verifies");
    assert_eq!((frame.crc(), frame.previous(), frame.durable_before(), frame.is_lease()), (crc, 99, 5, false));
    let put = out.len() - 3;
    assert_eq!(frame.len(), put);
    let seen = ops(&frame);
    assert_eq!((seen.len(), frame.operations()), (4, 4));
    assert!(seen[0].starts_with("DeleteRange"));
    frame
        .each_op(|op| {
            if let Op::Put { key: b"bucket\x01one", tag, value, value_at } = op {
                assert_eq!((tag, value), (7, &b"first"[..]));
                assert_eq!(&out[3 + value_at..3 + value_at + 5], b"first");
            }
        })
        .unwrap();
}

#[test]
fn another_salt_offset_or_bit_does_not_verify() {
    let mut body = Body::new();
    body.put(b"k", 1, b"v");
    let mut out = Vec::new();
    body.write_frame(&mut out, 42, 64, 0, 0);
    assert!(Frame::verify(&out, 43, 64).is_none());
    assert!(Frame::verify(&out, 42, 65).is_none());
    for i in 0..out.len() * 8 {
        let mut bad = out.clone();
        bad[i / 8] ^= 1 << (i % 8);
        assert!(Frame::verify(&bad, 42, 64).is_none(), "bit {i}");
    }
    assert!(Frame::verify(&out[..out.len() - 1], 42, 64).is_none());
}

/// The frame of the body with some of its bytes changed and a checksum that is right all the same.
fn forged(body: &Body, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut out = Vec::new();
    body.clone().write_frame(&mut out, 42, 64, 99, 5);
    change(&mut out);
    let crc = checksum(42, 64, &out);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out
}

fn flaw(body: &Body, change: impl FnOnce(&mut [u8])) -> Option<&'static str> {
    Frame::verify(&forged(body, change), 42, 64).expect("verifies").each_op(|_| ()).err()
}

#[test]
fn what_is_wrong_though_its_checksum_is_right_is_named() {
    let mut body = Body::new();
    body.put(b"key", 7, b"value");
    assert_eq!(flaw(&body, |_| ()), None);
    for at in [13, 14, 15, 28, 29, 30, 31] {
        assert!(flaw(&body, |b| b[at] = 1).unwrap().starts_with("a reserved byte"), "byte {at}");
    }
    assert_eq!(flaw(&body, |b| b[12] = LEASE), None);
    assert!(flaw(&body, |b| b[12] = LEASE << 1).unwrap().starts_with("a reserved byte"));
    let op = HEADER_LEN;
    assert!(flaw(&body, |b| b[op] = 9).unwrap().starts_with("an operation is of no known kind"));
    assert!(flaw(&body, |b| b[op + 1] = 1).unwrap().starts_with("an operation's key"));
    assert!(flaw(&body, |b| b[op + 2] = 1).unwrap().starts_with("an operation's key"), "it shares with nothing");
    assert!(flaw(&body, |b| b[24] = 2).unwrap().starts_with("an operation is longer"));
    assert!(flaw(&body, |b| b[24] = 0).unwrap().starts_with("bytes follow"));
}

#[test]
fn a_delete_range_comes_first() {
    for ranged in [true, false] {
        let mut body = Body::new();
        body.delete_range(b"a", b"b");
        if ranged {
            body.put(b"", 0, b"")
        } else {
            body.delete(b"")
        }
        let second = HEADER_LEN + 6 + 2 + 1 + 1;
        assert_eq!(flaw(&body, |_| ()), None);
        assert!(flaw(&body, |b| b[second] = DELETE_RANGE).is_some());
    }
    let mut late = Body::new();
    late.delete(b"a");
    late.delete(b"b");
    let second = HEADER_LEN + 6 + 1;
    assert!(flaw(&late, |b| b[second] = DELETE_RANGE).unwrap().ends_with("comes late"));
}

#[test]
fn the_longest_key_is_read_and_none_that_is_longer() {
    let key = vec![b'k'; MAX_KEY];
    let mut body = Body::new();
    body.delete(&key);
    body.delete(&key);
    assert_eq!(flaw(&body, |_| ()), None);
    let second = HEADER_LEN + 6 + MAX_KEY;
    assert!(flaw(&body, |b| b[second + 4] = 1).unwrap().starts_with("an operation's key"));
}

/// Keys that begin alike are short in the frame and long in memory.
#[test]
fn all_keys_together_have_a_limit_too() {
    let key = vec![b'k'; MAX_KEY];
    let mut body = Body::new();
    (0..MAX_KEYS / MAX_KEY).for_each(|_| body.delete(&key));
    assert_eq!(flaw(&body, |_| ()), None);
    body.delete(b"k");
    assert!(flaw(&body, |_| ()).unwrap().starts_with("the keys of a frame"));
}

#[test]
fn a_length_that_no_frame_has_is_not_claimed() {
    for (len, is_one) in
        [(0, false), (HEADER_LEN - 1, false), (HEADER_LEN, true), (MAX_LEN, true), (MAX_LEN + 1, false)]
    {
        let head = u32::try_from(len).unwrap().to_le_bytes();
        assert_eq!(Frame::claimed_len(&head), is_one.then_some(len));
    }
}

#[test]
fn no_more_operations_are_claimed_than_fit() {
    let mut body = Body::new();
    body.delete(b"key");
    let out = forged(&body, |b| b[24..28].fill(0xff));
    assert_eq!(Frame::verify(&out, 42, 64).unwrap().operations(), out.len() / 6);
}

#[test]
fn a_frame_that_changes_a_lease_says_so() {
    let mut body = Body::new();
    body.delete(b"k");
    assert!(!body.is_lease());
    body.changes_lease();
    assert!(body.is_lease());
    let mut out = Vec::new();
    body.write_frame(&mut out, 42, 64, 0, 0);
    assert!(Frame::verify(&out, 42, 64).unwrap().is_lease());
}
