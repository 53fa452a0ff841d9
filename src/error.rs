//! What went wrong: a code that never changes its meaning, and one sentence that names the thing and the rule.

use std::fmt::Display;
use std::io;

/// A result whose error is [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of error it is. The numbers are part of the C ABI: never renumber, never reuse.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(i32)]
pub enum Code {
    /// The key, bucket or lock isn't there.
    NotFound = 1,
    /// An unexpired value is there already.
    AlreadyExists = 2,
    /// The value, revision or fence that is there isn't the one given.
    CompareFailed = 3,
    /// An argument breaks a rule; the message names both.
    BadParameter = 4,
    /// The time limit passed, and nothing was done.
    Timeout = 5,
    /// The lease expired or has another holder.
    LockLost = 6,
    /// The filesystem is full; nothing was written.
    NoSpace = 7,
    /// The handle, or the filesystem, is read-only.
    ReadOnly = 8,
    /// The system reported an error; a change that got this did not happen and will not show.
    Io = 9,
    /// Bytes on disk are not those that were written.
    Corrupt = 10,
    /// This filesystem, format version or mode isn't supported.
    Unsupported = 11,
    /// A value, batch or listing is larger than the documented limit.
    LimitExceeded = 12,
    /// The caller's buffer is too small.
    BufferTooSmall = 13,
    /// The handle is closed.
    Closed = 14,
    /// The handle was opened by another process, of which this one is a fork.
    Forked = 15,
    /// What was asked for has been compacted away.
    Compacted = 16,
    /// The change may or may not have happened.
    Uncertain = 17,
    /// A bug in dirkv: a panic was caught.
    Internal = 18,
}

impl Code {
    /// The name as in the C header, without its prefix.
    pub fn name(self) -> &'static str {
        match self {
            Code::NotFound => "NOT_FOUND",
            Code::AlreadyExists => "ALREADY_EXISTS",
            Code::CompareFailed => "COMPARE_FAILED",
            Code::BadParameter => "BAD_PARAMETER",
            Code::Timeout => "TIMEOUT",
            Code::LockLost => "LOCK_LOST",
            Code::NoSpace => "NO_SPACE",
            Code::ReadOnly => "READ_ONLY",
            Code::Io => "IO",
            Code::Corrupt => "CORRUPT",
            Code::Unsupported => "UNSUPPORTED",
            Code::LimitExceeded => "LIMIT_EXCEEDED",
            Code::BufferTooSmall => "BUFFER_TOO_SMALL",
            Code::Closed => "CLOSED",
            Code::Forked => "FORKED",
            Code::Compacted => "COMPACTED",
            Code::Uncertain => "UNCERTAIN",
            Code::Internal => "INTERNAL",
        }
    }
}

/// An error: its code, one sentence, and the system's error number where there is one (else 0).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// The kind.
    pub code: Code,
    /// One sentence that names the bucket, key, file or parameter concerned.
    pub message: String,
    /// `errno`, or 0.
    pub os_errno: i32,
}

impl Error {
    /// An error without a system error number.
    pub fn new(code: Code, message: impl Into<String>) -> Error {
        Error { code, message: message.into(), os_errno: 0 }
    }

    /// A failed system call: `what` says what was tried, with the file's name ("write log-3").
    pub fn io(what: impl Display, cause: &io::Error) -> Error {
        let code = match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Code::NoSpace,
            io::ErrorKind::ReadOnlyFilesystem => Code::ReadOnly,
            io::ErrorKind::Unsupported => Code::Unsupported,
            _ => Code::Io,
        };
        Error { code, message: format!("can't {what}: {cause}"), os_errno: cause.raw_os_error().unwrap_or(0) }
    }

    /// Bytes that are not those that were written: file, offset, and what is wrong with them.
    pub fn corrupt(file: impl Display, offset: u64, what: impl Display) -> Error {
        Error::new(Code::Corrupt, format!("{file} is damaged at offset {offset}: {what}"))
    }
}
