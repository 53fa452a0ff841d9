//! The bytes behind a value's short name. Most values are short, some so long that the store keeps them outside its index, and
//! together they fill a segment soon. The length and every byte follow from the name, so that a read can tell a whole value
//! from a damaged one.

/// Every so many values is a long one.
const LONG_EVERY: u64 = 12;

/// The bytes of the value `name`.
pub fn bytes(name: &str) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(hash(name));
    let len = if rng.u64(..LONG_EVERY) == 0 { rng.usize(4_000..12_000) } else { rng.usize(..500) };
    let padding = std::iter::repeat_with(|| rng.u8(..)).take(len);
    name.bytes().chain([b'|']).chain(padding).collect()
}

/// The name of the value with these bytes; what it says instead if they are nobody's.
pub fn name(found: &[u8]) -> String {
    let name = found.split(|byte| *byte == b'|').next().unwrap_or_default();
    match std::str::from_utf8(name) {
        Ok(name) if bytes(name) == found => name.to_owned(),
        _ => format!("{} bytes that nobody wrote: {}", found.len(), found[..found.len().min(40)].escape_ascii()),
    }
}

/// FNV-1a: the same in every process.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_by_its_bytes_and_a_damaged_one_is_not() {
        let mut longest = 0;
        for n in 0..200 {
            let text = format!("{n}.0.{n}");
            let mut value = bytes(&text);
            assert_eq!(name(&value), text);
            longest = longest.max(value.len());
            *value.last_mut().unwrap() ^= 1;
            assert!(name(&value).contains("nobody wrote"));
        }
        assert!(longest > 4_096, "no value is stored apart");
        assert!(name(b"").contains("nobody wrote"));
    }
}
