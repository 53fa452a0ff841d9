//! Opening and closing a store.

use std::ffi::{OsStr, c_char};
use std::os::unix::ffi::OsStrExt;

use super::boundary::{boundary, refuse_callbacks};
use super::error::dirkv_error;
use super::output::Out;
use super::params::dirkv_params;
use super::status::dirkv_status;
use super::{handle, input};
use crate::Backend;

/// An open store: a number in a pointer's clothes, checked by every call. Any number of threads may use it at once.
#[derive(Debug)]
pub struct dirkv_backend {
    _opaque: (),
}

/// Opens the store in the directory that the parameter `path` names, creating both if absent (unless `read_only` is on).
/// As many processes as like may have it open, and one process several times.
///
/// `params`  read, not kept: it may be freed or used again at once
/// `out`     the handle, for dirkv_close
///
/// Recovers the store if nobody else has it open. Blocks on the disk. DIRKV_BAD_PARAMETER: no path, a path that is
/// no directory; DIRKV_UNSUPPORTED: a filesystem on which processes can't share a store, a newer format, or another
/// `sync` mode than the store's; DIRKV_CORRUPT: bytes that had been durable are damaged; DIRKV_READ_ONLY: the
/// filesystem is read-only and `read_only` is not on; DIRKV_NO_SPACE: no room to create or to recover it;
/// DIRKV_NOT_FOUND: `read_only` is on and no store is there; DIRKV_TIMEOUT: another process kept the store for
/// `lock_timeout`; DIRKV_LIMIT_EXCEEDED: 65,536 handles are open in this process (1,024 where pointers have 32
/// bits); DIRKV_IO with EACCES: no permission.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_open(
    params: *const dirkv_params,
    out: *mut *mut dirkv_backend,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises (see the header's preamble).
        let (out, params) = unsafe { (Out::new(out, "out")?, input::object(params, "params")?) };
        refuse_callbacks()?;
        out.set(handle::open(Backend::open(params.inner())?)?);
        Ok(())
    })
}

/// dirkv_open with the path and every other parameter at its default. The path is the system's: any bytes but NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_open_path(
    path: *const c_char,
    out: *mut *mut dirkv_backend,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (out, path) = unsafe { (Out::new(out, "out")?, input::text(path, "path")?) };
        refuse_callbacks()?;
        out.set(handle::open(Backend::open_path(OsStr::from_bytes(path))?)?);
        Ok(())
    })
}

/// Closes the handle and frees it: who waits for a lease through it gets DIRKV_CLOSED, other calls in progress are waited
/// for (a change at most for `lock_timeout`, a dirkv_compact until it is done, the handle's own thread until it has given
/// up what it does), later ones (a second dirkv_close too) get DIRKV_CLOSED. Leases held stay until they are released or
/// expire. After it, neither the clock nor the logger of this handle is called any more. In a child of the process that
/// opened it: DIRKV_FORKED, and nothing is closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_close(b: *mut dirkv_backend, err: *mut *mut dirkv_error) -> dirkv_status {
    boundary(err, || handle::close(b))
}

/// The time of the handle's clock.
///
/// `now`  nanoseconds since 1970-01-01 UTC
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_clock_now(
    b: *mut dirkv_backend,
    now: *mut i64,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let now = unsafe { Out::new(now, "now") }?;
        let backend = handle::enter(b)?;
        backend.usable()?;
        now.set(backend.now());
        Ok(())
    })
}
