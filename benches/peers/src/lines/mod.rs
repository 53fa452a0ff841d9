//! The lines: what is measured, by whom, and what dirkv is to reach. Data; how it is done stands in `stages` and `work`.

mod batches;
mod commits;
mod growth;
mod large;
mod lists;
mod locks;
mod reads;
mod swaps;
mod upkeep;
mod ycsb;

use crate::bench::Form;
use crate::engines::Kind;
use crate::stages::{Metric, Plan, Script};

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Line {
    /// What `--only` takes: a group and a name.
    pub id: String,
    /// What the table says.
    pub title: String,
    /// Who takes part, dirkv first.
    pub kinds: Vec<Kind>,
    /// How it is done.
    pub script: Script,
    /// What dirkv is to reach.
    pub reaches: Vec<Reach>,
    /// How many rounds.
    pub rounds: usize,
    /// Whether dirkv is measured beside one engine after the other.
    pub in_pairs: bool,
}

/// A figure that dirkv is to reach.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reach {
    /// Of which kind.
    pub metric: Metric,
    /// The bound.
    pub bound: Bound,
}

/// How a figure is bounded.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Bound {
    /// At least so many times as good as another.
    Times(f64, Of),
    /// Less than.
    Below(f64),
    /// At least.
    AtLeast(f64),
}

/// Whose figure another is compared with.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Of {
    /// That of one engine.
    Kind(Kind),
    /// That of whichever peer is best in this line.
    BestPeer,
    /// dirkv's own in another line.
    Line(&'static str),
}

/// All engines that can do it in one process.
const EVERYONE: [Kind; 6] = [Kind::Dirkv, Kind::Lmdb, Kind::Sqlite, Kind::Redb, Kind::Fjall, Kind::Raw];
/// The stores, without the raw limit.
const STORES: [Kind; 5] = [Kind::Dirkv, Kind::Lmdb, Kind::Sqlite, Kind::Redb, Kind::Fjall];
/// Those of which several processes may have a store open.
const SHARING: [Kind; 4] = [Kind::Dirkv, Kind::Lmdb, Kind::Sqlite, Kind::Redb];

impl Line {
    fn new(form: &Form, id: impl Into<String>, title: impl Into<String>, kinds: &[Kind], script: Script) -> Line {
        let (id, title, in_pairs) = (id.into(), title.into(), form.in_pairs(script.keys()));
        Line { id, title, kinds: kinds.to_vec(), script, reaches: Vec::new(), rounds: form.rounds, in_pairs }
    }

    /// Who of `kinds` are measured beside each other, group after group.
    pub fn groups(&self, kinds: &[Kind]) -> Vec<Vec<Kind>> {
        let all: Vec<Kind> = self.kinds.iter().copied().filter(|kind| kinds.contains(kind)).collect();
        match all.split_first() {
            Some((dirkv, others)) if self.in_pairs && !others.is_empty() => {
                others.iter().map(|other| vec![*dirkv, *other]).collect()
            }
            _ => vec![all],
        }
    }

    fn workers(form: &Form, id: impl Into<String>, title: impl Into<String>, kinds: &[Kind], plan: Plan) -> Line {
        Line::new(form, id, title, kinds, Script::Workers(plan))
    }

    fn reach(mut self, metric: Metric, bound: Bound) -> Line {
        self.reaches.push(Reach { metric, bound });
        self
    }

    /// So many times the rate of another.
    fn times(self, factor: f64, of: Of) -> Line {
        self.reach(Metric::Rate, Bound::Times(factor, of))
    }

    fn rounds(self, rounds: usize) -> Line {
        Line { rounds, ..self }
    }
}

/// All lines of a form, in the order of the table.
pub fn all(form: &Form) -> Vec<Line> {
    let groups: [fn(&Form) -> Vec<Line>; 10] = [
        reads::lines,
        commits::lines,
        batches::lines,
        swaps::lines,
        lists::lines,
        large::lines,
        locks::lines,
        upkeep::lines,
        growth::lines,
        ycsb::lines,
    ];
    groups.iter().flat_map(|lines| lines(form)).collect()
}

/// 1000000 as 10^6, 2000 as 2,000.
fn count(number: u64) -> String {
    let zeros = number.checked_ilog10().unwrap_or(0);
    if number >= 10_000 && number == 10_u64.pow(zeros) {
        return format!("10^{zeros}");
    }
    let digits = number.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    String::from_utf8_lossy(&groups.join(&b',')).into_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::engines::Cache;

    #[test]
    fn caches_have_room_for_the_data() {
        for line in all(&Form::long()) {
            let Script::Workers(plan) = &line.script else { continue };
            let ample = line.id.starts_with("growth.") && line.id.ends_with(".10000000");
            let wanted = if ample { Cache::Ample } else { Cache::Usual };
            assert!(plan.frugal || plan.setup().cache == wanted, "{}: {:?}", line.id, plan.setup());
            assert!(!plan.frugal || plan.setup().cache == Cache::Frugal, "{}: {:?}", line.id, plan.setup());
        }
    }

    #[test]
    fn ids_are_unique_and_dirkv_is_everywhere() {
        for form in [Form::tiny(), Form::short(), Form::long()] {
            let lines = all(&form);
            let ids: HashSet<&str> = lines.iter().map(|line| line.id.as_str()).collect();
            assert_eq!(ids.len(), lines.len());
            assert!(lines.iter().all(|line| line.kinds[0] == Kind::Dirkv && line.rounds > 0));
        }
    }

    #[test]
    fn pairs_are_for_the_largest_stores() {
        let (form, engines) = (Form::long(), [Kind::Dirkv, Kind::Redb, Kind::Fjall, Kind::Raw]);
        let lines = all(&form);
        let paired: Vec<&str> = lines.iter().filter(|line| line.in_pairs).map(|line| line.id.as_str()).collect();
        let growth = ["growth.get.10000000", "growth.list-of-100.10000000", "growth.upsert.10000000"];
        assert_eq!(paired, [&["open.10000000"], &growth[..]].concat());
        for line in &lines {
            let groups = line.groups(&engines);
            if line.in_pairs {
                assert_eq!(groups, [[Kind::Dirkv, Kind::Redb], [Kind::Dirkv, Kind::Fjall]], "{}", line.id);
            } else {
                assert!(groups.len() == 1 && groups[0].contains(&Kind::Dirkv), "{}: {groups:?}", line.id);
            }
            assert_eq!(line.groups(&engines[..1]), [[Kind::Dirkv]], "{}", line.id);
        }
    }

    #[test]
    fn bounds_lead_to_those_who_take_part() {
        let lines = all(&Form::short());
        for line in &lines {
            for Reach { bound, .. } in &line.reaches {
                let there = match bound {
                    Bound::Times(_, Of::Kind(kind)) => line.kinds.contains(kind),
                    Bound::Times(_, Of::BestPeer) => line.kinds.iter().any(|kind| kind.is_peer()),
                    Bound::Times(_, Of::Line(id)) => lines.iter().any(|other| other.id == *id),
                    Bound::Below(_) | Bound::AtLeast(_) => true,
                };
                assert!(there, "{}: {bound:?}", line.id);
            }
        }
    }

    #[test]
    fn counts_are_readable() {
        assert_eq!([count(300), count(2_000), count(10_000), count(1_234_567)], ["300", "2,000", "10^4", "1,234,567"]);
    }
}
