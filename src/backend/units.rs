//! Numbers with units, as parameters are written: `30s`, `8MiB`. A decimal integer and its unit, nothing between them,
//! no sign, no fraction; `0` needs no unit. (The crates for this accept months, bare bytes and rounding: more than we
//! want to promise for ever.)

use std::time::Duration;

const TIMES: &[(&str, u64)] =
    &[("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", SECOND), ("m", 60 * SECOND), ("h", 3600 * SECOND)];
const SIZES: &[(&str, u64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
const SECOND: u64 = 1_000_000_000;

/// What a duration looks like, for messages.
pub const TIME_FORM: &str = "an integer with ns, us, ms, s, m or h";
/// What a size looks like, for messages.
pub const SIZE_FORM: &str = "an integer with B, KiB, MiB or GiB";

/// A duration: `250ms`. `None` if the text is none.
pub fn duration(text: &str) -> Option<Duration> {
    scaled(text, TIMES).map(Duration::from_nanos)
}

/// A size in bytes: `8MiB`. `None` if the text is none.
pub fn size(text: &str) -> Option<u64> {
    scaled(text, SIZES)
}

/// A duration as it is written.
pub fn show_duration(duration: Duration) -> String {
    show(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), TIMES)
}

/// A size as it is written.
pub fn show_size(bytes: u64) -> String {
    show(bytes, SIZES)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

/// In the largest unit that loses nothing.
fn show(number: u64, units: &[(&str, u64)]) -> String {
    let fits = units.iter().rev().find(|(_, scale)| number != 0 && number.is_multiple_of(*scale));
    fits.map_or_else(|| "0".to_owned(), |(name, scale)| format!("{}{name}", number / scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit() {
        for (text, nanos) in
            [("7ns", 7), ("7us", 7_000), ("7ms", 7_000_000), ("30s", 30 * SECOND), ("2m", 120 * SECOND), ("0", 0)]
        {
            assert_eq!(duration(text), Some(Duration::from_nanos(nanos)), "{text}");
            assert_eq!(show_duration(Duration::from_nanos(nanos)), text);
        }
        assert_eq!(duration("1h"), Some(Duration::from_secs(3600)));
        for (text, bytes) in [("1B", 1), ("64KiB", 65536), ("8MiB", 8 << 20), ("3GiB", 3 << 30), ("0", 0)] {
            assert_eq!(size(text), Some(bytes), "{text}");
            assert_eq!(show_size(bytes), text);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "5", "s", "-1s", "+1s", "1.5s", "1 s", " 1s", "1s ", "1S", "1d", "1month", "99999999999h"] {
            assert_eq!(duration(text), None, "{text:?}");
        }
        for text in ["", "5", "B", "1kib", "1KB", "1M", "-1B", "18446744073709551616B", "99999999999GiB", "1MiB1B"] {
            assert_eq!(size(text), None, "{text:?}");
        }
    }
}
