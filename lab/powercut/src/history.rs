//! What the workers did and heard, put together from their journals, and whether what a cut left agrees with it.
//!
//! The log is one line of changes, so what is left must be what some beginning of it made, whole batches and nothing else:
//! there is a revision R such that exactly the changes up to R are there. With `sync=full`, R lies at or beyond whatever
//! anybody had heard of before the cut: an acknowledgement, a read, a refusal. With `sync=os` only what was synced counts.
//! And no change is there that had not begun.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::{Deserialize, Serialize};

use crate::journal::{Content, Entry, Event, Value, print};
use crate::worker::SHARED;

/// What a store holds, as whoever opened it after the cut was told.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Dump {
    /// Every item by its path, with its revision.
    pub items: BTreeMap<String, (Value, u64)>,
    /// Every lock that is held: fencing numbers by names.
    pub leases: BTreeMap<String, u64>,
}

impl Dump {
    /// What a bucket holds.
    pub fn bucket(&self, name: &str) -> Content {
        let prefix = format!("{name}/");
        let items = self.items.iter().filter_map(|(path, (value, _))| Some((path.strip_prefix(&prefix)?, value)));
        items.map(|(path, value)| (path.to_owned(), *value)).collect()
    }

    /// Takes a bucket out of it; returns that alone.
    pub fn part(&mut self, bucket: &str) -> Dump {
        let prefix = format!("{bucket}/");
        let items = self.items.extract_if(.., |path, _| path.starts_with(&prefix)).collect();
        Dump { items, leases: BTreeMap::new() }
    }
}

/// A change of a worker's own bucket, and what was heard of it.
#[derive(Clone)]
struct Step {
    begun: u64,
    /// From when on it must be there.
    promised: Option<u64>,
    revision: Option<u64>,
    /// What the bucket holds then.
    print: u64,
}

/// A change of a key for which all contend.
#[derive(Clone)]
struct Offer {
    begun: u64,
    key: String,
    value: Value,
    /// If it was taken.
    revision: Option<u64>,
}

/// A lock.
#[derive(Clone)]
struct Lease {
    begun: u64,
    token: String,
    fence: Option<u64>,
    release_begun: Option<u64>,
    released: Option<u64>,
}

/// A refusal: a version of the key newer than `known` is there.
struct Refusal {
    heard: u64,
    promised: Option<u64>,
    key: String,
    known: u64,
}

/// What all workers of a store did and heard.
#[derive(Clone, Default)]
pub struct History {
    workers: BTreeMap<u64, Vec<Step>>,
    offers: Vec<Offer>,
    leases: Vec<Lease>,
    /// When, and up to which revision the log must be there from then on.
    floors: Vec<(u64, u64)>,
    /// When, whose bucket, and what it held.
    listings: Vec<(u64, u64, u64)>,
}

impl History {
    /// Puts journals together, each with its worker's number. `full` says that each answer is a promise.
    pub fn new(journals: impl IntoIterator<Item = (u64, Vec<Entry>)>, full: bool) -> io::Result<History> {
        let (mut history, mut refusals) = (History::default(), Vec::new());
        for (id, entries) in journals {
            history.read(id, &entries, full, &mut refusals)?;
        }
        for Refusal { heard, promised, key, known } in refusals {
            let newer = history.offers.iter().filter(|offer| offer.key == key && offer.begun <= heard);
            let deciding = newer.filter_map(|offer| offer.revision).filter(|revision| *revision > known).min();
            let deciding = deciding.ok_or_else(|| io::Error::other(format!("{key} was refused for nothing")))?;
            history.floors.extend(promised.map(|at| (at, deciding)));
        }
        Ok(history)
    }

    fn read(&mut self, id: u64, entries: &[Entry], full: bool, refusals: &mut Vec<Refusal>) -> io::Result<()> {
        let (mut content, mut steps, mut floors) = (Content::new(), Vec::<Step>::new(), Vec::new());
        for (number, Entry { at, event }) in entries.iter().enumerate() {
            // When this answer becomes a promise.
            let syncs = || entries[number..].iter().find(|later| later.event == Event::Synced).map(|sync| sync.at);
            let promised = if full { Some(*at) } else { syncs() };
            let mut floor = |revision: u64| floors.extend(promised.map(|at| (at, revision)));
            let lost = || io::Error::other(format!("worker {id} heard an answer to nothing: {event:?}"));
            match event {
                Event::Begin(change) => {
                    change.apply(&mut content);
                    steps.push(Step { begun: *at, promised: None, revision: None, print: print(&content) });
                }
                Event::Done { revision } => {
                    let step = steps.last_mut().ok_or_else(lost)?;
                    (step.promised, step.revision) = (promised, *revision);
                    revision.iter().copied().for_each(&mut floor);
                }
                Event::Offer { key, value } => {
                    self.offers.push(Offer { begun: *at, key: key.clone(), value: *value, revision: None });
                }
                Event::Taken { revision } => {
                    self.offers.last_mut().ok_or_else(lost)?.revision = Some(*revision);
                    floor(*revision);
                }
                Event::Refused { known } => {
                    let key = self.offers.pop().ok_or_else(lost)?.key;
                    refusals.push(Refusal { heard: *at, promised, key, known: *known });
                }
                Event::Saw { revision } => floor(*revision),
                Event::Listed { whose, print } => self.listings.extend(promised.map(|at| (at, *whose, *print))),
                Event::Acquire { token } => {
                    let (token, begun) = (token.clone(), *at);
                    self.leases.push(Lease { begun, token, fence: None, release_begun: None, released: None });
                }
                Event::Acquired { fence } => {
                    self.leases.last_mut().ok_or_else(lost)?.fence = Some(*fence);
                    floor(*fence);
                }
                Event::Release { fence } => self.lease(*fence).ok_or_else(lost)?.release_begun = Some(*at),
                Event::Released { fence } => self.lease(*fence).ok_or_else(lost)?.released = promised,
                Event::Synced => (),
            }
        }
        self.workers.insert(id, steps);
        self.floors.extend(floors);
        Ok(())
    }

    fn lease(&mut self, fence: u64) -> Option<&mut Lease> {
        self.leases.iter_mut().find(|lease| lease.fence == Some(fence))
    }

    /// What a disk that was cut at `at` may know of it; all times are before the beginning of its next life.
    pub fn until(&self, at: u64) -> History {
        let before = |time: Option<u64>| time.filter(|time| *time <= at).map(|_| 0);
        let worker = |steps: &Vec<Step>| {
            let begun = steps.iter().take_while(|step| step.begun <= at).cloned();
            begun.map(|step| Step { begun: 0, promised: before(step.promised), ..step }).collect()
        };
        let leases = self.leases.iter().filter(|lease| lease.begun <= at).cloned().map(|lease| Lease {
            begun: 0,
            release_begun: before(lease.release_begun),
            released: before(lease.released),
            ..lease
        });
        let offers = self.offers.iter().filter(|offer| offer.begun <= at).cloned();
        History {
            workers: self.workers.iter().map(|(id, steps)| (*id, worker(steps))).collect(),
            offers: offers.map(|offer| Offer { begun: 0, ..offer }).collect(),
            leases: leases.collect(),
            floors: self.floors.iter().filter(|floor| floor.0 <= at).map(|floor| (0, floor.1)).collect(),
            listings: self.listings.iter().filter(|seen| seen.0 <= at).map(|seen| (0, seen.1, seen.2)).collect(),
        }
    }

    /// When somebody heard something that must not be taken back; and when that was the first of a segment of the log.
    pub fn answers(&self) -> (Vec<u64>, Vec<u64>) {
        let mut turns = BTreeMap::new();
        for (at, revision) in &self.floors {
            let first = turns.entry(revision >> 32).or_insert(*at);
            *first = (*first).min(*at);
        }
        (self.floors.iter().map(|(at, _)| *at).collect(), turns.into_values().collect())
    }

    /// The revision up to which the log must be there after a cut at `at`.
    pub fn floor(&self, at: u64) -> u64 {
        self.floors.iter().filter(|(heard, _)| *heard <= at).map(|(_, revision)| *revision).max().unwrap_or(0)
    }

    /// Whether this is what a cut at `at` may leave; else, why not.
    pub fn judge(&self, at: u64, dump: &Dump) -> Result<(), String> {
        let mut fits = Vec::new();
        for (id, steps) in &self.workers {
            fits.push((*id, self.fits(*id, steps, at, dump)?));
        }
        let floor = self.floor(at);
        let not_begun = self.offers.iter().filter(|offer| offer.begun > at).filter_map(|offer| offer.revision).min();
        let not_begun = not_begun.unwrap_or(u64::MAX);
        if not_begun <= floor {
            return Err(format!("{not_begun} had not begun, but {floor}, which is later, had been heard of"));
        }
        let mut why = format!("what is there ends before {floor}, which somebody had heard of");
        for end in self.revisions().range(floor..not_begun).chain([&floor]) {
            match self.explain(*end, at, &fits, dump) {
                Ok(()) => return Ok(()),
                Err(e) => why = e,
            }
        }
        Err(format!("no end of the log at or beyond {floor} explains what is there; the last one tried: {why}"))
    }

    /// Every revision that was told to those who made a change.
    pub fn revisions(&self) -> BTreeSet<u64> {
        let own = self.workers.values().flatten().filter_map(|step| step.revision);
        let offered = self.offers.iter().filter_map(|offer| offer.revision);
        own.chain(offered).chain(self.leases.iter().filter_map(|lease| lease.fence)).collect()
    }

    /// After which numbers of its changes a worker's bucket is what is there, as the range of ends of the log for each.
    fn fits(&self, id: u64, steps: &[Step], at: u64, dump: &Dump) -> Result<Vec<(u64, u64)>, String> {
        let there = dump.bucket(&format!("w{id}"));
        let begun = steps.iter().take_while(|step| step.begun <= at).count();
        let promised = steps.iter().rposition(|step| step.promised.is_some_and(|heard| heard <= at));
        let mut least = promised.map_or(0, |last| last + 1);
        let nothing = print(&Content::new());
        let print_after = |changes: usize| changes.checked_sub(1).map_or(nothing, |last| steps[last].print);
        for (_, _, seen) in self.listings.iter().filter(|(heard, whose, _)| *heard <= at && *whose == id) {
            let earliest = (0..=begun).find(|changes| print_after(*changes) == *seen);
            least = least.max(earliest.ok_or_else(|| format!("somebody saw w{id} as it never was"))?);
        }
        let found = (least..=begun).filter(|changes| print_after(*changes) == print(&there));
        let known = |steps: &[Step]| steps.iter().filter_map(|step| step.revision).collect::<Vec<_>>();
        let range = |changes: usize| {
            let low = known(&steps[..changes]).into_iter().max().unwrap_or(0);
            (low, known(&steps[changes..]).into_iter().min().unwrap_or(u64::MAX))
        };
        let fits: Vec<_> = found.map(range).collect();
        if fits.is_empty() {
            let told = (0..=steps.len()).filter(|changes| print_after(*changes) == print(&there)).collect::<Vec<_>>();
            return Err(format!(
                "w{id} is what it was after {told:?} changes: {least} were promised or seen, {begun} begun; it holds {there:?}"
            ));
        }
        Ok(fits)
    }

    /// Whether what is there is what the log up to `end` made.
    fn explain(&self, end: u64, at: u64, fits: &[(u64, Vec<(u64, u64)>)], dump: &Dump) -> Result<(), String> {
        for (id, ranges) in fits {
            if !ranges.iter().any(|(low, high)| *low <= end && end < *high) {
                return Err(format!("up to {end}: w{id} is that of {ranges:?}"));
            }
        }
        let mut shared = BTreeMap::new();
        for offer in &self.offers {
            let Some(revision) = offer.revision.filter(|revision| *revision <= end) else { continue };
            let newest = shared.entry(format!("{SHARED}/{}", offer.key)).or_insert((offer.value, revision));
            if newest.1 < revision {
                *newest = (offer.value, revision);
            }
        }
        let there: BTreeMap<_, _> = dump.items.iter().filter(|(path, _)| path.starts_with(SHARED)).collect();
        if there != shared.iter().collect() {
            return Err(format!("up to {end}: {SHARED} holds {there:?} instead of {shared:?}"));
        }
        self.leases.iter().try_for_each(|lease| lease.judge(end, at, dump))?;
        let known: BTreeSet<u64> = self.leases.iter().filter_map(|lease| lease.fence).collect();
        match dump.leases.iter().find(|(_, fence)| !known.contains(fence)) {
            Some((token, fence)) => Err(format!("the lock {token} is held with {fence}, which nobody got")),
            None => Ok(()),
        }
    }
}

impl Lease {
    fn judge(&self, end: u64, at: u64, dump: &Dump) -> Result<(), String> {
        let Some(fence) = self.fence else { return Ok(()) };
        let held = dump.leases.get(&self.token) == Some(&fence);
        let by_then = |time: Option<u64>| time.is_some_and(|time| time <= at);
        let what = match held {
            true if fence > end => "is held, though the log ends before",
            true if by_then(self.released) => "is held, though it was released",
            false if fence <= end && !by_then(self.release_begun) => "is lost",
            _ => return Ok(()),
        };
        Err(format!("up to {end}: the lock {} with {fence} {what}", self.token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Change;

    fn value(tag: u64) -> Value {
        Value { tag, len: Value::LEAST }
    }

    /// A put heard at 2, a batch heard at 4, a put that begins at 9.
    fn journal() -> Vec<Entry> {
        let batch = ["a", "b"].map(|key| (key.to_owned(), value(2)));
        let events = [
            (1, Event::Begin(Change::Put("k".to_owned(), value(1)))),
            (2, Event::Done { revision: Some(10) }),
            (3, Event::Begin(Change::Batch(batch.into()))),
            (4, Event::Done { revision: Some(20) }),
            (9, Event::Begin(Change::Put("l".to_owned(), value(3)))),
        ];
        events.map(|(at, event)| Entry { at, event }).into()
    }

    fn dump(items: &[(&str, u64, u64)]) -> Dump {
        let items = items.iter().map(|(path, tag, revision)| ((*path).to_owned(), (value(*tag), *revision)));
        Dump { items: items.collect(), leases: BTreeMap::new() }
    }

    const FIRST: (&str, u64, u64) = ("w1/k", 1, 10);
    const BATCH: [(&str, u64, u64); 2] = [("w1/batch/a", 2, 20), ("w1/batch/b", 2, 20)];

    #[test]
    fn what_was_heard_is_there_whole_and_nothing_that_had_not_begun() {
        let history = History::new([(1, journal())], true).unwrap();
        let all = dump(&[FIRST, BATCH[0], BATCH[1]]);
        assert_eq!(history.judge(4, &all), Ok(()));
        assert_eq!(history.judge(3, &all), Ok(()), "begun and there");
        assert_eq!(history.judge(3, &dump(&[FIRST])), Ok(()), "begun and lost");
        assert!(history.judge(4, &dump(&[FIRST])).is_err(), "heard and lost");
        assert!(history.judge(3, &dump(&[FIRST, BATCH[0]])).is_err(), "half a batch");
        assert!(history.judge(2, &all).is_err(), "not begun");
        assert!(history.judge(4, &dump(&[FIRST, BATCH[0], BATCH[1], ("w1/l", 3, 30)])).is_err(), "not begun");
    }

    #[test]
    fn without_syncs_any_beginning_of_the_log_will_do() {
        let mut entries = journal();
        entries.insert(2, Entry { at: 2, event: Event::Synced });
        let history = History::new([(1, entries)], false).unwrap();
        assert_eq!(history.judge(8, &dump(&[FIRST])), Ok(()));
        assert!(history.judge(8, &dump(&[])).is_err(), "synced and lost");
        assert!(history.judge(8, &dump(&BATCH)).is_err(), "no beginning of the log");
    }

    #[test]
    fn what_somebody_saw_stays() {
        let seen = Entry { at: 3, event: Event::Saw { revision: 20 } };
        let history = History::new([(1, journal()), (2, vec![seen])], true).unwrap();
        assert!(history.judge(3, &dump(&[FIRST])).is_err(), "seen and lost");
        let print = print(&dump(&[FIRST, BATCH[0]]).bucket("w1"));
        let half = Entry { at: 3, event: Event::Listed { whose: 1, print } };
        let history = History::new([(1, journal()), (2, vec![half])], true).unwrap();
        assert!(history.judge(4, &dump(&[FIRST, BATCH[0], BATCH[1]])).is_err(), "half a batch was seen");
    }

    #[test]
    fn a_refusal_needs_its_reason() {
        let offer = |at| Entry { at, event: Event::Offer { key: "s".to_owned(), value: value(at) } };
        let refused = |known| vec![offer(5), Entry { at: 6, event: Event::Refused { known } }];
        let taken = vec![offer(1), Entry { at: 7, event: Event::Taken { revision: 10 } }];
        assert!(History::new([(1, taken.clone()), (2, refused(10))], true).is_err());
        let history = History::new([(1, taken), (2, refused(0))], true).unwrap();
        assert_eq!(history.judge(6, &dump(&[("shared/s", 1, 10)])), Ok(()));
        assert!(history.judge(6, &dump(&[])).is_err(), "what decided the refusal is lost");
        assert_eq!(history.judge(5, &dump(&[])), Ok(()));
    }
}
