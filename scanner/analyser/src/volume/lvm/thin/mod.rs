//! Thin pools: device-mapper's `thin-pool` and `thin` targets. A pool is a data volume, cut into blocks, and a metadata
//! volume with a tree that says which of them each thin volume uses. `drivers/md/dm-thin-metadata.c` of the kernel and
//! its `admin-guide/device-mapper/thin-provisioning.rst`.

mod btree;
mod superblock;
mod volume;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::btree::{Nodes, Run};
use self::superblock::Superblock;
pub(super) use self::volume::ThinVolume;
use crate::fs::FsError;
use crate::limits::Limits;
use crate::volume::Volume;
use crate::volume::bytes::Bytes;

/// An open pool.
#[derive(Debug)]
pub(super) struct Pool {
    data: Arc<dyn Volume>,
    superblock: Superblock,
    /// Shared by all volumes of the pool, because they share nodes.
    nodes: Mutex<Nodes>,
}

impl Pool {
    /// Reads the superblock.
    pub(super) fn open(
        metadata: Arc<dyn Volume>,
        data: Arc<dyn Volume>,
        chunk_size: u64,
        limits: &Limits,
    ) -> Result<Self, FsError> {
        let superblock = Superblock::read(&*metadata)?;
        if superblock.block_size != chunk_size {
            return Err(FsError::corrupt(
                "the superblock of the thin pool",
                format!(
                    "its blocks have {} bytes, but the volume group says {chunk_size}",
                    superblock.block_size
                ),
            ));
        }
        Ok(Self { data, superblock, nodes: Mutex::new(Nodes::new(metadata, limits)) })
    }

    /// The tree of one thin volume: the root of its block mappings.
    fn device_root(&self, device: u64) -> Result<u64, FsError> {
        let mut nodes = self.nodes();
        // The details are read too, because the kernel opens no device without.
        let details = nodes.find::<24>(self.superblock.details_root, device)?;
        let root = nodes.find::<8>(self.superblock.mapping_root, device)?;
        match (details, root) {
            (Some(_), Some(root)) => Ok(u64::from_le_bytes(root)),
            _ => Err(FsError::corrupt(
                "the metadata of the thin pool",
                format!("it has no thin volume with the number {device}"),
            )),
        }
    }

    /// Where the block `block` and at most `wanted` following it are.
    fn run(&self, root: u64, block: u64, wanted: u64) -> Result<Run, FsError> {
        self.nodes().run(root, block, wanted)
    }

    /// A panic while the lock is held leaves nothing half-done: nodes are inserted whole.
    fn nodes(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of a block of metadata: `THIN_METADATA_BLOCK_SIZE` sectors.
const BLOCK: usize = 4096;

/// The checksum of a block: `dm_bm_checksum` of the kernel's `drivers/md/persistent-data/dm-block-manager.c`. CRC-32C of all
/// but the checksum itself, not inverted at the end, and mixed with a constant for each kind of block.
fn checksum_is_right(block: &[u8], mix: u32) -> bool {
    let Ok(recorded) = Bytes(block).le32(0) else { return false };
    !crc32c::crc32c(block.get(4..).unwrap_or_default()) ^ mix == recorded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::survey::numbers;
    use crate::volume::{MemoryVolume, Volume};

    const DATA_BLOCK: u64 = 64 << 10;

    /// Blocks of a pool's metadata.
    struct Metadata(Vec<u8>);

    impl Metadata {
        fn superblock(mapping_root: u64, details_root: u64) -> Self {
            let mut this = Self(vec![0; 16 * BLOCK]);
            this.put(0, 32, &27_022_010_u64.to_le_bytes());
            this.put(0, 40, &2_u32.to_le_bytes());
            this.put(0, 320, &mapping_root.to_le_bytes());
            this.put(0, 328, &details_root.to_le_bytes());
            this.put(0, 336, &128_u32.to_le_bytes());
            this.put(0, 340, &8_u32.to_le_bytes());
            this.seal(0);
            this
        }

        fn put(&mut self, block: usize, at: usize, bytes: &[u8]) {
            let at = block * BLOCK + at;
            self.0[at..at + bytes.len()].copy_from_slice(bytes);
        }

        fn node(mut self, block: usize, flags: u32, value_size: usize, entries: &[(u64, u64)]) -> Self {
            let room = 252_u32.min(4064 / u32::try_from(8 + value_size).unwrap());
            self.put(block, 4, &flags.to_le_bytes());
            self.put(block, 8, &u64::try_from(block).unwrap().to_le_bytes());
            self.put(block, 16, &u32::try_from(entries.len()).unwrap().to_le_bytes());
            self.put(block, 20, &room.to_le_bytes());
            self.put(block, 24, &u32::try_from(value_size).unwrap().to_le_bytes());
            for (index, (key, value)) in entries.iter().enumerate() {
                self.put(block, 32 + index * 8, &key.to_le_bytes());
                let values = 32 + usize::try_from(room).unwrap() * 8;
                self.put(block, values + index * value_size, &value.to_le_bytes());
            }
            self.seal(block);
            self
        }

        fn seal(&mut self, block: usize) {
            let mix = if block == 0 { 160_774 } else { 121_107 };
            let sum = !crc32c::crc32c(&self.0[block * BLOCK + 4..(block + 1) * BLOCK]) ^ mix;
            self.put(block, 0, &sum.to_le_bytes());
        }

        /// The volume with number 5, of 64 blocks, on the pool with this data.
        fn open(self, data: &Arc<dyn Volume>) -> Result<ThinVolume, FsError> {
            let pool = Pool::open(
                Arc::new(MemoryVolume::new(self.0)),
                Arc::clone(data),
                DATA_BLOCK,
                &Limits { steps: 10_000, ..Limits::default() },
            )?;
            ThinVolume::open(Arc::new(pool), 5, 64 * DATA_BLOCK, None)
        }
    }

    /// 32 blocks that each have their number everywhere.
    fn data() -> Arc<dyn Volume> {
        let blocks: Vec<Vec<u8>> = (0..32).map(|block| vec![block; 64 << 10]).collect();
        Arc::new(MemoryVolume::new(blocks.concat()))
    }

    /// Two devices; the second one has a tree of two levels.
    fn metadata() -> Metadata {
        let mapping = |block: u64, data: u64| (block, (data << 24) | 0x4d);
        Metadata::superblock(1, 2)
            .node(1, 2, 8, &[(3, 4), (5, 3)])
            .node(2, 2, 24, &[(3, 0), (5, 0)])
            .node(3, 1, 8, &[(2, 5), (20, 6)])
            .node(4, 2, 8, &[])
            .node(5, 2, 8, &[mapping(2, 30), mapping(3, 31), mapping(4, 7)])
            .node(6, 2, 8, &[mapping(20, 0), mapping(63, 9)])
    }

    fn block(volume: &ThinVolume, block: u64) -> Result<u8, String> {
        let mut byte = [0];
        volume.read_at(block * DATA_BLOCK + 17, &mut byte).map_err(|error| crate::chain(&error))?;
        Ok(byte[0])
    }

    #[test]
    fn blocks_are_found_in_both_leaves_and_between_them() {
        let volume = metadata().open(&data()).unwrap();
        let expected = |number| match number {
            2 => 30,
            3 => 31,
            4 => 7,
            63 => 9,
            _ => 0,
        };
        for number in 0..64 {
            assert_eq!(block(&volume, number).unwrap(), expected(number), "{number}");
        }
        let mut whole = vec![1; 64 * (64 << 10)];
        volume.read_at(0, &mut whole).unwrap();
        assert!(
            (0_u8..)
                .zip(whole.chunks(64 << 10))
                .all(|(number, part)| part.iter().all(|&b| b == expected(number.into())))
        );
        let part = |block: u64| volume.part(block * DATA_BLOCK + 5, 64 * DATA_BLOCK).unwrap();
        assert_eq!(part(2), (2 * DATA_BLOCK - 5, Some(30 * DATA_BLOCK + 5)));
        assert_eq!(part(0), (2 * DATA_BLOCK - 5, None));
        assert_eq!(part(5), (15 * DATA_BLOCK - 5, None), "up to the next leaf");
    }

    #[test]
    fn damaged_trees_are_named() {
        let error = |metadata: Metadata| {
            let volume = metadata.open(&data()).map_err(|error| crate::chain(&error));
            volume.and_then(|volume| block(&volume, 2)).unwrap_err()
        };
        let below = "could not find out where 1 bytes at offset 131089 are stored: node";
        let of = "of the thin pool's metadata is damaged:";
        for (metadata, problem) in [
            (metadata().node(3, 1, 8, &[(2, 3)]), format!("{below} 3 {of} its tree has more than 10 levels")),
            (metadata().node(3, 1, 8, &[]), format!("{below} 3 {of} it leads to no other nodes")),
            (metadata().node(3, 3, 8, &[(2, 5)]), format!("{below} 3 {of} its flags are 0x3")),
            (
                metadata().node(3, 1, 8, &[(2, 1 << 60)]),
                format!("{below} 1152921504606846976 {of} it is beyond the end of the metadata volume"),
            ),
            (metadata().node(5, 2, 24, &[(2, 0)]), format!("{below} 5 {of} its values have 24 bytes")),
            (metadata().node(5, 2, 8, &[(2, 0), (2, 0)]), format!("{below} 5 {of} its keys do not ascend")),
            (
                metadata().node(1, 2, 8, &[(3, 4)]),
                "the metadata of the thin pool is damaged: it has no thin volume with the number 5"
                    .to_owned(),
            ),
        ] {
            assert_eq!(error(metadata), problem);
        }
        let mut copied = metadata();
        copied.0.copy_within(6 * BLOCK..7 * BLOCK, 5 * BLOCK);
        assert_eq!(error(copied), format!("{below} 5 {of} it is a copy from another block"));
        let mut flipped = metadata();
        flipped.put(5, 500, b"x");
        assert_eq!(error(flipped), format!("{below} 5 {of} its checksum is wrong"));
        let mut crowded = metadata();
        crowded.put(5, 16, &u32::MAX.to_le_bytes());
        crowded.seal(5);
        assert_eq!(error(crowded), format!("{below} 5 {of} its 4294967295 entries are outside of it"));
        let beyond = metadata().node(5, 2, 8, &[(2, 32 << 24)]);
        assert_eq!(error(beyond), "read of 1 bytes at offset 2097169 is outside the volume of 2097152 bytes");
    }

    /// Thousands of changes to every field, each with its checksum made right again.
    #[test]
    fn hostile_metadata_ends() {
        let mut random = numbers();
        let (whole, data) = (metadata(), data());
        let (mut readable, mut refused) = (0, 0);
        for _ in 0..4000 {
            let mut metadata = Metadata(whole.0.clone());
            for _ in 0..=random(4) {
                let block = random(7);
                let at =
                    [random(10) * 4, 32 + random(4) * 8, 32 + 252 * 8 + random(4) * 8, 320 + random(6) * 4]
                        [random(4)];
                let value = [0, 1, 2, 3, 5, 8, 127, 252, 1 << 24, u64::MAX, 1 << 63][random(11)];
                metadata.put(block, at, &value.to_le_bytes());
                metadata.seal(block);
            }
            match metadata.open(&data) {
                Ok(volume) => {
                    volume.prefetch(std::slice::from_ref(&(0..u64::MAX)));
                    readable += (0..64).filter(|&number| block(&volume, number).is_ok()).count();
                }
                Err(_) => refused += 1,
            }
        }
        assert!(readable > 10_000 && refused > 100, "{readable} {refused}");
    }
}
