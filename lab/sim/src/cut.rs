//! A power cut: each state of the disk that it may leave, by number, or one at random. What may be left is told atop
//! `machine`.

use crate::contents::Contents;
use crate::medium::Medium;
use fastrand::Rng;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The names in a directory, and their inodes.
pub type Names = BTreeMap<String, u64>;

/// A change of the directory that isn't durable yet.
#[derive(Clone, Hash, Debug)]
pub enum Change {
    Create(String, u64),
    Rename(String, String, u64),
    Remove(String),
}

pub fn apply(names: &mut Names, change: &Change) {
    match change {
        Change::Create(name, inode) => drop(names.insert(name.clone(), *inode)),
        Change::Rename(from, to, inode) => {
            if names.get(from) == Some(inode) {
                names.remove(from);
            }
            names.insert(to.clone(), *inode);
        }
        Change::Remove(name) => drop(names.remove(name)),
    }
}

/// What survives without power.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub names: Names,
    pub inodes: BTreeMap<u64, Contents>,
}

impl Disk {
    /// The same for disks that hold the same, whatever became of them before. An inode number matters where it is written down.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, number) in &self.names {
            let file = &self.inodes[number];
            (name, file.len(), file.hash(), if name == "SHARED" { *number } else { 0 }).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// How many states are looked at.
#[derive(Clone, Copy, Hash, Debug)]
pub struct Bound {
    /// All of them, if there are no more.
    pub whole: u64,
    /// Else so many.
    pub samples: u64,
}

/// More changes of the directory than this aren't taken in all subsets.
const ALL_SUBSETS: usize = 8;

/// One of the things that a cut decides.
#[derive(Clone, Copy)]
struct Choice {
    inode: u64,
    /// Which sector; `None` is the file's size.
    sector: Option<usize>,
    /// Nothing new, or one of those that were there since.
    options: usize,
}

/// A moment at which the power may be cut.
#[derive(Clone)]
pub struct Moment {
    pub durable: Names,
    pub pending: Vec<Change>,
    pub files: BTreeMap<u64, Medium>,
    /// Of whoever had it recorded: what callers had been told.
    pub tag: usize,
}

/// Samples are numbered from here on, so that a number means the same state under every bound.
const SAMPLES: u64 = 1 << 32;

/// The states that a cut may leave.
pub struct States<'a> {
    moment: &'a Moment,
    worlds: Vec<(Names, Vec<Choice>)>,
    /// How many there are; `None` if not all subsets of the directory's changes are among them.
    count: Option<u64>,
}

impl States<'_> {
    /// The numbers of all of them, or of some if there are too many; true if all.
    pub fn numbers(&self, bound: Bound) -> (std::ops::Range<u64>, bool) {
        match self.count {
            Some(count) if count <= bound.whole => (0..count, true),
            _ => (SAMPLES..SAMPLES + bound.samples, false),
        }
    }

    /// The state of a number.
    pub fn state(&self, number: u64) -> Disk {
        match number.checked_sub(SAMPLES) {
            None => self.nth(number),
            Some(sample) => self.sample(sample),
        }
    }

    fn nth(&self, mut n: u64) -> Disk {
        for (names, choices) in &self.worlds {
            match n.checked_sub(count(choices)) {
                None => return self.moment.disk(names, choices, &digits(choices, n)),
                Some(rest) => n = rest,
            }
        }
        panic!("there is no such state")
    }

    /// Nothing of what was written, then all of it, then whatever comes.
    fn sample(&self, n: u64) -> Disk {
        let mut rng = Rng::with_seed(n);
        let (names, choices) = match n {
            0 => &self.worlds[0],
            1 => &self.worlds[self.worlds.len() - 1],
            _ => &self.worlds[rng.usize(..self.worlds.len())],
        };
        let picks = match n {
            0 => vec![0; choices.len()],
            1 => choices.iter().map(|c| c.options - 1).collect(),
            _ => random(choices, &mut rng),
        };
        self.moment.disk(names, choices, &picks)
    }
}

fn count(choices: &[Choice]) -> u64 {
    choices.iter().fold(1, |n, choice| n.saturating_mul(choice.options as u64))
}

impl Moment {
    /// The same for moments at which a cut may leave the same.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.durable, &self.pending).hash(&mut hasher);
        self.files.iter().for_each(|(inode, file)| (inode, file.hash()).hash(&mut hasher));
        hasher.finish()
    }

    pub fn states(&self) -> States<'_> {
        let (names, are_all) = self.names();
        let worlds: Vec<_> = names.into_iter().map(|names| (names.clone(), self.choices(&names))).collect();
        let all = worlds.iter().fold(0u64, |n, (_, choices)| n.saturating_add(count(choices)));
        States { moment: self, worlds, count: are_all.then_some(all) }
    }

    /// One state at random.
    pub fn any(&self, rng: &mut Rng) -> Disk {
        let mut names = self.durable.clone();
        // Often the journal is in order; some filesystems write names in any.
        let (whole, any) = (rng.usize(..=self.pending.len()), rng.u8(..3) == 0);
        for (i, change) in self.pending.iter().enumerate() {
            if if any { rng.bool() } else { i < whole } {
                apply(&mut names, change);
            }
        }
        let choices = self.choices(&names);
        self.disk(&names, &choices, &random(&choices, rng))
    }

    /// The directories that may be left, and whether those are all: any subset of the changes, in their order.
    fn names(&self) -> (Vec<Names>, bool) {
        let mut found = vec![self.durable.clone()];
        let are_all = self.pending.len() <= ALL_SUBSETS;
        for change in &self.pending {
            // Of many, only prefixes, and those with one change missing or alone.
            let from = if are_all { 0 } else { found.len().saturating_sub(2) };
            for at in from..found.len() {
                let mut names = found[at].clone();
                apply(&mut names, change);
                if !found.contains(&names) {
                    found.push(names);
                }
            }
        }
        (found, are_all)
    }

    fn choices(&self, names: &Names) -> Vec<Choice> {
        let mut choices = Vec::new();
        let mut inodes: Vec<u64> = names.values().copied().collect();
        inodes.sort_unstable();
        inodes.dedup();
        for inode in inodes {
            let file = &self.files[&inode];
            if !file.sizes.is_empty() {
                choices.push(Choice { inode, sector: None, options: 1 + file.sizes.len() });
            }
            let sectors = file.sectors.iter();
            choices.extend(sectors.map(|(n, held)| Choice { inode, sector: Some(*n), options: 1 + held.len() }));
        }
        choices
    }

    fn disk(&self, names: &Names, choices: &[Choice], picks: &[usize]) -> Disk {
        let mut disk = Disk { names: names.clone(), inodes: BTreeMap::new() };
        for number in names.values() {
            disk.inodes.insert(*number, self.files[number].synced.clone());
        }
        let mut sizes = Vec::new();
        for (choice, pick) in choices.iter().zip(picks) {
            let (was, file) = (&self.files[&choice.inode], disk.inodes.get_mut(&choice.inode).expect("it has a name"));
            match choice.sector {
                None => {
                    let picked = pick.checked_sub(1).map_or(was.synced.len(), |n| was.sizes[n]);
                    sizes.push((choice.inode, picked));
                }
                Some(number) if *pick > 0 => file.set_sector(number, was.sectors[&number][pick - 1].clone()),
                Some(_) => (),
            }
        }
        // Sectors that were written behind the end don't show.
        for (number, file) in &mut disk.inodes {
            let size = sizes.iter().find(|(n, _)| n == number).map_or(self.files[number].synced.len(), |s| s.1);
            file.resize(size);
        }
        disk
    }
}

fn digits(choices: &[Choice], mut n: u64) -> Vec<usize> {
    let digit = |choice: &Choice| {
        let options = choice.options as u64;
        let digit = n % options;
        n /= options;
        usize::try_from(digit).expect("less than the options")
    };
    choices.iter().map(digit).collect()
}

/// All but one, one alone, a prefix, or each with the same odds.
fn random(choices: &[Choice], rng: &mut Rng) -> Vec<usize> {
    let at = rng.usize(..=choices.len());
    let (kind, odds) = (rng.u8(..6), [0, 10, 50, 90, 100][rng.usize(..5)]);
    let is_there = |i: usize, rng: &mut Rng| match kind {
        0 => i != at,
        1 => i == at,
        2 => i < at,
        _ => rng.u8(..100) < odds,
    };
    let mut picks = Vec::with_capacity(choices.len());
    for (i, choice) in choices.iter().enumerate() {
        let newest = choice.options - 1;
        let any = if rng.bool() { newest } else { rng.usize(..=newest) };
        // A size of its own accord: else nothing that was written behind the old end would ever show.
        let there = if choice.sector.is_none() { rng.bool() } else { is_there(i, rng) };
        picks.push(if there { any } else { 0 });
    }
    picks
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn file(synced: &[u8]) -> Medium {
        let mut contents = Contents::default();
        contents.write(synced, 0);
        Medium::new(contents)
    }

    fn moment(pending: Vec<Change>, files: BTreeMap<u64, Medium>) -> Moment {
        Moment { durable: BTreeMap::from([("a".to_owned(), 1)]), pending, files, tag: 0 }
    }

    #[test]
    fn every_subset_of_unsynced_sectors_and_every_size_is_left_once() {
        let mut new = file(&[1; 1_024]);
        let mut cache = new.synced.clone();
        for number in cache.write(&[2; 1_000], 400) {
            new.wrote(number, cache.sector(number));
        }
        new.grew(cache.len());
        let moment = moment(Vec::new(), BTreeMap::from([(1, new)]));
        let states = moment.states();
        let left = |whole, samples| -> (BTreeSet<Vec<u8>>, bool) {
            let (numbers, are_all) = states.numbers(Bound { whole, samples });
            (numbers.map(|number| states.state(number).inodes[&1].bytes()).collect(), are_all)
        };
        let (seen, are_all) = left(16, 0);
        assert!(are_all);
        // Three sectors and the size; without the size the last sector doesn't show.
        assert_eq!(seen.len(), 12);
        let mut whole = vec![1; 1_400];
        whole[400..].fill(2);
        assert!(seen.contains(&whole) && seen.contains(&vec![1; 1_024]));
        let (some, are_all) = left(15, 200);
        assert!(!are_all);
        assert!(some.len() > 6 && some.is_subset(&seen));
    }

    #[test]
    fn a_rename_may_be_there_before_the_bytes_and_an_unlink_may_be_undone() {
        let change = Change::Rename("b".to_owned(), "a".to_owned(), 2);
        let mut new = file(&[]);
        new.grew(3);
        let mut cache = Contents::default();
        cache.write(b"new", 0);
        new.wrote(0, cache.sector(0));
        let changes = vec![Change::Create("b".to_owned(), 2), change, Change::Remove("a".to_owned())];
        let moment = moment(changes, BTreeMap::from([(1, file(b"old")), (2, new)]));
        let states = moment.states();
        let (numbers, all) = states.numbers(Bound { whole: 100, samples: 0 });
        let shown =
            |disk: Disk| disk.names.iter().map(|(n, i)| (n.clone(), disk.inodes[i].bytes())).collect::<Vec<_>>();
        let seen: BTreeSet<_> = numbers.map(|number| shown(states.state(number))).collect();
        let is = |name: &str, bytes: &[u8]| seen.contains(&vec![(name.to_owned(), bytes.to_vec())]);
        assert!(all && is("a", b"old") && is("a", b"new") && is("a", b"") && is("a", &[0; 3]));
        assert!(is("b", b"new") && seen.contains(&vec![]));
    }
}
