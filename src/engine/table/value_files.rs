//! The files beside a table that hold large values which its entries name. They are open as long as the table is.

use super::{OpenError, reader};
use crate::engine::log::{self, Segment};
use crate::engine::value::{Extent, Home, Stored, name_of};
use crate::error::Error;
use crate::files::storage::{Access, Directory};
use crate::format::manifest::{Holder, StoreId, ValueFile};

/// A table's value files, in the order of their holders.
#[derive(Debug)]
pub struct ValueFiles(Box<[OpenFile]>);

#[derive(Debug)]
struct OpenFile {
    entry: ValueFile,
    home: Home,
}

impl ValueFiles {
    /// Opens what the manifest names beside one table.
    pub fn open(dir: &dyn Directory, entries: &[ValueFile], store: StoreId) -> Result<ValueFiles, OpenError> {
        entries.iter().map(|entry| open(dir, *entry, store)).collect::<Result<_, _>>().map(ValueFiles)
    }

    /// What the manifest says of them.
    pub fn entries(&self) -> impl Iterator<Item = ValueFile> {
        self.0.iter().map(|open| open.entry)
    }

    /// A value in one of them; `None` if it lies outside of them.
    pub fn stored(&self, holder: Holder, extent: Extent) -> Option<Stored<'_>> {
        let at = self.0.binary_search_by_key(&holder, |open| open.entry.holder).ok()?;
        let OpenFile { entry, home } = &self.0[at];
        let end = extent.offset.checked_add(u64::from(extent.len))?;
        (end <= entry.size).then_some(Stored::Extent { home, extent })
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
    Ok(OpenFile { entry, home: Home::new(entry.holder, file) })
}
