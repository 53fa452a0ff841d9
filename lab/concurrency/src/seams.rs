//! The seams of the simulated machine, whose calls are steps of the scheduler, with two differences. A sync may take long. And
//! who sleeps on a word of the shared page wakes when it is woken, not when the word changes: a wake-up that nobody gives is
//! missed as on the real machine.

use crate::turns::turns;
use dirkv::files::storage::{Access, Blocks, Directory, File, Identity, Lock, SharedPage};
use dirkv::{Backend, Result};
use dirkv_sim::machine::Machine;
use dirkv_sim::process::{Process, SimClock, SimDirectory};
use dirkv_sim::world::params;
use std::any::Any;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long a sync takes beside its steps: longer than a claim to sync lasts, now and then, so that another thread syncs meanwhile.
const SYNC_TIMES: [u64; 4] = [0, 0, 3_000_000, 40_000_000];

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What a new process of the machine sees of the store.
pub fn directory(machine: &Arc<Machine>) -> Arc<dyn Directory> {
    Arc::new(Stepwise(Arc::new(SimDirectory(Process::start(machine)))))
}

/// Opens the store as a new process of the machine.
pub fn open(machine: &Arc<Machine>, settings: &[(&str, &str)]) -> Result<Arc<Backend>> {
    let mut all = vec![("lock_timeout", "1s")];
    all.extend(settings);
    Backend::open_in(&params(&all), directory(machine), Arc::new(SimClock)).map(Arc::new)
}

#[derive(Debug)]
struct Stepwise<T: ?Sized>(Arc<T>);

impl Directory for Stepwise<SimDirectory> {
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(Stepwise(self.0.open(name, access)?)))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }
    fn names(&self) -> io::Result<Vec<String>> {
        self.0.names()
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
    fn identity(&self, name: &str) -> io::Result<Identity> {
        self.0.identity(name)
    }
    fn map(&self, file: &Arc<dyn File>, writable: bool) -> io::Result<Arc<dyn SharedPage>> {
        let any: &dyn Any = &**file;
        let file = any.downcast_ref::<Stepwise<dyn File>>().expect("a file of this directory");
        Ok(Arc::new(Stepwise(self.0.map(&file.0, writable)?)))
    }
    fn random(&self) -> io::Result<u64> {
        self.0.random()
    }
    fn path(&self) -> String {
        self.0.path()
    }
}

impl File for Stepwise<dyn File> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(buf, offset)
    }
    /// Others may go on while it takes its time, and between its end and whatever the caller does then.
    fn sync_data(&self) -> io::Result<()> {
        let done = self.0.sync_data();
        let turns = turns();
        turns.sleep(SYNC_TIMES[turns.random(SYNC_TIMES.len())]);
        done
    }
    fn allocate(&self, len: u64, blocks: Blocks) -> io::Result<()> {
        self.0.allocate(len, blocks)
    }
    fn identity(&self) -> io::Result<Identity> {
        self.0.identity()
    }
    fn try_lock(&self, lock: Lock) -> io::Result<bool> {
        self.0.try_lock(lock)
    }
    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }
}

impl SharedPage for Stepwise<dyn SharedPage> {
    fn load(&self, word: usize) -> u64 {
        self.0.load(word)
    }
    fn store(&self, word: usize, value: u64) {
        self.0.store(word, value);
    }
    fn compare_exchange(&self, word: usize, current: u64, new: u64) -> std::result::Result<u64, u64> {
        self.0.compare_exchange(word, current, new)
    }
    fn fetch_or(&self, word: usize, bits: u64) -> u64 {
        self.0.fetch_or(word, bits)
    }
    fn fetch_add(&self, word: usize, amount: u64) -> u64 {
        self.0.fetch_add(word, amount)
    }
    fn wait(&self, word: usize, expected: u32, timeout: Duration) {
        let turns = turns();
        // Between this look and the sleep there is no step, as with a futex.
        if self.0.load(word) & 0xffff_ffff != u64::from(expected) {
            return;
        }
        turns.sleep_on(word, nanos(timeout));
    }
    fn wake_all(&self, word: usize) -> bool {
        self.0.wake_all(word);
        turns().wake(word)
    }
    fn make_writable(&self) -> io::Result<()> {
        self.0.make_writable()
    }
}
