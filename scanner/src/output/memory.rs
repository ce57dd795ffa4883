//! How much memory a scan took.

use nix::sys::resource::{UsageWho, getrusage};

/// The most memory that each of the two processes had, in bytes, where the system tells. Each may have had it at another
/// time, so that both together had at most the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeakMemory {
    /// This process, which holds credentials and fetches blocks.
    pub scanner: Option<u64>,
    /// The largest of the analysers that have ended. The system counts what this process had when it started one, which had
    /// it too until it executed its program: a small analyser shows that instead.
    pub analyser: Option<u64>,
}

impl PeakMemory {
    /// Until now.
    pub fn so_far() -> Self {
        let used = |who| {
            let most = u64::try_from(getrusage(who).ok()?.max_rss()).ok()?;
            // In KiB on Linux (getrusage(2)), and in bytes on macOS.
            Some(if cfg!(target_os = "macos") { most } else { most.saturating_mul(1024) })
        };
        let scanner = high_water_mark().or_else(|| used(UsageWho::RUSAGE_SELF));
        // Zero is that of no process at all.
        Self { scanner, analyser: used(UsageWho::RUSAGE_CHILDREN).filter(|&most| most > 0) }
    }
}

/// As the kernel shows it. Unlike the number of `getrusage`, without what the program that started this one had.
fn high_water_mark() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_how_much_memory_was_used() {
        let before = PeakMemory::so_far();
        assert!(before.scanner.unwrap() > 1 << 20);
        assert!(std::process::Command::new("true").status().unwrap().success());
        assert!(PeakMemory::so_far().analyser.unwrap() > 1 << 16);
    }
}
