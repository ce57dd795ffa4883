//! Disks that were made to do harm: the fuzz corpus, and thousands of mutations of each of its images.
//!
//! What a parser says about them does not matter here. That it says something does: no panic, no abort, and no more work
//! than the limits allow. Anything that is ever found by fuzzing belongs into `scanner/fuzz/corpus`, where these tests
//! replay it.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "the helpers of tests fail as tests do, read files, and print figures"
)]

#[path = "../../fuzz/mutate.rs"]
mod mutate;
#[path = "../../fuzz/seal/xfs.rs"]
mod seal;

use std::time::{Duration, Instant};

use agentless_analyser::analyse;
use agentless_analyser::fs::{FsError, fstab, survey};

use self::mutate::{Mutator, corpus};

/// Runs `parse` on every seed of a target and on `count` mutations of each.
fn torment<T>(target: &str, count: usize, parse: impl Fn(&[u8]) -> Result<T, FsError>) {
    let started = Instant::now();
    let (mut readable, mut slowest) = (0_u32, Duration::ZERO);
    let seeds = corpus(target);
    for (name, seed) in &seeds {
        // A seed that cannot be read at all would test nothing. Those that fuzzing found are named `crash-…`.
        let whole = parse(seed);
        assert!(whole.is_ok() || name.starts_with("crash-"), "{target}/{name}: {:?}", whole.err());
        let mut mutator = Mutator::new();
        for _ in 0..count {
            let mutated = mutator.mutate(seed);
            let began = Instant::now();
            readable += u32::from(parse(&mutated).is_ok());
            slowest = slowest.max(began.elapsed());
        }
    }
    println!(
        "{target}: {} seeds with {count} mutations each, {readable} of them readable, {:.1?} in all, slowest {slowest:.1?}",
        seeds.len(),
        started.elapsed()
    );
}

#[test]
fn partition_tables() {
    torment("partition_table", 1000, survey::encoded_disk);
}

#[test]
fn machines() {
    torment("machine", 400, analyse::survey::encoded_machine);
}

#[test]
fn file_systems() {
    torment("ext4", 400, survey::encoded_volume);
}

#[test]
fn tables_of_mounts() {
    torment("fstab", 2000, |content| -> Result<(), FsError> {
        fstab::fuzz_fstab(content);
        Ok(())
    });
}

#[test]
fn btrfs() {
    // As they are, and so that changes get past the checksums.
    torment("btrfs", 50, survey::encoded_volume);
    torment("btrfs", 400, survey::encoded_btrfs);
}

#[test]
fn journals() {
    torment("journal", 2000, survey::encoded_journal);
}

#[test]
fn xfs() {
    // As they are, and so that changes get past the checksums.
    torment("xfs", 100, survey::encoded_volume);
    torment("xfs", 500, |encoded| survey::encoded_volume(&sealed(encoded)));
}

#[test]
fn logs() {
    torment("xfs_log", 1000, survey::encoded_log);
    torment("xfs_log", 2000, |encoded| survey::encoded_log(&sealed(encoded)));
}

/// An image of XFS with right checksums.
fn sealed(encoded: &[u8]) -> Vec<u8> {
    let mut sealed = encoded.to_vec();
    seal::seal(&mut sealed);
    sealed
}

/// What is right is left as it is, and what was changed is made right.
#[test]
fn sealing_makes_the_checksums_of_xfs_right() {
    for target in ["xfs", "xfs_log"] {
        for (name, seed) in corpus(target) {
            assert!(sealed(&seed) == seed, "{target}/{name}");
        }
    }
    let (_, seed) = corpus("xfs").into_iter().find(|(name, _)| name == "directories").unwrap();
    let whole = survey::encoded_volume(&seed).unwrap();
    // The times of access of all inodes.
    let mut changed = seed.clone();
    for inode in (8..seed.len() - 511).step_by(516).filter(|&at| seed[at..].starts_with(b"IN")) {
        changed[inode + 36] ^= 0xff;
    }
    assert!(survey::encoded_volume(&changed).is_err() || survey::encoded_volume(&changed).unwrap() != whole);
    assert_eq!(survey::encoded_volume(&sealed(&changed)).unwrap(), whole);
}

#[test]
fn volume_groups_and_arrays() {
    torment("members", 1000, agentless_analyser::volume::survey::encoded_members);
    torment("lvm_text", 1000, agentless_analyser::volume::survey::volume_group);
}
