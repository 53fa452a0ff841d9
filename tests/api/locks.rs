//! Lease locks: what each call answers, and how waiting ends.

use super::*;
use dirkv::files::clock::SystemClock;
use dirkv::files::prepare::open_directory;
use dirkv::files::storage::Clock;
use std::thread;
use std::time::{Duration, Instant};

const SECOND: i64 = 1_000_000_000;

#[test]
fn one_holder_at_a_time_and_fences_grow() {
    let b = Store::new();
    let first = b.acquire_lock("t", 100, 0).unwrap();
    fails(b.acquire_lock("t", 100, 0), Code::Timeout, &format!("lock \"t\" is held by process {}", std::process::id()));
    let other = b.second();
    fails(other.acquire_lock("t", 100, 0), Code::Timeout, "fence");
    let free = other.acquire_lock("u", 100, 0).unwrap();
    b.release_lock("t", first).unwrap();
    let second = other.acquire_lock("t", 100, 0).unwrap();
    assert!(first < free && free < second);
    b.set_clock(1_100);
    assert!(b.acquire_lock("t", 100, 0).unwrap() > second, "the lease expired at the instant");
}

#[test]
fn release_by_fence_and_by_force() {
    let b = Store::new();
    fails(b.release_lock("t", 0), Code::NotFound, "lock \"t\" is not held");
    fails(b.release_lock("t", 7), Code::NotFound, "lock \"t\"");
    let fence = b.acquire_lock("t", 100, 0).unwrap();
    fails(b.release_lock("t", fence + 1), Code::CompareFailed, &format!("with fence {fence}, not {}", fence + 1));
    b.release_lock("t", 0).unwrap();
    fails(b.release_lock("t", fence), Code::NotFound, "lock \"t\"");
    b.acquire_lock("t", 100, 0).unwrap();
    fails(b.release_lock("t", fence), Code::CompareFailed, "lock \"t\"");
    b.set_clock(1_100);
    fails(b.release_lock("t", 0), Code::NotFound, "not held");
}

#[test]
fn renewal_extends_and_keeps_the_fence() {
    let b = Store::new();
    let fence = b.acquire_lock("t", 100, 0).unwrap();
    b.set_clock(1_090);
    b.renew_lock("t", fence, 100).unwrap();
    b.set_clock(1_180);
    b.renew_lock("t", fence, 50).unwrap();
    let held = b.locks().unwrap();
    assert_eq!((held.len(), held[0].fence, held[0].expires), (1, fence, 1_230));
    fails(b.acquire_lock("t", 100, 0), Code::Timeout, "held");
    fails(b.renew_lock("t", fence + 1, 100), Code::LockLost, "lock \"t\"");
    fails(b.renew_lock("t", 0, 100), Code::BadParameter, "fence is 0");
    b.set_clock(1_230);
    fails(b.renew_lock("t", fence, 100), Code::LockLost, "lock \"t\"");
    let next = b.acquire_lock("t", 100, 0).unwrap();
    assert!(next > fence);
    fails(b.renew_lock("t", fence, 100), Code::LockLost, "with fence");
    fails(b.renew_lock("absent", fence, 100), Code::LockLost, "lock \"absent\"");
    b.release_lock("t", next).unwrap();
    fails(b.renew_lock("t", next, 100), Code::LockLost, "lock \"t\"");
}

#[test]
fn the_ttl_of_a_lock_has_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let mut params = Params::new();
    params.set_path(dir.path()).unwrap();
    params.set("max_lock_ttl", "2s").unwrap();
    let b = Backend::open(&params).unwrap();
    for ttl in [0, -1, i64::MIN, 2 * SECOND + 1, i64::MAX] {
        fails(b.acquire_lock("t", ttl, 0), Code::BadParameter, "max_lock_ttl");
        fails(b.renew_lock("t", 1, ttl), Code::BadParameter, "max_lock_ttl");
    }
    let fence = b.acquire_lock("t", 2 * SECOND, 0).unwrap();
    b.renew_lock("t", fence, 1).unwrap();
}

#[test]
fn who_holds_what() {
    let b = Store::new();
    assert_eq!(b.locks().unwrap(), []);
    let z = b.acquire_lock("z", 100, 0).unwrap();
    let a = b.acquire_lock("a", 50, 0).unwrap();
    let held = b.locks().unwrap();
    let seen: Vec<_> = held.iter().map(|l| (l.token.as_str(), l.fence, l.expires, l.pid)).collect();
    assert_eq!(seen, [("a", a, 1_050, std::process::id()), ("z", z, 1_100, std::process::id())]);
    assert!(!held[0].host.is_empty());
    b.set_clock(1_050);
    assert_eq!(b.locks().unwrap().len(), 1);
    assert_eq!(b.items("", None, 0, true).unwrap(), [], "locks show in no listing");
}

#[test]
fn a_release_wakes_a_waiter_of_another_handle() {
    let (b, dir) = plain();
    let other = Backend::open_path(dir.path()).unwrap();
    let mut hand_offs = Vec::new();
    for _ in 0..20 {
        let fence = b.acquire_lock("t", 30 * SECOND, 0).unwrap();
        let waiter = thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let next = other.acquire_lock("t", 30 * SECOND, -1).unwrap();
                (next, Instant::now())
            });
            thread::sleep(Duration::from_millis(5));
            let released = Instant::now();
            b.release_lock("t", fence).unwrap();
            let (next, woken) = waiter.join().unwrap();
            assert!(next > fence);
            hand_offs.push(woken.saturating_duration_since(released));
            next
        });
        other.release_lock("t", waiter).unwrap();
    }
    hand_offs.sort();
    assert!(hand_offs[10] < Duration::from_millis(40), "woken, not timed out: {hand_offs:?}");
}

#[test]
fn expiry_frees_and_a_waiter_notices() {
    let (b, _dir) = plain();
    let fence = b.acquire_lock("t", SECOND / 5, 0).unwrap();
    let expires = b.locks().unwrap()[0].expires;
    let next = b.acquire_lock("t", SECOND, 10 * SECOND).unwrap();
    assert!(b.now() >= expires && next > fence);
}

#[test]
fn a_waiter_gives_up_in_time() {
    let (b, _dir) = plain();
    b.acquire_lock("t", 30 * SECOND, 0).unwrap();
    let start = Instant::now();
    fails(b.acquire_lock("t", SECOND, SECOND / 5), Code::Timeout, "lock \"t\" is held by process");
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_moved_clock_frees_a_lease_for_a_waiter() {
    let b = Store::new();
    b.acquire_lock("t", SECOND, 0).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| b.acquire_lock("t", SECOND, -1));
        thread::sleep(Duration::from_millis(20));
        b.set_clock(1_000 + SECOND);
        waiter.join().unwrap().unwrap();
    });
}

/// The system's clocks, shifted.
#[derive(Debug, Default)]
struct Shifted {
    wall: AtomicI64,
    boottime: AtomicI64,
}

impl Clock for Shifted {
    fn wall(&self) -> i64 {
        SystemClock.wall() + self.wall.load(Ordering::SeqCst)
    }
    fn boottime(&self) -> u64 {
        SystemClock.boottime().saturating_add_signed(self.boottime.load(Ordering::SeqCst))
    }
    fn yield_now(&self) {
        SystemClock.yield_now();
    }
    fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration);
    }
}

#[test]
fn a_lease_ends_although_the_clock_was_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Shifted::default());
    let open = || {
        let directory = Arc::new(open_directory(dir.path(), 0o700, 0o600, false).unwrap());
        Backend::open_in(&Params::new(), directory, clock.clone()).unwrap()
    };
    let (holder, waiter) = (open(), open());
    let fence = holder.acquire_lock("t", 50 * SECOND, 0).unwrap();
    clock.wall.store(-3_600 * SECOND, Ordering::SeqCst);
    fails(waiter.acquire_lock("t", SECOND, 0), Code::Timeout, "held");
    clock.boottime.store(49 * SECOND, Ordering::SeqCst);
    fails(waiter.acquire_lock("t", SECOND, 0), Code::Timeout, "held");
    holder.renew_lock("t", fence, 40 * SECOND).unwrap();
    clock.wall.store(-7_200 * SECOND, Ordering::SeqCst);
    fails(waiter.acquire_lock("t", SECOND, 0), Code::Timeout, "held");
    clock.boottime.store(80 * SECOND, Ordering::SeqCst);
    fails(waiter.acquire_lock("t", SECOND, 0), Code::Timeout, "held");
    clock.boottime.store(95 * SECOND, Ordering::SeqCst);
    let next = waiter.acquire_lock("t", SECOND, 0).unwrap();
    assert!(next > fence);
    fails(holder.renew_lock("t", fence, SECOND), Code::LockLost, "with fence");
}

/// Who moves the clock for tests decides by it alone when a lease ends.
#[test]
fn a_lease_lasts_as_long_as_a_replaced_clock_says() {
    let b = Store::new();
    let fence = b.acquire_lock("t", 1_000_000, 0).unwrap();
    let second = b.second();
    fails(second.acquire_lock("t", 1_000_000, 50_000_000), Code::Timeout, "lock \"t\"");
    b.set_clock(1_000 + 1_000_000);
    assert!(second.acquire_lock("t", 1_000_000, 0).unwrap() > fence);
}

#[test]
fn close_wakes_waiters() {
    let (b, dir) = plain();
    let holder = Backend::open_path(dir.path()).unwrap();
    holder.acquire_lock("t", 30 * SECOND, 0).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| b.acquire_lock("t", SECOND, -1));
        thread::sleep(Duration::from_millis(20));
        b.close();
        fails(waiter.join().unwrap(), Code::Closed, "is closed");
    });
    assert_eq!(holder.locks().unwrap().len(), 1);
}

#[test]
fn mutual_exclusion_over_threads_and_handles() {
    let (b, dir) = plain();
    let other = Backend::open_path(dir.path()).unwrap();
    let (inside, total) = (AtomicI64::new(0), AtomicI64::new(0));
    thread::scope(|scope| {
        let threads = [0, 1, 2, 3, 4, 5].map(|n| {
            let (inside, total, b) = (&inside, &total, if n % 2 == 0 { &b } else { &other });
            scope.spawn(move || {
                for _ in 0..30 {
                    let fence = b.acquire_lock("t", 30 * SECOND, -1).unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    total.fetch_add(1, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    b.release_lock("t", fence).unwrap();
                }
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
    });
    assert_eq!(total.into_inner(), 180);
}
