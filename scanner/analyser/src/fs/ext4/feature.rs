//! Feature flags of the superblock: `s_feature_compat`, `s_feature_incompat`, `s_feature_ro_compat`.
//!
//! Only an incompatible feature changes how a filesystem is read. The others concern writers, but for the few below that
//! say what else is there.

use super::FsError;
use crate::fs::refuse;

/// `COMPAT_HAS_JOURNAL`
pub(super) const COMPAT_HAS_JOURNAL: u32 = 0x4;
/// `COMPAT_SPARSE_SUPER2`: two backup groups, named in the superblock.
pub(super) const COMPAT_SPARSE_SUPER2: u32 = 0x200;

/// `RO_COMPAT_SPARSE_SUPER`
pub(super) const RO_COMPAT_SPARSE_SUPER: u32 = 0x1;
/// `RO_COMPAT_GDT_CSUM`: group descriptors have a CRC-16.
pub(super) const RO_COMPAT_GDT_CSUM: u32 = 0x10;
/// `RO_COMPAT_METADATA_CSUM`: everything has a CRC-32C.
pub(super) const RO_COMPAT_METADATA_CSUM: u32 = 0x400;
/// What only ext4 has: `HUGE_FILE`, `GDT_CSUM`, `DIR_NLINK`, `EXTRA_ISIZE`, `BIGALLOC`, `METADATA_CSUM`.
pub(super) const RO_COMPAT_EXT4: u32 = 0x8 | 0x10 | 0x20 | 0x40 | 0x200 | 0x400;

/// `INCOMPAT_FILETYPE`: directory entries record the type.
pub(super) const FILETYPE: u32 = 0x2;
/// `INCOMPAT_RECOVER`: the journal needs to be replayed.
pub(super) const RECOVER: u32 = 0x4;
/// `INCOMPAT_META_BG`
pub(super) const META_BG: u32 = 0x10;
/// `INCOMPAT_64BIT`
pub(super) const WIDE: u32 = 0x80;
/// `INCOMPAT_EA_INODE`: values of extended attributes in inodes of their own.
pub(super) const EA_INODE: u32 = 0x400;
/// `INCOMPAT_CSUM_SEED`
pub(super) const CSUM_SEED: u32 = 0x2000;
/// `INCOMPAT_LARGEDIR`: directories above 2 GiB, htrees with three levels.
pub(super) const LARGEDIR: u32 = 0x4000;
/// What only ext4 has: extents, 64-bit, flexible groups, and everything later.
pub(super) const INCOMPAT_EXT4: u32 = !0x1f;

/// Every incompatible feature, and whether this driver reads filesystems that have it.
const INCOMPAT: [(u32, &str, bool); 16] = [
    (0x1, "compression", false),
    (FILETYPE, "filetype", true),
    (RECOVER, "needs_recovery", true),
    (0x8, "journal_dev: this volume is only the journal of another one", false),
    (META_BG, "meta_bg", true),
    (0x40, "extent", true),
    (WIDE, "64bit", true),
    (0x100, "mmp", true),
    (0x200, "flex_bg", true),
    (EA_INODE, "ea_inode", true),
    (0x1000, "dirdata", false),
    (CSUM_SEED, "metadata_csum_seed", true),
    (LARGEDIR, "large_dir", true),
    (0x8000, "inline_data", true),
    // Reading what is encrypted fails, inode by inode; the rest of the filesystem is readable.
    (0x1_0000, "encrypt", true),
    // Names are compared byte by byte.
    (0x2_0000, "casefold", true),
];

/// The compatible features, by the names that `dumpe2fs` prints.
const COMPAT: [(u32, &str); 12] = [
    (0x1, "dir_prealloc"),
    (0x2, "imagic_inodes"),
    (COMPAT_HAS_JOURNAL, "has_journal"),
    (0x8, "ext_attr"),
    (0x10, "resize_inode"),
    (0x20, "dir_index"),
    (0x40, "lazy_bg"),
    (0x100, "snapshot_bitmap"),
    (COMPAT_SPARSE_SUPER2, "sparse_super2"),
    (0x400, "fast_commit"),
    (0x800, "stable_inodes"),
    (0x1000, "orphan_file"),
];

/// The features that a reader can ignore, by the names that `dumpe2fs` prints.
const RO_COMPAT: [(u32, &str); 16] = [
    (RO_COMPAT_SPARSE_SUPER, "sparse_super"),
    (0x2, "large_file"),
    (0x8, "huge_file"),
    (RO_COMPAT_GDT_CSUM, "uninit_bg"),
    (0x20, "dir_nlink"),
    (0x40, "extra_isize"),
    (0x80, "snapshot"),
    (0x100, "quota"),
    (0x200, "bigalloc"),
    (RO_COMPAT_METADATA_CSUM, "metadata_csum"),
    (0x800, "replica"),
    (0x1000, "read-only"),
    (0x2000, "project"),
    (0x4000, "shared_blocks"),
    (0x8000, "verity"),
    (0x1_0000, "orphan_present"),
];

/// All features of a filesystem, by the names and in the order of `dumpe2fs`.
pub(super) fn names(compat: u32, incompat: u32, ro_compat: u32) -> Vec<String> {
    let incompat_names = INCOMPAT.map(|(bit, name, _)| (bit, name));
    [
        ('C', compat, COMPAT.as_slice()),
        ('I', incompat, incompat_names.as_slice()),
        ('R', ro_compat, RO_COMPAT.as_slice()),
    ]
    .into_iter()
    .flat_map(|(kind, flags, names)| {
        (0..u32::BITS).filter(move |bit| flags >> bit & 1 == 1).map(move |bit| {
            let known = names.iter().find(|(flag, _)| *flag == 1 << bit);
            known.map_or_else(|| format!("FEATURE_{kind}{bit}"), |(_, name)| (*name).to_owned())
        })
    })
    .collect()
}

/// Refuses a filesystem with an incompatible feature that this driver does not know, and names it.
pub(super) fn check(incompat: u32) -> Result<(), FsError> {
    refuse::unread_features("ext4", &INCOMPAT, incompat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsupported_features_are_named() {
        assert!(check(0x2c2).is_ok());
        let error = check(0x2c2 | 0x1 | 0x1000 | 0x4000_0000).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ext4 with compression, dirdata, unknown feature flags 0x40000000 is not supported"
        );
    }
}
