//! The real thing: the library on real filesystems (ext4, xfs, btrfs) on a disk of our own, whose power is cut and whose
//! sectors fail. Rooms, from the disk up:
//!
//! | room | job |
//! |---|---|
//! | [`image`], [`recording`], [`clock`] | what a disk holds, what it was told, how much that was |
//! | [`disk`], [`drive`], [`bounded`] | the disk as a FUSE file; mounts that vanish; programs that can't hang |
//! | [`cut`] | what a power cut leaves |
//! | [`journal`], [`worker`], [`meddler`], [`probe`] | processes on the mounted filesystem, before the cut and after, and what they heard |
//! | [`history`] | whether what is left agrees with what was heard |
//! | [`run`] | a recording and its cuts; the folder that a failure leaves |
//! | [`sectors`], [`sufferer`] | sectors that fail, and who works on them |

pub mod bounded;
pub mod clock;
pub mod cut;
pub mod disk;
pub mod drive;
pub mod history;
pub mod image;
pub mod journal;
pub mod meddler;
pub mod probe;
pub mod recording;
pub mod run;
pub mod sectors;
pub mod sufferer;
pub mod worker;
