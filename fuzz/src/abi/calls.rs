//! The calls, each with what it should answer: what the model says, or one of the things that are wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, c_char};
use std::ptr;

use dirkv::Code;
use dirkv::ffi::backend::{dirkv_backend, dirkv_clock_now};
use dirkv::ffi::batch::{dirkv_item, dirkv_upsert_items};
use dirkv::ffi::lists::{
    DIRKV_ENTRY_BUCKET, DIRKV_ENTRY_ITEM, DIRKV_ENTRY_KEY, DIRKV_RECURSIVE, dirkv_get_items, dirkv_get_keys,
    dirkv_list_free, dirkv_list_len,
};
use dirkv::ffi::locks::{dirkv_acquire_lock, dirkv_get_locks, dirkv_release_lock, dirkv_renew_lock};
use dirkv::ffi::maintenance::{dirkv_check, dirkv_compact, dirkv_stats, dirkv_sync};
use dirkv::ffi::reads::{dirkv_buf, dirkv_buf_free, dirkv_exists, dirkv_get_item, dirkv_get_val, dirkv_get_val_into};
use dirkv::ffi::writes::{
    dirkv_compare_and_swap_val, dirkv_create_val, dirkv_delete_bucket, dirkv_delete_if_revision, dirkv_delete_key,
    dirkv_put_if_revision, dirkv_touch, dirkv_upsert_val,
};

use super::model::{Condition, Item, bucket, key, names};
use super::{Bytes, Handle, Place, State, World};
use crate::c::{self, call};
use crate::names::{is_name, is_path};

/// A name for C: NULL, or its text up to a NUL.
struct Text(Option<CString>);

impl Text {
    fn new(name: Option<&[u8]>) -> Text {
        Text(name.map(|name| CString::new(name).expect("no name here has a NUL")))
    }

    fn as_ptr(&self) -> *const c_char {
        self.0.as_ref().map_or(ptr::null(), |text| text.as_ptr())
    }
}

fn texts(place: Place) -> (Text, Text) {
    (Text::new(bucket(place.bucket)), Text::new(key(place.key)))
}

/// Everything that is wrong with a call.
#[derive(Default)]
struct Wrong(BTreeSet<i32>);

impl Wrong {
    fn read(state: State) -> Wrong {
        let mut wrong = Wrong::default();
        if let State::Refused(code) = state {
            wrong.0.insert(code as i32);
        }
        wrong
    }

    fn change(state: State) -> Wrong {
        Wrong::read(state).and(state != State::Reads, Code::ReadOnly)
    }

    /// Unless it is so, there is this to say.
    fn and(mut self, is_so: bool, code: Code) -> Wrong {
        if !is_so {
            self.0.insert(code as i32);
        }
        self
    }

    fn names(self, place: Place) -> Wrong {
        self.and(names(place).is_some(), Code::BadParameter)
    }

    /// True if the call should answer what the model says; else it has answered with one of the things that are wrong.
    #[track_caller]
    fn none(self, status: i32) -> bool {
        assert!(self.0.is_empty() || self.0.contains(&status), "status {status}, not one of {:?}", self.0);
        self.0.is_empty()
    }
}

impl World {
    pub fn get(&mut self, handle: Handle, place: Place) {
        let ((b, state), (bucket, key)) = (self.handle(handle), texts(place));
        let (mut val, mut all) =
            (dirkv_buf { data: ptr::null_mut(), len: 0 }, dirkv_buf { data: ptr::null_mut(), len: 0 });
        let (mut expires, mut revision, mut exists) = (7, 7, 7);
        // SAFETY: any handle; names as the header allows; outputs that are there.
        let statuses = unsafe {
            let (bucket, key) = (bucket.as_ptr(), key.as_ptr());
            [
                call(|err| dirkv_get_val(b, bucket, key, &raw mut val, err)),
                call(|err| dirkv_get_item(b, bucket, key, &raw mut all, &raw mut expires, &raw mut revision, err)),
                call(|err| dirkv_exists(b, bucket, key, &raw mut exists, err)),
            ]
        };
        let found = Item { value: c::take(all), expires, revision };
        assert_eq!(c::take(val), found.value);
        let there = self.model.get(place);
        let mut is_well = true;
        for status in &statuses {
            is_well &= Wrong::read(state).names(place).none(*status);
        }
        if is_well && let Some(item) = there {
            assert_eq!((statuses, exists, &found), ([0; 3], 1, item));
        } else {
            assert_eq!((exists, found), (0, Item { value: Vec::new(), expires: 0, revision: 0 }));
            // A name that is only a bucket's is told from one that isn't there.
            let absent = [Code::NotFound as i32, Code::BadParameter as i32];
            assert!(!is_well || absent.contains(&statuses[0]) && absent.contains(&statuses[1]) && statuses[2] == 0);
        }
    }

    pub fn get_into(&mut self, handle: Handle, place: Place, room: u16) {
        let ((b, state), (bucket, key)) = (self.handle(handle), texts(place));
        let mut memory = vec![0xee_u8; usize::from(room) % 7000 + 8];
        let (cap, mut len) = (memory.len() - 8, 7);
        let dst = if cap == 0 { ptr::null_mut() } else { memory.as_mut_ptr().cast() };
        // SAFETY: any handle; names as the header allows; `cap` bytes; outputs that are there.
        let status =
            call(|err| unsafe { dirkv_get_val_into(b, bucket.as_ptr(), key.as_ptr(), dst, cap, &raw mut len, err) });
        assert!(memory[cap..].iter().all(|byte| *byte == 0xee), "it wrote beyond the caller's memory");
        if !Wrong::read(state).names(place).none(status) {
            return;
        }
        match self.model.get(place) {
            Some(item) if item.value.len() <= cap => assert_eq!((status, &memory[..len]), (0, &item.value[..])),
            Some(item) => assert_eq!((status, len), (Code::BufferTooSmall as i32, item.value.len())),
            None => assert!([Code::NotFound as i32, Code::BadParameter as i32].contains(&status) && len == 0),
        }
    }

    pub fn put(&mut self, handle: Handle, place: Place, new: Bytes, ttl: i64, condition: Condition) {
        let ((b, state), (bucket, key)) = (self.handle(handle), texts(place));
        let (new, mut revision) = (new.vec(), 7);
        let (bucket, key, data, len) = (bucket.as_ptr(), key.as_ptr(), new.as_ptr().cast(), new.len());
        let out = &raw mut revision;
        // SAFETY: any handle; names as the header allows; `len` bytes; outputs that are there.
        let status = call(|err| unsafe {
            match &condition {
                Condition::None => dirkv_upsert_val(b, bucket, key, data, len, ttl, out, err),
                Condition::Absent => dirkv_create_val(b, bucket, key, data, len, ttl, out, err),
                Condition::Value(value) => {
                    let (prev, prev_len) = (value.as_ptr().cast(), value.len());
                    dirkv_compare_and_swap_val(b, bucket, key, data, len, prev, prev_len, ttl, out, err)
                }
                Condition::Revision(expected) => {
                    dirkv_put_if_revision(b, bucket, key, data, len, *expected, ttl, out, err)
                }
            }
        });
        assert_eq!(status == 0, revision != 0);
        if Wrong::change(state).names(place).and(ttl >= 0, Code::BadParameter).none(status) {
            let expected = self.model.judge(place, &condition);
            assert_eq!(status, expected.err().map_or(0, |code| code as i32), "{condition:?}");
            if status == 0 {
                self.model.put(place, new, ttl, revision);
            }
        }
    }

    pub fn touch(&mut self, handle: Handle, place: Place, ttl: i64) {
        let ((b, state), (bucket, key), mut revision) = (self.handle(handle), texts(place), 7);
        // SAFETY: any handle; names as the header allows; outputs that are there.
        let status = call(|err| unsafe { dirkv_touch(b, bucket.as_ptr(), key.as_ptr(), ttl, &raw mut revision, err) });
        assert_eq!(status == 0, revision != 0);
        if Wrong::change(state).names(place).and(ttl >= 0, Code::BadParameter).none(status) {
            let value = self.model.get(place).map(|item| item.value.clone());
            assert_eq!(status, if value.is_some() { 0 } else { Code::NotFound as i32 });
            if let Some(value) = value {
                self.model.put(place, value, ttl, revision);
            }
        }
    }

    pub fn delete(&mut self, handle: Handle, place: Place, expected: Option<u64>) {
        let ((b, state), (bucket, key)) = (self.handle(handle), texts(place));
        // SAFETY: any handle; names as the header allows.
        let status = call(|err| unsafe {
            match expected {
                Some(revision) => dirkv_delete_if_revision(b, bucket.as_ptr(), key.as_ptr(), revision, err),
                None => dirkv_delete_key(b, bucket.as_ptr(), key.as_ptr(), err),
            }
        });
        if Wrong::change(state).names(place).none(status) {
            let answer = match (self.model.get(place), expected) {
                (None, _) => Code::NotFound as i32,
                (Some(item), Some(expected)) if item.revision != expected => Code::CompareFailed as i32,
                _ => 0,
            };
            assert_eq!(status, answer);
            if status == 0 {
                self.model.delete(place);
            }
        }
    }

    pub fn delete_bucket(&mut self, handle: Handle, parent: u8, name: u8) {
        let ((b, state), parent, name) = (self.handle(handle), bucket(parent), bucket(name));
        let (parent_text, name_text) = (Text::new(parent), Text::new(name));
        // SAFETY: any handle; names as the header allows.
        let status = call(|err| unsafe { dirkv_delete_bucket(b, parent_text.as_ptr(), name_text.as_ptr(), err) });
        let is_well = |parent: &[u8], name: &[u8]| {
            is_path(parent) && is_name(name, 255) && !(parent.is_empty() && name.starts_with(b"."))
        };
        let names = parent.zip(name).filter(|(parent, name)| is_well(parent, name));
        if Wrong::change(state).and(names.is_some(), Code::BadParameter).none(status) {
            let (parent, name) = names.expect("nothing is wrong");
            let was_there = self.model.delete_bucket(parent, name);
            assert_eq!(status, if was_there { 0 } else { Code::NotFound as i32 });
        }
    }

    pub fn batch(&mut self, handle: Handle, to: u8, items: &[(u8, Bytes, i64)], size: u8) {
        let ((b, state), mut revision) = (self.handle(handle), 7);
        let items = &items[..items.len().min(20)];
        let owned: Vec<(Text, Vec<u8>, i64)> =
            items.iter().map(|(n, bytes, ttl)| (Text::new(key(*n)), bytes.vec(), ttl.saturating_abs())).collect();
        let raw = |(key, value, ttl): &(Text, Vec<u8>, i64)| dirkv_item {
            key: key.as_ptr(),
            val: value.as_ptr().cast(),
            len: value.len(),
            ttl: *ttl,
        };
        let array: Vec<dirkv_item> = owned.iter().map(raw).collect();
        // Seldom a size that is no item's.
        let size = if size < 8 { usize::from(size) } else { size_of::<dirkv_item>() };
        let text = Text::new(bucket(to));
        // SAFETY: any handle; names as the header allows; items that are there; an output.
        let status = call(|err| unsafe {
            dirkv_upsert_items(b, text.as_ptr(), array.as_ptr(), array.len(), size, &raw mut revision, err)
        });
        assert_eq!(status == 0, revision != 0);
        let places = items.iter().map(|(key, ..)| Place { bucket: to, key: *key });
        let all_well = places.clone().all(|place| names(place).is_some()) && !items.is_empty();
        let well = all_well && size == size_of::<dirkv_item>();
        if Wrong::change(state).and(well, Code::BadParameter).none(status) {
            assert!(status == 0 && revision > self.model.newest);
            for (place, (_, value, ttl)) in places.zip(owned) {
                self.model.put_in_batch(place, value, ttl, revision);
            }
            self.model.newest = revision;
        }
    }

    pub fn list(&mut self, handle: Handle, of: u8, limit: u8, recursive: bool) {
        let ((b, state), path) = (self.handle(handle), bucket(of));
        let (text, limit, mut list) = (Text::new(path), u64::from(limit % 8), ptr::null_mut());
        let flags = if recursive { DIRKV_RECURSIVE } else { 0 };
        // SAFETY: any handle; names as the header allows; an output.
        let status =
            call(|err| unsafe { dirkv_get_items(b, text.as_ptr(), ptr::null(), limit, flags, &raw mut list, err) });
        if !Wrong::read(state).and(path.is_some_and(is_path), Code::BadParameter).none(status) {
            return assert!(list.is_null());
        }
        let mut expected: Vec<(Vec<u8>, Item)> = self.model.list(path.expect("well"), recursive).into_iter().collect();
        // By component: a separator is below every byte of a name.
        let order = |name: &[u8]| name.iter().map(|b| if *b == b'/' { 1 } else { *b }).collect::<Vec<u8>>();
        expected.sort_by_key(|(name, _)| order(name));
        expected.truncate(if limit == 0 { usize::MAX } else { limit as usize });
        let found = c::take_list(list).into_iter().map(|entry| {
            assert_eq!((entry.kind, entry.pid), (DIRKV_ENTRY_ITEM, 0));
            (entry.name, Item { value: entry.value, expires: entry.time, revision: entry.revision })
        });
        assert_eq!((status, found.collect::<Vec<_>>()), (0, expected));
    }

    pub fn keys(&mut self, handle: Handle, of: u8) {
        let ((b, state), path, mut list) = (self.handle(handle), bucket(of), ptr::null_mut());
        let text = Text::new(path);
        // SAFETY: any handle; names as the header allows; an output.
        let status = call(|err| unsafe { dirkv_get_keys(b, text.as_ptr(), ptr::null(), 0, &raw mut list, err) });
        if !Wrong::read(state).and(path.is_some_and(is_path), Code::BadParameter).none(status) {
            return assert!(list.is_null());
        }
        let mut expected = BTreeSet::new();
        for name in self.model.list(path.expect("well"), true).into_keys() {
            match name.iter().position(|b| *b == b'/') {
                Some(at) => expected.insert((name[..at].to_vec(), DIRKV_ENTRY_BUCKET)),
                None => expected.insert((name, DIRKV_ENTRY_KEY)),
            };
        }
        let found: Vec<_> = c::take_list(list).into_iter().map(|entry| (entry.name, entry.kind)).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }

    pub fn lock(&mut self, handle: Handle, token: u8, ttl: i64) {
        let ((b, state), name, mut fence) = (self.handle(handle), key(token), 7);
        let text = Text::new(name);
        // SAFETY: any handle; names as the header allows; an output.
        let status = call(|err| unsafe { dirkv_acquire_lock(b, text.as_ptr(), ttl, 0, &raw mut fence, err) });
        let allowed = (1..=60_000_000_000).contains(&ttl) && name.is_some_and(|name| is_name(name, 255));
        if !Wrong::change(state).and(allowed, Code::BadParameter).none(status) {
            return assert_eq!(fence, 0);
        }
        let name = name.expect("well");
        if self.holder(name).is_some() {
            return assert_eq!((status, fence), (Code::Timeout as i32, 0));
        }
        assert!(status == 0 && fence > self.model.newest);
        self.model.newest = fence;
        self.model.locks.insert(name.to_vec(), (fence, self.model.now + ttl));
    }

    /// The fence of who holds the lock now.
    fn holder(&self, token: &[u8]) -> Option<u64> {
        self.model.locks.get(token).filter(|(_, expires)| *expires > self.model.now).map(|(fence, _)| *fence)
    }

    /// Releases it, or tries to renew what nobody holds.
    pub fn unlock(&mut self, handle: Handle, token: u8, known: bool) {
        let ((b, state), name) = (self.handle(handle), key(token));
        let (text, held) = (Text::new(name), name.and_then(|name| self.holder(name)));
        let fence = held.filter(|_| known).unwrap_or(5);
        // SAFETY: any handle; names as the header allows.
        let [renewed, released] = unsafe {
            [
                call(|err| dirkv_renew_lock(b, text.as_ptr(), 5, 1_000, err)),
                call(|err| dirkv_release_lock(b, text.as_ptr(), fence, err)),
            ]
        };
        let allowed = name.is_some_and(|name| is_name(name, 255));
        if Wrong::change(state).and(allowed, Code::BadParameter).none(renewed) {
            assert_eq!(renewed, Code::LockLost as i32);
        }
        if Wrong::change(state).and(allowed, Code::BadParameter).none(released) {
            let answer = match held {
                None => Code::NotFound as i32,
                Some(held) if held != fence => Code::CompareFailed as i32,
                Some(_) => 0,
            };
            assert_eq!(released, answer);
            if released == 0 {
                self.model.locks.remove(name.expect("well"));
            }
        }
    }

    pub fn upkeep(&mut self, handle: Handle, what: u8) {
        let (b, state) = self.handle(handle);
        // SAFETY: any handle.
        let (status, changes) = unsafe {
            match what % 3 {
                0 => (call(|err| dirkv_sync(b, err)), false),
                1 => (call(|err| dirkv_compact(b, err)), true),
                _ => (call(|err| dirkv_check(b, err)), false),
            }
        };
        let wrong = if changes { Wrong::change(state) } else { Wrong::read(state) };
        if wrong.none(status) {
            assert_eq!(status, 0);
        }
        self.report(b, state);
    }

    /// Statistics, the clock, and who holds what.
    fn report(&self, b: *mut dirkv_backend, state: State) {
        let (mut json, mut now, mut list) = (dirkv_buf { data: ptr::null_mut(), len: 0 }, 7, ptr::null_mut());
        // SAFETY: any handle; outputs that are there.
        let statuses = unsafe {
            [
                call(|err| dirkv_stats(b, &raw mut json, err)),
                call(|err| dirkv_clock_now(b, &raw mut now, err)),
                call(|err| dirkv_get_locks(b, &raw mut list, err)),
            ]
        };
        let json = c::take(json);
        for status in statuses {
            if !Wrong::read(state).none(status) {
                return assert!(list.is_null() && now == 0 && json.is_empty());
            }
        }
        assert!((statuses, now) == ([0; 3], self.model.now) && json.starts_with(b"{") && json.ends_with(b"}"));
        let held = self.model.locks.iter().filter(|(_, (_, expires))| *expires > self.model.now);
        let expected: BTreeMap<_, _> = held.map(|(token, held)| (token.clone(), *held)).collect();
        let found = c::take_list(list).into_iter().map(|entry| (entry.name, (entry.revision, entry.time)));
        assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
    }

    /// NULL where it isn't allowed is an error, where it is allowed nothing.
    pub fn nulls(&mut self, handle: Handle, what: u8) {
        let ((b, state), name, mut revision) = (self.handle(handle), c"a".as_ptr(), 7);
        // SAFETY: NULL, or what the header allows.
        let status = unsafe {
            dirkv_buf_free(ptr::null_mut());
            dirkv_list_free(ptr::null_mut());
            assert_eq!(dirkv_list_len(ptr::null()), 0);
            match what % 5 {
                0 => call(|err| dirkv_get_val(b, name, name, ptr::null_mut(), err)),
                1 => call(|err| dirkv_upsert_val(b, name, name, ptr::null(), 1, 0, &raw mut revision, err)),
                2 => call(|err| dirkv_upsert_val(b, name, name, name.cast(), 1, 0, ptr::null_mut(), err)),
                3 => call(|err| dirkv_upsert_items(b, name, ptr::null(), 1, 32, &raw mut revision, err)),
                _ => call(|err| dirkv_get_locks(b, ptr::null_mut(), err)),
            }
        };
        assert!(!Wrong::read(state).and(false, Code::BadParameter).none(status));
    }
}
