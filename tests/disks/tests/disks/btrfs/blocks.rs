//! How many blocks of a snapshot reading a few files and listing everything costs.

use std::sync::Arc;

use agentless_analyser::fs::{FileType, Inode, open};
use agentless_analyser::limits::Limits;

use agentless_disk_tests::counting::CountingVolume;
use agentless_disk_tests::fill;
use agentless_disk_tests::image::{Mount, Workspace, can_mount};

use super::read;

#[test]
fn a_file_costs_a_few_blocks_and_hints_are_never_in_vain() {
    if !can_mount() {
        return;
    }
    let workspace = Workspace::new();
    let image = workspace.format("image", 1 << 30, &["mkfs.btrfs"]);
    {
        let mount = Mount::writable(&image);
        for dir in 0..80 {
            let dir = mount.path().join(format!("dir-{dir}"));
            std::fs::create_dir(&dir).unwrap();
            for file in 0..200 {
                std::fs::write(dir.join(format!("file-{file}")), fill::content(file, 10_000)).unwrap();
            }
        }
    }
    let volume = Arc::new(CountingVolume::new(&image));
    let limits = Limits::default();
    let file_system = open(volume.clone(), &limits).unwrap();
    let content = read(&*file_system, "dir-40/file-100").unwrap();
    assert_eq!(content, fill::content(100, 10_000));
    let touched = volume.touched();
    println!("one of 16,000 files costs {touched} blocks");
    // Superblock, chunk tree, root tree and the nodes on the way: where they lie depends on when the kernel committed.
    assert!(touched <= 12, "{touched}");

    // Level by level, each level's inodes and directories fetched together; then every file.
    let mut level = vec![file_system.root()];
    let mut files = Vec::new();
    while !level.is_empty() {
        file_system.prefetch_content(&level);
        let mut entries: Vec<(Inode, Option<FileType>)> = Vec::new();
        for &dir in &level {
            let mut visit = |entry: agentless_analyser::fs::DirEntry<'_>| {
                entries.push((entry.inode, entry.file_type));
                std::ops::ControlFlow::Continue(())
            };
            file_system.read_dir(dir, &mut visit).unwrap();
        }
        let inodes: Vec<Inode> = entries.iter().map(|&(inode, _)| inode).collect();
        file_system.prefetch_inodes(&inodes);
        for &inode in &inodes {
            file_system.stat(inode).unwrap();
        }
        level = entries
            .iter()
            .filter(|entry| entry.1 == Some(FileType::Directory))
            .map(|entry| entry.0)
            .collect();
        files.extend(entries.iter().filter(|entry| entry.1 == Some(FileType::Regular)).map(|entry| entry.0));
    }
    assert_eq!((files.len(), volume.prefetched_in_vain()), (16_000, 0));
    println!("listing everything costs {} blocks", volume.touched());
    file_system.prefetch_content(&files);
    let mut buffer = vec![0; 10_000];
    for &file in &files {
        assert_eq!(file_system.read(file, 0, &mut buffer).unwrap(), 10_000);
    }
    assert_eq!(volume.prefetched_in_vain(), 0);
    println!("reading everything costs {} blocks, in {} reads", volume.touched(), volume.reads());
}
