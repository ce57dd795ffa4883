//! Feature flags, by the names that `btrfs inspect-internal dump-super` prints.

use super::FsError;

/// Flags of `incompat_flags`, `BTRFS_FEATURE_INCOMPAT_*`.
const INCOMPAT: [(u64, &str, Readable); 17] = [
    (1 << 0, "MIXED_BACKREF", Readable::Yes),
    (1 << 1, "DEFAULT_SUBVOL", Readable::Yes),
    (1 << 2, "MIXED_GROUPS", Readable::Yes),
    (1 << 3, "COMPRESS_LZO", Readable::Yes),
    (1 << 4, "COMPRESS_ZSTD", Readable::Yes),
    (1 << 5, "BIG_METADATA", Readable::Yes),
    (1 << 6, "EXTENDED_IREF", Readable::Yes),
    (1 << 7, "RAID56", Readable::Yes),
    (1 << 8, "SKINNY_METADATA", Readable::Yes),
    (NO_HOLES, "NO_HOLES", Readable::Yes),
    (METADATA_UUID, "METADATA_UUID", Readable::Yes),
    (1 << 11, "RAID1C34", Readable::Yes),
    // The superblock is in a log of its own, at the start of a zone.
    (1 << 12, "ZONED", Readable::No),
    // Several extent and checksum trees.
    (1 << 13, "EXTENT_TREE_V2", Readable::No),
    // Chunks do not say where data is.
    (1 << 14, "RAID_STRIPE_TREE", Readable::No),
    // Accounting of space; changes nothing for readers.
    (1 << 16, "SIMPLE_QUOTA", Readable::Yes),
    // Addresses are translated once more.
    (1 << 17, "REMAP_TREE", Readable::No),
];

/// Holes of files have no items.
pub(super) const NO_HOLES: u64 = 1 << 9;
/// Nodes carry `metadata_uuid` instead of the UUID that users see.
pub(super) const METADATA_UUID: u64 = 1 << 10;

/// Flags of `compat_ro_flags`, `BTRFS_FEATURE_COMPAT_RO_*`: readers may ignore them all.
const COMPAT_RO: [(u64, &str); 4] = [
    (1 << 0, "FREE_SPACE_TREE"),
    (1 << 1, "FREE_SPACE_TREE_VALID"),
    (1 << 2, "VERITY"),
    (1 << 3, "BLOCK_GROUP_TREE"),
];

/// Whether this driver reads filesystems that have a feature.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readable {
    Yes,
    No,
}

/// Refuses, by its name, what this driver does not read.
pub(super) fn check(incompat: u64) -> Result<(), FsError> {
    let mut unknown = incompat;
    for (flag, name, readable) in INCOMPAT {
        if incompat & flag != 0 && readable == Readable::No {
            return Err(FsError::Unsupported { feature: format!("the Btrfs feature {name}") });
        }
        unknown &= !flag;
    }
    if unknown != 0 {
        return Err(FsError::Unsupported {
            feature: format!("the Btrfs feature of incompat bit {}", unknown.trailing_zeros()),
        });
    }
    Ok(())
}

/// The names of the features that are set; unknown ones by their bits.
pub(super) fn names(incompat: u64, compat_ro: u64) -> Vec<String> {
    let known = INCOMPAT.iter().map(|&(flag, name, _)| (incompat & flag != 0, name));
    let known = known.chain(COMPAT_RO.iter().map(|&(flag, name)| (compat_ro & flag != 0, name)));
    let mut names: Vec<String> = known.filter(|&(set, _)| set).map(|(_, name)| name.to_owned()).collect();
    let unknown = COMPAT_RO.iter().fold(compat_ro, |unknown, &(flag, _)| unknown & !flag);
    if unknown != 0 {
        names.push(format!("unknown flag: 0x{unknown:x}"));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_named() {
        check(0x3ff | METADATA_UUID | (1 << 11) | (1 << 16)).unwrap();
        let refused = |incompat| check(incompat).unwrap_err().to_string();
        assert_eq!(refused(1 << 13), "the Btrfs feature EXTENT_TREE_V2 is not supported");
        assert_eq!(refused(1 << 40), "the Btrfs feature of incompat bit 40 is not supported");
    }

    #[test]
    fn names_are_in_the_order_of_their_bits() {
        assert_eq!(names(0x201, 0x9), ["MIXED_BACKREF", "NO_HOLES", "FREE_SPACE_TREE", "BLOCK_GROUP_TREE"]);
        assert_eq!(names(0, 0x30), ["unknown flag: 0x30"]);
    }
}
