//! A *position*: a place in the log as one number, so that positions compare as numbers.
//!
//! ```text
//! bit 63      0 (in the shared page's word `committed`: frozen)
//! bits 32..62 the segment's number, from 1
//! bits 0..31  the byte offset in the segment's file
//! ```
//!
//! The position at which a frame ends is its *revision*. 0 is before everything.

/// A segment number and a byte offset; also a revision.
pub type Position = u64;

/// The greatest offset in a segment.
pub const MAX_OFFSET: u64 = u32::MAX as u64;

/// The position at `offset` in segment `segment`.
pub fn position(segment: u64, offset: u64) -> Position {
    debug_assert!(segment < 1 << 31 && offset <= MAX_OFFSET);
    segment << 32 | offset
}

/// The segment's number.
pub fn segment_of(position: Position) -> u64 {
    position >> 32
}

/// The byte offset in the segment's file.
pub fn offset_of(position: Position) -> u64 {
    position & MAX_OFFSET
}
