//! Walks of large trees: how long with latency, and in how much memory.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use agentless_disk_tests::image::Workspace;
use agentless_disk_tests::peak_memory::peak_kib;
use agentless_disk_tests::scanner::Scanner;
use agentless_disk_tests::work::Work;

use crate::say;
use agentless_disk_tests::bench_images as images;

/// A walk and the figure that it was made for.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) title: &'static str,
    pub(crate) entries: u64,
    pub(crate) blocks: usize,
    pub(crate) repeated: u64,
    pub(crate) figure: String,
    pub(crate) limit: String,
    pub(crate) is_met: bool,
}

/// The latency of each block.
const LATENCY: Duration = Duration::from_millis(100);

pub(crate) fn with_latency(workspace: &Workspace) -> Walk {
    const LIMIT: Duration = Duration::from_secs(6);

    say("ext4: making a tree of 200,000 entries");
    let image = images::tree(workspace, 200_000);
    say("ext4: walking it");
    let scanner = Scanner::new().with_latency(LATENCY);
    let began = Instant::now();
    let (file_system, fetches) = scanner.open(&image);
    let tally = Work::Walk.by_us(file_system);
    let took = began.elapsed();
    std::fs::remove_file(image).unwrap();
    Walk {
        title: "ext4, 100 ms for each block, 64 at a time",
        entries: tally.entries,
        blocks: fetches.blocks().len(),
        repeated: fetches.repeated(),
        figure: format!("{:.2} s", took.as_secs_f64()),
        limit: format!("{} s", LIMIT.as_secs()),
        is_met: took < LIMIT,
    }
}

pub(crate) fn of_a_million_entries(workspace: &Workspace) -> Walk {
    const LIMIT_KIB: u64 = 128 << 10;

    say("ext4: making a tree of 1,000,000 entries");
    let image = images::tree(workspace, 1_000_000);
    say("ext4: walking it");
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this).arg("--walk").arg(&image).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    let mut numbers = printed.split_whitespace().map(|number| number.parse::<u64>().unwrap());
    let mut next = || numbers.next().unwrap();
    let (entries, blocks, repeated, peak) = (next(), next(), next(), next());
    std::fs::remove_file(image).unwrap();
    Walk {
        title: "ext4, peak memory",
        entries,
        blocks: usize::try_from(blocks).unwrap(),
        repeated,
        figure: format!("{} MiB", peak / 1024),
        limit: format!("{} MiB", LIMIT_KIB / 1024),
        is_met: peak < LIMIT_KIB,
    }
}

/// Walks an image, and prints entries, blocks, repeated fetches and the peak of this process's memory in KiB.
pub(crate) fn in_child(image: &Path) {
    let scanner = Scanner::new();
    let (file_system, fetches) = scanner.open(image);
    let tally = Work::Walk.by_us(file_system);
    println!("{} {} {} {}", tally.entries, fetches.blocks().len(), fetches.repeated(), peak_kib());
}
