//! Opening a store: whoever is alone with it recovers, everyone else believes the shared page.

use super::background::Background;
use super::index::Index;
use super::memtable::{Memtable, Spare};
use super::page::{Fresh, Page};
use super::recover::{self, Recovered, Witness};
use super::rows::RowCache;
use super::store_lock::{StoreLock, try_exclusive};
use super::table::BlockCache;
use super::{Config, Core, Engine, Files, Surroundings, log, manifest};
use crate::error::{Code, Error, Result};
use crate::files::private_page::PrivatePage;
use crate::files::storage::{Access, Blocks, Directory, File, Lock};
use crate::files::{fork, names};
use crate::format::manifest::{Manifest, SyncMode};
use crate::format::position::{offset_of, segment_of};
use crate::format::shared;
use crate::latch::Mutex;
use arc_swap::ArcSwap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A read-only handle that found itself alone: it recovered in its own memory and holds no lock, so a writer may come.
pub(super) struct Alone {
    current: ArcSwap<Core>,
    config: Config,
    around: Surroundings,
}

impl Alone {
    /// The core, opened anew if a writer has made another incarnation of `SHARED` since.
    pub fn core(&self) -> Result<Arc<Core>> {
        let core = self.current.load_full();
        let Some(seen) = core.incarnation else { return Ok(core) };
        if incarnation(&*self.around.dir)? == seen {
            return Ok(core);
        }
        let fresh = Arc::new(open_core(&self.config, &self.around)?);
        self.current.store(fresh.clone());
        Ok(fresh)
    }
}

/// Which incarnation of `SHARED` there is: its inode and its random number; zeros if there is none.
fn incarnation(dir: &dyn Directory) -> Result<(u64, u64)> {
    let file = match dir.open(names::SHARED, Access::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((0, 0)),
        Err(e) => return Err(Error::io("open SHARED", &e)),
    };
    let mut word = [0; 8];
    file.read_at(&mut word, shared::INCARNATION as u64 * 8).map_err(|e| Error::io("read SHARED", &e))?;
    let identity = file.identity().map_err(|e| Error::io("stat SHARED", &e))?;
    Ok((identity.inode, u64::from_ne_bytes(word)))
}

impl Engine {
    /// Opens the store in the directory, making it if it isn't there and the handle may write.
    pub fn open(config: Config, around: Surroundings) -> Result<Engine> {
        let core = Arc::new(open_core(&config, &around)?);
        let background_wanted = config.background && !config.read_only;
        let alone = core.incarnation.map(|_| Alone { current: ArcSwap::new(core.clone()), config, around });
        let mut background = Background::default();
        // Merges wait for the next seal: who opens often and briefly would begin the same one each time, and give it up.
        if background_wanted && core.index.view().tail() > 0 {
            background.take_over(&core);
        }
        Ok(Engine { core, alone, background: Mutex::new(background), background_wanted })
    }
}

/// flock(LOCK) for the time of an open; nobody may be alone with the store while another opens it.
struct Opening(Arc<dyn File>);

impl Drop for Opening {
    fn drop(&mut self) {
        // An unlock fails only for a descriptor that isn't one.
        let _ = self.0.unlock();
    }
}

fn open_core(config: &Config, around: &Surroundings) -> Result<Core> {
    let dir = &*around.dir;
    let lock = open_lock(dir, config.read_only)?;
    let opening = take_lock(lock.clone(), config, around)?;
    let shared = open_shared(dir, config.read_only)?;
    let alone = match &shared {
        Some(file) => file.try_lock(Lock::Exclusive).map_err(|e| Error::io("lock SHARED", &e))?,
        None => true,
    };
    let seen = if alone && config.read_only { Some(incarnation(dir)?) } else { None };
    let spare = Arc::<Spare>::default();
    let Opened { manifest, page, shared, live } = match shared {
        Some(file) if !alone => join(dir, config, file)?,
        shared if config.read_only => recover_in_memory(dir, shared.as_ref(), spare.clone())?,
        Some(file) => first(dir, config, file, spare.clone())?,
        None => return Err(Error::new(Code::Internal, "a writer always has SHARED")),
    };
    check_mode(config, &manifest)?;
    let files = Files {
        dir: around.dir.clone(),
        store: manifest.store,
        cache: Arc::new(BlockCache::new(config.memory_limit / 2, config.memory_limit / 8)),
        rows: Arc::new(RowCache::new(config.memory_limit / 2)),
        spare,
    };
    let named = |file: &Arc<dyn File>| file.identity().map_err(|e| Error::io("stat SHARED", &e));
    let lock = match &shared {
        Some(file) => StoreLock::new(lock, named(file)?)?,
        // A private core never takes LOCK.
        None => StoreLock::new(lock.clone(), named(&lock)?)?,
    };
    let (mode, segment_size) = (manifest.sync, manifest.segment_size);
    // A private core can't tell whether a writer comes: it keeps LOCK until its files are open.
    let held = shared.is_none().then_some(opening);
    let index = Index::new(&files, &page, manifest, live)?;
    drop(held);
    if !config.read_only {
        page.announce_unlock();
    }
    if alone {
        let (segment, offset) = (segment_of(page.appended()), offset_of(page.appended()));
        (around.log)(false, &format!("recovered, alone with the store: the log ends in log-{segment} at {offset}"));
    }
    Ok(Core {
        files,
        clock: around.clock.clone(),
        retain: around.retain.clone(),
        log: around.log.clone(),
        mode,
        read_only: config.read_only,
        segment_size,
        lock_timeout: u64::try_from(config.lock_timeout.as_nanos()).unwrap_or(u64::MAX / 4),
        page,
        _shared: shared,
        incarnation: seen,
        claimant: log::random(dir)? & 0xffff | 1,
        lock,
        index,
        queue: Default::default(),
        counters: Default::default(),
        flushing: Default::default(),
        merging: Default::default(),
    })
}

fn check_mode(config: &Config, manifest: &Manifest) -> Result<()> {
    let name = |mode| if mode == SyncMode::Os { "os" } else { "full" };
    match config.sync {
        Some(asked) if asked != manifest.sync => Err(Error::new(
            Code::Unsupported,
            format!("parameter sync is {}, but the store was created with sync={}", name(asked), name(manifest.sync)),
        )),
        _ => Ok(()),
    }
}

fn open_lock(dir: &dyn Directory, read_only: bool) -> Result<Arc<dyn File>> {
    let failed = |e: io::Error| Error::io(format_args!("open LOCK in {}", dir.path()), &e);
    if read_only {
        return dir.open(names::LOCK, Access::Read).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Error::new(Code::NotFound, format!("there is no store in {}", dir.path())),
            _ => failed(e),
        });
    }
    let file = open_or_create(dir, names::LOCK).map_err(failed)?;
    fork::abandon_in_children(&file).map_err(|e| Error::io("register a fork handler", &e))?;
    Ok(file)
}

/// Created once; never renamed, never unlinked.
pub(super) fn open_or_create(dir: &dyn Directory, name: &str) -> io::Result<Arc<dyn File>> {
    loop {
        match dir.open(name, Access::Write) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => match dir.open(name, Access::CreateNew) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                other => return other,
            },
            other => return other,
        }
    }
}

fn take_lock(lock: Arc<dyn File>, config: &Config, around: &Surroundings) -> Result<Opening> {
    let deadline =
        around.clock.boottime().saturating_add(u64::try_from(config.lock_timeout.as_nanos()).unwrap_or(u64::MAX));
    // There is no shared page yet whose futex word could tell of an unlock.
    while !try_exclusive(&*lock)? {
        if around.clock.boottime() >= deadline {
            return Err(Error::new(Code::Timeout, "another process held LOCK for longer than lock_timeout"));
        }
        around.clock.sleep(Duration::from_millis(1));
    }
    let opening = Opening(lock);
    let failed = |e: io::Error| Error::io("stat LOCK", &e);
    let (ours, named) = (opening.0.identity().map_err(failed)?, around.dir.identity(names::LOCK).map_err(failed)?);
    // Two files called LOCK, one after the other, would let two openers be alone.
    match (ours.device, ours.inode) == (named.device, named.inode) {
        true => Ok(opening),
        false => Err(Error::new(Code::Io, "LOCK was replaced while the store was being opened")),
    }
}

/// `SHARED`; a writer makes it where it isn't. Its block is allocated and written, so that touching the map can't fail.
fn open_shared(dir: &dyn Directory, read_only: bool) -> Result<Option<Arc<dyn File>>> {
    if read_only {
        return match dir.open(names::SHARED, Access::Read) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("open SHARED", &e)),
        };
    }
    let failed = |e: io::Error| Error::io("make SHARED", &e);
    let file = open_or_create(dir, names::SHARED).map_err(failed)?;
    if file.identity().map_err(failed)?.len < shared::LEN {
        file.allocate(shared::LEN, Blocks::Unwritten).map_err(failed)?;
        file.write_at(&[0; shared::LEN as usize], 0).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        dir.sync().map_err(failed)?;
    }
    Ok(Some(file))
}

/// What is known of a store before its files are opened.
struct Opened {
    manifest: Manifest,
    page: Page,
    /// Not of a private page.
    shared: Option<Arc<dyn File>>,
    /// The index of the live segment, if the log was read already.
    live: Option<Arc<Memtable>>,
}

fn some_manifest(dir: &dyn Directory) -> Result<Manifest> {
    match manifest::load(dir)? {
        Some(manifest) => Ok(manifest),
        None => {
            recover::unfinished(dir)?;
            Err(Error::new(Code::NotFound, format!("there is no store in {}", dir.path())))
        }
    }
}

/// Others have the store open: the page is believed.
fn join(dir: &dyn Directory, config: &Config, file: Arc<dyn File>) -> Result<Opened> {
    if !file.try_lock(Lock::Shared).map_err(|e| Error::io("lock SHARED", &e))? {
        return Err(Error::new(Code::Io, "SHARED is locked by something that is not dirkv"));
    }
    let page = Page::new(dir.map(&file, !config.read_only).map_err(|e| Error::io("map SHARED", &e))?);
    let manifest = some_manifest(dir)?;
    let inode = file.identity().map_err(|e| Error::io("stat SHARED", &e))?.inode;
    if !page.belongs_to(&manifest.store, inode) {
        return Err(Error::corrupt(names::SHARED, 0, "it is another store's page, or no page at all"));
    }
    Ok(Opened { manifest, page, shared: Some(file), live: None })
}

fn witness(file: &Arc<dyn File>) -> Result<Option<Witness>> {
    let mut bytes = vec![0; shared::LEN as usize];
    let got = file.read_at(&mut bytes, 0).map_err(|e| Error::io("read SHARED", &e))?;
    let inode = file.identity().map_err(|e| Error::io("stat SHARED", &e))?.inode;
    Ok(Witness::read(&bytes[..got], inode))
}

/// Nobody else has the store open: recovers, then publishes.
fn first(dir: &dyn Directory, config: &Config, file: Arc<dyn File>, spare: Arc<Spare>) -> Result<Opened> {
    let manifest = match manifest::load(dir)? {
        Some(manifest) => manifest,
        None => recover::create(dir, config.sync.unwrap_or(SyncMode::Full), config.segment_size)?,
    };
    check_mode(config, &manifest)?;
    let recovered = recover::recover(dir, manifest, witness(&file)?, true, spare)?;
    let page = Page::new(dir.map(&file, true).map_err(|e| Error::io("map SHARED", &e))?);
    let inode = file.identity().map_err(|e| Error::io("stat SHARED", &e))?.inode;
    page.initialise(&fresh(dir, &recovered, inode)?);
    if !file.try_lock(Lock::Shared).map_err(|e| Error::io("lock SHARED", &e))? {
        return Err(Error::new(Code::Io, "SHARED is locked by something that is not dirkv"));
    }
    Ok(Opened { manifest: recovered.manifest, page, shared: Some(file), live: Some(recovered.live) })
}

/// A reader that is alone: changes nothing, holds nothing.
fn recover_in_memory(dir: &dyn Directory, file: Option<&Arc<dyn File>>, spare: Arc<Spare>) -> Result<Opened> {
    let witness = file.map(witness).transpose()?.flatten();
    let recovered = recover::recover(dir, some_manifest(dir)?, witness, false, spare)?;
    let page = Page::new(Arc::new(PrivatePage::default()));
    page.initialise(&fresh(dir, &recovered, 0)?);
    Ok(Opened { manifest: recovered.manifest, page, shared: None, live: Some(recovered.live) })
}

fn fresh(dir: &dyn Directory, recovered: &Recovered, inode: u64) -> Result<Fresh> {
    Ok(Fresh {
        store: recovered.manifest.store,
        inode,
        incarnation: log::random(dir)?,
        generation: recovered.manifest.generation,
        end: recovered.live.applied(),
        crc: recovered.live.crc(),
    })
}
