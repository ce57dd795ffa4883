//! Every variant of the format that `mkfs` makes and this kernel mounts.

use crate::support::{Mount, Workspace, can_mount, open};
use crate::{fill, manifest};

/// Formats, fills, and compares.
fn compare(expected_kind: &str, mkfs: &[&str]) {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 192 << 20, mkfs);
    {
        let mount = Mount::writable(&image);
        fill::fill(mount.path(), 6000);
    }
    let kernel = {
        let mount = Mount::read_only(&image);
        manifest::of_kernel(mount.path())
    };
    let file_system = open(&image);
    assert_eq!(file_system.kind(), expected_kind);
    assert_eq!(file_system.journal(), agentless_scanner::fs::Journal::Clean);
    let ours = manifest::of_ours(file_system);
    manifest::assert_equal(&kernel, &ours, &mkfs.join(" "));
    println!("{}: {} entries equal", mkfs.join(" "), ours.len());
}

/// One test for each variant, so that they run side by side and a failure names its variant.
macro_rules! formats {
    ($($name:ident: $kind:literal, [$($mkfs:literal),+];)+) => {$(
        #[test]
        fn $name() {
            compare($kind, &[$($mkfs),+]);
        }
    )+};
}

formats! {
    ext2_with_1_kib_blocks: "ext2", ["mkfs.ext2", "-b", "1024"];
    ext2_with_4_kib_blocks: "ext2", ["mkfs.ext2", "-b", "4096"];
    ext2_without_file_types: "ext2", ["mkfs.ext2", "-O", "^filetype,^sparse_super,^dir_index,^resize_inode"];
    ext2_with_small_inodes: "ext2", ["mkfs.ext2", "-I", "128"];
    ext3: "ext3", ["mkfs.ext3", "-b", "1024"];
    ext4: "ext4", ["mkfs.ext4"];
    ext4_with_1_kib_blocks: "ext4", ["mkfs.ext4", "-b", "1024"];
    ext4_with_2_kib_blocks: "ext4", ["mkfs.ext4", "-b", "2048"];
    ext4_without_checksums: "ext4", ["mkfs.ext4", "-O", "^metadata_csum"];
    ext4_with_descriptor_checksums_only: "ext4", ["mkfs.ext4", "-O", "^metadata_csum,uninit_bg"];
    ext4_without_64bit: "ext4", ["mkfs.ext4", "-O", "^64bit"];
    ext4_with_block_maps: "ext4", ["mkfs.ext4", "-O", "^extent,^64bit"];
    ext4_with_block_maps_of_1_kib: "ext4", ["mkfs.ext4", "-O", "^extent,^64bit", "-b", "1024"];
    ext4_with_inline_data: "ext4", ["mkfs.ext4", "-O", "inline_data"];
    ext4_with_inline_data_in_large_inodes: "ext4", ["mkfs.ext4", "-O", "inline_data", "-I", "1024"];
    ext4_with_bigalloc: "ext4", ["mkfs.ext4", "-O", "bigalloc", "-C", "16384"];
    ext4_with_bigalloc_and_1_kib_blocks: "ext4", ["mkfs.ext4", "-O", "bigalloc", "-b", "1024", "-C", "8192"];
    ext4_with_large_dir: "ext4", ["mkfs.ext4", "-O", "large_dir", "-b", "1024"];
    ext4_with_meta_bg: "ext4", ["mkfs.ext4", "-O", "meta_bg,^resize_inode", "-b", "1024", "-g", "1024"];
    ext4_with_meta_bg_of_4_kib: "ext4", ["mkfs.ext4", "-O", "meta_bg,^resize_inode", "-g", "256"];
    ext4_with_sparse_super2: "ext4", ["mkfs.ext4", "-O", "sparse_super2,meta_bg,^resize_inode", "-g", "256"];
    ext4_without_flex_bg: "ext4", ["mkfs.ext4", "-O", "^flex_bg"];
    ext4_with_a_checksum_seed: "ext4", ["mkfs.ext4", "-O", "metadata_csum_seed"];
    ext4_with_small_inodes: "ext4", ["mkfs.ext4", "-I", "128"];
    ext4_with_ea_inode: "ext4", ["mkfs.ext4", "-O", "ea_inode"];
    ext4_with_encryption_and_verity: "ext4", ["mkfs.ext4", "-O", "encrypt,verity"];
    ext4_with_tea_hashes: "ext4", ["mkfs.ext4", "-b", "1024", "-E", "hash_seed=0a0b0c0d-0e0f-4102-8304-050607080900"];
}
