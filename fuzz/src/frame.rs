//! A frame: bytes as they come, bytes with a right checksum, and frames made of operations.

use dirkv::format::frame::{Frame, HEADER_LEN, MAX_LEN};

use crate::ops::{Change, body, changes};
use crate::{described, kind, reseal, within};

const SALT: u64 = 0x5a17;
const OFFSET: u64 = 64;

pub fn run(data: &[u8]) {
    match kind(data, 3) {
        Some((0, rest)) => raw(rest),
        Some((1, rest)) => sealed(rest.to_vec()),
        Some((_, rest)) => built(rest),
        None => (),
    }
}

/// A frame verifies if its length fits and its checksum is right, and only then.
fn raw(bytes: &[u8]) {
    let claimed = bytes.first_chunk().map_or(0, |len| u32::from_le_bytes(*len) as usize);
    let fits = (HEADER_LEN..=MAX_LEN.min(bytes.len().max(HEADER_LEN))).contains(&claimed) && claimed <= bytes.len();
    let right = fits && reseal::frame_crc(&bytes[..claimed], SALT, OFFSET).to_le_bytes() == bytes[4..8];
    assert_eq!(within(0, || Frame::verify(bytes, SALT, OFFSET).is_some()), right);
}

/// What decodes is encoded again: to the same operations, in no more bytes, and if in as many, then in the same.
fn sealed(mut bytes: Vec<u8>) {
    if bytes.len() < HEADER_LEN {
        return;
    }
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&len.to_le_bytes());
    let crc = reseal::frame_crc(&bytes, SALT, OFFSET);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    let frame = Frame::verify(&bytes, SALT, OFFSET).expect("its checksum is right");
    let decodes = within(2 * bytes.len(), || frame.each_op(|_| ()).is_ok());
    let Ok(mut found) = changes(&frame) else { return assert!(!decodes) };
    let mut again = body(&mut found);
    if frame.is_lease() {
        again.changes_lease();
    }
    let mut out = Vec::new();
    again.write_frame(&mut out, SALT, OFFSET, frame.previous(), frame.durable_before());
    assert!(out.len() <= bytes.len(), "a frame grows when it is written again");
    assert!(out.len() < bytes.len() || out == bytes, "another frame of the same length says the same");
    let second = Frame::verify(&out, SALT, OFFSET).expect("just written");
    assert_eq!(changes(&second), Ok(found));
}

fn built(bytes: &[u8]) {
    let Some((mut made, previous, durable)) = described::<(Vec<Change>, u32, u64)>(bytes) else { return };
    let body = body(&mut made);
    let (len, mut out) = (body.frame_len(), vec![0xee; 3]);
    let crc = body.write_frame(&mut out, SALT, OFFSET, previous, durable);
    let frame = Frame::verify(&out[3..], SALT, OFFSET).expect("just written");
    assert_eq!((frame.len(), frame.crc()), (len, crc));
    assert_eq!((frame.previous(), frame.durable_before(), frame.is_lease()), (previous, durable, false));
    assert_eq!(changes(&frame), Ok(made));
    assert!(
        Frame::verify(&out[3..], SALT + 1, OFFSET).is_none() && Frame::verify(&out[3..], SALT, OFFSET + 1).is_none()
    );
}
