//! Links the shared library as `make build` leaves it in the root's target folder: what a user of dirkv has.

use std::path::Path;
use std::process::Command;

fn main() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    println!("cargo::rustc-env=PEERS_RUSTC={}", String::from_utf8_lossy(&version).trim());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |given| root.join(given));
    let folder = target.join("release");
    println!("cargo::rerun-if-changed={}", folder.join("libdirkv.so").display());
    let Ok(folder) = folder.canonicalize() else {
        println!("cargo::warning={} is missing: run `make build` first", folder.display());
        return;
    };
    println!("cargo::rustc-link-search=native={}", folder.display());
    println!("cargo::rustc-link-lib=dylib=dirkv");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
}
