//! One protocol with its rules and its bounded worlds, as whoever explores it knows it.

use crate::rules::Rule;
use crate::search::{Limits, Report};
use std::time::Duration;

/// One protocol and its bounded worlds.
pub struct Room {
    /// What it is called.
    pub name: &'static str,
    /// What is modelled.
    pub about: &'static str,
    /// Its rules.
    pub rules: &'static [Rule],
    /// The worlds, small ones first.
    pub worlds: &'static [&'static str],
    /// How many of them are small: explored in seconds.
    pub small: usize,
    /// Explores one world without some rules.
    pub run: fn(world: usize, without: &[&str], limits: &Limits) -> Report,
}

impl Room {
    /// What breaks in a world without some rules: first what nobody may ever see, and only if that holds, who waits for ever.
    pub fn counterexample(&self, world: usize, without: &[&str], bytes: usize, time: Duration) -> Report {
        let safe = (self.run)(world, without, &Limits { bytes, time, live_every: u64::MAX });
        match safe.broken {
            Some(_) => safe,
            None => (self.run)(world, without, &Limits { bytes, time, live_every: 1 }),
        }
    }
}

/// The room of a module that has `rules!` and, in `worlds`, its `WORLDS`, of which the first so many are `SMALL`. The model
/// is that of one world with its rules.
macro_rules! room {
    (name: $name:literal, about: $about:literal, model: |$world:ident, $rules:ident| $model:expr $(,)?) => {
        /// The room.
        pub const ROOM: $crate::Room = $crate::Room {
            name: $name,
            about: $about,
            rules: RULES,
            worlds: &{
                let (mut names, mut i) = ([""; worlds::WORLDS.len()], 0);
                while i < names.len() {
                    names[i] = worlds::WORLDS[i].name;
                    i += 1;
                }
                names
            },
            small: worlds::SMALL,
            run,
        };

        // No closure: that would be compiled in another crate than its model, and be slower.
        fn run(world: usize, without: &[&str], limits: &$crate::search::Limits) -> $crate::search::Report {
            let ($world, $rules) = (worlds::WORLDS[world], Rules::without(without));
            $crate::search::explore(&$model, limits)
        }
    };
}
pub(crate) use room;
