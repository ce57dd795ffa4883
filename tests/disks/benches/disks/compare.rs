//! Each work by us and by the kernel, on the same image.

use std::os::unix::fs::MetadataExt;

use agentless_disk_tests::block_trace::{READ_AHEAD, blocks_of_kernel};
use agentless_disk_tests::image::Workspace;
use agentless_disk_tests::loop_device::Loop;
use agentless_disk_tests::scanner::Scanner;
use agentless_disk_tests::work::{Tally, Work};

use crate::meter::{Cpu, measured};
use crate::say;
use agentless_disk_tests::bench_images::Kind;

/// One filesystem.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) filesystem: &'static str,
    /// Bytes of the image that are not holes.
    pub(crate) allocated: u64,
    /// What [`Work::ReadAll`] saw.
    pub(crate) content: Tally,
    pub(crate) works: Vec<Compared>,
}

/// One work.
#[derive(Debug)]
pub(crate) struct Compared {
    pub(crate) work: Work,
    /// The blocks that we fetch.
    pub(crate) blocks: usize,
    /// Fetches of a block that was fetched before.
    pub(crate) repeated: u64,
    /// The blocks that the kernel reads: the fewest, with and without its read-ahead. None if that cannot be traced.
    pub(crate) kernel_blocks: Option<usize>,
    /// Our CPU time, of each round.
    pub(crate) cpu: Vec<Cpu>,
    /// The kernel's.
    pub(crate) kernel_cpu: Vec<Cpu>,
}

/// Makes an image and measures every work on it.
pub(crate) fn compare(workspace: &Workspace, kind: &Kind, rounds: u32) -> Comparison {
    let (name, format) = (kind.title, kind.format);
    say(format_args!("{name}: making an image"));
    let image = kind.with_languages(workspace);
    let scanner = Scanner::new();
    let mut content = Tally::default();
    let mut works = Vec::new();
    for work in Work::ALL {
        say(format_args!("{name}: {}, blocks", work.title()));
        let (file_system, fetches) = scanner.open(&image);
        let ours = work.by_us(file_system);
        // Without read-ahead, so many requests would not fit into the trace.
        let read_ahead = if work == Work::ReadAll { &READ_AHEAD[..1] } else { &READ_AHEAD };
        let kernel = read_ahead.iter().filter_map(|&sectors| {
            let (blocks, theirs) = blocks_of_kernel(&image, format, sectors, |root| work.by_kernel(root))?;
            assert_eq!(ours, theirs, "{name}, {}: we and the kernel see the same", work.title());
            Some(blocks.len())
        });
        let kernel_blocks = kernel.min();
        let (blocks, repeated) = (fetches.blocks().len(), fetches.repeated());
        let (cpu, kernel_cpu) = (Vec::new(), Vec::new());
        works.push(Compared { work, blocks, repeated, kernel_blocks, cpu, kernel_cpu });
        content = ours;
    }
    for round in 1..=rounds {
        say(format_args!("{name}: CPU time, round {round} of {rounds}"));
        for compared in &mut works {
            let (cpu, ours) = measured(|| {
                let (file_system, _) = scanner.open(&image);
                compared.work.by_us(file_system)
            });
            compared.cpu.push(cpu);
            let device = Loop::cold(&image);
            let (cpu, (theirs, mount)) = measured(|| {
                let mount = device.mount(format);
                (compared.work.by_kernel(mount.path()), mount)
            });
            drop(mount);
            compared.kernel_cpu.push(cpu);
            assert_eq!(ours, theirs);
        }
    }
    Comparison { filesystem: name, allocated: image.metadata().unwrap().blocks() * 512, content, works }
}
