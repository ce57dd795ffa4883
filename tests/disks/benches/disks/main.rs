//! `cargo bench --bench disks`: what reading a disk costs us, beside the kernel's mount of the same image.
//!
//! Each filesystem gets an image of 2 GiB with about 500 MB of real files, packages of languages among them. Four works are
//! done on it by both: reading the databases of the operating system's packages, listing every directory, finding and reading
//! all files that record a package, reading and hashing every file. We read through the
//! cache that stands between a scan and the EBS direct APIs, over a source of blocks that counts: what is printed is what a
//! scan of a snapshot would fetch. What the kernel reads is what the tracepoint `block_bio_queue` shows of a cold mount.
//!
//! Then a tree of 200,000 entries is walked with 100 ms of latency for each block, and one of a million entries in a process
//! whose peak memory is read.
//!
//! Needs root, loop devices and tracefs. Everything is made in the directory for temporary files and takes some 4 GiB there;
//! mounts are private to the process, so that none is left behind, however it ends.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "as the helpers that it shares with the tests, a benchmark without figures fails loudly"
)]

mod compare;
mod figures;
mod meter;
mod walks;

use std::path::PathBuf;
use std::process::Command;

use agentless_disk_tests::bench_images::KINDS;
use agentless_disk_tests::image::{Workspace, can_mount};
use clap::Parser;

/// What reading a disk costs, beside the kernel's mount of the same image.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench disks --", version)]
struct Arguments {
    /// How often each work is done by each of both; CPU times are medians.
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only these filesystems; without, all that there are drivers for, and the two long walks.
    #[arg(long, value_name = "NAME", value_parser = ["btrfs", "ext4", "xfs"])]
    filesystem: Vec<String>,
    /// Only the two long walks.
    #[arg(long, conflicts_with = "filesystem")]
    walks: bool,
    /// Walks an image and prints what that took, for the parent process.
    #[arg(long, hide = true, value_name = "IMAGE")]
    walk: Option<PathBuf>,
    /// Cargo says it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(image) = arguments.walk {
        return walks::in_child(&image);
    }
    assert!(can_mount(), "the benchmark compares with the kernel's mounts");
    make_mounts_private();
    let workspace = Workspace::new();
    if !arguments.walks {
        let kinds = KINDS.iter().filter(|kind| {
            arguments.filesystem.is_empty() || arguments.filesystem.iter().any(|name| name == kind.format)
        });
        let compared: Vec<_> =
            kinds.map(|kind| compare::compare(&workspace, kind, arguments.rounds)).collect();
        println!("\n{}", figures::comparison(&compared));
    }
    if arguments.filesystem.is_empty() {
        let walks = [walks::with_latency(&workspace), walks::of_a_million_entries(&workspace)];
        println!("\n{}", figures::walks(&walks));
    }
}

/// Mounts of this process and of those that it starts are theirs alone, and end with them.
fn make_mounts_private() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    let done = Command::new("mount").args(["--make-rprivate", "/"]).status();
    assert!(done.is_ok_and(|status| status.success()), "mounts could not be made private");
}

/// Progress, beside the tables on standard output.
fn say(text: impl std::fmt::Display) {
    eprintln!("{text}");
}
