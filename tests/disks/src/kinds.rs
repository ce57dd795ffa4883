//! The kinds of disks that are compared with the kernel: filesystems with the options that distributions and people use.

use crate::layout::Layout;

/// One kind of disk.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What makes it different from the others.
    pub name: &'static str,
    /// What is around the filesystem.
    pub layout: Layout,
    /// The program that makes the filesystem, and its options.
    pub mkfs: &'static [&'static str],
    /// The options that it is mounted with when it is filled.
    pub mount: &'static str,
    /// How many files are made in one directory, of which every third is deleted again.
    pub many: usize,
}

impl Kind {
    /// The format, as `mkfs` has it in its name.
    pub fn format(&self) -> &'static str {
        self.mkfs[0].trim_start_matches("mkfs.")
    }

    /// Whether what was synced to the disk, but not written to its place, is found again by a journal or log.
    pub fn has_journal(&self) -> bool {
        self.format() != "ext2"
    }
}

/// Enough files for a hash tree of two levels, where it has blocks of 4 KiB.
const MANY: usize = 6000;
/// 100,000 entries, and the holes between them.
const HUNDRED_THOUSAND: usize = 150_000;

const fn kind(
    name: &'static str,
    layout: Layout,
    mkfs: &'static [&'static str],
    mount: &'static str,
    many: usize,
) -> Kind {
    Kind { name, layout, mkfs, mount, many }
}

/// Every kind, by format.
#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    kind("ext2", Layout::Bare, &["mkfs.ext2"], "rw", MANY),
    kind("ext2, 1 KiB blocks, no file types", Layout::MbrLogical, &["mkfs.ext2", "-b", "1024", "-O", "^filetype,^dir_index"], "rw", 2000),
    kind("ext3", Layout::MbrLogical, &["mkfs.ext3"], "rw", MANY),
    kind("ext3, 1 KiB blocks, data in the journal", Layout::Gpt, &["mkfs.ext3", "-b", "1024"], "rw,data=journal", MANY),
    kind("ext4", Layout::Gpt, &["mkfs.ext4", "-N", "200000"], "rw", HUNDRED_THOUSAND),
    kind("ext4 on the bare disk", Layout::Bare, &["mkfs.ext4"], "rw", MANY),
    kind("ext4 in a logical volume", Layout::Lvm, &["mkfs.ext4"], "rw", MANY),
    kind("ext4 in a striped logical volume", Layout::LvmStriped, &["mkfs.ext4"], "rw", 1000),
    kind("ext4 on RAID1", Layout::Raid1, &["mkfs.ext4"], "rw", 1000),
    kind("ext4 as on old systems", Layout::MbrLogical, &["mkfs.ext4", "-I", "128", "-O", "^metadata_csum,^64bit,uninit_bg,^flex_bg"], "rw", MANY),
    kind("ext4 as on new systems", Layout::Gpt, &["mkfs.ext4", "-O", "metadata_csum_seed,orphan_file,sparse_super2,^resize_inode"], "rw", MANY),
    kind("ext4, inline data, large attributes", Layout::Gpt, &["mkfs.ext4", "-O", "inline_data,ea_inode", "-I", "512"], "rw", MANY),
    kind("ext4, clusters of 64 KiB", Layout::Gpt, &["mkfs.ext4", "-O", "bigalloc", "-C", "65536"], "rw", MANY),
    kind("ext4, 1 KiB blocks, three-level directories", Layout::Gpt, &["mkfs.ext4", "-b", "1024", "-N", "200000", "-O", "large_dir,meta_bg,^resize_inode"], "rw", HUNDRED_THOUSAND),
    kind("ext4, block maps", Layout::MbrLogical, &["mkfs.ext4", "-O", "^extent,^64bit"], "rw", MANY),
    kind("XFS", Layout::Gpt, &["mkfs.xfs"], "rw", HUNDRED_THOUSAND),
    kind("XFS in a logical volume", Layout::Lvm, &["mkfs.xfs"], "rw", MANY),
    kind("XFS on the bare disk", Layout::Bare, &["mkfs.xfs"], "rw", MANY),
    kind("XFS as on old systems", Layout::MbrLogical, &["mkfs.xfs", "-m", "finobt=0,rmapbt=0,reflink=0,bigtime=0,inobtcount=0", "-i", "sparse=0"], "rw", MANY),
    kind("XFS as on new systems", Layout::Gpt, &["mkfs.xfs", "-m", "bigtime=1,inobtcount=1,rmapbt=1", "-i", "nrext64=1"], "rw", MANY),
    kind("XFS, 1 KiB blocks", Layout::Gpt, &["mkfs.xfs", "-b", "size=1024"], "rw", HUNDRED_THOUSAND),
    kind("XFS, 64 KiB directory blocks", Layout::Gpt, &["mkfs.xfs", "-n", "size=65536"], "rw", MANY),
    kind("XFS, 4 KiB sectors, 2 KiB inodes", Layout::Gpt, &["mkfs.xfs", "-s", "size=4096", "-i", "size=2048"], "rw", MANY),
    kind("XFS, many allocation groups", Layout::Gpt, &["mkfs.xfs", "-d", "agcount=16"], "rw", MANY),
    kind("Btrfs", Layout::Gpt, &["mkfs.btrfs"], "rw", HUNDRED_THOUSAND),
    kind("Btrfs on the bare disk, zstd", Layout::Bare, &["mkfs.btrfs"], "rw,compress=zstd", MANY),
    kind("Btrfs, zlib", Layout::MbrLogical, &["mkfs.btrfs"], "rw,compress-force=zlib", MANY),
    kind("Btrfs, lzo", Layout::Gpt, &["mkfs.btrfs"], "rw,compress-force=lzo", MANY),
    kind("Btrfs, xxhash, small nodes", Layout::Gpt, &["mkfs.btrfs", "--csum", "xxhash", "-n", "4096"], "rw", MANY),
    kind("Btrfs, sha256, large nodes", Layout::Gpt, &["mkfs.btrfs", "--csum", "sha256", "-n", "65536"], "rw", MANY),
    kind("Btrfs, blake2", Layout::Gpt, &["mkfs.btrfs", "--csum", "blake2"], "rw,compress=zstd:15", MANY),
    kind("Btrfs, everything twice", Layout::Gpt, &["mkfs.btrfs", "-m", "dup", "-d", "dup"], "rw", MANY),
    kind("Btrfs, everything on two disks", Layout::TwoDisks, &["mkfs.btrfs", "-m", "raid1", "-d", "raid1"], "rw,compress=zstd", 1000),
    kind("Btrfs, striped on two disks", Layout::TwoDisks, &["mkfs.btrfs", "-m", "raid1", "-d", "raid0"], "rw", 1000),
    kind("Btrfs, data and metadata mixed", Layout::Gpt, &["mkfs.btrfs", "--mixed"], "rw", MANY),
    kind("Btrfs as on old systems", Layout::MbrLogical, &["mkfs.btrfs", "-O", "^no-holes,^extref,^skinny-metadata", "-R", "^free-space-tree"], "rw,max_inline=0", MANY),
    kind("Btrfs, quotas", Layout::Gpt, &["mkfs.btrfs", "-R", "quota"], "rw,compress=zstd:1", MANY),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_kind_has_a_name_of_its_own() {
        let names: BTreeSet<_> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), KINDS.len());
    }
}
