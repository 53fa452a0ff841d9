//! What the C ABI adds to a call: `cargo bench --bench boundary`. The cheapest call of a handle, through the ABI and through
//! the Rust API; the difference less that of a call without a handle is the check of the token and the count of the call.
#![allow(unsafe_code, missing_docs)]

use std::hint::black_box;
use std::ptr;
use std::time::Instant;

use dirkv::Backend;
use dirkv::ffi::backend::{dirkv_clock_now, dirkv_close, dirkv_open};
use dirkv::ffi::params::{dirkv_params_free, dirkv_params_new, dirkv_params_set, dirkv_params_set_clock};
use dirkv::ffi::status::dirkv_abi_version;

const ROUNDS: u32 = 5;
const CALLS: u32 = 5_000_000;

unsafe extern "C" fn clock(_: *mut std::ffi::c_void) -> i64 {
    5
}

/// Nanoseconds a call, the best of some rounds: the machine has other things to do.
fn measure(mut call: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        best = best.min(begin.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
    }
    best
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = std::ffi::CString::new(folder.path().join("store").to_string_lossy().as_bytes())?;
    let mut params = dirkv::backend::Params::new();
    params.set("path", &folder.path().join("rust").to_string_lossy())?;
    params.set_clock(std::sync::Arc::new(|| black_box(5)));
    let backend = Backend::open(&params)?;
    let rust = measure(|| {
        let _ = black_box(backend.usable().map(|()| black_box(&backend).now()));
    });

    // SAFETY: each object is made before it is used and given up once.
    unsafe {
        let params = dirkv_params_new();
        dirkv_params_set(params, c"path".as_ptr(), path.as_ptr(), ptr::null_mut());
        dirkv_params_set_clock(params, Some(clock), ptr::null_mut(), ptr::null_mut());
        let mut handle = ptr::null_mut();
        if dirkv_open(params, &raw mut handle, ptr::null_mut()) != 0 {
            return Err("the store can't be opened".into());
        }
        dirkv_params_free(params);
        let boundary = measure(|| {
            black_box(dirkv_abi_version());
        });
        let mut now = 0;
        let c = measure(|| {
            black_box(dirkv_clock_now(black_box(handle), &raw mut now, ptr::null_mut()));
        });
        println!("a call through the Rust API      {rust:6.1} ns");
        println!("the same through the C ABI       {c:6.1} ns");
        println!("of it catching panics            {boundary:6.1} ns");
        println!("of it the handle's check         {:6.1} ns", c - rust - boundary);
        dirkv_close(handle, ptr::null_mut());
    }
    Ok(())
}
