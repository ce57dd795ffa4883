//! File extent items. Offsets are those of the kernel's `struct btrfs_file_extent_item`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::FsError;
use super::compress::Compression;
use super::key::Key;
use super::tree::Item;
use crate::volume::bytes::{Bytes, to_u64};

/// Where the data of an inline extent begins in its item.
pub(super) const INLINE_DATA: usize = 21;
/// `BTRFS_MAX_COMPRESSED` and `BTRFS_MAX_UNCOMPRESSED`: neither side of a compressed extent is larger.
const MOST_COMPRESSED: u64 = 128 << 10;

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileExtent {
    /// Where it begins in the file.
    pub(super) start: u64,
    /// How many bytes of the file it is.
    pub(super) length: u64,
    pub(super) content: Content,
}

/// What a file extent refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Zeros: a hole, or space that was never written.
    Zeros,
    /// The item's own bytes, from [`INLINE_DATA`] on.
    Inline { compression: Compression },
    /// Data at this logical address.
    Plain { logical: u64 },
    /// The bytes from `skip` on of what a compressed extent holds.
    Compressed { extent: CompressedExtent, skip: u64 },
}

/// A compressed extent: neither size is more than 128 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CompressedExtent {
    pub(super) compression: Compression,
    pub(super) logical: u64,
    /// Bytes on disk.
    pub(super) disk_bytes: u64,
    /// Bytes when decompressed.
    pub(super) ram_bytes: u64,
}

impl FileExtent {
    /// The first byte of the file behind it.
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.length)
    }

    pub(super) fn parse(item: &Item, sector_size: usize) -> Result<Self, FsError> {
        Self::from_parts(item.key, item.data(), sector_size)
    }

    fn from_parts(key: Key, data: &[u8], sector_size: usize) -> Result<Self, FsError> {
        let Key { objectid, offset: start, .. } = key;
        let damaged = |problem: &str| {
            FsError::corrupt(format!("the Btrfs extent at {start} of inode {objectid}"), problem)
        };
        let extent = Bytes(data);
        let ram_bytes = extent.le64(8)?;
        if extent.u8(17)? != 0 || extent.le16(18)? != 0 {
            return Err(FsError::Unsupported { feature: "an encrypted Btrfs extent".to_owned() });
        }
        let compression = Compression::from_number(extent.u8(16)?)?;
        let kind = extent.u8(20)?;
        if kind == INLINE {
            if start != 0 || ram_bytes > MOST_COMPRESSED {
                return Err(damaged("it is inline, but not at the start of the file or too large"));
            }
            // Not compressed, the data says how long it is.
            let length = match compression {
                Compression::None => to_u64(data.len().saturating_sub(INLINE_DATA)),
                _ => ram_bytes,
            };
            return Ok(Self { start, length, content: Content::Inline { compression } });
        }
        let (logical, disk_bytes) = (extent.le64(21)?, extent.le64(29)?);
        let (skip, length) = (extent.le64(37)?, extent.le64(45)?);
        if length == 0 || start.checked_add(length).is_none() {
            return Err(damaged("it is empty or ends beyond all files"));
        }
        let content = match kind {
            REGULAR | PREALLOCATED if logical == 0 => Content::Zeros,
            PREALLOCATED => Content::Zeros,
            REGULAR => {
                let end = skip.checked_add(length).ok_or_else(|| damaged("it ends beyond its data"))?;
                let sector = to_u64(sector_size);
                let aligned = |number: u64| number.checked_rem(sector) == Some(0);
                if end > ram_bytes || ![start, length, logical, skip, disk_bytes].into_iter().all(aligned) {
                    return Err(damaged("it is not within its data, or not made of sectors"));
                }
                if compression == Compression::None {
                    if end > disk_bytes {
                        return Err(damaged("it ends beyond its data"));
                    }
                    let logical =
                        logical.checked_add(skip).ok_or_else(|| damaged("it is beyond all addresses"))?;
                    Content::Plain { logical }
                } else {
                    if disk_bytes > MOST_COMPRESSED || ram_bytes > MOST_COMPRESSED {
                        return Err(damaged("it is compressed, but has more than 128 KiB"));
                    }
                    let extent = CompressedExtent { compression, logical, disk_bytes, ram_bytes };
                    Content::Compressed { extent, skip }
                }
            }
            other => return Err(damaged(&format!("its type is {other}"))),
        };
        Ok(Self { start, length, content })
    }
}

/// `BTRFS_FILE_EXTENT_INLINE`, `_REG`, `_PREALLOC`
pub(super) const INLINE: u8 = 0;
const REGULAR: u8 = 1;
pub(super) const PREALLOCATED: u8 = 2;

#[cfg(test)]
mod tests {
    use super::super::key::kind;
    use super::*;

    const PLAIN: [u64; 5] = [8192, 1 << 20, 8192, 4096, 4096];

    /// An extent with `ram_bytes`, the address, bytes on disk, what is skipped, and the length.
    fn extent(kind: u8, compression: u8, numbers: [u64; 5]) -> Result<FileExtent, String> {
        let [ram_bytes, logical, disk_bytes, skip, length] = numbers;
        let mut data = vec![0; 8];
        data.extend(ram_bytes.to_le_bytes());
        data.extend([compression, 0, 0, 0, kind]);
        for number in [logical, disk_bytes, skip, length] {
            data.extend(number.to_le_bytes());
        }
        parse(4096, &data)
    }

    fn parse(start: u64, data: &[u8]) -> Result<FileExtent, String> {
        let key = Key::new(257, kind::EXTENT_DATA, start);
        FileExtent::from_parts(key, data, 4096).map_err(|error| error.to_string())
    }

    #[test]
    fn each_type_of_extent() {
        let plain = extent(REGULAR, 0, PLAIN).unwrap();
        assert_eq!((plain.end(), plain.content), (8192, Content::Plain { logical: (1 << 20) + 4096 }));
        assert_eq!(extent(PREALLOCATED, 0, PLAIN).unwrap().content, Content::Zeros);
        assert_eq!(extent(REGULAR, 0, [8192, 0, 0, 0, 8192]).unwrap().content, Content::Zeros);
        let Content::Compressed { extent, skip } =
            extent(REGULAR, 3, [8192, 1 << 20, 4096, 4096, 4096]).unwrap().content
        else {
            panic!("not compressed")
        };
        assert_eq!((extent.disk_bytes, extent.ram_bytes, skip), (4096, 8192, 4096));
    }

    #[test]
    fn damaged_extents_are_refused() {
        for numbers in [
            [8192, 1 << 20, 8192, 4096, 8192],
            [8192, 1 << 20, 8192, 4096, 0],
            [8192, 1 << 20, 4096, 4096, 4096],
            [8192, 1 << 20, 8192, 4095, 4096],
            [8192, 1 << 20, 8192, u64::MAX - 4095, 4096],
            [8192, 1 << 20, 8192, 0, u64::MAX - 4095],
        ] {
            assert!(extent(REGULAR, 0, numbers).is_err(), "{numbers:?}");
        }
        assert!(
            extent(REGULAR, 2, [1 << 20, 1 << 20, 4096, 0, 4096]).unwrap_err().contains("more than 128 KiB")
        );
        assert!(
            extent(REGULAR, 2, [8192, 1 << 20, 1 << 20, 0, 4096]).unwrap_err().contains("more than 128 KiB")
        );
        assert!(extent(REGULAR, 9, PLAIN).unwrap_err().contains("compression of type 9"));
        assert!(extent(5, 0, PLAIN).unwrap_err().contains("its type is 5"));
        assert!(parse(4096, &[0; INLINE_DATA]).unwrap_err().contains("it is inline"));
    }
}
