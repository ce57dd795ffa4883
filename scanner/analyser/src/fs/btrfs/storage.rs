//! The devices of a filesystem as one space of logical addresses: what is read comes from whichever copy is right.
//!
//! Everything that the driver reads comes through here. Nodes are kept once their checksums were verified.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::FsError;
use super::checksum::{ChecksumType, ROOM};
use super::chunk::{ChunkMap, Place};
use super::key::{Key, object};
use super::node::Node;
use super::superblock::Superblock;
use crate::limits::{Budget, Limits};
use crate::volume::bytes::{to_u64, to_usize};
use crate::volume::{Volume, VolumeError};
use agentless_core::cache::Cache;

/// Volumes by their devices' numbers.
pub(super) type Devices = BTreeMap<u64, Arc<dyn Volume>>;

/// The nodes and the data of one filesystem.
#[derive(Debug)]
pub(super) struct Storage {
    /// Those that are missing are not in it.
    devices: Devices,
    chunks: ChunkMap,
    checksum: ChecksumType,
    sector_size: usize,
    node_size: usize,
    metadata_uuid: [u8; 16],
    nodes: RefCell<Cache<Arc<Node>>>,
    budget: Budget,
}

/// A node as what points to it describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodePointer {
    pub(super) logical: u64,
    pub(super) level: u8,
    pub(super) generation: u64,
    /// Known of all but a tree's root.
    pub(super) first_key: Option<Key>,
    /// The key that the node next to it begins with: its own are before it. So every node has one place in its tree, and
    /// none is visited twice.
    pub(super) end: Option<Key>,
    pub(super) owner: Owner,
}

/// Whose tree a node may say that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This tree.
    Tree(u64),
    /// Any subvolume: snapshots share nodes.
    Subvolume,
}

impl Storage {
    /// With no chunks yet.
    pub(super) fn new(devices: Devices, sb: &Superblock, limits: &Limits) -> Self {
        Self {
            devices,
            chunks: ChunkMap::default(),
            checksum: sb.checksum,
            sector_size: to_usize(sb.sector_size),
            node_size: to_usize(sb.node_size),
            metadata_uuid: sb.metadata_uuid,
            nodes: RefCell::new(Cache::of_bytes(limits.cache_bytes, u64::from(sb.node_size))),
            budget: Budget::new(limits),
        }
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    pub(super) fn checksum(&self) -> ChecksumType {
        self.checksum
    }

    pub(super) fn sector_size(&self) -> usize {
        self.sector_size
    }

    /// What can be read so far.
    pub(super) fn chunks(&self) -> &ChunkMap {
        &self.chunks
    }

    /// Says where everything is.
    pub(super) fn set_chunks(&mut self, chunks: ChunkMap) {
        self.chunks = chunks;
    }

    /// A node, from memory where it was read before; otherwise from the first copy that is right.
    pub(super) fn node(&self, wanted: &NodePointer) -> Result<Arc<Node>, FsError> {
        self.budget.step()?;
        let logical = wanted.logical;
        let cached = self.nodes.borrow_mut().get(logical);
        if let Some(node) = cached {
            wanted.check(&node)?;
            return Ok(node);
        }
        let mut bytes = vec![0; self.node_size];
        let node = self.try_copies(logical, |attempt| {
            self.read_copy(logical, attempt, &mut bytes)?;
            let rest = bytes.get(ROOM..).unwrap_or_default();
            if !self.checksum.matches(rest, &bytes) {
                return Err(damaged(logical, "its checksum is wrong"));
            }
            let node = Node::parse(bytes.as_slice().into(), logical, &self.metadata_uuid)
                .map_err(|problem| damaged(logical, problem))?;
            wanted.check(&node)?;
            Ok(node)
        })?;
        let node = Arc::new(node);
        self.nodes.borrow_mut().insert(logical, Arc::clone(&node));
        Ok(node)
    }

    /// Reads whole sectors of data. `checksums` has one for each of them, one after the other, unless the data was
    /// written without.
    pub(super) fn data(&self, logical: u64, dst: &mut [u8], checksums: Option<&[u8]>) -> Result<(), FsError> {
        let Some(checksums) = checksums else {
            return self.try_copies(logical, |attempt| self.read_copy(logical, attempt, dst));
        };
        let read = self.read_copy(logical, 0, dst);
        let recorded = checksums.chunks_exact(self.checksum.size());
        let mut at = logical;
        for (sector, recorded) in dst.chunks_mut(self.sector_size).zip(recorded) {
            self.budget.step()?;
            if read.is_err() || !self.checksum.matches(sector, recorded) {
                self.try_copies(at, |attempt| {
                    self.read_copy(at, attempt, sector)?;
                    if self.checksum.matches(sector, recorded) {
                        return Ok(());
                    }
                    Err(FsError::corrupt(format!("the Btrfs data at {at}"), "its checksum is wrong"))
                })?;
            }
            at = at.saturating_add(to_u64(sector.len()));
        }
        Ok(())
    }

    /// Says that these ranges of logical addresses will be read soon.
    pub(super) fn prefetch(&self, ranges: impl Iterator<Item = Range<u64>>) {
        let mut by_device: BTreeMap<u64, Vec<Range<u64>>> = BTreeMap::new();
        for range in ranges {
            let mut position = range.start;
            while position < range.end && self.budget.step().is_ok() {
                let Ok((place, volume)) = self.place(position, 0) else { break };
                let length = place.length.min(range.end.saturating_sub(position));
                let end = place.physical.saturating_add(length);
                if end <= volume.size() {
                    by_device.entry(place.devid).or_default().push(place.physical..end);
                }
                position = position.saturating_add(length);
            }
        }
        for (devid, ranges) in by_device {
            if let Some(volume) = self.devices.get(&devid) {
                volume.prefetch(&ranges);
            }
        }
    }

    /// Says that these nodes will be read soon.
    pub(super) fn prefetch_nodes(&self, nodes: impl Iterator<Item = u64>) {
        let missing: Vec<u64> = {
            let cache = self.nodes.borrow();
            nodes.filter(|&logical| !cache.contains(logical)).collect()
        };
        let size = to_u64(self.node_size);
        if !missing.is_empty() {
            self.prefetch(missing.into_iter().map(|logical| logical..logical.saturating_add(size)));
        }
    }

    /// Tries one copy after the other, and says of the first why it is not right if none is.
    fn try_copies<T>(
        &self,
        logical: u64,
        mut attempt: impl FnMut(usize) -> Result<T, FsError>,
    ) -> Result<T, FsError> {
        let mut first_error = None;
        for copy in 0..self.chunks.copies(logical).max(1) {
            match attempt(copy) {
                Ok(found) => return Ok(found),
                Err(error @ FsError::Limit { .. }) => return Err(error),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or_else(|| no_chunk(logical)))
    }

    /// Reads what may lie on several devices. `attempt` counts the copies on devices that are there.
    fn read_copy(&self, logical: u64, attempt: usize, dst: &mut [u8]) -> Result<(), FsError> {
        self.budget.bytes(to_u64(dst.len()))?;
        let mut position = logical;
        let mut rest = dst;
        while !rest.is_empty() {
            self.budget.step()?;
            let (place, volume) = self.place(position, attempt)?;
            let (part, remaining) = rest.split_at_mut(rest.len().min(to_usize(place.length)));
            volume.read_at(place.physical, part).map_err(|error| match error {
                VolumeError::OutOfRange { size, .. } => FsError::corrupt(
                    format!("the Btrfs address {position}"),
                    format!("it is at {} of device {}, which has {size} bytes", place.physical, place.devid),
                ),
                error => FsError::Volume(error),
            })?;
            position = position.saturating_add(to_u64(part.len()));
            rest = remaining;
        }
        Ok(())
    }

    /// Where a copy of `logical` is, of those that are on devices that are there.
    fn place(&self, logical: u64, attempt: usize) -> Result<(Place, &dyn Volume), FsError> {
        let mut missing = None;
        let mut left = attempt;
        for copy in 0..self.chunks.copies(logical) {
            let Some(place) = self.chunks.place(logical, copy) else { continue };
            match self.devices.get(&place.devid) {
                Some(volume) if left == 0 => return Ok((place, &**volume)),
                Some(_) => left = left.saturating_sub(1),
                None => missing = Some(place.devid),
            }
        }
        Err(missing.map_or_else(
            || no_chunk(logical),
            |devid| {
                let problem = format!("it is on device {devid}, which is missing");
                FsError::corrupt(format!("the Btrfs address {logical}"), problem)
            },
        ))
    }
}

impl NodePointer {
    /// Whether this is the node that is meant, and not an older one or one of another tree.
    fn check(&self, node: &Node) -> Result<(), FsError> {
        let problem = if node.level != self.level {
            format!("its level is {} instead of {}", node.level, self.level)
        } else if node.generation != self.generation {
            format!("its generation is {} instead of {}", node.generation, self.generation)
        } else if self.first_key.is_some() && node.key(0) != self.first_key {
            "its first key is not the one that its parent has".to_owned()
        } else if self.end.is_some_and(|end| node.last_key() >= Some(end)) {
            "its last key belongs into the node behind it".to_owned()
        } else if !self.owner.allows(node.owner) {
            format!("it belongs to tree {}", node.owner)
        } else {
            return Ok(());
        };
        Err(damaged(self.logical, problem))
    }
}

impl Owner {
    /// Whose nodes the tree with this number has.
    pub(super) fn of(tree: u64) -> Self {
        if is_subvolume(tree) { Self::Subvolume } else { Self::Tree(tree) }
    }

    fn allows(self, owner: u64) -> bool {
        match self {
            Self::Tree(tree) => owner == tree,
            Self::Subvolume => is_subvolume(owner),
        }
    }
}

/// Whether a tree holds files: `is_fstree` of the kernel.
pub(super) fn is_subvolume(tree: u64) -> bool {
    // The numbers above belong to quota groups, and the highest ones to reserved trees.
    const LAST: u64 = (1 << 48) - 1;
    tree == object::FS_TREE || (object::FIRST_FREE..=LAST).contains(&tree)
}

fn damaged(logical: u64, problem: impl Into<String>) -> FsError {
    FsError::corrupt(format!("the Btrfs node {logical}"), problem)
}

fn no_chunk(logical: u64) -> FsError {
    FsError::corrupt(
        format!("a reference to the Btrfs address {logical}"),
        "it is in no chunk, or in no further copy",
    )
}

#[cfg(test)]
mod tests {
    use super::super::node::tests::node;
    use super::*;

    /// If a node could reach into what is behind it, several parents could have it: eight levels of a few nodes each would
    /// be a tree without end.
    #[test]
    fn a_node_has_one_place_in_its_tree() {
        let key = |objectid| Key::new(objectid, 0, 0);
        let check = |first_key, end| {
            let wanted = NodePointer {
                logical: 65536,
                level: 0,
                generation: 0,
                first_key,
                end,
                owner: Owner::Tree(0),
            };
            wanted.check(&node()).map_err(|error| error.to_string())
        };
        check(None, None).unwrap();
        check(Some(key(1)), Some(key(4))).unwrap();
        assert!(check(Some(key(1)), Some(key(3))).unwrap_err().ends_with("belongs into the node behind it"));
        assert!(check(Some(key(2)), None).unwrap_err().contains("its first key"));
    }
}
