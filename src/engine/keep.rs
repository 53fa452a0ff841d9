//! Which files stay for the large values in them when tables and segments become one table.
//!
//! A large value is written once, into the log. As long as half of its file is wanted, a new table names it where it is, and
//! the file stays as a *value file*; else what is wanted of it is copied into the new table, which later is kept in the same way.
//! The idea is WiscKey's (Lu et al., FAST 2016): keys are merged often, large values aren't.

use super::source::{State, Version};
use super::value::Stored;
use crate::format::manifest::Holder;
use std::collections::{BTreeMap, BTreeSet};

/// About so many value files a store has at most, each with a descriptor in every handle. (A flush and a merge beside each
/// other don't count each other's.)
pub const MAX_VALUE_FILES: usize = 128;

/// How much of a file has to be wanted for it to stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// While others write: each value is copied seldom, and files take at most twice what is wanted of them.
    Half,
    /// Seven eighths, when somebody asks for the space.
    Most,
}

impl Share {
    /// Whether a file of this length stays when so much of it is wanted.
    pub fn is_enough(self, wanted: u64, len: u64) -> bool {
        wanted > 0
            && match self {
                Share::Half => wanted >= len / 2,
                Share::Most => wanted >= len / 8 * 7,
            }
    }
}

/// The large values that a new table will name, counted by the files in which they are.
#[derive(Debug, Default)]
pub struct Wanted(BTreeMap<Holder, u64>);

impl Wanted {
    /// Counts a version that the new table will hold.
    pub fn note(&mut self, version: &Version<'_>) {
        if let State::Live { stored: Stored::Extent { home, extent }, .. } = version.state {
            *self.0.entry(home.holder).or_default() += u64::from(extent.len);
        }
    }

    /// Which of the files, whose lengths are given, stay, when there are `others` already. Where they would be too many, the
    /// smaller half is copied into one, so that each copy makes many files one.
    pub fn kept(self, lens: &BTreeMap<Holder, u64>, share: Share, others: usize) -> BTreeSet<Holder> {
        let len = |holder: &Holder| lens.get(holder).copied().unwrap_or(u64::MAX);
        let mut files = Vec::from_iter(self.0);
        files.retain(|(holder, wanted)| share.is_enough(*wanted, len(holder)));
        let room = MAX_VALUE_FILES.saturating_sub(others);
        if files.len() > room {
            files.sort_by_key(|(_, wanted)| std::cmp::Reverse(*wanted));
            files.truncate((files.len() / 2).min(room));
        }
        files.into_iter().map(|(holder, _)| holder).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::table::memory::MemFile;
    use crate::engine::value::{Extent, Home};
    use crate::files::storage::File;
    use std::sync::Arc;

    /// Of each file its size and how much of it is wanted.
    fn kept(files: &[(Holder, u64, u32)], share: Share, others: usize) -> Vec<Holder> {
        let file: Arc<dyn File> = Arc::new(MemFile::default());
        let mut wanted = Wanted::default();
        for (holder, _, len) in files {
            let home = Home::new(*holder, file.clone());
            // In two halves.
            for len in [len / 2, len - len / 2] {
                let extent = Extent { offset: 0, len, crc: 0 };
                let stored = Stored::Extent { home: &home, extent };
                wanted.note(&Version { key: b"k", revision: 1, state: State::Live { tag: 0, stored } });
            }
        }
        wanted.note(&Version { key: b"k", revision: 1, state: State::Tombstone });
        let inline = State::Live { tag: 0, stored: Stored::Inline(b"small") };
        wanted.note(&Version { key: b"k", revision: 1, state: inline });
        let sizes = files.iter().map(|(holder, size, _)| (*holder, *size)).collect();
        wanted.kept(&sizes, share, others).into_iter().collect()
    }

    #[test]
    fn a_file_stays_while_half_of_it_is_wanted_and_most_when_space_is_asked_for() {
        let files = [
            (Holder::Log(3), 8_000, 3_999),
            (Holder::Log(4), 8_000, 4_000),
            (Holder::Table(1), 8_000, 6_999),
            (Holder::Table(3), 8_000, 7_000),
        ];
        assert_eq!(kept(&files, Share::Half, 0), [Holder::Log(4), Holder::Table(1), Holder::Table(3)]);
        assert_eq!(kept(&files, Share::Most, 0), [Holder::Table(3)]);
    }

    #[test]
    fn where_there_would_be_too_many_the_smaller_half_is_copied() {
        let files: Vec<_> = (1..=10).map(|i| (Holder::Log(i), i * 100, i as u32 * 100)).collect();
        let all = Vec::from_iter((1..=10).map(Holder::Log));
        assert_eq!(kept(&files, Share::Half, MAX_VALUE_FILES - 10), all);
        assert_eq!(kept(&files, Share::Half, MAX_VALUE_FILES - 9), all[5..]);
        assert_eq!(kept(&files, Share::Half, MAX_VALUE_FILES - 2), all[8..]);
        assert_eq!(kept(&files, Share::Half, MAX_VALUE_FILES + 1), []);
    }
}
