//! The functions of `include/dirkv.h` that the lines use, as the header declares them.

#![allow(non_camel_case_types)]

use std::ffi::{c_char, c_void};

pub type dirkv_status = i32;
pub const DIRKV_OK: dirkv_status = 0;
pub const DIRKV_NOT_FOUND: dirkv_status = 1;
pub const DIRKV_ALREADY_EXISTS: dirkv_status = 2;
pub const DIRKV_COMPARE_FAILED: dirkv_status = 3;
pub const DIRKV_BUFFER_TOO_SMALL: dirkv_status = 13;

#[repr(C)]
pub struct dirkv_buf {
    pub data: *mut u8,
    pub len: usize,
}

#[repr(C)]
pub struct dirkv_backend {
    opaque: [u8; 0],
}

#[repr(C)]
pub struct dirkv_error {
    opaque: [u8; 0],
}

#[repr(C)]
pub struct dirkv_list {
    opaque: [u8; 0],
}

#[repr(C)]
pub struct dirkv_params {
    opaque: [u8; 0],
}

#[repr(C)]
pub struct dirkv_item {
    pub key: *const c_char,
    pub val: *const c_void,
    pub len: usize,
    pub ttl: i64,
}

unsafe extern "C" {
    pub fn dirkv_version() -> *const c_char;
    pub fn dirkv_error_message(err: *const dirkv_error) -> *const c_char;
    pub fn dirkv_error_free(err: *mut dirkv_error);
    pub fn dirkv_params_new() -> *mut dirkv_params;
    pub fn dirkv_params_set(
        p: *mut dirkv_params,
        name: *const c_char,
        value: *const c_char,
        err: *mut *mut dirkv_error,
    ) -> dirkv_status;
    pub fn dirkv_params_free(p: *mut dirkv_params);
    pub fn dirkv_open(p: *const dirkv_params, b: *mut *mut dirkv_backend, err: *mut *mut dirkv_error) -> dirkv_status;
    pub fn dirkv_close(b: *mut dirkv_backend, err: *mut *mut dirkv_error) -> dirkv_status;
    pub fn dirkv_get_val_into(
        b: *mut dirkv_backend,
        bucket: *const c_char,
        key: *const c_char,
        dst: *mut c_void,
        cap: usize,
        len: *mut usize,
        err: *mut *mut dirkv_error,
    ) -> dirkv_status;
    pub fn dirkv_create_val(
        b: *mut dirkv_backend,
        bucket: *const c_char,
        key: *const c_char,
        val: *const c_void,
        len: usize,
        ttl: i64,
        revision: *mut u64,
        err: *mut *mut dirkv_error,
    ) -> dirkv_status;
    pub fn dirkv_upsert_val(
        b: *mut dirkv_backend,
        bucket: *const c_char,
        key: *const c_char,
        val: *const c_void,
        len: usize,
        ttl: i64,
        revision: *mut u64,
        err: *mut *mut dirkv_error,
    ) -> dirkv_status;
    pub fn dirkv_compare_and_swap_val(
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
    ) -> dirkv_status;
    pub fn dirkv_delete_key(
        b: *mut dirkv_backend,
        bucket: *const c_char,
        key: *const c_char,
        err: *mut *mut dirkv_error,
    ) -> dirkv_status;
    pub fn dirkv_upsert_items(
        b: *mut dirkv_backend,
        bucket: *const c_char,
        items: *const dirkv_item,
        n: usize,
        item_size: usize,
        revision: *mut u64,
        err: *mut *mut dirkv_error,
    ) -> dirkv_status;
    pub fn dirkv_get_keys(
        b: *mut dirkv_backend,
        bucket: *const c_char,
        after: *const c_char,
        limit: u64,
        list: *mut *mut dirkv_list,
        err: *mut *mut dirkv_error,
    ) -> dirkv_status;
    pub fn dirkv_get_items(
        b: *mut dirkv_backend,
        bucket: *const c_char,
        after: *const c_char,
        limit: u64,
        flags: u32,
        list: *mut *mut dirkv_list,
        err: *mut *mut dirkv_error,
    ) -> dirkv_status;
    pub fn dirkv_list_packed(
        list: *const dirkv_list,
        data: *mut *const u8,
        len: *mut usize,
        err: *mut *mut dirkv_error,
    ) -> dirkv_status;
    pub fn dirkv_list_free(list: *mut dirkv_list);
    pub fn dirkv_acquire_lock(
        b: *mut dirkv_backend,
        token: *const c_char,
        ttl: i64,
        wait: i64,
        fence: *mut u64,
        err: *mut *mut dirkv_error,
    ) -> dirkv_status;
    pub fn dirkv_release_lock(
        b: *mut dirkv_backend,
        token: *const c_char,
        fence: u64,
        err: *mut *mut dirkv_error,
    ) -> dirkv_status;
    pub fn dirkv_stats(b: *mut dirkv_backend, json: *mut dirkv_buf, err: *mut *mut dirkv_error) -> dirkv_status;
    pub fn dirkv_buf_free(buf: *mut dirkv_buf);
    pub fn dirkv_compact(b: *mut dirkv_backend, err: *mut *mut dirkv_error) -> dirkv_status;
}
