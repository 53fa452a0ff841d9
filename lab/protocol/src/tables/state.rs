//! One state: the directory and its files, the shared page, the processes with their views.

use super::worlds::{Budget, World};

pub const PROCS: usize = 4;
/// Table numbers, and files that ever get one.
pub const NUMBERS: usize = 12;
/// Tables at once.
pub const TABLES: usize = 4;
pub const KEYS: usize = 2;

/// A table as a manifest names it: its number, and the segments whose frames it holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Entry {
    pub number: u8,
    pub from: u8,
    pub to: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Manifest {
    pub generation: u8,
    /// Oldest first; number 0 is none.
    pub tables: [Entry; TABLES],
    /// The segments `first..=live`; all but the last are sealed.
    pub first: u8,
    pub live: u8,
    pub next_table: u8,
}

impl Manifest {
    pub fn named(&self) -> impl Iterator<Item = Entry> + '_ {
        self.tables.into_iter().filter(|t| t.number != 0)
    }
    pub fn names(&self, number: u8) -> bool {
        self.named().any(|t| t.number == number)
    }
    pub fn len(&self) -> usize {
        self.named().count()
    }
    /// With `table` (number 0 for none) in the place of `taken` tables from `first` on.
    pub fn splice(&mut self, first: usize, taken: usize, table: Entry) {
        let (old, len) = (self.tables, self.len());
        let rest = old[..first].iter().chain([&table]).chain(&old[first + taken..len]).filter(|t| t.number != 0);
        self.tables = Default::default();
        rest.zip(&mut self.tables).for_each(|(from, to)| *to = *from);
    }
}

/// A manifest with its files open: for each table the file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct View {
    pub manifest: Manifest,
    pub files: [u8; TABLES],
}

/// Where a process stands; each is one atomic step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Pc {
    #[default]
    Begin,
    // Index::refresh, snapshot
    Load,
    Open,
    Look,
    // replace, build
    Number,
    Fill,
    SyncName,
    Switch,
    SwitchDir,
    SwitchPublish,
    Inputs,
    Unlink,
    Unnamed,
    // clean
    List,
    Stray,
    // published_manifest: what a failed switch left
    LeftDir,
    // finish_seal
    SealDir,
    SealGeneration,
    SealCommitted,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Proc {
    pub pc: Pc,
    pub op: u8,
    pub view: View,
    /// A view in the making, which of its tables comes next, and the generation before it began.
    pub next: View,
    pub nth: u8,
    pub before: u8,
    /// A snapshot's position: frames up to this segment's.
    pub at: u8,
    /// The run: the first table of the view, how many, how many segments; its own table.
    pub first: u8,
    pub tables: u8,
    pub segments: u8,
    pub number: u8,
    pub file: u8,
    /// Its switch failed.
    pub failed: bool,
    /// It was told to stop; it switched.
    pub stopped: bool,
    pub switched: bool,
    /// What is to be removed: tables and segments, a bit each.
    pub tables_gone: u16,
    pub segments_gone: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct State {
    pub lock: u8,
    /// Which file each table's name leads to, as everyone sees it and as it is on disk; 0 is none.
    pub dir: [u8; NUMBERS],
    pub dir_disk: [u8; NUMBERS],
    /// Segments that are there, a bit each, likewise.
    pub logs: u16,
    pub logs_disk: u16,
    /// The newest frame (its segment) of each key in each file, 0 for none; whether the file is durable, a bit each.
    pub content: [[u8; KEYS]; NUMBERS],
    pub durable: u16,
    /// How many files there were.
    pub files: u8,
    pub manifest: Manifest,
    pub manifest_disk: Manifest,
    /// The renamed manifest's bytes are durable.
    pub manifest_sound: bool,
    // the shared page
    pub believed: bool,
    pub generation: u8,
    /// Frames up to this segment's are committed.
    pub committed: u8,
    /// A seal is under way.
    pub frozen: bool,
    pub procs: [Proc; PROCS],
    pub left: Budget,
}

impl State {
    pub fn new(world: &World) -> State {
        let mut s =
            State { believed: true, generation: 1, manifest_sound: true, left: world.budget, ..State::default() };
        let m = &mut s.manifest;
        (m.generation, m.first, m.live, m.next_table) = (1, world.tables + 1, world.live, world.tables + 1);
        for number in 1..=world.tables {
            m.tables[usize::from(number) - 1] = Entry { number, from: number, to: number };
            s.dir[usize::from(number)] = number;
            s.content[usize::from(number)][world.key(number)] = number;
            s.durable |= 1 << number;
        }
        s.files = world.tables;
        s.logs = (m.first..=m.live).fold(0, |set, segment| set | 1 << segment);
        (s.dir_disk, s.logs_disk, s.manifest_disk, s.committed) = (s.dir, s.logs, s.manifest, world.live);
        s
    }

    /// The directory is synced.
    pub fn sync_dir(&mut self) {
        (self.dir_disk, self.logs_disk, self.manifest_disk) = (self.dir, self.logs, self.manifest);
    }

    pub fn line(&self) -> String {
        let m = |m: &Manifest| {
            let tables: Vec<u8> = m.named().map(|t| t.number).collect();
            format!("{} {tables:?} log {}..={}", m.generation, m.first, m.live)
        };
        let files: Vec<String> = (0..NUMBERS)
            .filter(|&n| self.dir[n] != 0)
            .map(|n| format!("table-{n}=file {} (frames {:?})", self.dir[n], self.content[usize::from(self.dir[n])]))
            .collect();
        format!(
            "manifest {} disk {} | generation {} committed {}{} | {} | segments {:#b}",
            m(&self.manifest),
            m(&self.manifest_disk),
            self.generation,
            self.committed,
            if self.frozen { " FROZEN" } else { "" },
            files.join(", "),
            self.logs
        )
    }
}
