//! A process of the simulated machine: its directory, its descriptors, its map of the shared page. It can be killed at any
//! call; then its next step unwinds its thread, and nothing that it does on the way out reaches anybody.

pub use crate::clock::SimClock;
use crate::contents::Contents;
use crate::machine::{Call, Change, Inner, Inode, Machine, apply};
use dirkv::files::storage::{Access, Blocks, Directory, File, Identity, Lock, SharedPage};
use dirkv::latch;
use parking_lot::MutexGuard;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// What unwinds the threads of a killed process.
pub struct Killed;

/// One process.
#[derive(Debug)]
pub struct Process {
    machine: Arc<Machine>,
    number: u64,
    /// Its threads are gone: what is left of it in the test may be dropped.
    gone: AtomicBool,
}

impl Process {
    pub fn start(machine: &Arc<Machine>) -> Arc<Process> {
        let number = machine.lock().take_number();
        Arc::new(Process { machine: machine.clone(), number, gone: AtomicBool::new(false) })
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.machine.lock().kill(self.number);
        self.machine.woken.notify_all();
    }

    /// SIGCONT, where no scheduler keeps the time.
    pub fn resume(&self) {
        self.machine.lock().stopped.remove(&self.number);
        self.machine.woken.notify_all();
    }

    pub fn is_dead(&self) -> bool {
        self.machine.lock().is_dead(self.number)
    }

    /// Until when it is stopped.
    pub fn stopped(&self) -> u64 {
        self.machine.lock().stopped.get(&self.number).copied().unwrap_or(0)
    }

    /// After its threads unwound.
    pub fn is_gone(&self) {
        self.gone.store(true, SeqCst);
    }

    fn call(&self, call: Call, name: &str) -> io::Result<MutexGuard<'_, Inner>> {
        let scheduler = latch::scheduler();
        if let Some(scheduler) = &scheduler {
            scheduler.step();
        }
        let mut inner = self.machine.lock();
        inner.patience = inner.patience.saturating_sub(1);
        if inner.patience == 0 && !std::thread::panicking() {
            drop(inner);
            panic!("it hangs: call after call, and no answer");
        }
        if !inner.is_dead(self.number)
            && let Err(e) = inner.due(call, name, self.number)
        {
            while inner.held > 0 {
                self.machine.woken.wait(&mut inner);
            }
            return Err(e);
        }
        if self.machine.says && call != Call::Page {
            eprintln!("process {}: {call:?} {name}", self.number);
        }
        inner = self.while_stopped(inner);
        if inner.is_dead(self.number) {
            self.machine.woken.notify_all();
            drop(inner);
            if !self.gone.load(SeqCst) && !std::thread::panicking() {
                // Never to go on, where others do.
                if let Some(scheduler) = scheduler {
                    scheduler.blocked(None);
                }
                std::panic::resume_unwind(Box::new(Killed));
            }
            return Err(io::Error::other("the process is dead"));
        }
        Ok(inner)
    }

    /// Waits as long as the process is stopped.
    fn while_stopped<'a>(&'a self, mut inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        let Some(until) = inner.stopped.get(&self.number).copied() else { return inner };
        if let Some(scheduler) = latch::scheduler() {
            drop(inner);
            while scheduler.now() < until {
                scheduler.blocked(Some(until));
            }
            return self.machine.lock();
        }
        while inner.stopped.contains_key(&self.number) && !inner.is_dead(self.number) {
            self.machine.woken.wait(&mut inner);
        }
        inner
    }
}

impl Inner {
    pub fn is_dead(&self, who: u64) -> bool {
        self.left.is_some() || self.dead.contains(&who)
    }

    pub fn take_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn number(&self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.names, &change);
        self.pending.push(change);
        self.changed();
    }

    fn identity(&self, number: u64) -> Identity {
        let links = self.names.values().filter(|n| **n == number).count() as u64;
        Identity { device: 1, inode: number, links, len: self.inodes[&number].cache.len() as u64 }
    }
}

/// The store's directory, as a process has it open.
#[derive(Debug)]
pub struct SimDirectory(pub Arc<Process>);

impl Directory for SimDirectory {
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        let mut inner = self.0.call(Call::Open, name)?;
        let number = match (inner.number(name), access) {
            (Ok(_), Access::CreateNew) => return Err(ErrorKind::AlreadyExists.into()),
            (Ok(number), _) => number,
            (Err(_), Access::CreateNew) => {
                let number = inner.take_number();
                inner.inodes.insert(number, Inode::new(Contents::default()));
                inner.change(Change::Create(name.to_owned(), number));
                number
            }
            (Err(e), _) => return Err(e),
        };
        let (id, seen) = (inner.take_number(), inner.inodes[&number].errors);
        let writable = access != Access::Read;
        let file =
            SimFile { process: self.0.clone(), number, id, seen: AtomicU64::new(seen), writable, name: name.into() };
        Ok(Arc::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.0.call(Call::Rename, from)?;
        let number = inner.number(from)?;
        inner.change(Change::Rename(from.to_owned(), to.to_owned(), number));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.0.call(Call::Remove, name)?;
        inner.number(name)?;
        inner.change(Change::Remove(name.to_owned()));
        Ok(())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.call(Call::Names, "")?.names.keys().cloned().collect())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.0.call(Call::SyncDir, "")?;
        if !self.0.machine.lies.dir_sync {
            inner.sync_directory();
        }
        Ok(())
    }

    fn identity(&self, name: &str) -> io::Result<Identity> {
        let inner = self.0.call(Call::Identity, name)?;
        Ok(inner.identity(inner.number(name)?))
    }

    fn map(&self, file: &Arc<dyn File>, _: bool) -> io::Result<Arc<dyn SharedPage>> {
        let any: &dyn std::any::Any = &**file;
        let file = any.downcast_ref::<SimFile>().expect("a file of this machine");
        let mut inner = self.0.call(Call::Map, &file.name)?;
        let inode = inner.inodes.get_mut(&file.number).expect("an open file");
        let words = inode.words.get_or_insert_with(|| {
            let bytes = inode.cache.bytes();
            let words = bytes.chunks_exact(8).map(|b| u64::from_ne_bytes(*b.first_chunk().unwrap()));
            Arc::new(words.map(AtomicU64::new).collect())
        });
        Ok(Arc::new(SimPage { process: self.0.clone(), words: words.clone() }))
    }

    fn random(&self) -> io::Result<u64> {
        Ok(self.0.call(Call::Random, "")?.rng.u64(..))
    }

    fn path(&self) -> String {
        "(a simulated disk)".to_owned()
    }
}

/// A descriptor.
#[derive(Debug)]
pub struct SimFile {
    process: Arc<Process>,
    number: u64,
    id: u64,
    /// The failed write-backs that this descriptor was told of.
    seen: AtomicU64,
    writable: bool,
    name: Box<str>,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut inner = self.process.machine.lock();
        if let Some(inode) = inner.inodes.get_mut(&self.number) {
            inode.locks.retain(|lock| lock.0 != self.id);
        }
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.process.call(Call::Read, &self.name)?;
        let inode = inner.inodes.get_mut(&self.number).expect("an open file");
        inode.take_words();
        Ok(inode.cache.read(buf, usize::try_from(offset).unwrap()))
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        if !self.writable {
            return Err(io::Error::from_raw_os_error(9));
        }
        // Whoever is killed in the middle leaves a part.
        let part = match latch::scheduler() {
            Some(_) => self.process.machine.lock().rng.usize(..4 * buf.len().max(1)),
            None => 0,
        };
        if (1..buf.len()).contains(&part) {
            self.write_at(&buf[..part], offset)?;
            return self.write_at(&buf[part..], offset + part as u64);
        }
        let at = usize::try_from(offset).unwrap();
        let failed = match self.process.call(Call::Write, &self.name) {
            Err(e) if self.process.is_dead() => return Err(e),
            Err(e) => Some(e),
            Ok(inner) => {
                drop(inner);
                None
            }
        };
        let mut inner = self.process.machine.lock();
        // A refused write may leave nothing, a part, or all of it in the cache.
        let some = [0, inner.rng.usize(..=buf.len()), buf.len()][inner.rng.usize(..3)];
        let len = if failed.is_some() { some } else { buf.len() };
        inner.inodes.get_mut(&self.number).expect("an open file").write(&buf[..len], at);
        inner.changed();
        failed.map_or(Ok(()), Err)
    }

    fn sync_data(&self) -> io::Result<()> {
        let failed = match self.process.call(Call::SyncData, &self.name) {
            Err(e) if self.process.is_dead() => return Err(e),
            Err(e) => Some(e),
            Ok(inner) => {
                drop(inner);
                None
            }
        };
        let mut inner = self.process.machine.lock();
        if failed.is_some() {
            inner.fail_write_back(self.number);
        } else if !self.process.machine.lies.sync {
            inner.sync(self.number);
        }
        let errors = inner.inodes[&self.number].errors;
        let time = inner.rng.u64(..300);
        drop(inner);
        // It covers what was there when it began, and takes a while.
        if let Some(scheduler) = latch::scheduler() {
            (0..time / 16).for_each(|_| scheduler.step());
        } else if self.process.machine.slow.load(SeqCst) {
            std::thread::sleep(Duration::from_micros(time));
        }
        match failed {
            _ if self.seen.swap(errors, SeqCst) == errors => Ok(()),
            Some(e) => Err(e),
            None => Err(io::Error::from_raw_os_error(crate::machine::EIO)),
        }
    }

    fn allocate(&self, len: u64, _: Blocks) -> io::Result<()> {
        let mut inner = self.process.call(Call::Allocate, &self.name)?;
        let inode = inner.inodes.get_mut(&self.number).expect("an open file");
        inode.allocate(usize::try_from(len).unwrap());
        inner.changed();
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(self.process.call(Call::Identity, &self.name)?.identity(self.number))
    }

    fn try_lock(&self, lock: Lock) -> io::Result<bool> {
        let mut inner = self.process.call(Call::Lock, &self.name)?;
        let locks = &mut inner.inodes.get_mut(&self.number).expect("an open file").locks;
        let free = locks.iter().all(|l| l.0 == self.id || (l.2 == Lock::Shared && lock == Lock::Shared));
        if free {
            locks.retain(|l| l.0 != self.id);
            locks.push((self.id, self.process.number, lock));
        }
        Ok(free)
    }

    fn unlock(&self) -> io::Result<()> {
        let mut inner = self.process.call(Call::Unlock, &self.name)?;
        inner.inodes.get_mut(&self.number).expect("an open file").locks.retain(|l| l.0 != self.id);
        Ok(())
    }
}

/// The shared page as one process maps it.
#[derive(Debug)]
pub struct SimPage {
    process: Arc<Process>,
    words: Arc<Vec<AtomicU64>>,
}

impl SimPage {
    fn live<R>(&self, dead: R, f: impl FnOnce(&[AtomicU64]) -> R) -> R {
        match self.process.call(Call::Page, "SHARED") {
            Ok(_inner) => f(&self.words),
            Err(_) => dead,
        }
    }
}

impl SharedPage for SimPage {
    fn load(&self, word: usize) -> u64 {
        self.live(0, |words| words[word].load(SeqCst))
    }
    fn store(&self, word: usize, value: u64) {
        self.live((), |words| words[word].store(value, SeqCst));
    }
    fn compare_exchange(&self, word: usize, current: u64, new: u64) -> Result<u64, u64> {
        self.live(Ok(current), |words| words[word].compare_exchange(current, new, SeqCst, SeqCst))
    }
    fn fetch_or(&self, word: usize, bits: u64) -> u64 {
        self.live(0, |words| words[word].fetch_or(bits, SeqCst))
    }
    fn fetch_add(&self, word: usize, amount: u64) -> u64 {
        self.live(0, |words| words[word].fetch_add(amount, SeqCst))
    }
    fn wait(&self, word: usize, expected: u32, timeout: Duration) {
        let is_so = || self.words[word].load(SeqCst) & 0xffff_ffff == u64::from(expected);
        let Ok(mut inner) = self.process.call(Call::Page, "SHARED") else { return };
        let sleepers = &self.process.machine.sleepers[word];
        sleepers.fetch_add(1, SeqCst);
        match latch::scheduler() {
            Some(scheduler) => {
                drop(inner);
                let until = scheduler.now().saturating_add(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
                while is_so() && scheduler.now() < until {
                    scheduler.blocked(Some(until));
                }
            }
            None if is_so() => drop(self.process.machine.woken.wait_for(&mut inner, timeout)),
            None => (),
        }
        sleepers.fetch_sub(1, SeqCst);
    }
    fn wake_all(&self, word: usize) -> bool {
        self.live(false, |_| {
            self.process.machine.woken.notify_all();
            self.process.machine.sleepers[word].load(SeqCst) > 0
        })
    }
}
