//! What a run was done on and with: the head of its report.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::Result;
use crate::arguments::Arguments;

/// One line each of the head.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Of the run, in UTC.
    pub date: String,
    /// How it was called.
    pub command: String,
    /// Of the form.
    pub form: String,
    /// Processor, cores, memory.
    pub machine: String,
    /// The kernel.
    pub kernel: String,
    /// On which the stores were.
    pub filesystem: String,
    /// Of the engines and the compiler.
    pub versions: Vec<String>,
    /// Processes that ran or wanted to when it began: more than one means that it was not alone.
    pub load: String,
}

/// Looks at it.
pub fn describe(folder: &Path, arguments: &Arguments) -> Result<Machine> {
    let uname = rustix::system::uname();
    let mut command: Vec<String> = ["peers".to_owned()].into_iter().chain(std::env::args().skip(1)).collect();
    if !command.iter().any(|word| word.starts_with("--seed")) {
        command.push(format!("--seed {}", arguments.seed));
    }
    let form = &arguments.form;
    let mut versions: Vec<String> = arguments.kinds.iter().map(|kind| kind.version()).collect();
    versions.push(env!("PEERS_RUSTC").to_owned());
    Ok(Machine {
        date: output("date", &["--utc", "+%F %H:%M UTC"])?,
        command: command.join(" "),
        form: format!(
            "{}: turns of {} ms, {} rounds, the order drawn from the seed",
            form.name,
            form.span.as_millis(),
            form.rounds
        ),
        machine: format!("{}, {} cores, {}", processor()?, std::thread::available_parallelism()?, memory()?),
        kernel: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
        filesystem: filesystem(folder)?,
        versions,
        load: fs::read_to_string("/proc/loadavg")?.split(' ').next().unwrap_or_default().to_owned(),
    })
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    Ok(String::from_utf8(Command::new(program).args(arguments).output()?.stdout)?.trim().to_owned())
}

/// What follows a name and a colon in a file of the kernel's.
fn field(path: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find(|line| line.starts_with(name));
    Ok(line.and_then(|line| line.split_once(':')).map_or("unknown", |(_, value)| value.trim()).to_owned())
}

fn processor() -> Result<String> {
    field("/proc/cpuinfo", "model name")
}

fn memory() -> Result<String> {
    let kib: u64 = field("/proc/meminfo", "MemTotal")?.trim_end_matches("kB").trim().parse()?;
    Ok(format!("{} GiB", (kib + (1 << 19)) >> 20))
}

/// Type and options of the mount that holds the folder.
fn filesystem(folder: &Path) -> Result<String> {
    let (folder, mounts) = (folder.canonicalize()?, fs::read_to_string("/proc/self/mounts")?);
    let mount = |line: &str| {
        let mut words = line.split(' ').skip(1).map(str::to_owned);
        let (place, kind, options) = (words.next()?, words.next()?, words.next()?);
        folder.starts_with(&place).then_some((place.len(), format!("{kind} ({options})")))
    };
    let best = mounts.lines().filter_map(mount).max_by_key(|(len, _)| *len);
    Ok(best.map_or_else(|| "unknown".to_owned(), |(_, text)| text))
}
