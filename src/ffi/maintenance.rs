//! Upkeep: sync, compact, check, counters.

use super::backend::dirkv_backend;
use super::boundary::boundary;
use super::error::dirkv_error;
use super::handle;
use super::output::Out;
use super::reads::dirkv_buf;
use super::status::dirkv_status;
use crate::error::{Code, Error};

/// Makes everything written before durable, by any process; only in a store with `sync=os` is there anything to do.
/// Blocks on the disk. There it takes its turn as a change does and may return what a change may; DIRKV_READ_ONLY
/// with `read_only`, if something isn't durable yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_sync(b: *mut dirkv_backend, err: *mut *mut dirkv_error) -> dirkv_status {
    boundary(err, || handle::enter(b)?.sync())
}

/// Compacts now: drops what is deleted, overwritten or expired from the disk, but for up to an eighth of a file that
/// stays for the large values in it. Readers and writers go on meanwhile; blocks its caller on the disk. May return
/// what a change may; DIRKV_READ_ONLY with `read_only`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_compact(b: *mut dirkv_backend, err: *mut *mut dirkv_error) -> dirkv_status {
    boundary(err, || handle::enter(b)?.compact())
}

/// Verifies every byte that the store rests on against its checksums and order. If something is wrong: DIRKV_CORRUPT, and the error's
/// message says what, one line for each finding. Changes nothing. Reads the whole store; others go on meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_check(b: *mut dirkv_backend, err: *mut *mut dirkv_error) -> dirkv_status {
    boundary(err, || {
        let findings = handle::enter(b)?.check()?;
        if findings.is_empty() { Ok(()) } else { Err(Error::new(Code::Corrupt, findings.join("\n"))) }
    })
}

/// Gives the handle's and the store's counters as one JSON object, for people and monitoring; new names may come, none goes.
///
/// `json`  the text in UTF-8, not NUL-terminated, for dirkv_buf_free
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_stats(
    b: *mut dirkv_backend,
    json: *mut dirkv_buf,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let json = unsafe { Out::new(json, "json") }?;
        json.set(dirkv_buf::from_vec(handle::enter(b)?.stats_json()?.into_bytes()));
        Ok(())
    })
}
