//! Asks the store, and puts its answer into words of the history.

use dirkv::backend::{Item, NewItem};
use dirkv::{Backend, Result};

use crate::content;
use crate::history::{Answer, Ask, Entry};

/// Asks, and waits for the answer.
pub fn perform(store: &Backend, ask: &Ask) -> Answer {
    let answer = match ask {
        Ask::Get { .. } | Ask::GetItem { .. } | Ask::Exists { .. } => read(store, ask),
        Ask::Items { .. } | Ask::Keys { .. } | Ask::Locks {} => list(store, ask),
        Ask::AcquireLock { key, ttl, wait } => store.acquire_lock(key, *ttl, *wait).map(revision),
        Ask::ReleaseLock { key, fence } => store.release_lock(key, *fence).map(done),
        Ask::RenewLock { key, fence, ttl } => store.renew_lock(key, *fence, *ttl).map(done),
        _ => change(store, ask),
    };
    answered(answer.map_err(|e| (e.code.name().to_owned(), e.message)))
}

/// An answer, or the name of the code and the message of an error. Whoever isn't given a lease because another has it is told
/// `HELD`; the store's own lock, too, has its `TIMEOUT`.
pub fn answered(answer: std::result::Result<Answer, (String, String)>) -> Answer {
    let (code, message) = match answer {
        Ok(answer) => return answer,
        Err(error) => error,
    };
    match &*code {
        "TIMEOUT" if message.contains("is held by") => outcome("HELD"),
        "NOT_FOUND" | "ALREADY_EXISTS" | "COMPARE_FAILED" | "LOCK_LOST" => outcome(&code),
        _ => Answer { message, ..outcome(&code) },
    }
}

fn read(store: &Backend, ask: &Ask) -> Result<Answer> {
    match ask {
        Ask::Get { key } => {
            let (bucket, key) = split(key);
            Ok(Answer { value: content::name(&store.get(bucket, key)?), ..done(()) })
        }
        Ask::GetItem { key } => {
            let (bucket, key) = split(key);
            let item = store.get_item(bucket, key)?;
            Ok(Answer { value: content::name(&item.value), expires: item.expires, ..revision(item.revision) })
        }
        Ask::Exists { key } => {
            let (bucket, key) = split(key);
            Ok(if store.exists(bucket, key)? { done(()) } else { outcome("NOT_FOUND") })
        }
        _ => Ok(outcome("NOT_A_READ")),
    }
}

fn list(store: &Backend, ask: &Ask) -> Result<Answer> {
    let listing = match ask {
        Ask::Items { key } => {
            let entry = |item: Item| Entry {
                key: join(key, &item.name),
                value: content::name(&item.value),
                revision: item.revision,
                expires: item.expires,
                ttl: 0,
            };
            store.items(key, None, 0, true)?.into_iter().map(entry).collect()
        }
        Ask::Keys { key } => {
            let names = store.keys(key, None, 0)?.into_iter().filter(|name| !name.is_bucket);
            names.map(|n| Entry { key: join(key, &n.name), ..Entry::default() }).collect()
        }
        _ => {
            let leases = store.locks()?.into_iter();
            leases.map(|lease| Entry { key: lease.token, revision: lease.fence, ..Entry::default() }).collect()
        }
    };
    Ok(Answer { listing, ..done(()) })
}

fn change(store: &Backend, ask: &Ask) -> Result<Answer> {
    let value = content::bytes;
    match ask {
        Ask::Create { key, value: v, ttl } => at(key, |bucket, key| store.create(bucket, key, &value(v), *ttl)),
        Ask::Upsert { key, value: v, ttl } => at(key, |bucket, key| store.upsert(bucket, key, &value(v), *ttl)),
        Ask::CompareAndSwap { key, value: v, previous, ttl } => {
            at(key, |bucket, key| store.compare_and_swap(bucket, key, &value(v), &value(previous), *ttl))
        }
        Ask::PutIfRevision { key, value: v, expected, ttl } => {
            at(key, |bucket, key| store.put_if_revision(bucket, key, &value(v), *expected, *ttl))
        }
        Ask::Touch { key, ttl } => at(key, |bucket, key| store.touch(bucket, key, *ttl)),
        Ask::UpsertItems { items } => {
            let values: Vec<_> = items.iter().map(|item| value(&item.value)).collect();
            let new = items.iter().zip(&values);
            let new = new.map(|(item, value)| NewItem { key: split(&item.key).1.as_bytes(), value, ttl: item.ttl });
            let new: Vec<_> = new.collect();
            let bucket = items.first().map_or("", |item| split(&item.key).0);
            store.upsert_items(bucket, &new).map(revision)
        }
        Ask::Delete { key } => {
            let (bucket, key) = split(key);
            store.delete(bucket, key).map(done)
        }
        Ask::DeleteIfRevision { key, expected } => {
            let (bucket, key) = split(key);
            store.delete_if_revision(bucket, key, *expected).map(done)
        }
        Ask::DeleteBucket { key } => {
            let (parent, bucket) = split(key);
            store.delete_bucket(parent, bucket).map(done)
        }
        _ => Ok(outcome("NOT_A_CHANGE")),
    }
}

/// A change of one key that answers with its revision.
fn at(path: &str, f: impl FnOnce(&str, &str) -> Result<u64>) -> Result<Answer> {
    let (bucket, key) = split(path);
    f(bucket, key).map(revision)
}

/// Bucket and key of a path.
pub fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The path of a name in a bucket.
pub fn join(bucket: &str, name: &str) -> String {
    if bucket.is_empty() { name.to_owned() } else { format!("{bucket}/{name}") }
}

/// It happened.
pub fn done((): ()) -> Answer {
    outcome("OK")
}

fn revision(revision: u64) -> Answer {
    Answer { revision, ..done(()) }
}

/// An answer that is an outcome and nothing else.
pub fn outcome(outcome: &str) -> Answer {
    Answer { outcome: outcome.to_owned(), ..Answer::default() }
}
