//! The property bag of `dirkv_open`.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::boundary::{boundary, boundary_or};
use super::error::dirkv_error;
use super::input::{self, bad};
use super::status::dirkv_status;
use crate::backend::Params;
use crate::error::Result;

/// How a store is opened: parameters by name, as text. Free it with dirkv_params_free.
pub struct dirkv_params(Params);

impl dirkv_params {
    /// The parameters themselves.
    pub(super) fn inner(&self) -> &Params {
        &self.0
    }
}

/// A clock in place of the system's: nanoseconds since 1970-01-01 UTC. Called by any thread that makes a call, several at
/// once.
pub type dirkv_clock_fn = Option<unsafe extern "C" fn(ctx: *mut c_void) -> i64>;

/// What every callback's context is to us: a word to hand back.
#[derive(Clone, Copy)]
pub(super) struct Context(pub(super) *mut c_void);

// SAFETY: it is only handed back to the caller's own function, which the caller promises may be called by any thread.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    /// The caller's pointer.
    pub(super) fn get(self) -> *mut c_void {
        self.0
    }
}

/// A new set of parameters, all at their defaults, no path. Free it with dirkv_params_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_params_new() -> *mut dirkv_params {
    boundary_or(std::ptr::null_mut(), || Box::into_raw(Box::new(dirkv_params(Params::new()))))
}

/// Sets one parameter. The last value given counts; an unknown name or a bad value is DIRKV_BAD_PARAMETER, at once.
///
/// name          value (range)                     default  meaning
/// ------------  --------------------------------  -------  ------------------------------------------------------------
/// path          a directory                       -        where the store is
/// data_dir      a directory                       -        the same, used when `path` is not given
/// sync          full, os                          full     of a new store, and kept in it. full: durable before a call
///                                                          returns; os: left to the kernel, survives the process, not
///                                                          the power. Of a store that is there: if given, it must be
///                                                          the store's, else the open is refused
/// lock_timeout  a duration (0 to 24h)             10s      how long a change waits for another process's
/// background    on, off                           on       compact on a thread of the library's own
/// read_only     true, false                       false    change nothing; the store must exist
/// dir_mode      octal (0700, at most 0777)        0700     of directories created, whatever the umask
/// file_mode     octal (0600, at most 0666)        0600     of files created, whatever the umask
/// segment_size  a size (64KiB to 1GiB)            4MiB     of a file of the log
/// memory_limit  a size (1MiB to 64GiB)            32MiB    what the handle's caches of tables may take
/// max_lock_ttl  a duration (1ms to 8760h)         60s      the longest lease that may be asked for
///
/// A duration is an integer and ns, us, ms, s, m or h ("250ms"); a size an integer and B, KiB, MiB or GiB ("8MiB").
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_params_set(
    params: *mut dirkv_params,
    name: *const c_char,
    value: *const c_char,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (params, name, value) =
            unsafe { (input::object_mut(params, "params")?, input::text(name, "name")?, input::text(value, "value")?) };
        let name = utf8(name, "name")?;
        params.0.set(name, utf8(value, name)?)
    })
}

/// Replaces the system's clock, by which values and leases expire; tests move time this way.
///
/// `clock`  tells the time; must not call dirkv, throw or jump
/// `ctx`    given to `clock`; must live until every handle opened with these parameters is closed
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_params_set_clock(
    params: *mut dirkv_params,
    clock: dirkv_clock_fn,
    ctx: *mut c_void,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let params = unsafe { input::object_mut(params, "params") }?;
        let Some(clock) = clock else { return Err(bad("clock", "is NULL")) };
        let ctx = Context(ctx);
        // SAFETY: the caller promises that both live until the handles are closed, and that any thread may call it.
        params.0.set_clock(Arc::new(move || unsafe { clock(ctx.get()) }));
        Ok(())
    })
}

/// Frees the parameters. NULL: does nothing. Handles opened with them stay open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_params_free(params: *mut dirkv_params) {
    boundary_or((), || {
        if !params.is_null() {
            // SAFETY: it came from `dirkv_params_new`, and the caller gives it up.
            drop(unsafe { Box::from_raw(params) });
        }
    });
}

fn utf8<'a>(text: &'a [u8], parameter: &str) -> Result<&'a str> {
    std::str::from_utf8(text).map_err(|_| bad(parameter, "is not UTF-8 (dirkv_open_path takes any path)"))
}
