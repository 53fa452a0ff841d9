//! A directory in memory whose bytes a test may change as it likes: thousands of damaged stores are opened in the time that one
//! takes on a disk. It knows nothing of power cuts or other processes (the simulated machine does); it counts what changes it.

use std::any::Any;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dirkv::files::storage::{Access, Blocks, Directory, File, Identity, Lock, SharedPage};

/// Files by name.
#[derive(Clone, Default, Debug)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Default, Debug)]
struct State {
    names: BTreeMap<String, Arc<Inode>>,
    made: u64,
    changes: u64,
    drawn: u64,
}

#[derive(Debug)]
struct Inode {
    number: u64,
    bytes: Mutex<Vec<u8>>,
}

/// An open file, which is also the shared page if it is mapped.
#[derive(Debug)]
struct Open {
    inode: Arc<Inode>,
    directory: Memory,
}

impl Memory {
    /// An empty one. What is random in a store comes from `seed`, so that a store made alike is alike.
    pub fn seeded(seed: u64) -> Memory {
        let memory = Memory::default();
        memory.0.lock().unwrap().drawn = seed;
        memory
    }

    /// The bytes of every file.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.0
            .lock()
            .unwrap()
            .names
            .iter()
            .map(|(name, inode)| (name.clone(), inode.bytes.lock().unwrap().clone()))
            .collect()
    }

    /// A copy: other files with the same names and bytes.
    pub fn copy(&self) -> Memory {
        let copied = Memory::default();
        for (name, bytes) in self.files() {
            // Never a number that the original gave: `SHARED` knows its own.
            copied.0.lock().unwrap().made += 1000;
            copied.put(&name, bytes);
        }
        copied
    }

    /// The same directory once more, as it is: the files keep their inode numbers.
    pub fn twin(&self) -> Memory {
        let state = self.0.lock().unwrap();
        let inode = |(name, inode): (&String, &Arc<Inode>)| {
            (
                name.clone(),
                Arc::new(Inode { number: inode.number, bytes: Mutex::new(inode.bytes.lock().unwrap().clone()) }),
            )
        };
        let names = state.names.iter().map(inode).collect();
        Memory(Arc::new(Mutex::new(State { names, made: state.made, changes: 0, drawn: state.drawn })))
    }

    /// Replaces the bytes of a file, which stays the same file, or makes it.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let inode = self.inode(name).unwrap_or_else(|| self.make(name));
        *inode.bytes.lock().unwrap() = bytes;
    }

    /// Takes a file away.
    pub fn take(&self, name: &str) {
        self.0.lock().unwrap().names.remove(name).unwrap();
    }

    /// How many calls have changed a file or a name.
    pub fn changes(&self) -> u64 {
        self.0.lock().unwrap().changes
    }

    fn inode(&self, name: &str) -> Option<Arc<Inode>> {
        self.0.lock().unwrap().names.get(name).cloned()
    }

    fn make(&self, name: &str) -> Arc<Inode> {
        let mut state = self.0.lock().unwrap();
        state.made += 1;
        let inode = Arc::new(Inode { number: state.made, bytes: Mutex::default() });
        state.names.insert(name.to_owned(), inode.clone());
        inode
    }

    fn changed(&self) {
        self.0.lock().unwrap().changes += 1;
    }
}

impl Directory for Memory {
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn File>> {
        let inode = match (self.inode(name), access) {
            (Some(_), Access::CreateNew) => return Err(ErrorKind::AlreadyExists.into()),
            (Some(inode), _) => inode,
            (None, Access::CreateNew) => {
                self.changed();
                self.make(name)
            }
            (None, _) => return Err(ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(Open { inode, directory: self.clone() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.changes += 1;
        let inode = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let removed = state.names.remove(name).map(drop).ok_or_else(|| ErrorKind::NotFound.into());
        state.changes += u64::from(removed.is_ok());
        removed
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().names.keys().cloned().collect())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn identity(&self, name: &str) -> io::Result<Identity> {
        Ok(self.inode(name).ok_or(ErrorKind::NotFound)?.identity())
    }

    fn map(&self, file: &Arc<dyn File>, _: bool) -> io::Result<Arc<dyn SharedPage>> {
        let file: &dyn Any = &**file;
        let open: &Open = file.downcast_ref().ok_or(ErrorKind::InvalidInput)?;
        Ok(Arc::new(Page(open.inode.clone())))
    }

    fn random(&self) -> io::Result<u64> {
        let mut state = self.0.lock().unwrap();
        state.drawn += 1;
        Ok(fastrand::Rng::with_seed(state.drawn).u64(..))
    }

    fn path(&self) -> String {
        "memory".into()
    }
}

impl Inode {
    fn identity(&self) -> Identity {
        Identity { device: 1, inode: self.number, links: 1, len: self.bytes.lock().unwrap().len() as u64 }
    }
}

impl File for Open {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.inode.bytes.lock().unwrap();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let len = buf.len().min(bytes.len() - from);
        buf[..len].copy_from_slice(&bytes[from..from + len]);
        Ok(len)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.directory.changed();
        let mut bytes = self.inode.bytes.lock().unwrap();
        let from = usize::try_from(offset).map_err(|_| ErrorKind::FileTooLarge)?;
        let len = bytes.len().max(from + buf.len());
        bytes.resize(len, 0);
        bytes[from..from + buf.len()].copy_from_slice(buf);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn allocate(&self, len: u64, _: Blocks) -> io::Result<()> {
        self.directory.changed();
        let len = usize::try_from(len).ok().filter(|len| *len <= 1 << 30).ok_or(ErrorKind::StorageFull)?;
        let mut bytes = self.inode.bytes.lock().unwrap();
        if bytes.len() < len {
            bytes.resize(len, 0);
        }
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(self.inode.identity())
    }

    /// One handle at a time opens it.
    fn try_lock(&self, _: Lock) -> io::Result<bool> {
        Ok(true)
    }

    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The words of `SHARED`, which are its bytes.
#[derive(Debug)]
struct Page(Arc<Inode>);

impl Page {
    fn change(&self, word: usize, f: impl FnOnce(u64) -> Option<u64>) -> u64 {
        let mut bytes = self.0.bytes.lock().unwrap();
        let place: &mut [u8; 8] = bytes[word * 8..].first_chunk_mut().unwrap();
        let now = u64::from_ne_bytes(*place);
        if let Some(new) = f(now) {
            *place = new.to_ne_bytes();
        }
        now
    }
}

impl SharedPage for Page {
    fn load(&self, word: usize) -> u64 {
        self.change(word, |_| None)
    }
    fn store(&self, word: usize, value: u64) {
        self.change(word, |_| Some(value));
    }
    fn compare_exchange(&self, word: usize, current: u64, new: u64) -> Result<u64, u64> {
        let now = self.change(word, |now| (now == current).then_some(new));
        if now == current { Ok(now) } else { Err(now) }
    }
    fn fetch_or(&self, word: usize, bits: u64) -> u64 {
        self.change(word, |now| Some(now | bits))
    }
    fn fetch_add(&self, word: usize, amount: u64) -> u64 {
        self.change(word, |now| Some(now.wrapping_add(amount)))
    }
    /// The one handle has nobody to wait for.
    fn wait(&self, _: usize, _: u32, _: Duration) {
        std::thread::yield_now();
    }
    fn wake_all(&self, _: usize) -> bool {
        false
    }
}

/// A clock that nobody moves: nothing expires by itself, and two stores made alike are alike.
#[derive(Default, Debug)]
pub struct Still(AtomicU64);

impl dirkv::files::storage::Clock for Still {
    fn wall(&self) -> i64 {
        1_700_000_000_000_000_000
    }
    /// Goes on, so that whoever waits comes to an end.
    fn boottime(&self) -> u64 {
        self.0.fetch_add(1_000, SeqCst)
    }
    fn yield_now(&self) {}
    fn sleep(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(0), SeqCst);
    }
}
