//! Threads of the library's own.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::thread::{Builder, JoinHandle};

/// Starts a thread with all signals blocked from its first instruction, so that no handler of the program runs on it.
pub fn spawn<T, F>(name: &str, f: F) -> io::Result<JoinHandle<T>>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    // A thread inherits the mask of the one that starts it.
    let _blocked = AllBlocked::new()?;
    Builder::new().name(name.to_owned()).spawn(f)
}

/// All signals are blocked in this thread until it is dropped, which brings the earlier mask back.
struct AllBlocked(libc::sigset_t);

impl AllBlocked {
    fn new() -> io::Result<AllBlocked> {
        let mut all = MaybeUninit::uninit();
        let mut earlier = MaybeUninit::uninit();
        // SAFETY: fills `all`.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        // SAFETY: `all` was filled above; `earlier` is written.
        let error = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), earlier.as_mut_ptr()) };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        // SAFETY: the call above succeeded and filled it.
        Ok(AllBlocked(unsafe { earlier.assume_init() }))
    }
}

impl Drop for AllBlocked {
    fn drop(&mut self) {
        // SAFETY: a mask that the system gave.
        let error = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
        debug_assert_eq!(error, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_blocked(signal: libc::c_int) -> bool {
        let mut mask = MaybeUninit::uninit();
        // SAFETY: changes nothing and fills `mask`, which is then read.
        unsafe {
            assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), mask.as_mut_ptr()), 0);
            libc::sigismember(mask.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn the_thread_hears_no_signal_and_its_starter_does() {
        let signals = [libc::SIGINT, libc::SIGTERM, libc::SIGCHLD, libc::SIGALRM, libc::SIGUSR1, libc::SIGPROF];
        let quiet = spawn("dirkv-test", move || {
            let name = std::thread::current().name().map(str::to_owned);
            (name, signals.iter().all(|signal| is_blocked(*signal)))
        });
        assert_eq!(quiet.unwrap().join().unwrap(), (Some("dirkv-test".to_owned()), true));
        assert!(!signals.iter().any(|signal| is_blocked(*signal)));
    }
}

/// Threads whose umask or mounts are their own, so that tests beside them don't notice.
#[cfg(test)]
pub(crate) mod testing {
    use std::io::{self, Write};
    use std::path::Path;
    use std::process::Command;

    /// Until it holds. What a test beside this one forks has all descriptors, too, until it executes a program: what the last
    /// close of one sets free comes a moment later.
    pub fn soon(mut holds: impl FnMut() -> bool) {
        let begun = std::time::Instant::now();
        while !holds() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "it never holds");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    fn with_own<T: Send>(what: libc::c_int, f: impl FnOnce() -> T + Send) -> Result<T, std::io::Error> {
        let run = || {
            // SAFETY: changes what this thread shares with the others, none of which relies on it.
            if unsafe { libc::unshare(what) } != 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(f())
        };
        let finished = std::thread::scope(|scope| scope.spawn(run).join());
        finished.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs it under this umask.
    pub(crate) fn with_umask(umask: u32, f: impl FnOnce() + Send) {
        let under = || {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
            f();
        };
        with_own(libc::CLONE_FS, under).unwrap();
    }

    /// Runs it without the standard streams, with descriptors of its own.
    pub(crate) fn without_stdio(f: impl FnOnce() + Send) {
        let without = || {
            for stream in 0..3 {
                // SAFETY: in this thread's own table, whose standard streams nobody uses.
                unsafe { libc::close(stream) };
            }
            f();
        };
        with_own(libc::CLONE_FILES, without).unwrap();
    }

    /// Runs it where mounts are seen by nobody else, and end with it. Says so and does nothing without the right to mount.
    pub(crate) fn with_mounts(f: impl FnOnce() + Send) {
        let private = || {
            mount(&["--make-rprivate", "/"]);
            f();
        };
        if let Err(error) = with_own(libc::CLONE_FS | libc::CLONE_NEWNS, private) {
            skipped(&format!("needs root ({error})"));
        }
    }

    /// Runs it with the root of a new filesystem of so many MiB, made with `mkfs.<kind>`. Says so and does nothing where that can't
    /// be had.
    pub(crate) fn with_filesystem(kind: &str, arguments: &[&str], mib: u64, f: impl FnOnce(&Path) + Send) {
        let base = tempfile::tempdir().unwrap();
        let (image, point) = (base.path().join("image"), base.path().join("mounted"));
        std::fs::create_dir(&point).unwrap();
        std::fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
        let made = Command::new(format!("mkfs.{kind}")).arg("-q").args(arguments).arg(&image).output();
        if !made.is_ok_and(|made| made.status.success()) {
            return skipped(&format!("needs mkfs.{kind}"));
        }
        with_mounts(|| {
            mount(&["-o", "loop", image.to_str().unwrap(), point.to_str().unwrap()]);
            f(&point);
        });
    }

    /// Says, past the test harness, which keeps to itself what a test prints, that the test of this thread can't be run here.
    pub(crate) fn skipped(why: &str) {
        let thread = std::thread::current();
        let _ = writeln!(io::stderr(), "\nSKIPPED: {}: {why}", thread.name().unwrap_or("a test"));
    }

    /// Runs mount(8).
    pub(crate) fn mount(arguments: &[&str]) {
        let output = Command::new("mount").args(arguments).output().unwrap();
        assert!(output.status.success(), "mount {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
