//! Children: this program again, each with the store open by itself. They do what they are told, at one moment.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::engines::{self, Kind, Setup};
use crate::turn::{self, Outcome, Pace};
use crate::work::Spec;
use crate::{handoff, opening};

/// What a child is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Part {
    /// A worker, like a thread.
    Worker(Spec, Pace),
    /// One of two that hand a lock to each other.
    Holder(handoff::Holder),
    /// Opens the store, gets values, tells how long and how much memory that took, and ends.
    Opener(opening::Opener),
    /// Does so many upserts, and ends: strace looks at what they ask of the kernel.
    Counted(Spec, u64),
}

/// What a child is told first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The engine.
    pub kind: Kind,
    /// Its store.
    pub path: PathBuf,
    /// How it is opened.
    pub setup: Setup,
    /// What it does there.
    pub part: Part,
}

/// The argument that makes this program a child.
pub const CHILD: &str = "--child";

/// An order to a child; each is answered by one line of JSON.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Order {
    Prepare(u64),
    Go,
    Verify,
}

/// A running child. Ends with its standard input.
pub struct Process {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// The command that plays a part, to be started with its standard input and output as pipes.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(CHILD).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The program of this run.
pub fn this_program() -> Result<PathBuf> {
    // A test names the program that it tests; it is none itself.
    Ok(std::env::var_os("PEERS_PROGRAM").map_or_else(std::env::current_exe, |path| Ok(PathBuf::from(path)))?)
}

impl Process {
    /// Starts one and tells it its task.
    pub fn start(task: &Task) -> Result<Process> {
        let mut child = command(&this_program()?).spawn()?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut process = Process { child, orders, answers };
        process.tell(task)?;
        Ok(process)
    }

    /// Sends one line.
    pub fn tell(&mut self, what: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(what)?;
        line.push(b'\n');
        Ok(self.orders.as_mut().ok_or("no pipe")?.write_all(&line)?)
    }

    /// Waits for the next answer.
    pub fn hear<T: for<'a> Deserialize<'a>>(&mut self) -> Result<T> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("a child ended without an answer".into());
        }
        serde_json::from_str::<std::result::Result<T, String>>(&line)?.map_err(Into::into)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.orders = None;
        // What it has done was judged by its answers; a child that has ended otherwise is gone as well.
        let _ = self.child.wait();
    }
}

/// Workers in processes of their own.
pub struct Team(Vec<Process>);

impl Team {
    /// Starts them; each opens the store at once.
    pub fn start(tasks: impl IntoIterator<Item = Task>) -> Result<Team> {
        Ok(Team(tasks.into_iter().map(|task| Process::start(&task)).collect::<Result<_>>()?))
    }

    /// One round of all.
    pub fn round(&mut self, round: u64) -> Result<Vec<Outcome>> {
        self.all::<()>(Order::Prepare(round))?;
        let outcomes = self.all(Order::Go)?;
        self.all::<()>(Order::Verify)?;
        Ok(outcomes)
    }

    fn all<T: for<'a> Deserialize<'a>>(&mut self, order: Order) -> Result<Vec<T>> {
        self.0.iter_mut().try_for_each(|process| process.tell(&order))?;
        self.0.iter_mut().map(Process::hear).collect()
    }
}

/// Sends an answer to the parent.
pub fn answer<T: Serialize>(result: Result<T>) -> Result<()> {
    let mut line = serde_json::to_vec(&result.map_err(|error| error.to_string()))?;
    line.push(b'\n');
    Ok(io::stdout().write_all(&line)?)
}

/// The next line from the parent; `None` when there is no more.
pub fn next<T: for<'a> Deserialize<'a>>() -> Result<Option<T>> {
    let mut line = String::new();
    Ok(if io::stdin().read_line(&mut line)? == 0 { None } else { Some(serde_json::from_str(&line)?) })
}

/// What this program does as a child.
pub fn play() -> Result<()> {
    let Some(task) = next::<Task>()? else { return Ok(()) };
    match &task.part {
        Part::Worker(spec, pace) => worker(&task, spec, *pace),
        Part::Holder(holder) => handoff::play(&task, holder),
        Part::Opener(opener) => answer(opening::play(&task, opener)),
        Part::Counted(spec, count) => answer(counted(&task, spec, *count)),
    }
}

fn worker(task: &Task, spec: &Spec, pace: Pace) -> Result<()> {
    let mut work = spec.build();
    // What this program takes for itself is no memory of the engine's: what it has before the open, and its choices.
    let mut own = opening::private_memory()?;
    let engine = match engines::open(task.kind, &task.path, &task.setup) {
        Ok(engine) => engine,
        Err(error) => return answer::<()>(Err(error)),
    };
    let mut owned = engine.session()?;
    let session = owned.as_mut();
    let mut warmed = 0;
    while let Some(order) = next::<Order>()? {
        match order {
            Order::Prepare(round) => {
                let before = opening::private_memory()?;
                let prepared = work.prepare(session, round);
                own = (own + opening::private_memory()?).saturating_sub(before);
                let ready = prepared.and_then(|()| turn::warm_up(work.as_mut(), session, pace));
                answer(ready.map(|done| warmed = done))?;
            }
            Order::Go => {
                let outcome = turn::turn(work.as_mut(), session, pace);
                let private = opening::private_memory()?.saturating_sub(own);
                answer(outcome.map(|outcome| Outcome { private, warmed, ..outcome }))?;
            }
            Order::Verify => {
                let rested = if spec.what.reads_only() { Ok(()) } else { engine.rest() };
                answer(rested.and_then(|()| work.verify(session)))?;
            }
        }
    }
    Ok(())
}

fn counted(task: &Task, spec: &Spec, count: u64) -> Result<()> {
    let mut work = spec.build();
    let engine = engines::open(task.kind, &task.path, &task.setup)?;
    let mut session = engine.session()?;
    work.prepare(session.as_mut(), 0)?;
    for _ in 0..count {
        work.step(session.as_mut())?;
    }
    // The raw limit's changes can't be read back.
    if task.kind.is_store() { work.verify(session.as_mut()) } else { Ok(()) }
}
