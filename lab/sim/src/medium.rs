//! What a power cut may leave of one file: what the medium holds, and what the kernel may yet have written to it.

use crate::contents::{Contents, Held};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// So many of the things that a sector held since it was last synced are remembered: the newest.
const VERSIONS: usize = 6;

/// A file on the medium.
#[derive(Clone, Debug, Default)]
pub struct Medium {
    pub synced: Contents,
    /// By number, what each sector held that was written since, oldest first: the kernel may have written any of it back.
    pub sectors: BTreeMap<usize, Vec<Held>>,
    /// The sizes that the file had since.
    pub sizes: Vec<usize>,
}

impl Medium {
    pub fn new(synced: Contents) -> Medium {
        Medium { synced, ..Medium::default() }
    }

    /// A sector of the cache was written to.
    pub fn wrote(&mut self, number: usize, now: Held) {
        let versions = self.sectors.entry(number).or_default();
        if versions.len() == VERSIONS {
            versions.remove(0);
        }
        versions.push(now);
    }

    /// The same for files of which a cut may leave the same.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.synced.len(), self.synced.hash(), &self.sizes).hash(&mut hasher);
        for (number, versions) in &self.sectors {
            number.hash(&mut hasher);
            versions.iter().for_each(|held| held.as_ref().map(|sector| sector.hash()).hash(&mut hasher));
        }
        hasher.finish()
    }

    pub fn grew(&mut self, len: usize) {
        if self.sizes.last().copied().unwrap_or(self.synced.len()) < len {
            self.sizes.push(len);
        }
    }

    /// Everything that is dirty reaches the medium.
    pub fn sync(&mut self) {
        if let Some(len) = self.sizes.pop() {
            self.synced.resize(len);
            self.sizes.clear();
        }
        for (number, mut versions) in std::mem::take(&mut self.sectors) {
            self.synced.set_sector(number, versions.pop().flatten());
        }
    }

    /// Write-back fails: some sectors are marked clean, and never written again by themselves; whether the medium has them
    /// nobody knows. Those that the cache forgets, so that a read shows what the medium holds, are put into `cache`.
    pub fn write_back_fails(&mut self, rng: &mut Rng, cache: &mut Contents) {
        for (number, mut versions) in std::mem::take(&mut self.sectors) {
            if rng.bool() {
                self.sectors.insert(number, versions);
                continue;
            }
            if rng.u8(..4) == 0 {
                self.synced.set_sector(number, versions.pop().flatten());
            }
            if rng.bool() {
                cache.set_sector(number, self.synced.sector(number));
            }
        }
    }
}
