//! Every variant of the format that `mkfs` makes and this kernel mounts.

use std::process::Command;
use std::rc::Rc;

use agentless_analyser::fs::{FileType, FsPath, Tree};
use agentless_analyser::limits::Limits;

use agentless_disk_tests::counting::{lookups_in_names, make_names};
use agentless_disk_tests::image::{Mount, Workspace, can_mount, open, run};
use agentless_disk_tests::{fill, manifest};

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
    assert_eq!(open(&image).kind(), expected_kind);
    manifest::assert_equal_to_kernels(&image, &mkfs.join(" "));
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
    ext4_with_an_orphan_file: "ext4", ["mkfs.ext4", "-O", "orphan_file"];
    ext4_with_multiple_mount_protection: "ext4", ["mkfs.ext4", "-O", "mmp"];
    ext4_with_encryption_and_verity: "ext4", ["mkfs.ext4", "-O", "encrypt,verity"];
    ext4_with_tea_hashes: "ext4", ["mkfs.ext4", "-b", "1024", "-E", "hash_seed=0a0b0c0d-0e0f-4102-8304-050607080900"];
}

/// Larger blocks than this kernel's pages cannot be mounted: here `mkfs` copies a directory, which is then the truth.
#[test]
fn ext4_with_64_kib_blocks() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let source = workspace.path("source");
    std::fs::create_dir_all(source.join("many")).unwrap();
    for index in 0..3000 {
        let name = format!("many/{index}-{}", "n".repeat(60));
        std::fs::write(source.join(name), fill::content(index, 100)).unwrap();
    }
    std::fs::write(source.join("large"), fill::content(1, 3_000_000)).unwrap();
    for checksums in ["metadata_csum", "^metadata_csum"] {
        let directory = source.to_str().unwrap();
        let mkfs = ["mkfs.ext4", "-b", "65536", "-O", checksums, "-N", "4000", "-d", directory];
        let image = workspace.format(checksums, 512 << 20, &mkfs);
        let mut expected = manifest::of_kernel(&source);
        let mut ours = manifest::of_ours(open(&image));
        // A directory's own size differs between filesystems.
        expected.retain(|_, entry| entry.file_type != FileType::Directory);
        ours.retain(|_, entry| entry.file_type != FileType::Directory);
        manifest::assert_equal(&expected, &ours, checksums);
    }
}

#[test]
fn looking_up_a_name_in_a_large_directory_reads_a_few_of_its_blocks() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    // Small blocks, so that the tree has two levels; and the other hash functions.
    for hash in ["half_md4", "tea", "legacy"] {
        let image = workspace.format(hash, 64 << 20, &["mkfs.ext4", "-b", "1024"]);
        run(Command::new("tune2fs").args(["-E", &format!("hash_alg={hash}")]).arg(&image));
        make_names(Mount::writable(&image).path(), 9000);
        let reads = lookups_in_names(&image);
        println!("{hash}: {reads} blocks read for 6 lookups in a directory of 9000 names");
        assert!(reads < 40, "{reads}");
    }
}

#[test]
fn encrypted_files_are_refused_by_name() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 16 << 20, &["mkfs.ext4", "-O", "encrypt"]);
    {
        let mount = Mount::writable(&image);
        std::fs::create_dir(mount.path().join("dir")).unwrap();
        std::fs::write(mount.path().join("file"), "secret").unwrap();
    }
    let set_flag = |path: &str, flags: &str| {
        let request = format!("set_inode_field {path} flags {flags}");
        run(Command::new("debugfs").args(["-w", "-R", &request]).arg(&image));
    };
    // EXT4_ENCRYPT_FL, next to EXT4_EXTENTS_FL.
    set_flag("/dir", "0x80800");
    set_flag("/file", "0x80800");
    let tree = Tree::new(Rc::from(open(&image)), Limits::default());
    let error = tree.read_dir(&FsPath::new("/dir")).unwrap_err();
    assert_eq!(error.to_string(), "an encrypted directory (fscrypt) is not supported");
    let error = tree.open(&FsPath::new("/file")).unwrap().unwrap().read_all().unwrap_err();
    assert_eq!(error.to_string(), "an encrypted file (fscrypt) is not supported");
}
