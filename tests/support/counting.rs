//! An allocator that counts: the largest single allocation, and the most that lived at one time, of the thread that measures.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counted.
pub struct Counting;

#[derive(Clone, Copy, Default)]
struct Count {
    on: bool,
    largest: usize,
    living: isize,
    most: isize,
}

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { on: false, largest: 0, living: 0, most: 0 }) };
}

/// What a measured call allocated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Allocated {
    /// The largest single allocation.
    pub largest: usize,
    /// The most that lived at one time, beside what was there before.
    pub most: usize,
}

/// Runs `f` and tells what it allocated on this thread. Not within another measurement.
pub fn measured<R>(f: impl FnOnce() -> R) -> (R, Allocated) {
    COUNT.set(Count { on: true, ..Count::default() });
    let result = f();
    let count = COUNT.replace(Count::default());
    (result, Allocated { largest: count.largest, most: usize::try_from(count.most).unwrap_or(0) })
}

fn note(size: usize, change: isize) {
    // A thread that ends has no counter any more.
    let _ = COUNT.try_with(|count| {
        let mut now = count.get();
        if now.on {
            now.largest = now.largest.max(size);
            now.living += change;
            now.most = now.most.max(now.living);
            count.set(now);
        }
    });
}

fn signed(size: usize) -> isize {
    isize::try_from(size).unwrap_or(isize::MAX)
}

// SAFETY: each method passes its arguments on to the system's allocator and returns what that returns.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), signed(layout.size()));
        // SAFETY: the caller's promises are the callee's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), signed(layout.size()));
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        note(0, -signed(layout.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size, signed(size) - signed(layout.size()));
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}
