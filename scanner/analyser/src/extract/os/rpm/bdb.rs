//! `Packages` of Berkeley DB, as rpm had it up to version 4.15: a hash table of headers by number.
//!
//! Numbers are in the byte order of the machine that made it. The layout is that of Berkeley DB's `db_page.h`: the hash access
//! method, versions 8 to 10.

use std::collections::HashSet;

use super::store::{Emit, Fault, Store, unless_damaged};
use crate::volume::bytes::{Bytes, Truncated, to_u64, to_usize};

/// `DB_HASHMAGIC`.
const HASH_MAGIC: u32 = 0x0006_1561;
/// `DB_BTREEMAGIC`.
const BTREE_MAGIC: u32 = 0x0005_3162;
/// Where the magic number is in the first page.
const MAGIC_AT: usize = 12;
/// Bytes of the first page that are looked at.
const META_BYTES: usize = 36;
/// Bytes of a page's header.
const HEADER_BYTES: usize = 26;
/// Page types: `P_HASH_UNSORTED`, `P_HASH`, `P_OVERFLOW`.
const HASH_UNSORTED: u8 = 2;
const HASH: u8 = 13;
const OVERFLOW: u8 = 7;
/// Types of items on a hash page: `H_KEYDATA`, `H_OFFPAGE`.
const ITEM_INLINE: u8 = 1;
const ITEM_OFF_PAGE: u8 = 3;

/// Gives the headers in a database.
pub(super) fn read(store: &mut Store<'_>, emit: &mut Emit<'_>) -> Result<(), Fault> {
    let table = Table::open(store)?;
    let pages = store.size().checked_div(to_u64(table.page_size)).unwrap_or_default();
    let should_be = u64::from(table.last_page).saturating_add(1);
    if pages < should_be {
        emit(Err(Fault::Missing(format!("it has {pages} of {should_be} pages"))))?;
    }
    let mut used = HashSet::new();
    // Every page is looked at, instead of following the buckets: a damaged page costs what is on it. Pages that are not in
    // use have another type. How many entries there should be is not known: the number in the first page is an estimate once
    // somebody has repaired the database with `db_load`.
    for number in 1..=table.last_page.min(u32::try_from(pages).unwrap_or(u32::MAX).saturating_sub(1)) {
        let Some(page) = unless_damaged(table.hash_page(store, number), emit)? else { continue };
        for pair in page.pairs(table) {
            let result = pair.and_then(|pair| table.value(store, pair, &mut used));
            if let Some(Some(blob)) = unless_damaged(result, emit)? {
                emit(Ok(&blob))?;
            }
        }
    }
    Ok(())
}

/// What the first page says.
#[derive(Clone, Copy, Debug)]
struct Table {
    is_big_endian: bool,
    page_size: usize,
    last_page: u32,
}

impl Table {
    fn open(store: &mut Store<'_>) -> Result<Self, Fault> {
        let meta = store.get(0, META_BYTES).map_err(|fault| Fault::End(fault.reason()))?;
        let meta = Bytes(&meta);
        let magic = meta.array(MAGIC_AT)?;
        let is_big_endian = match (u32::from_le_bytes(magic), u32::from_be_bytes(magic)) {
            (HASH_MAGIC, _) => false,
            (_, HASH_MAGIC) => true,
            (BTREE_MAGIC, _) | (_, BTREE_MAGIC) => {
                return Err(Fault::End("it is a B-tree of Berkeley DB, not a hash table".to_owned()));
            }
            _ => return Err(Fault::End("it is not a database of Berkeley DB".to_owned())),
        };
        let mut table = Self { is_big_endian, page_size: 0, last_page: 0 };
        let page_size = table.u32(meta, 20)?;
        // Of encrypted pages, and of those with checksums, neither of which rpm ever made.
        if meta.u8(24)? != 0 || meta.u8(26)? & 1 != 0 {
            return Err(Fault::End("it is encrypted, or has checksums".to_owned()));
        }
        if !page_size.is_power_of_two() || !(512..=65536).contains(&page_size) {
            return Err(Fault::End(format!("its pages would have {page_size} bytes")));
        }
        table.page_size = to_usize(page_size);
        table.last_page = table.u32(meta, 32)?;
        Ok(table)
    }

    /// A page with entries; one without any for a page of another type.
    fn hash_page(self, store: &mut Store<'_>, number: u32) -> Result<HashPage, Fault> {
        let header = self.header(store, number)?;
        if !matches!(header.kind, HASH | HASH_UNSORTED) {
            return Ok(HashPage { bytes: Vec::new(), entries: 0, number });
        }
        let bytes = store.get(self.offset(number), self.page_size)?;
        Ok(HashPage { bytes, entries: usize::from(header.entries), number })
    }

    /// The value of an entry. `None` for the one that counts the headers.
    fn value(
        self,
        store: &mut Store<'_>,
        Pair { key, value, page }: Pair<'_>,
        used: &mut HashSet<u32>,
    ) -> Result<Option<Vec<u8>>, Fault> {
        // Number 0 is no header: rpm keeps the largest number there.
        if key == [ITEM_INLINE, 0, 0, 0, 0] {
            return Ok(None);
        }
        match value.split_first() {
            Some((&ITEM_INLINE, content)) => Ok(Some(content.to_vec())),
            Some((&ITEM_OFF_PAGE, _)) => {
                let item = Bytes(value);
                let first = self.u32(item, 4)?;
                let length = to_usize(self.u32(item, 8)?);
                self.chain(store, first, length, used).map(Some)
            }
            _ => Err(Fault::Damaged(format!("page {page} has an entry of an unknown type"))),
        }
    }

    /// A value of `length` bytes on pages of its own.
    fn chain(
        self,
        store: &mut Store<'_>,
        first: u32,
        length: usize,
        used: &mut HashSet<u32>,
    ) -> Result<Vec<u8>, Fault> {
        let mut value = Vec::new();
        let mut number = first;
        while value.len() < length {
            if number == 0 {
                let there = value.len();
                return Err(Fault::Damaged(format!("a header ends after {there} of {length} bytes")));
            }
            // Values do not share pages, so this ends circles too.
            if !used.insert(number) {
                return Err(Fault::Damaged(format!("page {number} is in two headers")));
            }
            let header = self.header(store, number)?;
            let bytes = usize::from(header.bytes);
            if header.kind != OVERFLOW || bytes == 0 || bytes > self.page_size.saturating_sub(HEADER_BYTES) {
                return Err(Fault::Damaged(format!("page {number} should go on with a header")));
            }
            let offset = self.offset(number).saturating_add(to_u64(HEADER_BYTES));
            store.append(offset, bytes, &mut value)?;
            number = header.next;
        }
        value.truncate(length);
        Ok(value)
    }

    fn header(self, store: &mut Store<'_>, number: u32) -> Result<PageHeader, Fault> {
        let bytes = store.get(self.offset(number), HEADER_BYTES)?;
        let bytes = Bytes(&bytes);
        Ok(PageHeader {
            next: self.u32(bytes, 16)?,
            entries: self.u16(bytes, 20)?,
            bytes: self.u16(bytes, 22)?,
            kind: bytes.u8(25)?,
        })
    }

    fn offset(self, page: u32) -> u64 {
        u64::from(page).saturating_mul(to_u64(self.page_size))
    }

    fn u16(self, bytes: Bytes<'_>, at: usize) -> Result<u16, Truncated> {
        if self.is_big_endian { bytes.be16(at) } else { bytes.le16(at) }
    }

    fn u32(self, bytes: Bytes<'_>, at: usize) -> Result<u32, Truncated> {
        if self.is_big_endian { bytes.be32(at) } else { bytes.le32(at) }
    }
}

/// The fields of a page's header that are wanted.
#[derive(Clone, Copy, Debug)]
struct PageHeader {
    /// The page that goes on with the value.
    next: u32,
    /// Of a hash page, how many keys and values it has.
    entries: u16,
    /// Of an overflow page, how many bytes of the value it has.
    bytes: u16,
    kind: u8,
}

/// A page of keys and values.
#[derive(Debug)]
struct HashPage {
    bytes: Vec<u8>,
    entries: usize,
    number: u32,
}

/// A key with its value, each with its type before it.
#[derive(Clone, Copy, Debug)]
struct Pair<'a> {
    key: &'a [u8],
    value: &'a [u8],
    /// The page that they are on.
    page: u32,
}

impl HashPage {
    fn pairs(&self, table: Table) -> impl Iterator<Item = Result<Pair<'_>, Fault>> {
        let page = self.number;
        (0..self.entries / 2).map(move |pair| {
            let first = pair.saturating_mul(2);
            let key = self.item(table, first);
            let value = self.item(table, first.saturating_add(1));
            match (key, value) {
                (Some(key), Some(value)) => Ok(Pair { key, value, page }),
                _ => Err(Fault::Damaged(format!("page {page} has an entry outside of it"))),
            }
        })
    }

    /// Items are put on a page from its end: each ends where the one before begins.
    fn item(&self, table: Table, index: usize) -> Option<&[u8]> {
        let bytes = Bytes(&self.bytes);
        let offset = |index: usize| {
            let at = index.checked_mul(2)?.checked_add(HEADER_BYTES)?;
            Some(usize::from(table.u16(bytes, at).ok()?))
        };
        let end = match index.checked_sub(1) {
            Some(before) => offset(before)?,
            None => table.page_size,
        };
        self.bytes.get(offset(index)?..end).filter(|item| !item.is_empty())
    }
}
