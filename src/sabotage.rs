//! What the tests break on purpose, to show that they would notice: in a build with the feature `lab`, which only tests
//! make, one of these is switched on at run time. In every other build [`is`] is false before the program runs.

macro_rules! sabotages {
    ($($variant:ident $name:literal $what:literal)*) => {
        /// A deliberate breakage. Those named after a rule leave that rule of docs/durability.md out.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(usize)]
        pub enum Sabotage {
            $(#[doc = $what] $variant),*
        }

        #[cfg(feature = "lab")]
        impl Sabotage {
            /// Each with its name and what it does.
            pub const ALL: &[(Sabotage, &str, &str)] = &[$((Sabotage::$variant, $name, $what)),*];
        }
    };
}

sabotages! {
    Unchained "rule-1" "the CRC of the frame before isn't compared, and neither salt nor offset seed a CRC"
    TailUnknown "rule-2" "following the log under LOCK may end in any frame"
    AppendedReadLate "rule-3" "a syncer reads appended after its fdatasync"
    CommittedStored "rule-4" "committed is stored, not raised"
    RefusedEarly "rule-5" "a failed condition is answered at once"
    VoucherUnlocked "rule-6" "a descriptor opened without LOCK vouches"
    NotRewritten "rule-7" "who opens a segment doesn't write its uncommitted range again"
    SyncsTogether "rule-8" "threads sync through a shared descriptor at once"
    FailedSyncRetried "rule-9" "a failed sync is tried again and believed"
    FailedWriteAnswered "rule-10" "a failed write is answered without a seal"
    NotFrozen "rule-11" "a seal doesn't freeze committed"
    SealUnlocked "rule-12" "a seal happens without LOCK"
    SealNotDurable "rule-13" "a manifest is published before its directory is synced"
    CommittedFirst "rule-14" "a seal stores committed first, appended last"
    FreezeIgnored "rule-15" "who finds a freeze lets it be"
    ManifestNotRepeated "rule-16" "a manifest that is there is not written again"
    VoidKept "rule-17" "frames beyond a sealed end stay in the index"
    FullUnsynced "rule-18" "a full segment is sealed at appended without a sync"
    AdoptedUnsynced "rule-19" "recovery publishes what it adopts without writing and syncing it"
    AdoptedUnwritten "adopted-unwritten" "recovery syncs what it adopts without writing it again, whatever SHARED says"
    NoFdatasync "no-fdatasync" "a commit's fdatasync is left out"
    PublishBeforeSync "publish-before-sync" "committed is raised before the fdatasync"
    NoDirectorySync "no-directory-sync" "the directory is never synced"
    LockIgnored "lock-ignored" "LOCK counts as taken, whoever holds it"
    CrcUnchecked "crc-unchecked" "no CRC on disk is checked"
    PendingShown "pending-shown" "a read sees frames that are not committed"
    MergeKeepsOlder "merge-keeps-older" "a merge keeps the older of two versions"
    TombstoneDropped "tombstone-dropped" "a flush drops tombstones, though older tables hold what they hide"
    ValueFileRemoved "value-file-removed" "who opens a store alone takes files that stay for their large values for strays"
    StaleRead "stale-read" "a read looks at what its process knows, and follows nothing"
    RowOfOtherTables "row-of-other-tables" "the row cache tells what tables said that are not there any more"
    LostUpdate "lost-update" "a condition is decided on what was committed before its turn"
    WakeLost "wake-lost" "whoever raises committed wakes nobody"
}

/// Whether this is what is broken.
#[cfg(not(feature = "lab"))]
#[inline(always)]
pub const fn is(_: Sabotage) -> bool {
    false
}

#[cfg(feature = "lab")]
pub use switch::{commit, is};

#[cfg(feature = "lab")]
mod switch {
    use super::Sabotage;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const UNASKED: usize = usize::MAX;
    const NONE: usize = usize::MAX - 1;

    static ACTIVE: AtomicUsize = AtomicUsize::new(UNASKED);

    /// Whether this is what is broken: as told by [`commit`], else by the environment's `DIRKV_SABOTAGE`.
    pub fn is(sabotage: Sabotage) -> bool {
        let active = match ACTIVE.load(Ordering::Relaxed) {
            UNASKED => first_use(),
            active => active,
        };
        active == sabotage as usize
    }

    /// Breaks this, and mends whatever was broken before; `None` only mends. For the whole process.
    pub fn commit(sabotage: Option<Sabotage>) {
        ACTIVE.store(sabotage.map_or(NONE, |s| s as usize), Ordering::Relaxed);
    }

    #[cold]
    fn first_use() -> usize {
        let asked = std::env::var("DIRKV_SABOTAGE").ok();
        let active = asked.map_or(NONE, |asked| match Sabotage::ALL.iter().find(|(_, name, _)| *name == asked) {
            Some((sabotage, ..)) => *sabotage as usize,
            None => panic!("DIRKV_SABOTAGE={asked} is none of those that there are"),
        });
        ACTIVE.store(active, Ordering::Relaxed);
        active
    }
}
