//! The rooms of `src/` know those below them and nothing above; `unsafe` stays where it may be.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A room and the rooms that its code may use. `error` is for all.
const ROOMS: [(&str, &[&str]); 8] = [
    ("ffi", &["backend", "error"]),
    ("backend", &["engine", "files", "format", "error", "latch"]),
    ("engine", &["files", "format", "error", "latch", "sabotage"]),
    ("files", &["format", "error"]),
    ("format", &["error", "sabotage"]),
    ("error", &[]),
    ("latch", &[]),
    ("sabotage", &[]),
];

/// Where `unsafe` may be written.
const UNSAFE: [&str; 6] = [
    "src/ffi/",
    "src/files/os",
    "src/files/shared_map.rs",
    "src/files/fork.rs",
    "src/files/prefetch.rs",
    "src/files/quiet_thread.rs",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file as (path below the repository, text without comments and unit tests).
fn code() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    sources(&root.join("src"), &mut paths);
    paths.sort();
    let mut code = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        if !name.ends_with("_tests.rs") && !name.ends_with("/tests.rs") {
            code.push((name, stripped(&text)));
        }
    }
    code
}

fn stripped(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The room of a file: `src/engine/log.rs` and `src/engine.rs` are in `engine`; `src/lib.rs` in none.
fn room(file: &str) -> Option<&str> {
    let inside = file.strip_prefix("src/")?;
    let room = inside.split(['/', '.']).next()?;
    (room != "lib").then_some(room)
}

/// The rooms that follow `crate::`, in braces too.
fn uses(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in text.split("crate::").skip(1) {
        let names: Vec<&str> = match part.strip_prefix('{') {
            Some(group) => {
                let (mut depth, mut end) = (1, group.len());
                for (at, byte) in group.bytes().enumerate() {
                    depth += i32::from(byte == b'{') - i32::from(byte == b'}');
                    if depth == 0 {
                        end = at;
                        break;
                    }
                }
                let mut depth = 0;
                let top = group[..end].split(|c: char| {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    c == ',' && depth == 0
                });
                top.map(str::trim).collect()
            }
            None => vec![part],
        };
        let first =
            |name: &&str| name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned();
        found.extend(names.iter().map(first).filter(|name| !name.is_empty()));
    }
    found
}

/// What is re-exported at the top of the crate stands for the room that it comes from.
fn room_of(name: &str) -> &str {
    match name {
        "Backend" => "backend",
        "Code" | "Error" | "Result" => "error",
        room => room,
    }
}

#[test]
fn calls_go_down() {
    let rooms: BTreeMap<&str, &[&str]> = ROOMS.into_iter().collect();
    let mut edges = 0;
    for (file, text) in code() {
        let Some(room) = room(&file) else { continue };
        let Some(below) = rooms.get(room) else { panic!("{file} is in no room that this test knows") };
        for used in uses(&text) {
            let used = room_of(&used);
            edges += 1;
            assert!(used == room || below.contains(&used), "{file} uses crate::{used}, which {room} may not");
        }
    }
    assert!(edges > 30, "only {edges} uses found: does this test still see them?");
}

#[test]
fn edges_are_seen() {
    let text = "use crate::files::os;\nuse crate::{Backend, error::{Code, Error}, format::frame};\nlet x = crate::engine::Engine::open();";
    assert_eq!(uses(text), ["files", "Backend", "error", "format", "engine"]);
    assert_eq!(room("src/engine/table/reader.rs"), Some("engine"));
    assert_eq!(room("src/error.rs"), Some("error"));
    assert_eq!(room("src/lib.rs"), None);
}

#[test]
fn unsafe_is_quarantined() {
    for (file, text) in code() {
        let allowed = UNSAFE.iter().any(|place| file.starts_with(place));
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        assert!(allowed || !words.into_iter().any(|word| word == "unsafe"), "{file} has unsafe code");
        let extern_c = text.contains("extern \"C\" fn") && !file.starts_with("src/ffi/");
        assert!(!extern_c || file == "src/files/fork.rs", "{file} has a function extern \"C\"");
    }
}

/// Files, memory, clocks and processes are reached through `files` alone. What the others may name has its reason beside it.
#[test]
fn the_system_is_reached_through_files() {
    const SYSTEM: [&str; 10] = [
        "rustix",
        "libc",
        "fs2",
        "getrandom",
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "SystemTime",
        "Instant",
    ];
    const ALLOWED: [(&str, &str); 2] = [
        // In a build that only tests make.
        ("src/ffi/boundary.rs", "std::env"),
        // Likewise.
        ("src/sabotage.rs", "std::env"),
    ];
    let uses = |text: &str, name: &str| {
        let inside = |c: char| c.is_alphanumeric() || c == '_';
        text.match_indices(name)
            .any(|(at, _)| !text[..at].ends_with(inside) && !text[at + name.len()..].starts_with(inside))
    };
    let mut found = 0;
    for (file, text) in code() {
        for name in SYSTEM.into_iter().filter(|name| uses(&text, name)) {
            found += 1;
            let allowed = file.starts_with("src/files/") || ALLOWED.contains(&(file.as_str(), name));
            assert!(allowed, "{file} uses {name}, which is for src/files");
        }
    }
    assert!(found > 10, "only {found} uses found: does this test still see them?");
}

/// Functions of at most 70 lines.
#[test]
fn functions_are_short() {
    let mut found = 0;
    for (file, text) in code() {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let is_function = line.trim_start().split(' ').any(|word| word == "fn") && line.ends_with('{');
            let indent = &line[..line.len() - line.trim_start().len()];
            let end = lines[at..].iter().position(|line| line.strip_prefix(indent) == Some("}"));
            if let Some(end) = end.filter(|_| is_function) {
                found += 1;
                assert!(end < 70, "{file}: {} lines: {line}", end + 1);
            }
        }
    }
    assert!(found > 300, "only {found} functions found: does this test still see them?");
}

/// Rooms of about 150 lines, at most 400 without the unit tests.
#[test]
fn files_are_short() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, _) in code() {
        let text = fs::read_to_string(root.join(&file)).unwrap_or_default();
        let lines = text.split("#[cfg(test)]\n").next().unwrap_or_default().lines().count();
        assert!(lines <= 400, "{file} has {lines} lines");
    }
}
