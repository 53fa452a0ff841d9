//! Sectors that fail: which, and what becomes of a store that lies on them.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dirkv::format::segment::HEADER_LEN;
use fastrand::Rng;
use tempfile::TempDir;

use crate::bounded::Bounded;
use crate::disk::Failing;
use crate::drive::{Drive, Kind, Mounted};
use crate::image::{Image, SECTOR};
use crate::run::{orders, part};
use crate::sufferer::{Expected, Folder};
use crate::worker::{Failure, Orders};

/// A filesystem with a store on it, unmounted.
pub struct Patient {
    program: PathBuf,
    kind: Kind,
    image: Image,
    /// What the store holds, and copies of its files.
    filled: TempDir,
}

/// Which sectors can't be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unwritable {
    /// That to which the next frame will go.
    Tail,
    /// All.
    Disk,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// How many requests the disk has failed.
    pub failures: u64,
    /// What the library said.
    pub errors: Vec<String>,
}

impl Patient {
    /// Makes the filesystem and the store.
    pub fn new(program: &Path, kind: Kind) -> Result<Patient, Failure> {
        let (program, image, filled) = (program.to_owned(), kind.make()?, tempfile::tempdir()?);
        let mut patient = Patient { program, kind, image, filled };
        let drive = Drive::new(patient.image.clone())?;
        let mounted = drive.mount(kind)?;
        patient.play("fill", &drive, &mounted, patient.filled.path(), 60)?.finish()?;
        drop(mounted);
        patient.image = drive.disk.image();
        Ok(patient)
    }

    /// The names of the store's files that hold anything.
    pub fn files(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.filled.path().join("files"))? {
            let entry = entry?;
            if entry.metadata()?.len() > 0 {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Whether a file holds more than the header of a segment that is yet to be used, without which a store can do.
    pub fn is_needed(&self, file: &str) -> io::Result<bool> {
        let bytes = fs::read(self.filled.path().join("files").join(file))?;
        Ok(bytes.iter().skip(HEADER_LEN as usize).any(|byte| *byte != 0))
    }

    /// Lets a sector of a file that holds something fail when it is read; `None` if no sector is the file's own. (btrfs
    /// keeps a short one within its tree.)
    pub fn unreadable(&self, file: &str, rng: &mut Rng) -> Result<Option<Outcome>, Failure> {
        let bytes = fs::read(self.filled.path().join("files").join(file))?;
        let mut sectors: Vec<&[u8]> = bytes.chunks(SECTOR).filter(|sector| sector.iter().any(|b| *b != 0)).collect();
        rng.shuffle(&mut sectors);
        let mut places = sectors.into_iter().map(|sector| self.image.find(sector)).filter(|places| !places.is_empty());
        let Some(places) = places.next() else { return Ok(None) };
        let (drive, exchange) = (Drive::new(self.image.clone())?, self.exchange()?);
        drive.disk.fail(Some(Failing { ranges: sectors_at(&places), reads: true, writes: false }));
        let mounted = drive.mount(self.kind)?;
        let mut reader = self.play("suffer-reads", &drive, &mounted, exchange.path(), 0)?;
        let folder = Folder(exchange.path().to_owned());
        told(&folder, &mut reader, "suffered")?;
        drive.disk.fail(None);
        folder.tell("healed")?;
        reader.finish()?;
        Ok(Some(Outcome { failures: drive.disk.failures(), errors: folder.get("errors")? }))
    }

    /// Lets sectors fail when they are written, for a while. If that was the tail, the handle must live on; after a whole
    /// disk failed, filesystems shut down, and all must be well once it was mounted again.
    pub fn unwritable(&self, which: Unwritable) -> Result<Outcome, Failure> {
        let (drive, exchange) = (Drive::new(self.image.clone())?, self.exchange()?);
        let mounted = drive.mount(self.kind)?;
        let mut writer = self.play("suffer-writes", &drive, &mounted, exchange.path(), 12)?;
        let folder = Folder(exchange.path().to_owned());
        told(&folder, &mut writer, "ready")?;
        let ranges = match which {
            Unwritable::Disk => std::iter::once(0..u64::MAX).collect(),
            Unwritable::Tail => sectors_at(&drive.disk.image().find(&fs::read(folder.0.join("tail"))?)),
        };
        drive.disk.fail(Some(Failing { ranges, reads: false, writes: true }));
        folder.tell("failing")?;
        told(&folder, &mut writer, "suffered")?;
        drive.disk.fail(None);
        folder.tell("healed")?;
        writer.finish()?;
        let lives: Result<(), String> = folder.get("lives")?;
        if which == Unwritable::Tail {
            lives?;
        }
        drop(mounted);
        let mounted = drive.mount(self.kind)?;
        self.play("settle", &drive, &mounted, exchange.path(), 0)?.finish()?;
        let expected: Expected = folder.get("expected")?;
        Ok(Outcome { failures: drive.disk.failures(), errors: expected.errors })
    }

    /// A folder for what a process is to know and to tell.
    fn exchange(&self) -> io::Result<TempDir> {
        let folder = tempfile::tempdir()?;
        fs::copy(self.filled.path().join("expected"), folder.path().join("expected"))?;
        Ok(folder)
    }

    fn play(
        &self,
        name: &str,
        drive: &Drive,
        mounted: &Mounted,
        folder: &Path,
        steps: u64,
    ) -> Result<Bounded, Failure> {
        let orders = Orders { steps, ..orders("full", mounted.point(), &drive.clock(), Path::new("")) };
        Ok(Bounded::start(&mut part(&self.program, name, &Orders { journals: folder.to_owned(), ..orders })?)?)
    }
}

fn sectors_at(places: &[u64]) -> Vec<Range<u64>> {
    places.iter().map(|place| *place..place + SECTOR as u64).collect()
}

/// Waits until the other process has told. If it ends instead, that is why.
fn told(folder: &Folder, other: &mut Bounded, what: &str) -> Result<(), Failure> {
    while !folder.0.join(what).exists() {
        if !other.runs()? {
            other.finish()?;
            return Err(format!("it ended without having {what}").into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
