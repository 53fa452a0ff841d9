//! The C ABI: pointers in, [`Backend`](crate::Backend) calls, pointers out. The only place with `extern "C"`.
//!
//! What holds for every call is told once, to callers in the preamble of `include/dirkv.h` (written in `cbindgen.toml`),
//! to maintainers here:
//!
//! - An export is a plain `#[unsafe(no_mangle)] pub unsafe extern "C" fn` whose body is one call of
//!   [`boundary::boundary`], or of [`boundary::boundary_or`] if it has no status; no macro around signatures.
//! - Its parameters are handle, inputs, outputs, error. Outputs are cleared before anything else can fail
//!   ([`output::Out`]), inputs are checked and borrowed for the call ([`input`]), nothing is consumed.
//! - A backend handle is a number that [`handle`] checks; it is never dereferenced. Every other object is a `Box`.
//! - Types have their C names, so that a name in the header is found here by searching for it.
//! - What is a rule of the store is checked by the backend; here only what a pointer or a C type can get wrong.
//! - Safety: the header's "what you promise" is what each `SAFETY` comment in this room leans on.

#![allow(non_camel_case_types, reason = "the C names, as they stand in the header")]
#![allow(clippy::missing_safety_doc, reason = "told once, in the preamble of the header")]

mod boundary;
mod handle;
mod input;
mod output;
mod packed;
mod view;

// What follows is the header, in its order; each stands alone, so that rustfmt doesn't sort them.

pub mod status;

pub mod error;

pub mod params;

pub mod backend;

pub mod log;

pub mod reads;

pub mod writes;

pub mod batch;

pub mod lists;

pub mod locks;

pub mod maintenance;
