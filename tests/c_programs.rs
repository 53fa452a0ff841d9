//! The C programs of tests/c: each linked with the shared library and with the archive, and run under valgrind. A program
//! gets an empty folder, prints nothing, and ends with 0.

#[path = "support/c.rs"]
mod c;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const PROGRAMS: [&str; 9] = ["calls", "callbacks", "fork", "lists", "locks", "names", "pointers", "trouble", "values"];

/// Compiles a program and returns it with the folder for its store.
#[track_caller]
fn compiled(name: &str, link: c::Link) -> (std::path::PathBuf, std::path::PathBuf) {
    let folder = c::folder(&format!("c-{name}-{link:?}"));
    let program = folder.join(name);
    c::compile(&format!("tests/c/{name}.c"), &program, link);
    (program, folder)
}

#[track_caller]
fn silent(command: &mut Command) {
    let output = c::run(command);
    assert_eq!(c::said(&output), "", "{command:?} succeeded, but something was printed");
}

#[track_caller]
fn linked_both_ways(name: &str) {
    let (program, folder) = compiled(name, c::Link::Dynamic);
    silent(c::with_library(program).arg(&folder));
    let (program, folder) = compiled(name, c::Link::Static);
    silent(Command::new(program).arg(&folder));
}

#[test]
fn calls() {
    linked_both_ways("calls");
}

#[test]
fn callbacks() {
    linked_both_ways("callbacks");
}

#[test]
fn fork() {
    linked_both_ways("fork");
}

#[test]
fn lists() {
    linked_both_ways("lists");
}

#[test]
fn locks() {
    linked_both_ways("locks");
}

#[test]
fn names() {
    linked_both_ways("names");
}

#[test]
fn pointers() {
    linked_both_ways("pointers");
}

#[test]
fn trouble() {
    linked_both_ways("trouble");
}

#[test]
fn values() {
    linked_both_ways("values");
}

/// No program lies there unused.
#[test]
fn all_programs_are_run() {
    let entries = fs::read_dir(c::root().join("tests/c")).unwrap_or_else(|error| panic!("no tests/c: {error}"));
    let names = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.strip_suffix(".c").map(str::to_owned)
    });
    assert_eq!(names.collect::<BTreeSet<_>>(), PROGRAMS.map(str::to_owned).into_iter().collect());
}

/// Runs a program under valgrind. Leaks of the kind "possible" are memory that is only reached by pointers into its middle,
/// as those of an `Arc` are.
fn valgrind(program: &Path, leaks: &str) -> Command {
    let mut command = c::with_library("valgrind");
    command.args(["--quiet", "--error-exitcode=99", "--leak-check=full", "--num-callers=30"]);
    command.arg(format!("--errors-for-leak-kinds={leaks}")).arg(format!("--show-leak-kinds={leaks}")).arg(program);
    command
}

/// Not one bad access, not one byte lost. The second argument asks a program for fewer items.
#[test]
fn clean_under_valgrind() {
    if !c::has("valgrind") {
        return c::skipped("c_programs clean_under_valgrind", "valgrind is not installed");
    }
    for name in PROGRAMS {
        let folder = c::folder(&format!("c-{name}-valgrind"));
        let program = folder.join(name);
        c::compile(&format!("tests/c/{name}.c"), &program, c::Link::Dynamic);
        // A forked child ends with its parent's handle open, as it must.
        let leaks = if name == "fork" { "definite" } else { "definite,possible" };
        silent(valgrind(&program, leaks).arg(&folder).arg("quick"));
    }
}

/// That valgrind would see a leak and a bad access of a program like these.
#[test]
fn valgrind_notices() {
    if !c::has("valgrind") {
        return c::skipped("c_programs valgrind_notices", "valgrind is not installed");
    }
    let folder = c::folder("c-broken");
    for (name, text) in [
        ("leak", "#include <dirkv.h>\nint main(void) { return dirkv_params_new() == NULL; }\n"),
        (
            "freed",
            "#include <dirkv.h>\nint main(void) { dirkv_error *e = NULL; dirkv_close(NULL, &e); dirkv_error_free(e);\n\
             return dirkv_error_code(e) == 0; }\n",
        ),
    ] {
        let (source, program) = (folder.join(format!("{name}.c")), folder.join(name));
        fs::write(&source, text).unwrap_or_else(|error| panic!("{error}"));
        c::compile(&source.to_string_lossy(), &program, c::Link::Dynamic);
        let output = valgrind(&program, "definite").output().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(output.status.code(), Some(99), "{name} went unnoticed: {}", c::said(&output));
    }
}

/// A panic in the library becomes DIRKV_INTERNAL, and nothing is printed. The library is one that panics when asked to.
#[test]
fn a_planted_panic_is_internal() {
    let target = c::folder_kept("planted");
    let library = c::build("debug", &["--features", "lab"], Some(&target));
    let program = c::folder("c-planted").join("panic");
    c::compile("tests/c/planted/panic.c", &program, c::Link::Dynamic);
    silent(Command::new(&program).env("LD_LIBRARY_PATH", library));
    // The library that is shipped can't be asked to panic.
    let output = c::with_library(&program).output().unwrap_or_else(|error| panic!("{error}"));
    assert!(!output.status.success(), "the shipped library panicked on demand");
}
