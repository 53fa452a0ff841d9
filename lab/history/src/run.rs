//! A run: starts the processes, kills, stops and restarts them as planned, and gathers their logs into one history, to which
//! it adds a last look of its own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::ops::AddAssign;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use dirkv::Backend;
use rustix::process::{Pid, Signal, kill_process};

use crate::Result;
use crate::history::Ask;
use crate::log::{self, Log, now};
use crate::perform::perform;
use crate::plan::{Event, LENGTH, Plan};
use crate::worker::{self, Task};

/// Who hasn't ended so long after the time was over says that something hangs.
const HANGS: Duration = Duration::from_secs(60);

/// What was done, and to how many.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Operations in the history.
    pub operations: usize,
    /// Those of which nobody was told whether they happened.
    pub unanswered: usize,
    /// Processes killed.
    pub kills: usize,
    /// Processes stopped for a while.
    pub stops: usize,
    /// System calls that were made to fail, or to take long.
    pub faults: usize,
    /// Operations of each kind that were answered `OK`, by the name of the call, and by its name in C.
    pub kinds: BTreeMap<String, usize>,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.operations += other.operations;
        self.unanswered += other.unanswered;
        self.kills += other.kills;
        self.stops += other.stops;
        self.faults += other.faults;
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
    }
}

/// A run that is over.
#[derive(Debug, Default)]
pub struct Run {
    /// How much there was of what.
    pub counts: Counts,
    /// What was odd, beside what the history may tell.
    pub findings: Vec<String>,
}

/// Where the history of a run is.
pub fn history(folder: &Path) -> PathBuf {
    folder.join("history.jsonl")
}

/// What is broken on purpose in the processes of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Broken {
    /// One of those that `DIRKV_SABOTAGE` may name.
    pub sabotage: Option<&'static str>,
    /// So many nanoseconds the clocks of their stores are ahead.
    pub ahead: i64,
}

/// Performs the plan in an empty folder. `program` is the one that plays a worker.
pub fn run(plan: &Plan, folder: &Path, program: &Path, broken: Broken) -> Result<Run> {
    let (store, logs) = (folder.join("store"), folder.join("logs"));
    fs::create_dir(&logs)?;
    fs::write(folder.join("plan"), format!("{plan:#?}\n"))?;
    drop(Backend::open(&worker::params(&store, &[("sync", plan.sync)], 0)?)?);
    let until = now() + u64::try_from(LENGTH.as_nanos())?;
    let mut stage =
        Stage { plan, store, logs, program, broken, until, playing: Vec::new(), gone: Vec::new(), run: Run::default() };
    let played = stage.play();
    // Whatever went wrong, nobody is left behind.
    stage.playing.iter_mut().flatten().for_each(Player::kill);
    played?;
    stage.gather(&history(folder))?;
    Ok(stage.run)
}

/// A process that plays a role.
struct Player {
    process: u32,
    threads: u32,
    through_c: bool,
    child: Child,
}

/// A process that has ended.
struct Gone {
    process: u32,
    threads: u32,
    through_c: bool,
    end: u64,
}

struct Stage<'a> {
    plan: &'a Plan,
    store: PathBuf,
    logs: PathBuf,
    program: &'a Path,
    broken: Broken,
    until: u64,
    /// One a role.
    playing: Vec<Option<Player>>,
    gone: Vec<Gone>,
    run: Run,
}

impl Stage<'_> {
    fn play(&mut self) -> Result<()> {
        let begin = Instant::now();
        for role in 0..self.plan.roles.len() {
            let player = self.start(role)?;
            self.playing.push(Some(player));
        }
        for (at, event) in &self.plan.events {
            thread::sleep(at.saturating_sub(begin.elapsed()));
            match *event {
                Event::Stop(role) => {
                    self.run.counts.stops += 1;
                    self.signal(role, Signal::STOP)?;
                }
                Event::Continue(role) => self.signal(role, Signal::CONT)?,
                Event::Kill(role) => self.kill(&[role])?,
                Event::KillAll => self.kill(&(0..self.plan.roles.len()).collect::<Vec<_>>())?,
            }
        }
        // A role that was killed after its stop began anew in between; nobody else is stopped now.
        self.finish()
    }

    fn start(&self, role: usize) -> Result<Player> {
        let process = self.next_process()?;
        let cast = self.plan.roles[role].clone();
        let task = Task {
            store: self.store.clone(),
            logs: self.logs.clone(),
            process,
            role: cast.clone(),
            leases: self.plan.leases,
            seed: self.plan.seed.wrapping_mul(1_000).wrapping_add(u64::from(process) * 10),
            until: self.until,
            ahead: self.broken.ahead,
        };
        let mut command = self.command(&cast.faults, process);
        command.arg("worker").arg(serde_json::to_string(&task)?);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(self.logs.join(format!("process-{process}-errors")))?);
        Ok(Player { process, threads: cast.threads, through_c: cast.through_c, child: command.spawn()? })
    }

    /// The program, under strace if its system calls are to fail: `-D` makes strace the grandchild and the program the child.
    fn command(&self, faults: &[String], process: u32) -> Command {
        let mut command = match faults {
            [] => Command::new(self.program),
            faults => {
                let mut strace = Command::new("strace");
                strace.args(["-D", "-f", "--seccomp-bpf", "-qqq", "-e", "signal=none", "-o"]);
                strace.arg(self.logs.join(format!("process-{process}-faults")));
                let calls: Vec<_> = faults.iter().filter_map(|f| f.split(['=', ':']).nth(1)).collect();
                strace.args(["-e", &format!("trace={}", calls.join(","))]);
                for fault in faults {
                    strace.args(["-e", fault]);
                }
                strace.arg(self.program);
                strace
            }
        };
        if let Some(sabotage) = self.broken.sabotage {
            command.env("DIRKV_SABOTAGE", sabotage);
        }
        command
    }

    fn signal(&self, role: usize, signal: Signal) -> Result<()> {
        if let Some(player) = &self.playing[role] {
            player.wait_for_strace();
            kill_process(Pid::from_child(&player.child), signal)?;
        }
        Ok(())
    }

    /// Kills those who play these roles, and starts others.
    fn kill(&mut self, roles: &[usize]) -> Result<()> {
        let mut dead: Vec<_> = roles.iter().filter_map(|role| self.playing[*role].take()).collect();
        for player in &mut dead {
            player.wait_for_strace();
            // One that asked so often that it rests has ended already.
            if player.child.try_wait()?.is_none() {
                self.run.counts.kills += 1;
                kill_process(Pid::from_child(&player.child), Signal::KILL)?;
            }
        }
        for mut player in dead {
            let status = player.child.wait()?;
            let well = status.success() || status.signal() == Some(Signal::KILL.as_raw());
            self.over(&player, (!well).then(|| status.to_string()))?;
        }
        for role in roles {
            self.playing[*role] = Some(self.start(*role)?);
        }
        Ok(())
    }

    /// Waits for all to end.
    fn finish(&mut self) -> Result<()> {
        let late = Instant::now() + LENGTH + HANGS;
        for role in 0..self.playing.len() {
            let Some(mut player) = self.playing[role].take() else { continue };
            let badly = loop {
                match player.child.try_wait()? {
                    Some(status) => break (!status.success()).then(|| status.to_string()),
                    None if Instant::now() > late => {
                        player.kill();
                        break Some("SIGKILL, because it hung".to_owned());
                    }
                    None => thread::sleep(Duration::from_millis(2)),
                }
            };
            self.over(&player, badly)?;
        }
        Ok(())
    }

    /// Notes that a process has ended, and how if that wasn't well.
    fn over(&mut self, player: &Player, badly: Option<String>) -> Result<()> {
        let Player { process, threads, through_c, .. } = *player;
        if let Some(how) = badly {
            let said = fs::read_to_string(self.logs.join(format!("process-{process}-errors")))?;
            self.run.findings.push(format!("process {process} ended with {how}, saying {said:?}"));
        }
        self.gone.push(Gone { process, threads, through_c, end: now() });
        Ok(())
    }

    /// Puts the logs together. The last operations are this process's: what is there in the end must follow from the rest.
    fn gather(&mut self, path: &Path) -> Result<()> {
        let mut operations = Vec::new();
        for Gone { process, threads, through_c, end } in &self.gone {
            let done = log::read(&self.logs, *process, *threads, *end)?;
            for operation in done.iter().filter(|operation| operation.answer.outcome == "OK") {
                let kind = format!("{}{}", if *through_c { "dirkv_" } else { "" }, operation.ask.name()?);
                *self.run.counts.kinds.entry(kind).or_default() += 1;
            }
            operations.extend(done);
            if let Ok(faults) = fs::read_to_string(self.logs.join(format!("process-{process}-faults"))) {
                self.run.counts.faults +=
                    faults.lines().filter(|line| line.ends_with("(INJECTED)") || line.ends_with("(DELAYED)")).count();
            }
        }
        match self.last_look() {
            Ok(found) => self.run.findings.extend(found),
            Err(e) => self.run.findings.push(format!("the last look: {e}")),
        }
        operations.extend(log::read(&self.logs, self.next_process()?, 1, now())?);
        self.run.counts.operations = operations.len();
        self.run.counts.unanswered = operations.iter().filter(|o| o.answer.is_unknown()).count();
        let mut file = BufWriter::new(File::create(path)?);
        for operation in &operations {
            serde_json::to_writer(&mut file, operation)?;
            file.write_all(b"\n")?;
        }
        Ok(file.flush()?)
    }

    /// Looks at everything once more; what `check` finds.
    fn last_look(&self) -> Result<Vec<String>> {
        let store = Backend::open(&worker::params(&self.store, &[], 0)?)?;
        let mut log = Log::create(&self.logs, self.next_process()?, 0)?;
        for ask in [Ask::Items { key: String::new() }, Ask::Locks {}] {
            log.around(&ask, || perform(&store, &ask))?;
        }
        Ok(store.check()?)
    }

    /// No two processes of a history have the same number.
    fn next_process(&self) -> Result<u32> {
        Ok(u32::try_from(self.gone.len() + self.playing.iter().flatten().count())?)
    }
}

impl Player {
    fn kill(&mut self) {
        self.wait_for_strace();
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Strace, while it begins, is the child itself and tries things out on a process that would outlive it, stopped for ever.
    fn wait_for_strace(&self) {
        let program = format!("/proc/{}/exe", self.child.id());
        let late = Instant::now() + HANGS;
        while fs::read_link(&program).is_ok_and(|path| path.ends_with("strace")) && Instant::now() < late {
            thread::sleep(Duration::from_micros(200));
        }
    }
}
