//! Calls of one key or bucket.

use std::ptr::null_mut;

use dirkv::ffi::reads::{dirkv_buf, dirkv_buf_free, dirkv_exists, dirkv_get_item, dirkv_get_val};
use dirkv::ffi::writes::{
    dirkv_compare_and_swap_val, dirkv_create_val, dirkv_delete_bucket, dirkv_delete_if_revision, dirkv_delete_key,
    dirkv_put_if_revision, dirkv_touch, dirkv_upsert_val,
};

use super::{Handle, Refused, called, names};
use crate::content;
use crate::history::{Answer, Ask};
use crate::perform::{done, outcome};

impl Handle {
    pub(super) fn read(&self, ask: &Ask) -> Result<Answer, Refused> {
        let (Ask::Get { key } | Ask::GetItem { key } | Ask::Exists { key }) = ask else {
            return Ok(outcome("NOT_A_READ"));
        };
        let (bucket, key) = names(key);
        let (bucket, key) = (bucket.as_ptr(), key.as_ptr());
        let mut answer = done(());
        let mut got = dirkv_buf { data: null_mut(), len: 0 };
        let (value, expires, revision) = (&raw mut got, &raw mut answer.expires, &raw mut answer.revision);
        match ask {
            Ask::Exists { .. } => {
                let mut there = 0;
                // SAFETY: the names and the number live through the call.
                called(|err| unsafe { dirkv_exists(self.0, bucket, key, &raw mut there, err) })?;
                return Ok(if there == 0 { outcome("NOT_FOUND") } else { answer });
            }
            // SAFETY: the names and the outputs live through the call.
            Ask::GetItem { .. } => {
                called(|err| unsafe { dirkv_get_item(self.0, bucket, key, value, expires, revision, err) })?
            }
            // SAFETY: as above.
            _ => called(|err| unsafe { dirkv_get_val(self.0, bucket, key, value, err) })?,
        }
        // SAFETY: a buffer that was filled is read, then freed once.
        unsafe {
            answer.value = super::value(got.data, got.len);
            dirkv_buf_free(&raw mut got);
        }
        Ok(answer)
    }

    pub(super) fn change(&self, ask: &Ask) -> Result<Answer, Refused> {
        let (Ask::Delete { key }
        | Ask::DeleteIfRevision { key, .. }
        | Ask::DeleteBucket { key }
        | Ask::Touch { key, .. }) = ask
        else {
            return self.put(ask);
        };
        let (bucket, key) = names(key);
        let (bucket, key) = (bucket.as_ptr(), key.as_ptr());
        let mut answer = done(());
        let revision = &raw mut answer.revision;
        // SAFETY: the names and the number live through the call.
        called(|err| unsafe {
            match ask {
                Ask::DeleteIfRevision { expected, .. } => dirkv_delete_if_revision(self.0, bucket, key, *expected, err),
                Ask::DeleteBucket { .. } => dirkv_delete_bucket(self.0, bucket, key, err),
                Ask::Touch { ttl, .. } => dirkv_touch(self.0, bucket, key, *ttl, revision, err),
                _ => dirkv_delete_key(self.0, bucket, key, err),
            }
        })?;
        Ok(answer)
    }

    fn put(&self, ask: &Ask) -> Result<Answer, Refused> {
        let (Ask::Create { key, value, ttl }
        | Ask::Upsert { key, value, ttl }
        | Ask::CompareAndSwap { key, value, ttl, .. }
        | Ask::PutIfRevision { key, value, ttl, .. }) = ask
        else {
            return Ok(outcome("NOT_A_CHANGE"));
        };
        let ((bucket, key), value) = (names(key), content::bytes(value));
        let (b, k, v, len) = (bucket.as_ptr(), key.as_ptr(), value.as_ptr().cast(), value.len());
        let mut answer = done(());
        let revision = &raw mut answer.revision;
        // SAFETY: names, values and the number live through the call.
        called(|err| unsafe {
            match ask {
                Ask::Create { .. } => dirkv_create_val(self.0, b, k, v, len, *ttl, revision, err),
                Ask::PutIfRevision { expected, .. } => {
                    dirkv_put_if_revision(self.0, b, k, v, len, *expected, *ttl, revision, err)
                }
                Ask::CompareAndSwap { previous, .. } => {
                    let old = content::bytes(previous);
                    let (p, p_len) = (old.as_ptr().cast(), old.len());
                    dirkv_compare_and_swap_val(self.0, b, k, v, len, p, p_len, *ttl, revision, err)
                }
                _ => dirkv_upsert_val(self.0, b, k, v, len, *ttl, revision, err),
            }
        })?;
        Ok(answer)
    }
}
