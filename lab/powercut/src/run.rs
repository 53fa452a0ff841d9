//! A recording of a filesystem at work, and the cuts that are made of it. What fails leaves a folder from which the very
//! cut can be made again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::bounded::Bounded;
use crate::clock::Clock;
use crate::cut::{Moments, cut};
use crate::drive::{Drive, Kind};
use crate::history::History;
use crate::image::Image;
use crate::journal;
use crate::probe::{AFTER, Report, report};
use crate::recording::Recording;
use crate::worker::{Failure, Orders, bucket, journal};

/// The stores on each disk, named after their mode. They lie deeper than the root, so that directories are made, too.
const STORES: [&str; 2] = ["full", "os"];
/// How often all processes end and others come, who recover.
const PHASES: u64 = 3;
/// The buckets of each process of a phase, by store. Those of the next phase have numbers greater by ten.
const PROCESSES: [(&str, [u64; 2]); 3] = [("full", [1, 2]), ("full", [3, 4]), ("os", [1, 2])];
/// How many changes are made after a cut.
const AFTERWARDS: u64 = 100;

/// How a recording is made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The filesystem.
    pub kind: Kind,
    /// Where random choices begin.
    pub seed: u64,
    /// How many steps each worker takes in a phase.
    pub steps: u64,
    /// What the workers' library breaks on purpose.
    pub sabotage: Option<String>,
}

/// A recording, and what the workers heard meanwhile.
pub struct Recorded {
    program: PathBuf,
    plan: Plan,
    /// What the disk had taken when the filesystem was mounted.
    from: u64,
    /// What the disk was told.
    pub recording: Recording,
    journals: TempDir,
    histories: [History; 2],
}

/// What is kept of a failure beside the recording and the journals.
#[derive(Serialize, Deserialize)]
struct Kept {
    plan: Plan,
    from: u64,
    cut: u64,
}

/// A disk's life after a cut: what was found in the stores, and what was made of them.
struct Life {
    recording: Recording,
    reports: [Report; 2],
    histories: [History; 2],
}

impl Recorded {
    /// Makes the filesystem, works on it, and records. `program` is the lab's own.
    pub fn new(program: &Path, plan: Plan) -> Result<Recorded, Failure> {
        let journals = folder_of_journals()?;
        let recorded = record(program, &plan, journals.path()).and_then(|made| Ok((made, histories(journals.path())?)));
        match recorded {
            Ok(((from, recording), histories)) => {
                Ok(Recorded { program: program.to_owned(), plan, from, recording, journals, histories })
            }
            Err(e) => Err(format!("{plan:?}: {e}\nthe journals are in {}", journals.keep().display()).into()),
        }
    }

    /// Cuts the power, mounts what is left, recovers, and judges; and cuts the power of that again, if `twice`.
    pub fn cut(&self, seed: u64, twice: bool) -> Result<(), Failure> {
        let whole = self.plan.kind.superblock();
        let first = cut(&self.recording, &moments(self.from, &self.histories), &whole, seed);
        let life = self.live(first.image, seed)?;
        for (store, history) in self.histories.iter().enumerate() {
            let failed = |e| format!("{}: cut {seed} at {}: {e}", STORES[store], first.at);
            history.judge(first.at, &life.reports[store].dump).map_err(failed)?;
            let (floor, newer) = (history.floor(first.at), life.histories[store].revisions());
            if newer.first().is_some_and(|oldest| *oldest <= floor) {
                return Err(failed(format!("a revision at or before {floor} was given again")).into());
            }
        }
        if twice {
            let second = cut(&life.recording, &moments(0, &life.histories), &whole, seed);
            let again = self.live(second.image, seed + 1)?;
            for (store, history) in self.histories.iter().enumerate() {
                let failed = |e| format!("{}: cut {seed} at {}, then at {}: {e}", STORES[store], first.at, second.at);
                judge_again(&history.until(first.at), &life, second.at, &again.reports[store], store)
                    .map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Mounts what a cut left and lets somebody open the stores.
    fn live(&self, image: Image, seed: u64) -> Result<Life, Failure> {
        let journals = folder_of_journals()?;
        let drive = Drive::new(image)?;
        let mounted = drive.mount(self.plan.kind)?;
        let all = STORES.map(|store| Orders {
            ids: vec![AFTER],
            steps: AFTERWARDS,
            seed,
            ..orders(store, mounted.point(), &drive.clock(), journals.path())
        });
        let start = |orders: &Orders| Ok(Bounded::start(&mut part(&self.program, "probe", orders)?)?);
        let probes = all.iter().map(start).collect::<Result<Vec<_>, Failure>>()?;
        probes.into_iter().try_for_each(|mut process| process.finish())?;
        let read = |orders: &Orders| Ok(serde_json::from_slice(&fs::read(report(orders))?)?);
        let reports: [Result<Report, Failure>; 2] = all.each_ref().map(read);
        let [full, os] = reports;
        Ok(Life { recording: drive.disk.take(), reports: [full?, os?], histories: histories(journals.path())? })
    }

    /// Keeps all that is needed to make a cut again; returns the folder.
    pub fn keep(&self, cut: u64, why: &Failure) -> io::Result<PathBuf> {
        let name = format!("dirkv-lab-failures/powercut-{}-{}-{cut}", self.plan.kind.name(), self.plan.seed);
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder)?;
        let kept = Kept { plan: self.plan.clone(), from: self.from, cut };
        fs::write(folder.join("cut.json"), serde_json::to_vec(&kept)?)?;
        let program = self.program.display();
        fs::write(folder.join("why"), format!("{why}\nreplay: {program} replay {}\n", folder.display()))?;
        self.recording.save(&folder)?;
        for store in STORES {
            fs::create_dir_all(folder.join(store))?;
            for entry in fs::read_dir(self.journals.path().join(store))? {
                let entry = entry?;
                fs::copy(entry.path(), folder.join(store).join(entry.file_name()))?;
            }
        }
        Ok(folder)
    }
}

/// Lets processes work on a new filesystem. What the disk had taken before, and all that it was told.
fn record(program: &Path, plan: &Plan, journals: &Path) -> Result<(u64, Recording), Failure> {
    let drive = Drive::new(plan.kind.make()?)?;
    let mounted = drive.mount(plan.kind)?;
    let from = Clock::open(&drive.clock())?.now();
    for phase in 0..PHASES {
        let mut workers = Vec::new();
        for (store, ids) in PROCESSES {
            let orders = Orders {
                ids: ids.map(|id| id + 10 * phase).into(),
                everybody: everybody(store),
                steps: plan.steps,
                seed: plan.seed ^ phase << 16,
                meddled: phase > 0,
                ..orders(store, mounted.point(), &drive.clock(), journals)
            };
            let mut command = part(program, "work", &orders)?;
            command.envs(plan.sabotage.iter().map(|name| ("DIRKV_SABOTAGE", name)));
            workers.push(Bounded::start(&mut command)?);
        }
        workers.into_iter().try_for_each(|mut process| process.finish())?;
    }
    Ok((from, drive.disk.take()))
}

/// Makes the cut of a folder again. (One that follows on it is another each time: the life between is no recording.)
pub fn replay(program: &Path, folder: &Path) -> Result<(), Failure> {
    let kept: Kept = serde_json::from_slice(&fs::read(folder.join("cut.json"))?)?;
    let (recording, histories) = (Recording::load(folder)?, histories(folder)?);
    let (program, journals) = (program.to_owned(), folder_of_journals()?);
    Recorded { program, plan: kept.plan, from: kept.from, recording, journals, histories }.cut(kept.cut, true)
}

/// What must be true after a second cut: all that was promised before the first, and what the opener between was told.
fn judge_again(before: &History, life: &Life, at: u64, found: &Report, store: usize) -> Result<(), String> {
    let mut dump = found.dump.clone();
    let made = dump.part(&bucket(AFTER));
    before.judge(0, &dump)?;
    life.histories[store].judge(at, &made)?;
    let told = &life.reports[store];
    if STORES[store] == "full" && told.told <= at && told.dump != dump {
        return Err("what the opener between the cuts was told has changed".to_owned());
    }
    Ok(())
}

/// When cuts are made of a life.
fn moments(from: u64, histories: &[History]) -> Moments {
    let (answers, turns): (Vec<_>, Vec<_>) = histories.iter().map(History::answers).unzip();
    Moments { from, answers: answers.concat(), turns: turns.concat() }
}

/// The command that plays a part with these orders.
pub(crate) fn part(program: &Path, name: &str, orders: &Orders) -> Result<Command, Failure> {
    let mut command = Command::new(program);
    command.args([name, &serde_json::to_string(orders)?]).env_remove("DIRKV_SABOTAGE");
    Ok(command)
}

/// Orders to do nothing on a store.
pub(crate) fn orders(store: &str, point: &Path, clock: &Path, journals: &Path) -> Orders {
    Orders {
        store: point.join("deep").join(store),
        sync: store.to_owned(),
        ids: Vec::new(),
        everybody: Vec::new(),
        steps: 0,
        seed: 0,
        meddled: false,
        clock: clock.to_owned(),
        journals: journals.join(store),
    }
}

/// Everybody who ever works on a store.
fn everybody(store: &str) -> Vec<u64> {
    let first = PROCESSES.iter().filter(|(name, _)| *name == store).flat_map(|(_, ids)| ids);
    first.flat_map(|id| (0..PHASES).map(move |phase| id + 10 * phase)).collect()
}

fn folder_of_journals() -> io::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    STORES.iter().try_for_each(|store| fs::create_dir(folder.path().join(store)))?;
    Ok(folder)
}

/// Puts together what all journals of a folder tell.
fn histories(folder: &Path) -> io::Result<[History; 2]> {
    let history = |store: &str| {
        let all = everybody(store).into_iter().chain([AFTER]);
        let there = all.filter(|id| journal(&folder.join(store), *id).exists());
        let read = there.map(|id| Ok((id, journal::read(&journal(&folder.join(store), id))?)));
        History::new(read.collect::<io::Result<Vec<_>>>()?, store == "full")
    };
    let [full, os] = STORES;
    Ok([history(full)?, history(os)?])
}
