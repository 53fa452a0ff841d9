//! The examples tell their story in each language, the demonstration runs, and the tests in C++, Go and Python pass. What
//! can't be run, because its toolchain isn't installed, is reported as skipped.

#[path = "support/c.rs"]
mod c;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What each story tells, in this order, whatever its language.
const STORY: [&str; 14] = [
    "open dirkv ",
    "create apple = 3",
    "create again ALREADY_EXISTS: key \"apple\" of bucket \"shop/fruit\"",
    "batch fig, pear and plum at once",
    "swap apple from 3 to 2",
    "swap again COMPARE_FAILED: key \"apple\" of bucket \"shop/fruit\"",
    "get apple = 2",
    "list apple=2 fig=7 pear=5 plum=9",
    "offer today ",
    "offer tomorrow NOT_FOUND",
    "first has the till, fence ",
    "second tries TIMEOUT: lock \"till\"",
    "first gives it back",
    "second has the till, fence ",
];

/// The lines of what was printed, with single spaces.
fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Runs a story in a new directory and compares what it tells.
#[track_caller]
fn tells_the_story(command: &mut Command, name: &str) {
    let store = c::folder(&format!("story-{name}")).join("store");
    let told = lines(&c::run(command.arg(&store)));
    assert_eq!(told.len(), STORY.len() + 1, "{told:#?}");
    for (line, begin) in told.iter().zip(STORY.iter().copied().chain(["all is well"])) {
        assert!((line.clone() + " ").starts_with(begin), "{line:?} instead of {begin:?}");
    }
    let fence = |line: &String| line.rsplit(' ').next().and_then(|number| number.parse::<u64>().ok());
    let (first, second) = (fence(&told[10]), fence(&told[13]));
    assert!(first.is_some() && first < second, "fences {first:?}, {second:?}");

    // The same story in the same store can't be told twice: the apple is there. It must say so and fail.
    let again = command.output().unwrap_or_else(|error| panic!("can't run {command:?}: {error}"));
    assert!(!again.status.success() && c::said(&again).contains("ALREADY_EXISTS"), "{}", c::said(&again));
}

/// A C++ program of ours, with the header of the examples.
#[track_caller]
fn compile_cpp(source: &str, program: &Path) {
    let mut command = Command::new("c++");
    command.args(["-std=c++17", "-g", "-pthread"]).args(c::STRICT);
    command.arg("-I").arg(c::root().join("include")).arg("-I").arg(c::root().join("examples/cpp"));
    command.arg(c::root().join(source)).arg("-L").arg(c::library()).arg("-ldirkv").arg("-o").arg(program);
    c::run(&mut command);
}

/// The go command in a folder of ours, or `None`, reported, if Go can't be used here.
fn go(test: &str, folder: &str) -> Option<Command> {
    if !Command::new("go").arg("version").output().is_ok_and(|output| output.status.success()) {
        c::skipped(test, "go is not installed");
        return None;
    }
    let mut command = c::with_library("go");
    command.current_dir(c::root().join(folder));
    // These are added before the flags that the package names itself: the library that is tested is found first.
    command.env("CGO_ENABLED", "1").env("CGO_LDFLAGS", format!("-L{}", c::library().display()));
    command.env("CGO_CFLAGS", format!("-O1 -I{}", c::root().join("include").display()));
    // Nothing is loaded from anywhere.
    command.env("GOTOOLCHAIN", "local").env("GOPROXY", "off").env("GOFLAGS", "-mod=mod").env("GOWORK", "off");
    Some(command)
}

fn python(test: &str, script: &str) -> Option<Command> {
    if !c::has("python3") {
        c::skipped(test, "python3 is not installed");
        return None;
    }
    let mut command = Command::new("python3");
    command.args(["-W", "error"]).arg(c::root().join(script));
    command.env("DIRKV_LIB_DIR", c::library()).env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}

fn program(name: &str) -> PathBuf {
    c::folder(&format!("example-{name}")).join(name)
}

#[test]
fn c_story_with_the_shared_library() {
    let program = program("c-dynamic");
    c::compile("examples/c/story.c", &program, c::Link::Dynamic);
    tells_the_story(&mut c::with_library(program), "c-dynamic");
}

#[test]
fn c_story_with_the_archive() {
    let program = program("c-static");
    c::compile("examples/c/story.c", &program, c::Link::Static);
    tells_the_story(&mut Command::new(program), "c-static");
}

#[test]
fn cpp_story() {
    if !c::has("c++") {
        return c::skipped("cpp_story", "c++ is not installed");
    }
    let program = program("cpp");
    compile_cpp("examples/cpp/story.cpp", &program);
    tells_the_story(&mut c::with_library(program), "cpp");
}

#[test]
fn cpp_tests() {
    if !c::has("c++") {
        return c::skipped("cpp_tests", "c++ is not installed");
    }
    let program = program("cpp-tests");
    compile_cpp("tests/cpp/dirkv.cpp", &program);
    let output = c::run(c::with_library(program).arg(c::folder("cpp-tests-stores")));
    assert_eq!(c::said(&output), "", "it succeeded, but something was printed");
}

#[test]
fn go_story() {
    let program = program("go");
    let Some(mut go) = go("go_story", "examples/go") else { return };
    c::run(go.arg("build").arg("-o").arg(&program).arg("./story"));
    tells_the_story(&mut c::with_library(program), "go");
}

#[test]
fn go_tests() {
    let Some(mut vet) = go("go_tests", "tests/go") else { return };
    c::run(vet.args(["vet", "./...", "example.org/dirkv/..."]));
    let Some(mut go) = go("go_tests", "tests/go") else { return };
    let output = c::run(go.args(["test", "-count=1", "-v", "./..."]));
    let passed = c::said(&output).matches("--- PASS: ").count();
    assert!(passed >= 9, "only {passed} Go tests were run:\n{}", c::said(&output));
}

#[test]
fn python_story() {
    let Some(mut python) = python("python_story", "examples/python/story.py") else { return };
    tells_the_story(&mut python, "python");
}

#[test]
fn python_tests() {
    let Some(mut python) = python("python_tests", "tests/python/test_dirkv.py") else { return };
    let said = c::said(&c::run(&mut python));
    let ran = said.lines().find_map(|line| line.strip_prefix("Ran ")?.split(' ').next()?.parse::<u32>().ok());
    assert!(ran >= Some(12), "only {ran:?} Python tests were run:\n{said}");
}

/// The demonstration, on this machine's packages and on those that lie in the repository.
#[test]
fn demo() {
    let shipped = c::root().join("examples/data/dpkg-status");
    let records = fs::read_to_string(&shipped).unwrap_or_else(|error| panic!("{}: {error}", shipped.display()));
    let packages = records.lines().filter(|line| line.starts_with("Package: ")).count();
    assert_eq!(packages, 200);

    for status in [None, Some(shipped)] {
        let folder = c::folder("demo");
        let mut demo = Command::new(c::root().join("examples/demo.sh"));
        demo.env("DIRKV_LIB_DIR", c::library()).env("TMPDIR", &folder);
        if let Some(status) = &status {
            demo.env("DIRKV_STATUS", status);
        }
        let output = c::run(&mut demo);
        let told = lines(&output).join("\n");
        if status.is_some() {
            assert!(told.contains("read back one by one: 200 values, every byte as in the file"), "{told}");
        }
        for wanted in [
            "\nread back as one list: ",
            "\nat the hour NOT_FOUND: ",
            "\nhanded over 200 times, ",
            "\nit stands at 10000: ",
            "\n5 kills; all ",
            "\nlog-",
            "\nAll of it was exact, ",
        ] {
            assert!(told.contains(wanted), "{wanted:?} is missing in\n{told}");
        }
        let left = fs::read_dir(&folder).map(Iterator::count).unwrap_or_default();
        assert_eq!(left, 0, "the demonstration left something behind in {}", folder.display());
    }
}
