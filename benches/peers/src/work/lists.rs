//! Listings: a whole bucket, one bucket of many, a page.

use std::ffi::CString;
use std::hint::black_box;

use super::{Spec, Step, What, Work};
use crate::Result;
use crate::choice::Chooser;
use crate::engines::{Range, Session};
use crate::names::{BUCKET, Names, Shape};
use crate::values::Values;

pub struct Lists {
    spec: Spec,
    values: Values,
    chooser: Chooser,
    places: Vec<Place>,
    next: usize,
}

/// What one listing shows: the numbers from `first`, `count` of them.
struct Place {
    bucket: CString,
    prefix: Vec<u8>,
    after: Option<Names>,
    limit: usize,
    first: u64,
    count: u64,
}

impl Place {
    fn range(&self) -> Range<'_> {
        let after = self.after.as_ref().map(|names| names.get(0));
        Range { bucket: &self.bucket, prefix: &self.prefix, after, limit: self.limit }
    }
}

impl Lists {
    pub fn new(spec: Spec) -> Lists {
        let (values, chooser) = (Values::new(spec.value), Chooser::new(spec.choice, spec.keys));
        Lists { values, chooser, spec, places: Vec::new(), next: 0 }
    }

    fn with_values(&self) -> bool {
        matches!(self.spec.what, What::Items | What::BucketItems | What::Page(_))
    }

    fn place(&self, number: u64) -> Place {
        let keys = self.spec.keys;
        let all = Place {
            bucket: BUCKET.to_owned(),
            prefix: Vec::new(),
            after: None,
            limit: usize::MAX,
            first: 0,
            count: keys,
        };
        match (self.spec.what, self.spec.shape) {
            (What::Page(limit), shape) => Place {
                after: Some(Names::of(shape, [number])),
                limit,
                first: number + 1,
                count: (keys - number - 1).min(limit as u64),
                ..all
            },
            (What::BucketItems | What::BucketKeys, Shape::Buckets(per)) => {
                let names = Names::of(self.spec.shape, [number]);
                let bucket = names.get(0).bucket.to_owned();
                let prefix = [bucket.to_bytes(), b"/"].concat();
                let first = number - number % per;
                Place { bucket, prefix, first, count: (keys - first).min(per), ..all }
            }
            _ => all,
        }
    }
}

impl Work for Lists {
    fn prepare(&mut self, _: &mut dyn Session, round: u64) -> Result<()> {
        let mut dice = self.spec.dice(round);
        let count = if matches!(self.spec.what, What::Items | What::Keys) { 1 } else { self.spec.ahead().min(1 << 13) };
        self.places = (0..count).map(|_| self.place(self.chooser.next(&mut dice))).collect();
        self.next = 0;
        Ok(())
    }

    fn step(&mut self, session: &mut dyn Session) -> Result<Step> {
        let place = &self.places[self.next];
        self.next = (self.next + 1) % self.places.len();
        let mut seen = 0;
        if self.with_values() {
            session.items(place.range(), &mut |key, value| {
                black_box((key.last().copied(), value.first().copied(), value.last().copied()));
                seen += 1;
            })?;
        } else {
            session.keys(place.range(), &mut |key| {
                black_box(key.last().copied());
                seen += 1;
            })?;
        }
        if seen != place.count {
            return Err(format!("a listing shows {seen} entries, not {}", place.count).into());
        }
        Ok(Step::Done)
    }

    fn verify(&mut self, session: &mut dyn Session) -> Result<()> {
        for place in self.places.iter().take(32) {
            let names = Names::of(self.spec.shape, place.first..place.first + place.count);
            // An engine without buckets shows its flat keys.
            let fits = |index: usize, key: &[u8]| {
                index < names.len() && (key == names.get(index).key.to_bytes() || key == names.get(index).flat)
            };
            let (mut wrong, mut index) = (None, 0);
            if self.with_values() {
                session.items(place.range(), &mut |key, value| {
                    let number = place.first + index as u64;
                    if !fits(index, key) || self.values.version(value, number).is_err() {
                        wrong = wrong.or(Some(index));
                    }
                    index += 1;
                })?;
            } else {
                session.keys(place.range(), &mut |key| {
                    if !fits(index, key) {
                        wrong = wrong.or(Some(index));
                    }
                    index += 1;
                })?;
            }
            if wrong.is_some() || index != names.len() {
                return Err(format!("a listing of {} has {index}, the first wrong one {wrong:?}", names.len()).into());
            }
        }
        Ok(())
    }

    fn burst(&self) -> u32 {
        if matches!(self.spec.what, What::Items | What::Keys) { 1 } else { 4 }
    }
}
