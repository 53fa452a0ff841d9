//! Opens a damaged store, reads all of it, goes on with it, and holds what came out against what is expected.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use dirkv::format::shared::{COMMITTED, position_of};
use dirkv::{Backend, Code, Error};

use crate::memory::Memory;
use crate::oracle::{Expected, expected};
use crate::small::{Content, Small, content, open};
use crate::support::{assert_clean, assert_names_damage};

/// A way to meet the damage.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub read_only: bool,
    /// `SHARED` is the file that it says it is; else a copy.
    pub in_place: bool,
}

pub const WAYS: [Way; 4] = [
    Way { read_only: true, in_place: false },
    Way { read_only: false, in_place: false },
    Way { read_only: true, in_place: true },
    Way { read_only: false, in_place: true },
];

type Files = BTreeMap<String, Vec<u8>>;

/// What came of a damaged store.
enum Outcome {
    Refused(Error),
    Found(Error),
    Silent(Content),
}

/// Whether there is time for every single case.
pub fn everything() -> bool {
    std::env::var_os("DIRKV_TORTURE_SECONDS").is_some()
}

/// How many cases came out how.
#[derive(Default, Debug)]
pub struct Count {
    pub noticed: usize,
    pub harmless: usize,
    pub earlier: usize,
}

/// Damages one file of the store (`None`: takes it away), opens it in this way, and holds it against what is expected.
pub fn judge(small: &Small, name: &str, bytes: Option<Vec<u8>>, way: Way, what: &str, count: &mut Count) {
    let expected = expected(small, name, bytes.as_deref(), way.in_place);
    let memory = if way.in_place { small.memory.twin() } else { small.memory.copy() };
    match bytes {
        Some(bytes) => memory.put(name, bytes),
        None => memory.take(name),
    }
    judge_as(small, &memory, name, &expected, way, what, count);
}

/// The same with a store that is damaged already.
pub fn judge_as(
    small: &Small,
    memory: &Memory,
    name: &str,
    expected: &Expected,
    way: Way,
    what: &str,
    count: &mut Count,
) {
    let what = format!("{what} ({way:?})");
    let before = memory.files();
    let goes_on = everything() || count.harmless.is_multiple_of(8);
    let outcome = catch_unwind(AssertUnwindSafe(|| examine(memory, name, way, goes_on, &what)));
    match (outcome.unwrap_or_else(|_| panic!("{what}: it panicked")), expected) {
        (Outcome::Refused(e), Expected::Noticed | Expected::NowOrNoticed) => {
            named(&e, before.contains_key(name), way, &what);
            refused_changes_nothing(&before, &memory.files(), &what);
            count.noticed += 1;
        }
        (Outcome::Found(e), Expected::Noticed | Expected::NowOrNoticed) => {
            named(&e, true, way, &what);
            count.noticed += 1;
        }
        (Outcome::Refused(e) | Outcome::Found(e), _) => panic!("{what}: harmless, but: {e}"),
        (Outcome::Silent(_), Expected::Noticed) => panic!("{what}: nobody noticed"),
        (Outcome::Silent(found), Expected::Earlier(state)) => {
            assert!(found == *state, "{what}: neither the state before the torn tail nor an error");
            count.earlier += 1;
        }
        (Outcome::Silent(found), _) => {
            assert!(found == *small.now(), "{what}: wrong data without a word");
            count.harmless += 1;
        }
    }
}

/// Whoever was refused has left every file as it was. The page alone is made anew by whoever has found the end of the log;
/// as a witness it is then as good as before.
fn refused_changes_nothing(before: &Files, after: &Files, what: &str) {
    let committed = |files: &Files| {
        let word = |word: usize| files.get("SHARED")?.get(word * 8..)?.first_chunk().copied().map(u64::from_ne_bytes);
        word(COMMITTED).map_or(0, position_of)
    };
    for (name, bytes) in before.iter().filter(|(name, _)| *name != "SHARED") {
        assert!(after.get(name) == Some(bytes), "{what}: refused, but {name} was changed");
    }
    for name in after.keys().filter(|name| !["LOCK", "SHARED", "COMPACT"].contains(&name.as_str())) {
        assert!(before.contains_key(name), "{what}: refused, but {name} came");
    }
    let is_page = before.get("SHARED").is_some_and(|page| page.len() >= 4096 && page.starts_with(b"DIRKVSHR"));
    assert!(!is_page || committed(after) >= committed(before), "{what}: refused, but SHARED tells less");
}

/// The error says of damage and names a file; without `LOCK` or `MANIFEST` a reader sees no store.
fn named(e: &Error, is_there: bool, way: Way, what: &str) {
    if !(e.code == Code::NotFound && way.read_only && !is_there) {
        assert_names_damage(e, what);
    }
}

/// Opens, lists, reads each, checks; who may write compacts, and goes on if there is time for it.
fn examine(memory: &Memory, name: &str, way: Way, goes_on: bool, what: &str) -> Outcome {
    let damaged = memory.files();
    let store = match open(memory, way.read_only) {
        Ok(store) => store,
        Err(e) => return Outcome::Refused(e),
    };
    let changes = memory.changes();
    let listed = content(&store);
    let findings = store.check().unwrap_or_else(|e| vec![format!("check failed: {e}")]);
    assert_eq!(memory.changes(), changes, "{what}: a reader or a check changed something");
    let found = match listed {
        Err(e) => {
            assert!(!findings.is_empty(), "{what}: a listing fails ({e}), but check finds nothing");
            return after_damage(memory, name, damaged.get(name), &store, e, way, what);
        }
        Ok(found) => found,
    };
    read_each(&store, &found, what);
    if let Some(finding) = findings.into_iter().next() {
        let e = Error::new(Code::Corrupt, finding);
        return after_damage(memory, name, damaged.get(name), &store, e, way, what);
    }
    if way.read_only {
        assert!(memory.files() == damaged, "{what}: a read-only handle changed something");
    } else if goes_on {
        go_on(memory, store, &found, what);
    }
    Outcome::Silent(found)
}

/// Single reads say the same as the listing.
fn read_each(store: &Backend, found: &Content, what: &str) {
    for (path, (value, expires, revision)) in found.iter().filter(|(path, _)| !path.starts_with('.')) {
        let (bucket, key) = path.rsplit_once('/').unwrap();
        match store.get_item(bucket, key) {
            Ok(item) => {
                let same = (&item.value, item.expires, item.revision) == (value, *expires, *revision);
                assert!(same, "{what}: a get of {path} differs from the listing");
            }
            Err(e) => assert_eq!(e.code, Code::Corrupt, "{what}: a get of {path}: {e}"),
        }
    }
    assert_eq!(store.get("tail", "never put").unwrap_err().code, Code::NotFound, "{what}");
}

/// What was found to be damaged is still there, as it is, when a writer has compacted; or nothing of it was lost.
fn after_damage(
    memory: &Memory,
    name: &str,
    damaged: Option<&Vec<u8>>,
    store: &Backend,
    e: Error,
    way: Way,
    what: &str,
) -> Outcome {
    if way.read_only {
        return Outcome::Found(e);
    }
    let before = content(store);
    match (store.compact(), before) {
        (Ok(()), Ok(before)) => assert!(content(store).is_ok_and(|now| now == before), "{what}: a merge lost data"),
        (Ok(()), Err(_)) => {
            assert!(memory.files().get(name) == damaged, "{what}: a merge removed what it can't have read");
        }
        (Err(_), _) => assert!(memory.files().get(name) == damaged, "{what}: a failed merge changed {name}"),
    }
    Outcome::Found(e)
}

/// A store that nobody complains about works: more changes, a merge, and all is there when it is opened again.
fn go_on(memory: &Memory, store: Backend, found: &Content, what: &str) {
    let mut expected = found.clone();
    for n in 0..8 {
        let (bucket, key) = ("more", format!("{n}"));
        let revision = store.upsert(bucket, &key, &[n; 30], 0).unwrap_or_else(|e| panic!("{what}: can't go on: {e}"));
        expected.insert(format!("{bucket}/{key}"), (vec![n; 30], 0, revision));
    }
    let same = |store: &Backend, when: &str| {
        let now = content(store).unwrap_or_else(|e| panic!("{what}: {when}: {e}"));
        assert!(now == expected, "{what}: {when}: something is lost or came back");
        assert_clean(store);
    };
    store.compact().unwrap_or_else(|e| panic!("{what}: can't compact: {e}"));
    same(&store, "after a merge");
    drop(store);
    same(&open(memory, true).unwrap_or_else(|e| panic!("{what}: can't open again: {e}")), "opened again");
}

/// Which ways a case is met in: all; in the short form one, which is another from case to case.
pub fn ways(case: usize) -> Vec<Way> {
    if everything() { WAYS.to_vec() } else { vec![WAYS[case % WAYS.len()]] }
}
