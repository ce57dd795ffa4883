//! What a volume holds, by its signatures.
//!
//! A volume is matched against the drivers of this program and against the signatures of everything else that is known, so
//! that a report can say "a LUKS2 encrypted volume was not read" and not "nothing was found". Members of volume groups and
//! arrays are only named here: [`storage`](crate::storage) hands them to [`volume`](crate::volume), which puts them together.

use std::fmt::Debug;
use std::sync::Arc;

use super::{FileSystem, FsError, btrfs, ext4, unpacked, xfs};
use crate::limits::Limits;
use crate::volume::Volume;
use crate::volume::bytes::{Bytes, to_usize};

/// Recognises one on-disk format and opens it.
pub trait Driver: Debug + Send + Sync {
    /// The format's name.
    fn name(&self) -> &'static str;

    /// Whether a volume that starts with `head` has this format's signature. `head` is the volume's first 256 KiB, or
    /// all of a smaller volume.
    fn probe(&self, head: &[u8]) -> bool;

    /// The filesystem that a volume with this head is a member of, for formats where one filesystem may have several
    /// volumes.
    fn membership(&self, _head: &[u8]) -> Option<Membership> {
        None
    }

    /// Opens the filesystem that these volumes are together, in whatever order. Formats without
    /// [`membership`](Self::membership) get one.
    fn open(&self, volumes: &[Arc<dyn Volume>], limits: &Limits) -> Result<Box<dyn FileSystem>, FsError>;
}

/// The volume of a filesystem whose format has no [`membership`](Driver::membership).
pub(super) fn only(volumes: &[Arc<dyn Volume>]) -> Result<Arc<dyn Volume>, FsError> {
    volumes.first().cloned().ok_or(FsError::Invalid { problem: "no volume to open" })
}

/// What a member of a filesystem of several volumes says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The filesystem: the same in all its members.
    pub filesystem: [u8; 16],
    /// This member among them.
    pub member: u64,
    /// How many there are.
    pub members: u64,
}

/// Every driver, in alphabetical order.
pub static DRIVERS: &[&dyn Driver] =
    &[&btrfs::BtrfsDriver, &ext4::Ext4Driver, &xfs::XfsDriver, &unpacked::ZipDriver];

/// What a volume holds.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Recognised {
    /// A filesystem that this driver reads.
    Driver(&'static dyn Driver),
    /// Something well-known that is no filesystem of these drivers: a part of a volume group or of an array, or something
    /// that this version does not read.
    Other {
        /// What it is called.
        name: &'static str,
        /// Whether it can hold installed software, so that not reading it makes a package list incomplete. Swap cannot.
        holds_files: bool,
    },
    /// No signature that this version knows.
    Unknown,
}

/// Finds out what a volume holds.
///
/// Reads the first 256 KiB, which are inside one block of a snapshot, and only if those say nothing the last 128 KiB and the
/// place of Btrfs's first mirror superblock.
///
/// # Errors
///
/// [`FsError::Volume`] if the volume could not be read.
pub fn probe(volume: &dyn Volume) -> Result<Recognised, FsError> {
    const TAIL: u64 = 128 << 10;

    let found = probe_head(volume)?;
    if !matches!(found, Recognised::Unknown) {
        return Ok(found);
    }
    let size = volume.size();
    let mut tail = vec![0; to_usize(size.min(TAIL))];
    let tail_start = size.saturating_sub(TAIL);
    volume.read_at(tail_start, &mut tail)?;
    if is_raid_member(&tail, tail_start, size) {
        return Ok(RAID);
    }
    if btrfs::has_mirror(volume) {
        return Ok(Recognised::Driver(&btrfs::BtrfsDriver));
    }
    Ok(Recognised::Unknown)
}

/// Finds out what a volume holds from its first 256 KiB alone: enough where most likely it holds nothing.
///
/// # Errors
///
/// As [`probe`].
pub fn probe_head(volume: &dyn Volume) -> Result<Recognised, FsError> {
    const HEAD: u64 = 256 << 10;

    let size = volume.size();
    let mut head = vec![0; to_usize(size.min(HEAD))];
    volume.read_at(0, &mut head)?;

    // Containers first: formatting one as a filesystem destroys its signature, but not the other way round.
    if let Some(found) = CONTAINERS.iter().find(|signature| signature.matches(&head)) {
        return Ok(found.recognised());
    }
    if let Some(driver) = DRIVERS.iter().find(|driver| driver.probe(&head)) {
        return Ok(Recognised::Driver(*driver));
    }
    if let Some(found) = OTHERS.iter().find(|signature| signature.matches(&head)) {
        return Ok(found.recognised());
    }
    if is_zfs(&head) {
        return Ok(Recognised::Other { name: "ZFS pool member", holds_files: true });
    }
    Ok(Recognised::Unknown)
}

/// Opens the filesystem of a volume.
///
/// # Errors
///
/// [`FsError::Unsupported`], with the name of what is there, if no driver reads it; otherwise what the driver reports.
pub fn open(volume: Arc<dyn Volume>, limits: &Limits) -> Result<Box<dyn FileSystem>, FsError> {
    match probe(&*volume)? {
        Recognised::Driver(driver) => driver.open(&[volume], limits),
        Recognised::Other { name, .. } => Err(FsError::Unsupported { feature: name.to_owned() }),
        Recognised::Unknown => Err(FsError::Unsupported {
            feature: "a volume without any known filesystem signature".to_owned(),
        }),
    }
}

const RAID: Recognised = Recognised::Other { name: "Linux RAID member", holds_files: true };

/// Bytes that identify a format.
struct Signature {
    name: &'static str,
    holds_files: bool,
    offset: usize,
    bytes: &'static [u8],
}

impl Signature {
    const fn files(name: &'static str, offset: usize, bytes: &'static [u8]) -> Self {
        Self { name, holds_files: true, offset, bytes }
    }

    const fn no_files(name: &'static str, offset: usize, bytes: &'static [u8]) -> Self {
        Self { name, holds_files: false, offset, bytes }
    }

    fn matches(&self, head: &[u8]) -> bool {
        Bytes(head).get(self.offset, self.bytes.len()).is_ok_and(|found| found == self.bytes)
    }

    fn recognised(&self) -> Recognised {
        Recognised::Other { name: self.name, holds_files: self.holds_files }
    }
}

/// What holds other filesystems, or parts of them.
const CONTAINERS: &[Signature] = &[
    Signature::files("LUKS1 encrypted volume", 0, b"LUKS\xba\xbe\x00\x01"),
    Signature::files("LUKS2 encrypted volume", 0, b"LUKS\xba\xbe\x00\x02"),
    Signature::files("LUKS encrypted volume", 0, b"LUKS\xba\xbe"),
    Signature::files("BitLocker encrypted volume", 3, b"-FVE-FS-"),
    // The label is in any of the first four sectors; the label's type is at its byte 24.
    Signature::files("LVM2 physical volume", 24, b"LVM2 001"),
    Signature::files("LVM2 physical volume", 512 + 24, b"LVM2 001"),
    Signature::files("LVM2 physical volume", 1024 + 24, b"LVM2 001"),
    Signature::files("LVM2 physical volume", 1536 + 24, b"LVM2 001"),
    // Metadata versions 1.1 and 1.2. Versions 0.90 and 1.0 are at the end of the volume.
    Signature::files("Linux RAID member", 0, &MD_MAGIC),
    Signature::files("Linux RAID member", 4096, &MD_MAGIC),
    Signature::files(
        "bcache device",
        4096 + 24,
        &[0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81],
    ),
    Signature::files("Ceph BlueStore device", 0, b"bluestore block device"),
];

/// Filesystems without a driver, and swap.
const OTHERS: &[Signature] = &[
    Signature::files(
        "bcachefs",
        4096 + 24,
        &[0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef],
    ),
    Signature::files("F2FS", 1024, &[0x10, 0x20, 0xf5, 0xf2]),
    Signature::files("EROFS", 1024, &[0xe2, 0xe1, 0xf5, 0xe0]),
    Signature::files("SquashFS", 0, b"hsqs"),
    Signature::files("ISO 9660", 0x8001, b"CD001"),
    Signature::files("NILFS2", 1024 + 6, &[0x34, 0x34]),
    Signature::files("JFS", 0x8000, b"JFS1"),
    Signature::files("ReiserFS", 0x1_0034, b"ReIsEr2Fs"),
    Signature::files("ReiserFS", 0x1_0034, b"ReIsEr3Fs"),
    Signature::files("GFS2", 0x1_0000, &[0x01, 0x16, 0x19, 0x70]),
    Signature::files("OCFS2", 2 << 10, b"OCFSV2"),
    Signature::files("OCFS2", 4 << 10, b"OCFSV2"),
    Signature::files("NTFS", 3, b"NTFS    "),
    Signature::files("exFAT", 3, b"EXFAT   "),
    Signature::files("ReFS", 3, b"ReFS\0\0\0\0"),
    Signature::files("FAT", 54, b"FAT12   "),
    Signature::files("FAT", 54, b"FAT16   "),
    Signature::files("FAT", 82, b"FAT32   "),
    Signature::files("UFS2", 0x1_0000 + 1372, &[0x19, 0x01, 0x54, 0x19]),
    Signature::files("HFS+", 1024, b"H+\0\x04"),
    Signature::files("APFS", 32, b"NXSB"),
    // At the end of the first page, of 4, 16 or 64 KiB.
    Signature::no_files("swap", 0xff6, b"SWAPSPACE2"),
    Signature::no_files("swap", 0x3ff6, b"SWAPSPACE2"),
    Signature::no_files("swap", 0xfff6, b"SWAPSPACE2"),
    Signature::no_files("swap with a hibernation image", 0xff6, b"S1SUSPEND\0"),
];

/// `MD_SB_MAGIC`, 0xa92b4efc.
const MD_MAGIC: [u8; 4] = 0xa92b_4efc_u32.to_le_bytes();

/// Whether the volume has a ZFS uberblock: each label keeps a ring of them, 1 KiB or more apart, in its upper half.
fn is_zfs(head: &[u8]) -> bool {
    const MAGIC: u64 = 0x00ba_b10c;
    let ring = head.get(128 << 10..).unwrap_or_default();
    ring.chunks_exact(1024).any(|uberblock| {
        Bytes(uberblock).le64(0).is_ok_and(|magic| magic == MAGIC || magic == MAGIC.swap_bytes())
    })
}

/// Whether the volume's end has a RAID superblock: version 0.90 in the last whole 64 KiB before the last 64 KiB, version
/// 1.0 at least 8 KiB before the end, on a 4 KiB boundary.
fn is_raid_member(tail: &[u8], tail_start: u64, size: u64) -> bool {
    let positions = [
        (size & !0xffff).checked_sub(64 << 10),
        (size & !0x1ff).checked_sub(8 << 10).map(|position| position & !0xfff),
    ];
    positions.into_iter().flatten().any(|position| {
        position
            .checked_sub(tail_start)
            .and_then(|at| Bytes(tail).array(to_usize(at)).ok())
            .is_some_and(|magic: [u8; 4]| magic == MD_MAGIC)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::MemoryVolume;

    fn image(size: usize, offset: usize, bytes: &[u8]) -> MemoryVolume {
        let mut image = vec![0; size];
        image[offset..offset + bytes.len()].copy_from_slice(bytes);
        MemoryVolume::new(image)
    }

    fn name(volume: &dyn Volume) -> &'static str {
        match probe(volume).unwrap() {
            Recognised::Driver(driver) => driver.name(),
            Recognised::Other { name, .. } => name,
            Recognised::Unknown => "unknown",
        }
    }

    #[test]
    fn every_signature_is_found_where_the_table_says() {
        for signature in CONTAINERS.iter().chain(OTHERS) {
            let volume = image(1 << 20, signature.offset, signature.bytes);
            assert_eq!(name(&volume), signature.name);
        }
        assert_eq!(
            name(&image(1 << 20, (128 << 10) + 3072, &0x00ba_b10c_u64.to_le_bytes())),
            "ZFS pool member"
        );
    }

    #[test]
    fn raid_superblocks_at_the_end_are_found() {
        for size in [1 << 20, (1 << 20) + 512, (1 << 20) + 0x1_1400] {
            for position in [(size & !0xffff) - (64 << 10), ((size & !0x1ff) - (8 << 10)) & !0xfff] {
                assert_eq!(name(&image(size, position, &MD_MAGIC)), "Linux RAID member", "{size} {position}");
            }
        }
    }

    #[test]
    fn empty_and_tiny_volumes_are_unknown() {
        for size in [0, 1, 511, 512, 4096, 1 << 20] {
            let volume = MemoryVolume::new(vec![0; size]);
            assert_eq!(name(&volume), "unknown", "{size}");
            let error = open(Arc::new(volume), &Limits::default()).unwrap_err();
            assert_eq!(error.to_string(), "a volume without any known filesystem signature is not supported");
        }
    }

    #[test]
    fn drivers_are_sorted_and_unique() {
        assert!(DRIVERS.is_sorted_by(|a, b| a.name() < b.name()));
    }
}
