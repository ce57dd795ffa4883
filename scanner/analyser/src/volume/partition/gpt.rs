//! The GUID partition table: UEFI specification 2.10, section 5.3.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::fmt;

use super::{Partition, PartitionKind, Scheme, Table};
use crate::fs::FsError;
use crate::volume::Volume;
use crate::volume::bytes::{Bytes, Truncated, to_usize};

/// A GUID as it is stored: the first three fields little-endian.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// `C12A7328-F81F-11D2-BA4B-00A0C93EC93B`, the EFI system partition (UEFI 2.10, table 5-7).
    pub const EFI_SYSTEM: Self = Self::new(0xc12a_7328, 0xf81f, 0x11d2, 0xba4b_00a0_c93e_c93b);
    /// `21686148-6449-6E6F-744E-656564454649`, GRUB's place on a GPT disk of a BIOS machine.
    pub const BIOS_BOOT: Self = Self::new(0x2168_6148, 0x6449, 0x6e6f, 0x744e_6565_6445_4649);
    /// `9E1A2D38-C612-4316-AA26-8B49521E5A8B`, the boot loader's place on a POWER machine.
    pub const PREP_BOOT: Self = Self::new(0x9e1a_2d38, 0xc612, 0x4316, 0xaa26_8b49_521e_5a8b);
    /// `A19D880F-05FC-4D3B-A006-743F0F84911E`, a member of a Linux RAID array (UAPI discoverable partitions).
    pub const LINUX_RAID: Self = Self::new(0xa19d_880f, 0x05fc, 0x4d3b, 0xa006_743f_0f84_911e);

    /// The GUID that is written as `first-second-third-last`, `last` without its dash.
    pub const fn new(first: u32, second: u16, third: u16, last: u64) -> Self {
        let (a, b, c, d) =
            (first.to_le_bytes(), second.to_le_bytes(), third.to_le_bytes(), last.to_be_bytes());
        Self([a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]])
    }

    /// The type of an unused entry.
    fn is_zero(self) -> bool {
        self.0 == [0; 16]
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([a3, a2, a1, a0, b1, b0, c1, c0, d0, d1, e0, e1, e2, e3, e4, e5]) = self;
        write!(f, "{a0:02X}{a1:02X}{a2:02X}{a3:02X}-{b0:02X}{b1:02X}-{c0:02X}{c1:02X}-{d0:02X}{d1:02X}-")?;
        write!(f, "{e0:02X}{e1:02X}{e2:02X}{e3:02X}{e4:02X}{e5:02X}")
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Sizes of a logical sector. The table's place depends on it, and only finding it there tells which one it is.
const SECTOR_SIZES: [u32; 2] = [512, 4096];

/// Whether there is a whole header at either of its two places.
pub(super) fn is_present(disk: &dyn Volume) -> Result<bool, FsError> {
    for candidate in candidates(disk.size()) {
        if Header::read(disk, candidate)?.is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Adds the partitions to `table`: from the primary header, or from the backup where that one is damaged.
pub(super) fn read(disk: &dyn Volume, table: &mut Table) -> Result<Scheme, FsError> {
    let mut damage = Vec::new();
    for candidate in candidates(disk.size()) {
        let header = match Header::read(disk, candidate)? {
            Ok(header) => header,
            // Nothing there: that is no damage, the other sector size may be the right one.
            Err(None) => continue,
            Err(Some(problem)) => {
                damage.push(format!("{candidate} {problem}"));
                continue;
            }
        };
        match header.entries(disk, table.limit)? {
            Ok(entries) => {
                if candidate.is_backup {
                    table.report(None, backup_was_used(&damage));
                }
                let sector_size = candidate.sector_size;
                for (entry, number) in entries.chunks_exact(to_usize(header.entry_size)).zip(1..) {
                    add(Bytes(entry), number, sector_size, table)?;
                }
                return Ok(Scheme::Gpt { sector_size });
            }
            Err(problem) => damage.push(format!("{candidate} {problem}")),
        }
    }
    if damage.is_empty() {
        damage
            .push("the disk says that it has one, but neither the header nor its backup is there".to_owned());
    }
    Err(FsError::corrupt("the GUID partition table", damage.join("; ")))
}

fn backup_was_used(damage: &[String]) -> String {
    let mut problem = "the backup of the partition table was used".to_owned();
    if damage.is_empty() {
        problem.push_str(", because there is no primary one");
    }
    for reason in damage {
        problem.push_str(": ");
        problem.push_str(reason);
    }
    problem
}

/// A place where a header may be.
#[derive(Clone, Copy)]
struct Candidate {
    sector_size: u32,
    lba: u64,
    is_backup: bool,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_backup { "the backup header" } else { "the header" })
    }
}

/// Both primaries, then both backups, in the disk's last sector. The header's field that leads to the backup is of no use
/// when the header is damaged.
fn candidates(disk_size: u64) -> impl Iterator<Item = Candidate> {
    let primaries = SECTOR_SIZES.map(|sector_size| Some(Candidate { sector_size, lba: 1, is_backup: false }));
    let backups = SECTOR_SIZES.map(|sector_size| {
        let last = disk_size.checked_div(u64::from(sector_size))?.checked_sub(1)?;
        (last > 1).then_some(Candidate { sector_size, lba: last, is_backup: true })
    });
    primaries.into_iter().chain(backups).flatten()
}

/// What is needed of a header whose checksum is right.
struct Header {
    sector_size: u32,
    entries_lba: u64,
    entry_count: u32,
    entry_size: u32,
    entries_crc: u32,
}

/// What is wrong with a header: `None` if there is none.
type HeaderProblem = Option<&'static str>;

impl Header {
    fn read(disk: &dyn Volume, candidate: Candidate) -> Result<Result<Self, HeaderProblem>, FsError> {
        let Candidate { sector_size, lba, .. } = candidate;
        let mut sector = vec![0; to_usize(sector_size)];
        let offset = lba.saturating_mul(u64::from(sector_size));
        if offset.saturating_add(u64::from(sector_size)) > disk.size() {
            return Ok(Err(None));
        }
        disk.read_at(offset, &mut sector)?;
        Ok(Self::parse(&sector, candidate)?)
    }

    fn parse(sector: &[u8], candidate: Candidate) -> Result<Result<Self, HeaderProblem>, Truncated> {
        let bytes = Bytes(sector);
        if bytes.get(0, 8)? != b"EFI PART" {
            return Ok(Err(None));
        }
        let header_size = to_usize(bytes.le32(12)?);
        let Ok(header) = bytes.get(0, header_size) else { return Ok(Err(Some("has an impossible size"))) };
        if header_size < 92 {
            return Ok(Err(Some("has an impossible size")));
        }
        // HeaderCRC32 is computed over the header with the field itself, bytes 16 to 20, set to zero.
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(Bytes(header).get(0, 16)?);
        hasher.update(&[0; 4]);
        hasher.update(Bytes(header).get(20, header_size.saturating_sub(20))?);
        if hasher.finalize() != bytes.le32(16)? {
            return Ok(Err(Some("has a wrong checksum")));
        }
        if bytes.le64(24)? != candidate.lba {
            return Ok(Err(Some("is a copy from another place")));
        }
        let parsed = Self {
            sector_size: candidate.sector_size,
            entries_lba: bytes.le64(72)?,
            entry_count: bytes.le32(80)?,
            entry_size: bytes.le32(84)?,
            entries_crc: bytes.le32(88)?,
        };
        // SizeOfPartitionEntry is 128 × 2ⁿ.
        if parsed.entry_size < 128 || !parsed.entry_size.is_power_of_two() || parsed.entry_size > 4096 {
            return Ok(Err(Some("has an impossible size of its entries")));
        }
        Ok(Ok(parsed))
    }

    /// The array of entries, if its checksum is right. Inner errors say what is wrong with it.
    fn entries(&self, disk: &dyn Volume, limit: u32) -> Result<Result<Vec<u8>, String>, FsError> {
        if self.entry_count > limit {
            return Ok(Err(format!(
                "claims {} entries, more than the limit of {limit} (`partitions`)",
                self.entry_count
            )));
        }
        let size = u64::from(self.entry_count).saturating_mul(u64::from(self.entry_size));
        let offset = self.entries_lba.saturating_mul(u64::from(self.sector_size));
        if offset.saturating_add(size) > disk.size() {
            return Ok(Err("has its entries beyond the end of the disk".to_owned()));
        }
        let mut entries = vec![0; to_usize(size)];
        disk.read_at(offset, &mut entries)?;
        if crc32fast::hash(&entries) != self.entries_crc {
            return Ok(Err("has entries with a wrong checksum".to_owned()));
        }
        Ok(Ok(entries))
    }
}

/// Adds one entry, unless it is unused.
fn add(entry: Bytes<'_>, number: u32, sector_size: u32, table: &mut Table) -> Result<(), Truncated> {
    let kind = Guid(entry.array(0)?);
    if kind.is_zero() {
        return Ok(());
    }
    let (first, last) = (entry.le64(32)?, entry.le64(40)?);
    let Some(sectors) = last.checked_sub(first).and_then(|difference| difference.checked_add(1)) else {
        table.report(Some(number), format!("it ends at sector {last}, before it begins, at sector {first}"));
        return Ok(());
    };
    let units: Vec<u16> = entry
        .get(56, 72)?
        .chunks_exact(2)
        .map_while(|unit| Bytes(unit).le16(0).ok())
        .take_while(|&u| u != 0)
        .collect();
    let name = String::from_utf16_lossy(&units);
    let sector_size = u64::from(sector_size);
    let (offset, size) = (first.saturating_mul(sector_size), sectors.saturating_mul(sector_size));
    // UniquePartitionGUID. All zeros, as some tools leave it, name nothing.
    let unique = Guid(entry.array(16)?);
    let uuid = (!unique.is_zero()).then(|| unique.to_string().to_lowercase());
    table.add(Partition { number, kind: PartitionKind::Gpt(kind), name, uuid, offset, size });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Cursor;
    use std::sync::Arc;

    use super::super::{PartitionTable, read};
    use super::*;
    use crate::limits::Limits;
    use crate::volume::MemoryVolume;

    const MIB: usize = 1 << 20;

    /// A disk that the crate `gpt` partitioned.
    fn disk(block: gpt::disk::LogicalBlockSize) -> Vec<u8> {
        let mut disk = Cursor::new(vec![0; 8 * MIB]);
        let protective =
            gpt::mbr::ProtectiveMBR::with_lb_size(u32::try_from((8 << 20) / block.as_u64() - 1).unwrap());
        protective.overwrite_lba0(&mut disk).unwrap();
        let mut table = gpt::GptConfig::new()
            .writable(true)
            .logical_block_size(block)
            .create_from_device(disk, None)
            .unwrap();
        table.update_partitions(BTreeMap::new()).unwrap();
        table.add_partition("root ü", 3 << 20, gpt::partition_types::LINUX_FS, 0, None).unwrap();
        table.add_partition("esp", 1 << 20, gpt::partition_types::EFI, 0, None).unwrap();
        table.write().unwrap().into_inner()
    }

    fn table(disk: Vec<u8>) -> Result<PartitionTable, FsError> {
        let disk: Arc<dyn Volume> = Arc::new(MemoryVolume::new(disk));
        read(&disk, &Limits::default())
    }

    #[test]
    fn reads_what_another_implementation_wrote() {
        for (block, sector_size) in
            [(gpt::disk::LogicalBlockSize::Lb512, 512), (gpt::disk::LogicalBlockSize::Lb4096, 4096)]
        {
            let table = table(disk(block)).unwrap();
            assert_eq!(table.scheme, Scheme::Gpt { sector_size });
            assert_eq!(table.problems, []);
            let [root, esp] = table.partitions.as_slice() else { panic!("{table:?}") };
            assert_eq!((root.number, root.name.as_str(), root.size), (1, "root ü", 3 << 20));
            assert!(!root.kind.is_firmware());
            // Chosen at random by the writer.
            let uuid = root.uuid.as_ref().unwrap();
            assert!(uuid.len() == 36 && *uuid == uuid.to_lowercase() && root.uuid != esp.uuid, "{uuid}");
            assert_eq!((esp.number, esp.name.as_str(), esp.size), (2, "esp", 1 << 20));
            assert!(esp.kind.is_firmware());
        }
    }

    #[test]
    fn the_backup_replaces_a_damaged_primary_and_says_so() {
        for (block, sector) in
            [(gpt::disk::LogicalBlockSize::Lb512, 512), (gpt::disk::LogicalBlockSize::Lb4096, 4096)]
        {
            let disk = disk(block);
            let whole = table(disk.clone()).unwrap();
            let mut damaged = disk.clone();
            damaged[sector + 60] ^= 1;
            let restored = table(damaged).unwrap();
            assert_eq!(restored.partitions, whole.partitions);
            assert_eq!(
                restored.problems[0].to_string(),
                "the backup of the partition table was used: the header has a wrong checksum"
            );
            let mut damaged = disk;
            damaged[2 * sector] ^= 1;
            assert_eq!(table(damaged).unwrap().partitions, whole.partitions);
        }
    }

    #[test]
    fn two_damaged_copies_are_an_error() {
        let mut damaged = disk(gpt::disk::LogicalBlockSize::Lb512);
        damaged[512 + 60] ^= 1;
        let last = damaged.len() - 512;
        damaged[last + 60] ^= 1;
        let error = table(damaged).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the GUID partition table is damaged: the header has a wrong checksum; the backup header has a wrong checksum"
        );
    }

    #[test]
    fn a_count_of_entries_that_claims_all_memory_is_refused() {
        let mut disk = disk(gpt::disk::LogicalBlockSize::Lb512);
        let last = disk.len() - 512;
        for header in [512, last] {
            disk[header + 80..header + 84].copy_from_slice(&u32::MAX.to_le_bytes());
            disk[header + 16..header + 20].fill(0);
            let crc = crc32fast::hash(&disk[header..header + 92]);
            disk[header + 16..header + 20].copy_from_slice(&crc.to_le_bytes());
        }
        let error = table(disk).unwrap_err().to_string();
        assert!(error.contains("claims 4294967295 entries, more than the limit of 1024"), "{error}");
    }

    #[test]
    fn an_image_cut_short_keeps_what_is_left() {
        let mut disk = disk(gpt::disk::LogicalBlockSize::Lb512);
        disk.truncate(3 * MIB);
        let table = table(disk).unwrap();
        assert_eq!(table.partitions.len(), 0);
        assert_eq!(table.problems.iter().map(|p| p.partition).collect::<Vec<_>>(), [Some(1), Some(2)]);
    }

    #[test]
    fn guids_are_written_in_mixed_byte_order() {
        assert_eq!(Guid::EFI_SYSTEM.to_string(), "C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
        assert_eq!(Guid::EFI_SYSTEM.0[..4], [0x28, 0x73, 0x2a, 0xc1]);
    }
}
