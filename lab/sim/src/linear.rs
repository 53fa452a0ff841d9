//! Is a history linearizable? After Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), with Lowe's memory of
//! configurations that led nowhere. The whole store is the object: every call has one instant between its begin and its end at which
//! it happened, and the calls in that order say what each was told. Revisions grow in that order.

use crate::story::{Call, Id, Op, PLACES, Seen, Told, bucket};
use std::collections::HashSet;

/// One call of the history.
#[derive(Clone, Debug)]
pub struct Event {
    /// Which thread of which process.
    pub who: (usize, usize),
    /// At which step it began,
    pub begin: u64,
    /// and was told; `None` if it never was.
    pub end: Option<u64>,
    pub call: Call,
    pub told: Told,
}

impl Event {
    /// It may have happened, may never happen, or may happen yet.
    fn is_open(&self) -> bool {
        self.told == Told::Unknown
    }

    fn counts(&self) -> bool {
        !matches!(self.told, Told::Nothing(_)) && !matches!(self.call.op, Op::Compact | Op::Sync)
    }

    fn until(&self) -> u64 {
        if self.is_open() { u64::MAX } else { self.end.unwrap_or(u64::MAX) }
    }
}

/// What the store holds.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Store {
    ids: [Id; PLACES],
    /// 0 where nobody was told.
    revisions: [u64; PLACES],
    /// The fence of the lock's holder; `UNTOLD` if nobody was told it.
    holder: u64,
    /// The greatest revision that anybody was told.
    last: u64,
}

const UNTOLD: u64 = u64::MAX;

impl Store {
    fn holds(&self, call: &Call) -> bool {
        let (id, revision) = call.expected;
        match call.op {
            Op::Create(at, _) => self.ids[at] == 0,
            Op::Swap(at, _) => self.ids[at] == id,
            Op::PutIf(at, _) if id == 0 => self.ids[at] == 0,
            Op::PutIf(at, _) => self.ids[at] == id && [0, revision].contains(&self.revisions[at]),
            Op::Delete(at) => self.ids[at] != 0,
            Op::DeleteBucket(number) => self.ids[bucket(number).start..].iter().any(|id| *id != 0),
            Op::Acquire => self.holder == 0,
            Op::Release => self.holder == revision,
            _ => true,
        }
    }

    fn put(&mut self, places: std::ops::Range<usize>, id: Id, revision: u64) {
        self.ids[places.clone()].fill(id);
        self.revisions[places].fill(revision);
    }

    fn happen(&mut self, call: &Call, revision: u64) {
        self.last = self.last.max(revision);
        match call.op {
            Op::Upsert(at, id) | Op::Create(at, id) | Op::Swap(at, id) | Op::PutIf(at, id) => {
                self.put(at..at + 1, id, revision);
            }
            Op::Batch(number, id) => self.put(bucket(number), id, revision),
            Op::Delete(at) => self.put(at..at + 1, 0, 0),
            Op::DeleteBucket(number) => self.put(bucket(number).start..PLACES, 0, 0),
            Op::Acquire => self.holder = if revision == 0 { UNTOLD } else { revision },
            Op::Release => self.holder = 0,
            Op::Get(_) | Op::List | Op::Compact | Op::Sync => (),
        }
    }

    /// Whether a place shows this; learns its revision.
    fn shows(&mut self, place: usize, seen: Option<&Seen>) -> bool {
        match seen {
            None => self.ids[place] == 0,
            Some(seen) => {
                let known = std::mem::replace(&mut self.revisions[place], seen.revision);
                self.ids[place] == seen.id && [0, seen.revision].contains(&known)
            }
        }
    }

    /// The store after the call; `None` if it would have been told something else.
    fn after(&self, event: &Event) -> Option<Store> {
        let mut store = self.clone();
        let so = match &event.told {
            Told::Done(revision) => {
                let so = store.holds(&event.call) && (*revision == 0 || *revision > store.last);
                store.happen(&event.call, *revision);
                so
            }
            Told::Unknown => {
                store.happen(&event.call, 0);
                self.holds(&event.call)
            }
            Told::Refused => !store.holds(&event.call),
            Told::Found(seen) => match event.call.op {
                Op::Get(place) => store.shows(place, seen.as_ref()),
                _ => false,
            },
            Told::Listed(all) => (0..PLACES).all(|at| store.shows(at, all.iter().find(|seen| seen.place == at))),
            Told::Nothing(_) => true,
        };
        so.then_some(store)
    }
}

struct Search<'a> {
    events: Vec<&'a Event>,
    /// Calls that are done, and the store then: from there no way led to the end.
    dead_ends: HashSet<(u128, Store)>,
}

impl Search<'_> {
    fn finds(&mut self, done: u128, store: &Store) -> bool {
        let left = |at: &usize| done & 1 << at == 0;
        let end = (0..self.events.len()).filter(left).map(|at| self.events[at].until()).min().unwrap_or(u64::MAX);
        if (0..self.events.len()).filter(left).all(|at| self.events[at].is_open()) {
            return true;
        }
        if !self.dead_ends.insert((done, store.clone())) {
            return false;
        }
        let candidates: Vec<usize> =
            (0..self.events.len()).filter(left).filter(|at| self.events[*at].begin < end).collect();
        let (open, told): (Vec<usize>, Vec<usize>) = candidates.into_iter().partition(|at| self.events[*at].is_open());
        told.into_iter().chain(open).any(|at| {
            let after = store.after(self.events[at]);
            after.is_some_and(|after| self.finds(done | 1 << at, &after))
        })
    }
}

/// The error says that no order of the calls explains what they were told.
pub fn check(events: &[Event]) -> Result<(), String> {
    let events: Vec<&Event> = events.iter().filter(|event| event.counts()).collect();
    if events.len() > 128 {
        return Err(format!("{} calls are too many to judge", events.len()));
    }
    let mut search = Search { events, dead_ends: HashSet::new() };
    if search.finds(0, &Store::default()) {
        Ok(())
    } else {
        Err("no order of the calls explains what they were told".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(who: usize, begin: u64, end: u64, op: Op, told: Told) -> Event {
        Event { who: (who, 0), begin, end: Some(end), call: Call { op, expected: (0, 0) }, told }
    }

    fn found(id: Id, revision: u64) -> Told {
        Told::Found(Some(Seen { place: 0, id, revision }))
    }

    #[test]
    fn calls_at_one_time_may_come_in_any_order() {
        let put = event(0, 1, 9, Op::Upsert(0, 7), Told::Done(5));
        for told in [Told::Found(None), found(7, 5)] {
            assert_eq!(check(&[put.clone(), event(1, 2, 3, Op::Get(0), told)]), Ok(()));
        }
    }

    #[test]
    fn a_stale_read_is_found() {
        let put = event(0, 1, 2, Op::Upsert(0, 7), Told::Done(5));
        assert!(check(&[put, event(1, 3, 4, Op::Get(0), Told::Found(None))]).is_err());
    }

    #[test]
    fn a_read_that_is_taken_back_is_found() {
        let put = Event { end: None, ..event(0, 1, 1, Op::Upsert(0, 7), Told::Unknown) };
        let seen = event(1, 3, 4, Op::Get(0), found(7, 5));
        assert_eq!(check(&[put.clone(), seen.clone()]), Ok(()));
        assert!(check(&[put, seen, event(1, 5, 6, Op::Get(0), Told::Found(None))]).is_err());
    }

    #[test]
    fn a_lost_update_is_found() {
        let swap = |who, begin, end, id, revision| Event {
            call: Call { op: Op::Swap(0, id), expected: (1, 3) },
            ..event(who, begin, end, Op::Get(0), Told::Done(revision))
        };
        let first = event(0, 1, 2, Op::Upsert(0, 1), Told::Done(3));
        assert_eq!(check(&[first.clone(), swap(0, 3, 6, 2, 8)]), Ok(()));
        assert!(check(&[first, swap(0, 3, 6, 2, 8), swap(1, 4, 7, 3, 9)]).is_err());
    }

    #[test]
    fn a_revision_that_does_not_grow_is_found() {
        let puts = [event(0, 1, 2, Op::Upsert(0, 1), Told::Done(9)), event(0, 3, 4, Op::Upsert(1, 2), Told::Done(8))];
        assert!(check(&puts).is_err());
    }

    #[test]
    fn half_a_batch_is_found() {
        let batch = event(0, 1, 9, Op::Batch(0, 3), Told::Done(5));
        let half = Told::Listed(vec![Seen { place: 0, id: 3, revision: 5 }]);
        assert!(check(&[batch, event(1, 2, 3, Op::List, half)]).is_err());
    }

    #[test]
    fn two_holders_are_found() {
        let take = |who, begin, fence| event(who, begin, begin + 1, Op::Acquire, Told::Done(fence));
        assert!(check(&[take(0, 1, 5), take(1, 3, 6)]).is_err());
    }
}
