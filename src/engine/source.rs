//! The one shape of a sorted source of versions: a memtable and a table look the same to a merge.

use super::value::{Item, Stored};
use crate::error::Result;
use crate::format::position::Position;

/// What a version says about its key.
#[derive(Clone, Copy, Debug)]
pub enum State<'a> {
    /// It has a value.
    Live {
        /// Eight bytes of the layer above.
        tag: u64,
        /// Where the value is.
        stored: Stored<'a>,
    },
    /// It was deleted.
    Tombstone,
}

/// A version of a key, borrowed from its source.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The position at which the frame that wrote it ends.
    pub revision: Position,
    /// What it says.
    pub state: State<'a>,
}

impl<'a> Version<'a> {
    /// The version as an item; `None` if it is a tombstone.
    pub fn item(self) -> Option<Item<'a>> {
        match self.state {
            State::Live { tag, stored } => Some(Item { key: self.key, revision: self.revision, tag, stored }),
            State::Tombstone => None,
        }
    }
}

/// What is called with one version after the other, and says whether it wants the next one.
pub type Visit<'a> = dyn FnMut(Version<'_>) -> Result<bool> + 'a;

/// Versions in ascending order of their keys, each key once: the newest version at or below the source's snapshot. A new
/// source stands nowhere; `seek` comes first.
pub trait Source {
    /// Moves to the first key at or after `key`, forward or back.
    fn seek(&mut self, key: &[u8]) -> Result<()>;
    /// The version at which the source stands; `None` past the last one.
    fn current(&self) -> Option<Version<'_>>;
    /// The key at which the source stands.
    fn key(&self) -> Option<&[u8]> {
        self.current().map(|version| version.key)
    }
    /// Moves to the next key; does nothing past the last one.
    fn advance(&mut self) -> Result<()>;
    /// Calls `visit` with the version at which the source stands and with those after it, up to the key `until`. The source
    /// then stands at the version that wanted no next one, else at the first one at or after `until`; after an error anywhere.
    fn visit(&mut self, until: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<()> {
        while let Some(version) = self.current()
            && until.is_none_or(|until| version.key < until)
            && visit(version)?
        {
            self.advance()?;
        }
        Ok(())
    }
    /// A position that no version of the source is beyond.
    fn newest(&self) -> Position {
        Position::MAX
    }
}
