//! The processes that are there, by the kernel's account.

use std::fs;

use agentless_sandbox::child;

/// A limit of memory that no other test on this machine gives its analysers: it is in their command line, so that they can
/// be told from others, whoever they say they are.
pub fn own_limit_of_memory(about: u64) -> u64 {
    about + (u64::from(std::process::id()) << 12)
}

/// The analysers that were started with a limit of memory and are still there, and the children of this process that
/// ended and that nobody has asked about.
pub fn left_over(limit_of_memory: u64) -> Vec<String> {
    let arguments = format!("\0{}\0{limit_of_memory}\0", child::VERB);
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        // A process that ended meanwhile has no files any more.
        let read = |name: &str| fs::read_to_string(path.join(name)).unwrap_or_default();
        let command = read("cmdline");
        // Behind the name, in parentheses and with anything in it: the state, then the parent.
        let stat = read("stat");
        let behind = stat.rsplit_once(") ").map_or("", |(_, behind)| behind);
        let is_zombie = behind.starts_with("Z ") && behind.split(' ').nth(1) == Some(&own);
        if command.contains(&arguments) || is_zombie {
            found.push(format!("{}: {stat}", path.display()));
        }
    }
    found
}
