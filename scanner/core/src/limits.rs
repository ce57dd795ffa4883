//! How much work a disk may cause.
//!
//! Every size, count and depth on a disk is chosen by whoever wrote the disk. What follows from one of them is bounded
//! here, in one place: a reader takes its bounds from [`Limits`] and pays for each step from a [`Budget`], so that the
//! worst disk ends its own scan with [`FsError::Limit`] and nothing else.

use std::cell::Cell;

use serde::{Deserialize, Serialize};

use crate::fs::FsError;
use crate::number::to_u64;

/// Bounds on what one volume may make a reader do. The defaults leave room above every real disk that was measured; whoever
/// has a larger one raises them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes that [`File::read_all`](crate::fs::File::read_all) returns. Against a package database of terabytes, most
    /// of it a hole, that would be read into memory.
    pub file_bytes: u64,
    /// Entries of one directory. Against a directory that lists names without end, all kept in memory to be sorted.
    pub dir_entries: u64,
    /// Bytes of one directory that is listed. Against a directory inode that claims the whole volume. In ext4 with their
    /// empty parts; in XFS, which gives a directory that has outgrown 4 MiB a block of 64 KiB for every second name, those
    /// of the entries and of the blocks' headers.
    pub dir_bytes: u64,
    /// Symbolic links followed for one path, as in Linux. Against links that form a circle.
    pub symlinks: u32,
    /// Bytes of a path or of a symbolic link's target, `PATH_MAX` in Linux. Against a link inode with a size of one
    /// terabyte, and against targets that grow with each link followed.
    pub path_bytes: usize,
    /// Bytes of memory for the directories that one walk found, about 80 for each and its name. Against a disk of nothing
    /// but directories: each is remembered, so that none is entered twice.
    pub walk_bytes: u64,
    /// Filesystems mounted into one tree. Against an `/etc/fstab` that mounts a directory on every other.
    pub mounts: u32,
    /// Depth of a file's extent tree. Five levels address every file that ext4 can hold, and every one of XFS but those of
    /// billions of extents. Against a tree whose nodes point at themselves.
    pub extent_depth: u16,
    /// Partitions of one volume. Against a partition table that claims 2³² entries, and chains of logical partitions
    /// that form a circle.
    pub partitions: u32,
    /// Bytes of the text that describes an LVM2 volume group. Against a metadata area that is the whole volume, and read
    /// into memory.
    pub lvm_text_bytes: u64,
    /// Volumes that are made of each other: a snapshot of a thin volume, whose pool is a RAID volume, and so on. Against
    /// volumes that contain themselves.
    pub volume_layers: u32,
    /// Chunks that the snapshots of LVM2's older kind have of their own, those of all that are looked into together. Against
    /// a store of terabytes, each of whose entries costs memory, and against a hundred snapshots with the same store.
    pub snapshot_exceptions: u64,
    /// Block devices of one target: partitions, logical volumes, arrays. Against a hundred disks of a thousand partitions,
    /// and volume groups with logical volumes without end.
    pub devices: u32,
    /// Filesystems of one target, which are open at the same time. Against a thousand small ones, each of which keeps its
    /// tables in memory.
    pub filesystems: u32,
    /// Systems of one target, each of which is joined and searched by itself. Against hundreds of small roots, each with a
    /// thousand mounts.
    pub systems: u32,
    /// Blocks that the journal may replace. Against a journal of terabytes, each of whose tags costs memory.
    pub journal_blocks: u64,
    /// Bytes that recovering the log of an XFS filesystem keeps in memory: those of transactions that are not yet
    /// committed, and those of the blocks that it changes. Against a log of gigabytes that is one transaction.
    pub log_bytes: u64,
    /// Bytes of items that the Btrfs tree logs of all subvolumes may change, all kept in memory. Against a log as large as
    /// the volume.
    pub tree_log_bytes: u64,
    /// Stripes of a Btrfs filesystem's chunks, which address translation keeps in memory. Against a chunk tree as large as the
    /// volume; a filesystem of 64 TiB has about 64,000 chunks of a few stripes.
    pub chunk_stripes: u64,
    /// Bytes of metadata blocks kept in memory by one filesystem. Against blocks of 64 KiB that are all metadata.
    pub cache_bytes: u64,
    /// Elementary steps for one filesystem over its whole life: a block looked at, a directory entry, an extent, a
    /// journal tag. Against everything that is small but repeats, such as directories that contain each other.
    pub steps: u64,
    /// Bytes that one filesystem reads, holes included, over its whole life. Against many files that each stay just
    /// below [`file_bytes`](Self::file_bytes).
    pub read_bytes: u64,
    /// Packages of one target. Against databases that list packages without end, which cost some 300 bytes of memory each.
    /// The largest distributions have a fifth of it in their whole archive.
    pub packages: u64,
    /// Bytes of all packages' names, versions and the like. Against packages whose every field is as long as a field may
    /// be. A real package has some 150 of them.
    pub package_bytes: u64,
    /// Bytes of one text in a report: a name, a version, a path. Against texts that no reader of a list has room for.
    pub text_bytes: u64,
    /// Unknowns and other notes of one target, beside its packages. Against a disk that is nothing but problems, each of
    /// which is reported.
    pub notes: u64,
    /// Bytes of memory that the analyser may map. What the other limits let it keep at the same time is below it; against
    /// an error of this program that lets a disk ask for more.
    pub analyser_memory: u64,
    /// Seconds of processor time for the analysis of one target. The largest disks that were measured take some 20.
    /// Against a disk whose every structure is the slowest that is allowed.
    pub analyser_cpu_seconds: u64,
    /// Seconds for the analysis of one target, from its start to its report, with the time in which blocks are fetched.
    /// Against an analyser that waits for ever.
    pub analyser_seconds: u64,
    /// Bytes of blocks that the analyser keeps, so that it need not ask for them again. A walk comes back to each part of the
    /// metadata many times: 128 MiB of it for 200,000 entries, of which no more than this is kept.
    pub analyser_cache_bytes: u64,
    /// Messages that the analyser may send for one target: each piece of a disk that it reads is one. Four million of them,
    /// of 128 KiB each, are 512 GiB. Against an analyser that asks for the same piece without end.
    pub messages: u64,
    /// Messages that the analyser may send in a second; those beyond it wait. Above what an analyser reaches that does
    /// something with the answers; against one that keeps the scanner busy.
    pub messages_per_second: u32,
    /// Bytes of these messages, those of the report included. Against a report that is all text.
    pub message_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 256 << 20,
            dir_entries: 1_000_000,
            dir_bytes: 128 << 20,
            symlinks: 40,
            path_bytes: 4096,
            mounts: 1024,
            walk_bytes: 256 << 20,
            extent_depth: 5,
            partitions: 1024,
            lvm_text_bytes: 8 << 20,
            volume_layers: 16,
            snapshot_exceptions: 1 << 22,
            devices: 1024,
            filesystems: 256,
            systems: 16,
            journal_blocks: 1 << 20,
            log_bytes: 256 << 20,
            tree_log_bytes: 64 << 20,
            chunk_stripes: 1 << 20,
            cache_bytes: 32 << 20,
            steps: 500_000_000,
            read_bytes: 256 << 30,
            packages: 500_000,
            package_bytes: 256 << 20,
            text_bytes: 64 << 10,
            notes: 1_000_000,
            analyser_memory: 2 << 30,
            analyser_cpu_seconds: 900,
            analyser_seconds: 3600,
            analyser_cache_bytes: 256 << 20,
            messages: 4_000_000,
            messages_per_second: 50_000,
            message_bytes: 1 << 30,
        }
    }
}

impl Limits {
    /// Refuses a symbolic link whose target has more bytes than [`path_bytes`](Self::path_bytes).
    pub fn check_link(&self, bytes: u64) -> Result<(), FsError> {
        let limit = to_u64(self.path_bytes);
        if bytes > limit {
            return Err(FsError::Limit { what: "the length of a symbolic link", limit });
        }
        Ok(())
    }

    /// The limits of each of several filesystems that are open at the same time. What is kept in memory is as much for a
    /// few of them as for one; more of them share what those few would have had.
    #[must_use]
    pub fn shared_by(&self, filesystems: usize) -> Self {
        /// As many as a real machine has, `/boot` and `/var` on their own.
        const FEW: u64 = 4;

        let parts = to_u64(filesystems).max(FEW);
        let share = |whole: u64| whole.checked_div(parts).unwrap_or(whole).saturating_mul(FEW);
        Self {
            journal_blocks: share(self.journal_blocks),
            log_bytes: share(self.log_bytes),
            tree_log_bytes: share(self.tree_log_bytes),
            chunk_stripes: share(self.chunk_stripes),
            cache_bytes: share(self.cache_bytes),
            ..self.clone()
        }
    }
}

/// What is left of a volume's allowance. One budget goes through every loop of a reader.
#[derive(Debug)]
pub struct Budget {
    steps: Allowance,
    bytes: Allowance,
}

impl Budget {
    /// A full budget.
    pub fn new(limits: &Limits) -> Self {
        Self {
            steps: Allowance::new("the work for one filesystem, in steps,", limits.steps),
            bytes: Allowance::new("the number of bytes read from one filesystem", limits.read_bytes),
        }
    }

    /// Pays for one elementary step.
    pub fn step(&self) -> Result<(), FsError> {
        self.steps.spend(1)
    }

    /// Pays for what costs as much as `count` elementary steps.
    pub fn steps(&self, count: u64) -> Result<(), FsError> {
        self.steps.spend(count)
    }

    /// Pays for handling `count` bytes of metadata in a way that looks at each: copying them, computing their checksum. A
    /// structure of 64 KiB takes a thousand times as long as one number, so that it counts as many steps.
    pub fn work(&self, count: u64) -> Result<(), FsError> {
        /// Bytes that are handled in about the time of another step.
        const EACH: u64 = 256;

        self.steps(count.div_ceil(EACH))
    }

    /// Pays for reading `count` bytes.
    pub fn bytes(&self, count: u64) -> Result<(), FsError> {
        self.bytes.spend(count)
    }
}

/// One counter that runs down.
#[derive(Debug)]
struct Allowance {
    what: &'static str,
    limit: u64,
    left: Cell<u64>,
}

impl Allowance {
    fn new(what: &'static str, limit: u64) -> Self {
        Self { what, limit, left: Cell::new(limit) }
    }

    fn spend(&self, amount: u64) -> Result<(), FsError> {
        let left = self.left.get().checked_sub(amount);
        // An exhausted budget stays exhausted: a caller that goes on after the error gets the error again.
        self.left.set(left.unwrap_or(0));
        left.map(drop).ok_or(FsError::Limit { what: self.what, limit: self.limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_filesystems_have_the_memory_of_a_few() {
        let limits = Limits::default();
        assert_eq!(limits.shared_by(1), limits);
        assert_eq!(limits.shared_by(4), limits);
        assert_eq!(limits.shared_by(256).cache_bytes, limits.cache_bytes / 64);
    }

    #[test]
    fn a_spent_budget_says_what_ran_out_and_stays_spent() {
        let budget = Budget::new(&Limits { steps: 2, ..Limits::default() });
        budget.step().unwrap();
        budget.step().unwrap();
        for _ in 0..2 {
            let error = budget.step().unwrap_err();
            assert_eq!(error.to_string(), "the work for one filesystem, in steps, exceeds the limit of 2");
        }
        budget.bytes(1).unwrap();
    }
}
