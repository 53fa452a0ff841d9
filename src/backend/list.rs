//! Listings: one consistent cut, sorted by component, bytewise; a key comes before the bucket of its name. Pages go on by
//! the name that came last, which need not be there any more. The reserved bucket of the locks shows in none.

use super::limits::Listing;
use super::name::{self, Key, LOCKS};
use super::read::Item;
use super::{Backend, ttl};
use crate::engine::{Cursor, Snapshot};
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

impl Backend {
    /// The names of the unexpired keys of a bucket and of its direct sub-buckets that hold any, each once, sorted. A
    /// bucket that is absent has none.
    ///
    /// `after` is a name: only those behind it are listed, so neither the key nor the bucket of that name. `limit` is
    /// how many (0: all). A key and a bucket of the same name are never parted: a page that would end between the two
    /// holds one name more, and so the last name of a page, as the `after` of the next, skips and repeats nothing.
    pub fn keys(&self, bucket: impl AsRef<[u8]>, after: Option<&[u8]>, limit: u64) -> Result<Vec<Name>> {
        self.enter()?;
        let prefix = Key::bucket(bucket.as_ref())?;
        let start = after.map(|after| prefix.after_name(after)).transpose()?;
        let view = self.engine.snapshot()?;
        let now = self.clock.now();
        let mut cursor = cursor(&view, &prefix, start.as_ref())?;
        let (mut names, mut size) = (Vec::<Name>::new(), Listing::default());
        while let Some(item) = cursor.next()? {
            let rest = &item.key[prefix.len()..];
            let sub_bucket = rest.iter().position(|b| *b == SEPARATOR);
            let found = &rest[..sub_bucket.unwrap_or(rest.len())];
            // Beyond the limit only the bucket that bears the name of the last key.
            if is_full(names.len(), limit) && (sub_bucket.is_none() || !ends_in_key(&names, found)) {
                break;
            }
            let is_reserved = item.key.starts_with(LOCKS);
            if !is_reserved && ttl::is_expired(item.tag, now) {
                continue;
            }
            let beyond = sub_bucket.map(|at| Key::beyond(&item.key[..prefix.len() + at]));
            if !is_reserved {
                size.add(found.len(), 0)?;
                names.push(Name { name: name::decode(found)?, is_bucket: sub_bucket.is_some() });
            }
            if let Some(beyond) = beyond {
                cursor.seek(&beyond)?;
            }
        }
        Ok(names)
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
        self.enter()?;
        let prefix = Key::bucket(bucket.as_ref())?;
        let start = after.map(|after| if recursive { prefix.after_path(after) } else { prefix.after_name(after) });
        let start = start.transpose()?;
        let view = self.engine.snapshot()?;
        let now = self.clock.now();
        let mut cursor = cursor(&view, &prefix, start.as_ref())?;
        let (mut items, mut size) = (Vec::new(), Listing::default());
        while !is_full(items.len(), limit)
            && let Some(item) = cursor.next()?
        {
            let rest = &item.key[prefix.len()..];
            if let Some(at) = rest.iter().position(|b| *b == SEPARATOR)
                && (!recursive || item.key.starts_with(LOCKS))
            {
                let beyond = Key::beyond(&item.key[..prefix.len() + at]);
                cursor.seek(&beyond)?;
            } else if !ttl::is_expired(item.tag, now) {
                size.add(rest.len(), item.len())?;
                let (expires, revision) = (ttl::expires(item.tag), item.revision);
                items.push(Item { name: name::decode(rest)?, value: item.bytes()?.into_owned(), expires, revision });
            }
        }
        Ok(items)
    }
}

/// A cursor over the bucket whose prefix is `prefix`, from `start` on.
fn cursor<'a>(view: &'a Snapshot, prefix: &Key, start: Option<&Key>) -> Result<Cursor<'a>> {
    view.scan(start.unwrap_or(prefix), prefix.end().as_deref())
}

fn is_full(len: usize, limit: u64) -> bool {
    limit != 0 && u64::try_from(len).is_ok_and(|len| len >= limit)
}

/// Whether the last name is the key `name`.
fn ends_in_key(names: &[Name], name: &[u8]) -> bool {
    names.last().is_some_and(|last| !last.is_bucket && last.name.as_bytes() == name)
}
