//! A disk whose every write and flush is recorded, and some of whose sectors may fail: a FUSE filesystem of one file, of
//! which a loop device is made. The file bypasses the page cache, so that each request of the block layer comes here.
//!
//! Requests are served one at a time, in the order of their coming. So a flush covers exactly what comes before it in the
//! recording: a disk that finishes each command before the next.

use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};

use crate::clock::Clock;
use crate::image::Image;
use crate::recording::{Event, Recording};

/// The name of the one file.
pub const NAME: &str = "disk";

const FILE: INodeNo = INodeNo(2);
/// How long the kernel may believe names and attributes: they never change.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Sectors that fail.
#[derive(Clone, Debug)]
pub struct Failing {
    /// Which bytes of the disk.
    pub ranges: Vec<Range<u64>>,
    /// Whether reading them fails.
    pub reads: bool,
    /// Whether writing them fails.
    pub writes: bool,
}

impl Failing {
    /// Where the first of them lies that a request meets.
    fn meets(&self, offset: u64, len: usize) -> Option<u64> {
        let met = self.ranges.iter().filter(|range| offset < range.end && range.start < offset + len as u64);
        met.map(|range| range.start.max(offset)).min()
    }
}

struct State {
    base: Image,
    now: Image,
    events: Vec<Event>,
    failing: Option<Failing>,
    failures: u64,
}

/// The disk. The process that serves it must not touch what is mounted from it: a program that waits for itself can't even
/// be killed.
#[derive(Clone)]
pub struct Disk {
    state: Arc<Mutex<State>>,
    clock: Arc<Clock>,
}

impl Disk {
    /// A disk with this content, which counts what it takes in the file `clock`.
    pub fn new(image: Image, clock: &Path) -> io::Result<Disk> {
        let state = State { base: image.clone(), now: image, events: Vec::new(), failing: None, failures: 0 };
        Ok(Disk { state: Arc::new(Mutex::new(state)), clock: Arc::new(Clock::open(clock)?) })
    }

    /// Takes the recording, once: its events are numbered as the clock counts them.
    pub fn take(&self) -> Recording {
        let mut state = self.state();
        Recording { base: state.base.clone(), events: std::mem::take(&mut state.events) }
    }

    /// What lies on it now.
    pub fn image(&self) -> Image {
        self.state().now.clone()
    }

    /// Lets sectors fail, or none any more.
    pub fn fail(&self, failing: Option<Failing>) {
        self.state().failing = failing;
    }

    /// How many requests have failed.
    pub fn failures(&self) -> u64 {
        self.state().failures
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let mut state = self.state();
        if state.failing.as_ref().is_some_and(|failing| failing.reads && failing.meets(offset, len).is_some()) {
            state.failures += 1;
            return Err(Errno::EIO);
        }
        let mut bytes = vec![0; len.min(state.now.size().saturating_sub(offset) as usize)];
        state.now.read(offset, &mut bytes);
        Ok(bytes)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let mut state = self.state();
        let failing = state.failing.as_ref().filter(|failing| failing.writes);
        let failed = failing.and_then(|failing| failing.meets(offset, bytes.len()));
        // What lies before the failing sectors has been written.
        let whole = failed.map_or(bytes.len(), |at| (at - offset) as usize);
        if whole > 0 {
            state.now.write(offset, &bytes[..whole]);
            state.events.push(Event::Write { offset, bytes: bytes[..whole].to_vec() });
            // Before the answer: who hears what follows from it must not find an earlier time.
            self.clock.tick();
        }
        match failed {
            None => Ok(()),
            Some(_) => {
                state.failures += 1;
                Err(Errno::EIO)
            }
        }
    }

    fn flush(&self) {
        self.state().events.push(Event::Flush);
        self.clock.tick();
    }

    fn attributes(&self, number: INodeNo) -> FileAttr {
        let (kind, perm, size) = match number {
            FILE => (FileType::RegularFile, 0o600, self.state().now.size()),
            _ => (FileType::Directory, 0o700, 0),
        };
        let (then, blocks) = (UNIX_EPOCH, size / 512);
        FileAttr {
            ino: number,
            size,
            blocks,
            atime: then,
            mtime: then,
            ctime: then,
            crtime: then,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

impl Filesystem for Disk {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match name == NAME {
            true => reply.entry(&FOR_EVER, &self.attributes(FILE), Generation(0)),
            false => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOR_EVER, &self.attributes(number));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match Disk::read(self, offset, size as usize) {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match Disk::write(self, offset, data) {
            Ok(()) => reply.written(data.len() as u32),
            Err(errno) => reply.error(errno),
        }
    }

    /// Of the file's descriptor, at close: no flush of the disk.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        Disk::flush(self);
        reply.ok();
    }

    /// A discard: this disk has none.
    fn fallocate(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u64, _: i32, reply: ReplyEmpty) {
        reply.error(Errno::EOPNOTSUPP);
    }
}
