//! Memory of a memtable whose segment has become a table, for the next one: it is there already, page by page, and its hash
//! table has grown.

use super::{Entry, Inner, Written};
use crate::latch::Mutex;

/// What takes more than this is given back: few segments are as heavy.
const MOST: usize = 16 << 20;

/// The memory of at most one memtable.
#[derive(Debug, Default)]
pub struct Spare(Mutex<Option<Inner>>);

impl Spare {
    /// An empty index, in spare memory if there is some.
    pub(super) fn take(&self) -> Inner {
        self.0.lock().take().unwrap_or_default()
    }

    /// Keeps the memory of an index that nobody reads any more.
    pub(super) fn keep(&self, inner: Inner) {
        let empty = inner.emptied();
        if (1..=MOST).contains(&empty.room()) {
            *self.0.lock() = Some(empty);
        }
    }
}

impl Inner {
    /// About how much it would take without growing.
    fn room(&self) -> usize {
        self.arena.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.versions.capacity() * size_of::<Written>()
            + self.by_hash.capacity() * size_of::<u32>()
    }

    /// The same memory with nothing in it.
    fn emptied(self) -> Inner {
        let Inner { mut arena, mut entries, mut versions, mut by_hash, .. } = self;
        arena.clear();
        entries.clear();
        versions.clear();
        by_hash.clear();
        Inner { arena, entries, versions, by_hash, ..Inner::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::memtable::hash;
    use crate::format::frame::Op;

    fn put(inner: &mut Inner, key: &[u8], value: &[u8]) {
        inner.apply(Op::Put { key, tag: 1, value, value_at: 0 }, 7, 0, None, None);
    }

    #[test]
    fn memory_is_used_again_and_nothing_in_it_shows() {
        let spare = Spare::default();
        let mut first = spare.take();
        assert_eq!(first.room(), 0);
        put(&mut first, b"bucket\x01key", b"value");
        first.apply(Op::DeleteRange { start: b"a", end: b"b" }, 8, 0, None, None);
        first.sorted = std::sync::Arc::new(vec![0]);
        spare.keep(first);
        let mut second = spare.take();
        assert!(second.room() > 0 && second.weight() == 0 && second.ranges.is_empty() && second.sorted.is_empty());
        assert!(second.by_hash.is_empty() && !second.buckets.contains(&hash(b"bucket\x01")));
        // The bucket of the last key is noted anew.
        put(&mut second, b"bucket\x01other", b"value");
        assert!(second.buckets.contains(&hash(b"bucket\x01")));
        assert_eq!(spare.take().room(), 0);
    }

    #[test]
    fn what_is_large_or_nothing_is_not_kept() {
        let spare = Spare::default();
        let mut large = spare.take();
        put(&mut large, b"key", b"value");
        large.arena.reserve(MOST);
        spare.keep(large);
        spare.keep(Inner::default());
        assert!(spare.0.lock().is_none());
    }
}
