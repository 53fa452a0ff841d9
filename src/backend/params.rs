//! The parameters of `open`: a bag of names and values, each value given as text.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Code, Error, Result};
use crate::format::manifest::SyncMode;

use super::units::{self, SIZE_FORM, TIME_FORM};

/// A replacement of the system's clock: nanoseconds since the epoch. It must not call dirkv, and may be called by any thread.
pub type ClockFn = Arc<dyn Fn() -> i64 + Send + Sync>;

const LOCK_TIMEOUTS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);
const SEGMENT_SIZES: RangeInclusive<u64> = 64 << 10..=1 << 30;
const MEMORY_LIMITS: RangeInclusive<u64> = 1 << 20..=64 << 30;
const LOCK_TTLS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(8760 * 3600);
const DIR_MODES: Modes = Modes { least: 0o700, most: 0o777 };
const FILE_MODES: Modes = Modes { least: 0o600, most: 0o666 };

/// How a store is opened: what [`Params::set`] takes, each value as text.
///
/// | name | value | default | range |
/// |---|---|---|---|
/// | `path` | the store's directory | - | not empty |
/// | `data_dir` | the same, used when `path` is absent | - | not empty |
/// | `sync` | `full`: durable before a call returns; `os`: left to the kernel, survives the process, not the power | that of the store; `full` for a new one | |
/// | `lock_timeout` | how long a writer waits for another that holds the store's lock | `10s` | 0 to 24h |
/// | `background` | `on`: a thread of the handle compacts; `off`: only `compact` and writers do | `on` | |
/// | `read_only` | `true`, `false` | `false` | |
/// | `dir_mode` | mode of a directory that is created, octal | `0700` | includes 0700, at most 0777 |
/// | `file_mode` | mode of the files, octal | `0600` | includes 0600, at most 0666 |
/// | `segment_size` | size of a log segment of a new store | `4MiB` | 64KiB to 1GiB |
/// | `memory_limit` | what the handle's caches of tables may take (beside the index of the newest segments) | `32MiB` | 1MiB to 64GiB |
/// | `max_lock_ttl` | the longest time to live of a lock | `60s` | 1ms to 8760h |
///
/// A duration is an integer with `ns`, `us`, `ms`, `s`, `m` or `h`; a size one with `B`, `KiB`, `MiB` or `GiB`; nothing
/// stands between number and unit, and `0` needs none. Of a name that is set twice the later value counts.
#[derive(Clone)]
pub struct Params {
    path: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    pub(super) sync: Option<SyncMode>,
    pub(super) lock_timeout: Duration,
    pub(super) background: bool,
    pub(super) read_only: bool,
    pub(super) dir_mode: u32,
    pub(super) file_mode: u32,
    pub(super) segment_size: u64,
    pub(super) memory_limit: u64,
    pub(super) max_lock_ttl: Duration,
    pub(super) clock: Option<ClockFn>,
}

impl Params {
    /// Every parameter at its default, and no path.
    pub fn new() -> Params {
        Params {
            path: None,
            data_dir: None,
            sync: None,
            lock_timeout: Duration::from_secs(10),
            background: true,
            read_only: false,
            dir_mode: 0o700,
            file_mode: 0o600,
            segment_size: 4 << 20,
            memory_limit: 32 << 20,
            max_lock_ttl: Duration::from_secs(60),
            clock: None,
        }
    }

    /// Sets the parameter `name`. An unknown name or a value that isn't allowed is `BAD_PARAMETER`, and changes nothing.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let given = Given { name, value };
        match name {
            "path" => self.path = Some(given.path()?),
            "data_dir" => self.data_dir = Some(given.path()?),
            "sync" => self.sync = Some(given.one_of([("full", SyncMode::Full), ("os", SyncMode::Os)])?),
            "lock_timeout" => self.lock_timeout = given.duration(&LOCK_TIMEOUTS)?,
            "background" => self.background = given.one_of([("on", true), ("off", false)])?,
            "read_only" => self.read_only = given.one_of([("true", true), ("false", false)])?,
            "dir_mode" => self.dir_mode = given.mode(DIR_MODES)?,
            "file_mode" => self.file_mode = given.mode(FILE_MODES)?,
            "segment_size" => self.segment_size = given.size(&SEGMENT_SIZES)?,
            "memory_limit" => self.memory_limit = given.size(&MEMORY_LIMITS)?,
            "max_lock_ttl" => self.max_lock_ttl = given.duration(&LOCK_TTLS)?,
            _ => return Err(given.unknown()),
        }
        Ok(())
    }

    /// Sets `path` to one that need not be UTF-8.
    pub fn set_path(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = path.as_os_str().as_encoded_bytes();
        if bytes.is_empty() || bytes.contains(&0) {
            return Err(Given { name: "path", value: &path.to_string_lossy() }.refused("a path without NUL, not empty"));
        }
        self.path = Some(path.to_owned());
        Ok(())
    }

    /// Replaces the system's clock, by which things expire.
    pub fn set_clock(&mut self, clock: ClockFn) {
        self.clock = Some(clock);
    }

    /// The directory of the store.
    pub(super) fn directory(&self) -> Result<&Path> {
        let set = self.path.as_ref().or(self.data_dir.as_ref());
        set.map(PathBuf::as_path)
            .ok_or_else(|| Error::new(Code::BadParameter, "neither of the parameters path and data_dir is set"))
    }
}

impl Default for Params {
    fn default() -> Params {
        Params::new()
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Params")
            .field("path", &self.path)
            .field("data_dir", &self.data_dir)
            .field("sync", &self.sync)
            .field("read_only", &self.read_only)
            .field("clock_replaced", &self.clock.is_some())
            .finish_non_exhaustive()
    }
}

/// Which modes are allowed: those with all the bits of `least` and none beyond `most`.
#[derive(Clone, Copy)]
struct Modes {
    least: u32,
    most: u32,
}

/// A parameter as the caller gave it.
struct Given<'a> {
    name: &'a str,
    value: &'a str,
}

impl Given<'_> {
    fn path(&self) -> Result<PathBuf> {
        if self.value.is_empty() || self.value.contains('\0') {
            return Err(self.refused("a path without NUL, not empty"));
        }
        Ok(PathBuf::from(self.value))
    }

    fn one_of<T: Copy, const N: usize>(&self, choices: [(&str, T); N]) -> Result<T> {
        let found = choices.iter().find(|(text, _)| *text == self.value);
        found.map(|(_, choice)| *choice).ok_or_else(|| self.refused(choices.map(|(text, _)| text).join(" or ")))
    }

    fn duration(&self, range: &RangeInclusive<Duration>) -> Result<Duration> {
        units::duration(self.value).filter(|d| range.contains(d)).ok_or_else(|| {
            let (least, most) = (units::show_duration(*range.start()), units::show_duration(*range.end()));
            self.refused(format!("{TIME_FORM}, from {least} to {most}"))
        })
    }

    fn size(&self, range: &RangeInclusive<u64>) -> Result<u64> {
        units::size(self.value).filter(|size| range.contains(size)).ok_or_else(|| {
            let (least, most) = (units::show_size(*range.start()), units::show_size(*range.end()));
            self.refused(format!("{SIZE_FORM}, from {least} to {most}"))
        })
    }

    fn mode(&self, modes: Modes) -> Result<u32> {
        let Modes { least, most } = modes;
        let digits = self.value.bytes().all(|b| b.is_ascii_digit());
        let mode = u32::from_str_radix(self.value, 8).ok().filter(|m| digits && m & least == least && m | most == most);
        mode.ok_or_else(|| self.refused(format!("an octal mode that includes {least:04o}, at most {most:04o}")))
    }

    fn refused(&self, accepted: impl fmt::Display) -> Error {
        let Given { name, value } = self;
        Error::new(Code::BadParameter, format!("parameter {name} can't be {value:?}: it is {accepted}"))
    }

    fn unknown(&self) -> Error {
        Error::new(Code::BadParameter, format!("there is no parameter {:?}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str, value: &str) -> String {
        let error = Params::new().set(name, value).unwrap_err();
        assert_eq!(error.code, Code::BadParameter, "{name}={value}");
        error.message
    }

    #[test]
    fn every_parameter_is_taken() {
        let mut params = Params::new();
        for (name, value) in [
            ("data_dir", "/d"),
            ("sync", "os"),
            ("lock_timeout", "250ms"),
            ("background", "off"),
            ("read_only", "true"),
            ("dir_mode", "0750"),
            ("file_mode", "640"),
            ("segment_size", "64KiB"),
            ("memory_limit", "1GiB"),
            ("max_lock_ttl", "1h"),
        ] {
            params.set(name, value).unwrap();
        }
        assert_eq!(params.directory().unwrap(), Path::new("/d"));
        params.set("path", "p").unwrap();
        assert_eq!(params.directory().unwrap(), Path::new("p"), "path counts before data_dir");
        assert_eq!(params.sync, Some(SyncMode::Os));
        assert_eq!((params.lock_timeout, params.max_lock_ttl), (Duration::from_millis(250), Duration::from_secs(3600)));
        assert!(!params.background && params.read_only);
        assert_eq!((params.dir_mode, params.file_mode), (0o750, 0o640));
        assert_eq!((params.segment_size, params.memory_limit), (64 << 10, 1 << 30));
    }

    #[test]
    fn a_refusal_names_parameter_value_and_form() {
        assert_eq!(message("colour", "red"), "there is no parameter \"colour\"");
        assert_eq!(message("Path", "x"), "there is no parameter \"Path\"");
        assert_eq!(message("sync", "none"), "parameter sync can't be \"none\": it is full or os");
        assert_eq!(
            message("segment_size", "63KiB"),
            "parameter segment_size can't be \"63KiB\": it is an integer with B, KiB, MiB or GiB, from 64KiB to 1GiB"
        );
        assert_eq!(
            message("lock_timeout", "10"),
            "parameter lock_timeout can't be \"10\": it is an integer with ns, us, ms, s, m or h, from 0 to 24h"
        );
        assert_eq!(
            message("dir_mode", "0600"),
            "parameter dir_mode can't be \"0600\": it is an octal mode that includes 0700, at most 0777"
        );
        for (name, value) in [
            ("path", ""),
            ("path", "a\0b"),
            ("data_dir", ""),
            ("background", "yes"),
            ("read_only", "1"),
            ("dir_mode", "1777"),
            ("file_mode", "0700"),
            ("file_mode", "+600"),
            ("file_mode", "0688"),
            ("segment_size", "2GiB"),
            ("memory_limit", "1KiB"),
            ("max_lock_ttl", "0"),
            ("lock_timeout", "25h"),
        ] {
            assert!(message(name, value).starts_with(&format!("parameter {name} can't be ")), "{name}={value}");
        }
    }

    #[test]
    fn a_refused_value_changes_nothing_and_no_path_is_an_error() {
        let mut params = Params::new();
        params.set("sync", "os").unwrap();
        params.set("sync", "x").unwrap_err();
        assert_eq!(params.sync, Some(SyncMode::Os));
        let error = params.directory().unwrap_err();
        assert_eq!(error.message, "neither of the parameters path and data_dir is set");
        assert_eq!(params.set_path("").unwrap_err().code, Code::BadParameter);
    }
}
