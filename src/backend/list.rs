//! Listings: one consistent cut, sorted by component, bytewise; a key comes before the bucket of its name. Pages go on by
//! the name that came last, which need not be there any more. The reserved bucket of the locks shows in none.

use std::borrow::Cow;
use std::ops::ControlFlow::{self, Break, Continue};

use super::limits::Listing;
use super::name::{self, Key, LOCKS};
use super::read::Item;
use super::{Backend, ttl, words};
use crate::engine::{self, Snapshot};
use crate::error::Result;
use crate::format::key::SEPARATOR;

/// A name in a bucket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    /// The name of a key or of a direct sub-bucket.
    pub name: String,
    /// Which of the two it is.
    pub is_bucket: bool,
}

/// The name of a key or a bucket, or a path relative to the bucket listed, as a part of an engine's key.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    part: &'a [u8],
    /// Whether it is ASCII without a separator, as nearly all are: the bytes are the name. (No name holds a byte below the
    /// separator.)
    is_plain: bool,
}

impl<'a> Part<'a> {
    fn new(part: &'a [u8]) -> Part<'a> {
        Part { part, is_plain: words::every(part, |word| words::is_ascii_from(SEPARATOR + 1, word)) }
    }

    /// Where the first component ends, if it isn't the last.
    fn separator(self) -> Option<usize> {
        if self.is_plain { None } else { self.part.iter().position(|b| *b == SEPARATOR) }
    }

    /// The name's bytes, which are UTF-8.
    pub fn bytes(self) -> Result<Cow<'a, [u8]>> {
        if self.is_plain {
            return Ok(Cow::Borrowed(self.part));
        }
        Ok(Cow::Owned(self.text()?.into_bytes()))
    }

    /// The name.
    fn text(self) -> Result<String> {
        name::decode(self.part)
    }
}

/// An item as a listing shows it, borrowed from the store where that is possible.
pub(crate) struct Listed<'a> {
    /// Its key; in a recursive listing its path relative to the bucket listed.
    pub name: Part<'a>,
    /// Its value.
    pub value: Cow<'a, [u8]>,
    /// When it expires, in nanoseconds since the epoch; 0 is never.
    pub expires: i64,
    /// The revision of the change that made it what it is.
    pub revision: u64,
}

impl Backend {
    /// The names of the unexpired keys of a bucket and of its direct sub-buckets that hold any, each once, sorted. A
    /// bucket that is absent has none.
    ///
    /// `after` is a name: only those behind it are listed, so neither the key nor the bucket of that name. `limit` is
    /// how many (0: all). A key and a bucket of the same name are never parted: a page that would end between the two
    /// holds one name more, and so the last name of a page, as the `after` of the next, skips and repeats nothing.
    pub fn keys(&self, bucket: impl AsRef<[u8]>, after: Option<&[u8]>, limit: u64) -> Result<Vec<Name>> {
        let mut names = Vec::new();
        self.each_name(bucket.as_ref(), after, limit, |name, is_bucket| {
            names.push(Name { name: name.text()?, is_bucket });
            Ok(())
        })?;
        Ok(names)
    }

    /// The same, one name after the other: `show` is called with each, and with whether it is a bucket.
    pub(crate) fn each_name(
        &self,
        bucket: &[u8],
        after: Option<&[u8]>,
        limit: u64,
        mut show: impl FnMut(Part<'_>, bool) -> Result<()>,
    ) -> Result<()> {
        self.enter()?;
        let prefix = Key::bucket(bucket)?;
        let start = after.map(|after| prefix.after_name(after)).transpose()?;
        let view = self.engine.snapshot()?;
        let now = self.clock.now();
        // The last name is known once the page is full.
        let (mut size, mut count, mut last) = (Listing::default(), 0, Vec::new());
        walk(&view, &prefix, start.as_ref(), |item| {
            let rest = Part::new(&item.key[prefix.len()..]);
            let sub_bucket = rest.separator();
            let found = sub_bucket.map_or(rest, |len| Part::new(&rest.part[..len]));
            // Beyond the limit only the bucket that bears the name of the last key. (No bucket is met twice.)
            if is_full(count, limit) && (sub_bucket.is_none() || last != found.part) {
                return Ok(Break(None));
            }
            let is_reserved = item.key.starts_with(LOCKS);
            if !is_reserved && ttl::is_expired(item.tag, now) {
                return Ok(Continue(()));
            }
            if !is_reserved {
                size.add(found.part.len(), 0)?;
                show(found, sub_bucket.is_some())?;
                count += 1;
                last.clear();
                if is_full(count, limit) {
                    last.extend_from_slice(found.part);
                }
            }
            let beyond = sub_bucket.map(|at| Key::beyond(&item.key[..prefix.len() + at]));
            Ok(beyond.map_or(Continue(()), |beyond| Break(Some(beyond))))
        })
    }

    /// The unexpired items of a bucket, sorted; with those of all buckets under it, under their relative paths, if
    /// `recursive`. A bucket that is absent has none.
    ///
    /// `after` is the name of an item as listed (a key, or if `recursive` a relative path): only items behind it are
    /// listed. `limit` is how many (0: all). A listing of more than 1 GiB (64 bytes an item, its name, and its value) is
    /// `LIMIT_EXCEEDED`.
    pub fn items(
        &self,
        bucket: impl AsRef<[u8]>,
        after: Option<&[u8]>,
        limit: u64,
        recursive: bool,
    ) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        self.each_item(bucket.as_ref(), after, limit, recursive, |Listed { name, value, expires, revision }| {
            items.push(Item { name: name.text()?, value: value.into_owned(), expires, revision });
            Ok(())
        })?;
        Ok(items)
    }

    /// The same, one item after the other: `show` is called with each.
    pub(crate) fn each_item(
        &self,
        bucket: &[u8],
        after: Option<&[u8]>,
        limit: u64,
        recursive: bool,
        mut show: impl FnMut(Listed<'_>) -> Result<()>,
    ) -> Result<()> {
        self.enter()?;
        let prefix = Key::bucket(bucket)?;
        let start = after.map(|after| if recursive { prefix.after_path(after) } else { prefix.after_name(after) });
        let start = start.transpose()?;
        let view = self.engine.snapshot()?;
        let now = self.clock.now();
        let (mut size, mut count) = (Listing::default(), 0);
        walk(&view, &prefix, start.as_ref(), |item| {
            let name = Part::new(&item.key[prefix.len()..]);
            if let Some(at) = name.separator()
                && (!recursive || item.key.starts_with(LOCKS))
            {
                return Ok(Break(Some(Key::beyond(&item.key[..prefix.len() + at]))));
            }
            if ttl::is_expired(item.tag, now) {
                return Ok(Continue(()));
            }
            size.add(name.part.len(), item.len())?;
            let (expires, revision) = (ttl::expires(item.tag), item.revision);
            show(Listed { name, value: item.bytes()?, expires, revision })?;
            count += 1;
            Ok(if is_full(count, limit) { Break(None) } else { Continue(()) })
        })
    }
}

/// Calls `f` with one item after the other of the bucket whose prefix is `prefix`, from `start` on. It breaks with the key
/// from which to go on, or to end.
fn walk(
    view: &Snapshot,
    prefix: &Key,
    start: Option<&Key>,
    mut f: impl FnMut(engine::Item<'_>) -> Result<ControlFlow<Option<Key>>>,
) -> Result<()> {
    let mut cursor = view.scan_bucket(prefix, start.unwrap_or(prefix), prefix.end().as_deref())?;
    while let Break(Some(beyond)) = cursor.visit(&mut f)? {
        cursor.seek(&beyond)?;
    }
    Ok(())
}

fn is_full(count: u64, limit: u64) -> bool {
    limit != 0 && count >= limit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use proptest::prelude::*;

    fn any_byte() -> impl Strategy<Value = u8> {
        prop::sample::select(&b"\x00\x01\x02az\x7f\xc3\xa9"[..])
    }

    proptest! {
        #[test]
        fn a_part_is_spelled_byte_by_byte(part in prop::collection::vec(any_byte(), 0..40)) {
            let (wanted, part) = (part.iter().map(|b| if *b == SEPARATOR { b'/' } else { *b }).collect(), Part::new(&part));
            prop_assert_eq!(part.separator(), part.part.iter().position(|b| *b == SEPARATOR));
            let (bytes, text) = (part.bytes(), part.text());
            match String::from_utf8(wanted) {
                Ok(wanted) => {
                    prop_assert_eq!(&*bytes.unwrap(), wanted.as_bytes());
                    prop_assert_eq!(text.unwrap(), wanted);
                }
                Err(_) => {
                    prop_assert_eq!(bytes.unwrap_err().code, Code::Corrupt);
                    prop_assert_eq!(text.unwrap_err().code, Code::Corrupt);
                }
            }
        }
    }

    #[test]
    fn plain_names_are_borrowed_and_no_others() {
        for name in ["key", "key-0000000007", "a name of more than two words, for sure\x7f"] {
            assert!(matches!(Part::new(name.as_bytes()).bytes(), Ok(Cow::Borrowed(_))), "{name}");
        }
        for name in ["a\x01b", "an-é", "an-é-and-more-behind-it", "much-in-front-of-it-é", "aaaaaaaa\x01bbbbbbbb"] {
            assert!(matches!(Part::new(name.as_bytes()).bytes(), Ok(Cow::Owned(_))), "{name}");
        }
    }
}
