//! The one boundary between C and Rust: each export's body is a call of [`boundary`] or [`boundary_or`]. Panics end
//! here, silently: they become `DIRKV_INTERNAL` with the message, and nothing is printed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::error::dirkv_error;
use super::status::{DIRKV_OK, dirkv_status};
use crate::error::{Code, Error, Result};

/// The names of dirkv's own threads begin so; their panics are not printed either.
const THREAD_PREFIX: &str = "dirkv";

thread_local! {
    /// How many calls of the library are on this thread's stack: more than one means that a callback called dirkv.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Where the panic happened that is being caught.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `body`, catches its panic, and gives its error to the caller as a status and, unless `err` is NULL, an object.
pub(super) fn boundary(err: *mut *mut dirkv_error, body: impl FnOnce() -> Result<()>) -> dirkv_status {
    if !err.is_null() {
        // SAFETY: the caller promises that `err` is NULL or may be written to.
        unsafe { err.write(std::ptr::null_mut()) };
    }
    let Err(error) = guarded(body) else { return DIRKV_OK };
    let status = error.code as dirkv_status;
    if !err.is_null() {
        // SAFETY: as above.
        unsafe { err.write(dirkv_error::into_raw(error)) };
    }
    status
}

/// Runs `body`, which can't fail, and returns `fallback` should it panic all the same.
pub(super) fn boundary_or<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    guarded(|| Ok(body())).unwrap_or(fallback)
}

/// An error if this call was made by one of the callbacks, which are run inside another call.
pub(super) fn refuse_callbacks() -> Result<()> {
    if DEPTH.get() > 1 {
        return Err(Error::new(Code::BadParameter, "a callback must not call dirkv"));
    }
    Ok(())
}

fn guarded<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    // No `Once`: a child that was forked while another thread was at it would wait for that thread for ever.
    static HOOKED: AtomicBool = AtomicBool::new(false);
    // Not while a panic of the program around us unwinds: std allows no change of the hook then.
    if !HOOKED.load(Relaxed) && !std::thread::panicking() && !HOOKED.swap(true, Relaxed) {
        silence_our_panics();
    }
    let _depth = Depth::enter();
    panic::catch_unwind(AssertUnwindSafe(|| {
        #[cfg(feature = "lab")]
        plant();
        body()
    }))
    .unwrap_or_else(|payload| Err(from_panic(payload)))
}

struct Depth;

impl Depth {
    fn enter() -> Depth {
        DEPTH.set(DEPTH.get() + 1);
        Depth
    }
}

impl Drop for Depth {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Puts a hook before the present one, which would print the message: panics inside a call, or on a thread of ours, are
/// told through the error alone. All others (of a Rust program that has this crate in it) go on as before.
fn silence_our_panics() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let inside = DEPTH.try_with(Cell::get).is_ok_and(|depth| depth > 0);
        if inside {
            let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
            // A panic while one is being written down: then the place stays unknown.
            let _ = PLACE.try_with(|cell| cell.try_borrow_mut().map(|mut cell| *cell = place));
        } else if !std::thread::current().name().is_some_and(|name| name.starts_with(THREAD_PREFIX)) {
            previous(info);
        }
    }));
}

fn from_panic(payload: Box<dyn Any + Send>) -> Error {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned());
    // Unknown in a thread that is ending.
    let place = PLACE.try_with(RefCell::take).unwrap_or_default();
    free(payload);
    Error::new(Code::Internal, format!("a bug in dirkv{place}: {text}"))
}

/// Drops what a panic carried. If it is of an unknown type that may panic again; so may what that panic carries, which isn't
/// followed any further.
fn free(mut payload: Box<dyn Any + Send>) {
    for _ in 0..2 {
        match panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(again) => payload = again,
        }
    }
    std::mem::forget(payload);
}

/// In a build with the feature `lab`, which only tests make: panics as long as the environment asks for it.
#[cfg(feature = "lab")]
fn plant() {
    assert!(std::env::var_os("DIRKV_PLANTED_PANIC").is_none(), "planted by a test");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;
    use std::ptr;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn message(err: *mut dirkv_error) -> String {
        // SAFETY: `err` came from `boundary` just now; its message lives as long as it does.
        unsafe {
            let text = CStr::from_ptr(super::super::error::dirkv_error_message(err)).to_string_lossy().into_owned();
            super::super::error::dirkv_error_free(err);
            text
        }
    }

    #[test]
    fn success_clears_the_error() {
        let mut err = ptr::dangling_mut();
        assert_eq!(boundary(&raw mut err, || Ok(())), DIRKV_OK);
        assert!(err.is_null());
    }

    #[test]
    fn an_error_is_a_status_and_an_object() {
        let mut err = ptr::null_mut();
        let status = boundary(&raw mut err, || Err(Error::new(Code::NotFound, "no such key")));
        assert_eq!(status, Code::NotFound as i32);
        assert_eq!(message(err), "no such key");
        assert_eq!(boundary(ptr::null_mut(), || Err(Error::new(Code::Io, ""))), Code::Io as i32);
    }

    #[test]
    fn a_panic_is_internal_and_tells_where() {
        let mut err = ptr::null_mut();
        assert_eq!(boundary(&raw mut err, || panic!("planted {}", 7)), Code::Internal as i32);
        let text = message(err);
        assert!(text.starts_with("a bug in dirkv at src/ffi/boundary.rs:"), "{text}");
        assert!(text.ends_with(": planted 7"), "{text}");
        assert_eq!(boundary(ptr::null_mut(), || panic::panic_any(5_u8)), Code::Internal as i32);
        assert_eq!(boundary_or(5, || panic!("planted")), 5);
        assert_eq!(DEPTH.get(), 0);
    }

    /// What a panic carries.
    struct Payload<'a> {
        dropped: &'a AtomicU32,
        panics: bool,
    }

    impl Drop for Payload<'_> {
        fn drop(&mut self) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            assert!(!self.panics, "planted, while dropped");
        }
    }

    #[test]
    fn what_a_panic_carries_is_freed_even_if_that_panics_again() {
        static DROPPED: AtomicU32 = AtomicU32::new(0);
        for panics in [false, true] {
            let mut err = ptr::null_mut();
            let status = boundary(&raw mut err, || panic::panic_any(Payload { dropped: &DROPPED, panics }));
            assert_eq!(status, Code::Internal as i32);
            let text = message(err);
            assert!(text.ends_with(": a panic without a message"), "{text}");
        }
        assert_eq!(DROPPED.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_call_inside_a_call_is_seen() {
        assert_eq!(boundary(ptr::null_mut(), refuse_callbacks), DIRKV_OK);
        let mut inner = DIRKV_OK;
        let outer = boundary(ptr::null_mut(), || {
            inner = boundary(ptr::null_mut(), refuse_callbacks);
            Ok(())
        });
        assert_eq!((outer, inner), (DIRKV_OK, Code::BadParameter as i32));
    }

    /// Runs itself again as another process, whose output can be looked at.
    #[test]
    fn the_library_prints_nothing() -> std::io::Result<()> {
        const CHILD: &str = "DIRKV_TEST_CHILD";
        if std::env::var_os(CHILD).is_some() {
            let _ = boundary(ptr::null_mut(), || panic!("hushed inside"));
            let ours = std::thread::Builder::new().name("dirkv-test".into()).spawn(|| panic!("hushed thread"))?;
            assert!(ours.join().is_err());
            assert!(std::thread::spawn(|| panic!("foreign")).join().is_err());
            return Ok(());
        }
        let output = std::process::Command::new(std::env::current_exe()?)
            .args(["--exact", "ffi::boundary::tests::the_library_prints_nothing", "--nocapture"])
            .env(CHILD, "1")
            .output()?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("1 passed"), "{text}");
        assert!(!text.contains("hushed"), "{text}");
        assert!(text.contains("foreign"), "the hook before ours must still be called: {text}");
        Ok(())
    }
}
