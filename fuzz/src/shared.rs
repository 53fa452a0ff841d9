//! `SHARED` with any bytes, met by whoever is alone with the store: it bounds from below what was committed, and how new the
//! manifest is, if it is this very file, and is otherwise not believed.

use std::sync::OnceLock;

use arbitrary::Arbitrary;
use dirkv::Code;
use dirkv::format::position::segment_of;
use dirkv::format::shared::{APPENDED, COMMITTED, FROZEN, GENERATION, INODE, LEN, MAGIC, MAGIC_WORD, STORE};

use crate::described;
use crate::small::{Small, Tail, content, open};

#[derive(Arbitrary, Debug)]
struct Page {
    in_place: bool,
    read_only: bool,
    /// Words that are changed, and to what.
    words: Vec<(u8, Value)>,
    /// The first bytes instead.
    bytes: Option<Vec<u8>>,
    len: u16,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Value {
    Any(u64),
    /// So far from the end of the log.
    Near(i8),
    Frozen(i8),
    Later(u8),
}

pub fn run(data: &[u8]) {
    static SMALL: OnceLock<Small> = OnceLock::new();
    let Some(page) = described::<Page>(data) else { return };
    let small = SMALL.get_or_init(|| Small::new(Tail::Acknowledged));
    let original = small.memory.files()["SHARED"].clone();
    let memory = if page.in_place { small.memory.twin() } else { small.memory.copy() };
    let bytes = changed(&page, &original);
    memory.put("SHARED", bytes.clone());
    let expected = bound(&bytes, &original).filter(|_| page.in_place);
    let end = word(&original, APPENDED).unwrap_or(0);
    let newer = expected.is_some() && word(&bytes, GENERATION) > Some(small.manifest.generation);
    match open(&memory, page.read_only) {
        Ok(store) => {
            // A page that is too short is made anew by a writer, before it is looked at.
            let is_blank = !page.read_only && (bytes.len() as u64) < LEN;
            assert!(is_blank || expected.is_none_or(|bound| bound <= end) && !newer, "a bound was not believed");
            assert_eq!(content(&store), Ok(small.now().clone()));
            assert_eq!(store.check(), Ok(Vec::new()));
        }
        Err(e) => {
            assert!(e.code == Code::Corrupt && (newer || expected.is_some_and(|bound| bound > end)), "{e}");
            let older = newer || expected.map(segment_of) > Some(segment_of(end));
            let named = if older { "MANIFEST" } else { "log-" };
            assert!(e.message.contains(named), "{e}");
        }
    }
}

fn word(bytes: &[u8], number: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(number * 8..)?.first_chunk()?))
}

/// What the page says was committed, if it is the file that it says.
fn bound(bytes: &[u8], original: &[u8]) -> Option<u64> {
    let same = |number| Some(word(bytes, number)? == word(original, number)?);
    let is_it = word(bytes, MAGIC_WORD)? == MAGIC && same(INODE)? && same(STORE)? && same(STORE + 1)?;
    // It has to be long enough for all words that are looked at.
    word(bytes, COMMITTED + 1)?;
    is_it.then_some(word(bytes, COMMITTED)? & !FROZEN)
}

fn changed(page: &Page, original: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    let end = word(original, APPENDED).unwrap_or(0);
    for (number, value) in &page.words {
        let value = match *value {
            Value::Any(value) => value,
            Value::Near(by) => end.wrapping_add_signed(i64::from(by)),
            Value::Frozen(by) => end.wrapping_add_signed(i64::from(by)) | FROZEN,
            Value::Later(segments) => end + (u64::from(segments) << 32),
        };
        let at = usize::from(*number % 48) * 8;
        bytes[at..at + 8].copy_from_slice(&value.to_ne_bytes());
    }
    if let Some(first) = &page.bytes {
        let len = first.len().min(bytes.len());
        bytes[..len].copy_from_slice(&first[..len]);
    }
    // Seldom shorter or longer than it should be.
    if page.len < 6000 {
        bytes.resize(usize::from(page.len), 0);
    }
    bytes
}
