//! Partition tables: which parts of a disk are volumes of their own.
//!
//! Reads GPT, MBR with logical partitions, and recognises a disk without a table. The tables are parsed here and not by a
//! crate because each count in them is chosen by the disk; what does not fit is reported next to what does.

mod gpt;
mod mbr;

use std::fmt;
use std::sync::Arc;

pub use gpt::Guid;

use super::{SliceVolume, Volume, VolumeError};
use crate::fs::{self, FsError, Recognised};
use crate::limits::Limits;

/// The partitions of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionTable {
    /// What kind of table it is.
    pub scheme: Scheme,
    /// The partitions that can be read, in the order of their numbers. A disk without a table has one, with number 0,
    /// that is the whole disk.
    pub partitions: Vec<Partition>,
    /// What is wrong with the table. Each of them may hide packages, so they belong into a report.
    pub problems: Vec<Problem>,
}

/// The kind of a partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// None: the whole volume is one filesystem, or unknown.
    Bare,
    /// PC master boot record.
    Mbr,
    /// GUID partition table.
    Gpt {
        /// Size of a logical sector in bytes, 512 or 4096.
        sector_size: u32,
    },
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Partition {
    /// Its number as Linux counts, from 1; logical partitions from 5; 0 for a disk without a table.
    pub number: u32,
    /// What the table says it is for.
    pub kind: PartitionKind,
    /// Its name, empty where the table records none.
    pub name: String,
    /// What `PARTUUID=` names it by: its GUID in lower case, or the disk's signature and its number.
    pub uuid: Option<String>,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Its length in bytes. Its end lies within the volume.
    pub size: u64,
}

/// What a partition is for, as its table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartitionKind {
    /// The whole of a disk without a table.
    Whole,
    /// An MBR type byte.
    Mbr(u8),
    /// A GPT type GUID.
    Gpt(Guid),
}

impl PartitionKind {
    /// Whether it only serves to start the machine: an EFI system partition, a BIOS or POWER boot partition. Such a
    /// partition holds no packages, and not reading it leaves nothing out.
    pub fn is_firmware(self) -> bool {
        match self {
            Self::Whole => false,
            Self::Mbr(kind) => matches!(kind, 0xef | 0x41),
            Self::Gpt(guid) => [Guid::EFI_SYSTEM, Guid::BIOS_BOOT, Guid::PREP_BOOT].contains(&guid),
        }
    }

    /// Whether it is meant for a member of a Linux RAID array.
    pub fn is_raid(self) -> bool {
        match self {
            Self::Whole => false,
            Self::Mbr(kind) => kind == 0xfd,
            Self::Gpt(guid) => guid == Guid::LINUX_RAID,
        }
    }
}

impl fmt::Display for PartitionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("whole"),
            Self::Mbr(kind) => write!(f, "0x{kind:02x}"),
            Self::Gpt(guid) => guid.fmt(f),
        }
    }
}

/// Something wrong with a partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The partition it concerns, where it is one.
    pub partition: Option<u32>,
    /// What is wrong, as a sentence without a full stop.
    pub problem: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.partition {
            Some(number) => write!(f, "partition {number}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl Partition {
    /// The partition as a volume.
    pub fn open(&self, disk: &Arc<dyn Volume>) -> Result<SliceVolume, VolumeError> {
        SliceVolume::new(Arc::clone(disk), self.offset, self.size)
    }
}

/// Reads the partition table of `disk`.
///
/// Reads the first two sectors, the table's entries, and the disk's last sector only where the first ones are damaged.
///
/// # Errors
///
/// [`FsError::Volume`] if the disk could not be read, [`FsError::Corrupt`] if it has a GPT of which neither copy is whole.
pub fn read(disk: &Arc<dyn Volume>, limits: &Limits) -> Result<PartitionTable, FsError> {
    let mut table =
        Table { size: disk.size(), limit: limits.partitions, partitions: Vec::new(), problems: Vec::new() };
    let boot = mbr::BootSector::read(&**disk)?;

    let scheme = if boot.as_ref().is_some_and(mbr::BootSector::is_protective) {
        gpt::read(&**disk, &mut table)?
    } else if let Some(boot) = boot.filter(|boot| boot.has_partitions(disk.size())) {
        boot.partitions(&**disk, &mut table)?;
        Scheme::Mbr
    } else if matches!(fs::probe(&**disk)?, Recognised::Unknown) && gpt::is_present(&**disk)? {
        // A GPT without the protective record, which some tools leave out. Linux does not use it, other systems do. On a
        // disk that has a filesystem instead, it is what is left of an earlier use.
        gpt::read(&**disk, &mut table)?
    } else {
        let (offset, size) = (0, disk.size());
        table.add(Partition {
            number: 0,
            kind: PartitionKind::Whole,
            name: String::new(),
            uuid: None,
            offset,
            size,
        });
        Scheme::Bare
    };
    let Table { mut partitions, problems, .. } = table;
    partitions.sort_by_key(|partition| partition.number);
    Ok(PartitionTable { scheme, partitions, problems })
}

/// A table that is being read.
struct Table {
    /// Size of the disk in bytes.
    size: u64,
    /// The number of partitions that it may have.
    limit: u32,
    partitions: Vec<Partition>,
    problems: Vec<Problem>,
}

impl Table {
    /// Adds a partition that lies within the disk, and reports one that does not.
    fn add(&mut self, partition: Partition) {
        let end = partition.offset.saturating_add(partition.size);
        if end > self.size {
            let problem = format!(
                "it ends at byte {end}, but the disk has only {} bytes: the image was cut short, or the table is not \
                 this disk's",
                self.size
            );
            self.report(Some(partition.number), problem);
        } else {
            self.partitions.push(partition);
        }
    }

    fn report(&mut self, partition: Option<u32>, problem: impl Into<String>) {
        self.problems.push(Problem { partition, problem: problem.into() });
    }
}
