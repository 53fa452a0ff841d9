//! Writes the seeds of every target into `corpus/`: `cargo run --example seeds`. They are committed; tests/corpus.rs holds them
//! to this.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    for (target, _) in dirkv_fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&folder)?;
        for (n, seed) in dirkv_fuzz::seeds::of(target).into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{n:02}")), seed)?;
        }
    }
    Ok(())
}
