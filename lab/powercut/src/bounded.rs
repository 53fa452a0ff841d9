//! Programs that are waited for, but not for ever.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Who takes longer hangs.
pub const HANGS: Duration = Duration::from_secs(60);

/// A child that does not outlive this.
pub struct Bounded {
    child: Child,
    name: String,
    until: Instant,
}

impl Bounded {
    /// Starts a program. What it prints should be little: nobody reads it before the end.
    pub fn start(command: &mut Command) -> io::Result<Bounded> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let part = command.get_args().next().unwrap_or_default();
        let name = format!("{} {}", command.get_program().display(), part.display());
        let child = child.map_err(|e| io::Error::new(e.kind(), format!("{name}: {e}")))?;
        Ok(Bounded { child, name, until: Instant::now() + HANGS })
    }

    /// Whether it has not ended yet; an error once it hangs.
    pub fn runs(&mut self) -> io::Result<bool> {
        match self.child.try_wait()? {
            Some(_) => Ok(false),
            None if Instant::now() > self.until => {
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("{} hangs", self.name)))
            }
            None => Ok(true),
        }
    }

    /// Waits for a good end; else the error says how it ended and what it said.
    pub fn finish(&mut self) -> io::Result<()> {
        while self.runs()? {
            std::thread::sleep(Duration::from_millis(1));
        }
        let status = self.child.wait()?;
        if status.success() {
            return Ok(());
        }
        let mut said = String::new();
        self.child.stdout.take().map(|mut out| out.read_to_string(&mut said)).transpose()?;
        self.child.stderr.take().map(|mut err| err.read_to_string(&mut said)).transpose()?;
        Err(io::Error::other(format!("{}: {status}: {}", self.name, said.trim())))
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        // One that waits for a disk that is gone takes note of it later: it isn't waited for.
        let _ = self.child.kill();
        let _ = self.child.try_wait();
    }
}

/// Runs a program to a good end.
pub fn run(program: &str, args: &[&str]) -> io::Result<()> {
    Bounded::start(Command::new(program).args(args))?.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_end_says_what_the_program_said() {
        run("true", &[]).unwrap();
        let e = run("sh", &["-c", "echo so it goes; exit 3"]).unwrap_err().to_string();
        assert!(e.contains("so it goes") && e.contains('3'), "{e}");
        assert!(run("no-such-program-here", &[]).unwrap_err().to_string().contains("no-such-program-here"));
    }
}
