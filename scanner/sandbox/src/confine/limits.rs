//! Limits on resources, `setrlimit(2)`.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::report::{Confinement, Protection, State};

/// What a child may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildLimits {
    /// Bytes of address space, the program itself and its stack included. An allocation beyond it fails, which ends a Rust
    /// program with `SIGABRT`.
    pub memory: u64,
    /// Seconds of processor time, counted from the start of the process. Beyond it comes `SIGXCPU`, and a second later
    /// `SIGKILL`. Zero counts as one.
    pub processor_seconds: u64,
}

/// One limit, and the protection that it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) what: Protection,
    pub(super) resource: Resource,
    pub(super) soft: u64,
    pub(super) hard: u64,
}

impl Row {
    const fn new(what: Protection, resource: Resource, limit: u64) -> Self {
        Self { what, resource, soft: limit, hard: limit }
    }

    /// Sets the limit. One that is already lower stays: only root may raise it.
    fn apply(&self) -> State {
        let current = getrlimit(self.resource);
        let lower = |limit: Option<u64>, wanted: u64| Some(limit.map_or(wanted, |limit| limit.min(wanted)));
        let maximum = lower(current.maximum, self.hard);
        let new = Rlimit { current: lower(maximum, self.soft), maximum };
        State::of("setting the limit", setrlimit(self.resource, new))
    }
}

/// The limits of a child. Standard input, output and error are all the descriptors there are, so that with room for three
/// none can be added.
pub(super) fn of_child(limits: &ChildLimits) -> [Row; 7] {
    let seconds = limits.processor_seconds.max(1);
    [
        Row::new(Protection::Memory, Resource::As, limits.memory),
        Row::new(Protection::Memory, Resource::Memlock, 0),
        // The first of the two ends a process that does nothing about it, by a signal that says why.
        Row {
            what: Protection::ProcessorTime,
            resource: Resource::Cpu,
            soft: seconds,
            hard: seconds.saturating_add(1),
        },
        Row::new(Protection::Files, Resource::Nofile, 3),
        Row::new(Protection::Files, Resource::Fsize, 0),
        Row::new(Protection::Processes, Resource::Nproc, 0),
        NO_CORE,
    ]
}

/// No core dumps.
pub(super) const NO_CORE: Row = Row::new(Protection::CoreDumps, Resource::Core, 0);

/// Sets limits.
pub(super) fn apply(rows: &[Row], confinement: &mut Confinement) {
    for row in rows {
        confinement.record(row.what, row.apply());
    }
}
