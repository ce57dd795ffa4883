//! `Packages.db` of NDB, rpm's own database, which SUSE uses: a table of slots, and the headers behind it.
//!
//! Numbers are little-endian. The layout is that of rpm's `lib/backend/ndb/rpmpkg.c`.

use super::store::{Emit, Fault, Store, unless_damaged};
use crate::volume::bytes::{Bytes, to_u64, to_usize};

const DATABASE_MAGIC: &[u8; 4] = b"RpmP";
const SLOT_MAGIC: &[u8; 4] = b"Slot";
const HEAD_MAGIC: &[u8; 4] = b"BlbS";
const TAIL_MAGIC: &[u8; 4] = b"BlbE";
/// The one version that there is.
const VERSION: u32 = 0;
/// Bytes of the database's header, which are those of two slots.
const DATABASE_BYTES: usize = 32;
const SLOT_BYTES: usize = 16;
/// Bytes of a page of slots.
const PAGE_BYTES: u64 = 4096;
/// Bytes of a block, in which places and lengths of headers are given.
const BLOCK_BYTES: u64 = 16;
const HEAD_BYTES: usize = 16;
const TAIL_BYTES: usize = 12;

/// Gives the headers in a database.
pub(super) fn read(store: &mut Store<'_>, emit: &mut Emit<'_>) -> Result<(), Fault> {
    let start = store.get(0, DATABASE_BYTES).map_err(|fault| Fault::End(fault.reason()))?;
    let bytes = Bytes(&start);
    if bytes.array(0).ok().as_ref() != Some(DATABASE_MAGIC) {
        return Err(Fault::End("it is not a database of rpm's own format".to_owned()));
    }
    let version = bytes.le32(4)?;
    if version != VERSION {
        return Err(Fault::End(format!("it has the unknown version {version}")));
    }
    let end = u64::from(bytes.le32(12)?).saturating_mul(PAGE_BYTES);
    let mut at = to_u64(DATABASE_BYTES);
    while at < end {
        // A table that is longer than the file ends everything: nothing is behind it.
        let slot = store.get(at, SLOT_BYTES)?;
        let result = Slot::read(&slot, at).and_then(|slot| slot.header(store));
        if let Some(Some(blob)) = unless_damaged(result, emit)? {
            emit(Ok(&blob))?;
        }
        at = at.saturating_add(to_u64(SLOT_BYTES));
    }
    Ok(())
}

/// Where a header is.
#[derive(Clone, Copy, Debug)]
struct Slot {
    package: u32,
    /// Its place and length, in blocks. A place of 0 is a free slot.
    place: u32,
    blocks: u32,
}

impl Slot {
    fn read(bytes: &[u8], at: u64) -> Result<Self, Fault> {
        let bytes = Bytes(bytes);
        if bytes.array(0).ok().as_ref() != Some(SLOT_MAGIC) {
            return Err(Fault::Damaged(format!("there is no slot at offset {at}")));
        }
        Ok(Self { package: bytes.le32(4)?, place: bytes.le32(8)?, blocks: bytes.le32(12)? })
    }

    /// The header, which stands between a head and a tail. Both give its length.
    fn header(self, store: &mut Store<'_>) -> Result<Option<Vec<u8>>, Fault> {
        if self.place == 0 {
            return Ok(None);
        }
        let package = self.package;
        let damaged = |what: &str| Fault::Damaged(format!("header {package}: {what}"));
        let offset = u64::from(self.place).saturating_mul(BLOCK_BYTES);
        let length = u64::from(self.blocks).saturating_mul(BLOCK_BYTES);
        let head = store.get(offset, HEAD_BYTES)?;
        let head = Bytes(&head);
        let bytes = head.le32(12)?;
        if head.array(0).ok().as_ref() != Some(HEAD_MAGIC) || head.le32(4)? != package {
            return Err(damaged("it is not where its slot says"));
        }
        let whole = u64::from(bytes).saturating_add(to_u64(HEAD_BYTES)).saturating_add(to_u64(TAIL_BYTES));
        if whole.next_multiple_of(BLOCK_BYTES) != length {
            return Err(damaged("its slot gives another length"));
        }
        let tail_at = offset.saturating_add(length).saturating_sub(to_u64(TAIL_BYTES));
        let tail = store.get(tail_at, TAIL_BYTES)?;
        let tail = Bytes(&tail);
        if tail.array(8).ok().as_ref() != Some(TAIL_MAGIC) || tail.le32(4)? != bytes {
            return Err(damaged("it was not written to its end"));
        }
        store.get(offset.saturating_add(to_u64(HEAD_BYTES)), to_usize(bytes)).map(Some)
    }
}
