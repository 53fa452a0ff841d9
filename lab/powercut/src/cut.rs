//! The power is cut: what the disk then holds. All that came before the last flush, and of what came after it any part,
//! by sectors: kept, dropped, or torn. A cut is a number; the same number of the same recording is the same cut.

use std::ops::Range;

use fastrand::Rng;

use crate::image::{Image, SECTOR};
use crate::recording::{Event, Recording};

/// What a cut left.
pub struct Cut {
    /// How much the disk had taken, by its clock.
    pub at: u64,
    /// What it holds.
    pub image: Image,
}

/// What becomes of the writes that no flush covered.
#[derive(Clone, Copy)]
enum Fate {
    /// Nothing of them is there.
    AllLost,
    /// Each is there or not.
    Some,
    /// Each is there, not there, or there in part.
    Torn,
    /// All but one are there.
    OneLost,
}

/// How often each comes: a disk that keeps nothing shows the most.
const FATES: [Fate; 6] = [Fate::AllLost, Fate::AllLost, Fate::Some, Fate::Torn, Fate::Torn, Fate::OneLost];

/// When a cut is made.
pub struct Moments {
    /// At the earliest.
    pub from: u64,
    /// When answers were heard that a cut must not take back.
    pub answers: Vec<u64>,
    /// When the first such answer from each segment of the log was heard: then only a name ties the segment to the store.
    pub turns: Vec<u64>,
}

impl Moments {
    fn choose(&self, recording: &Recording, rng: &mut Rng) -> usize {
        let end = recording.events.len();
        let at = match rng.u32(..4) {
            0 => rng.choice(&self.answers).copied(),
            1 => rng.choice(&self.turns).copied(),
            // Any flush, and how much was written after it.
            _ => {
                let flushes = recording.flushes();
                let number = rng.usize(..flushes.len().max(1));
                let next = flushes.get(number + 1).copied().unwrap_or(end);
                flushes.get(number).map(|flush| rng.usize(flush + 1..=next) as u64)
            }
        };
        at.map_or(end, |at| at.max(self.from) as usize)
    }
}

/// A cut of this recording. What lies in `whole` is never torn.
pub fn cut(recording: &Recording, moments: &Moments, whole: &Range<u64>, seed: u64) -> Cut {
    let mut rng = Rng::with_seed(seed);
    let at = moments.choose(recording, &mut rng);
    let flushed = recording.events[..at].iter().rposition(|event| *event == Event::Flush).map_or(0, |flush| flush + 1);
    let mut image = recording.base.clone();
    for event in &recording.events[..flushed] {
        if let Event::Write { offset, bytes } = event {
            image.write(*offset, bytes);
        }
    }
    let fate = FATES[rng.usize(..FATES.len())];
    let lost = flushed + rng.usize(..(at - flushed).max(1));
    for (number, event) in recording.events[flushed..at].iter().enumerate() {
        let Event::Write { offset, bytes } = event else { continue };
        let is_there = match fate {
            Fate::AllLost => false,
            Fate::Some | Fate::Torn => rng.bool(),
            Fate::OneLost => flushed + number != lost,
        };
        if is_there {
            image.write(*offset, bytes);
        } else if matches!(fate, Fate::Torn) && rng.bool() {
            tear(&mut image, *offset, bytes, whole, &mut rng);
        }
    }
    Cut { at: at as u64, image }
}

/// Writes some of the sectors: up to one, or any; those in `whole` as the first of them.
fn tear(image: &mut Image, offset: u64, bytes: &[u8], whole: &Range<u64>, rng: &mut Rng) {
    let sectors = bytes.len() / SECTOR;
    let up_to = rng.bool().then(|| rng.usize(..=sectors));
    let mut is_there = false;
    for (number, sector) in bytes.chunks(SECTOR).enumerate() {
        let at = offset + (number * SECTOR) as u64;
        if number == 0 || at == whole.start || !whole.contains(&at) {
            is_there = up_to.map_or_else(|| rng.bool(), |up_to| number < up_to);
        }
        if is_there {
            image.write(at, sector);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn any_sector_may_be_lost_but_none_of_what_is_whole_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(64 << 10).unwrap();
        let blank = Image::load(file.path()).unwrap();
        let mut seen = BTreeSet::new();
        for seed in 0..1_000 {
            let mut image = blank.clone();
            tear(&mut image, 2_048, &[1; 4_096], &(3_072..5_120), &mut Rng::with_seed(seed));
            let mut bytes = [0; 4_096];
            image.read(2_048, &mut bytes);
            let there: Vec<bool> = bytes.chunks(SECTOR).map(|sector| sector[0] == 1).collect();
            assert!(there[2..6].iter().all(|sector| *sector == there[2]), "{there:?}");
            seen.insert(there);
        }
        assert_eq!(seen.len(), 1 << 5, "two sectors before, two behind, and what is whole");
    }
}
