//! What a power cut may leave, and what recovery reads in it.

use super::*;

impl Sectors {
    /// Any subset of the dirty sectors is on disk.
    pub(super) fn images(&self, s: &State) -> Vec<Bytes> {
        let mut images = vec![s.disk];
        for sector in (0..SECTORS)
            .filter(|sector| s.dirty & 1 << sector != 0 && s.cache[units(*sector)] != s.disk[units(*sector)])
        {
            for i in 0..images.len() {
                let mut other = images[i];
                other[units(sector)].copy_from_slice(&s.cache[units(sector)]);
                images.push(other);
                if !self.rules.sector {
                    other[units(sector)].fill(GARBAGE);
                    images.push(other);
                }
            }
        }
        images
    }

    /// The length and number of the frame that verifies at an offset (`Frame::verify`).
    pub(super) fn frame(&self, s: &State, bytes: &Bytes, at: usize) -> Option<(usize, usize)> {
        let first = *bytes.get(at)?;
        if first >= FOREIGN || first == 0 || first % 4 != 0 {
            return None;
        }
        let id = usize::from(first / 4);
        let len = usize::from(self.world.lens[id - 1]);
        let all = bytes.get(at..at + len)?.iter().enumerate().all(|(p, &unit)| unit == self.unit(id, p));
        ((all || !self.rules.whole) && usize::from(s.place[id]) == at).then_some((len, id))
    }

    /// Part `p` of a frame.
    pub(super) fn unit(&self, id: usize, p: usize) -> Unit {
        if self.world.foreign == id && p == 1 { FOREIGN } else { (4 * id + p) as Unit }
    }

    /// `Segment::frames`: where the log ends, and its last frame.
    pub(super) fn scan(&self, s: &State, bytes: &Bytes) -> (usize, usize) {
        let (mut at, mut last) = (0, 0);
        while let Some((len, id)) =
            self.frame(s, bytes, at).filter(|&(_, id)| usize::from(s.prev[id]) == last || !self.rules.chain)
        {
            (at, last) = (at + len, id);
        }
        (at, last)
    }

    /// `recover`: the end of the log, unless something says that a bad frame was durable.
    pub(super) fn recovered(&self, s: &State, bytes: &Bytes) -> Result<usize, &'static str> {
        let (end, _) = self.scan(s, bytes);
        let claims = (end + 1..UNITS).any(|at| match self.frame(s, bytes, at) {
            Some((_, id)) => usize::from(s.known[id]) > end || !self.rules.claimed,
            None => bytes[at] == FOREIGN && !self.rules.seeded,
        });
        if claims { Err("recovery calls a sound store CORRUPT") } else { Ok(end) }
    }

    /// What is adopted beyond `committed` are the bytes of frames as they were written, each behind the one that its writer saw.
    pub(super) fn adopts_whole_runs_in_order(&self, s: &State, bytes: &Bytes, end: usize) -> Verdict {
        let (mut at, mut last) = (0, 0);
        while at < end {
            let id = usize::from(bytes[at] / 4);
            let len = usize::from(self.world.lens[id - 1]);
            if (0..len).any(|p| bytes[at + p] != self.unit(id, p)) {
                return Err("half a frame shows");
            }
            if usize::from(s.prev[id]) != last {
                return Err("a frame shows behind another than its writer saw");
            }
            (at, last) = (at + len, id);
        }
        Ok(())
    }
}
