#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dirkv_fuzz::packed::run(data));
