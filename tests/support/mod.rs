//! What the tests with real processes share: a child is this test program again, told by its environment which part to
//! play. It reports in lines on its standard output that begin with `@`, and takes orders from its standard input.

#![allow(dead_code, reason = "each test program uses its part")]

pub mod allotted;

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use dirkv::backend::Params;
use dirkv::{Backend, Code, Error};

/// Who hears nothing for so long says that something hangs.
pub const HANGS: Duration = Duration::from_secs(120);

const PART: &str = "DIRKV_TEST_PART";
const STORE: &str = "DIRKV_TEST_STORE";
const SETTINGS: &str = "DIRKV_TEST_SETTINGS";

/// Parameters of a store whose segments are small, so that rolls, seals and merges come often.
pub fn params(path: &Path, settings: &[(&str, &str)]) -> Params {
    let mut params = Params::new();
    params.set_path(path).unwrap();
    params.set("segment_size", "64KiB").unwrap();
    settings.iter().for_each(|(name, value)| params.set(name, value).unwrap());
    params
}

/// Opens such a store.
#[track_caller]
pub fn open(path: &Path) -> Backend {
    open_with(path, &[])
}

/// The same, with more parameters.
#[track_caller]
pub fn open_with(path: &Path, settings: &[(&str, &str)]) -> Backend {
    Backend::open(&params(path, settings)).unwrap_or_else(|e| panic!("can't open {}: {e}", path.display()))
}

/// Everything of a store, by path.
#[track_caller]
pub fn dump(store: &Backend) -> BTreeMap<String, Vec<u8>> {
    let items = store.items("", None, 0, true).unwrap_or_else(|e| panic!("can't list: {e}"));
    items.into_iter().map(|item| (item.name, item.value)).collect()
}

/// Fails unless every byte on disk is well.
#[track_caller]
pub fn assert_clean(store: &Backend) {
    let findings = store.check().unwrap_or_else(|e| panic!("can't check: {e}"));
    assert!(findings.is_empty(), "check says: {findings:#?}");
}

/// Says that a test couldn't run here, past the test harness, which would keep it to itself.
pub fn skipped(test: &str, why: &str) {
    let _ = writeln!(io::stderr(), "\nSKIPPED: {test}: {why}");
}

/// Whether a program can be started on this machine.
pub fn has(program: &str) -> bool {
    Command::new(program).arg("--version").stdin(Stdio::null()).output().is_ok()
}

/// Whether this test may mount and change its user.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The number that a random test begins with: from the environment, else from the clock; printed, so that a run can be had again.
pub fn seed() -> u64 {
    let told = std::env::var("DIRKV_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = told.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("DIRKV_TEST_SEED={seed}");
    seed
}

/// What a child knows of its part.
pub struct Part {
    /// The store's directory.
    pub path: PathBuf,
    settings: String,
}

impl Part {
    /// The value of a setting that the parent gave.
    #[track_caller]
    pub fn setting(&self, name: &str) -> &str {
        let mut pairs = self.settings.split('\n').filter_map(|line| line.split_once('='));
        pairs.find(|(key, _)| *key == name).unwrap_or_else(|| panic!("no setting {name}")).1
    }

    /// The same, as a number.
    #[track_caller]
    pub fn number(&self, name: &str) -> u64 {
        self.setting(name).parse().unwrap()
    }

    /// Tells the parent, by one write.
    pub fn report(&self, what: impl std::fmt::Display) {
        // The parent may be gone; then so is this child soon.
        let _ = io::stdout().write_all(format!("@{what}\n").as_bytes());
    }

    /// The parent's next order; `None` once it has closed the pipe.
    pub fn order(&self) -> Option<String> {
        let mut line = String::new();
        let got = io::stdin().read_line(&mut line).unwrap_or(0);
        (got > 0).then(|| line.trim_end().to_owned())
    }
}

/// What a part does.
pub type Play = fn(&Part);

/// To be called by the test named `child` of each test program: plays the part that the environment names, if it does.
pub fn play(parts: &[(&str, Play)]) {
    let Ok(name) = std::env::var(PART) else { return };
    let text = |name| std::env::var(name).unwrap_or_default();
    let part = Part { path: text(STORE).into(), settings: text(SETTINGS) };
    let (_, f) = parts.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no part {name}"));
    f(&part);
}

/// A running child.
pub struct Child {
    process: std::process::Child,
    /// Its standard input.
    orders: Option<ChildStdin>,
    lines: Receiver<String>,
    name: String,
}

impl Child {
    /// The command that plays a part on a store.
    pub fn command(part: &str, path: &Path, settings: &[(&str, String)]) -> Command {
        Child::command_under(&[], part, path, settings)
    }

    /// The same, under another program such as `strace`.
    pub fn command_under(outer: &[&str], part: &str, path: &Path, settings: &[(&str, String)]) -> Command {
        let me = std::env::current_exe().unwrap();
        let mut command = match outer.split_first() {
            None => Command::new(me),
            Some((program, args)) => {
                let mut command = Command::new(program);
                command.args(args).arg(me);
                command
            }
        };
        let settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
        // Where cargo has the loader look first: calls that a test which counts calls would count.
        command.env_remove("LD_LIBRARY_PATH");
        command.env(PART, part).env(STORE, path).env(SETTINGS, settings.join("\n"));
        command
    }

    /// Starts a child.
    #[track_caller]
    pub fn start(part: &str, path: &Path, settings: &[(&str, String)]) -> Child {
        Child::spawn(part, Child::command(part, path, settings))
    }

    /// Starts a command made by [`Child::command`].
    #[track_caller]
    pub fn spawn(name: &str, mut command: Command) -> Child {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|e| panic!("can't start {command:?}: {e}"));
        let orders = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                // The harness prints in between, and before a first line.
                if let Some((_, said)) = line.split_once('@')
                    && send.send(said.to_owned()).is_err()
                {
                    return;
                }
            }
        });
        Child { process, orders, lines, name: name.to_owned() }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its next line; `None` once it has ended.
    #[track_caller]
    pub fn try_line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(HANGS) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("{} hangs", self.name),
        }
    }

    /// Its next line.
    #[track_caller]
    pub fn line(&mut self) -> String {
        self.try_line().unwrap_or_else(|| panic!("{} ended early: {:?}", self.name, self.process.wait()))
    }

    /// Waits until it says this.
    #[track_caller]
    pub fn expect(&mut self, what: &str) {
        let line = self.line();
        assert_eq!(line, what, "said by {}", self.name);
    }

    /// What it has said and nobody has read yet.
    pub fn said(&mut self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Gives it an order.
    #[track_caller]
    pub fn order(&mut self, what: impl std::fmt::Display) {
        let orders = self.orders.as_mut().unwrap();
        orders
            .write_all(format!("{what}\n").as_bytes())
            .unwrap_or_else(|e| panic!("{} takes no orders: {e}", self.name));
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Kills it; returns what it said last. Fails if it has ended by itself.
    #[track_caller]
    pub fn kill(mut self) -> Vec<String> {
        let ended = self.process.try_wait().unwrap();
        assert!(ended.is_none(), "{} ended by itself: {ended:?}", self.name);
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let mut said = Vec::new();
        while let Some(line) = self.try_line() {
            said.push(line);
        }
        said
    }

    /// Waits for its end; returns what it said last, and how it ended.
    #[track_caller]
    pub fn end(mut self) -> (Vec<String>, ExitStatus) {
        drop(self.orders.take());
        let mut said = Vec::new();
        while let Some(line) = self.try_line() {
            said.push(line);
        }
        (said, self.process.wait().unwrap())
    }

    /// Waits for its end, which has to be a good one; returns what it said last.
    #[track_caller]
    pub fn finish(self) -> Vec<String> {
        let name = self.name.clone();
        let (said, status) = self.end();
        assert!(status.success(), "{name} ended with {status} (signal {:?}), saying {said:?}", status.signal());
        said
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Ends this program if the test that holds this takes too long: an endless loop then has a name.
pub struct Watchdog(std::sync::mpsc::Sender<()>);

impl Watchdog {
    /// Watches from now on.
    pub fn new(test: &'static str) -> Watchdog {
        let (held, gone) = channel::<()>();
        std::thread::spawn(move || {
            loop {
                match gone.recv_timeout(HANGS) {
                    Ok(()) => (),
                    Err(RecvTimeoutError::Disconnected) => break,
                    Err(RecvTimeoutError::Timeout) => {
                        let _ = writeln!(io::stderr(), "{test} hangs");
                        std::process::abort();
                    }
                }
            }
        });
        Watchdog(held)
    }

    /// Tells it that one of many cases is over: a test may take long, none of its cases may.
    pub fn goes_on(&self) {
        let _ = self.0.send(());
    }
}

/// Copies a directory of plain files.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match std::fs::copy(entry.path(), to.join(entry.file_name())) {
            // A live store may have removed it meanwhile.
            Err(e) if e.kind() == io::ErrorKind::NotFound => (),
            result => drop(result.unwrap()),
        }
    }
}

/// The bytes of every file of a directory.
pub fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
    entries.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap())).collect()
}

/// A filesystem in a file, mounted; gone with this.
pub struct Mounted {
    dir: tempfile::TempDir,
}

impl Mounted {
    /// Makes an empty one; says so if that can't be done here.
    pub fn new(test: &str, make: &str, size: &str) -> Option<Mounted> {
        let refused = |why: &str| {
            skipped(test, why);
            None
        };
        if !is_root() {
            return refused("needs root");
        }
        let dir = tempfile::tempdir().unwrap();
        let mounted = Mounted { dir };
        let (image, point) = (mounted.dir.path().join("image"), mounted.point());
        std::fs::create_dir(&point).unwrap();
        let runs = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        if !runs(Command::new("truncate").args(["-s", size]).arg(&image))
            || !runs(Command::new(make).arg("-q").arg(&image))
        {
            return refused(&format!("needs {make}"));
        }
        if !runs(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&point)) {
            return refused("needs to mount a loop device");
        }
        Some(mounted)
    }

    /// Where it is mounted.
    pub fn point(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.point()).output();
    }
}

/// An error that says of damage, and names a file of the store.
#[track_caller]
pub fn assert_names_damage(e: &Error, what: &str) {
    assert!(matches!(e.code, Code::Corrupt | Code::Unsupported), "{what}: {:?} {e}", e.code);
    let named = ["MANIFEST", "SHARED", "LOCK", "log-", "table-"].iter().any(|name| e.message.contains(name));
    assert!(named || e.message.contains("format version"), "{what}: names nothing: {e}");
}
