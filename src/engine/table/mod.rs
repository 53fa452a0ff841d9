//! Sorted tables, files `table-<n>` ([`crate::format::table`]): written once by a [`TableBuilder`], read through a
//! [`Table`], whose blocks lie in the process's [`BlockCache`].

mod builder;
mod cache;
mod cursor;
#[cfg(test)]
pub(crate) mod memory;
mod reader;
#[cfg(test)]
mod tests;
mod value_files;
mod verify;

pub use builder::{TableBuilder, TableName};
pub use cache::BlockCache;
pub use cursor::TableCursor;
pub use reader::{OpenError, Table};
