//! Threads that do something at once: whatever they were told by some moment, an order of their operations explains it, and leads
//! to what may be at that moment.

use crate::world::{Handle, Map, Op, World, dump};
use dirkv::{Code, Result};

/// What a thread was told.
#[derive(Clone, Debug)]
enum Told {
    /// Nothing yet, or that nobody knows: it may have happened, or may happen yet.
    Unknown,
    /// It happened; with the revision, 0 if there is none.
    Done(u64),
    /// The condition doesn't hold.
    Refused,
    /// An error that says that it did not happen.
    Not,
    /// What a listing showed.
    Shown(Map),
}

/// What the store answered.
pub enum Answer {
    Changed(Result<u64>),
    Listed(Result<Map>),
}

/// Does it; a look at one key looks at all of them.
pub fn answer(handle: &Handle, op: &Op) -> Answer {
    match op {
        Op::Read | Op::Get(..) => Answer::Listed(dump(handle.store())),
        _ => Answer::Changed(op.run(handle.store())),
    }
}

/// The operations of one crowd.
pub struct Crowd {
    before: World,
    doing: Vec<(Op, Told)>,
    /// What may be: first while nobody was told anything, then after each answer.
    pub worlds: Vec<World>,
    first_tag: usize,
}

impl Crowd {
    /// Nobody was told anything yet. The moments of `worlds` have tags from `first_tag` on.
    pub fn begin(before: &World, ops: Vec<Op>, first_tag: usize) -> Crowd {
        let doing = ops.into_iter().map(|op| (op, Told::Unknown)).collect();
        let mut crowd = Crowd { before: before.clone(), doing, worlds: Vec::new(), first_tag };
        crowd.look();
        crowd
    }

    /// One of them is answered. The tag of what may be from now on.
    pub fn learns(&mut self, number: usize, answer: Answer) -> usize {
        let (op, told) = &mut self.doing[number];
        *told = match answer {
            Answer::Listed(Ok(map)) => Told::Shown(map),
            Answer::Changed(Ok(revision)) => Told::Done(revision),
            Answer::Changed(Err(e)) | Answer::Listed(Err(e)) => match e.code {
                Code::AlreadyExists | Code::NotFound | Code::CompareFailed => Told::Refused,
                Code::Uncertain => Told::Unknown,
                code => {
                    self.before.calm(code, op);
                    Told::Not
                }
            },
        };
        self.look()
    }

    fn look(&mut self) -> usize {
        let mut world = self.before.clone();
        (world.may_be, world.last) = self.orders(&self.doing);
        if let Some(past) = &mut world.past {
            // The power may take back what a thread was told, but for errors, and any part of what is under way.
            let forgotten = |told: &Told| if matches!(told, Told::Not) { Told::Not } else { Told::Unknown };
            let any: Vec<_> = self.doing.iter().map(|(op, told)| (op.clone(), forgotten(told))).collect();
            past.extend(self.orders(&any).0);
        }
        let none = world.may_be.is_empty();
        assert!(!none, "{}: no order of these explains what they were told: {:?}", world.name, self.doing);
        self.worlds.push(world);
        self.first_tag + self.worlds.len() - 1
    }

    /// What each order leads to, those in which less has happened first; and the greatest revision.
    fn orders(&self, doing: &[(Op, Told)]) -> (Vec<Map>, u64) {
        let mut found = Vec::new();
        let begin = Order { before: &self.before.may_be, at: 0, map: Map::new(), last: self.before.last, changes: 0 };
        begin.later().for_each(|order| order.go_on(&mut doing.to_vec(), &mut found));
        found.sort_by_key(|order| (order.changes, order.at));
        let last = found.iter().map(|order| order.last).max().unwrap_or(self.before.last);
        let mut maps: Vec<Map> = found.into_iter().map(|order| order.map).collect();
        maps.dedup();
        (maps, last)
    }
}

/// Some of the operations, one after the other.
#[derive(Clone)]
struct Order<'a> {
    before: &'a [Map],
    /// Which of those there was before the first change. What a killed writer left may be adopted until then.
    at: usize,
    map: Map,
    last: u64,
    changes: usize,
}

impl Order<'_> {
    /// The same where as much or more had happened before.
    fn later(&self) -> impl Iterator<Item = Self> {
        (self.at..self.before.len()).map(|at| Order { at, map: self.before[at].clone(), ..self.clone() })
    }

    /// With each of those that are left next.
    fn go_on(&self, left: &mut Vec<(Op, Told)>, found: &mut Vec<Self>) {
        if left.iter().all(|(_, told)| matches!(told, Told::Unknown | Told::Not)) {
            found.push(self.clone());
        }
        for at in 0..left.len() {
            let Some(next) = self.after(&left[at]) else { continue };
            let this = left.remove(at);
            match next.changes {
                0 => next.later().for_each(|order| order.go_on(left, found)),
                _ => next.go_on(left, found),
            }
            left.insert(at, this);
        }
    }

    /// After this operation; `None` if it would have been told something else.
    fn after(&self, (op, told): &(Op, Told)) -> Option<Self> {
        let changed =
            |last| Some(Order { map: op.applied(&self.map)?, last, changes: self.changes + 1, ..self.clone() });
        match told {
            Told::Unknown | Told::Done(0) => changed(self.last),
            Told::Done(revision) if *revision > self.last => changed(*revision),
            Told::Refused if op.applied(&self.map).is_none() => Some(self.clone()),
            Told::Shown(map) if *map == self.map => Some(self.clone()),
            Told::Done(_) | Told::Refused | Told::Shown(_) | Told::Not => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str) -> Op {
        Op::Create(String::new(), key.to_owned(), Vec::new())
    }

    fn map(keys: &[&str]) -> Map {
        keys.iter().map(|key| ((*key).to_owned(), Vec::new())).collect()
    }

    /// What may be after these answers, by number of the operation.
    fn after(answers: Vec<(usize, Answer)>, ops: Vec<Op>) -> Vec<Map> {
        let mut crowd = Crowd::begin(&World::new("test".to_owned()), ops, 0);
        answers.into_iter().for_each(|(number, answer)| {
            crowd.learns(number, answer);
        });
        crowd.worlds.pop().expect("a world").may_be
    }

    #[test]
    fn what_is_under_way_may_be_there_in_any_part() {
        let may_be = after(Vec::new(), vec![put("a"), put("b")]);
        assert_eq!(may_be, [map(&[]), map(&["a"]), map(&["b"]), map(&["a", "b"])]);
    }

    #[test]
    fn what_was_promised_stays_and_a_refusal_tells_of_another() {
        let refused = || Answer::Changed(Err(dirkv::Error::new(Code::AlreadyExists, "")));
        let ops = || vec![put("a"), put("a"), put("b")];
        assert_eq!(after(vec![(1, refused())], ops()), [map(&["a"]), map(&["a", "b"])]);
        assert_eq!(after(vec![(0, Answer::Changed(Ok(7))), (1, refused())], ops()), [map(&["a"]), map(&["a", "b"])]);
    }

    #[test]
    fn what_a_listing_showed_is_no_less_later() {
        let shown = after(vec![(2, Answer::Listed(Ok(map(&["b"]))))], vec![put("a"), put("b"), Op::Read]);
        assert_eq!(shown, [map(&["b"]), map(&["a", "b"])]);
    }

    #[test]
    #[should_panic(expected = "no order")]
    fn two_that_were_both_the_first_are_found() {
        after(vec![(0, Answer::Changed(Ok(7))), (1, Answer::Changed(Ok(8)))], vec![put("a"), put("a")]);
    }
}
