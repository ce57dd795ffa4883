//! The PC master boot record, with logical partitions.
//!
//! There is no specification of it; the layout is that of UEFI 2.10, section 5.2.1, and of the extended boot records that
//! DOS 3.3 introduced. Addresses count sectors of 512 bytes: that an MBR counts larger ones cannot be told from it, and EBS
//! has none.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::HashSet;

use super::{Partition, PartitionKind, Table};
use crate::fs::FsError;
use crate::volume::Volume;
use crate::volume::bytes::{Bytes, Truncated};

/// The first sector of a disk, or of a logical partition's surroundings, with the signature 55 AA.
pub(super) struct BootSector {
    bytes: [u8; SECTOR],
    entries: [Entry; 4],
}

const SECTOR: usize = 512;
/// [`SECTOR`] as an address unit.
const SECTOR_BYTES: u64 = 512;

/// `PartitionRecord[i]`: 16 bytes each from byte 446.
#[derive(Clone, Copy, Debug)]
struct Entry {
    boot_indicator: u8,
    os_type: u8,
    start: u32,
    sectors: u32,
}

/// Type of the entry that keeps tools which do not know GPT away from a GPT disk.
const PROTECTIVE: u8 = 0xee;

impl Entry {
    fn parse(record: Bytes<'_>) -> Result<Self, Truncated> {
        Ok(Self {
            boot_indicator: record.u8(0)?,
            os_type: record.u8(4)?,
            start: record.le32(8)?,
            sectors: record.le32(12)?,
        })
    }

    /// Linux goes by the length alone: a partition of type 0 is one.
    fn is_used(self) -> bool {
        self.sectors != 0
    }

    /// Extended partitions, which hold logical ones: with CHS addresses, with LBA, and Linux's own.
    fn is_extended(self) -> bool {
        self.is_used() && matches!(self.os_type, 0x05 | 0x0f | 0x85)
    }

    /// The length in bytes.
    fn size(self) -> u64 {
        u64::from(self.sectors).saturating_mul(SECTOR_BYTES)
    }

    /// The partition that it describes, at byte `offset` of a disk with this signature.
    fn partition(self, number: u32, offset: u64, signature: Option<u32>) -> Partition {
        Partition {
            number,
            kind: PartitionKind::Mbr(self.os_type),
            name: String::new(),
            // As the kernel forms it, in `block/partitions/msdos.c`.
            uuid: signature.map(|signature| format!("{signature:08x}-{number:02x}")),
            offset,
            size: self.size(),
        }
    }
}

impl BootSector {
    /// The boot record of the disk, if it has one.
    pub(super) fn read(disk: &dyn Volume) -> Result<Option<Self>, FsError> {
        Self::read_at(disk, 0)
    }

    fn read_at(disk: &dyn Volume, sector: u64) -> Result<Option<Self>, FsError> {
        let offset = sector.saturating_mul(SECTOR_BYTES);
        if offset.saturating_add(SECTOR_BYTES) > disk.size() {
            return Ok(None);
        }
        let mut bytes = [0; SECTOR];
        disk.read_at(offset, &mut bytes)?;
        if Bytes(&bytes).array(510)? != [0x55, 0xaa] {
            return Ok(None);
        }
        let record = |at| Entry::parse(Bytes(Bytes(&bytes).get(at, 16)?));
        let entries = [record(446)?, record(462)?, record(478)?, record(494)?];
        Ok(Some(Self { bytes, entries }))
    }

    /// Whether it says that the disk has a GPT.
    pub(super) fn is_protective(&self) -> bool {
        self.entries.iter().any(|entry| entry.os_type == PROTECTIVE && entry.start == 1)
    }

    /// Whether it is a partition table at all: the boot sector of a filesystem has the same signature, and program text
    /// where the entries would be.
    pub(super) fn has_partitions(&self, disk_size: u64) -> bool {
        let plausible = |entry: &Entry| matches!(entry.boot_indicator, 0x00 | 0x80);
        let inside = |entry: &&Entry| entry.start > 0 && byte(u64::from(entry.start)) < disk_size;
        !self.is_file_system()
            && self.entries.iter().all(plausible)
            && self.entries.iter().filter(|entry| entry.is_used()).any(|entry| inside(&entry))
    }

    /// `UniqueMBRDiskSignature`. Zero is none.
    fn signature(&self) -> Option<u32> {
        Bytes(&self.bytes).le32(440).ok().filter(|&signature| signature != 0)
    }

    /// FAT and NTFS begin with a jump over their parameters, and their name.
    fn is_file_system(&self) -> bool {
        let named = |at, name: &[u8]| Bytes(&self.bytes).get(at, name.len()).is_ok_and(|found| found == name);
        matches!(self.bytes.first(), Some(0xeb | 0xe9))
            && (named(3, b"NTFS    ") || named(3, b"EXFAT   ") || named(54, b"FAT") || named(82, b"FAT32"))
    }

    /// Adds the primary and logical partitions to `table`.
    pub(super) fn partitions(&self, disk: &dyn Volume, table: &mut Table) -> Result<(), FsError> {
        for (entry, number) in self.entries.iter().zip(1..).filter(|(entry, _)| entry.is_used()) {
            if !entry.is_extended() {
                table.add(entry.partition(number, byte(u64::from(entry.start)), self.signature()));
            }
        }
        // There should be one at most. Linux reads as many as there are, and counts on.
        let mut number = 5;
        for extended in self.entries.iter().filter(|entry| entry.is_extended()) {
            number = logical_partitions(disk, (extended.start, self.signature()), number, table)?;
        }
        Ok(())
    }
}

/// Follows the chain of extended boot records: the first entry of each is a logical partition, relative to the record; the
/// second leads to the next record, relative to the extended partition. Returns the number of the next logical partition.
fn logical_partitions(
    disk: &dyn Volume,
    (extended_start, signature): (u32, Option<u32>),
    mut number: u32,
    table: &mut Table,
) -> Result<u32, FsError> {
    let extended_start = u64::from(extended_start);
    let mut here = extended_start;
    let mut visited = HashSet::new();
    loop {
        if !visited.insert(here) {
            table.report(None, format!("the chain of logical partitions leads back to sector {here}"));
            return Ok(number);
        }
        if number > table.limit {
            table.report(None, format!("there are more than {} partitions", table.limit));
            return Ok(number);
        }
        let Some(record) = BootSector::read_at(disk, here)? else {
            table.report(None, format!("the chain of logical partitions breaks off at sector {here}"));
            return Ok(number);
        };
        let [first, second, ..] = record.entries;
        if first.is_used() && !first.is_extended() {
            let offset = byte(here.saturating_add(u64::from(first.start)));
            table.add(first.partition(number, offset, signature));
            number = number.saturating_add(1);
        }
        if !second.is_extended() {
            return Ok(number);
        }
        here = extended_start.saturating_add(u64::from(second.start));
    }
}

/// The byte where a sector begins.
fn byte(sector: u64) -> u64 {
    sector.saturating_mul(SECTOR_BYTES)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Scheme, read};
    use super::*;
    use crate::limits::Limits;
    use crate::volume::MemoryVolume;

    /// Puts entry `index` into the boot record at `sector`.
    fn entry(disk: &mut [u8], sector: usize, index: usize, os_type: u8, start: u32, sectors: u32) {
        let record = sector * 512;
        let at = record + 446 + 16 * index;
        disk[at + 4] = os_type;
        disk[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
        disk[at + 12..at + 16].copy_from_slice(&sectors.to_le_bytes());
        disk[record + 510..record + 512].copy_from_slice(&[0x55, 0xaa]);
    }

    fn table(disk: Vec<u8>) -> super::super::PartitionTable {
        let disk: Arc<dyn Volume> = Arc::new(MemoryVolume::new(disk));
        read(&disk, &Limits::default()).unwrap()
    }

    #[test]
    fn primary_and_logical_partitions_are_numbered_as_in_linux() {
        let mut disk = vec![0; 512 * 1000];
        entry(&mut disk, 0, 0, 0x83, 10, 90);
        entry(&mut disk, 0, 2, 0x05, 100, 900);
        entry(&mut disk, 100, 0, 0x83, 1, 99);
        entry(&mut disk, 100, 1, 0x05, 100, 200);
        entry(&mut disk, 200, 0, 0x82, 2, 50);
        disk[440..444].copy_from_slice(&0x00c0_ffee_u32.to_le_bytes());
        let table = table(disk);
        assert_eq!(table.scheme, Scheme::Mbr);
        assert_eq!(table.problems, []);
        let found: Vec<_> =
            table.partitions.iter().map(|p| (p.number, p.offset / 512, p.size / 512)).collect();
        assert_eq!(found, [(1, 10, 90), (5, 101, 99), (6, 202, 50)]);
        assert_eq!(table.partitions[2].kind, PartitionKind::Mbr(0x82));
        let uuids: Vec<_> = table.partitions.iter().map(|p| p.uuid.as_deref().unwrap()).collect();
        assert_eq!(uuids, ["00c0ffee-01", "00c0ffee-05", "00c0ffee-06"]);
    }

    #[test]
    fn a_partition_beyond_the_end_is_reported_and_costs_no_other() {
        let mut disk = vec![0; 512 * 100];
        entry(&mut disk, 0, 0, 0x83, 10, 50);
        entry(&mut disk, 0, 1, 0x83, 60, 60);
        let table = table(disk);
        assert_eq!(table.partitions.len(), 1);
        assert_eq!(
            table.problems[0].to_string(),
            "partition 2: it ends at byte 61440, but the disk has only 51200 bytes: the image was cut short, or the \
             table is not this disk's"
        );
    }

    #[test]
    fn partitions_are_those_of_linux_also_in_odd_tables() {
        // Of type 0, and in two extended partitions.
        let mut disk = vec![0; 512 * 100];
        entry(&mut disk, 0, 0, 0, 10, 10);
        entry(&mut disk, 0, 1, 0x05, 20, 10);
        entry(&mut disk, 0, 2, 0x0f, 40, 10);
        entry(&mut disk, 20, 0, 0x83, 1, 5);
        entry(&mut disk, 40, 0, 0x83, 1, 5);
        let table = table(disk);
        let found: Vec<_> = table.partitions.iter().map(|p| (p.number, p.offset / 512)).collect();
        assert_eq!(found, [(1, 10), (5, 21), (6, 41)]);
    }

    #[test]
    fn a_circle_of_logical_partitions_ends() {
        let mut disk = vec![0; 512 * 100];
        entry(&mut disk, 0, 0, 0x0f, 10, 90);
        entry(&mut disk, 10, 0, 0x83, 1, 5);
        entry(&mut disk, 10, 1, 0x05, 0, 5);
        let table = table(disk);
        assert_eq!(table.partitions.len(), 1);
        assert_eq!(table.problems[0].problem, "the chain of logical partitions leads back to sector 10");
    }

    #[test]
    fn the_boot_sector_of_a_filesystem_is_no_table() {
        let mut disk = vec![0; 512 * 100];
        entry(&mut disk, 0, 0, 0x83, 10, 50);
        disk[0] = 0xeb;
        disk[54..62].copy_from_slice(b"FAT16   ");
        assert_eq!(table(disk).scheme, Scheme::Bare);

        let mut disk = vec![0; 512 * 100];
        entry(&mut disk, 0, 0, 0x83, 10, 50);
        disk[446] = 0x42;
        assert_eq!(table(disk).scheme, Scheme::Bare);
    }
}
