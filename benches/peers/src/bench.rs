//! What all lines of a run have in common: the form, the folder, the seed, and the stores that several lines read.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Result;
use crate::disk;
use crate::engines::{self, Cache, Engine, Kind, Setup};
use crate::names::Shape;
use crate::stages::Plan;
use crate::values::Values;
use crate::work;

/// Bytes of a value, unless a line says otherwise.
pub const VALUE: usize = 200;

/// How much is done.
#[derive(Clone, Debug)]
pub struct Form {
    /// Its name in the report.
    pub name: &'static str,
    /// How long a worker's turn lasts.
    pub span: Duration,
    /// Rounds of a line.
    pub rounds: usize,
    /// Rounds of a line that fills a store in each.
    pub few: usize,
    /// Keys of the small store.
    pub hot: u64,
    /// Keys of the large store.
    pub large: u64,
    /// Keys that a round of a load writes, or of overwriting everything three times.
    pub load: u64,
    /// Buckets of the store that has many.
    pub buckets: u64,
    /// Keys of the stores on the curves of growth.
    pub growth: &'static [u64],
    /// From so many keys on engines are measured in pairs.
    pub pairs: u64,
    /// How often each of two processes takes the lock in a round.
    pub handoffs: u32,
}

impl Form {
    /// Under ten minutes on two cores.
    pub fn short() -> Form {
        Form {
            name: "short",
            span: Duration::from_millis(80),
            rounds: 5,
            few: 3,
            hot: 10_000,
            large: 1_000_000,
            load: 100_000,
            buckets: 2_000,
            growth: &[10_000, 100_000, 1_000_000],
            pairs: 10_000_000,
            handoffs: 8,
        }
    }

    /// With the sizes and rounds that the figures are published with.
    pub fn long() -> Form {
        Form {
            name: "long",
            span: Duration::from_millis(600),
            rounds: 15,
            few: 5,
            load: 1_000_000,
            buckets: 10_000,
            growth: &[10_000, 100_000, 1_000_000, 10_000_000],
            handoffs: 20,
            ..Form::short()
        }
    }

    /// Only to see that every line runs and every answer is right.
    pub fn tiny() -> Form {
        Form {
            name: "tiny",
            span: Duration::from_millis(4),
            rounds: 1,
            few: 1,
            hot: 300,
            large: 3_000,
            load: 2_500,
            buckets: 20,
            growth: &[300, 4_000],
            pairs: 4_000,
            handoffs: 3,
        }
    }

    /// Whether dirkv is measured beside one engine after the other, since the stores and caches of all of them would come close
    /// to the machine's memory, and who had to read from the disk would be decided by the others.
    pub fn in_pairs(&self, keys: u64) -> bool {
        keys >= self.pairs
    }
}

/// A run.
pub struct Bench {
    /// How much is done.
    pub form: Form,
    /// Where all choices come from.
    pub seed: u64,
    folder: tempfile::TempDir,
    library: RefCell<HashMap<Book, PathBuf>>,
    made: RefCell<u64>,
}

/// What tells one store of the library from another.
type Book = (Kind, u64, usize, Shape, Setup);

impl Bench {
    /// Everything is kept in a folder below `parent`, which vanishes with the run.
    pub fn new(form: Form, seed: u64, parent: &Path) -> Result<Bench> {
        let folder = tempfile::Builder::new().prefix("dirkv-peers-").tempdir_in(parent)?;
        Ok(Bench { form, seed, folder, library: RefCell::default(), made: RefCell::default() })
    }

    /// Where the stores are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A place where nothing is yet.
    pub fn fresh(&self, kind: Kind) -> PathBuf {
        *self.made.borrow_mut() += 1;
        self.folder.path().join(format!("{}-{}", kind.name(), self.made.borrow()))
    }

    /// Removes a store that no line needs any more.
    pub fn discard(&self, path: &Path) {
        // What can't be removed now goes with the folder.
        let _ = fs::remove_dir_all(path);
    }

    /// A store that is filled, closed and at rest, for all lines that only need its keys to be there.
    pub fn library(&self, kind: Kind, plan: &Plan) -> Result<PathBuf> {
        // How large its caches are makes no difference to what is on disk.
        let setup = Setup { cache: Cache::Usual, ..plan.alone() };
        let book = (kind, plan.keys, plan.value, plan.shape, setup);
        if let Some(path) = self.library.borrow().get(&book) {
            return Ok(path.clone());
        }
        if kind.is_peer() && self.form.in_pairs(plan.keys) {
            self.make_room();
        }
        let path = self.fresh(kind);
        self.fill(kind, plan, &path)?;
        self.library.borrow_mut().insert(book, path.clone());
        Ok(path)
    }

    /// Removes the store of the peer that was measured before.
    fn make_room(&self) {
        let mut library = self.library.borrow_mut();
        for (_, path) in library.extract_if(|(kind, keys, ..), _| kind.is_peer() && self.form.in_pairs(*keys)) {
            self.discard(&path);
        }
    }

    /// Fills a store and lets it come to rest.
    pub fn fill(&self, kind: Kind, plan: &Plan, path: &Path) -> Result<()> {
        let engine = engines::open(kind, path, &plan.alone())?;
        if !kind.is_store() && !plan.frugal {
            // What it holds lies in memory: whoever keeps it open fills it.
            return Ok(());
        }
        self.fill_open(engine.as_ref(), plan)?;
        if plan.reuse {
            engine.settle()?;
            disk::quiet(path)?;
        }
        Ok(())
    }

    /// The same with a store that is open.
    pub fn fill_open(&self, engine: &dyn Engine, plan: &Plan) -> Result<()> {
        work::fill(engine.session()?.as_mut(), plan.shape, &Values::new(plan.value), 0..plan.keys)
    }
}
