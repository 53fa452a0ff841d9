//! The header compiles as C99 and C++17 with all warnings as errors: alone, twice in one unit, and from two units.

#[path = "support/c.rs"]
mod c;

use std::fs;
use std::path::Path;
use std::process::Command;

const LANGUAGES: [(&str, &str, &str); 4] =
    [("cc", "c", "-std=c99"), ("cc", "c", "-std=c11"), ("c++", "c++", "-std=c++17"), ("c++", "c++", "-std=c++20")];

#[track_caller]
fn compile(folder: &Path, compiler: (&str, &str, &str), name: &str, text: &str) {
    let (command, language, standard) = compiler;
    let source = folder.join(format!("{name}.{language}"));
    fs::write(&source, text).unwrap_or_else(|error| panic!("can't write {}: {error}", source.display()));
    let mut cc = Command::new(command);
    cc.args(["-x", language, standard, "-c"]).args(c::STRICT).args(["-Wconversion", "-Wshadow"]);
    c::run(cc.arg("-I").arg(c::root().join("include")).arg(&source).arg("-o").arg(folder.join(format!("{name}.o"))));
}

#[test]
fn alone_and_twice() {
    let folder = c::folder("header-alone");
    for compiler in LANGUAGES {
        compile(&folder, compiler, "alone", "#include <dirkv.h>\n");
        compile(&folder, compiler, "twice", "#include <dirkv.h>\n#include <dirkv.h>\n#include \"dirkv.h\"\n");
    }
}

#[test]
fn from_two_units() {
    let folder = c::folder("header-two");
    for compiler in LANGUAGES {
        let (command, _, _) = compiler;
        compile(
            &folder,
            compiler,
            "one",
            "#include <dirkv.h>\nuint32_t one(void);\nuint32_t one(void) { return dirkv_abi_version(); }\n",
        );
        let main =
            "#include <dirkv.h>\nuint32_t one(void);\nint main(void) { return one() == DIRKV_ABI_VERSION ? 0 : 1; }\n";
        compile(&folder, compiler, "main", main);
        let program = folder.join("program");
        let objects = [folder.join("main.o"), folder.join("one.o")];
        c::run(Command::new(command).args(objects).arg("-L").arg(c::library()).arg("-ldirkv").arg("-o").arg(&program));
        c::run(&mut c::with_library(&program));
    }
}

/// Every constant, type and function is usable in both languages, with the types that the header's reader expects.
#[test]
fn every_name_is_usable() {
    let folder = c::folder("header-names");
    let functions = c::header_functions();
    assert!(functions.len() > 40, "only {} functions found in the header", functions.len());
    let uses = functions.iter().map(|name| format!("    (pointer)dirkv_same({name}),\n")).collect::<String>();
    let text = format!(
        "#include <dirkv.h>\ntypedef void (*pointer)(void);\n#define dirkv_same(f) (f)\nextern pointer all[];\n\
         pointer all[] = {{\n{uses}}};\n\
         dirkv_status use(dirkv_buf *buf, dirkv_item *item, dirkv_entry *entry);\n\
         dirkv_status use(dirkv_buf *buf, dirkv_item *item, dirkv_entry *entry) {{\n\
             int32_t level = DIRKV_LOG_ERROR + DIRKV_LOG_WARN + DIRKV_LOG_INFO + DIRKV_LOG_DEBUG;\n\
             uint32_t kind = DIRKV_ENTRY_PUT + DIRKV_ENTRY_KEY + DIRKV_ENTRY_BUCKET + DIRKV_ENTRY_ITEM + DIRKV_ENTRY_LOCK;\n\
             buf->data = NULL; buf->len = 0; item->ttl = 0; entry->kind = kind + DIRKV_RECURSIVE;\n\
             return level > 0 ? DIRKV_OK : DIRKV_INTERNAL;\n}}\n"
    );
    for compiler in LANGUAGES {
        compile(&folder, compiler, "names", &text);
    }
}

/// What is committed is what cbindgen makes of src/ffi.
#[test]
fn is_generated_from_the_source() {
    if !c::has("cbindgen") {
        return c::skipped("header is_generated_from_the_source", "cbindgen is not installed");
    }
    c::run(Command::new("make").args(["--no-print-directory", "check-header"]).current_dir(c::root()));
}
