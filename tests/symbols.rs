//! What the shared library exports is what the header declares; each export goes through the boundary.

#[path = "support/c.rs"]
mod c;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

fn exported() -> BTreeSet<String> {
    let output = c::run(Command::new("nm").args(["-D", "--defined-only"]).arg(c::library().join("libdirkv.so")));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect()
}

#[test]
fn exports_are_the_header() {
    let header: BTreeSet<String> = c::header_functions().into_iter().collect();
    assert!(header.len() > 40, "only {} functions found in the header", header.len());
    assert_eq!(exported(), header);
}

#[test]
fn soname_and_nodelete() {
    let output = c::run(Command::new("readelf").arg("-dW").arg(c::library().join("libdirkv.so")));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(&format!("Library soname: [{}]", c::soname())), "{text}");
    assert!(text.contains("NODELETE"), "{text}");
    for line in text.lines().filter(|line| line.contains("(NEEDED)")) {
        let known = ["libc.so", "libgcc_s.so", "libm.so", "ld-linux"].iter().any(|name| line.contains(name));
        assert!(known, "needs a library that it shouldn't: {line}");
    }
}

/// The functions `extern "C"` of a source file: name and body.
fn exports(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for part in text.split("pub unsafe extern \"C\" fn ").skip(1) {
        let name = part.split('(').next().unwrap_or_default().to_owned();
        let body = part.split_once("{\n").map_or("", |(_, body)| body);
        let body = body.split("\n}\n").next().unwrap_or_default().to_owned();
        found.push((name, body));
    }
    found
}

#[test]
fn every_export_goes_through_the_boundary() {
    let mut names = BTreeSet::new();
    let files = fs::read_dir(c::root().join("src/ffi")).unwrap_or_else(|error| panic!("no src/ffi: {error}"));
    for file in files.flatten() {
        let text = fs::read_to_string(file.path()).unwrap_or_else(|error| panic!("{}: {error}", file.path().display()));
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let attributes = code.lines().filter(|line| line.contains("no_mangle") && !line.starts_with("//")).count();
        let functions = exports(code);
        assert_eq!(attributes, functions.len(), "{}: an export in another form", file.path().display());
        for (name, body) in functions {
            // Constants and comments may stand before the call; nothing may come after it.
            let lines = body.lines().collect::<Vec<_>>();
            let is_call = |line: &&str| line.starts_with("    boundary(") || line.starts_with("    boundary_or(");
            let Some(call) = lines.iter().position(is_call) else {
                panic!("{name} does not go through the boundary:\n{body}")
            };
            let harmless = |line: &&str| line.starts_with("    const ") || line.starts_with("    // ");
            assert!(lines[..call].iter().all(harmless), "{name} does something before:\n{body}");
            let mut after =
                lines[call + 1..].iter().filter(|line| line.starts_with("    ") && !line.starts_with("     "));
            assert!(after.all(|line| line.starts_with("    })")), "{name} does something after:\n{body}");
            assert!(names.insert(name.clone()), "{name} twice");
        }
    }
    assert_eq!(names, c::header_functions().into_iter().collect::<BTreeSet<_>>());
}

/// The check above would notice an export that does not.
#[test]
fn an_export_without_a_boundary_is_noticed() {
    let text = "#[unsafe(no_mangle)]\npub unsafe extern \"C\" fn dirkv_bad(a: i32) -> i32 {\n    a\n}\n";
    let found = exports(text);
    assert_eq!(found, [("dirkv_bad".to_owned(), "    a".to_owned())]);
    assert!(!found[0].1.contains("boundary"));
}
