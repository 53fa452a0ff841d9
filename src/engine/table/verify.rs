//! Reads a whole table, past all caches, and says what is wrong with it.

use super::Table;
use crate::engine::source::{State, Version};
use crate::engine::value::Stored;
use crate::error::Error;
use crate::format::key::bucket_prefixes;
use crate::format::manifest::Holder;
use crate::format::position::Position;
use crate::format::table::filter;
use crate::format::table::node::Node;

/// What was found so far.
#[derive(Default)]
struct Report {
    findings: Vec<String>,
    /// Where the next part has to begin; `None` when that is unknown because of a finding.
    at: Option<u64>,
    versions: u64,
    tombstones: u64,
    bytes: u64,
    large: u64,
}

impl Report {
    fn add(&mut self, error: &Error) {
        self.findings.push(error.message.clone());
    }

    /// A part lies at `offset..end`: nothing may lie between it and the one before.
    fn part(&mut self, table: &Table, offset: u64, end: u64) {
        if self.at.is_some_and(|at| at != offset) {
            self.add(&table.damage(offset, "a part doesn't begin where the one before ends"));
        }
        self.at = Some(end);
    }
}

impl Table {
    /// Reads every byte of the file and compares it with its checksums, order, counts and filters: one sentence for each
    /// thing that is wrong.
    pub fn verify(&self) -> Vec<String> {
        let mut report = Report { at: Some(0), ..Report::default() };
        match self.read_footer() {
            Ok(footer) if footer == *self.footer() => {}
            Ok(_) => {
                report.add(&self.damage(self.footer().root_at, "the footer has changed since the table was opened"))
            }
            Err(e) => report.add(&e),
        }
        match self.read_ranges() {
            Ok(ranges) if ranges.iter().all(|(_, _, revision)| self.is_of_its_time(revision)) => {}
            Ok(_) => report
                .add(&self.damage(self.footer().ranges_at, "a range tombstone isn't of the table's part of the log")),
            Err(e) => report.add(&e),
        }
        match self.read_root() {
            Err(e) => report.add(&e),
            Ok(root) => self.verify_groups(&root, &mut report),
        }
        report.findings
    }

    fn is_of_its_time(&self, revision: Position) -> bool {
        self.entry().from < revision && revision <= self.entry().to
    }

    fn verify_groups(&self, root: &Node, report: &mut Report) {
        for i in 0..root.len() {
            let place = root.child(i);
            match self.read_leaf(root, i) {
                Err(e) => {
                    report.add(&e);
                    report.at = None;
                }
                Ok(leaf) => (0..leaf.len()).for_each(|j| self.verify_block(&leaf, i, j, report)),
            }
            report.part(self, place.start, place.end);
        }
        let footer = self.footer();
        report.part(self, footer.ranges_at, footer.root_at);
        let counts = (report.versions, report.tombstones, report.bytes);
        if report.findings.is_empty() && counts != (footer.versions, footer.tombstones, footer.bytes) {
            report.add(&self.damage(footer.root_at, "the footer counts other versions than there are"));
        }
        if report.findings.is_empty() && footer.large.is_some_and(|large| large != report.large) {
            report.add(&self.damage(footer.root_at, "the footer counts other large values than there are"));
        }
    }

    fn verify_block(&self, leaf: &Node, i: usize, j: usize, report: &mut Report) {
        let place = leaf.child(j);
        match self.read_block(leaf, i, j) {
            Err(e) => {
                report.add(&e);
                report.at = None;
            }
            Ok(block) => {
                let mut key = block.prefix().to_vec();
                for k in 0..block.len() {
                    let entry = block.entry(k);
                    key.truncate(block.prefix().len());
                    key.extend_from_slice(entry.suffix);
                    self.verify_version(&self.version(&key, entry), place.start, leaf, report);
                }
            }
        }
        report.part(self, place.start, place.end);
    }

    fn verify_version(&self, version: &Version<'_>, block: u64, leaf: &Node, report: &mut Report) {
        let key = version.key;
        if !self.is_of_its_time(version.revision) {
            report.add(&self.damage(block, "a version of the block isn't of the table's part of the log"));
        }
        let held = |bytes| leaf.may_hold(filter::hash(bytes));
        if !held(key) || !bucket_prefixes(key).all(held) {
            report.add(&self.damage(block, "the filter lacks a key of the block"));
        }
        report.versions += 1;
        report.bytes += key.len() as u64;
        match version.state {
            State::Tombstone => report.tombstones += 1,
            State::Live { stored, .. } => {
                report.bytes += stored.len() as u64;
                if let Stored::Extent { home, extent } = stored {
                    if home.holder == Holder::Table(self.entry().number) {
                        report.part(self, extent.offset, extent.offset + u64::from(extent.len));
                        report.large += u64::from(extent.len);
                    }
                    if let Err(e) = stored.bytes() {
                        report.add(&e);
                    }
                }
            }
        }
    }
}
