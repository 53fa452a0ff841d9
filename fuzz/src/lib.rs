//! What the fuzz targets do with their bytes: one file a target, each with a function `run`. Here, and not in the targets, so
//! that it is compiled once, and so that `cargo test` can run the seeds without a fuzzing engine.
//!
//! Each holds more than "it doesn't crash": what is encoded is decoded as it was, what decodes is encoded to the same bytes,
//! what is refused is refused by the rules as they are documented, a store says what a model says, and nothing allocates more
//! than its input can account for. The checksums are computed here a second time.

#[path = "../../tests/support/counting.rs"]
mod counting;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/support/memory.rs"]
mod memory;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/support/reseal.rs"]
mod reseal;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/damage/small.rs"]
mod small;

pub mod abi;
mod c;
pub mod frame;
pub mod manifest;
pub mod names;
mod ops;
pub mod packed;
pub mod params;
pub mod seeds;
pub mod segment;
pub mod shared;
pub mod store;
pub mod table;

use arbitrary::{Arbitrary, Unstructured};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// What a target does with its bytes.
pub type Run = fn(&[u8]);

/// Each target by its name.
pub const TARGETS: [(&str, Run); 10] = [
    ("abi", abi::run),
    ("frame", frame::run),
    ("manifest", manifest::run),
    ("names", names::run),
    ("packed", packed::run),
    ("params", params::run),
    ("segment", segment::run),
    ("shared", shared::run),
    ("store", store::run),
    ("table", table::run),
];

/// What the bytes describe, if they are enough for it.
fn described<'a, T: Arbitrary<'a>>(data: &'a [u8]) -> Option<T> {
    T::arbitrary_take_rest(Unstructured::new(data)).ok()
}

/// The first byte, which says what kind of input it is, and the rest.
fn kind(data: &[u8], kinds: u8) -> Option<(u8, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((first % kinds, rest))
}

/// Runs `f`, which may have no more memory at one time than `bound`.
#[track_caller]
fn within<R>(bound: usize, f: impl FnOnce() -> R) -> R {
    let (result, allocated) = counting::measured(f);
    assert!(allocated.most <= bound, "{allocated:?} of at most {bound}");
    result
}
