//! What a forked child must know and undo: that it is a child, told by a page that the kernel wipes at a fork, and that
//! its copies of descriptors keep the parent's flocks alive.
#![allow(unsafe_code)]

use super::os::RealFile;
use super::storage::File;
use rustix::fd::AsRawFd;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::io;
use std::ptr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64};
use std::sync::{Arc, Weak};

const PAGE: usize = 4096;

/// The word that is 0 in a child until the child asks for its token; null until it is first needed.
static WORD: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
/// Stands in where the kernel can't wipe a page; a fork handler clears it, which a raw `clone` doesn't call.
static FALLBACK: AtomicU64 = AtomicU64::new(0);
/// A child inherits its parent's count, so that its token differs from those of all its ancestors.
static TOKENS: AtomicU64 = AtomicU64::new(1);

/// The token of this process, never 0: the same until a fork, and another in the child than in any of its ancestors.
pub fn token() -> u64 {
    let word = word();
    match word.load(Relaxed) {
        0 => {
            let fresh = TOKENS.fetch_add(1, Relaxed);
            word.compare_exchange(0, fresh, Relaxed, Relaxed).map_or_else(|earlier| earlier, |_| fresh)
        }
        token => token,
    }
}

/// Whether this process is a fork's child of the one in which `token` was taken. About a nanosecond, no system call.
#[inline]
pub fn forked_since(token: u64) -> bool {
    word().load(Relaxed) != token
}

#[inline]
fn word() -> &'static AtomicU64 {
    let word = WORD.load(Acquire);
    if word.is_null() {
        return first_use();
    }
    // SAFETY: set once, to a page that is never unmapped or to a static.
    unsafe { &*word }
}

/// Takes no lock, which a fork at the wrong moment would leave locked in the child for ever.
#[cold]
fn first_use() -> &'static AtomicU64 {
    let page = wiped_page();
    let chosen = page.unwrap_or_else(|| {
        // Should this fail too, forks go unnoticed: such a system can't be helped.
        let _ = at_fork(None, None, Some(clear_fallback));
        ptr::from_ref(&FALLBACK).cast_mut()
    });
    match WORD.compare_exchange(ptr::null_mut(), chosen, AcqRel, Acquire) {
        // SAFETY: a page that is never unmapped, or a static.
        Ok(_) => unsafe { &*chosen },
        Err(earlier) => {
            if let Some(page) = page {
                // SAFETY: mapped by this call, and shown to nobody.
                let _ = unsafe { munmap(page.cast(), PAGE) };
            }
            // SAFETY: another thread's, never unmapped.
            unsafe { &*earlier }
        }
    }
}

/// A page of zeros that is zeros again in each child.
fn wiped_page() -> Option<*mut AtomicU64> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping, at an address that the kernel chooses, overlaps nothing.
    let page = unsafe { mmap_anonymous(ptr::null_mut(), PAGE, protection, MapFlags::PRIVATE) }.ok()?;
    // SAFETY: the page was mapped above and holds nothing yet.
    if unsafe { madvise(page, PAGE, Advice::LinuxWipeOnFork) }.is_err() {
        // SAFETY: mapped above, and shown to nobody.
        let _ = unsafe { munmap(page, PAGE) };
        return None;
    }
    Some(page.cast())
}

extern "C" fn clear_fallback() {
    FALLBACK.store(0, Relaxed);
}

/// Registers functions for every later `fork` of this process, for its whole life: `prepare` runs before it (those
/// registered last run first), `parent` and `child` after it, in the forking thread. They must not panic, and what
/// `child` does must be safe in a signal handler: no allocation, no lock that `prepare` doesn't hold.
pub fn at_fork(
    prepare: Option<extern "C" fn()>,
    parent: Option<extern "C" fn()>,
    child: Option<extern "C" fn()>,
) -> io::Result<()> {
    let unsafe_form = |f: extern "C" fn()| f as unsafe extern "C" fn();
    // SAFETY: plain functions; the library is never unloaded.
    let error =
        unsafe { libc::pthread_atfork(prepare.map(unsafe_form), parent.map(unsafe_form), child.map(unsafe_form)) };
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// In a child: gives up this copy of the description without a LOCK_UN, so that the parent's flock ends with the parent.
/// The descriptor's number then stands for the directory, until the file is dropped: calls on it fail. Safe in a fork
/// handler. Files of a simulated directory have nothing to give up.
pub fn abandon(file: &dyn File) {
    let any: &dyn Any = file;
    let Some(file) = any.downcast_ref::<RealFile>() else { return };
    let (file, directory) = file.descriptors();
    loop {
        // SAFETY: both are open and owned by the file; a number that is replaced never belongs to anyone else meanwhile.
        let result = unsafe { libc::dup3(directory.as_raw_fd(), file.as_raw_fd(), libc::O_CLOEXEC) };
        let again = result < 0 && matches!(io::Error::last_os_error().raw_os_error(), Some(libc::EINTR | libc::EBUSY));
        if !again {
            return;
        }
    }
}

/// Files whose flock a child must not keep alive: a flock lives as long as any copy of its description. The lock is a word
/// and not a mutex, whose waiters a child would still see though it has none.
struct Flocks {
    /// The token of the process that holds the list, or 0.
    holder: AtomicU64,
    list: UnsafeCell<Vec<Weak<dyn File>>>,
}

// SAFETY: the list is touched only between `hold` and `release`.
unsafe impl Sync for Flocks {}

static FLOCKS: Flocks = Flocks { holder: AtomicU64::new(0), list: UnsafeCell::new(Vec::new()) };

impl Flocks {
    /// Waits for no other process: the list is held only while it is changed.
    fn hold(&self) {
        let mine = token();
        while let Err(holder) = self.holder.compare_exchange(0, mine, Acquire, Relaxed) {
            if forked_since(holder) && self.holder.compare_exchange(holder, mine, Acquire, Relaxed).is_ok() {
                // Born by a fork that no handler knew of, while a thread of the parent changed the list: nobody here will
                // finish that.
                // SAFETY: held. What the list was may be half changed, and is not dropped.
                unsafe { self.list.get().write(Vec::new()) };
                return;
            }
            std::thread::yield_now();
        }
    }

    fn release(&self) {
        self.holder.store(0, Release);
    }
}

/// From now on every child gives up its copy of the file as it is born ([`abandon`]).
pub fn abandon_in_children(file: &Arc<dyn File>) -> io::Result<()> {
    // No lock: a child might find it locked by a thread that only its parent has. Handlers that are registered twice do no harm.
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    if !REGISTERED.load(Acquire) {
        at_fork(Some(hold_flocks), Some(release_flocks), Some(abandon_flocks))?;
        REGISTERED.store(true, Release);
    }
    FLOCKS.hold();
    // SAFETY: held.
    let list = unsafe { &mut *FLOCKS.list.get() };
    list.retain(|file| file.strong_count() > 0);
    list.push(Arc::downgrade(file));
    FLOCKS.release();
    Ok(())
}

thread_local! {
    /// This thread forks, and holds the list.
    static FORKING: Cell<bool> = const { Cell::new(false) };
}

extern "C" fn hold_flocks() {
    if !FORKING.replace(true) {
        FLOCKS.hold();
    }
}

extern "C" fn release_flocks() {
    if FORKING.replace(false) {
        FLOCKS.release();
    }
}

extern "C" fn abandon_flocks() {
    if !FORKING.get() {
        return;
    }
    // SAFETY: held by `hold_flocks`; this thread is the only one that the child has.
    for file in unsafe { &*FLOCKS.list.get() } {
        if let Some(file) = file.upgrade() {
            abandon(&*file);
        }
    }
    release_flocks();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::prepare::open_directory;
    use crate::files::storage::{Access, Directory, Lock};
    use std::io::{Read, Write};
    use std::sync::atomic::Ordering::SeqCst;
    use std::time::{Duration, Instant};

    /// Forks; the child ends with what `child` returns. It must not allocate: other threads may hold the allocator's lock.
    fn fork_and_wait(child: impl FnOnce() -> i32) -> i32 {
        // SAFETY: the child calls nothing that isn't safe in a signal handler, and ends without running anything else.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let code = child();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(code) };
        }
        wait_for(pid)
    }

    fn wait_for(pid: libc::pid_t) -> i32 {
        assert!(pid > 0);
        let mut status = 0;
        // SAFETY: a child of this process, and a valid pointer.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
    }

    #[test]
    fn each_generation_has_its_own_token() {
        let mine = token();
        assert_ne!(mine, 0);
        assert!(!forked_since(mine));
        assert_eq!(std::thread::spawn(token).join().unwrap(), mine, "threads share it");
        let code = fork_and_wait(|| {
            if !forked_since(mine) {
                return 1;
            }
            let child = token();
            if child == mine || child == 0 || forked_since(child) || !forked_since(mine) {
                return 2;
            }
            fork_and_wait(|| {
                let grandchild = token();
                i32::from(!forked_since(mine) || !forked_since(child) || grandchild == mine || grandchild == child) * 3
            })
        });
        assert_eq!(code, 0);
        assert!(!forked_since(mine), "the parent is unharmed");
    }

    static PREPARED: AtomicU64 = AtomicU64::new(0);
    static RELEASED: AtomicU64 = AtomicU64::new(0);

    extern "C" fn prepare() {
        PREPARED.fetch_add(1, SeqCst);
    }

    extern "C" fn release() {
        RELEASED.fetch_add(1, SeqCst);
    }

    #[test]
    fn handlers_run_around_a_fork() {
        at_fork(Some(prepare), Some(release), Some(release)).unwrap();
        let code = fork_and_wait(|| i32::from(PREPARED.load(SeqCst) == 0 || RELEASED.load(SeqCst) == 0));
        assert_eq!(code, 0);
        assert!(PREPARED.load(SeqCst) >= 1 && RELEASED.load(SeqCst) >= 1);
    }

    /// Whether the lock is free within `patience` after its holder closed it while a child, which has done `first`, still lives.
    fn free_beside_a_child(first: impl FnOnce(&dyn File), patience: Duration) -> bool {
        let path = tempfile::tempdir().unwrap();
        let directory = open_directory(path.path(), 0o700, 0o600, false).unwrap();
        let holder = directory.open("LOCK", Access::CreateNew).unwrap();
        assert!(holder.try_lock(Lock::Exclusive).unwrap());
        let (mut ready, mut hold) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
        // SAFETY: as in fork_and_wait.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            first(&*holder);
            let _ = ready.1.write(b"x");
            let _ = hold.0.read(&mut [0; 1]);
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(0) };
        }
        ready.0.read_exact(&mut [0; 1]).unwrap();
        assert!(
            !directory.open("LOCK", Access::Read).unwrap().try_lock(Lock::Exclusive).unwrap(),
            "still the parent's"
        );
        drop(holder);
        let late = Instant::now() + patience;
        let free = loop {
            let free = directory.open("LOCK", Access::Read).unwrap().try_lock(Lock::Exclusive).unwrap();
            if free || Instant::now() >= late {
                break free;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        hold.1.write_all(b"x").unwrap();
        assert_eq!(wait_for(pid), 0);
        free
    }

    /// A lock that a thread of the parent holds stays locked for ever in a child, which has no such thread.
    #[test]
    fn a_child_may_register_whatever_the_other_threads_were_doing() {
        let path = tempfile::tempdir().unwrap();
        let directory = open_directory(path.path(), 0o700, 0o600, false).unwrap();
        let file = directory.open("LOCK", Access::CreateNew).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    abandon_in_children(&directory.open("LOCK", Access::Read).unwrap()).unwrap();
                }
            });
            for _ in 0..100 {
                let code = fork_and_wait(|| {
                    // SAFETY: has the kernel end a child that hangs.
                    unsafe { libc::alarm(10) };
                    i32::from(abandon_in_children(&file).is_err())
                });
                if code != 0 {
                    stop.store(true, SeqCst);
                    panic!("the child ended with {code}");
                }
            }
            stop.store(true, SeqCst);
        });
    }

    #[test]
    fn a_child_of_a_fork_without_handlers_takes_the_list_over() {
        FLOCKS.hold();
        // SAFETY: as fork, without the handlers and without the C library's own care; the child calls nothing of either.
        let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
        if pid == 0 {
            // SAFETY: has the kernel end a child that hangs.
            unsafe { libc::alarm(10) };
            FLOCKS.hold();
            FLOCKS.release();
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(0) };
        }
        FLOCKS.release();
        assert_eq!(wait_for(libc::pid_t::try_from(pid).unwrap()), 0);
    }

    #[test]
    fn handlers_registered_twice_hold_once() {
        at_fork(Some(hold_flocks), Some(release_flocks), Some(abandon_flocks)).unwrap();
        at_fork(Some(hold_flocks), Some(release_flocks), Some(abandon_flocks)).unwrap();
        for _ in 0..2 {
            let code = fork_and_wait(|| {
                // SAFETY: has the kernel end a child that hangs.
                unsafe { libc::alarm(10) };
                FLOCKS.hold();
                FLOCKS.release();
                fork_and_wait(|| 0)
            });
            assert_eq!(code, 0);
        }
    }

    #[test]
    fn an_abandoned_lock_ends_with_the_parent() {
        assert!(!free_beside_a_child(|_| {}, Duration::ZERO), "a copy of the descriptor keeps the lock");
        // So do those of the children that other tests fork meanwhile, which give up nothing and live for a moment.
        assert!(free_beside_a_child(abandon, Duration::from_secs(60)));
    }
}
