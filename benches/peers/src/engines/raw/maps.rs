//! What lies in memory: two maps of the same, one for gets and one for listings.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use crate::Result;
use crate::engines::Range;
use crate::names::Name;

/// Before each item of a copied range: how long its key and its value are.
const HEAD: usize = 8;

#[derive(Default)]
pub struct Maps {
    hashed: HashMap<Vec<u8>, Vec<u8>>,
    ordered: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Maps {
    pub fn fill(&mut self, items: &[(Name<'_>, &[u8])]) {
        let pairs = || items.iter().map(|(name, value)| (name.flat.to_vec(), value.to_vec()));
        self.hashed.extend(pairs());
        self.ordered.extend(pairs());
    }

    pub fn get(&self, name: Name<'_>) -> Option<&[u8]> {
        self.hashed.get(name.flat).map(Vec::as_slice)
    }

    /// Copies a range, for `walk`; of the values nothing, if they are not wanted.
    pub fn copy(&self, range: Range<'_>, values: bool, copied: &mut Vec<u8>) -> Result<()> {
        copied.clear();
        let begin = range.after.map_or(Bound::Included(range.prefix), |after| Bound::Excluded(after.flat));
        let all = self.ordered.range::<[u8], _>((begin, Bound::Unbounded));
        for (key, value) in all.take(range.limit).take_while(|(key, _)| key.starts_with(range.prefix)) {
            let value = if values { value.as_slice() } else { &[] };
            copied.extend_from_slice(&u32::try_from(key.len())?.to_le_bytes());
            copied.extend_from_slice(&u32::try_from(value.len())?.to_le_bytes());
            copied.extend_from_slice(key);
            copied.extend_from_slice(value);
        }
        Ok(())
    }
}

/// Shows the items of a copied range.
pub fn walk(copied: &[u8], see: &mut dyn FnMut(&[u8], &[u8])) {
    let number = |at: usize| u32::from_le_bytes(copied[at..at + 4].try_into().expect("four bytes")) as usize;
    let mut at = 0;
    while at < copied.len() {
        let key = at + HEAD;
        let value = key + number(at);
        let end = value + number(at + 4);
        see(&copied[key..value], &copied[value..end]);
        at = end;
    }
}
