//! What `verify` finds though each checksum is right.

use super::*;
use crate::format::table::{FOOTER_LEN, Footer, filter};
use std::ops::Range;

fn found(table: &Table, what: &str) {
    let findings = table.verify();
    assert!(!findings.is_empty() && findings.iter().all(|f| f.contains(what)), "{findings:?}, not: {what}");
}

/// Changes the part of the file that lies there, such that its checksum is right.
fn forge(made: &Made, part: Range<u64>, change: impl FnOnce(&mut [u8])) {
    let (start, end) = (part.start as usize, part.end as usize);
    made.file.change(|bytes| {
        change(&mut bytes[start..end]);
        seal(&mut bytes[..end], start, NAME.number, part.start);
    });
}

#[test]
fn versions_and_ranges_are_of_the_tables_part_of_the_log() {
    for (revision, fits) in [(NAME.from, false), (NAME.from + 1, true), (NAME.to, true), (NAME.to + 1, false)] {
        let version = make(&Model::from([(b"k".to_vec(), (revision, None))]), &[]).open(0).unwrap();
        let range = make(&Model::new(), &[(b"a".to_vec(), b"b".to_vec(), revision)]).open(0).unwrap();
        if fits {
            assert_eq!((version.verify(), range.verify()), (vec![], vec![]), "{revision}");
        } else {
            found(&version, "a version of the block isn't of the table's part of the log");
            found(&range, "a range tombstone isn't of the table's part of the log");
        }
    }
}

#[test]
fn a_footer_that_has_changed_since_it_was_read_is_found() {
    let made = make(&numbered(12), &[]);
    let table = made.open(0).unwrap();
    made.file.change(|bytes| {
        let at = bytes.len() - FOOTER_LEN;
        let footer = Footer::decode(bytes.last_chunk().unwrap(), bytes.len() as u64).unwrap();
        let other = Footer { versions: footer.versions + 1, ..footer };
        bytes[at..].copy_from_slice(&other.encode());
    });
    found(&table, "the footer has changed since the table was opened");
    found(&made.open(0).unwrap(), "the footer counts other versions than there are");
}

#[test]
fn a_filter_holds_each_key_and_each_bucket() {
    let made = make(&Model::from([(b"a\x01b\x01k".to_vec(), (200, None))]), &[]);
    let place = made.open(0).unwrap().leaves().unwrap().child(0);
    let held = [&b"a\x01"[..], b"a\x01b\x01", b"a\x01b\x01k"];
    for lacks in 0..=held.len() {
        forge(&made, place.clone(), |leaf| {
            // One line, behind the node's header of sixteen bytes.
            let line = &mut leaf[16..16 + filter::LINE];
            line.fill(0);
            let rest = held.iter().enumerate().filter(|(i, _)| *i != lacks);
            rest.for_each(|(_, bytes)| filter::insert(line, filter::hash(bytes)));
        });
        let table = made.open(0).unwrap();
        if lacks == held.len() {
            assert_eq!(table.verify(), Vec::<String>::new());
        } else {
            found(&table, "the filter lacks a key of the block");
        }
    }
}

#[test]
fn a_leaf_ends_with_the_key_in_the_root() {
    let made = make(&numbered(12), &[]);
    let root_at = made.open(0).unwrap().footer().root_at;
    let end = made.file.bytes().len() - FOOTER_LEN;
    // The root's last byte is that of the last key.
    forge(&made, root_at..end as u64, |root| *root.last_mut().unwrap() += 1);
    let table = made.open(0).unwrap();
    assert!(
        table.get(b"b0\x01000003", |_| ()).unwrap_err().message.contains("a leaf doesn't end with the key in the root")
    );
    found(&table, "a leaf doesn't end with the key in the root");
}
