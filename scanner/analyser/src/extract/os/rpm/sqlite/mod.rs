//! `rpmdb.sqlite`, which rpm has since version 4.16: a table of headers by number.
//!
//! Numbers are big-endian. The layout is that of the SQLite database file format (<https://sqlite.org/fileformat2.html>).
//! The file alone is not the database: what was written last may only be in the log beside it, or have to be undone.

mod btree;
mod journal;
mod overlay;
mod record;
mod wal;

use self::btree::Tree;
use self::overlay::Overlay;
use self::record::Value;
use super::store::{Emit, Fault, Store, unless_damaged};
use crate::volume::bytes::{Bytes, to_u64, to_usize};

const MAGIC: &[u8] = b"SQLite format 3\0";
/// Bytes of the file's header, which is the start of the first page.
const HEADER_BYTES: usize = 100;
/// The page at which the table of all tables begins.
const SCHEMA_PAGE: u32 = 1;

/// The files beside a database that belong to it.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// `-wal`: pages that are newer than those in the file.
    pub(super) wal: Option<Vec<u8>>,
    /// `-journal`: pages as they were before a change that was not finished.
    pub(super) journal: Option<Vec<u8>>,
}

/// Gives the headers in a database.
pub(super) fn read(store: &mut Store<'_>, beside: Beside, emit: &mut Emit<'_>) -> Result<(), Fault> {
    let start = store.get(0, HEADER_BYTES).map_err(|fault| Fault::End(fault.reason()))?;
    if !start.starts_with(MAGIC) {
        return Err(Fault::End("it is not an SQLite database".to_owned()));
    }
    let Some(page_size) = page_size(Bytes(&start)) else {
        return Err(Fault::End("its header gives no size of a page".to_owned()));
    };
    let pages_in_file = store.size().checked_div(to_u64(page_size)).unwrap_or_default();
    let pages_in_file = u32::try_from(pages_in_file).unwrap_or(u32::MAX);
    // A journal that was left is undone first, as SQLite does; a database has no log at the same time.
    let overlay = match beside.journal.and_then(|journal| journal::undo(journal, page_size)) {
        Some(overlay) => overlay,
        None => match beside.wal.map(|wal| wal::committed(wal, page_size)).transpose() {
            Ok(overlay) => overlay.flatten().unwrap_or_else(|| Overlay::none(pages_in_file)),
            Err(problem) => {
                emit(Err(Fault::Damaged(problem)))?;
                Overlay::none(pages_in_file)
            }
        },
    };
    let mut pages = Pages { store, page_size, usable: 0, overlay };
    pages.usable = pages.usable()?;
    let mut tree = Tree::new(&pages);
    let Some(root) = packages_root(&mut pages, &mut tree, emit)? else {
        // Made, but never written to, as an image without packages has it: there is not even a table.
        return Ok(());
    };
    tree.rows(&mut pages, root, emit, &mut |row, emit| {
        // `hnum INTEGER PRIMARY KEY, blob BLOB`.
        match record::values(row).nth(1) {
            Some(Value::Bytes(blob)) => emit(Ok(blob)),
            _ => emit(Err(Fault::Damaged("a row has no header".to_owned()))),
        }
    })
}

/// Where the table of headers begins.
fn packages_root(
    pages: &mut Pages<'_, '_>,
    tree: &mut Tree,
    emit: &mut Emit<'_>,
) -> Result<Option<u32>, Fault> {
    let mut root = None;
    let mut tables = 0_u64;
    tree.rows(pages, SCHEMA_PAGE, emit, &mut |row, _| {
        // `type, name, tbl_name, rootpage, sql`.
        tables = tables.saturating_add(1);
        let mut values = record::values(row);
        if let (Some(Value::Bytes(b"table")), Some(Value::Bytes(name)), Some(_), Some(Value::Number(page))) =
            (values.next(), values.next(), values.next(), values.next())
            && name.eq_ignore_ascii_case(b"Packages")
        {
            root = u32::try_from(page).ok();
        }
        Ok(())
    })?;
    if root.is_none() && tables > 0 {
        emit(Err(Fault::Damaged("it has no table of packages".to_owned())))?;
    }
    Ok(root)
}

fn page_size(header: Bytes<'_>) -> Option<usize> {
    // 65536 does not fit, and is written as 1.
    let size = match header.be16(16).ok()? {
        1 => 65536,
        size => u32::from(size),
    };
    (size.is_power_of_two() && size >= 512).then(|| to_usize(size))
}

/// The pages of the database as it was when the last change was finished.
struct Pages<'a, 'b> {
    store: &'a mut Store<'b>,
    page_size: usize,
    /// Bytes of each page that SQLite uses. Extensions may keep some at its end.
    usable: usize,
    overlay: Overlay,
}

impl Pages<'_, '_> {
    /// Replaces what is in `to` by a page.
    fn read(&mut self, number: u32, to: &mut Vec<u8>) -> Result<(), Fault> {
        to.clear();
        let pages = self.overlay.pages;
        if number == 0 {
            return Err(Fault::Damaged("a page should be where none is".to_owned()));
        }
        if number > pages {
            return Err(Fault::Missing(format!("there should be a page {number}; it has {pages}")));
        }
        if let Some(page) = self.overlay.page(number, self.page_size) {
            to.extend_from_slice(page);
            return Ok(());
        }
        let offset = u64::from(number).saturating_sub(1).saturating_mul(to_u64(self.page_size));
        self.store.append(offset, self.page_size, to)
    }

    fn usable(&mut self) -> Result<usize, Fault> {
        let mut first = Vec::new();
        self.read(SCHEMA_PAGE, &mut first).map_err(|fault| Fault::End(fault.reason()))?;
        let reserved = first.get(20).copied().unwrap_or_default();
        // The smallest size that the format allows.
        let usable = self.page_size.checked_sub(usize::from(reserved)).filter(|&usable| usable >= 480);
        usable.ok_or_else(|| Fault::End("its header leaves nothing of a page".to_owned()))
    }
}

/// What is wrong where a page is not what it should be.
fn unless_page<T>(found: Option<T>, number: u32) -> Result<T, Fault> {
    found.ok_or_else(|| Fault::Damaged(format!("page {number} is damaged")))
}
