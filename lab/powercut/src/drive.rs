//! A disk that is plugged in: served as a file, a loop device over it, a filesystem on that. Whatever is mounted here is
//! unmounted when its value is dropped, a panic or not; what a killed run left is removed by the next.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fuser::BackgroundSession;
use tempfile::TempDir;

use crate::bounded::run;
use crate::disk::{Disk, NAME};
use crate::image::Image;

const PREFIX: &str = "dirkv-powercut-";

/// The filesystems that are tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// ext4
    Ext4,
    /// xfs
    Xfs,
    /// btrfs
    Btrfs,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Ext4, Kind::Xfs, Kind::Btrfs];

    /// As `mount` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ext4 => "ext4",
            Kind::Xfs => "xfs",
            Kind::Btrfs => "btrfs",
        }
    }

    /// The size of its disk in MiB: little more than the least that its mkfs takes.
    fn size(self) -> u64 {
        match self {
            Kind::Ext4 => 64,
            Kind::Xfs => 300,
            Kind::Btrfs => 128,
        }
    }

    /// Where its superblock lies. It has to be written whole: a torn one is mounted by nobody, whatever is on the disk.
    pub fn superblock(self) -> Range<u64> {
        match self {
            Kind::Ext4 => 1 << 10..2 << 10,
            Kind::Xfs => 0..512,
            Kind::Btrfs => 64 << 10..68 << 10,
        }
    }

    /// An empty filesystem with everything at its default.
    pub fn make(self) -> io::Result<Image> {
        let dir = scratch()?;
        let path = dir.path().join("image");
        fs::File::create(&path)?.set_len(self.size() << 20)?;
        // mkfs.btrfs looks at all that is mounted, and gives up at what nobody serves any more.
        sweep()?;
        run(&format!("mkfs.{}", self.name()), &["-q", text(&path)])?;
        Image::load(&path)
    }
}

/// A disk that is served as a file.
pub struct Drive {
    /// The disk.
    pub disk: Disk,
    dir: TempDir,
    session: Option<BackgroundSession>,
}

impl Drive {
    /// Plugs in a disk with this content.
    pub fn new(image: Image) -> io::Result<Drive> {
        let dir = scratch()?;
        let disk = Disk::new(image, &dir.path().join("clock"))?;
        ["served", "mounted"].iter().try_for_each(|name| fs::create_dir(dir.path().join(name)))?;
        let session = fuser::spawn_mount(disk.clone(), dir.path().join("served"), &fuser::Config::default())?;
        Ok(Drive { disk, dir, session: Some(session) })
    }

    /// Where the disk's clock is.
    pub fn clock(&self) -> PathBuf {
        self.dir.path().join("clock")
    }

    /// Mounts the filesystem on the disk, with everything at its default.
    pub fn mount(&self, kind: Kind) -> io::Result<Mounted> {
        let (file, point) = (self.dir.path().join("served").join(NAME), self.dir.path().join("mounted"));
        run("mount", &["-t", kind.name(), "-o", "loop", text(&file), text(&point)])?;
        Ok(Mounted { point })
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        unmount(&self.dir.path().join("served"));
        // The loop device lets go of the file a moment after its filesystem was unmounted; then this thread ends by itself.
        drop(self.session.take());
    }
}

/// A mounted filesystem.
pub struct Mounted {
    point: PathBuf,
}

impl Mounted {
    /// Where.
    pub fn point(&self) -> &Path {
        &self.point
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(&self.point);
    }
}

/// Unmounts; by force if somebody still uses it after a while.
fn unmount(point: &Path) {
    let until = Instant::now() + Duration::from_secs(5);
    while run("umount", &[text(point)]).is_err() {
        if Instant::now() > until {
            let _ = run("umount", &["-f", "-l", text(point)]);
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A folder whose name says whose it is.
fn scratch() -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(&format!("{PREFIX}{}-", std::process::id())).tempdir()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of the lab are UTF-8")
}

/// Removes what runs that are dead left mounted. (A loop device goes with its mount.) Others may be at it, too.
fn sweep() -> io::Result<()> {
    let mounts = fs::read_to_string("/proc/mounts")?;
    // What was mounted last goes first.
    let points = mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
    for point in points.filter(|point| is_left(point)) {
        let _ = run("umount", &["-f", "-l", text(point)]);
    }
    for entry in fs::read_dir(std::env::temp_dir())? {
        let path = entry?.path();
        if is_left(&path) {
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

/// Whether this is, or lies in, a folder of ours whose owner is dead.
fn is_left(path: &Path) -> bool {
    let within = path.strip_prefix(std::env::temp_dir()).ok().and_then(Path::to_str);
    let owner = within.and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| rest.split_once('-'));
    owner.is_some_and(|(owner, _)| !Path::new("/proc").join(owner).exists())
}

/// Why nothing can be mounted on this machine, if so.
pub fn unable() -> Option<String> {
    // A process's own folder belongs to its effective user.
    if std::fs::metadata("/proc/self").map_or(true, |me| std::os::unix::fs::MetadataExt::uid(&me) != 0) {
        return Some("needs root".to_owned());
    }
    if !Path::new("/dev/fuse").exists() || !Path::new("/dev/loop-control").exists() {
        return Some("needs /dev/fuse and loop devices".to_owned());
    }
    let missing = Kind::ALL.into_iter().find(|kind| run(&format!("mkfs.{}", kind.name()), &["-V"]).is_err());
    missing.map(|kind| format!("needs mkfs.{}", kind.name()))
}
