//! What lies in a store's directory.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use crate::patience::PATIENCE;

/// Nothing may change for so long.
const QUIET: Duration = Duration::from_millis(400);

/// The files below a directory: name, length, blocks of 512 bytes.
fn files(path: &Path) -> Result<Vec<(String, u64, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(data) if data.is_dir() => found.extend(files(&entry.path())?),
            Ok(data) => found.push((entry.path().display().to_string(), data.len(), data.blocks())),
            // Removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    found.sort();
    Ok(found)
}

/// Bytes of all blocks that the files take.
pub fn allocated(path: &Path) -> Result<u64> {
    Ok(files(path)?.iter().map(|(_, _, blocks)| blocks * 512).sum())
}

/// Waits until no file comes, goes, grows or shrinks any more.
pub fn quiet(path: &Path) -> Result<()> {
    let begin = Instant::now();
    let (mut last, mut since) = (files(path)?, Instant::now());
    while since.elapsed() < QUIET {
        if begin.elapsed() > PATIENCE {
            return Err(format!("{} never comes to rest", path.display()).into());
        }
        thread::sleep(Duration::from_millis(40));
        let now = files(path)?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_all_files_count() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/file"), vec![1; 10_000]).unwrap();
        fs::File::open(folder.path().join("deep/file")).unwrap().sync_all().unwrap();
        quiet(folder.path()).unwrap();
        assert!((10_000..40_000).contains(&allocated(folder.path()).unwrap()));
    }
}
