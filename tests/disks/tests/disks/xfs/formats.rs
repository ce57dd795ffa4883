//! Every variant of the format that `mkfs` makes and this kernel mounts.

use agentless_disk_tests::image::{Mount, Workspace, can_mount, open};
use agentless_disk_tests::{fill, manifest};

/// Formats, fills, and compares.
fn compare(mkfs: &[&str]) {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 512 << 20, &[&["mkfs.xfs"], mkfs].concat());
    {
        let mount = Mount::writable(&image);
        fill::fill(mount.path(), 6000);
    }
    assert_eq!(open(&image).kind(), "xfs");
    manifest::assert_equal_to_kernels(&image, &mkfs.join(" "));
}

/// One test for each variant, so that they run side by side and a failure names its variant.
macro_rules! formats {
    ($($name:ident: [$($mkfs:literal),*];)+) => {$(
        #[test]
        fn $name() {
            compare(&[$($mkfs),*]);
        }
    )+};
}

formats! {
    defaults: [];
    blocks_of_1_kib: ["-b", "size=1024"];
    blocks_of_2_kib: ["-b", "size=2048"];
    blocks_of_8_kib: ["-b", "size=8192"];
    blocks_of_16_kib: ["-b", "size=16384"];
    blocks_of_64_kib: ["-b", "size=65536"];
    directory_blocks_of_64_kib: ["-n", "size=65536"];
    directory_blocks_of_8_kib_on_blocks_of_1_kib: ["-n", "size=8192", "-b", "size=1024"];
    sectors_of_4_kib: ["-s", "size=4096"];
    inodes_of_1_kib: ["-i", "size=1024"];
    inodes_of_2_kib: ["-i", "size=2048"];
    without_bigtime: ["-m", "bigtime=0"];
    with_nrext64: ["-i", "nrext64=1"];
    without_sparse_inodes: ["-i", "sparse=0"];
    without_reflink: ["-m", "reflink=0"];
    without_any_option: ["-m", "finobt=0,reflink=0,rmapbt=0,bigtime=0,inobtcount=0", "-i", "sparse=0"];
    with_rmapbt: ["-m", "rmapbt=1"];


}
