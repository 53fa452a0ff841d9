//! A whole store in which bytes were changed, and, if asked for, sealed again with right checksums: it is opened, read, written,
//! merged and checked. Without the checksums it says what it ever held, or that it is damaged.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use dirkv::Code;

use crate::memory::Memory;
use crate::reseal::Places;
use crate::small::{Small, Tail, content, open};
use crate::{described, within};

#[derive(Arbitrary, Debug)]
struct Attack {
    tail: u8,
    sealed: bool,
    read_only: bool,
    patches: Vec<Patch>,
}

#[derive(Arbitrary, Debug)]
struct Patch {
    file: u8,
    at: u16,
    kind: Kind,
}

#[derive(Arbitrary, Debug)]
enum Kind {
    Flip(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    /// The length of the file, and so much.
    Len(i8),
    Cut,
}

struct Sample {
    small: Small,
    files: BTreeMap<String, Vec<u8>>,
    places: Places,
}

fn sample(tail: u8) -> &'static Sample {
    static SAMPLES: [OnceLock<Sample>; 3] = [const { OnceLock::new() }; 3];
    let tails = [Tail::Acknowledged, Tail::Unsynced, Tail::Large];
    let nth = usize::from(tail) % tails.len();
    SAMPLES[nth].get_or_init(|| {
        let small = Small::new(tails[nth]);
        let files = small.memory.files();
        Sample { places: Places::of(&files), files, small }
    })
}

pub fn run(data: &[u8]) {
    let Some(attack) = described::<Attack>(data) else { return };
    let Sample { small, files, places } = sample(attack.tail);
    let mut changed = BTreeMap::new();
    for patch in &attack.patches {
        let (name, bytes) = files.iter().nth(usize::from(patch.file) % files.len()).expect("within");
        apply(patch, changed.entry(name.clone()).or_insert_with(|| bytes.clone()));
    }
    let memory = small.memory.copy();
    for (name, mut bytes) in changed {
        if attack.sealed {
            places.seal(&name, &mut bytes);
        }
        memory.put(&name, bytes);
    }
    let held: usize = memory.files().values().map(Vec::len).sum();
    // An index takes 4 MiB a segment at once.
    let bound = (32 << 20) + 64 * held;
    let visited = within(bound, || catch_unwind(AssertUnwindSafe(|| visit(&memory, attack.read_only))));
    let Ok(Some(found)) = visited else { return assert!(visited.is_ok(), "it panicked") };
    if !attack.sealed {
        let known = small.states.values().any(|state| *state == found);
        assert!(known, "it says what it never held, without a word");
    }
}

fn apply(patch: &Patch, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = usize::from(patch.at) % bytes.len();
    let number = match patch.kind {
        Kind::Flip(xor) => vec![bytes[at] ^ xor],
        Kind::U16(n) => n.to_le_bytes().to_vec(),
        Kind::U32(n) => n.to_le_bytes().to_vec(),
        Kind::U64(n) => n.to_le_bytes().to_vec(),
        Kind::Len(by) => (bytes.len() as u32).wrapping_add_signed(i32::from(by)).to_le_bytes().to_vec(),
        Kind::Cut => return bytes.truncate(at),
    };
    let len = number.len().min(bytes.len() - at);
    bytes[at..at + len].copy_from_slice(&number[..len]);
}

/// What the store says it holds, if nobody complains.
fn visit(memory: &Memory, read_only: bool) -> Option<crate::small::Content> {
    let accepted = |code| [Code::Corrupt, Code::Unsupported, Code::NoSpace, Code::Io].contains(&code);
    let store = open(memory, read_only).inspect_err(|e| assert!(accepted(e.code), "{e}")).ok()?;
    let found = content(&store).inspect_err(|e| assert!(accepted(e.code), "{e}"));
    let findings = store.check();
    if !read_only {
        let written = store.upsert("more", "key", b"value", 0);
        let merged = store.compact();
        if written.is_ok() && merged.is_ok() && findings.as_ref().is_ok_and(Vec::is_empty) {
            let now = store.get("more", "key");
            assert!(now.as_ref().is_ok_and(|value| value == b"value"), "{now:?}");
        }
    }
    found.ok().filter(|_| findings.is_ok_and(|findings| findings.is_empty()))
}
