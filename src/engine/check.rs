//! Verifies every byte that the store rests on against its checksums and order, from the files and not from what is in memory.

use super::log::Segment;
use super::table::{BlockCache, OpenError, Table};
use super::{Core, manifest};
use crate::error::{Code, Error, Result};
use crate::files::storage::Access;
use crate::format::manifest::{Holder, Manifest, ValueFile};
use crate::format::position::{Position, offset_of, segment_of};
use crate::format::segment::HEADER_LEN;
use std::sync::Arc;

impl Core {
    /// One sentence for each thing that is wrong.
    pub fn check(&self) -> Result<Vec<String>> {
        loop {
            let generation = self.page.generation();
            let committed = self.page.committed().position();
            let findings = match manifest::load(&*self.files.dir) {
                Ok(Some(manifest)) => self.check_files(&manifest, committed)?,
                Ok(None) => vec!["MANIFEST is gone".to_owned()],
                Err(e) => vec![finding(e)?],
            };
            // A merge may have replaced files meanwhile.
            if findings.is_empty() || self.page.generation() == generation {
                return Ok(findings);
            }
        }
    }

    fn check_files(&self, manifest: &Manifest, committed: Position) -> Result<Vec<String>> {
        let mut findings = Vec::new();
        if manifest.store != self.files.store {
            findings.push("MANIFEST is another store's".to_owned());
            return Ok(findings);
        }
        for entry in &manifest.tables {
            let cache = Arc::new(BlockCache::new(0, 0));
            let value_files = manifest.value_files_of(entry.number);
            match Table::open(&self.files.dir, *entry, value_files, &[], self.files.store, cache) {
                Ok(table) => {
                    findings.extend(table.verify());
                    findings.extend(self.check_values(value_files)?);
                }
                Err(OpenError::Missing(name)) => findings.push(format!("{name} is gone")),
                Err(OpenError::Failed(e)) => findings.push(finding(e)?),
            }
        }
        for entry in &manifest.segments {
            // What was committed when the check began.
            let end = match entry.sealed {
                0 if segment_of(committed) == entry.number => offset_of(committed),
                0 => HEADER_LEN,
                sealed => sealed,
            };
            if let Err(e) = self.check_segment(entry.number, end) {
                findings.push(finding(e)?);
            }
        }
        Ok(findings)
    }

    /// The segments among a table's value files. Of a table that stays for its large values, those that are wanted were verified with
    /// the entries that name them.
    fn check_values(&self, files: &[ValueFile]) -> Result<Vec<String>> {
        let mut findings = Vec::new();
        for file in files {
            if let Holder::Log(number) = file.holder
                && let Err(e) = self.check_segment(number, file.size)
            {
                findings.push(finding(e)?);
            }
        }
        Ok(findings)
    }

    fn check_segment(&self, number: u64, end: u64) -> Result<()> {
        let segment = Segment::open(&*self.files.dir, number, &self.files.store, Access::Read)?;
        let mut flaw = None;
        let start = (HEADER_LEN, segment.header().crc());
        let (reached, _) = segment
            .frames(start, end, |frame, at| frame.each_op(|_| ()).inspect_err(|what| flaw = Some((at, *what))))?;
        match flaw {
            Some((at, what)) => Err(Error::corrupt(segment.name(), at, what)),
            None if reached != end => Err(Error::corrupt(segment.name(), reached, "a committed frame doesn't verify")),
            None => Ok(()),
        }
    }
}

/// Damage is a finding; anything else ends the check.
fn finding(e: Error) -> Result<String> {
    if e.code == Code::Corrupt { Ok(e.message) } else { Err(e) }
}
