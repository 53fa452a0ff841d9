//! Operations of a frame as values of their own, for the targets that make, read and apply them.

use arbitrary::Arbitrary;
use dirkv::format::frame::{Body, Frame, Op};

/// An operation; delete ranges come first in a frame.
#[derive(Clone, Arbitrary, PartialEq, Debug)]
pub enum Change {
    DeleteRange { start: Vec<u8>, end: Vec<u8> },
    Put { key: Vec<u8>, tag: u64, value: Vec<u8> },
    Delete { key: Vec<u8> },
}

/// The body with these operations, ranges first.
pub fn body(changes: &mut [Change]) -> Body {
    changes.sort_by_key(|change| !matches!(change, Change::DeleteRange { .. }));
    let mut body = Body::new();
    for change in changes {
        match change {
            Change::DeleteRange { start, end } => body.delete_range(start, end),
            Change::Put { key, tag, value } => body.put(key, *tag, value),
            Change::Delete { key } => body.delete(key),
        }
    }
    body
}

/// The operations of a frame, if they are well-formed.
pub fn changes(frame: &Frame<'_>) -> Result<Vec<Change>, &'static str> {
    let mut changes = Vec::new();
    frame.each_op(|op| {
        changes.push(match op {
            Op::Put { key, tag, value, .. } => Change::Put { key: key.to_vec(), tag, value: value.to_vec() },
            Op::Delete { key } => Change::Delete { key: key.to_vec() },
            Op::DeleteRange { start, end } => Change::DeleteRange { start: start.to_vec(), end: end.to_vec() },
        });
    })?;
    Ok(changes)
}
