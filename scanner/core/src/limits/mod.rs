//! How much work a disk may cause.
//!
//! Every size, count and depth on a disk is chosen by whoever wrote the disk. What follows from one of them is bounded
//! here, in one place: a reader takes its bounds from [`Limits`] and pays for each step from a [`Budget`], so that the
//! worst disk ends its own scan with [`FsError::Limit`] and nothing else.

mod budget;
mod define;

use serde::{Deserialize, Serialize};

pub use self::budget::Budget;
pub use self::define::{LimitError, LimitInfo};

use self::define::{limits, number};
use crate::fs::FsError;
use crate::number::to_u64;

limits! {
/// Bounds on what one target may make the scanner do. The defaults leave room above every real disk that was measured;
/// whoever has a larger one raises them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a file that is read as a whole. Against a package database of terabytes, most of it a hole, that would be
    /// read into memory.
    file_bytes: u64 = 256 << 20, "bytes";
    /// Bytes of a small file that is read as a whole: `/etc/fstab`, a mount unit, `/etc/os-release`, `package.json`. Against one
    /// that costs its size in memory. A file of more bytes is none of these.
    small_file_bytes: u64 = 1 << 20, "bytes";
    /// Entries of one directory. Against a directory that lists names without end, all kept in memory to be sorted.
    dir_entries: u64 = 1_000_000, "entries";
    /// Bytes of one directory that is listed. Against a directory inode that claims the whole volume. In ext4 with their
    /// empty parts; in XFS, which gives a directory that has outgrown 4 MiB a block of 64 KiB for every second name, those
    /// of the entries and of the blocks' headers.
    dir_bytes: u64 = 128 << 20, "bytes";
    /// Symbolic links followed for one path, as in Linux. Against links that form a circle.
    symlinks: u32 = 40, "links", or none;
    /// Bytes of a path or of a symbolic link's target, `PATH_MAX` in Linux. Against a link inode with a size of one
    /// terabyte, and against targets that grow with each link followed.
    path_bytes: usize = 4096, "bytes";
    /// Bytes of memory for the directories that one walk found, about 80 for each and its name. Against a disk of nothing
    /// but directories: each is remembered, so that none is entered twice.
    walk_bytes: u64 = 256 << 20, "bytes";
    /// Filesystems mounted into one tree. Against an `/etc/fstab` that mounts a directory on every other.
    mounts: u32 = 1024, "mounts", or none;
    /// Depth of a file's extent tree. Five levels address every file that ext4 can hold, and every one of XFS but those of
    /// billions of extents. Against a tree whose nodes point at themselves.
    extent_depth: u16 = 5, "levels", or none;
    /// Partitions of one volume. Against a partition table that claims 2³² entries, and chains of logical partitions
    /// that form a circle.
    partitions: u32 = 1024, "partitions", or none;
    /// Bytes of the text that describes an LVM2 volume group. Against a metadata area that is the whole volume, and read
    /// into memory.
    lvm_text_bytes: u64 = 8 << 20, "bytes", or none;
    /// Volumes that are made of each other: a snapshot of a thin volume, whose pool is a RAID volume, and so on. Against
    /// volumes that contain themselves.
    volume_layers: u32 = 16, "layers", or none;
    /// Chunks that the snapshots of LVM2's older kind have of their own, those of all that are looked into together. Against
    /// a store of terabytes, each of whose entries costs memory, and against a hundred snapshots with the same store.
    snapshot_exceptions: u64 = 1 << 22, "chunks", or none;
    /// Block devices of one target: partitions, logical volumes, arrays. Against a hundred disks of a thousand partitions,
    /// and volume groups with logical volumes without end.
    devices: u32 = 1024, "devices";
    /// Filesystems of one target, which are open at the same time. Against a thousand small ones, each of which keeps its
    /// tables in memory.
    filesystems: u32 = 256, "filesystems";
    /// Systems of one target, each of which is joined and searched by itself. Against hundreds of small roots, each with a
    /// thousand mounts.
    systems: u32 = 16, "systems";
    /// Containers of one target, each of which is searched by itself. Against an engine's folder that records them without
    /// end.
    containers: u32 = 1000, "containers", or none;
    /// Blocks that the journal may replace. Against a journal of terabytes, each of whose tags costs memory.
    journal_blocks: u64 = 1 << 20, "blocks", or none;
    /// Bytes that recovering the log of an XFS filesystem keeps in memory: those of transactions that are not yet
    /// committed, and those of the blocks and lists of extents that it changes. Against a log of gigabytes that is one
    /// transaction.
    log_bytes: u64 = 256 << 20, "bytes", or none;
    /// Bytes of items that the Btrfs tree logs of all subvolumes may change, all kept in memory. Against a log as large as
    /// the volume.
    tree_log_bytes: u64 = 64 << 20, "bytes", or none;
    /// Stripes of a Btrfs filesystem's chunks, which address translation keeps in memory. Against a chunk tree as large as the
    /// volume; a filesystem of 64 TiB has about 64,000 chunks of a few stripes.
    chunk_stripes: u64 = 1 << 20, "stripes";
    /// Bytes of metadata blocks kept in memory by one filesystem. Against blocks of 64 KiB that are all metadata.
    cache_bytes: u64 = 32 << 20, "bytes", or none;
    /// Elementary steps for one filesystem over its whole life: a block looked at, a directory entry, an extent, a
    /// journal tag. Against everything that is small but repeats, such as directories that contain each other.
    steps: u64 = 500_000_000, "steps";
    /// Bytes that one filesystem reads, holes included, over its whole life. Against many files that each stay just
    /// below `file_bytes`.
    read_bytes: u64 = 256 << 30, "bytes";
    /// Files of one system, or of one container, that are read because of their names or modes. Against a disk that is
    /// nothing but files named `package.json`.
    wanted_files: u64 = 1_000_000, "files", or none;
    /// Bytes of a document that is parsed as a whole: a lock file, `installed.json`, the record of a Python or Conda package.
    /// Against one that costs its size in memory, and three times as much where nothing of it is UTF-8. The lock files of the
    /// largest repositories have a few tens of megabytes.
    lock_bytes: u64 = 64 << 20, "bytes", or none;
    /// Bytes of memory for one entry of a lock file, all that is nested in it included. Against one that is nothing but the
    /// smallest values, such as lists of one number, which take up to thirty times their bytes. Real ones take one to two
    /// times theirs, and the largest are most of their files.
    lock_entry_bytes: u64 = 128 << 20, "bytes", or none;
    /// Archives in each other: a jar in a war in a zip. Against archives that contain themselves.
    archive_depth: u32 = 8, "levels", or none;
    /// Entries of one archive. Against a directory of an archive that lists names without end.
    archive_entries: u64 = 500_000, "entries";
    /// Bytes that are decompressed of one archive and those in it. Against a few bytes that become terabytes.
    archive_bytes: u64 = 2 << 30, "bytes";
    /// Packages of one target. Against databases that list packages without end, which cost some 300 bytes of memory each.
    /// The largest distributions have a fifth of it in their whole archive.
    packages: u64 = 500_000, "packages";
    /// Bytes of all packages' names, versions and the like. Against packages whose every field is as long as a field may
    /// be. A real package has some 150 of them.
    package_bytes: u64 = 256 << 20, "bytes";
    /// Bytes of a field of a package database: a name, a version. Against fields that fill memory; real ones are far shorter.
    field_bytes: usize = 4096, "bytes";
    /// Bytes of a value in `/etc/os-release`. Against an id of megabytes, which would stand in the URL of each of the system's
    /// packages.
    os_field_bytes: usize = 256, "bytes";
    /// Names by which the packages of one dpkg or apk database, or of one lock file, are needed, and dependencies among them.
    /// Against a database of nothing but relations, all kept in memory to be resolved. A Debian system of 800 packages has some
    /// 4,000. Those of RPMs, which are files too, take a part of `package_bytes`.
    relations: u64 = 2_000_000, "names", or none;
    /// Bytes of one text in a report: a name, a version, a path. Against texts that no reader of a list has room for. At
    /// most 16 KiB, four times the longest path, so that what has a dozen texts is one message.
    text_bytes: u64 = 16 << 10, "bytes";
    /// Problems of one system that are reported one by one; the others are counted. Against a directory of a million damaged
    /// files.
    gaps: usize = 2000, "problems";
    /// Problems of one file that are reported one by one; the others are counted. The first ones show what is wrong. Against
    /// files of which every line is damaged.
    gaps_per_file: u64 = 50, "problems";
    /// Entries of one `/etc/fstab` that are reported because they are not mounted; the others are counted. Against one with a
    /// line for every file of the disk.
    unmounted: usize = 100, "entries";
    /// Unknowns and other notes of one target, beside its packages. Against a disk that is nothing but problems, each of
    /// which is reported.
    notes: u64 = 100_000, "notes";
    /// Bytes of all these unknowns and notes. Against reasons that are each as long as a text may be.
    note_bytes: u64 = 64 << 20, "bytes";
    /// Bytes of blocks that the scanner keeps in memory for all volumes of one target. Those beyond it go to a temporary
    /// file, which costs no request either.
    block_cache_bytes: u64 = 64 << 20, "bytes", or none;
    /// Blocks of one volume that are on their way because of hints. 4096 are 2 GiB of an EBS snapshot. Against a disk that
    /// claims anything, of which everything would be queued.
    prefetched_blocks: usize = 4096, "blocks", or none;
    /// Blocks that are looked at for one hint. Against hints for holes of terabytes, which cost no request but time.
    hinted_blocks: usize = 1 << 16, "blocks", or none;
    /// Volumes of one target whose lists of blocks are fetched at the same time. Against the rate at which AWS refuses
    /// requests.
    volumes_at_once: usize = 4, "volumes";
    /// Bytes of memory that the analyser may map. What the other limits let it keep at the same time is below it; against
    /// an error of this program that lets a disk ask for more.
    analyser_memory: u64 = 2 << 30, "bytes";
    /// Seconds of processor time for the analysis of one target. The largest disks that were measured take some 20.
    /// Against a disk whose every structure is the slowest that is allowed.
    analyser_cpu_seconds: u64 = 900, "seconds";
    /// Seconds for the analysis of one target, from its start to its report, with the time in which blocks are fetched.
    /// Against an analyser that waits for ever.
    analyser_seconds: u64 = 3600, "seconds";
    /// Bytes of blocks that the analyser keeps, so that it need not ask for them again. A walk comes back to each part of the
    /// metadata many times: 128 MiB of it for 200,000 entries, of which no more than this is kept.
    analyser_cache_bytes: u64 = 256 << 20, "bytes", or none;
    /// Messages that the analyser may send for one target: each piece of a disk that it reads is one. Four million of them,
    /// of 128 KiB each, are 512 GiB. Against an analyser that asks for the same piece without end.
    messages: u64 = 4_000_000, "messages";
    /// Messages that the analyser may send in a second; those beyond it wait. Above what an analyser reaches that does
    /// something with the answers; against one that keeps the scanner busy.
    messages_per_second: u32 = 50_000, "messages";
    /// Bytes of these messages, those of the report included. Against a report that is all text.
    message_bytes: u64 = 1 << 30, "bytes";
}
}

impl Limits {
    /// Refuses a symbolic link whose target has more bytes than [`path_bytes`](Self::path_bytes).
    pub fn check_link(&self, bytes: u64) -> Result<(), FsError> {
        let limit = to_u64(self.path_bytes);
        if bytes > limit {
            return Err(FsError::Limit { what: "the length of a symbolic link (`path_bytes`)", limit });
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
    fn every_limit_can_be_set_by_its_name_and_says_why_it_is_there() {
        for limit in Limits::table() {
            let mut limits = Limits::default();
            limits.set(limit.name, limit.default).unwrap();
            assert_eq!(limits, Limits::default(), "{limit:?}");
            limits.set(limit.name, limit.default + 1).unwrap();
            assert_ne!(limits, Limits::default(), "{limit:?}");
            assert!(limit.reason.ends_with('.') && !limit.reason.contains('['), "{limit:?}");
            let zero = limits.set(limit.name, 0);
            assert_eq!(zero.is_ok(), limit.least == 0, "{limit:?}");
        }
    }

    #[test]
    fn a_limit_that_cannot_be_set_is_named() {
        let mut limits = Limits::default();
        for (name, value, expected) in [
            (
                "stps",
                1,
                "there is no limit named `stps`; `agentless-scanner list limits` shows those that there are",
            ),
            ("steps", 0, "the limit `steps` must be at least 1"),
            ("extent_depth", 70_000, "the limit `extent_depth` must be at most 65535"),
        ] {
            assert_eq!(limits.set(name, value).unwrap_err().to_string(), expected);
        }
        assert_eq!(limits, Limits::default());
    }
}
