//! That a sanitizer is in the build, and would be heard: it finds a bug planted for it, in a process of its own. Compiled only
//! by lab/sanitize, which says which sanitizer it is.
#![allow(unexpected_cfgs, reason = "set by lab/sanitize alone")]
#![cfg(any(sanitizer = "address", sanitizer = "thread"))]

use std::process::Command;

const PLANTED: &str = "DIRKV_PLANTED_BUG";

/// Runs the test of this name again, where it makes its bug; fails unless that process is ended for it, with these words.
#[track_caller]
fn is_found(name: &str, words: &str, bug: fn()) {
    if std::env::var_os(PLANTED).is_some() {
        return bug();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", name, "--test-threads=1"]).env(PLANTED, "yes").output().unwrap();
    let said = String::from_utf8_lossy(&[output.stderr, output.stdout].concat()).into_owned();
    assert!(!output.status.success() && said.contains(words), "{name} went unnoticed: {}\n{said}", output.status);
}

#[cfg(sanitizer = "address")]
mod address {
    use super::is_found;
    use dirkv::format::frame::Body;
    use std::hint::black_box;

    #[test]
    fn a_use_after_free_is_found() {
        is_found("address::a_use_after_free_is_found", "heap-use-after-free", || {
            let byte = black_box(Box::into_raw(Box::new(1_u8)));
            // SAFETY: none: this is the bug, in a process of its own.
            unsafe {
                drop(Box::from_raw(byte));
                assert_eq!(black_box(byte.read()), 1);
            }
        });
    }

    #[test]
    fn a_leak_is_found() {
        is_found("address::a_leak_is_found", "detected memory leaks", || {
            let mut body = Body::new();
            body.put(b"key", 0, &[0; 1000]);
            std::mem::forget(black_box(body));
        });
    }
}

#[cfg(sanitizer = "thread")]
mod thread {
    use super::is_found;
    use std::cell::UnsafeCell;
    use std::thread;

    struct Racy(UnsafeCell<u64>);

    // SAFETY: none: this is the bug.
    unsafe impl Sync for Racy {}

    static RACY: Racy = Racy(UnsafeCell::new(0));

    fn add() {
        // SAFETY: none: this is the bug, in a process of its own.
        unsafe { RACY.0.get().write_volatile(RACY.0.get().read_volatile() + 1) }
    }

    #[test]
    fn a_data_race_is_found() {
        is_found("thread::a_data_race_is_found", "data race", || {
            let threads = [thread::spawn(add), thread::spawn(add)];
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }
}
