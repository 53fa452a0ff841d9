//! `SHARED`: the page that every process maps, one block of 4096 bytes of 64-bit words. Numbers below are word numbers
//! (byte offset / 8), in the machine's own byte order. It is believed only while somebody has it open; its first opener takes it for a
//! witness of what was durable, and writes it anew.

use super::position::Position;

/// The file's size.
pub const LEN: u64 = 4096;
/// Word 0 of a page that is initialised: "DIRKVSHR".
pub const MAGIC: u64 = u64::from_le_bytes(*b"DIRKVSHR");

/// The magic; stored last when the page is made, so that a half-made one is never believed.
pub const MAGIC_WORD: usize = 0;
/// The format version.
pub const VERSION: usize = 1;
/// The store id, two words.
pub const STORE: usize = 2;
/// The file's own inode number: a copy of the file is not the file.
pub const INODE: usize = 4;
/// Random, new with each recovery.
pub const INCARNATION: usize = 5;
/// The manifest's generation, stored before `appended`.
pub const GENERATION: usize = 6;
/// The number of the newest segment that is made durably, so that a seal needs no space.
pub const MADE: usize = 7;

/// The end of the last whole frame. Stored by the holder of `LOCK` alone; only grows.
pub const APPENDED: usize = 8;
/// Two pairs (position, CRC of the frame that ends there); the pair that holds `appended` is the one in use.
pub const TAILS: [usize; 2] = [9, 11];

/// What readers may see; bit 63 says frozen. Only grows.
pub const COMMITTED: usize = 16;
/// What a successful fdatasync has covered, in a store with `sync=os`; with `sync=full` that is what `committed` says.
pub const SYNCED: usize = 17;

/// Futex, bumped at each publication of `committed`.
pub const PUBLISHED: usize = 24;
/// Somebody syncs: when it was claimed (microseconds since boot << 16) and by whom; 0 if nobody.
pub const SYNCING: usize = 25;
/// The recent duration of a sync in nanoseconds.
pub const SYNC_TIME: usize = 26;

/// The end of the last frame that changed a lease.
pub const LEASE_END: usize = 32;
/// Futex, bumped when a frame that gives a lease back is appended, and when `committed` passes `LEASE_END`.
pub const LEASES: usize = 33;

/// Futex, bumped by who unlocks `LOCK`.
pub const UNLOCKED: usize = 40;
/// How many wait for `LOCK`; a hint, since a killed waiter stays counted.
pub const LOCK_WAITERS: usize = 41;

/// What the kernel stores here to find out whether the page can be written; nobody reads it.
pub const TOUCHED: usize = 48;

/// The bit of `committed` that says frozen.
pub const FROZEN: u64 = 1 << 63;

/// `committed` without its bit.
pub fn position_of(committed: u64) -> Position {
    committed & !FROZEN
}

/// Whether a seal is under way.
pub fn is_frozen(committed: u64) -> bool {
    committed & FROZEN != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frozen_is_a_bit_beside_the_position() {
        assert!(is_frozen(FROZEN | 77) && is_frozen(FROZEN) && !is_frozen(77) && !is_frozen(FROZEN - 1));
        assert_eq!((position_of(FROZEN | 77), position_of(77)), (77, 77));
    }
}
