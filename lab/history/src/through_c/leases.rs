//! Leases.

use dirkv::ffi::locks::{dirkv_acquire_lock, dirkv_release_lock, dirkv_renew_lock};

use super::{Handle, Refused, called, text};
use crate::history::{Answer, Ask};
use crate::perform::{done, outcome};

impl Handle {
    pub(super) fn lease(&self, ask: &Ask) -> Result<Answer, Refused> {
        let (Ask::AcquireLock { key, .. } | Ask::ReleaseLock { key, .. } | Ask::RenewLock { key, .. }) = ask else {
            return Ok(outcome("NOT_OF_A_LEASE"));
        };
        let token = text(key);
        let token = token.as_ptr();
        let mut answer = done(());
        let taken = &raw mut answer.revision;
        // SAFETY: the token and the number live through the call.
        called(|err| unsafe {
            match ask {
                Ask::AcquireLock { ttl, wait, .. } => dirkv_acquire_lock(self.0, token, *ttl, *wait, taken, err),
                Ask::RenewLock { fence, ttl, .. } => dirkv_renew_lock(self.0, token, *fence, *ttl, err),
                Ask::ReleaseLock { fence, .. } => dirkv_release_lock(self.0, token, *fence, err),
                _ => dirkv::ffi::status::DIRKV_INTERNAL,
            }
        })?;
        Ok(answer)
    }
}
