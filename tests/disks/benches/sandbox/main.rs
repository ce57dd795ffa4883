//! `cargo bench --bench sandbox`: what it costs that disks are read by a process without power.
//!
//! The same work is done twice: by this process, and by an analyser that asks it for every byte. Each measurement is a
//! process of its own, in turns, so that its CPU time and the peak of its memory are those of the work and nothing else.
//! CPU time is that of the process and, where there is one, of the analyser from its start to its end.
//!
//! Disks are read from image files, where reading costs least and so the analyser the most, and through the cache of a scan
//! over blocks whose checksums are verified, as those of a snapshot are.
//!
//! Needs root and loop devices. Everything is made in the directory for temporary files and takes some 4 GiB there.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "as the helpers that it shares with the tests, a benchmark without figures fails loudly"
)]

mod cases;
mod counted;
mod figures;
mod measure;

use std::path::PathBuf;

use agentless_disk_tests::image::{Workspace, can_mount};
use clap::Parser;

use self::cases::CASES;
use self::figures::Row;

/// What it costs that disks are read by a process without power.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench sandbox --", version)]
struct Arguments {
    /// How often each work is measured in each of both ways; figures are medians.
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only the cases with this in their name.
    #[arg(long, value_name = "TEXT", default_value = "")]
    case: String,
    /// Measures one case and prints the figures, for the parent process.
    #[arg(long, hide = true, value_name = "NUMBER", requires = "disk")]
    measure: Option<usize>,
    /// What it reads.
    #[arg(long, hide = true, value_name = "PATH")]
    disk: Option<PathBuf>,
    /// Whether an analyser reads it.
    #[arg(long, hide = true)]
    confined: bool,
    /// Cargo says it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    if let Some((number, disk)) = arguments.measure.zip(arguments.disk) {
        return measure::in_child(&CASES[number], &disk, arguments.confined);
    }
    assert!(can_mount(), "the benchmark fills its images by the kernel's drivers");
    let workspace = Workspace::new();
    let cases = CASES.iter().enumerate().filter(|(_, case)| case.title.contains(&arguments.case));
    let mut rows: Vec<_> = cases
        .map(|(number, case)| {
            eprintln!("{}: making what is read", case.title);
            (number, Row { case, inside: Vec::new(), confined: Vec::new() }, case.disk.make(&workspace))
        })
        .collect();
    for round in 1..=arguments.rounds {
        for (number, row, disk) in &mut rows {
            eprintln!("{}: round {round} of {}", row.case.title, arguments.rounds);
            let inside = measure::in_process_of_its_own(*number, disk, false);
            let confined = measure::in_process_of_its_own(*number, disk, true);
            assert_eq!(inside[0].seen, confined[0].seen, "{}: both see the same", row.case.title);
            row.inside.extend(inside);
            row.confined.extend(confined);
        }
    }
    let rows: Vec<_> = rows.into_iter().map(|(_, row, _)| row).collect();
    println!("\n{}", figures::table(&rows));
}
