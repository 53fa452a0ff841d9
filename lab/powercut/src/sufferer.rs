//! Who works on a disk whose sectors fail. The disk is served by the process that started this one, so the two tell each
//! other how far they are by empty files in a folder that lies elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dirkv::{Backend, Code};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bounded::HANGS;
use crate::image::SECTOR;
use crate::journal::{Content, Value};
use crate::probe::sound;
use crate::worker::{Failure, Orders, params};

const BUCKET: &str = "sectors";

/// What a store shall hold after writes that may have failed.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct Expected {
    /// What was acknowledged.
    pub there: Content,
    /// What was refused.
    pub refused: Content,
    /// What the errors said.
    pub errors: Vec<String>,
}

/// A file in the folder that both processes see.
pub struct Folder(pub PathBuf);

impl Folder {
    /// Tells the other process.
    pub fn tell(&self, what: &str) -> Result<(), Failure> {
        Ok(fs::write(self.0.join(what), "")?)
    }

    /// Waits until the other process has told.
    pub fn hear(&self, what: &str) -> Result<(), Failure> {
        let until = Instant::now() + HANGS;
        while !self.0.join(what).exists() {
            if Instant::now() > until {
                return Err(format!("the other process never said {what}").into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Leaves something for the other process, or the next.
    pub fn put(&self, name: &str, what: &impl Serialize) -> Result<(), Failure> {
        Ok(fs::write(self.0.join(name), serde_json::to_vec(what)?)?)
    }

    /// Takes it.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<T, Failure> {
        Ok(serde_json::from_slice(&fs::read(self.0.join(name))?)?)
    }
}

/// A handle that doesn't wait for long, since nothing comes back by waiting.
fn open(orders: &Orders) -> dirkv::Result<Backend> {
    let mut params = params(&orders.store, &orders.sync)?;
    params.set("lock_timeout", "500ms")?;
    Backend::open(&params)
}

fn value(number: u64) -> Value {
    Value { tag: 1 << 50 | number, len: if number.is_multiple_of(5) { 6_000 } else { 300 } }
}

fn put(store: &Backend, number: u64) -> dirkv::Result<u64> {
    store.upsert(BUCKET, key(number), &value(number).bytes(), 0)
}

fn key(number: u64) -> String {
    format!("k{number:04}")
}

/// Makes a store with a table and a log, and leaves copies of its files.
pub fn fill(orders: &Orders) -> Result<(), Failure> {
    let (store, folder) = (open(orders)?, Folder(orders.journals.clone()));
    let mut expected = Expected::default();
    for number in 0..orders.steps {
        put(&store, number)?;
        expected.there.insert(key(number), value(number));
        if number == orders.steps / 2 {
            store.compact()?;
        }
    }
    drop(store);
    folder.put("expected", &expected)?;
    let files = folder.0.join("files");
    fs::create_dir_all(&files)?;
    for entry in fs::read_dir(&orders.store)? {
        let entry = entry?;
        fs::copy(entry.path(), files.join(entry.file_name()))?;
    }
    Ok(())
}

/// Reads all while sectors can't be read, and all again once they can.
pub fn read(orders: &Orders) -> Result<(), Failure> {
    let folder = Folder(orders.journals.clone());
    let expected: Expected = folder.get("expected")?;
    let mut errors = Vec::new();
    let opened = match open(orders) {
        Ok(store) => {
            errors.extend(wrong(&store, &expected.there)?);
            match store.check() {
                Ok(findings) => errors.extend(findings),
                Err(e) => errors.push(damage(e)?),
            }
            Some(store)
        }
        Err(e) => {
            errors.push(damage(e)?);
            None
        }
    };
    folder.put("errors", &errors)?;
    folder.tell("suffered")?;
    folder.hear("healed")?;
    let store = opened.map_or_else(|| open(orders), Ok)?;
    works(&store, &expected)
}

/// Writes while sectors can't be written, and looks whether the handle lives on if they can be written again.
pub fn write(orders: &Orders) -> Result<(), Failure> {
    let (store, folder) = (open(orders)?, Folder(orders.journals.clone()));
    let mut expected: Expected = folder.get("expected")?;
    put(&store, 9_000)?;
    expected.there.insert(key(9_000), value(9_000));
    fs::write(folder.0.join("tail"), tail(&orders.store, &value(9_000).bytes())?)?;
    folder.tell("ready")?;
    folder.hear("failing")?;
    for number in 9_001..9_001 + orders.steps {
        match put(&store, number) {
            Ok(_) => drop(expected.there.insert(key(number), value(number))),
            Err(e) => {
                // It may or may not have happened.
                if e.code != Code::Uncertain {
                    expected.refused.insert(key(number), value(number));
                }
                expected.errors.push(damage(e)?);
            }
        }
        wrong(&store, &expected.there)?;
    }
    folder.put("expected", &expected)?;
    folder.tell("suffered")?;
    folder.hear("healed")?;
    // Whether it can be used again is the filesystem's decision: the caller knows where it must.
    let lives = works(&store, &expected).map_err(|e| e.to_string());
    folder.put("lives", &lives)
}

/// After the disk was mounted again.
pub fn settle(orders: &Orders) -> Result<(), Failure> {
    works(&open(orders)?, &Folder(orders.journals.clone()).get("expected")?)
}

/// The errors that reads meet. A value that is not what was written is a failure.
fn wrong(store: &Backend, there: &Content) -> Result<Vec<String>, Failure> {
    let mut errors = Vec::new();
    for (key, value) in there {
        match store.get(BUCKET, key) {
            Ok(bytes) if Value::of(&bytes) == Some(*value) => (),
            Ok(_) => return Err(format!("wrong bytes in {key}").into()),
            Err(e) => errors.push(damage(e)?),
        }
    }
    Ok(errors)
}

/// The text of an error that says of a disk, and names what it was about; any other is a failure.
fn damage(e: dirkv::Error) -> Result<String, Failure> {
    let names = ["MANIFEST", "SHARED", "LOCK", "COMPACT", "log-", "table-", "the directory"];
    let of_disk = matches!(e.code, Code::Io | Code::Corrupt | Code::ReadOnly | Code::Uncertain);
    if of_disk && (e.code == Code::Uncertain || names.iter().any(|name| e.message.contains(name))) {
        return Ok(e.to_string());
    }
    Err(format!("{:?}, which is no error of a disk that names a file: {e}", e.code).into())
}

/// All is there that has to be, nothing that was refused, and the store works: 100 more changes.
fn works(store: &Backend, expected: &Expected) -> Result<(), Failure> {
    let errors = wrong(store, &expected.there)?;
    if !errors.is_empty() {
        return Err(format!("the sectors are well, but {errors:?}").into());
    }
    if let Some((key, _)) = expected.refused.iter().find(|(key, _)| store.exists(BUCKET, key) != Ok(false)) {
        return Err(format!("{key} was refused").into());
    }
    sound(store)?;
    (0..100).try_for_each(|number| put(store, number).map(drop))?;
    sound(store)
}

/// The sector of the log in which the last frame ends, to which the next one will be written.
fn tail(store: &Path, value: &[u8]) -> Result<Vec<u8>, Failure> {
    for entry in fs::read_dir(store)? {
        let bytes = fs::read(entry?.path())?;
        if let Some(at) = bytes.windows(value.len()).position(|window| window == value) {
            let sector = (at + value.len() - 1) / SECTOR * SECTOR;
            return Ok(bytes[sector..sector + SECTOR].to_vec());
        }
    }
    Err("the last frame is in no file".into())
}
