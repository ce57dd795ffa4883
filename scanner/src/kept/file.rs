//! The file that holds the blocks of one volume: compressed blocks, one behind the other, then what they are in JSON, then where
//! that begins.
//!
//! It is written under a temporary name and appears whole or not at all. Whatever becomes of it later is noticed: the
//! description has a checksum, and so has each block, of what it was before it was compressed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use agentless_core::number::{to_u64, to_usize};
use agentless_service::target::Place;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use time::OffsetDateTime;

/// What the blocks of a file are.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct About {
    /// Where the volume is.
    pub(super) place: Place,
    /// The volume.
    pub(super) volume: String,
    /// The snapshot that they came from.
    pub(super) snapshot: String,
    /// When that may be deleted, in seconds since 1970.
    pub(super) expires: i64,
    /// The size of a block in bytes.
    pub(super) block_size: u32,
    /// The size of the volume in bytes.
    pub(super) size: u64,
}

impl About {
    /// Whether the snapshot may be gone.
    pub(super) fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.expires <= now.unix_timestamp()
    }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    /// The operating system refuses.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    /// It is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

/// A block as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    bytes: Bytes,
    sha256: String,
}

impl Packed {
    /// Compresses a block.
    pub(super) fn new(block: &[u8]) -> Self {
        let bytes = compress_to_vec(block, CompressionLevel::Fastest).into();
        Self { bytes, sha256: BASE64.encode(Sha256::digest(block)) }
    }

    /// The block, if it is what it was.
    fn unpack(&self, block_size: u32) -> Result<Bytes, FileError> {
        let damaged = FileError::Damaged("a block cannot be decompressed");
        let Ok(mut decoder) = StreamingDecoder::new(&*self.bytes) else { return Err(damaged) };
        let mut block = vec![0; to_usize(block_size)];
        if decoder.read_exact(&mut block).is_err() {
            return Err(damaged);
        }
        if BASE64.encode(Sha256::digest(&block)) != self.sha256 {
            return Err(FileError::Damaged("a block does not have its checksum"));
        }
        Ok(block.into())
    }
}

/// Where a block is in the file, how long it is there, and its SHA-256.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Entry(u64, u32, String);

#[derive(Debug, Deserialize, Serialize)]
struct Description {
    about: About,
    blocks: BTreeMap<u32, Entry>,
}

/// Ends every file. Another format will have another one.
const MAGIC: &[u8; 8] = b"agbkept1";
/// The start of the description, its length, its SHA-256 and the magic.
const FOOTER: usize = 8 + 8 + 32 + 8;
/// The most that a volume may take: about three times as much of a disk. What is beyond it is fetched anew each time.
const MAX_BYTES: u64 = 512 << 20;
/// The most blocks of one volume, of which the description would otherwise be the larger part.
const MAX_BLOCKS: usize = 100_000;
/// No description is longer.
const MAX_DESCRIPTION: u64 = 32 << 20;

/// A file that is being written. It is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Writer {
    file: NamedTempFile,
    end: u64,
    blocks: BTreeMap<u32, Entry>,
}

impl Writer {
    pub(super) fn new(directory: &Path) -> io::Result<Self> {
        let file = tempfile::Builder::new().prefix(super::UNFINISHED).tempfile_in(directory)?;
        Ok(Self { file, end: 0, blocks: BTreeMap::new() })
    }

    /// How many blocks it has.
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Adds a block, if there is room for it.
    pub(super) fn add(&mut self, index: u32, block: Packed) -> io::Result<()> {
        let end = self.end.saturating_add(to_u64(block.bytes.len()));
        let Ok(length) = u32::try_from(block.bytes.len()) else { return Ok(()) };
        if self.blocks.contains_key(&index) || end > MAX_BYTES || self.blocks.len() >= MAX_BLOCKS {
            return Ok(());
        }
        self.file.as_file().write_all_at(&block.bytes, self.end)?;
        self.blocks.insert(index, Entry(self.end, length, block.sha256));
        self.end = end;
        Ok(())
    }

    /// Makes it whole, on the disk, still under its temporary name. Returns its length as well.
    pub(super) fn finish(self, about: About) -> io::Result<(NamedTempFile, u64)> {
        let description = serde_json::to_vec(&Description { about, blocks: self.blocks })?;
        let mut tail = description.clone();
        tail.write_all(&self.end.to_le_bytes())?;
        tail.write_all(&to_u64(description.len()).to_le_bytes())?;
        tail.write_all(&Sha256::digest(&description))?;
        tail.write_all(MAGIC)?;
        self.file.as_file().write_all_at(&tail, self.end)?;
        self.file.as_file().sync_all()?;
        let length = self.end.saturating_add(to_u64(tail.len()));
        Ok((self.file, length))
    }
}

/// A file that is whole.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    about: About,
    blocks: BTreeMap<u32, Entry>,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut footer = [0; FOOTER];
        let footer_start = length.checked_sub(to_u64(FOOTER)).ok_or(FileError::Damaged("it is too short"))?;
        file.read_exact_at(&mut footer, footer_start)?;
        let (start, rest) = footer.split_first_chunk::<8>().ok_or(FileError::Damaged("it is too short"))?;
        let (size, rest) = rest.split_first_chunk::<8>().ok_or(FileError::Damaged("it is too short"))?;
        let (sha256, magic) = rest.split_first_chunk::<32>().ok_or(FileError::Damaged("it is too short"))?;
        let (start, size) = (u64::from_le_bytes(*start), u64::from_le_bytes(*size));
        if magic != MAGIC || start.checked_add(size) != Some(footer_start) || size > MAX_DESCRIPTION {
            return Err(FileError::Damaged("its end makes no sense"));
        }
        let mut description = vec![0; to_usize(size)];
        file.read_exact_at(&mut description, start)?;
        if *Sha256::digest(&description) != *sha256 {
            return Err(FileError::Damaged("the description does not have its checksum"));
        }
        let Description { about, blocks } = serde_json::from_slice(&description)
            .map_err(|_| FileError::Damaged("the description cannot be read"))?;
        let is_inside =
            |Entry(at, length, _): &Entry| at.checked_add(u64::from(*length)).is_some_and(|end| end <= start);
        if about.block_size == 0 || about.block_size > MAX_BLOCK || !blocks.values().all(is_inside) {
            return Err(FileError::Damaged("the description makes no sense"));
        }
        Ok(Self { file, about, blocks })
    }

    pub(super) fn about(&self) -> &About {
        &self.about
    }

    /// The blocks that it has.
    pub(super) fn blocks(&self) -> impl Iterator<Item = u32> {
        self.blocks.keys().copied()
    }

    /// A block, and how it is kept.
    pub(super) fn read(&self, index: u32) -> Result<(Bytes, Packed), FileError> {
        let Entry(start, length, sha256) =
            self.blocks.get(&index).ok_or(FileError::Damaged("a block is not there"))?;
        let mut bytes = vec![0; to_usize(*length)];
        self.file.read_exact_at(&mut bytes, *start)?;
        let packed = Packed { bytes: bytes.into(), sha256: sha256.clone() };
        Ok((packed.unpack(self.about.block_size)?, packed))
    }
}

/// No block is larger.
const MAX_BLOCK: u32 = 16 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn about() -> About {
        About {
            place: Place { account: "111122223333".to_owned(), region: "eu-central-1".to_owned() },
            volume: "vol-1".to_owned(),
            snapshot: "snap-1".to_owned(),
            expires: 1_000,
            block_size: 4096,
            size: 1 << 30,
        }
    }

    fn block(seed: u64) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..4096).map(|at| if at % 3 == 0 { random.u8(..) } else { 7 }).collect()
    }

    fn written(folder: &Path, count: u32) -> std::path::PathBuf {
        let mut writer = Writer::new(folder).unwrap();
        for index in 0..count {
            writer.add(index * 2, Packed::new(&block(u64::from(index)))).unwrap();
        }
        let (file, length) = writer.finish(about()).unwrap();
        let path = folder.join("vol-1");
        assert_eq!(file.persist(&path).unwrap().metadata().unwrap().len(), length);
        path
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let reader = Reader::open(&written(folder.path(), 9)).unwrap();
        assert_eq!((reader.about(), reader.blocks().count()), (&about(), 9));
        for index in 0..9 {
            assert_eq!(reader.read(index * 2).unwrap().0, block(u64::from(index)));
        }
        assert!(reader.read(1).is_err());
    }

    proptest! {
        /// A file that is no longer what was written gives what was written, or nothing.
        #[test]
        fn damage_is_noticed(at in any::<prop::sample::Index>(), bit in 0..8u8, cut in any::<bool>()) {
            let folder = tempfile::tempdir().unwrap();
            let path = written(folder.path(), 3);
            let mut bytes = std::fs::read(&path).unwrap();
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << bit;
            }
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(reader) = Reader::open(&path) {
                prop_assert_eq!(reader.about(), &about());
                for index in 0..3 {
                    if let Ok((read, _)) = reader.read(index * 2) {
                        prop_assert_eq!(&read[..], block(u64::from(index)));
                    }
                }
            }
        }
    }
}
