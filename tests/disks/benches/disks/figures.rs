//! The tables.

use agentless_disk_tests::image_blocks::BLOCK;
use agentless_disk_tests::work::Work;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use crate::compare::{Compared, Comparison};
use crate::meter::Cpu;
use crate::walks::Walk;

/// The most blocks that we may fetch for each that the kernel reads.
const MOST_BLOCKS: f64 = 1.1;
/// The most CPU time that we may take to read and hash every file, for the kernel's.
const MOST_CPU: f64 = 1.5;

/// A row for each work on each filesystem.
pub(crate) fn comparison(compared: &[Comparison]) -> String {
    let mut table =
        table(&["", "blocks", "MiB", "twice", "kernel", "ratio", "limit", "CPU", "kernel", "ratio", "limit"]);
    for filesystem in compared {
        for compared in &filesystem.works {
            table.add_row(row(filesystem, compared));
        }
    }
    let images = compared.iter().map(|filesystem| {
        let Comparison { filesystem, allocated, content, .. } = filesystem;
        format!(
            "{filesystem}: 2 GiB, of which {} MiB are allocated; {} entries, {} MB in files\n",
            allocated >> 20,
            content.entries,
            content.bytes / 1_000_000,
        )
    });
    let rounds = compared.iter().flat_map(|filesystem| &filesystem.works).map(|work| work.cpu.len()).max();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!(
        "{table}\n{}Blocks have 512 KiB. CPU of {} rounds: process, median, + kernel workers, minimum; {cores} cores.",
        images.collect::<String>(),
        rounds.unwrap_or_default(),
    )
}

fn row(filesystem: &Comparison, compared: &Compared) -> Vec<String> {
    let Compared { work, blocks, repeated, kernel_blocks, cpu, kernel_cpu } = compared;
    let blocks_ratio = kernel_blocks.map(|kernel| count(*blocks) / count(kernel));
    let (blocks_limit, cpu_limit) = match work {
        Work::OsPackages | Work::Walk | Work::AllPackages => (
            blocks_ratio
                .map(|ratio| format!("{MOST_BLOCKS} × {}", met(ratio <= MOST_BLOCKS && *repeated == 0))),
            None,
        ),
        Work::ReadAll => (Some(format!("each once {}", met(*repeated == 0))), Some(MOST_CPU)),
    };
    let (cpu, kernel_cpu) = (Cpu::typical(cpu), Cpu::typical(kernel_cpu));
    let cpu_ratio = cpu.total().as_secs_f64() / kernel_cpu.total().as_secs_f64();
    vec![
        format!("{}: {}", filesystem.filesystem, work.title()),
        blocks.to_string(),
        mebibytes(*blocks),
        repeated.to_string(),
        kernel_blocks.map_or_else(|| "unknown".to_owned(), |blocks| blocks.to_string()),
        blocks_ratio.map(|ratio| format!("{ratio:.2} ×")).unwrap_or_default(),
        blocks_limit.unwrap_or_default(),
        cpu_time(cpu),
        cpu_time(kernel_cpu),
        format!("{cpu_ratio:.2} ×"),
        cpu_limit.map(|limit| format!("{limit} × {}", met(cpu_ratio <= limit))).unwrap_or_default(),
    ]
}

/// A row for each of the long walks.
pub(crate) fn walks(walks: &[Walk]) -> String {
    let mut table = table(&["walk", "entries", "blocks", "MiB", "twice", "figure", "limit"]);
    for walk in walks {
        let Walk { title, entries, blocks, repeated, figure, limit, is_met } = walk;
        table.add_row([
            (*title).to_owned(),
            entries.to_string(),
            blocks.to_string(),
            mebibytes(*blocks),
            repeated.to_string(),
            figure.clone(),
            format!("{limit} {}", met(*is_met && *repeated == 0)),
        ]);
    }
    table.to_string()
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "NOT MET" }
}

fn cpu_time(cpu: Cpu) -> String {
    format!("{:.3} + {:.3} s", cpu.process.as_secs_f64(), cpu.workers.as_secs_f64())
}

fn mebibytes(blocks: usize) -> String {
    format!("{:.1}", count(blocks) * f64::from(BLOCK) / f64::from(1 << 20))
}

fn count(blocks: usize) -> f64 {
    f64::from(u32::try_from(blocks).unwrap_or(u32::MAX))
}
