//! The bytes on disk and in the shared page, without any I/O. The comment atop each file is the specification; all
//! numbers are little-endian, but for the words of [`shared`], which never leave the machine.

pub mod checksum;
pub mod frame;
pub mod key;
pub mod manifest;
pub mod position;
pub mod segment;
pub mod shared;
pub mod table;
