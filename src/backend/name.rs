//! Names: what is allowed, and how a bucket and a key become a key of the engine (see [`crate::format::key`]).
//!
//! A component of a bucket path, a key or a lock's token is 1 to 255 bytes (a key up to 1,024) of UTF-8 without control
//! characters (Unicode Cc: U+0000 to U+001F, U+007F to U+009F), without `/`, and is not `.` or `..`. A root bucket's name
//! does not start with `.`: those are the library's own. A path has at most 32 components. As no name holds a control
//! character, the separator and the byte after it sort below every name.

use std::fmt;

use smallvec::SmallVec;

use super::words;
use crate::error::{Code, Error, Result};
use crate::format::key::SEPARATOR;

/// The longest component of a bucket path, and the longest token of a lock, in bytes.
pub const MAX_COMPONENT: usize = 255;
/// The longest key, in bytes.
pub const MAX_KEY: usize = 1024;
/// The most components of a bucket path.
pub const MAX_DEPTH: usize = 32;
/// The first byte beyond the separator: a bucket's prefix with its last byte replaced by it is the bucket's end.
const BEYOND: u8 = SEPARATOR + 1;
/// The bucket of the locks, as a prefix; no caller's name can reach it.
pub const LOCKS: &[u8] = b".locks\x01";
/// The end of the bucket of the locks.
pub const LOCKS_END: &[u8] = b".locks\x02";

/// A key of the engine, or the prefix of one, built on the stack where it is of usual length.
#[derive(PartialEq, Eq, Debug)]
pub struct Key(SmallVec<[u8; INLINE]>);

/// Up to this length a key is built on the stack.
const INLINE: usize = 128;

impl std::ops::Deref for Key {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// All bytes at once; a derived clone takes one after the other.
impl Clone for Key {
    fn clone(&self) -> Key {
        Key(SmallVec::from_slice(&self.0))
    }
}

impl Key {
    /// No key yet: for [`Key::set`].
    pub fn unset() -> Key {
        Key(SmallVec::new())
    }

    /// The key `key` of the bucket `bucket`.
    pub fn new(bucket: &[u8], key: &[u8]) -> Result<Key> {
        let mut made = Key::unset();
        made.set(bucket, key)?;
        Ok(made)
    }

    /// Makes this one the key `key` of the bucket `bucket`; an error leaves it as no key to go on with. (In place, as moving it
    /// costs a read more than making it.)
    #[inline]
    pub fn set(&mut self, bucket: &[u8], key: &[u8]) -> Result<()> {
        if self.set_plain(bucket, key) { Ok(()) } else { self.set_any(bucket, key) }
    }

    /// The same for all names. (Apart, so that what it needs of the stack is no part of every read.)
    #[cold]
    #[inline(never)]
    fn set_any(&mut self, bucket: &[u8], key: &[u8]) -> Result<()> {
        *self = Key::bucket(bucket)?.child(&Label::plain("key"), key)?;
        Ok(())
    }

    /// The same for nearly all names, in one pass: short, printable ASCII, and no first dot that asks for a closer look.
    /// False says nothing about the name.
    #[inline]
    fn set_plain(&mut self, bucket: &[u8], key: &[u8]) -> bool {
        let is_long = bucket.len() + key.len() >= INLINE;
        if is_long || matches!(key.first(), None | Some(b'.')) || bucket.last() == Some(&b'/') || !is_plain(key) {
            return false;
        }
        // Built in its array: growing a vector piece by piece costs more than all the rest.
        self.0 = SmallVec::from_buf([0; INLINE]);
        let Ok(built) = <&mut [u8; INLINE]>::try_from(&mut self.0[..]) else { return false };
        // The highest bit of each byte with which a component begins.
        let (mut begins, mut depth) = (0x80, 1);
        for (eight, place) in bucket.chunks(8).zip(built.as_chunks_mut().0) {
            let word = words::filled_up(eight);
            if !words::is_printable(word) {
                return false;
            }
            let slashes = words::find(b'/', word);
            begins |= slashes << 8;
            if begins & (slashes | words::find(b'.', word)) != 0 {
                return false;
            }
            (begins, depth) = (slashes >> 56, depth + words::count(slashes));
            // SEPARATOR is 1.
            *place = (word & !((slashes >> 7) * 0xff) | slashes >> 7).to_le_bytes();
        }
        let mut len = bucket.len();
        if len > 0 {
            if depth > MAX_DEPTH {
                return false;
            }
            built[len] = SEPARATOR;
            len += 1;
        }
        built[len..len + key.len()].copy_from_slice(key);
        self.0.truncate(len + key.len());
        true
    }

    /// The prefix of the bucket `bucket`; empty for the root.
    pub fn bucket(bucket: &[u8]) -> Result<Key> {
        Key(SmallVec::new()).enter("bucket", bucket, 0)
    }

    /// The prefix of the direct sub-bucket `bucket` of the bucket `parent`.
    pub fn sub_bucket(parent: &[u8], bucket: &[u8]) -> Result<Key> {
        let mut prefix = Key(SmallVec::new()).enter("parent", parent, 0)?;
        let depth = count(&prefix);
        let label = Label::plain("bucket");
        if depth == MAX_DEPTH {
            return Err(label.refused(format_args!(
                "would be component {} of its path, at most {MAX_DEPTH} are allowed",
                depth + 1
            )));
        }
        component(&label, bucket, depth == 0)?;
        prefix.push(bucket);
        Ok(prefix)
    }

    /// The key of the lock `token`.
    pub fn lock(token: &[u8]) -> Result<Key> {
        name(&Label::plain("token"), token, MAX_COMPONENT)?;
        let mut key = Key(SmallVec::from_slice(LOCKS));
        key.0.extend_from_slice(token);
        Ok(key)
    }

    /// The key `key` of the bucket whose prefix this is.
    pub fn child(mut self, label: &Label, key: &[u8]) -> Result<Key> {
        self.set_child(self.len(), label, key)?;
        Ok(self)
    }

    /// Makes this one the key `key` of its bucket, whose prefix has `prefix` bytes.
    pub fn set_child(&mut self, prefix: usize, label: &Label, key: &[u8]) -> Result<()> {
        name(label, key, MAX_KEY)?;
        self.0.truncate(prefix);
        self.0.extend_from_slice(key);
        Ok(())
    }

    /// Where a listing of names of the bucket whose prefix this is goes on after the key `after` and the sub-bucket of
    /// the same name.
    pub fn after_name(&self, after: &[u8]) -> Result<Key> {
        let mut start = self.clone().child(&Label::plain("after"), after)?;
        start.0.push(BEYOND);
        Ok(start)
    }

    /// Where a recursive listing of the bucket whose prefix this is goes on after the key with the relative path `after`.
    pub fn after_path(&self, after: &[u8]) -> Result<Key> {
        let mut start = match after.iter().rposition(|b| *b == b'/') {
            Some(0) => return Err(Label::nth("after", 1).refused("is empty")),
            Some(slash) => {
                let bucket = self.clone().enter("after", &after[..slash], count(self))?;
                let label = Label::nth("after", count(&bucket) - count(self) + 1);
                bucket.child(&label, &after[slash + 1..])?
            }
            None => self.clone().child(&Label::plain("after"), after)?,
        };
        start.0.push(SEPARATOR);
        Ok(start)
    }

    /// The first key beyond all of the bucket whose prefix this is; `None` for the root, beyond which there is none.
    pub fn end(&self) -> Option<Key> {
        let mut end = self.clone();
        *end.0.last_mut()? = BEYOND;
        Some(end)
    }

    /// The first key beyond the sub-bucket whose prefix is `bucket` and a separator.
    pub fn beyond(bucket: &[u8]) -> Key {
        let mut end = Key(SmallVec::from_slice(bucket));
        end.0.push(BEYOND);
        end
    }

    /// The prefix of the bucket that has the name of this key.
    pub fn as_bucket(&self) -> Key {
        let mut prefix = self.clone();
        prefix.0.push(SEPARATOR);
        prefix
    }

    /// Bucket and key as a caller writes them, with room for more words. Put together without a formatter, since loops ask for
    /// keys that aren't there.
    pub fn described(&self) -> String {
        let (bucket, key) = match self.0.iter().rposition(|b| *b == SEPARATOR) {
            Some(at) => (&self.0[..at], &self.0[at + 1..]),
            None => (&self.0[..0], &self.0[..]),
        };
        let mut out = String::with_capacity(self.len() + 96);
        out.push_str("key ");
        push_quoted(&mut out, key);
        out.push_str(" of bucket ");
        push_quoted(&mut out, bucket);
        out
    }

    /// Adds the components of `path`, at which there are `depth` already.
    fn enter(mut self, what: &'static str, path: &[u8], depth: usize) -> Result<Key> {
        if path.is_empty() {
            return Ok(self);
        }
        for (i, part) in path.split(|b| *b == b'/').enumerate() {
            let label = Label::nth(what, i + 1);
            if depth + i >= MAX_DEPTH {
                return Err(Label::plain(what).refused(format_args!("has more than {MAX_DEPTH} components")));
            }
            component(&label, part, depth + i == 0)?;
            self.push(part);
        }
        Ok(self)
    }

    fn push(&mut self, part: &[u8]) {
        self.0.extend_from_slice(part);
        self.0.push(SEPARATOR);
    }
}

/// For messages: bucket and key as a caller writes them.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.described())
    }
}

/// Adds the path that an engine's key or a part of it spells, in quotation marks and escaped as `{:?}` does. Nearly all names
/// need no escapes, and are copied.
fn push_quoted(out: &mut String, key: &[u8]) {
    let is_plain = |part: &[u8]| {
        words::every(part, |word| words::is_printable(word) && words::find(b'"', word) | words::find(b'\\', word) == 0)
    };
    let start = out.len();
    for part in key.split(|b| *b == SEPARATOR) {
        out.push(if out.len() == start { '"' } else { '/' });
        match str::from_utf8(part) {
            Ok(text) if is_plain(part) => out.push_str(text),
            _ => {
                out.truncate(start);
                out.push_str(&format!("{:?}", readable(key)));
                return;
            }
        }
    }
    out.push('"');
}

/// The path that an engine's key or a part of it spells, for messages.
pub fn quoted(key: &[u8]) -> String {
    let mut out = String::with_capacity(key.len() + 2);
    push_quoted(&mut out, key);
    out
}

/// The path, relative or not, that an engine's key or a part of it spells: components joined by `/`.
pub fn readable(key: &[u8]) -> String {
    let path: Vec<u8> = key.iter().map(|b| if *b == SEPARATOR { b'/' } else { *b }).collect();
    String::from_utf8(path).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// Turns a part of an engine's key into a name or a relative path.
pub fn decode(key: &[u8]) -> Result<String> {
    let mut path = key.to_vec();
    path.iter_mut().filter(|b| **b == SEPARATOR).for_each(|b| *b = b'/');
    String::from_utf8(path).map_err(|e| {
        Error::new(Code::Corrupt, format!("a stored name is not UTF-8: {:?}", String::from_utf8_lossy(e.as_bytes())))
    })
}

/// Which argument an error is about.
pub struct Label {
    what: &'static str,
    nth: Option<(&'static str, usize)>,
}

impl Label {
    /// An argument as a whole.
    pub fn plain(what: &'static str) -> Label {
        Label { what, nth: None }
    }

    /// A component of a path, counted from 1.
    fn nth(what: &'static str, nth: usize) -> Label {
        Label { what, nth: Some(("component", nth)) }
    }

    /// The key of an item of a batch, counted from 0 as in the caller's array.
    pub fn item(index: usize) -> Label {
        Label { what: "key", nth: Some(("of item", index)) }
    }

    fn refused(&self, rule: impl fmt::Display) -> Error {
        Error::new(Code::BadParameter, format!("{self} {rule}"))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nth {
            None => f.write_str(self.what),
            Some((kind, nth)) => write!(f, "{} {kind} {nth}", self.what),
        }
    }
}

/// How many components a prefix has.
fn count(prefix: &[u8]) -> usize {
    prefix.iter().filter(|b| **b == SEPARATOR).count()
}

/// Whether it is printable ASCII that ends no component.
#[inline]
fn is_plain(name: &[u8]) -> bool {
    words::every(name, |word| words::is_printable(word) && words::find(b'/', word) == 0)
}

fn component(label: &Label, bytes: &[u8], is_root: bool) -> Result<()> {
    name(label, bytes, MAX_COMPONENT)?;
    if is_root && bytes[0] == b'.' {
        return Err(label.refused("starts with '.', which is reserved in the root"));
    }
    Ok(())
}

fn name(label: &Label, bytes: &[u8], max: usize) -> Result<()> {
    if !bytes.is_empty() && bytes.len() <= max && bytes[0] != b'.' && is_plain(bytes) {
        return Ok(());
    }
    inspect(label, bytes, max)
}

#[cold]
fn inspect(label: &Label, bytes: &[u8], max: usize) -> Result<()> {
    if bytes.is_empty() {
        return Err(label.refused("is empty"));
    }
    if bytes.len() > max {
        return Err(label.refused(format_args!("is longer than {max} bytes")));
    }
    let text = str::from_utf8(bytes)
        .map_err(|e| label.refused(format_args!("is not valid UTF-8 at byte {}", e.valid_up_to())))?;
    if let Some((at, found)) = text.char_indices().find(|(_, c)| c.is_control()) {
        return Err(label.refused(format_args!("holds the control character U+{:04X} at byte {at}", u32::from(found))));
    }
    if let Some(at) = text.find('/') {
        return Err(label.refused(format_args!("holds a '/' at byte {at}")));
    }
    if text == "." || text == ".." {
        return Err(label.refused(format_args!("is {text:?}, which is no name")));
    }
    Ok(())
}

#[cfg(test)]
#[path = "name_tests.rs"]
mod tests;
