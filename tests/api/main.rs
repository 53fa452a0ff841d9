//! Every call of the public Rust API, with each of its errors.

mod batches;
mod expiry;
mod handle;
mod large_values;
mod listings;
mod locks;
mod names;
mod segments;
mod upkeep;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use dirkv::backend::Params;
use dirkv::{Backend, Code, Result};
use tempfile::TempDir;

/// A store that vanishes with the test, and a clock that the test moves.
struct Store {
    backend: Backend,
    clock: Arc<AtomicI64>,
    dir: TempDir,
}

impl Store {
    fn new() -> Store {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(1_000));
        let backend = Backend::open(&params(&dir, &clock)).unwrap();
        Store { backend, clock, dir }
    }

    /// Another handle of the same store, with the same clock.
    fn second(&self) -> Backend {
        Backend::open(&params(&self.dir, &self.clock)).unwrap()
    }

    fn set_clock(&self, now: i64) {
        self.clock.store(now, Ordering::SeqCst);
    }
}

impl std::ops::Deref for Store {
    type Target = Backend;
    fn deref(&self) -> &Backend {
        &self.backend
    }
}

fn params(dir: &TempDir, clock: &Arc<AtomicI64>) -> Params {
    let mut params = Params::new();
    params.set("path", dir.path().to_str().unwrap()).unwrap();
    let clock = clock.clone();
    params.set_clock(Arc::new(move || clock.load(Ordering::SeqCst)));
    params
}

/// A store with the system's clock.
fn plain() -> (Backend, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Backend::open_path(dir.path()).unwrap(), dir)
}

/// The code of what must be an error; its message names something of `about`.
#[track_caller]
fn fails<T: std::fmt::Debug>(result: Result<T>, code: Code, about: &str) {
    let error = result.expect_err("must fail");
    assert_eq!(error.code, code, "{error}");
    assert!(error.message.contains(about), "{:?} doesn't name {about:?}", error.message);
}
