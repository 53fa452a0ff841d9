//! Changes of one key or bucket.

use std::ffi::{c_char, c_void};

use super::backend::dirkv_backend;
use super::boundary::boundary;
use super::error::dirkv_error;
use super::output::Out;
use super::status::dirkv_status;
use super::{handle, input};

/// Puts a value if no unexpired one is there, else DIRKV_ALREADY_EXISTS.
///
/// `val`, `len`  the value; at most 64 MiB
/// `ttl`         its time to live; 0: for ever
/// `revision`    of this change
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_create_val(
    b: *mut dirkv_backend,
    bucket: *const c_char,
    key: *const c_char,
    val: *const c_void,
    len: usize,
    ttl: i64,
    revision: *mut u64,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (revision, bucket, key, val) = unsafe {
            let revision = Out::new(revision, "revision")?;
            (revision, input::text(bucket, "bucket")?, input::text(key, "key")?, input::bytes(val, len, "val")?)
        };
        revision.set(handle::enter(b)?.create(bucket, key, val, ttl)?);
        Ok(())
    })
}

/// Puts a value, whatever was there; the new TTL replaces the old.
///
/// Parameters as of dirkv_create_val.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_upsert_val(
    b: *mut dirkv_backend,
    bucket: *const c_char,
    key: *const c_char,
    val: *const c_void,
    len: usize,
    ttl: i64,
    revision: *mut u64,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (revision, bucket, key, val) = unsafe {
            let revision = Out::new(revision, "revision")?;
            (revision, input::text(bucket, "bucket")?, input::text(key, "key")?, input::bytes(val, len, "val")?)
        };
        revision.set(handle::enter(b)?.upsert(bucket, key, val, ttl)?);
        Ok(())
    })
}

/// Puts a value if the unexpired one that is there equals `prev` byte for byte, else DIRKV_COMPARE_FAILED. A value that is
/// missing or expired equals nothing, not even an empty `prev`.
///
/// `prev`, `prev_len`  what must be there
/// The others as of dirkv_create_val.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_compare_and_swap_val(
    b: *mut dirkv_backend,
    bucket: *const c_char,
    key: *const c_char,
    val: *const c_void,
    len: usize,
    prev: *const c_void,
    prev_len: usize,
    ttl: i64,
    revision: *mut u64,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (revision, bucket, key, val, prev) = unsafe {
            let revision = Out::new(revision, "revision")?;
            let (bucket, key) = (input::text(bucket, "bucket")?, input::text(key, "key")?);
            (revision, bucket, key, input::bytes(val, len, "val")?, input::bytes(prev, prev_len, "prev")?)
        };
        revision.set(handle::enter(b)?.compare_and_swap(bucket, key, val, prev, ttl)?);
        Ok(())
    })
}

/// Puts a value if the unexpired one that is there has the revision `expected`, else DIRKV_COMPARE_FAILED.
///
/// `expected`  a revision, or 0: none must be there
/// The others as of dirkv_create_val.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_put_if_revision(
    b: *mut dirkv_backend,
    bucket: *const c_char,
    key: *const c_char,
    val: *const c_void,
    len: usize,
    expected: u64,
    ttl: i64,
    revision: *mut u64,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (revision, bucket, key, val) = unsafe {
            let revision = Out::new(revision, "revision")?;
            (revision, input::text(bucket, "bucket")?, input::text(key, "key")?, input::bytes(val, len, "val")?)
        };
        revision.set(handle::enter(b)?.put_if_revision(bucket, key, val, expected, ttl)?);
        Ok(())
    })
}

/// Deletes a value if it has the revision `expected`, else DIRKV_COMPARE_FAILED; DIRKV_NOT_FOUND if none is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_delete_if_revision(
    b: *mut dirkv_backend,
    bucket: *const c_char,
    key: *const c_char,
    expected: u64,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (bucket, key) = unsafe { (input::text(bucket, "bucket")?, input::text(key, "key")?) };
        handle::enter(b)?.delete_if_revision(bucket, key, expected)
    })
}

/// Gives the value that is there a new time to live, counted from now; DIRKV_NOT_FOUND if none is there.
///
/// `ttl`       0: for ever
/// `revision`  of this change, from now on the item's
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_touch(
    b: *mut dirkv_backend,
    bucket: *const c_char,
    key: *const c_char,
    ttl: i64,
    revision: *mut u64,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (revision, bucket, key) =
            unsafe { (Out::new(revision, "revision")?, input::text(bucket, "bucket")?, input::text(key, "key")?) };
        revision.set(handle::enter(b)?.touch(bucket, key, ttl)?);
        Ok(())
    })
}

/// Deletes a value; DIRKV_NOT_FOUND if none is there or it has expired.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_delete_key(
    b: *mut dirkv_backend,
    bucket: *const c_char,
    key: *const c_char,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (bucket, key) = unsafe { (input::text(bucket, "bucket")?, input::text(key, "key")?) };
        handle::enter(b)?.delete(bucket, key)
    })
}

/// Deletes the bucket `bucket` of the bucket `parent` with everything under it, atomically and whatever its size;
/// DIRKV_NOT_FOUND if there is none. A key of the same name stays.
///
/// `parent`  a bucket's path; "" is the root
/// `bucket`  one component
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dirkv_delete_bucket(
    b: *mut dirkv_backend,
    parent: *const c_char,
    bucket: *const c_char,
    err: *mut *mut dirkv_error,
) -> dirkv_status {
    boundary(err, || {
        // SAFETY: the caller's promises.
        let (parent, bucket) = unsafe { (input::text(parent, "parent")?, input::text(bucket, "bucket")?) };
        handle::enter(b)?.delete_bucket(parent, bucket)
    })
}
