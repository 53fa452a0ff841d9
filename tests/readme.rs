//! What README.md says is so: its C program compiles, runs and says what it should; its links lead somewhere; a store is
//! copied as it advises.

#[path = "support/c.rs"]
mod c;

use dirkv::Backend;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

fn text(name: &str) -> String {
    fs::read_to_string(c::root().join(name)).unwrap_or_else(|error| panic!("no {name}: {error}"))
}

#[test]
fn thirty_seconds_of_c() {
    let readme = text("README.md");
    let (_, rest) = readme.split_once("```c\n").expect("a block of C");
    let (program, _) = rest.split_once("```").expect("the end of the block");
    let folder = c::folder("readme");
    let (source, built) = (folder.join("hello.c"), folder.join("hello"));
    fs::write(&source, program).unwrap();
    c::compile(&source.to_string_lossy(), &built, c::Link::Dynamic);
    for _ in 0..2 {
        let output = c::run(c::with_library(&built).current_dir(&folder));
        assert_eq!(c::said(&output), "ann says hello\n");
    }
    assert!(folder.join("example-store/MANIFEST").exists());
}

/// Where the links of a page lead, if to a file of ours.
fn links(page: &str) -> Vec<&str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.filter(|target| !target.starts_with("http")).collect()
}

#[test]
fn links_lead_to_files() {
    let pages = ["README.md", "CHANGELOG.md"].into_iter().map(str::to_owned);
    let docs = fs::read_dir(c::root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let docs = docs.map(|name| format!("docs/{}", name.to_string_lossy())).filter(|name| name.ends_with(".md"));
    let mut count = 0;
    for page in pages.chain(docs) {
        for link in links(&text(&page)) {
            let folder = c::root().join(&page);
            let file = link.split('#').next().unwrap_or(link);
            let target = folder.parent().unwrap_or(Path::new("")).join(file);
            assert!(target.exists(), "{page} leads to {link}, which isn't there");
            count += 1;
        }
    }
    assert!(count > 10, "only {count} links were found");
}

/// `file.rs` and `folder/file.rs` in the pages are files of the source.
#[test]
fn source_files_that_are_named_exist() {
    let rooms = ["", "src", "src/engine", "src/engine/table", "src/format", "src/files", "src/backend", "src/ffi"];
    let mut count = 0;
    for page in ["README.md", "docs/architecture.md", "docs/durability.md", "docs/format.md", "docs/testing.md"] {
        let page_text = text(page);
        for name in page_text.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".rs") && !name.contains(' '))
        {
            let found = rooms.iter().chain(&["tests"]).any(|room| c::root().join(room).join(name).exists());
            assert!(found, "{page} names {name}, which isn't there");
            count += 1;
        }
    }
    assert!(count > 30, "only {count} names were found");
}

/// Under `LOCK` nobody appends or changes the manifest: a copy has everything that was acknowledged before it began.
#[test]
fn a_copy_under_lock_has_everything() {
    if !c::has("flock") {
        return c::skipped("readme a_copy_under_lock_has_everything", "there is no program flock");
    }
    let folder = c::folder("copy");
    let mut params = dirkv::backend::Params::new();
    params.set_path(folder.join("store")).unwrap();
    params.set("segment_size", "64KiB").unwrap();
    let store = Backend::open(&params).unwrap();
    let (stop, store) = (AtomicBool::new(false), &store);
    std::thread::scope(|scope| {
        let stop = &stop;
        let writer = scope.spawn(move || {
            for n in (1u32..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                store.upsert("counter", "n", &n.to_le_bytes(), 0).unwrap();
                store.upsert("many", n.to_string(), &[7; 3000], 0).unwrap();
            }
        });
        while !store.exists("counter", "n").unwrap() {}
        for copy in 0..8 {
            let before = store.get("counter", "n").unwrap();
            let to = folder.join(copy.to_string());
            let mut cp = std::process::Command::new("flock");
            cp.arg(folder.join("store/LOCK")).args(["cp", "-a"]).args([folder.join("store"), to.clone()]);
            // It ends with an error if a file that was merged goes while it copies; nothing names that file any more.
            cp.output().unwrap();
            let copied = Backend::open_path(&to).unwrap();
            let number = |bytes: Vec<u8>| u32::from_le_bytes(bytes.try_into().unwrap());
            let (before, there) = (number(before), number(copied.get("counter", "n").unwrap()));
            assert!(there >= before, "{before} was acknowledged, the copy has {there}");
            assert_eq!(copied.check().unwrap(), Vec::<String>::new());
            assert!((1..before).all(|n| copied.exists("many", n.to_string()).unwrap()));
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
}
