//! We fetch no more of a snapshot than the kernel reads of a disk: counted in 512 KiB blocks, each of which is one request.
//!
//! The reference is the kernel's own mount of the same image, cold, seen by a tracepoint of the block layer.

use std::path::PathBuf;

use agentless_disk_tests::block_trace::{READ_AHEAD, blocks_of_kernel};
use agentless_disk_tests::image::{Mount, Workspace, can_mount};
use agentless_disk_tests::image_blocks::written;
use agentless_disk_tests::scanner::Scanner;
use agentless_disk_tests::work::Work;
use agentless_disk_tests::{debian, languages, large_tree};

/// A Debian system with a large application and packages of languages, on 2 GiB.
fn image(workspace: &Workspace, kind: &str) -> PathBuf {
    let image = workspace.format("image", 2 << 30, &[&format!("mkfs.{kind}")]);
    let mount = Mount::writable(&image);
    debian::install(mount.path());
    large_tree::fill(&mount.path().join("srv"), 30_000);
    languages::install(&mount.path().join("opt"));
    image
}

/// For the package databases, for a walk, and for a walk with all files that record packages, at most a tenth and one block
/// more than the kernel, which reads the same parts of the same files; for everything each block that was ever written once,
/// also when memory has room for one only, and no other. One block, because a tenth of the ten that hold the databases of a
/// system is no more than what moves with the moment of the kernel's last commit.
fn compare(kind: &str) {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = image(&workspace, kind);
    let scanner = Scanner::new();
    for work in [Work::OsPackages, Work::Walk, Work::AllPackages] {
        let (file_system, fetches) = scanner.open(&image);
        let seen = work.by_us(file_system);
        let ours = fetches.blocks();
        assert_eq!(fetches.repeated(), 0);
        let kernel = READ_AHEAD.iter().filter_map(|&sectors| {
            let (blocks, theirs) = blocks_of_kernel(&image, kind, sectors, |root| work.by_kernel(root))?;
            assert_eq!(seen, theirs);
            Some(blocks.len())
        });
        let Some(kernel) = kernel.min() else { continue };
        println!("{kind}, {}: {} blocks, the kernel {kernel}", work.title(), ours.len());
        assert!(ours.len() * 10 <= kernel * 11 + 10, "{kind}, {}: {} of {kernel}", work.title(), ours.len());
    }
    let scanner = scanner.with_memory(1);
    let (file_system, fetches) = scanner.open(&image);
    let tally = Work::ReadAll.by_us(file_system);
    println!("{kind}, {}: {} blocks", Work::ReadAll.title(), fetches.blocks().len());
    assert_eq!(fetches.repeated(), 0);
    assert!(tally.bytes > 0);
    let written = written(&image);
    println!("{kind}: {} blocks were written", written.len());
    assert_eq!(fetches.blocks().difference(&written).collect::<Vec<_>>(), Vec::<&u64>::new());
}

#[test]
fn ext4_costs_no_more_blocks_than_the_kernel_reads() {
    compare("ext4");
}

#[test]
fn btrfs_costs_no_more_blocks_than_the_kernel_reads() {
    compare("btrfs");
}

#[test]
fn xfs_costs_no_more_blocks_than_the_kernel_reads() {
    compare("xfs");
}
