//! Frames over several sectors: torn frames, sectors that two frames share, the remains of dead ones, and what recovery makes
//! of them.
//!
//! What `Segment::frames`, `Segment::durable_beyond`, `recover` and `adopt` do with the bytes. A byte is a *unit*, a sector holds two; frames have
//! any number of units and are not aligned, so that the first sector of a new frame may hold the end of an acknowledged
//! one. A sector is written whole or not at all. One writer after the other (they have `LOCK`), and a sync beside them.

mod image;
mod steps;
mod worlds;

use crate::room::room;
use crate::rules::rules;
use crate::search::{MACHINE, Model, Next, Verdict};
use worlds::{Budget, World};

room! {
    name: "sectors",
    about: "frames over several sectors, torn and overwritten",
    model: |world, rules| Sectors { world, rules },
}

rules! {
    whole: "a frame verifies only if each of its bytes does (Frame::verify)" => "torn",
    chain: "1 a frame carries the CRC of the frame before" => "run",
    seeded: "1 every CRC is seeded with the segment's salt and the frame's offset (Frame::verify)" => "foreign",
    known: "durable_before is what was committed when the frame was written (Core::durable)" => "torn",
    claimed: "who claims that the bad frame was durable is a later frame whose durable_before lies beyond it (durable_beyond)" => "torn",
    again: "19 recovery writes again, and syncs, what lies beyond the last frame's durable_before (adopt)" => "lost-sector",
    rewrite: "7 who opens a segment with an uncommitted range writes that range again (write_again)" => "lost-sector",
    sector: "assumed: the medium writes a sector whole or not at all (docs/durability.md)" => "torn",
}

/// Units, and how many a sector has.
const UNITS: usize = 8;
const SECTOR: usize = 2;
const SECTORS: usize = UNITS / SECTOR;
const FRAMES: usize = 6;

/// Part `p` of frame `f` is `4 f + p`; 0 is zeros.
type Unit = u8;
/// The bytes of another log's frame, inside a value.
const FOREIGN: Unit = 254;
const GARBAGE: Unit = 255;

type Bytes = [Unit; UNITS];

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
enum Pc {
    #[default]
    Begin,
    /// The run is in the cache, `appended` is not stored yet.
    Written,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
struct State {
    cache: Bytes,
    disk: Bytes,
    /// Sectors to be written back, a bit each.
    dirty: u8,
    appended: u8,
    committed: u8,
    /// What the log holds below `appended`, and the run that is written beyond it.
    log: Bytes,
    /// Of each frame: where it begins, which one it follows, `durable_before`.
    place: [u8; FRAMES],
    prev: [u8; FRAMES],
    known: [u8; FRAMES],
    /// The writer: which run comes next.
    pc: Pc,
    run: u8,
    /// It opened the segment while a range was uncommitted.
    fresh: bool,
    /// A sync under way: what it read as appended (0: none), which sectors it covers.
    target: u8,
    mask: u8,
    /// The next fdatasync of the process that had the segment open then reports an error.
    error: bool,
    /// The segment is sealed: nothing more is appended.
    sealed: bool,
    left: Budget,
}

/// A world with its rules.
struct Sectors {
    world: World,
    rules: Rules,
}

fn units(sector: usize) -> std::ops::Range<usize> {
    sector * SECTOR..(sector + 1) * SECTOR
}

impl Model for Sectors {
    type State = State;
    fn start(&self) -> State {
        State { left: self.world.budget, ..State::default() }
    }
    fn successors(&self, s: &State, out: &mut Vec<Next<State>>) {
        self.writer(s, out);
        self.syncer(s, out);
        self.machine(s, out);
    }
    /// Readers find what is committed, and so does recovery after a power cut now, whatever it leaves.
    fn check(&self, s: &State) -> Verdict {
        let committed = 0..usize::from(s.committed);
        if s.cache[committed.clone()] != s.log[committed.clone()] {
            return Err("what is committed can't be read");
        }
        for image in self.images(s) {
            let end = self.recovered(s, &image)?;
            if image[committed.clone()] != s.log[committed.clone()] || end < usize::from(s.committed) {
                return Err("a power cut takes back what is committed");
            }
            self.adopts_whole_runs_in_order(s, &image, end)?;
        }
        Ok(())
    }
    fn show(&self, s: &State) -> String {
        let State { cache, disk, dirty, appended, committed, .. } = s;
        format!("appended {appended} committed {committed} | cache {cache:?} disk {disk:?} dirty {dirty:#b}")
    }
}
