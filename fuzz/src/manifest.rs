//! A manifest: bytes as they come, bytes with a right length and checksum, and manifests made of numbers.

use arbitrary::Arbitrary;
use dirkv::format::manifest::{Flaw, Holder, Manifest, SegmentEntry, SyncMode, TableEntry, ValueFile};

use crate::{described, kind, reseal, within};

#[derive(Arbitrary)]
struct Numbers {
    header: [u64; 3],
    store: [u8; 16],
    os: bool,
    tables: Vec<[u64; 4]>,
    segments: Vec<[u64; 2]>,
    voids: Vec<[u64; 2]>,
    /// Owner, whether it is a table, its number, its size.
    value_files: Vec<(u64, bool, u64, u64)>,
}

pub fn run(data: &[u8]) {
    match kind(data, 3) {
        Some((0, rest)) => decoded(rest),
        Some((1, rest)) => {
            let mut bytes = rest.to_vec();
            reseal::manifest(&mut bytes);
            decoded(&bytes);
        }
        Some((_, rest)) => built(rest),
        None => (),
    }
}

/// What decodes is encoded to the same bytes, and has a right length and checksum.
fn decoded(bytes: &[u8]) {
    let mut right = bytes.to_vec();
    reseal::manifest(&mut right);
    // What it says, and the numbers of tables and value files once more, in order.
    match within(bytes.len() / 2 * 3, || Manifest::decode(bytes)) {
        Ok(manifest) => {
            assert!(right == bytes);
            // It is written in the newest format.
            right[8] = 2;
            reseal::manifest(&mut right);
            assert!(manifest.encode() == right);
            countable(&manifest);
        }
        Err(Flaw::Version(version)) => assert!(version > 2),
        Err(Flaw::Damage(at, what)) => assert!(at < 100 && !what.is_empty()),
    }
}

/// The engine may count on from every number.
fn countable(manifest: &Manifest) {
    assert!(manifest.live() > 0 && manifest.generation < u64::MAX && manifest.next_table < u64::MAX);
    for segment in manifest.segments.iter().chain(&manifest.voids) {
        let end = dirkv::format::position::position(segment.number, segment.sealed);
        assert!(end < 1 << 63 && !manifest.is_void(end));
    }
}

fn built(bytes: &[u8]) {
    let Some(Numbers { header, store, os, tables, segments, voids, value_files }) = described(bytes) else { return };
    let segment = |[number, sealed]: [u64; 2]| SegmentEntry { number, sealed };
    let value_file = |(owner, is_table, number, size)| {
        let holder = if is_table { Holder::Table(number) } else { Holder::Log(number) };
        ValueFile { owner, holder, size }
    };
    let manifest = Manifest {
        generation: header[0],
        store,
        sync: if os { SyncMode::Os } else { SyncMode::Full },
        next_table: header[1],
        segment_size: header[2],
        tables: tables.into_iter().map(|[number, from, to, size]| TableEntry { number, from, to, size }).collect(),
        segments: segments.into_iter().map(segment).collect(),
        voids: voids.into_iter().map(segment).collect(),
        value_files: value_files.into_iter().map(value_file).collect(),
    };
    let encoded = manifest.encode();
    decoded(&encoded);
    if let Ok(again) = Manifest::decode(&encoded) {
        assert_eq!(again, manifest);
    }
}
