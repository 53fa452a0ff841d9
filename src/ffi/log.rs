//! The logger.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::backend::dirkv_backend;
use super::boundary::boundary;
use super::error::{dirkv_error, text};
use super::handle;
use super::input::bad;
use super::params::Context;
use super::status::dirkv_status;
use crate::backend::{Level, Logger};
use crate::error::Result;

/// Something is lost or broken.
pub const DIRKV_LOG_ERROR: i32 = 1;
/// Something was odd, and was dealt with.
pub const DIRKV_LOG_WARN: i32 = 2;
/// A milestone: opened, recovered, compacted.
pub const DIRKV_LOG_INFO: i32 = 3;
/// Details for who hunts a bug.
pub const DIRKV_LOG_DEBUG: i32 = 4;

/// Receives a log record: a level (DIRKV_LOG_...) and one line in UTF-8 without a line end, valid during the call. Called by
/// any thread that makes a call, several at once.
pub type dirkv_log_fn = Option<unsafe extern "C" fn(ctx: *mut c_void, level: i32, message: *const c_char)>;

/// Sets where the handle's few log records go; without a logger they go nowhere. Records of the background thread, and of
/// the open before a logger was set, wait and are delivered inside a later call.
///
/// `logger`  receives them; NULL for none; must not call dirkv, throw or jump
/// `ctx`     given to `logger`; must live until the handle is closed, or another logger was set and the calls that were in
///           progress then have ended
/// `level`   the least important that is wanted: DIRKV_LOG_WARN for errors and warnings; ignored without a logger
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_set_logger(
    b: *mut dirkv_backend,
    logger: dirkv_log_fn,
    ctx: *mut c_void,
    level: i32,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        let backend = handle::enter(b)?;
        backend.usable()?;
        let Some(logger) = logger else {
            backend.set_logger(None, Level::Error);
            return Ok(());
        };
        let level = level_of(level)?;
        let ctx = Context(ctx);
        let deliver: Logger = Arc::new(move |level, message: &str| {
            let message = text(message);
            // SAFETY: the caller promises that both live as long as told above, and that any thread may call it.
            unsafe { logger(ctx.get(), level as i32, message.as_ptr()) };
        });
        backend.set_logger(Some(deliver), level);
        Ok(())
    })
}

fn level_of(level: i32) -> Result<Level> {
    Ok(match level {
        DIRKV_LOG_ERROR => Level::Error,
        DIRKV_LOG_WARN => Level::Warn,
        DIRKV_LOG_INFO => Level::Info,
        DIRKV_LOG_DEBUG => Level::Debug,
        _ => return Err(bad("level", &format!("is {level}, not one of DIRKV_LOG_ERROR (1) to DIRKV_LOG_DEBUG (4)"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_the_constants() {
        for level in DIRKV_LOG_ERROR..=DIRKV_LOG_DEBUG {
            assert_eq!(level_of(level).map(|level| level as i32), Ok(level));
        }
        assert!(level_of(0).is_err() && level_of(5).is_err());
    }
}
