//! Backend handles: tokens that are checked, never dereferenced.
//!
//! A token is a slot's number and the slot's generation at the open, put into a pointer: `generation << SLOT_BITS | slot`.
//! A slot opens and closes many handles one after the other, each under a generation of its own, so that a token used after
//! its close, or never given out, is recognized and answered. Tokens stay below 2^38 and above the first page: no collector
//! of another language takes them for an address in its heap, and who dereferences one all the same gets a fault.
//!
//! Each call in progress is counted in one of the slot's counters (several, so that threads don't fight for one cache line).
//! Who enters adds one and then looks at the state; who closes changes the state and then looks at the counters, all in one
//! total order (`SeqCst`): one of the two always sees the other. All this adds 2 to 8 ns to a call (`cargo bench --bench
//! boundary`). No mutex is involved, as a fork could leave it locked.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize};
use std::time::Duration;

use super::backend::dirkv_backend;
use super::boundary::refuse_callbacks;
use super::input::bad;
use crate::Backend;
use crate::error::{Code, Error, Result};

/// At most so many handles are open in one process at a time.
const SLOT_BITS: u32 = if usize::BITS >= 64 { 16 } else { 10 };
const SLOTS: usize = 1 << SLOT_BITS;
/// A slot is used for so many opens, then never again: better a lost slot than a token that counts twice.
const GENERATIONS: u64 = (1 << 22) - 1;
/// Counters of a slot.
const STRIPES: usize = 8;

/// What a slot's state says beside its generation.
const FREE: u64 = 0;
const OPEN: u64 = 1;
const CLOSING: u64 = 2;

const fn state(generation: u64, phase: u64) -> u64 {
    generation << 2 | phase
}

/// Made when first needed, then never freed, so that a slot can be looked at whatever became of its handle.
static TABLE: [AtomicPtr<Slot>; SLOTS] = [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];

struct Slot {
    state: AtomicU64,
    /// Valid while the state is not FREE.
    backend: AtomicPtr<Backend>,
    calls: [Calls; STRIPES],
}

/// How many calls are in progress, on cache lines of its own: processors fetch them in pairs.
#[repr(align(128))]
struct Calls(AtomicUsize);

impl Slot {
    fn new() -> Slot {
        Slot {
            state: AtomicU64::new(state(1, FREE)),
            backend: AtomicPtr::new(ptr::null_mut()),
            calls: [const { Calls(AtomicUsize::new(0)) }; STRIPES],
        }
    }

    fn busy(&self) -> bool {
        self.calls.iter().any(|calls| calls.0.load(SeqCst) != 0)
    }
}

/// The slot of this number; made if `make`.
fn slot(number: usize, make: bool) -> Option<&'static Slot> {
    let place = TABLE.get(number)?;
    let mut found = place.load(Acquire);
    if found.is_null() && make {
        let fresh = Box::into_raw(Box::new(Slot::new()));
        found = match place.compare_exchange(ptr::null_mut(), fresh, SeqCst, Acquire) {
            Ok(_) => fresh,
            Err(other) => {
                // SAFETY: made three lines above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(fresh) });
                other
            }
        };
    }
    // SAFETY: a slot in the table is never freed.
    unsafe { found.as_ref() }
}

/// Gives an open backend a token.
pub(super) fn open(backend: Backend) -> Result<*mut dirkv_backend> {
    for number in 0..SLOTS {
        let Some(slot) = slot(number, true) else { break };
        let before = slot.state.load(Acquire);
        let generation = before >> 2;
        // FREE and still of use; a slot whose backend is being put in or taken out is not FREE.
        if before != state(generation, FREE) || generation > GENERATIONS {
            continue;
        }
        if slot.state.compare_exchange(before, state(generation, CLOSING), SeqCst, Relaxed).is_ok() {
            slot.backend.store(Box::into_raw(Box::new(backend)), SeqCst);
            slot.state.store(state(generation, OPEN), SeqCst);
            return token(number, generation);
        }
    }
    Err(Error::new(Code::LimitExceeded, format!("more than {SLOTS} handles are open in this process")))
}

fn token(number: usize, generation: u64) -> Result<*mut dirkv_backend> {
    let generation =
        usize::try_from(generation).map_err(|_| Error::new(Code::Internal, "a generation past its end"))?;
    Ok(ptr::without_provenance_mut(generation << SLOT_BITS | number))
}

/// A call in progress on an open backend.
pub(super) struct Entered<'a> {
    slot: &'static Slot,
    stripe: usize,
    backend: &'static Backend,
    /// The backend lives as long as this, not for `'static`.
    call: PhantomData<&'a Backend>,
}

impl Deref for Entered<'_> {
    type Target = Backend;

    fn deref(&self) -> &Backend {
        self.backend
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.slot.calls[self.stripe].0.fetch_sub(1, SeqCst);
    }
}

/// The backend of a token, if it is open; it stays open until the result is dropped.
pub(super) fn enter<'a>(token: *const dirkv_backend) -> Result<Entered<'a>> {
    refuse_callbacks()?;
    let (slot, generation) = find(token)?;
    let stripe = stripe();
    slot.calls[stripe].0.fetch_add(1, SeqCst);
    if slot.state.load(SeqCst) != state(generation, OPEN) {
        slot.calls[stripe].0.fetch_sub(1, SeqCst);
        return Err(closed());
    }
    // SAFETY: while the state is OPEN the pointer is that of a live backend, and `close` frees it only after the call that
    // was counted above has ended.
    let backend = unsafe { &*slot.backend.load(Acquire) };
    Ok(Entered { slot, stripe, backend, call: PhantomData })
}

/// Closes the backend of a token, waits for the calls in progress, and frees it.
pub(super) fn close(token: *const dirkv_backend) -> Result<()> {
    let (slot, generation) = find(token)?;
    // In a child of the opener the calls of the parent's other threads stay counted for ever: leave all as it is.
    enter(token)?.usable()?;
    if slot.state.compare_exchange(state(generation, OPEN), state(generation, CLOSING), SeqCst, SeqCst).is_err() {
        return Err(closed());
    }
    let backend = slot.backend.load(Acquire);
    // SAFETY: only who took the state from OPEN to CLOSING frees it, below.
    unsafe { &*backend }.close();
    wait_for_calls(slot);
    // SAFETY: it came from `Box::into_raw` in `open`; new calls see the state, the old ones have ended.
    drop(unsafe { Box::from_raw(backend) });
    slot.backend.store(ptr::null_mut(), SeqCst);
    slot.state.store(state(generation + 1, FREE), SeqCst);
    Ok(())
}

/// Waits by looking again and again: a close is rare, the calls that it waits for mostly end after a disk's sync (at the
/// latest after `lock_timeout`, or with their compaction), and this way a call has nobody to wake when it ends.
fn wait_for_calls(slot: &Slot) {
    let mut pause = Duration::from_micros(1);
    while slot.busy() {
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(1));
    }
}

fn find(token: *const dirkv_backend) -> Result<(&'static Slot, u64)> {
    let token = token.addr();
    if token == 0 {
        return Err(bad("b", "is NULL: it must be an open handle"));
    }
    let generation = u64::try_from(token >> SLOT_BITS).unwrap_or(u64::MAX);
    match slot(token & (SLOTS - 1), false) {
        Some(slot) if (1..=GENERATIONS).contains(&generation) => Ok((slot, generation)),
        _ => Err(bad("b", "is not a handle that dirkv gave out")),
    }
}

fn closed() -> Error {
    Error::new(Code::Closed, "the handle is closed")
}

/// The counter that this thread uses.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    let mut stripe = STRIPE.get();
    if stripe == usize::MAX {
        stripe = NEXT.fetch_add(1, Relaxed) % STRIPES;
        STRIPE.set(stripe);
    }
    stripe
}

#[cfg(test)]
#[path = "handle_tests.rs"]
mod tests;
