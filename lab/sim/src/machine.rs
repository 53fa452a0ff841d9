//! A machine in memory: one directory on one disk behind a page cache, flock, the shared page with its futex. It knows what
//! is durable, and what a power cut may leave: synced sectors and names, and any part of the rest.

use dirkv::files::storage::Lock;
use fastrand::Rng;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// The medium writes so many bytes whole or not at all.
pub const SECTOR: usize = 512;
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
    /// The process that calls is stopped for so many nanoseconds; only where a scheduler keeps the time.
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

/// Broken on purpose.
#[derive(Clone, Copy, Default, Debug)]
pub struct Lies {
    /// fdatasync reports success and does nothing.
    pub sync: bool,
    /// fsync of the directory likewise.
    pub dir_sync: bool,
}

/// A change of the directory that isn't durable yet.
#[derive(Clone, Debug)]
pub enum Change {
    Create(String, u64),
    Rename(String, String, u64),
    Remove(String),
}

pub struct Inode {
    /// What a read shows.
    pub cache: Vec<u8>,
    /// What the medium holds.
    pub disk: Vec<u8>,
    /// Sectors of the cache that the kernel will write back.
    pub dirty: BTreeSet<usize>,
    /// The shared page, in place of the cache.
    pub words: Option<Arc<Vec<AtomicU64>>>,
    /// How many write-backs failed; each descriptor is told once of those after its opening.
    pub errors: u64,
    /// flocks: descriptor, process, kind.
    pub locks: Vec<(u64, u64, Lock)>,
}

impl Inode {
    pub fn new(disk: Vec<u8>) -> Inode {
        Inode { cache: disk.clone(), disk, dirty: BTreeSet::new(), words: None, errors: 0, locks: Vec::new() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        match &self.words {
            Some(words) => words.iter().flat_map(|w| w.load(SeqCst).to_ne_bytes()).collect(),
            None => self.cache.clone(),
        }
    }

    pub fn write(&mut self, bytes: &[u8], at: usize) {
        let mut all = self.bytes();
        if all.len() < at + bytes.len() {
            all.resize(at + bytes.len(), 0);
        }
        all[at..at + bytes.len()].copy_from_slice(bytes);
        if let Some(words) = &self.words {
            for (word, bytes) in words.iter().zip(all.chunks_exact(8)) {
                word.store(u64::from_ne_bytes(*bytes.first_chunk().unwrap()), SeqCst);
            }
        }
        self.cache = all;
        if !bytes.is_empty() {
            self.dirty.extend(at / SECTOR..(at + bytes.len()).div_ceil(SECTOR));
        }
    }

    pub fn write_back(&mut self) {
        self.cache = self.bytes();
        self.disk = self.cache.clone();
        // What was marked clean by a failed write-back and never written is no part of the disk: `forget` put it back.
        self.dirty.clear();
    }

    /// Write-back fails: some dirty sectors are marked clean; what they held shows until the cache forgets it.
    fn write_back_fails(&mut self, rng: &mut Rng, lost: &mut BTreeMap<usize, Vec<u8>>) {
        self.errors += 1;
        for sector in std::mem::take(&mut self.dirty) {
            if self.words.is_some() || rng.bool() {
                self.dirty.insert(sector);
                continue;
            }
            let (from, to) = (sector * SECTOR, ((sector + 1) * SECTOR).min(self.cache.len()));
            let mut old = self.disk.get(from..).unwrap_or(&[]).to_vec();
            old.resize(to - from, 0);
            if rng.bool() {
                self.cache[from..to].copy_from_slice(&old);
            } else {
                lost.insert(sector, old);
            }
        }
    }
}

pub struct Inner {
    pub rng: Rng,
    pub inodes: BTreeMap<u64, Inode>,
    /// Sectors that were marked clean though they never reached the disk: inode, sector, what the disk holds.
    pub lost: BTreeMap<u64, BTreeMap<usize, Vec<u8>>>,
    pub names: BTreeMap<String, u64>,
    pub durable: BTreeMap<String, u64>,
    pub pending: Vec<Change>,
    pub plans: Vec<Plan>,
    /// How many calls are held up.
    pub held: u64,
    pub next: u64,
    /// Processes that are stopped, and until when.
    pub stopped: BTreeMap<u64, u64>,
    /// Processes that were killed.
    pub dead: BTreeSet<u64>,
    /// What the power cut left.
    pub left: Option<Disk>,
}

/// What survives without power.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    names: BTreeMap<String, u64>,
    inodes: BTreeMap<u64, Vec<u8>>,
}

pub struct Machine {
    inner: Mutex<Inner>,
    pub woken: Condvar,
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
            lost: BTreeMap::new(),
            durable: disk.names.clone(),
            names: disk.names,
            pending: Vec::new(),
            plans: Vec::new(),
            held: 0,
            next,
            stopped: BTreeMap::new(),
            dead: BTreeSet::new(),
            left: None,
        };
        Arc::new(Machine {
            inner: Mutex::new(inner),
            woken: Condvar::new(),
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
        inner.remains_of_all()
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
                self.stopped.insert(who, now + time);
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
        let Inner { rng, inodes, lost, .. } = self;
        if let Some(file) = inodes.get_mut(&inode) {
            file.write_back_fails(rng, lost.entry(inode).or_default());
        }
    }

    /// Sectors written to anew are the kernel's business again.
    pub fn wrote(&mut self, inode: u64, from: usize, to: usize) {
        if let Some(lost) = self.lost.get_mut(&inode).filter(|_| from < to) {
            lost.retain(|sector, _| (sector + 1) * SECTOR <= from || sector * SECTOR >= to);
        }
    }

    pub fn sync(&mut self, inode: u64) {
        let Inner { inodes, lost, .. } = self;
        let Some(file) = inodes.get_mut(&inode) else { return };
        file.write_back();
        for (sector, old) in lost.get(&inode).into_iter().flatten() {
            file.disk[sector * SECTOR..sector * SECTOR + old.len()].copy_from_slice(old);
        }
    }

    pub fn sync_directory(&mut self) {
        self.pending.clear();
        self.durable = self.names.clone();
    }

    fn cut(&mut self) {
        if self.left.is_none() {
            self.left = Some(self.remains_of_all());
        }
    }

    fn remains_of_all(&mut self) -> Disk {
        let mut names = self.durable.clone();
        // Often the journal is in order; some filesystems write names in any.
        let (whole, any) = (self.rng.usize(..=self.pending.len()), self.rng.u8(..3) == 0);
        for (i, change) in self.pending.clone().into_iter().enumerate() {
            if if any { self.rng.bool() } else { i < whole } {
                apply(&mut names, change);
            }
        }
        let odds = [0, 10, 50, 90, 100][self.rng.usize(..5)];
        let mut disk = Disk::default();
        for &number in names.values() {
            disk.inodes.insert(number, self.remains(number, odds));
        }
        disk.names = names;
        disk
    }

    /// A file's bytes after the cut: each sector that wasn't synced is there in `odds` of 100 cases.
    fn remains(&mut self, number: u64, odds: u8) -> Vec<u8> {
        let Inner { inodes, lost, rng, .. } = self;
        let file = &inodes[&number];
        let (cache, mut disk) = (file.bytes(), file.disk.clone());
        if file.words.is_some() {
            return if rng.bool() { cache } else { disk };
        }
        // The size is data of its own: it may be there before the sectors are, or be late.
        if cache.len() > disk.len() && rng.bool() {
            disk.resize(cache.len(), 0);
        }
        let lost = lost.get(&number);
        for &sector in file.dirty.iter().filter(|s| lost.is_none_or(|lost| !lost.contains_key(s))) {
            let (from, to) = (sector * SECTOR, ((sector + 1) * SECTOR).min(cache.len()));
            if rng.u8(..100) < odds && to <= disk.len() {
                disk[from..to].copy_from_slice(&cache[from..to]);
            }
        }
        disk
    }
}

pub fn apply(names: &mut BTreeMap<String, u64>, change: Change) {
    match change {
        Change::Create(name, inode) => drop(names.insert(name, inode)),
        Change::Rename(from, to, inode) => {
            if names.get(&from) == Some(&inode) {
                names.remove(&from);
            }
            names.insert(to, inode);
        }
        Change::Remove(name) => drop(names.remove(&name)),
    }
}
