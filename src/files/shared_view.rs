//! The shared page read by `pread`: for a handle without write access on overlayfs, where a map made before the file's
//! copy-up shows the lower file for ever, while a read goes to the file as it is now.

use super::storage::{File, SharedPage};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

const WORDS: usize = 512;

/// How long a waiter sleeps: no one can wake it.
const NAP: Duration = Duration::from_millis(2);

/// A view on which nothing can be stored.
#[derive(Debug)]
pub struct View {
    file: Arc<dyn File>,
    /// What was read last, for when a read fails: old, but once true.
    last: Box<[AtomicU64]>,
}

impl View {
    /// Reads the page once; a file that can't be read, or is too short, is refused.
    pub fn new(file: Arc<dyn File>) -> io::Result<View> {
        let mut page = [0; WORDS * 8];
        let len = file.read_at(&mut page, 0)?;
        if len < page.len() {
            let error = format!("the shared page has {len} bytes instead of {}", page.len());
            return Err(io::Error::new(ErrorKind::UnexpectedEof, error));
        }
        let (words, _) = page.as_chunks();
        Ok(View { file, last: words.iter().map(|word| AtomicU64::new(u64::from_ne_bytes(*word))).collect() })
    }

    fn read(&self, word: usize) -> Option<u64> {
        let mut bytes = [0; 8];
        let offset = u64::try_from(word * 8).ok()?;
        let whole = matches!(self.file.read_at(&mut bytes, offset), Ok(8));
        whole.then(|| u64::from_ne_bytes(bytes))
    }
}

impl SharedPage for View {
    fn load(&self, word: usize) -> u64 {
        let last = &self.last[word];
        let mut seen = self.read(word);
        // A read isn't promised to be atomic: only what two in a row agree on was there.
        while let Some(value) = seen {
            let again = self.read(word);
            if again == seen {
                last.store(value, SeqCst);
                return value;
            }
            seen = again;
        }
        last.load(SeqCst)
    }

    fn store(&self, _: usize, _: u64) {
        refuse();
    }

    fn compare_exchange(&self, _: usize, _: u64, _: u64) -> Result<u64, u64> {
        refuse()
    }

    fn fetch_or(&self, _: usize, _: u64) -> u64 {
        refuse()
    }

    fn fetch_add(&self, _: usize, _: u64) -> u64 {
        refuse()
    }

    fn wait(&self, word: usize, expected: u32, timeout: Duration) {
        if self.load(word) & u64::from(u32::MAX) == u64::from(expected) {
            std::thread::sleep(timeout.min(NAP));
        }
    }

    fn wake_all(&self, _: usize) -> bool {
        false
    }

    fn make_writable(&self) -> io::Result<()> {
        Err(ErrorKind::PermissionDenied.into())
    }
}

fn refuse() -> ! {
    panic!("a store to the shared page through a read-only view")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::prepare::open_directory;
    use crate::files::quiet_thread::testing::{mount, with_mounts};
    use crate::files::storage::{Access, Directory};
    use std::time::Instant;

    #[test]
    fn it_reads_what_is_written_and_refuses_to_store() {
        let path = tempfile::tempdir().unwrap();
        let directory = open_directory(path.path(), 0o700, 0o600, false).unwrap();
        let file = directory.open("SHARED", Access::CreateNew).unwrap();
        assert_eq!(View::new(Arc::clone(&file)).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        file.write_at(&[0; 4096], 0).unwrap();
        let writer = directory.map(&file, true).unwrap();
        let view = View::new(directory.open("SHARED", Access::Read).unwrap()).unwrap();
        writer.store(511, 1 << 63 | 9);
        assert_eq!((view.load(511), view.load(0)), (1 << 63 | 9, 0));
        let start = Instant::now();
        view.wait(511, 8, Duration::from_secs(30));
        view.wait(511, 9, Duration::from_secs(30));
        view.wake_all(511);
        assert!(start.elapsed() >= NAP && start.elapsed() < Duration::from_secs(10));
        let stored = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| view.store(0, 1)));
        assert!(stored.is_err());
        std::fs::File::options().write(true).open(path.path().join("SHARED")).unwrap().set_len(0).unwrap();
        assert_eq!(view.load(511), 1 << 63 | 9, "what can't be read stays what it was");
    }

    #[test]
    fn a_reader_sees_past_a_copy_up() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path();
        with_mounts(|| {
            mount(&["-t", "tmpfs", "dirkv-test", base.to_str().unwrap()]);
            for name in ["lower", "upper", "work", "merged"] {
                std::fs::create_dir(base.join(name)).unwrap();
            }
            std::fs::write(base.join("lower/SHARED"), [0; 4096]).unwrap();
            let place = |name: &str| base.join(name).display().to_string();
            let options = format!("lowerdir={},upperdir={},workdir={}", place("lower"), place("upper"), place("work"));
            mount(&["-t", "overlay", "-o", &options, "overlay", &place("merged")]);
            let reader = open_directory(&base.join("merged"), 0o700, 0o600, true).unwrap();
            let page = reader.map(&reader.open("SHARED", Access::Read).unwrap(), false).unwrap();
            let writer = open_directory(&base.join("merged"), 0o700, 0o600, false).unwrap();
            let written = writer.map(&writer.open("SHARED", Access::Write).unwrap(), true).unwrap();
            written.store(7, 42);
            assert_eq!(page.load(7), 42);
        });
    }
}
