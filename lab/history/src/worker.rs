//! One of the processes: opens the store, and lets its threads ask until the time is over or it is killed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use dirkv::Backend;
use dirkv::backend::Params;
use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::history::{Answer, Ask};
use crate::leases::Leases;
use crate::log::{Log, now, store_clock};
use crate::perform::perform;
use crate::plan::{LOCK_TIMEOUT, Role};
use crate::through_c::Handle;
use crate::values::Values;

/// A thread that has asked so often rests, so that the judge can decide.
const QUOTA: u32 = 220;

/// What a worker is told.
#[derive(Serialize, Deserialize)]
pub struct Task {
    /// The store's directory.
    pub store: PathBuf,
    /// Where its threads write their logs.
    pub logs: PathBuf,
    /// Its number.
    pub process: u32,
    /// What kind of process it is.
    pub role: Role,
    /// Whether it uses leases instead of values.
    pub leases: bool,
    /// What its choices are drawn from.
    pub seed: u64,
    /// When it ends, by the common clock.
    pub until: u64,
    /// So many nanoseconds its store's clock is ahead: 0, unless that is what is planted.
    pub ahead: i64,
}

/// Segments as small as they may be, so that rolls, flushes and merges come often.
const SETTINGS: [(&str, &str); 2] = [("segment_size", "64KiB"), ("lock_timeout", LOCK_TIMEOUT)];

/// Parameters of the store. Things expire by the clock of the history, so that a step of the system's clock is no error of
/// the store.
pub fn params(path: &Path, settings: &[(&str, &str)], ahead: i64) -> dirkv::Result<Params> {
    let mut params = Params::new();
    params.set_path(path)?;
    params.set_clock(Arc::new(move || store_clock(ahead)));
    SETTINGS.iter().chain(settings).try_for_each(|(name, value)| params.set(name, value))?;
    Ok(params)
}

/// An open store, as a thread asks it.
#[derive(Clone)]
enum Store {
    Rust(Arc<Backend>),
    C(Arc<Handle>),
}

impl Store {
    /// Opens it; tries again where the system refuses something, until the time is over.
    fn open(task: &Task) -> Result<Option<Store>> {
        let Role { background, read_only, through_c, .. } = task.role;
        let settings = [
            ("background", if background { "on" } else { "off" }),
            ("read_only", if read_only { "true" } else { "false" }),
        ];
        if through_c {
            let settings = [SETTINGS, settings].concat();
            let opened = again(task, || Handle::open(&task.store, &settings, task.ahead))?;
            return Ok(opened.map(|handle| Store::C(Arc::new(handle))));
        }
        let opened = again(task, || {
            let opened = params(&task.store, &settings, task.ahead).and_then(|params| Backend::open(&params));
            opened.map_err(|e| (e.code.name().to_owned(), e.message))
        })?;
        Ok(opened.map(|store| Store::Rust(Arc::new(store))))
    }

    fn perform(&self, ask: &Ask) -> Answer {
        match self {
            Store::Rust(store) => perform(store, ask),
            Store::C(handle) => handle.perform(ask),
        }
    }

    /// Where the system refuses something this may fail, and that is an answer to nobody.
    fn compact(&self) {
        match self {
            Store::Rust(store) => drop(store.compact()),
            Store::C(handle) => handle.compact(),
        }
    }

    /// The same.
    fn sync(&self) {
        match self {
            Store::Rust(store) => drop(store.sync()),
            Store::C(handle) => handle.sync(),
        }
    }
}

/// What an open gives once the system refuses it nothing; `None` once the time is over.
fn again<T>(task: &Task, open: impl Fn() -> std::result::Result<T, (String, String)>) -> Result<Option<T>> {
    while now() < task.until {
        match open() {
            Ok(store) => return Ok(Some(store)),
            Err((code, _)) if matches!(&*code, "IO" | "NO_SPACE" | "TIMEOUT") => {
                thread::sleep(Duration::from_millis(1));
            }
            Err((code, message)) => return Err(format!("{code}: {message}").into()),
        }
    }
    Ok(None)
}

/// Does what the task says.
pub fn work(task: &Task) -> Result<()> {
    let shared = if task.role.own_handles { None } else { Store::open(task)? };
    if shared.is_none() && !task.role.own_handles {
        return Ok(());
    }
    thread::scope(|scope| {
        let start = |n| {
            let shared = shared.clone();
            // An error as text: it has to leave the thread.
            scope.spawn(move || asks(task, n, shared).map_err(|e| e.to_string()))
        };
        let threads: Vec<_> = (0..task.role.threads).map(start).collect();
        let ends =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".to_owned())));
        Ok(ends.collect::<std::result::Result<(), String>>()?)
    })
}

enum Questions {
    Values(Values),
    Leases(Leases),
}

impl Questions {
    fn next(&mut self, rng: &mut Rng) -> Ask {
        match self {
            Questions::Values(values) => values.next(rng),
            Questions::Leases(leases) => leases.next(rng),
        }
    }

    fn hear(&mut self, ask: &Ask, answer: &Answer) {
        match self {
            Questions::Values(values) => values.hear(ask, answer),
            Questions::Leases(leases) => leases.hear(ask, answer),
        }
    }
}

/// One thread.
fn asks(task: &Task, thread: u32, shared: Option<Store>) -> Result<()> {
    let mut log = Log::create(&task.logs, task.process, thread)?;
    let mut rng = Rng::with_seed(task.seed.wrapping_add(u64::from(thread)));
    let mut questions = match task.leases {
        true => Questions::Leases(Leases::default()),
        false => Questions::Values(Values::new(task.process, thread, task.role.read_only)),
    };
    let opened = if shared.is_some() { shared } else { Store::open(task)? };
    let Some(mut store) = opened else { return Ok(()) };
    for _ in 0..QUOTA {
        if now() >= task.until {
            break;
        }
        let ask = questions.next(&mut rng);
        let answer = log.around(&ask, || store.perform(&ask))?;
        questions.hear(&ask, &answer);
        if rng.u32(..100) < 40 {
            thread::sleep(Duration::from_micros(rng.u64(..5_000)));
        }
        match rng.u32(..150) {
            0 if !task.role.background => store.compact(),
            1 => store.sync(),
            2..4 if task.role.own_handles => {
                drop(store);
                let Some(opened) = Store::open(task)? else { break };
                store = opened;
            }
            _ => (),
        }
    }
    Ok(())
}
