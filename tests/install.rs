//! `make install` into an empty folder; then a C program is built and run with nothing but pkg-config.

#[path = "support/c.rs"]
mod c;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = r#"
#include <dirkv.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    dirkv_backend *b = NULL;
    dirkv_error *err = NULL;
    dirkv_buf val;
    uint64_t revision;
    if (argc != 2 || dirkv_open_path(argv[1], &b, &err) != DIRKV_OK ||
        dirkv_create_val(b, "greetings", "en", "hello", 5, 0, &revision, &err) != DIRKV_OK ||
        dirkv_get_val(b, "greetings", "en", &val, &err) != DIRKV_OK || val.len != 5 || memcmp(val.data, "hello", 5) != 0) {
        fprintf(stderr, "%s\n", dirkv_error_message(err));
        return 1;
    }
    dirkv_buf_free(&val);
    printf("dirkv %s", dirkv_version());
    return dirkv_close(b, &err) == DIRKV_OK ? 0 : 1;
}
"#;

#[track_caller]
fn make(target: &str, variables: &[String]) {
    c::library();
    let mut make = Command::new("make");
    // The Makefile's own build must be the one that is tested, wherever cargo builds now.
    let built = c::library().parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    make.env("CARGO_TARGET_DIR", built).env("CARGO", env!("CARGO")).env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    c::run(make.arg("--no-print-directory").arg(target).args(variables).current_dir(c::root()));
}

/// The files and links below a folder, as paths relative to it.
fn tree(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            let kind = entry.file_type().unwrap_or_else(|error| panic!("{error}"));
            if kind.is_dir() {
                left.push(entry.path());
            } else {
                let path = entry.path();
                found.insert(path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned());
            }
        }
    }
    found
}

fn expected(prefix: &str) -> BTreeSet<String> {
    let version = env!("CARGO_PKG_VERSION");
    let major = env!("CARGO_PKG_VERSION_MAJOR");
    let files = [
        "include/dirkv.h".to_owned(),
        "lib/libdirkv.a".to_owned(),
        "lib/libdirkv.so".to_owned(),
        format!("lib/libdirkv.so.{major}"),
        format!("lib/libdirkv.so.{version}"),
        "lib/pkgconfig/dirkv.pc".to_owned(),
    ];
    files.into_iter().map(|file| format!("{prefix}{file}")).collect()
}

fn pkg_config(prefix: &Path, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    let output = c::run(command.args(arguments).arg("dirkv").env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")));
    String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
}

#[track_caller]
fn build_and_run(prefix: &Path, name: &str, flags: &[&str], pkg_config_flags: &[&str]) -> PathBuf {
    let folder = c::folder(&format!("install-{name}"));
    let (source, program) = (folder.join("program.c"), folder.join("program"));
    fs::write(&source, PROGRAM).unwrap_or_else(|error| panic!("{error}"));
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]).args(flags).arg(&source);
    c::run(cc.args(pkg_config(prefix, pkg_config_flags)).arg("-o").arg(&program));
    let store = folder.join("store");
    let output = c::run(Command::new(&program).arg(store).env("LD_LIBRARY_PATH", prefix.join("lib")));
    assert_eq!(c::said(&output), format!("dirkv {}", env!("CARGO_PKG_VERSION")));
    program
}

fn needed(program: &Path) -> String {
    String::from_utf8_lossy(&c::run(Command::new("readelf").arg("-dW").arg(program)).stdout).into_owned()
}

#[test]
fn installed_is_usable_with_pkg_config_alone() {
    if !c::has("pkg-config") {
        return c::skipped("install installed_is_usable_with_pkg_config_alone", "pkg-config is not installed");
    }
    let prefix = c::folder("install-prefix");
    make("install", &[format!("PREFIX={}", prefix.display())]);
    assert_eq!(tree(&prefix), expected(""));
    assert_eq!(pkg_config(&prefix, &["--modversion"]), [env!("CARGO_PKG_VERSION")]);

    let program = build_and_run(&prefix, "dynamic", &[], &["--cflags", "--libs"]);
    assert!(needed(&program).contains(&format!("[{}]", c::soname())), "not linked with the shared library");
    let program = build_and_run(&prefix, "static", &["-static"], &["--static", "--cflags", "--libs"]);
    assert!(!needed(&program).contains("(NEEDED)"), "not static");

    // Only the archive there, the rest of the system shared.
    for file in tree(&prefix).iter().filter(|file| file.contains(".so")) {
        fs::remove_file(prefix.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    let program = build_and_run(&prefix, "archive", &[], &["--static", "--cflags", "--libs"]);
    assert!(!needed(&program).contains("libdirkv"), "not linked with the archive");
}

#[test]
fn staged_and_uninstalled() {
    let stage = c::folder("install-stage");
    let variables = [format!("DESTDIR={}", stage.display()), "PREFIX=/opt/dirkv".to_owned()];
    make("install", &variables);
    assert_eq!(tree(&stage), expected("opt/dirkv/"));
    let lib = stage.join("opt/dirkv/lib");
    let pc = fs::read_to_string(lib.join("pkgconfig/dirkv.pc")).unwrap_or_default();
    assert!(pc.starts_with("prefix=/opt/dirkv\n"), "the staging folder must not show: {pc}");
    assert!(!pc.contains('@') && !pc.contains(&*stage.to_string_lossy()), "{pc}");
    let link = fs::read_link(lib.join(c::soname())).unwrap_or_default();
    assert_eq!(link, PathBuf::from(format!("libdirkv.so.{}", env!("CARGO_PKG_VERSION"))));
    let link = fs::read_link(lib.join("libdirkv.so")).unwrap_or_default();
    assert_eq!(link, PathBuf::from(c::soname()));

    fs::write(lib.join("other"), "not ours").unwrap_or_else(|error| panic!("{error}"));
    make("uninstall", &variables);
    assert_eq!(tree(&stage), BTreeSet::from(["opt/dirkv/lib/other".to_owned()]));
}
