//! Parameters as text: what is taken and what is refused is what the documented grammar says, through Rust and through C.

use std::ffi::CString;

use dirkv::Code;
use dirkv::backend::Params;

use crate::c;

const NAMES: [&str; 11] = [
    "path",
    "data_dir",
    "sync",
    "lock_timeout",
    "background",
    "read_only",
    "dir_mode",
    "file_mode",
    "segment_size",
    "memory_limit",
    "max_lock_ttl",
];

pub fn run(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let Ok(text) = str::from_utf8(rest) else { return c_only(rest) };
    match NAMES.get(usize::from(*first)) {
        Some(name) => set(name, text),
        None => {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            set(name, value);
        }
    }
}

fn set(name: &str, value: &str) {
    let mut params = Params::new();
    let result = params.set(name, value);
    assert_eq!(result.is_ok(), allowed(name, value), "{name}={value:?}: {result:?}");
    if let Err(e) = &result {
        assert_eq!(e.code, Code::BadParameter);
        assert!(
            e.message.contains(&format!("{name:?}")) || e.message.starts_with(&format!("parameter {name} ")),
            "{e}"
        );
        assert_eq!(format!("{params:?}"), format!("{:?}", Params::new()), "a refused value changed something");
    }
    if let (Ok(name), Ok(value)) = (CString::new(name), CString::new(value)) {
        assert_eq!(c::set_parameter(&name, &value), result.err().map_or(0, |e| e.code as i32));
    }
}

/// Bytes that are no text reach the library through C alone.
fn c_only(bytes: &[u8]) {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let Ok(text) = CString::new(&bytes[..end]) else { return };
    if text.to_str().is_err() {
        assert_eq!(c::set_parameter(&text, c"x"), Code::BadParameter as i32);
        assert_eq!(c::set_parameter(c"sync", &text), Code::BadParameter as i32);
    }
}

fn allowed(name: &str, value: &str) -> bool {
    const TIMES: [(&str, u128); 6] =
        [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", HOUR)];
    const SIZES: [(&str, u128); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    const HOUR: u128 = 3_600_000_000_000;
    let number = |units: &[(&str, u128)], from, to| amount(value, units).is_some_and(|n| (from..=to).contains(&n));
    match name {
        "path" | "data_dir" => !value.is_empty() && !value.contains('\0'),
        "sync" => ["full", "os"].contains(&value),
        "background" => ["on", "off"].contains(&value),
        "read_only" => ["true", "false"].contains(&value),
        "lock_timeout" => number(&TIMES, 0, 24 * HOUR),
        "max_lock_ttl" => number(&TIMES, 1_000_000, 8760 * HOUR),
        "segment_size" => number(&SIZES, 64 << 10, 1 << 30),
        "memory_limit" => number(&SIZES, 1 << 20, 64 << 30),
        "dir_mode" => mode(value, 0o700, 0o777),
        "file_mode" => mode(value, 0o600, 0o666),
        _ => false,
    }
}

/// A number and its unit; what doesn't fit 64 bits is none.
fn amount(text: &str, units: &[(&str, u128)]) -> Option<u128> {
    if text == "0" {
        return Some(0);
    }
    let number = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let (_, scale) = units.iter().find(|(unit, _)| *unit == &text[number.len()..])?;
    let significant = number.trim_start_matches('0');
    let number: u128 =
        if significant.is_empty() { 0 } else { significant.parse().ok().filter(|_| significant.len() < 21)? };
    let fits = |n: u128| n <= u128::from(u64::MAX);
    (digits && fits(number) && fits(number * scale)).then_some(number * scale)
}

fn mode(text: &str, least: u32, most: u32) -> bool {
    let octal = !text.is_empty() && text.bytes().all(|b| (b'0'..b'8').contains(&b));
    let significant = text.trim_start_matches('0');
    let bits = if octal && significant.len() < 8 { u32::from_str_radix(text, 8).unwrap_or(0) } else { 0 };
    bits & least == least && bits | most == most
}
