//! Lease locks.

use std::ffi::c_char;

use super::backend::dirkv_backend;
use super::boundary::boundary;
use super::error::dirkv_error;
use super::lists::{DIRKV_ENTRY_LOCK, dirkv_list};
use super::output::Out;
use super::packed::Entry;
use super::status::dirkv_status;
use super::{handle, input};

/// Takes the lease of that name: no other process or thread gets it until it is released or expires. Waiters are woken at
/// once by a release in any process; they stand in no queue, so that who must be able to give up may wait in slices.
///
/// `token`  the lock's name
/// `ttl`    the lease's length; more than 0, at most the parameter `max_lock_ttl`
/// `wait`   < 0: for as long as it takes; 0: tries once; > 0: at most so long. Then DIRKV_TIMEOUT
/// `fence`  a number greater than that of any earlier holder, to be shown to whatever the lock protects
///
/// Blocks while it waits; dirkv_close ends the wait with DIRKV_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_acquire_lock(
    b: *mut dirkv_backend,
    token: *const c_char,
    ttl: i64,
    wait: i64,
    fence: *mut u64,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (fence, token) = unsafe { (Out::new(fence, "fence")?, input::text(token, "token")?) };
        fence.set(handle::enter(b)?.acquire_lock(token, ttl, wait)?);
        Ok(())
    })
}

/// Frees a lock before its lease ends, and wakes who waits for it. DIRKV_NOT_FOUND if nobody holds it.
///
/// `fence`  the holder's; if another holds it, DIRKV_COMPARE_FAILED. 0 frees it whoever holds it
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_release_lock(
    b: *mut dirkv_backend,
    token: *const c_char,
    fence: u64,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let token = unsafe { input::text(token, "token") }?;
        handle::enter(b)?.release_lock(token, fence)
    })
}

/// Extends a lease: it ends `ttl` from now. DIRKV_LOCK_LOST if it has expired or another holds it. The fence stays.
///
/// `fence`  the holder's
/// `ttl`    as of dirkv_acquire_lock
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_renew_lock(
    b: *mut dirkv_backend,
    token: *const c_char,
    fence: u64,
    ttl: i64,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let token = unsafe { input::text(token, "token") }?;
        handle::enter(b)?.renew_lock(token, fence, ttl)
    })
}

/// Lists the leases that are held, as entries of the kind DIRKV_ENTRY_LOCK, sorted by token: who holds what. Pid and host
/// are the holder's as recorded at acquire.
///
/// `list`  the leases, for dirkv_list_free
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_get_locks(
    b: *mut dirkv_backend,
    list: *mut *mut dirkv_list,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let list = unsafe { Out::new(list, "list") }?;
        let leases = handle::enter(b)?.locks()?;
        list.set(dirkv_list::build(|packer| {
            leases.iter().try_for_each(|lease| {
                packer.add(&Entry {
                    kind: DIRKV_ENTRY_LOCK,
                    pid: lease.pid,
                    time: lease.expires,
                    revision: lease.fence,
                    name: lease.token.as_bytes(),
                    value: lease.host.as_bytes(),
                })
            })
        })?);
        Ok(())
    })
}
