//! The label of a physical volume and the header behind it: `struct label_header` and `struct pv_header` of LVM2's
//! `lib/format_text/layout.h`. All numbers are little-endian.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::Range;

use super::Uuid;
use super::checksum::crc;
use crate::fs::FsError;
use crate::volume::Volume;
use crate::volume::bytes::{Bytes, Truncated, to_usize};

const SECTOR: usize = 512;
/// `LABEL_SCAN_SECTORS`: the label is in one of the first four sectors.
const SCANNED: usize = 4;

/// What a physical volume says about itself.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) uuid: Uuid,
    /// The size of the device in bytes when it became a physical volume.
    pub(super) device_size: u64,
    /// Where the metadata is, in bytes.
    pub(super) metadata_areas: Vec<Range<u64>>,
}

impl Header {
    /// `None` if the volume has no label.
    pub(super) fn read(volume: &dyn Volume) -> Result<Option<Self>, FsError> {
        let size = volume.size().min(u64::try_from(SCANNED.saturating_mul(SECTOR)).unwrap_or(0));
        let mut head = vec![0; to_usize(size)];
        volume.read_at(0, &mut head)?;
        let mut damage = None;
        for (sector, number) in head.chunks_exact(SECTOR).zip(0..) {
            // A label type other than this is another format's, of which only LVM1's was ever released.
            if !sector.starts_with(b"LABELONE") || Bytes(sector).get(24, 8)? != b"LVM2 001" {
                continue;
            }
            match Self::parse(sector, number)? {
                Ok(header) => return Ok(Some(header)),
                Err(problem) => damage = Some(problem),
            }
        }
        damage.map_or(Ok(None), |problem| Err(FsError::corrupt("the label of the physical volume", problem)))
    }

    /// Inner errors say what is wrong with the sector.
    fn parse(sector: &[u8], number: u64) -> Result<Result<Self, &'static str>, Truncated> {
        let label = Bytes(sector);
        // `crc_xl` covers the sector from `offset_xl` on.
        if crc(&[label.get(20, SECTOR.saturating_sub(20))?]) != label.le32(16)? {
            return Ok(Err("its checksum is wrong"));
        }
        if label.le64(8)? != number {
            return Ok(Err("it is a copy from another sector"));
        }
        let header = sector.get(to_usize(label.le32(20)?)..).unwrap_or_default();
        Ok(Self::parse_header(Bytes(header)).map_err(|_| "its lists of areas do not end"))
    }

    fn parse_header(header: Bytes<'_>) -> Result<Self, Truncated> {
        // `disk_areas_xl`: the data areas, then the metadata areas. An offset of zero ends each list. What follows, an
        // extension with the areas of boot loaders, holds no logical volumes.
        let mut at = 40_usize;
        let mut next_list = || -> Result<Vec<Range<u64>>, Truncated> {
            let mut areas = Vec::new();
            loop {
                let (offset, size) = (header.le64(at)?, header.le64(at.saturating_add(8))?);
                at = at.saturating_add(16);
                if offset == 0 {
                    return Ok(areas);
                }
                areas.push(offset..offset.saturating_add(size));
            }
        };
        // Where the data begins is taken from the metadata, as LVM2 does.
        next_list()?;
        let metadata_areas = next_list()?;
        Ok(Self { uuid: Uuid(header.array(0)?), device_size: header.le64(32)?, metadata_areas })
    }
}
