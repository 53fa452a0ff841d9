//! The shared page as a mapping of the file `SHARED`: atomic words and futexes, the same for all processes.
#![allow(unsafe_code)]

use super::storage::SharedPage;
use crate::format::shared::{LEN, TOUCHED};
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap, munmap};
use rustix::thread::futex;
use rustix::time::Timespec;
use std::io::{self, ErrorKind};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

const BYTES: usize = 4096;
const WORDS: usize = BYTES / 8;
const _: () = assert!(BYTES as u64 == LEN);

/// How long a waiter sleeps where the kernel refuses it the futex.
const NO_FUTEX_NAP: Duration = Duration::from_millis(1);

/// One block of a file, mapped.
#[derive(Debug)]
pub struct Mapping {
    words: NonNull<[AtomicU64; WORDS]>,
    writable: bool,
}

// SAFETY: the memory is reached through atomics alone, and stays mapped until the only owner drops it.
unsafe impl Send for Mapping {}
// SAFETY: as for Send.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first 4096 bytes. Their block must be allocated and written, so that touching it can't fail; a shorter
    /// file is refused.
    pub fn new(file: impl AsFd, writable: bool) -> io::Result<Mapping> {
        let len = rustix::fs::fstat(&file)?.st_size;
        if u64::try_from(len).is_ok_and(|len| len < LEN) {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                format!("the shared page has {len} bytes instead of {LEN}"),
            ));
        }
        let protection = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: a new mapping, at an address that the kernel chooses, overlaps nothing.
        let address = unsafe { mmap(ptr::null_mut(), BYTES, protection, MapFlags::SHARED, file, 0)? };
        let words = NonNull::new(address.cast()).ok_or(Errno::NOMEM)?;
        // The page, once here, shall not be dropped and have to be read again from a disk that may fail by then. Only a
        // precaution: a limit on locked memory is no error.
        // SAFETY: the range was mapped above; locking changes nothing in it.
        let _ = unsafe { mlock(address, BYTES) };
        let mapping = Mapping { words, writable };
        mapping.touch(if writable { Advice::LinuxPopulateWrite } else { Advice::LinuxPopulateRead })?;
        Ok(mapping)
    }

    /// Has the kernel do what a touch of the page would have to do, with an error instead of a signal.
    fn touch(&self, how: Advice) -> io::Result<()> {
        // SAFETY: the range is mapped until drop, and populating it changes none of its bytes.
        match unsafe { madvise(self.words.as_ptr().cast(), BYTES, how) } {
            // Linux before 5.14 doesn't know the advice.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(Errno::FAULT) => Err(io::Error::other(
                "the shared page can't be reached: its disk failed, or the filesystem has shut down",
            )),
            Err(error) => Err(error.into()),
        }
    }

    fn word(&self, word: usize) -> &AtomicU64 {
        // SAFETY: mapped (page-aligned, BYTES long) until drop; whoever else changes it does so by atomic operations.
        unsafe { &self.words.as_ref()[word] }
    }

    /// A store to memory mapped for reading would kill the process.
    fn word_mut(&self, word: usize) -> &AtomicU64 {
        assert!(self.writable, "a store to the shared page through a read-only view");
        self.word(word)
    }

    fn futex(&self, word: usize) -> &AtomicU32 {
        let low_half = usize::from(cfg!(target_endian = "big"));
        let halves: *const AtomicU32 = ptr::from_ref(self.word(word)).cast();
        // SAFETY: the word has two aligned halves; this one is handed to the kernel, and never accessed from here.
        unsafe { &*halves.add(low_half) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and no reference outlives self.
        let _ = unsafe { munmap(self.words.as_ptr().cast(), BYTES) };
    }
}

impl SharedPage for Mapping {
    fn load(&self, word: usize) -> u64 {
        self.word(word).load(SeqCst)
    }

    fn store(&self, word: usize, value: u64) {
        self.word_mut(word).store(value, SeqCst);
    }

    fn compare_exchange(&self, word: usize, current: u64, new: u64) -> Result<u64, u64> {
        self.word_mut(word).compare_exchange(current, new, SeqCst, SeqCst)
    }

    fn fetch_or(&self, word: usize, bits: u64) -> u64 {
        self.word_mut(word).fetch_or(bits, SeqCst)
    }

    fn fetch_add(&self, word: usize, amount: u64) -> u64 {
        self.word_mut(word).fetch_add(amount, SeqCst)
    }

    fn wait(&self, word: usize, expected: u32, timeout: Duration) {
        // Not FUTEX_PRIVATE: those who wake are in other processes.
        match futex::wait(self.futex(word), futex::Flags::empty(), expected, Some(&timespec(timeout))) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR | Errno::TIMEDOUT) => {}
            // A sandbox may forbid the call: then nap instead of spinning.
            Err(_) => std::thread::sleep(timeout.min(NO_FUTEX_NAP)),
        }
    }

    fn wake_all(&self, word: usize) -> bool {
        // Nothing can be done about a failure; waiters look again by themselves.
        futex::wake(self.futex(word), futex::Flags::empty(), i32::MAX as u32).is_ok_and(|woken| woken > 0)
    }

    fn make_writable(&self) -> io::Result<()> {
        if !self.writable {
            return Err(ErrorKind::PermissionDenied.into());
        }
        // The kernel stores a word, the number of the processor, where a store of ours would be a signal: a fifth of what the
        // advice costs. The C library's `getcpu` would store it without the kernel.
        let word = self.word(TOUCHED).as_ptr();
        // SAFETY: the word is mapped until drop, and nobody reads it.
        match unsafe { libc::syscall(libc::SYS_getcpu, word, ptr::null::<u32>(), ptr::null::<u32>()) } {
            0 => Ok(()),
            // A sandbox may forbid the call.
            _ => self.touch(Advice::LinuxPopulateWrite),
        }
    }
}

/// The kernel refuses seconds that it can't count.
fn timespec(timeout: Duration) -> Timespec {
    let seconds = timeout.as_secs().min(u64::from(u32::MAX));
    Timespec { tv_sec: i64::try_from(seconds).unwrap_or(i64::MAX), tv_nsec: i64::from(timeout.subsec_nanos()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::quiet_thread::testing::with_filesystem;
    use std::fs::File;
    use std::process::Command;
    use std::sync::mpsc;
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(30);

    fn page(len: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        file
    }

    #[test]
    fn a_short_file_is_refused() {
        for len in [0, 1, LEN - 1] {
            assert_eq!(Mapping::new(page(len), true).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        }
        assert!(Mapping::new(page(LEN), true).is_ok());
    }

    #[test]
    fn words_are_those_of_the_file_and_of_every_map() {
        let file = page(LEN);
        let (one, two) = (Mapping::new(&file, true).unwrap(), Mapping::new(&file, false).unwrap());
        one.store(0, 5);
        one.store(WORDS - 1, u64::MAX);
        assert_eq!((two.load(0), two.load(WORDS - 1), two.load(1)), (5, u64::MAX, 0));
        assert_eq!(one.compare_exchange(0, 4, 9), Err(5));
        assert_eq!(one.compare_exchange(0, 5, 9), Ok(5));
        assert_eq!(one.fetch_or(0, 1 << 63), 9);
        assert_eq!(one.fetch_add(WORDS - 1, 2), u64::MAX);
        assert_eq!((two.load(0), two.load(WORDS - 1)), (9 | 1 << 63, 1));
        let mut bytes = [0; 8];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0).unwrap();
        assert_eq!(u64::from_ne_bytes(bytes), 9 | 1 << 63);
    }

    #[test]
    fn a_store_through_a_reader_is_caught() {
        let file = page(LEN);
        let reader = Mapping::new(&file, false).unwrap();
        let stored = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| reader.store(1, 1)));
        assert!(stored.is_err());
        assert_eq!(reader.load(1), 0);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| reader.load(WORDS))).is_err());
    }

    #[test]
    fn what_a_store_would_be_a_signal_for_is_an_error_beforehand() {
        let file = page(LEN);
        let page = Mapping::new(&file, true).unwrap();
        page.make_writable().unwrap();
        file.set_len(0).unwrap();
        assert_eq!(page.make_writable().unwrap_err().kind(), ErrorKind::Other);
        assert_eq!(page.touch(Advice::LinuxPopulateWrite).unwrap_err().kind(), ErrorKind::Other, "without the call");
        file.set_len(LEN).unwrap();
        page.make_writable().unwrap();
    }

    #[test]
    fn waiting_ends_by_value_by_time_and_by_a_wake_through_another_map() {
        let file = page(LEN);
        let (waker, sleeper) = (Mapping::new(&file, true).unwrap(), Mapping::new(&file, false).unwrap());
        waker.store(3, 7 | 1 << 40);
        let start = Instant::now();
        sleeper.wait(3, 8, LONG);
        sleeper.wait(3, 7, Duration::from_millis(20));
        assert!(start.elapsed() >= Duration::from_millis(20) && start.elapsed() < LONG / 2);
        let (asleep, awake) = (mpsc::channel(), mpsc::channel());
        let thread = std::thread::spawn(move || {
            asleep.0.send(()).unwrap();
            while sleeper.load(3) & 0xffff_ffff == 7 {
                sleeper.wait(3, 7, Duration::MAX);
            }
            awake.0.send(Instant::now()).unwrap();
        });
        asleep.1.recv().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let woken = Instant::now();
        waker.fetch_add(3, 1);
        waker.wake_all(3);
        assert!(awake.1.recv_timeout(LONG).unwrap() - woken < LONG / 2);
        thread.join().unwrap();
    }
    #[test]
    fn a_filesystem_that_has_shut_down_is_an_error_and_no_signal() {
        with_filesystem("xfs", &[], 400, |point| {
            let file = File::options().read(true).write(true).create_new(true).open(point.join("SHARED")).unwrap();
            rustix::io::pwrite(&file, &[0; BYTES], 0).unwrap();
            let page = Mapping::new(&file, true).unwrap();
            page.store(1, 42);
            page.make_writable().unwrap();
            // Written back: the next store asks the filesystem again.
            rustix::fs::fsync(&file).unwrap();
            let shut_down = Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(point).status().unwrap();
            assert!(shut_down.success());
            assert_eq!(page.make_writable().unwrap_err().kind(), ErrorKind::Other);
            assert_eq!(page.load(1), 42, "reading goes on");
        });
    }
}
