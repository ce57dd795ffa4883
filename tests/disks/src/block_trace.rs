//! What the kernel reads of a device, by the tracepoint `block_bio_queue`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{major, minor};
use tempfile::TempDir;

use crate::image::on_ci;
use crate::image_blocks::BLOCK;
use crate::loop_device::Loop;

/// The sectors of read-ahead that a device has by default, and none.
pub const READ_AHEAD: [u32; 2] = [256, 0];

/// The 512 KiB blocks that the kernel reads for `work` on a fresh, read-only mount of an image, the mount included, and what
/// `work` returns. `None`, with a line on standard error, where that cannot be traced; on CI it must be.
pub fn blocks_of_kernel<T>(
    image: &Path,
    kind: &str,
    read_ahead: u32,
    work: impl FnOnce(&Path) -> T,
) -> Option<(BTreeSet<u64>, T)> {
    let device = Loop::cold(image);
    device.set_read_ahead(read_ahead);
    let trace = BlockTrace::start(device.number())?;
    let mount = device.mount(kind);
    let done = work(mount.path());
    Some((trace.blocks_read(), done))
}

/// A trace of one device. It is an instance of its own, so that it disturbs no other trace.
#[derive(Debug)]
struct BlockTrace {
    instance: PathBuf,
    /// Where the trace filesystem is mounted, for this trace alone.
    mounted: TempDir,
}

/// Says why there is no trace: elsewhere than on CI the comparison with it is left out.
fn missing<T>(problem: &str) -> Option<T> {
    assert!(!on_ci(), "what the kernel reads is not known: {problem}");
    eprintln!("left out: what the kernel reads is not known: {problem}");
    None
}

/// Bytes of trace that are kept, for each processor: some 130,000 requests.
const BUFFER_KIB: &str = "8192";

impl BlockTrace {
    /// Traces the device with this number from now on, unless the kernel has no tracing or does not permit it.
    fn start(device: u64) -> Option<Self> {
        let mounted = tempfile::tempdir().unwrap();
        if let Err(error) =
            mount(None::<&str>, mounted.path(), Some("tracefs"), MsFlags::empty(), None::<&str>)
        {
            return missing(&format!("tracefs could not be mounted: {error}"));
        }
        let name = mounted.path().file_name().unwrap().to_owned();
        let trace = Self { instance: mounted.path().join("instances").join(name), mounted };
        let event = "events/block/block_bio_queue";
        // `MKDEV` of the kernel: twenty bits for the minor number.
        let number = (major(device) << 20) | minor(device);
        let started = fs::create_dir(&trace.instance)
            .and_then(|()| fs::write(trace.instance.join("buffer_size_kb"), BUFFER_KIB))
            .and_then(|()| fs::write(trace.instance.join(event).join("filter"), format!("dev == {number}")))
            .and_then(|()| fs::write(trace.instance.join(event).join("enable"), "1"));
        match started {
            Ok(()) => Some(trace),
            Err(error) => missing(&format!("{event} could not be traced: {error}")),
        }
    }

    /// Ends the trace: the 512 KiB blocks of which anything was read.
    fn blocks_read(self) -> BTreeSet<u64> {
        fs::write(self.instance.join("tracing_on"), "0").unwrap();
        for processor in fs::read_dir(self.instance.join("per_cpu")).unwrap() {
            let statistics = fs::read_to_string(processor.unwrap().path().join("stats")).unwrap();
            assert!(statistics.contains("overrun: 0\n"), "the trace does not hold everything:\n{statistics}");
        }
        let trace = fs::read_to_string(self.instance.join("trace")).unwrap();
        trace
            .lines()
            .filter_map(bytes_read)
            .flat_map(|(start, end)| start / block()..end.div_ceil(block()))
            .collect()
    }
}

impl Drop for BlockTrace {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.instance);
        let _ = umount2(self.mounted.path(), MntFlags::MNT_DETACH);
    }
}

fn block() -> u64 {
    u64::from(BLOCK)
}

/// The bytes that a line of the trace says are read: `… block_bio_queue: 7,0 RA 1048 + 8 [process]`, in sectors.
fn bytes_read(line: &str) -> Option<(u64, u64)> {
    let (_, event) = line.split_once(" block_bio_queue: ")?;
    let mut fields = event.split(' ').skip(1);
    let is_read = fields.next()?.contains('R');
    let start: u64 = fields.next()?.parse().ok()?;
    let count: u64 = fields.nth(1)?.parse().ok()?;
    (is_read && count > 0).then_some((start * 512, (start + count) * 512))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_trace_are_read() {
        let line = |event: &str| format!("  some name-123 [001] ..... 45.678: block_bio_queue: {event}");
        assert_eq!(bytes_read(&line("7,0 RA 1048 + 8 [some name]")), Some((536_576, 540_672)));
        assert_eq!(bytes_read(&line("7,0 WS 1048 + 8 [some name]")), None);
        assert_eq!(bytes_read(&line("7,0 R 0 + 0 [mount]")), None);
        assert_eq!(bytes_read("# tracer: nop"), None);
    }
}
