//! Whether a bound is met.

use super::Measured;
use crate::engines::Kind;
use crate::lines::{Bound, Of, Reach};
use crate::stages::Metric;
use crate::statistics::{Figure, median};

/// How many times as good as another dirkv is, with its spread; more than 1 is better, whatever the metric.
pub fn ratio(measured: &Measured, metric: Metric, kind: Kind) -> Option<Figure> {
    let of = |kind| measured.samples.get(&(metric, kind));
    let (ours, theirs) = (of(Kind::Dirkv)?, of(kind)?);
    if metric.rises() { Figure::ratio(ours, theirs) } else { Figure::ratio(theirs, ours) }
}

/// The peer that is best in this line.
pub fn best_peer(measured: &Measured, metric: Metric) -> Option<Kind> {
    let peers = measured.line.kinds.iter().copied().filter(|kind| kind.is_peer());
    let ratio = |kind| ratio(measured, metric, kind).map(|figure| (kind, figure.median));
    peers.filter_map(ratio).min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(kind, _)| kind)
}

/// Whether dirkv has reached a bound; `None` if what it is compared with was not measured.
pub fn met(all: &[Measured], measured: &Measured, reach: &Reach) -> Option<bool> {
    let metric = reach.metric;
    let own = median(&measured.of(metric, Kind::Dirkv)?);
    Some(match reach.bound {
        Bound::Below(bound) => own < bound,
        Bound::AtLeast(bound) => own >= bound,
        Bound::Times(times, Of::Kind(kind)) => ratio(measured, metric, kind)?.median >= times,
        Bound::Times(times, Of::BestPeer) => ratio(measured, metric, best_peer(measured, metric)?)?.median >= times,
        Bound::Times(times, Of::Line(id)) => {
            let other = all.iter().find(|other| other.line.id == id)?;
            own >= times * median(&other.of(metric, Kind::Dirkv)?)
        }
    })
}
