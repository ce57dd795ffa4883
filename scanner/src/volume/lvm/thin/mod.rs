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
