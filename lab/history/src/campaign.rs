//! Many runs, each from a seed of its own and judged at once. The folder of one that isn't good is kept.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::Result;
use crate::judge::Judge;
use crate::plan::Plan;
use crate::run::{self, Broken, Run, run};

/// What every round needs.
pub struct Campaign {
    /// The program that plays a worker.
    pub program: PathBuf,
    /// Who judges.
    pub judge: Judge,
    /// Whether strace is there, so that system calls can be made to fail.
    pub strace: bool,
    /// What is broken in the workers.
    pub broken: Broken,
}

/// A run with its verdict.
pub struct Round {
    /// What was planned.
    pub plan: Plan,
    /// What was done.
    pub run: Run,
    /// What is wrong; nothing, if all is well.
    pub problems: Vec<String>,
    folder: TempDir,
    judged_by: String,
}

impl Campaign {
    /// Runs what the seed says, and judges it.
    pub fn round(&self, seed: u64) -> Result<Round> {
        let plan = Plan::draw(seed, self.strace);
        let folder = tempfile::Builder::new().prefix("dirkv-history-").tempdir()?;
        let mut run = run(&plan, folder.path(), &self.program, self.broken)?;
        let history = run::history(folder.path());
        let mut problems = std::mem::take(&mut run.findings);
        let verdict = self.judge.judge(&history)?;
        if !verdict.good {
            problems.push(verdict.text);
        }
        Ok(Round { plan, run, problems, folder, judged_by: self.judge.command(&history) })
    }
}

impl Round {
    /// Where its history is, as long as this lives.
    pub fn history(&self) -> PathBuf {
        run::history(self.folder.path())
    }

    /// Keeps the folder, and says, there too, what is wrong and how to go on.
    pub fn keep(self) -> Result<String> {
        let Round { plan, problems, folder, judged_by, .. } = self;
        let path = folder.keep();
        let text = format!(
            "seed {seed}: {problems}\n\
            kept in {path}\n\
            judge it again:   {judged_by}\n\
            such a run again: cargo run -p history -- 0 {seed}\n",
            seed = plan.seed,
            problems = problems.join("\n"),
            path = path.display(),
        );
        fs::write(path.join("why"), &text)?;
        Ok(text)
    }
}

/// Whether strace can be started here.
pub fn has_strace() -> bool {
    let tried = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}
