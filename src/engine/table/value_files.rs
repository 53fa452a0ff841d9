//! The files beside a table that hold large values which its entries name. They are open as long as the table is.

use super::{OpenError, reader};
use crate::engine::log::{self, Segment};
use crate::engine::value::{Extent, Home, Stored, name_of};
use crate::error::Error;
use crate::files::storage::{Access, Directory};
use crate::format::manifest::{Holder, StoreId, ValueFile};
use std::sync::Arc;

/// A table's value files, in the order of their holders.
#[derive(Debug)]
pub struct ValueFiles(Box<[Arc<OpenFile>]>);

#[derive(Debug)]
struct OpenFile {
    /// How many bytes of it may be named.
    size: u64,
    /// How many it has.
    len: u64,
    home: Home,
}

impl ValueFiles {
    /// Opens what the manifest names beside one table, but for what is open already.
    pub fn open<'a>(
        dir: &dyn Directory,
        entries: &[ValueFile],
        open_already: impl Iterator<Item = &'a ValueFiles> + Clone,
        store: StoreId,
    ) -> Result<ValueFiles, OpenError> {
        let find = |entry: &ValueFile| match open_already.clone().find_map(|files| files.find(entry.holder)) {
            Some(file) if file.size == entry.size => Ok(file.clone()),
            _ => open(dir, *entry, store).map(Arc::new),
        };
        entries.iter().map(find).collect::<Result<_, _>>().map(ValueFiles)
    }

    /// What the manifest says of them as those of the table `owner`, and the length of each.
    pub fn entries(&self, owner: u64) -> impl Iterator<Item = (ValueFile, u64)> {
        self.0.iter().map(move |file| (ValueFile { owner, holder: file.home.holder, size: file.size }, file.len))
    }

    fn find(&self, holder: Holder) -> Option<&Arc<OpenFile>> {
        let at = self.0.binary_search_by_key(&holder, |file| file.home.holder).ok()?;
        Some(&self.0[at])
    }

    /// A value in one of them; `None` if it lies outside of them.
    pub fn stored(&self, holder: Holder, extent: Extent) -> Option<Stored<'_>> {
        let OpenFile { size, home, .. } = &**self.find(holder)?;
        let end = extent.offset.checked_add(u64::from(extent.len))?;
        (end <= *size).then_some(Stored::Extent { home, extent })
    }
}

/// Opens a file and finds it to be of this store and number.
fn open(dir: &dyn Directory, entry: ValueFile, store: StoreId) -> Result<OpenFile, OpenError> {
    let name = name_of(entry.holder);
    let file = match entry.holder {
        Holder::Log(number) => match Segment::open(dir, number, &store, Access::Read) {
            Ok(segment) => segment.file().clone(),
            Err(log::OpenError::Missing(name)) => return Err(OpenError::Missing(name)),
            Err(log::OpenError::Other(e)) => return Err(OpenError::Failed(e)),
        },
        Holder::Table(number) => {
            let file = reader::open_file(dir, &name)?;
            let footer = reader::read_footer(&*file, &name, entry.size).map_err(OpenError::Failed)?;
            if (footer.store, footer.number) != (store, number) {
                let what = "it is another table than the manifest names";
                return Err(OpenError::Failed(Error::corrupt(&name, entry.size, what)));
            }
            file
        }
    };
    let len = file.identity().map_err(|e| OpenError::Failed(Error::io(format!("stat {name}"), &e)))?.len;
    if len < entry.size {
        let what = format!("it has {len} bytes, not the {} of the manifest", entry.size);
        return Err(OpenError::Failed(Error::corrupt(&name, len, what)));
    }
    Ok(OpenFile { size: entry.size, len, home: Home::new(entry.holder, file) })
}
