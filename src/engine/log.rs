//! Log segments as files: made ahead, opened, read frame by frame.

use super::value::{Extent, Home, Stored};
use crate::error::{Code, Error, Result};
use crate::files::names;
use crate::files::storage::{Access, Blocks, Directory, File};
use crate::format::frame::{self, Frame};
use crate::format::manifest::{Holder, StoreId};
use crate::format::position::{MAX_OFFSET, Position, position};
use crate::format::segment::{HEADER_LEN, Header};
use crate::sabotage::{self, Sabotage};
use std::io;
use std::sync::Arc;

/// How much of a segment is read at a time: little enough to stay in the processor's cache.
const CHUNK: u64 = 1 << 18;
/// What a block is that holds no frame yet.
static EMPTY: [u8; CHUNK as usize] = [0; CHUNK as usize];
/// How many zeros at once are passed over in search of a frame; less than a frame's header.
const ZEROS: usize = 32;

/// A segment opened for reading, or for reading and writing.
#[derive(Debug)]
pub struct Segment {
    home: Home,
    header: Header,
}

/// Why a segment can't be opened.
pub enum OpenError {
    /// There is no such file.
    Missing(String),
    /// Anything else.
    Other(Error),
}

impl From<OpenError> for Error {
    fn from(e: OpenError) -> Error {
        match e {
            OpenError::Missing(name) => Error::corrupt(name, 0, "the manifest names it, but it is gone"),
            OpenError::Other(e) => e,
        }
    }
}

impl Segment {
    /// Opens segment `number` and checks that its header is that of this store and number.
    pub fn open(
        dir: &dyn Directory,
        number: u64,
        store: &StoreId,
        access: Access,
    ) -> std::result::Result<Segment, OpenError> {
        let name = names::log(number);
        let file = dir.open(&name, access).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => OpenError::Missing(name.clone()),
            _ => OpenError::Other(Error::io(format_args!("open {name}"), &e)),
        })?;
        let header = read_header(&*file, &name).map_err(OpenError::Other)?;
        if header.segment != number || header.store != *store {
            let what = "it is another segment's or another store's file";
            return Err(OpenError::Other(Error::corrupt(&name, 16, what)));
        }
        Ok(Segment { home: Home::new(Holder::Log(number), file), header })
    }

    /// Opens segment `number` of whichever store; `None` if its header doesn't verify.
    pub fn open_any(dir: &dyn Directory, number: u64) -> Result<Option<Segment>> {
        let name = names::log(number);
        let file = dir.open(&name, Access::Read).map_err(|e| Error::io(format_args!("open {name}"), &e))?;
        match read_header(&*file, &name) {
            Ok(header) => Ok(Some(Segment { home: Home::new(Holder::Log(number), file), header })),
            Err(e) if e.code == Code::Corrupt => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.header.segment
    }
    /// The file's name.
    pub fn name(&self) -> &str {
        &self.home.name
    }
    /// The salt and the rest.
    pub fn header(&self) -> &Header {
        &self.header
    }
    /// The file.
    pub fn file(&self) -> &Arc<dyn File> {
        &self.home.file
    }

    /// A large value that lies in the segment.
    pub fn stored(&self, extent: Extent) -> Stored<'_> {
        Stored::Extent { home: &self.home, extent }
    }

    /// How many bytes the file has.
    pub fn len(&self) -> Result<u64> {
        let len = self.home.file.identity().map_err(|e| Error::io(format_args!("stat {}", self.home.name), &e))?.len;
        Ok(len.min(MAX_OFFSET))
    }

    /// Calls `f` with each frame from `from` (an offset) up to `to`, its offset and all its bytes checked against the chain:
    /// `previous` is the CRC of the frame that ends at `from`. Returns the CRC of the last frame and the offset where it
    /// stopped: `to`, or the start of the first frame that doesn't verify, reaches beyond `to`, or is refused by `f`.
    pub fn frames(
        &self,
        (mut from, mut previous): (u64, u32),
        to: u64,
        mut f: impl FnMut(&Frame<'_>, u64) -> std::result::Result<(), &'static str>,
    ) -> Result<(u64, u32)> {
        let mut chunk = Vec::new();
        while from < to {
            let mut want = to - from;
            if want > CHUNK {
                // Mostly the log ends here, in blocks that hold no frame yet.
                let Some(len) = self.claimed(from)? else { break };
                want = CHUNK.max(len as u64);
            }
            if want > to - from {
                break;
            }
            self.read(&mut chunk, from, want)?;
            let (mut at, start) = (0, from);
            while let Some(frame) = Frame::verify(&chunk[at..], self.header.salt, from) {
                // Rule 1: it carries the CRC of the frame before.
                let chained = frame.previous() == previous || sabotage::is(Sabotage::Unchained);
                if !chained || f(&frame, from).is_err() {
                    return Ok((from, previous));
                }
                previous = frame.crc();
                at += frame.len();
                from += frame.len() as u64;
            }
            if from == start {
                break;
            }
        }
        Ok((from, previous))
    }

    /// The bytes from `from` to `to`, whole.
    pub fn bytes(&self, from: u64, to: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read(&mut bytes, from, to - from)?;
        match bytes.len() as u64 == to - from {
            true => Ok(bytes),
            false => {
                Err(Error::corrupt(&self.home.name, from + bytes.len() as u64, "the file ends before the log does"))
            }
        }
    }

    /// The bytes from `from` to `to`, if they are whole frames that chain and end in the frame with the CRC `last`. The
    /// chain back from there fixes every one of them.
    pub fn verified(&self, from: u64, to: u64, last: u32) -> Result<Option<Vec<u8>>> {
        let bytes = self.bytes(from, to)?;
        let (mut at, mut previous) = (0, None);
        while let Some(frame) = Frame::verify(&bytes[at..], self.header.salt, from + at as u64) {
            if previous.is_some_and(|crc| crc != frame.previous()) && !sabotage::is(Sabotage::Unchained) {
                return Ok(None);
            }
            previous = Some(frame.crc());
            at += frame.len();
        }
        let ends = previous == Some(last) || sabotage::is(Sabotage::TailUnknown);
        Ok((at == bytes.len() && ends).then_some(bytes))
    }

    /// The length that the frame at `at` claims.
    fn claimed(&self, at: u64) -> Result<Option<usize>> {
        let mut head = [0; 4];
        let got = self.read_into(&mut head, at)?;
        Ok(Frame::claimed_len(&head[..got]))
    }

    /// Fills `buf` with as much of `from..from + len` as the file has.
    fn read(&self, buf: &mut Vec<u8>, from: u64, len: u64) -> Result<()> {
        // A claimed length is not believed before the file's.
        let there = if len > CHUNK { self.len()?.saturating_sub(from).min(len) } else { len };
        let there = usize::try_from(there).unwrap_or(usize::MAX);
        match buf.capacity() < there {
            // Fresh memory is zeros already.
            true => *buf = vec![0; there],
            false => buf.resize(there, 0),
        }
        let got = self.read_into(buf, from)?;
        buf.truncate(got);
        Ok(())
    }

    fn read_into(&self, buf: &mut [u8], from: u64) -> Result<usize> {
        self.home.file.read_at(buf, from).map_err(|e| Error::io(format_args!("read {} at {from}", self.home.name), &e))
    }

    /// All that lies beyond `end`; nothing if that is zeros only, as blocks are that hold no frame yet.
    pub fn rest(&self, end: u64) -> Result<Vec<u8>> {
        let (mut chunk, mut rest) = (Vec::new(), Vec::new());
        let (mut at, len) = (end, self.len()?);
        while at < len {
            let want = CHUNK.min(len - at);
            self.read(&mut chunk, at, want)?;
            if chunk.len() as u64 != want {
                return Err(Error::corrupt(
                    &self.home.name,
                    at + chunk.len() as u64,
                    "the file ends before the log does",
                ));
            }
            if chunk != EMPTY[..chunk.len()] {
                // The zeros that were passed over belong to it now.
                rest.resize(usize::try_from(at - end).unwrap_or(usize::MAX), 0);
                rest.extend_from_slice(&chunk);
            }
            at += want;
        }
        // A frame may end in zeros.
        if !rest.is_empty() {
            rest.resize(usize::try_from(len - end).unwrap_or(usize::MAX), 0);
        }
        Ok(rest)
    }

    /// Whether some frame in `rest`, all that lies beyond `bad`, verifies by itself and was written when the log was known
    /// committed beyond `bad`: then what stands at `bad` was durable once, and the medium lost it.
    pub fn durable_beyond(&self, bad: u64, rest: &[u8]) -> bool {
        let mut at = 0;
        while let Some(shape) = rest.get(at + 1..).filter(|rest| rest.len() > frame::HEADER_LEN) {
            at += 1;
            // No frame begins in zeros: nothing was appended there.
            if shape[..ZEROS] == [0; ZEROS] {
                at += ZEROS - size_of::<u32>();
                continue;
            }
            // The cheap part of a frame's shape first: a checksum over every offset would take for ever.
            let Some(len) = Frame::claimed_len(shape) else { continue };
            if len > shape.len() || shape[12] > 1 || shape[13..16] != [0; 3] || shape[28..32] != [0; 4] {
                continue;
            }
            let offset = bad + at as u64;
            if let Some(frame) = Frame::verify(shape, self.header.salt, offset)
                && frame.durable_before() > position(self.number(), bad)
            {
                return true;
            }
        }
        false
    }

    /// The position at an offset of this segment.
    pub fn at(&self, offset: u64) -> Position {
        position(self.number(), offset)
    }
}

fn read_header(file: &dyn File, name: &str) -> Result<Header> {
    let mut bytes = [0; HEADER_LEN as usize];
    let got = file.read_at(&mut bytes, 0).map_err(|e| Error::io(format_args!("read {name} at offset 0"), &e))?;
    Header::decode(&bytes[..got]).map_err(|what| Error::corrupt(name, 0, what))
}

/// Under `LOCK`: makes segment `number` of `len` bytes, in such blocks, or finds it made and makes it larger; afterwards its
/// header and its name are durable. A header that doesn't verify is an unfinished creation, begun again.
pub fn make(dir: &dyn Directory, number: u64, store: &StoreId, len: u64, blocks: Blocks) -> Result<()> {
    let name = names::log(number);
    let failed = |what: &str, e: &io::Error| Error::io(format_args!("{what} {name}"), e);
    let found = match dir.open(&name, Access::Write) {
        Ok(file) => match read_header(&*file, &name) {
            Ok(header) if header.store == *store && header.segment == number => Some((file, header)),
            Err(e) if e.code != Code::Corrupt => return Err(e),
            _ => {
                dir.remove(&name).map_err(|e| failed("remove", &e))?;
                None
            }
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(failed("open", &e)),
    };
    let (file, header, blocks) = match found {
        // The first change after each opening comes by here, and isn't to wait for a whole segment.
        Some((file, header)) => (file, header, Blocks::Unwritten),
        None => {
            let file = dir.open(&name, Access::CreateNew).map_err(|e| failed("create", &e))?;
            (file, Header { store: *store, segment: number, salt: random(dir)? }, blocks)
        }
    };
    file.allocate(len, blocks).map_err(|e| failed("allocate blocks for", &e))?;
    // Written again even if it is there: an earlier failed write-back may have been reported to another descriptor.
    file.write_at(&header.encode(), 0).map_err(|e| failed("write", &e))?;
    file.sync_data().map_err(|e| failed("sync", &e))?;
    super::manifest::sync_directory(dir)
}

/// Random bits for salts and ids.
pub fn random(dir: &dyn Directory) -> Result<u64> {
    dir.random().map_err(|e| Error::io("get random bytes", &e))
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
