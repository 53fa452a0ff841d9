//! A machine in memory: one directory on one disk behind a page cache, flock, the shared page with its futex.
//!
//! The disk, as far as the engine may rely on it; whatever isn't promised here is taken away by some cut:
//!
//! - A sector of 512 bytes is written whole or not at all. Sectors reach the medium in any order, whenever the kernel likes, and
//!   only a successful fdatasync says that all have. Until then a cut leaves of each sector what was synced last, or
//!   anything that it has held since (the newest six), whatever becomes of the others.
//! - A file's size is a thing of its own: it may be there before the bytes are, which then are zeros, or be late. What lies
//!   behind it doesn't show. fdatasync covers it.
//! - fdatasync covers no name. Names that were made, renamed and removed are durable once the directory was synced;
//!   until then a cut leaves any of these changes and not the others, in their order. A rename is one change: its
//!   target is the old file or the new one. It may be durable before the bytes of the file are. An unlinked
//!   file comes back as it was.
//! - After a fdatasync that failed some of the dirty sectors count as clean: the kernel will never write them again, the medium
//!   has them or has not, a read shows them or what the medium holds. Each descriptor open at that moment is told once.
//! - A write that failed left a part of its bytes in the cache, or none, or all.
//! - The shared page is a file like others: a cut leaves it as it was at some moment since its last sync.
//!
//! Assumed, as docs/durability.md says: what is synced stays; blocks never written read as zeros; inode numbers survive.

use crate::contents::Contents;
pub use crate::contents::SECTOR;
pub use crate::cut::{Change, Disk, Moment, apply};
use crate::medium::Medium;
use dirkv::files::storage::Lock;
use dirkv::format::shared;
use fastrand::Rng;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};

pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;

/// What a process asks of the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Open,
    Rename,
    Remove,
    Names,
    SyncDir,
    Identity,
    Map,
    Read,
    Write,
    SyncData,
    Allocate,
    Lock,
    Unlock,
    Random,
    /// A look at, or a change of, the shared page.
    Page,
}

/// What happens instead of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Fail(i32),
    /// It waits until [`Machine::release`], then fails.
    HoldAndFail(i32),
    /// The process that calls is killed before the call.
    Kill,
    /// The process that calls is stopped for so many nanoseconds; where no scheduler keeps the time, until it is resumed.
    Stop(u64),
    /// The kernel writes back what is dirty of the log, or fails to.
    WriteBack(bool),
    /// The power is cut before the call.
    Cut,
}

/// Whether it may happen to a call on the file of a name.
pub type Matches = Box<dyn FnMut(Call, &str) -> bool + Send>;

/// Which calls it happens to.
pub struct Plan {
    pub matches: Matches,
    pub skip: u64,
    pub times: u64,
    pub action: Action,
}

impl Plan {
    /// Every call but looks at the shared page, which can't fail.
    pub fn nth(skip: u64, action: Action) -> Plan {
        Plan { matches: Box::new(|call, _| call != Call::Page), skip, times: 1, action }
    }

    fn happens(&mut self, call: Call, name: &str) -> Option<Action> {
        if self.times == 0 || !(self.matches)(call, name) {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.times -= 1;
        Some(self.action)
    }

    /// The next `times` calls of one kind on files whose names begin so.
    pub fn next(call: Call, name: &'static str, times: u64, action: Action) -> Plan {
        Plan { matches: Box::new(move |c, n| c == call && n.starts_with(name)), skip: 0, times, action }
    }
}

/// A plan that has happened, to a call of process `who`.
#[derive(Clone, Debug)]
pub struct Incident {
    pub who: u64,
    pub call: Call,
    pub name: String,
    pub action: Action,
}

/// Broken on purpose.
#[derive(Clone, Copy, Default, Debug)]
pub struct Lies {
    /// fdatasync reports success and does nothing.
    pub sync: bool,
    /// fsync of the directory likewise.
    pub dir_sync: bool,
}

pub struct Inode {
    /// What a read shows.
    pub cache: Contents,
    /// What the medium holds, and what the kernel has yet to write to it.
    pub medium: Medium,
    /// The shared page, in place of the cache.
    pub words: Option<Arc<Vec<AtomicU64>>>,
    /// How many write-backs failed; each descriptor is told once of those after its opening.
    pub errors: u64,
    /// flocks: descriptor, process, kind.
    pub locks: Vec<(u64, u64, Lock)>,
}

impl Inode {
    pub fn new(synced: Contents) -> Inode {
        let medium = Medium::new(synced.clone());
        Inode { cache: synced, medium, words: None, errors: 0, locks: Vec::new() }
    }

    pub fn write(&mut self, bytes: &[u8], at: usize) {
        for number in self.cache.write(bytes, at) {
            self.medium.wrote(number, self.cache.sector(number));
        }
        self.medium.grew(self.cache.len());
    }

    pub fn allocate(&mut self, len: usize) {
        self.cache.resize(len.max(self.cache.len()));
        self.medium.grew(self.cache.len());
    }

    /// Takes the words of the shared page into the cache.
    pub fn take_words(&mut self) {
        let Some(words) = self.words.clone() else { return };
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.load(SeqCst).to_ne_bytes()).collect();
        for (number, bytes) in bytes.chunks(SECTOR).enumerate() {
            let mut old = [0; SECTOR];
            self.cache.read(&mut old, number * SECTOR);
            if old != bytes {
                self.write(bytes, number * SECTOR);
            }
        }
    }

    fn sync(&mut self) {
        self.take_words();
        self.medium.sync();
    }
}

/// What is recorded: each moment at which a cut may leave something new.
#[derive(Default)]
struct Record {
    tag: usize,
    /// Not before the first plan has happened.
    later: bool,
    moments: Vec<Moment>,
}

pub struct Inner {
    pub rng: Rng,
    pub inodes: BTreeMap<u64, Inode>,
    pub names: BTreeMap<String, u64>,
    pub durable: BTreeMap<String, u64>,
    pub pending: Vec<Change>,
    pub plans: Vec<Plan>,
    /// What was planned and has happened.
    pub incidents: Vec<Incident>,
    /// How many calls are held up.
    pub held: u64,
    pub next: u64,
    /// Processes that are stopped, and until when.
    pub stopped: BTreeMap<u64, u64>,
    /// Processes that were killed.
    pub dead: BTreeSet<u64>,
    /// What the power cut left.
    pub left: Option<Disk>,
    /// So many calls may be made yet, looks at the shared page included; one more, and something hangs.
    pub patience: u64,
    record: Option<Record>,
}

pub struct Machine {
    inner: Mutex<Inner>,
    pub woken: Condvar,
    /// How many sleep on each word of the shared page.
    pub sleepers: Vec<AtomicUsize>,
    pub lies: Lies,
    /// fdatasync takes a while, and covers what was there when it began.
    pub slow: AtomicBool,
    /// Each call is printed: the environment has `DIRKV_SAY`.
    pub says: bool,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Machine")
    }
}

impl Machine {
    pub fn boot(disk: Disk, seed: u64, lies: Lies) -> Arc<Machine> {
        let next = disk.inodes.keys().max().map_or(1, |n| n + 1);
        let inner = Inner {
            rng: Rng::with_seed(seed),
            inodes: disk.inodes.into_iter().map(|(n, bytes)| (n, Inode::new(bytes))).collect(),
            durable: disk.names.clone(),
            names: disk.names,
            pending: Vec::new(),
            plans: Vec::new(),
            incidents: Vec::new(),
            held: 0,
            next,
            stopped: BTreeMap::new(),
            dead: BTreeSet::new(),
            left: None,
            patience: u64::MAX,
            record: None,
        };
        Arc::new(Machine {
            inner: Mutex::new(inner),
            woken: Condvar::new(),
            sleepers: (0..shared::LEN / 8).map(|_| AtomicUsize::new(0)).collect(),
            lies,
            slow: AtomicBool::new(false),
            says: std::env::var_os("DIRKV_SAY").is_some(),
        })
    }

    pub fn new(seed: u64) -> Arc<Machine> {
        Machine::boot(Disk::default(), seed, Lies::default())
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }
    pub fn plan(&self, plan: Plan) {
        self.lock().plans = vec![plan];
    }
    pub fn also_plan(&self, plan: Plan) {
        self.lock().plans.push(plan);
    }
    pub fn no_plan(&self) {
        self.lock().plans.clear();
    }
    /// How many calls wait for [`Machine::release`].
    pub fn held(&self) -> u64 {
        self.lock().held
    }
    /// Lets the calls go on that are held up.
    pub fn release(&self) {
        self.lock().held = 0;
        self.woken.notify_all();
    }
    /// Whether the plan has happened in full.
    pub fn plan_is_over(&self) -> bool {
        self.lock().plans.iter().all(|plan| plan.times == 0)
    }
    /// Pulls the plug.
    pub fn cut(&self) -> Disk {
        let mut inner = self.lock();
        inner.cut();
        self.woken.notify_all();
        inner.left.clone().unwrap()
    }
    /// What a cut would leave now; the machine goes on.
    pub fn clone_disk(&self, seed: u64) -> Disk {
        let mut inner = self.lock();
        inner.rng = Rng::with_seed(seed);
        inner.remains()
    }
    /// From now on (`later`: once the first plan has happened) each moment is recorded.
    pub fn record(&self, later: bool) {
        self.lock().record = Some(Record { later, ..Record::default() });
    }
    /// This is a moment to be recorded, and so are those that follow, with this tag.
    pub fn note(&self, tag: usize) {
        let mut inner = self.lock();
        if let Some(record) = &mut inner.record {
            record.tag = tag;
        }
        inner.changed();
    }
    /// The moments that follow have this tag.
    pub fn tag(&self, tag: usize) {
        if let Some(record) = &mut self.lock().record {
            record.tag = tag;
        }
    }
    /// Ends the record.
    pub fn recorded(&self) -> Vec<Moment> {
        self.lock().record.take().map_or_else(Vec::new, |record| record.moments)
    }
    pub fn is_off(&self) -> bool {
        self.lock().left.is_some()
    }
    /// The kernel writes back what is dirty, and tells nobody.
    pub fn write_back(&self) {
        let mut inner = self.lock();
        let all: Vec<u64> = inner.inodes.keys().copied().collect();
        all.into_iter().for_each(|inode| inner.sync(inode));
    }

    /// The names in the directory.
    pub fn names(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }
}

impl Inner {
    /// What becomes of this call of process `who`: it goes on, or fails.
    pub fn due(&mut self, call: Call, name: &str, who: u64) -> io::Result<()> {
        let Some(action) = self.plans.iter_mut().find_map(|plan| plan.happens(call, name)) else { return Ok(()) };
        self.incidents.push(Incident { who, call, name: name.to_owned(), action });
        match action {
            Action::Fail(errno) => Err(io::Error::from_raw_os_error(errno)),
            Action::HoldAndFail(errno) => {
                self.held += 1;
                Err(io::Error::from_raw_os_error(errno))
            }
            Action::Kill => {
                self.kill(who);
                Ok(())
            }
            Action::Stop(time) => {
                let now = dirkv::latch::scheduler().map_or(0, |scheduler| scheduler.now());
                self.stopped.insert(who, now.saturating_add(time));
                Ok(())
            }
            Action::WriteBack(well) => {
                let log = |(name, inode): (&String, &u64)| name.starts_with("log-").then_some(*inode);
                let log: Vec<u64> = self.names.iter().filter_map(log).collect();
                log.into_iter().for_each(|inode| if well { self.sync(inode) } else { self.fail_write_back(inode) });
                Ok(())
            }
            Action::Cut => {
                self.cut();
                Ok(())
            }
        }
    }

    pub fn kill(&mut self, who: u64) {
        self.dead.insert(who);
        self.inodes.values_mut().for_each(|inode| inode.locks.retain(|lock| lock.1 != who));
    }

    pub fn fail_write_back(&mut self, inode: u64) {
        let Inner { rng, inodes, .. } = self;
        if let Some(file) = inodes.get_mut(&inode) {
            file.errors += 1;
            file.medium.write_back_fails(rng, &mut file.cache);
        }
        self.changed();
    }

    pub fn sync(&mut self, inode: u64) {
        if let Some(file) = self.inodes.get_mut(&inode) {
            file.sync();
        }
        self.changed();
    }

    pub fn sync_directory(&mut self) {
        self.pending.clear();
        self.durable = self.names.clone();
        self.changed();
    }

    /// A cut may leave something now that it would not have left before.
    pub fn changed(&mut self) {
        let Some(record) = &self.record else { return };
        if record.later && self.plans.first().is_some_and(|plan| plan.times > 0) {
            return;
        }
        let tag = record.tag;
        let moment = self.moment(tag);
        if let Some(record) = &mut self.record {
            record.moments.push(moment);
        }
    }

    fn moment(&mut self, tag: usize) -> Moment {
        self.inodes.values_mut().for_each(Inode::take_words);
        let files = self.inodes.iter().map(|(number, inode)| (*number, inode.medium.clone())).collect();
        Moment { durable: self.durable.clone(), pending: self.pending.clone(), files, tag }
    }

    fn cut(&mut self) {
        if self.left.is_none() {
            self.left = Some(self.remains());
        }
    }

    fn remains(&mut self) -> Disk {
        let moment = self.moment(0);
        moment.any(&mut self.rng)
    }
}
