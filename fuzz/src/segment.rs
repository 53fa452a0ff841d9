//! A segment of frames, good and bad, as the log of a store that is opened: what is read is what a walk over the frames finds,
//! and damage is told from a torn tail by its witness. And the header's bytes.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arbitrary::Arbitrary;
use dirkv::Code;
use dirkv::engine::{Config, Engine, Surroundings};
use dirkv::format::manifest::SyncMode;
use dirkv::format::position::position;
use dirkv::format::segment::Header;

use crate::memory::{Memory, Still};
use crate::ops::{Change, body};
use crate::{described, kind, reseal, small, within};

/// A frame, and what is wrong with it.
#[derive(Arbitrary, Debug)]
struct Piece {
    changes: Vec<Change>,
    flaw: Flaw,
    /// How many eighths of the log before it were durable.
    durable: u8,
}

#[derive(Arbitrary, PartialEq, Clone, Copy, Debug)]
enum Flaw {
    None,
    NoneEither,
    /// A bit is flipped.
    Flipped,
    /// It follows another frame.
    Unchained,
    /// Its operations make no sense.
    Senseless,
}

type Items = BTreeMap<Vec<u8>, (Vec<u8>, u64, u64)>;

pub fn run(data: &[u8]) {
    match kind(data, 4) {
        Some((0, rest)) => header(rest),
        Some((1, rest)) => {
            let mut bytes = rest.to_vec();
            reseal::segment(&mut bytes, &[]);
            header(&bytes);
        }
        Some((_, rest)) => {
            if let Some((pieces, tail)) = described::<(Vec<Piece>, Vec<u8>)>(rest) {
                log(pieces, &tail);
            }
        }
        None => (),
    }
}

/// What decodes is encoded to the same bytes.
fn header(bytes: &[u8]) {
    if let Ok(header) = within(0, || Header::decode(bytes)) {
        let mut right = bytes[..64].to_vec();
        assert_eq!(header.encode()[..], right);
        reseal::segment(&mut right, &[]);
        assert_eq!(header.encode()[..], right);
    }
}

/// What the log should say.
struct Walk {
    items: Items,
    /// Where the frames that chain end.
    end: u64,
    is_broken: bool,
    is_senseless: bool,
    is_witnessed: bool,
}

fn log(pieces: Vec<Piece>, tail: &[u8]) {
    static EMPTY: OnceLock<Memory> = OnceLock::new();
    let memory = EMPTY.get_or_init(|| small::created(SyncMode::Full, 1)).copy();
    let mut log = memory.files()["log-1"][..64].to_vec();
    let header = Header::decode(&log).expect("the store made it");
    let mut walk = Walk { items: Items::new(), end: 64, is_broken: false, is_senseless: false, is_witnessed: false };
    let mut previous = header.crc();
    for piece in pieces {
        previous = write(&mut log, piece, previous, header.salt, &mut walk);
    }
    log.extend_from_slice(tail);
    log.resize(log.len().max(1024), 0);
    let bound = (4 << 20) + 64 * log.len() + (1 << 16);
    memory.put("log-1", log);
    let found = within(bound, || read(&memory));
    match found {
        Ok(items) => {
            assert!(!walk.is_witnessed && !walk.is_senseless, "damage was not noticed");
            assert_eq!(items, walk.items);
        }
        Err(e) => {
            assert!(walk.is_witnessed || walk.is_senseless, "{e}");
            assert!(e.code == Code::Corrupt && e.message.contains("log-1"), "{e}");
        }
    }
}

/// Appends the frame as its flaw has it and walks on over it; the answer is what the next one has to carry.
fn write(log: &mut Vec<u8>, mut piece: Piece, previous: u32, salt: u64, walk: &mut Walk) -> u32 {
    let (at, body) = (log.len() as u64, body(&mut piece.changes));
    let durable = position(1, 64 + (at - 64) / 8 * u64::from(piece.durable % 9));
    let before = if piece.flaw == Flaw::Unchained { !previous } else { previous };
    let mut crc = body.write_frame(log, salt, at, before, durable);
    if piece.flaw == Flaw::Senseless {
        let frame = &mut log[at as usize..];
        frame[29] = 1;
        crc = reseal::frame_crc(frame, salt, at);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
    } else if piece.flaw == Flaw::Flipped {
        *log.last_mut().expect("a frame has bytes") ^= 0x10;
    }
    let (verifies, chains) = (piece.flaw != Flaw::Flipped, piece.flaw != Flaw::Unchained);
    if walk.is_broken || !verifies || !chains {
        // A witness has the shape of a frame: one that is senseless in its header has not.
        let is_witness = walk.is_broken && verifies && piece.flaw != Flaw::Senseless;
        walk.is_witnessed |= is_witness && durable > position(1, walk.end);
        walk.is_broken = true;
    } else {
        walk.end = log.len() as u64;
        walk.is_senseless |= piece.flaw == Flaw::Senseless;
        apply(&mut walk.items, piece.changes, position(1, walk.end));
    }
    crc
}

fn apply(items: &mut Items, changes: Vec<Change>, revision: u64) {
    for change in changes {
        match change {
            Change::DeleteRange { start, end } => items.retain(|key, _| *key < start || *key >= end),
            Change::Put { key, tag, value } => drop(items.insert(key, (value, tag, revision))),
            Change::Delete { key } => drop(items.remove(&key)),
        }
    }
}

fn read(memory: &Memory) -> dirkv::Result<Items> {
    let config = Config {
        sync: None,
        read_only: true,
        segment_size: 0,
        lock_timeout: Duration::from_secs(1),
        memory_limit: 1 << 20,
        background: false,
    };
    let around = Surroundings {
        dir: Arc::new(memory.clone()),
        clock: Arc::new(Still::default()),
        retain: Arc::new(|_, _| true),
        log: Arc::new(|_, _| ()),
    };
    let snapshot = Engine::open(config, around)?.snapshot()?;
    let (mut items, mut cursor) = (Items::new(), snapshot.scan(b"", None)?);
    while let Some(item) = cursor.next()? {
        items.insert(item.key.to_vec(), (item.bytes()?.into_owned(), item.tag, item.revision));
    }
    Ok(items)
}
