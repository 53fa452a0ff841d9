//! What the tests of the C ABI share: the library as it is shipped, a C compiler, and running things.

#![allow(dead_code, reason = "each test program uses its part")]

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The flags under which a header of ours must compile, and our own C too.
pub const STRICT: [&str; 5] = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-O1"];

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Says that a test couldn't run here, past the test harness, which would keep it to itself. `.ci/run` counts these lines.
pub fn skipped(test: &str, why: &str) {
    let _ = writeln!(io::stderr(), "\nSKIPPED: {test}: {why}");
}

/// Whether a program is on this machine.
pub fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Runs a command; fails the test, with all that it said, if it can't be run or ends badly.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("can't run {command:?}: {error}"));
    assert!(output.status.success(), "{command:?} ended with {}\n{}", output.status, said(&output));
    output
}

/// What a command printed.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A folder of this test program, emptied.
#[track_caller]
pub fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap_or_else(|error| panic!("can't make {}: {error}", path.display()));
    path
}

/// A folder of this test program that keeps what earlier runs built there.
#[track_caller]
pub fn folder_kept(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&path).unwrap_or_else(|error| panic!("can't make {}: {error}", path.display()));
    path
}

/// A folder with the library that is shipped, built in release mode, and the link of its SONAME as an install makes it.
#[track_caller]
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| build("release", &["--release"], None))
}

/// Builds the library with these flags and returns a folder as [`library`] does.
#[track_caller]
pub fn build(profile: &str, flags: &[&str], target: Option<&Path>) -> PathBuf {
    let target = target.map_or_else(target_folder, Path::to_owned);
    let mut cargo = Command::new(env!("CARGO"));
    run(cargo.args(["build", "--lib", "--target-dir"]).arg(&target).args(flags).current_dir(root()));
    let built = target.join(profile);
    let folder = built.join("c-abi");
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("can't make {}: {error}", folder.display()));
    for (link, file) in
        [("libdirkv.so", "libdirkv.so"), (soname().as_str(), "libdirkv.so"), ("libdirkv.a", "libdirkv.a")]
    {
        // Several tests may do this at once: who finds the link made is content.
        let made = symlink(built.join(file), folder.join(link));
        assert!(made.is_ok() || folder.join(link).exists(), "can't link {link}: {made:?}");
    }
    folder
}

/// The name under which programs look for the shared library.
pub fn soname() -> String {
    format!("libdirkv.so.{}", env!("CARGO_PKG_VERSION_MAJOR"))
}

/// Where cargo builds: the folder above that of this test program's temporary files.
fn target_folder() -> PathBuf {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    temporary.parent().unwrap_or(temporary).to_owned()
}

/// How a C program is linked with the library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// With libdirkv.so.
    Dynamic,
    /// With libdirkv.a, wholly static.
    Static,
}

/// Compiles a C program of ours, which lies at `source` below the repository.
#[track_caller]
pub fn compile(source: &str, program: &Path, link: Link) {
    let library = library();
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-D_GNU_SOURCE", "-g", "-pthread"]).args(STRICT);
    cc.arg("-I").arg(root().join("include")).arg(root().join(source)).arg("-o").arg(program);
    match link {
        Link::Dynamic => cc.arg("-L").arg(library).arg("-ldirkv"),
        Link::Static => cc.arg("-static").arg(library.join("libdirkv.a")).args(["-lm", "-ldl"]),
    };
    run(&mut cc);
}

/// A command that finds the shared library.
pub fn with_library(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", library());
    command
}

/// The names of the header's functions, in its order: what stands before "(" in a line that begins in the first column.
#[track_caller]
pub fn header_functions() -> Vec<String> {
    let header = fs::read_to_string(root().join("include/dirkv.h")).unwrap_or_else(|e| panic!("no header: {e}"));
    let begins = header.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    let named = begins.filter(|line| !line.starts_with("typedef")).filter_map(|line| {
        let (before, _) = line.split_once('(')?;
        Some(before.rsplit([' ', '*']).next()?.to_owned())
    });
    named.collect()
}
