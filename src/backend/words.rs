//! Names looked at eight bytes at a time (Lamport, Multiple byte processing with full-word instructions, 1975).

/// One in each of eight bytes.
const EACH: u64 = u64::MAX / 0xff;
/// The highest bit of each.
const HIGHEST: u64 = EACH << 7;

/// Whether it holds for all bytes, eight of which it is asked about at a time. A word that isn't full is filled up with letters.
#[inline]
pub fn every(bytes: &[u8], holds: impl Fn(u64) -> bool) -> bool {
    match bytes.last_chunk() {
        // The last eight may overlap those before.
        Some(last) => bytes.as_chunks().0.iter().chain([last]).all(|eight| holds(u64::from_le_bytes(*eight))),
        None => holds(filled_up(bytes)),
    }
}

/// At most eight bytes, the first as the lowest, filled up with letters. (A copy of so few would be a call.)
#[inline]
pub fn filled_up(bytes: &[u8]) -> u64 {
    debug_assert!(bytes.len() <= 8);
    let word = match (bytes.first_chunk(), bytes.last_chunk()) {
        // The two halves may overlap.
        (Some(first), Some(last)) => {
            let [first, last] = [first, last].map(|four| u64::from(u32::from_le_bytes(*four)));
            first | last << (8 * (bytes.len() - 4))
        }
        _ => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    word | (EACH * u64::from(b'a')).checked_shl(8 * bytes.len() as u32).unwrap_or(0)
}

/// Whether all bytes are ASCII and at least `least`.
#[inline]
pub fn is_ascii_from(least: u8, word: u64) -> bool {
    // The lowest byte that is too small borrows, and so has its highest bit set.
    (word | word.wrapping_sub(EACH * u64::from(least))) & HIGHEST == 0
}

/// Whether all bytes are printable ASCII.
#[inline]
pub fn is_printable(word: u64) -> bool {
    is_ascii_from(b' ', word) && word.wrapping_add(EACH) & HIGHEST == 0
}

/// The highest bit of each byte that is `byte`, in a word of ASCII.
#[inline]
pub fn find(byte: u8, word: u64) -> u64 {
    let unlike = word ^ (EACH * u64::from(byte));
    // As all are below 128, none carries into the next.
    !unlike.wrapping_add(HIGHEST - EACH) & HIGHEST
}

/// How many bytes were found: those with the highest bit set, in a word that has no other bit.
#[inline]
pub fn count(found: u64) -> usize {
    ((found >> 7).wrapping_mul(EACH) >> 56) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_byte() -> impl Strategy<Value = u8> {
        prop_oneof![3 => 0x20..0x7f_u8, 1 => prop::sample::select(&b"\x00\x01\x02\x1f ./~\x7f\x80\xff"[..])]
    }

    proptest! {
        #[test]
        fn a_word_says_what_its_bytes_do(bytes in prop::array::uniform8(any_byte()), byte in any_byte()) {
            let word = u64::from_le_bytes(bytes);
            for least in [2, b' '] {
                prop_assert_eq!(is_ascii_from(least, word), bytes.iter().all(|b| b.is_ascii() && *b >= least));
            }
            prop_assert_eq!(is_printable(word), bytes.iter().all(|b| (0x20..0x7f).contains(b)));
            if bytes.is_ascii() && byte.is_ascii() {
                let found = bytes.map(|b| if b == byte { 0x80 } else { 0 });
                prop_assert_eq!(find(byte, word), u64::from_le_bytes(found));
                prop_assert_eq!(count(find(byte, word)), bytes.iter().filter(|b| **b == byte).count());
            }
        }

        #[test]
        fn a_short_word_is_filled_up_with_letters(bytes in prop::collection::vec(any::<u8>(), 0..=8)) {
            let mut full = [b'a'; 8];
            full[..bytes.len()].copy_from_slice(&bytes);
            prop_assert_eq!(filled_up(&bytes), u64::from_le_bytes(full));
        }

        #[test]
        fn every_byte_is_asked_about(bytes in prop::collection::vec(any_byte(), 0..40)) {
            prop_assert_eq!(every(&bytes, is_printable), bytes.iter().all(|b| (0x20..0x7f).contains(b)));
        }
    }
}
