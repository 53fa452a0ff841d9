//! The judge is a Go program, `judge/`, around porcupine: built once, then asked.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::Result;

/// So long it may take over a history; most take milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// The judge, built.
pub struct Judge {
    program: PathBuf,
}

/// What it says.
#[derive(Debug)]
pub struct Verdict {
    /// One order explains every answer of every history.
    pub good: bool,
    /// Its words.
    pub text: String,
}

impl Judge {
    /// Builds it into `folder`; `None` where Go is missing.
    pub fn build(folder: &Path) -> Result<Option<Judge>> {
        let program = folder.join("judge");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("judge");
        let built = Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(source).output();
        match built {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            built => {
                let built = built?;
                if !built.status.success() {
                    return Err(format!("go build: {}", text(&built)).into());
                }
                Ok(Some(Judge { program }))
            }
        }
    }

    /// Judges a history. What one order doesn't explain, or what can't be decided in time, is not good.
    pub fn judge(&self, history: &Path) -> Result<Verdict> {
        self.judge_within(PATIENCE, history)
    }

    /// The same, with another limit than the usual.
    pub fn judge_within(&self, limit: Duration, history: &Path) -> Result<Verdict> {
        let limit = format!("{}ms", limit.as_millis());
        let output = Command::new(&self.program).args(["-timeout", &limit]).arg(history).output()?;
        match output.status.code() {
            Some(0) => Ok(Verdict { good: true, text: text(&output) }),
            Some(1) => Ok(Verdict { good: false, text: text(&output) }),
            _ => Err(format!("the judge ended with {}: {}", output.status, text(&output)).into()),
        }
    }

    /// What to type to have a history judged again.
    pub fn command(&self, history: &Path) -> String {
        format!("{} {}", self.program.display(), history.display())
    }
}

fn text(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}").trim_end().to_owned()
}
