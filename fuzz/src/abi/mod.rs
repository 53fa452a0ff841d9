//! Random calls of the C interface on a store in a directory, through several handles, closed ones, and numbers that never
//! were one; with NULL where it may be and where it may not. A model says what each call answers.

mod calls;
mod model;

use std::ffi::CString;
use std::sync::atomic::Ordering::SeqCst;

use arbitrary::Arbitrary;
use dirkv::Code;
use dirkv::ffi::backend::dirkv_backend;

use crate::{c, described};
use model::Model;

/// Which handle: one of three, open or not; NULL; any number.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Handle {
    Slot(u8),
    SlotToo(u8),
    Null,
    Any(u32),
}

/// A name by number, good ones and bad ones; see [`model::BUCKETS`] and [`model::KEYS`].
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Place {
    bucket: u8,
    key: u8,
}

/// A value: so many times one byte.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Bytes {
    len: u16,
    byte: u8,
}

impl Bytes {
    fn vec(self) -> Vec<u8> {
        vec![self.byte % 4; usize::from(self.len) % 6000]
    }
}

#[derive(Arbitrary, Debug)]
enum Call {
    Open { slot: u8, read_only: bool },
    Close(Handle),
    Tick(u32),
    Get(Handle, Place),
    GetInto(Handle, Place, u16),
    Create(Handle, Place, Bytes, i64),
    Upsert(Handle, Place, Bytes, i64),
    UpsertToo(Handle, Place, Bytes, i64),
    Swap { handle: Handle, place: Place, new: Bytes, previous: Option<Bytes> },
    PutIf { handle: Handle, place: Place, new: Bytes, expected: Option<u64> },
    Touch(Handle, Place, i64),
    Delete(Handle, Place),
    DeleteIf(Handle, Place, Option<u64>),
    DeleteBucket { handle: Handle, parent: u8, bucket: u8 },
    Batch { handle: Handle, bucket: u8, items: Vec<(u8, Bytes, i64)>, size: u8 },
    List { handle: Handle, bucket: u8, limit: u8, recursive: bool },
    Keys { handle: Handle, bucket: u8 },
    Lock { handle: Handle, token: u8, ttl: i64 },
    Unlock { handle: Handle, token: u8, known: bool },
    Upkeep(Handle, u8),
    Nulls(Handle, u8),
}

/// The handles of one store, and what should be in it.
struct World {
    path: CString,
    slots: [Option<Slot>; 3],
    /// A handle that was closed.
    closed: Option<*mut dirkv_backend>,
    model: Model,
}

#[derive(Clone, Copy)]
struct Slot {
    handle: *mut dirkv_backend,
    read_only: bool,
}

/// What a call may do with the handle that it was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Writes,
    Reads,
    /// Answered with this, whatever else is wrong.
    Refused(Code),
}

/// The time of all handles.
static CLOCK: c::Clock = c::Clock::new(0);

pub fn run(data: &[u8]) {
    let Some(calls) = described::<Vec<Call>>(data) else { return };
    let (_dir, path) = c::directory();
    CLOCK.store(model::START, SeqCst);
    let mut world = World { path, slots: [None; 3], closed: None, model: Model::default() };
    world.open(0, false);
    for call in calls.into_iter().take(200) {
        world.make(call);
    }
    for slot in world.slots.into_iter().flatten() {
        assert_eq!(c::close(slot.handle), 0);
    }
    // Opened once more: all is there that should be.
    world.slots = [None; 3];
    world.model.now = CLOCK.load(SeqCst);
    world.open(1, true);
    world.list(Handle::Slot(1), 0, 0, true);
    world.upkeep(Handle::Slot(1), 2);
    assert_eq!(c::close(world.slots[1].expect("just opened").handle), 0);
}

impl World {
    /// The number that stands for the handle, and what it is good for.
    fn handle(&self, handle: Handle) -> (*mut dirkv_backend, State) {
        match handle {
            Handle::Slot(n) | Handle::SlotToo(n) => match (self.slots[usize::from(n) % 3], self.closed) {
                (Some(slot), _) if slot.read_only => (slot.handle, State::Reads),
                (Some(slot), _) => (slot.handle, State::Writes),
                (None, Some(closed)) => (closed, State::Refused(Code::Closed)),
                (None, None) => (std::ptr::null_mut(), State::Refused(Code::BadParameter)),
            },
            Handle::Null => (std::ptr::null_mut(), State::Refused(Code::BadParameter)),
            // Odd numbers in the first page: no slot's generation is 0.
            Handle::Any(n) => {
                (std::ptr::without_provenance_mut((n as usize | 1) & 0xffff), State::Refused(Code::BadParameter))
            }
        }
    }

    fn make(&mut self, call: Call) {
        self.model.now = CLOCK.load(SeqCst);
        match call {
            Call::Open { slot, read_only } => self.open(slot, read_only),
            Call::Close(handle) => self.close(handle),
            Call::Tick(by) => CLOCK.store(self.model.now + i64::from(by), SeqCst),
            Call::Get(handle, place) => self.get(handle, place),
            Call::GetInto(handle, place, room) => self.get_into(handle, place, room),
            Call::Create(handle, place, new, ttl) => self.put(handle, place, new, ttl, model::Condition::Absent),
            Call::Upsert(handle, place, new, ttl) | Call::UpsertToo(handle, place, new, ttl) => {
                self.put(handle, place, new, ttl, model::Condition::None);
            }
            Call::Swap { handle, place, new, previous } => {
                let previous = self.model.previous(place, previous.map(Bytes::vec));
                self.put(handle, place, new, 0, model::Condition::Value(previous));
            }
            Call::PutIf { handle, place, new, expected } => {
                let expected = self.model.revision(place, expected);
                self.put(handle, place, new, 0, model::Condition::Revision(expected));
            }
            Call::Touch(handle, place, ttl) => self.touch(handle, place, ttl),
            Call::Delete(handle, place) => self.delete(handle, place, None),
            Call::DeleteIf(handle, place, expected) => {
                let expected = self.model.revision(place, expected);
                self.delete(handle, place, Some(expected));
            }
            Call::DeleteBucket { handle, parent, bucket } => self.delete_bucket(handle, parent, bucket),
            Call::Batch { handle, bucket, items, size } => self.batch(handle, bucket, &items, size),
            Call::List { handle, bucket, limit, recursive } => self.list(handle, bucket, limit, recursive),
            Call::Keys { handle, bucket } => self.keys(handle, bucket),
            Call::Lock { handle, token, ttl } => self.lock(handle, token, ttl),
            Call::Unlock { handle, token, known } => self.unlock(handle, token, known),
            Call::Upkeep(handle, what) => self.upkeep(handle, what),
            Call::Nulls(handle, what) => self.nulls(handle, what),
        }
    }

    fn open(&mut self, slot: u8, read_only: bool) {
        let slot = usize::from(slot) % 3;
        if self.slots[slot].is_none() {
            let handle = c::open(&self.path, &CLOCK, read_only).expect("the store is there, or can be made");
            self.slots[slot] = Some(Slot { handle, read_only });
        }
    }

    fn close(&mut self, handle: Handle) {
        let (number, state) = self.handle(handle);
        let status = c::close(number);
        match state {
            State::Refused(code) => assert_eq!(status, code as i32),
            State::Writes | State::Reads => {
                assert_eq!(status, 0);
                let slot = self.slots.iter_mut().find(|slot| slot.is_some_and(|slot| slot.handle == number));
                *slot.expect("it was open") = None;
                self.closed = Some(number);
            }
        }
    }
}
