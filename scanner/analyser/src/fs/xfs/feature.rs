//! Feature flags of the superblock. Names and values are those of the kernel's `fs/xfs/libxfs/xfs_format.h`.

use super::FsError;
use super::superblock::Superblock;
use crate::fs::refuse;

/// `XFS_SB_VERSION_NUMBITS`: the version within `sb_versionnum`.
pub(super) const VERSION_NUMBER: u16 = 0xf;
/// `XFS_SB_VERSION_LOGV2BIT`
pub(super) const VERSION_LOGV2: u16 = 0x0400;
/// `XFS_SB_VERSION_DIRV2BIT`: directories as all filesystems of this century have them.
pub(super) const VERSION_DIRV2: u16 = 0x2000;
/// `XFS_SB_VERSION_BORGBIT`: names in directories are hashed without regard to the case of ASCII letters.
pub(super) const VERSION_ASCII_CI: u16 = 0x4000;
/// `XFS_SB_VERSION_MOREBITSBIT`: `sb_features2` counts.
pub(super) const VERSION_MOREBITS: u16 = 0x8000;

/// `XFS_SB_VERSION2_PROJID32BIT`
const FEATURES2_PROJID32: u32 = 0x80;
/// `XFS_SB_VERSION2_FTYPE`: directory entries record the type, in version 4.
pub(super) const FEATURES2_FTYPE: u32 = 0x200;
/// `XFS_SB_VERSION2_LAZYSBCOUNTBIT`
const FEATURES2_LAZYSBCOUNT: u32 = 0x2;

/// `XFS_SB_FEAT_INCOMPAT_FTYPE`: directory entries record the type, in version 5.
pub(super) const INCOMPAT_FTYPE: u32 = 0x1;
/// `XFS_SB_FEAT_INCOMPAT_META_UUID`: metadata has another UUID than users see.
pub(super) const INCOMPAT_META_UUID: u32 = 0x4;

/// Every incompatible feature, and whether this driver reads filesystems that have it.
const INCOMPAT: [(u32, &str, bool); 11] = [
    (INCOMPAT_FTYPE, "ftype", true),
    (0x2, "sparse", true),
    (INCOMPAT_META_UUID, "meta_uuid", true),
    (0x8, "bigtime", true),
    // Set while `xfs_admin` or `xfs_repair` rewrites metadata; the kernel does not mount what they left half done.
    (0x10, "needsrepair", false),
    (0x20, "nrext64", true),
    (0x40, "exchange", true),
    (0x80, "parent", true),
    (0x100, "metadir", true),
    // What is stored in zones is the data of files of the realtime device, each of which is refused by itself.
    (0x200, "zoned", true),
    (0x400, "zonegaps", true),
];

/// Refuses a filesystem with an incompatible feature that this driver does not read, and names it. Read-only compatible
/// features, known or not, are no obstacle to who only reads.
pub(super) fn check(incompat: u32) -> Result<(), FsError> {
    refuse::unread_features("XFS", &INCOMPAT, incompat)
}

/// The names of a filesystem's features, as `xfs_info` prints them and in its order.
pub(super) fn names(sb: &Superblock) -> Vec<&'static str> {
    let is_v5 = sb.has_crc();
    let has = |flags: u32, bit: u32| flags & bit != 0;
    // Version 5 has these always, whatever the flags of version 4 say.
    let or_v5 = |bit: u32| is_v5 || has(sb.features2, bit);
    [
        (or_v5(FEATURES2_PROJID32), "projid32bit"),
        (is_v5, "crc"),
        (has(sb.ro_compat, 0x1), "finobt"),
        (has(sb.incompat, 0x2), "sparse"),
        (has(sb.ro_compat, 0x2), "rmapbt"),
        (has(sb.ro_compat, 0x4), "reflink"),
        (has(sb.incompat, 0x8), "bigtime"),
        (has(sb.ro_compat, 0x8), "inobtcount"),
        (has(sb.incompat, 0x20), "nrext64"),
        (has(sb.incompat, 0x40), "exchange"),
        (has(sb.incompat, 0x100), "metadir"),
        (sb.has_ascii_ci(), "ascii-ci"),
        (sb.has_ftype(), "ftype"),
        (has(sb.incompat, 0x80), "parent"),
        (or_v5(FEATURES2_LAZYSBCOUNT), "lazy-count"),
        (has(sb.incompat, 0x200), "zoned"),
    ]
    .into_iter()
    .filter_map(|(present, name)| present.then_some(name))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsupported_features_are_named() {
        assert!(check(0x6f).is_ok());
        let error = check(0x1 | 0x10 | 0x4000_0000).unwrap_err();
        assert_eq!(
            error.to_string(),
            "XFS with needsrepair, unknown feature flags 0x40000000 is not supported"
        );
    }
}
