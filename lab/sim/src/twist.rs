//! What goes wrong in a script, by the number of the call that it happens to; and which call may fail how.

use crate::machine::{Action, Call, EIO, ENOSPC, Plan};
use std::fmt;
use std::str::FromStr;

/// What goes wrong in a course, at a call that is told by its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Twist {
    None,
    /// The process that makes the call, a look at the shared page too, is killed before it.
    Kill(u64),
    /// Of the calls that may fail so, this one and the next ones do.
    Fail {
        errno: i32,
        nth: u64,
        times: u64,
    },
    /// Two of them do.
    Both {
        errno: i32,
        nth: u64,
        then: u64,
    },
}

impl Twist {
    pub fn fails(self) -> bool {
        matches!(self, Twist::Fail { .. } | Twist::Both { .. })
    }

    pub fn plans(self) -> Vec<Plan> {
        let fail = |errno, skip, times| {
            let matches = Box::new(move |call, _: &str| may_fail(call, errno));
            Plan { matches, skip, times, action: Action::Fail(errno) }
        };
        match self {
            Twist::None => Vec::new(),
            Twist::Kill(nth) => {
                vec![Plan { matches: Box::new(|_, _| true), skip: nth, times: 1, action: Action::Kill }]
            }
            Twist::Fail { errno, nth, times } => vec![fail(errno, nth, times)],
            // The second one doesn't count the call that the first one takes.
            Twist::Both { errno, nth, then } => vec![fail(errno, nth, 1), fail(errno, nth + then, 1)],
        }
    }
}

/// Every error that a call may give, as open(2), fdatasync(2) and so on have it.
pub const ERRNOS: [(i32, &str); 8] = [
    (EIO, "EIO"),
    (ENOSPC, "ENOSPC"),
    (122, "EDQUOT"),
    (12, "ENOMEM"),
    (24, "EMFILE"),
    (23, "ENFILE"),
    (30, "EROFS"),
    (4, "EINTR"),
];

fn may_fail(call: Call, errno: i32) -> bool {
    use Call::{Allocate, Names, Open, Page, Random, Remove, Rename, SyncData, SyncDir, Unlock, Write};
    match errno {
        ENOSPC | 122 => matches!(call, Open | Rename | Write | Allocate | SyncData | SyncDir),
        12 => !matches!(call, Page | Unlock | Random),
        23 | 24 => matches!(call, Open | Names),
        30 => matches!(call, Open | Rename | Remove | Write | Allocate | SyncData | SyncDir),
        // Reads, writes and locks are tried again within.
        4 => matches!(call, Open | SyncData | SyncDir | Allocate),
        _ => !matches!(call, Page | Unlock),
    }
}

impl fmt::Display for Twist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Twist::None => f.write_str("none"),
            Twist::Kill(nth) => write!(f, "kill-{nth}"),
            Twist::Fail { errno, nth, times } => write!(f, "fail-{errno}-{nth}-{times}"),
            Twist::Both { errno, nth, then } => write!(f, "both-{errno}-{nth}-{then}"),
        }
    }
}

impl FromStr for Twist {
    type Err = String;

    fn from_str(text: &str) -> Result<Twist, String> {
        let parts: Vec<&str> = text.split('-').collect();
        let number = |n: usize| parts[n].parse::<u64>().map_err(|e| format!("{text}: {e}"));
        let errno = || i32::try_from(number(1)?).map_err(|e| format!("{text}: {e}"));
        match (parts[0], parts.len()) {
            ("none", 1) => Ok(Twist::None),
            ("kill", 2) => Ok(Twist::Kill(number(1)?)),
            ("fail", 4) => Ok(Twist::Fail { errno: errno()?, nth: number(2)?, times: number(3)? }),
            ("both", 4) => Ok(Twist::Both { errno: errno()?, nth: number(2)?, then: number(3)? }),
            _ => Err(format!("{text} is no twist")),
        }
    }
}
