//! What threads were told of a store: promises, refusals, sightings; and whether all of it holds after a power cut. Each writer
//! counts upwards in two keys of its own, so that what it was told is one number.

use crate::seams;
use crate::turns::turns;
use dirkv::backend::NewItem;
use dirkv::{Backend, Code, Error};
use dirkv_sim::machine::Machine;
use dirkv_sim::world::boot;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What one writer was told.
#[derive(Debug)]
pub struct Written {
    bucket: String,
    promised: u64,
    tried: u64,
    refused: BTreeSet<u64>,
}

/// The greatest number seen in each bucket.
pub type Seen = BTreeMap<String, u64>;

fn number(value: &[u8]) -> u64 {
    u64::from_le_bytes(*value.first_chunk().expect("eight bytes"))
}

/// Errors that say that nothing happened.
pub fn is_calm(e: &Error) -> bool {
    matches!(e.code, Code::Io | Code::Timeout | Code::Closed)
}

/// Writes 1 to `count` under two keys of the bucket, both in one batch. `padding` makes the values longer.
pub fn write(store: &Backend, bucket: &str, count: u64, padding: usize) -> Written {
    let mut told = Written { bucket: bucket.to_owned(), promised: 0, tried: 0, refused: BTreeSet::new() };
    for n in 1..=count {
        let mut value = n.to_le_bytes().to_vec();
        value.resize(8 + padding, 1);
        told.tried = n;
        let items = ["x", "y"].map(|key| NewItem { key: key.as_bytes(), value: &value, ttl: 0 });
        match store.upsert_items(bucket, &items) {
            Ok(_) => told.promised = n,
            Err(e) if e.code == Code::Uncertain => (),
            Err(e) if is_calm(&e) => drop(told.refused.insert(n)),
            Err(e) => panic!("{bucket}: {e}"),
        }
    }
    told
}

impl Written {
    /// Whether every change was promised.
    pub fn all_promised(&self) -> bool {
        self.promised == self.tried && self.refused.is_empty()
    }

    /// Whether the last change that was promised shows there.
    pub fn shows_in(&self, seen: &Seen) -> bool {
        seen.get(&self.bucket) == Some(&self.promised)
    }
}

/// Lists the store so often: batches are whole, and nothing goes back.
pub fn look(store: &Backend, times: u64) -> Seen {
    let mut seen = Seen::new();
    for _ in 0..times {
        let Ok(items) = store.items("", None, 0, true) else { continue };
        let mut now: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for item in items {
            let (bucket, _) = item.name.rsplit_once('/').expect("all keys are in buckets");
            now.entry(bucket.to_owned()).or_default().push(number(&item.value));
        }
        for (bucket, numbers) in &now {
            assert!(numbers.len() == 2 && numbers[0] == numbers[1], "{bucket}: half a batch: {numbers:?}");
        }
        for (bucket, before) in &seen {
            assert!(now.get(bucket).is_some_and(|n| n[0] >= *before), "{bucket}: went back from {before}: {now:?}");
        }
        seen.extend(now.into_iter().map(|(bucket, numbers)| (bucket, numbers[0])));
    }
    seen
}

/// Opens what a power cut would leave now, and holds it against what anybody was told.
pub fn judge(machine: &Arc<Machine>, written: &[Written], seen: &[Seen]) {
    let disk = machine.clone_disk(turns().seed());
    let store = seams::open(&boot(disk, turns().seed()), &[]).unwrap_or_else(|e| panic!("{e}"));
    let left = look(&store, 1);
    for Written { bucket, promised, tried, refused } in written {
        let n = left.get(bucket).copied().unwrap_or(0);
        assert!((*promised..=*tried).contains(&n), "{bucket} is at {n}, promised {promised}, tried {tried}");
        assert!(!refused.contains(&n), "{bucket} is at {n}, which was refused");
    }
    for (bucket, n) in seen.iter().flatten() {
        assert!(left.get(bucket) >= Some(n), "{bucket} is at {:?}, but somebody saw {n}", left.get(bucket));
        let refused = written.iter().any(|w| w.bucket == *bucket && w.refused.contains(n));
        assert!(!refused, "{bucket} was seen at {n}, which was refused");
    }
    assert_eq!(store.check().unwrap_or_else(|e| panic!("{e}")), [""; 0], "check");
}
