//! A disk that was copied while a file on it was being cut.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use agentless_analyser::fs::Journal;

use agentless_disk_tests::image::{Mount, Workspace, can_mount, open, run};
use agentless_disk_tests::shut_down::{Stop, shut_down};
use agentless_disk_tests::{fill, manifest, truncations};

use crate::compare_disk::{assert_ends, compare_disk};

/// Puts an inode on the list of orphans, as `ext4_orphan_add` does.
type AddOrphan = fn(image: &Path, inode: u64);

#[test]
fn the_kernel_sets_the_time_of_a_file_that_was_being_cut_and_we_show_that_of_the_disk() {
    if !can_mount() {
        return;
    }
    let cases: [(&[&str], AddOrphan); 3] = [
        (&["mkfs.ext3", "-b", "1024"], add_to_list),
        (&["mkfs.ext4"], add_to_list),
        // Without checksums, so that the block may be written by hand.
        (&["mkfs.ext4", "-O", "orphan_file,^metadata_csum"], add_to_file),
    ];
    for (mkfs, add_orphan) in cases {
        let what = mkfs.join(" ");
        let workspace = Workspace::new();
        let image = workspace.format("image", 16 << 20, mkfs);
        let inode = cut_a_file(Mount::writable(&image).path());
        let dirty = {
            let mount = Mount::writable(&image);
            // No file is opened or deleted: either would put the superblock into the journal, without the orphan.
            let durable = mount.path().join("durable");
            fs::create_dir(&durable).unwrap();
            File::open(&durable).unwrap().sync_all().unwrap();
            shut_down(mount.path(), Stop::AtOnce);
            workspace.copy(&image, "dirty")
        };
        add_orphan(&dirty, inode);

        let file_system = open(&dirty);
        assert!(matches!(file_system.journal(), Journal::Replayed { .. }), "{what}");
        let ours = manifest::of_ours(file_system);
        let [recovered, by_e2fsck] = ["recovered", "by-e2fsck"].map(|name| workspace.copy(&dirty, name));
        let mount = Mount::writable(&recovered);
        let mut kernel = manifest::of_kernel(mount.path());
        let differences = manifest::differences(&kernel, &ours);
        let different: Vec<_> = differences.iter().map(|(path, ..)| *path).collect();
        assert_eq!(different, [&b"another-name"[..], b"cut"], "{what}");

        let paths = truncations::take_times_of_disk(&mut kernel, mount.path(), &by_e2fsck, None).unwrap();
        assert_eq!(paths, 2, "{what}");
        manifest::assert_equal(&kernel, &ours, &what);
        assert_ends(&compare_disk(&dirty, &[]), 0, "2 entries that were being cut, 6 entries, all equal");
    }
}

/// Makes a file that has been cut long ago, and another like it; returns the inode of the first, which has two names.
fn cut_a_file(root: &Path) -> u64 {
    for name in ["cut", "not-listed"] {
        let file = File::create(root.join(name)).unwrap();
        file.write_all_at(&fill::content(1, 20_000), 0).unwrap();
        file.set_len(1195).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    }
    fs::hard_link(root.join("cut"), root.join("another-name")).unwrap();
    root.join("cut").metadata().unwrap().ino()
}

fn debugfs(image: &Path, request: &str) -> String {
    // `-n`: without the checksums of bitmaps, which may be torn.
    run(Command::new("debugfs").args(["-n", "-w", "-R", request]).arg(image))
}

/// In `s_last_orphan`; its own `i_dtime`, the next of the list, is zero.
fn add_to_list(image: &Path, inode: u64) {
    debugfs(image, &format!("set_super_value last_orphan {inode}"));
}

/// In the first entry of the orphan file. That there may be one, the kernel has noted when it mounted the filesystem.
fn add_to_file(image: &Path, inode: u64) {
    let shown = run(Command::new("dumpe2fs").arg("-h").arg(image));
    let field = |name: &str| -> u64 {
        let value = shown.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap().trim().parse().unwrap()
    };
    let orphan_file = field("Orphan file inode:");
    let block: u64 = debugfs(image, &format!("bmap <{orphan_file}> 0")).trim().parse().unwrap();
    let file = File::options().write(true).open(image).unwrap();
    let entry = u32::try_from(inode).unwrap().to_le_bytes();
    file.write_all_at(&entry, block * field("Block size:")).unwrap();
}
