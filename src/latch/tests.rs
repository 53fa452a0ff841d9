use super::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_condition_wakes_who_waits_for_it() {
    let (turn, changed) = (Mutex::new(0u32), Condvar::default());
    thread::scope(|scope| {
        for parity in 0..2 {
            let (turn, changed) = (&turn, &changed);
            scope.spawn(move || {
                for _ in 0..1000 {
                    let mut turn = changed.wait_while(turn.lock(), Some(LONG), |turn| *turn % 2 != parity);
                    assert_eq!(*turn % 2, parity, "a wake-up was lost");
                    *turn += 1;
                    drop(turn);
                    changed.notify_one();
                }
            });
        }
    });
    assert_eq!(*turn.lock(), 2000);
    assert_eq!(changed.waiters.load(SeqCst), 0);
}

#[test]
fn a_wait_ends_with_its_time() {
    let (mutex, changed, time) = (Mutex::new(()), Condvar::default(), Duration::from_millis(20));
    let begun = Instant::now();
    drop(changed.wait_while(mutex.lock(), Some(time), |()| true));
    assert!(begun.elapsed() >= time);
}

#[test]
fn a_timed_mutex_excludes_and_gives_up() {
    let (mutex, inside, entered) = (TimedMutex::<u64>::default(), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let mut guard = mutex.lock_for(LONG).expect("nobody holds it for long");
                    assert_eq!(inside.fetch_add(1, SeqCst), 0);
                    *guard += 1;
                    thread::yield_now();
                    inside.fetch_sub(1, SeqCst);
                    entered.fetch_add(1, SeqCst);
                }
            });
        }
    });
    let guard = mutex.lock_for(Duration::ZERO).unwrap();
    assert_eq!((*guard, entered.load(SeqCst)), (2000, 2000));
    let begun = Instant::now();
    assert!(mutex.lock_for(Duration::ZERO).is_none());
    assert!(mutex.lock_for(Duration::from_millis(20)).is_none());
    assert!(begun.elapsed() >= Duration::from_millis(20));
    drop(guard);
    assert!(mutex.lock_for(Duration::ZERO).is_some());
}

#[test]
fn a_panic_poisons_nothing() {
    let (mutex, timed, lock) = (Mutex::new(1), TimedMutex::<u8>::default(), RwLock::<u8>::default());
    let panicked = thread::scope(|scope| {
        let panics = scope.spawn(|| {
            let _guards = (mutex.lock(), timed.lock_for(LONG), lock.write());
            panic!("as planned");
        });
        panics.join().is_err()
    });
    assert!(panicked);
    assert_eq!(*mutex.lock(), 1);
    assert_eq!(*timed.lock_for(Duration::ZERO).unwrap(), 0);
    assert_eq!(*lock.read(), 0);
    assert_eq!(*lock.write(), 0);
}

#[test]
fn a_writer_lets_the_readers_in_that_wait() {
    let (lock, read) = (RwLock::<u8>::default(), AtomicBool::new(false));
    let mut guard = lock.write();
    guard.let_readers_in();
    thread::scope(|scope| {
        scope.spawn(|| {
            let guard = lock.read();
            read.store(true, SeqCst);
            assert_eq!(*guard, 1, "in the middle of the writer's work");
        });
        while lock.waiting.load(SeqCst) == 0 {
            thread::yield_now();
        }
        *guard = 1;
        assert!(!read.load(SeqCst));
        guard.let_readers_in();
        assert!(read.load(SeqCst));
        *guard = 2;
        drop(guard);
    });
    assert_eq!(*lock.read(), 2);
}
