//! What of a process's confinement is in force, part by part.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that confinement takes away or bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Protection {
    /// No environment variables, which may hold credentials.
    Environment,
    /// No descriptors but standard input, output and error.
    Descriptors,
    /// One thread, so that what binds the calling thread binds the process.
    Threads,
    /// A session of its own: no terminal, and signals to the group of the parent do not reach it, nor its own the parent.
    Session,
    /// Ended by the kernel when the parent ends.
    ParentDeath,
    /// A bound on the address space, and no memory that is locked.
    Memory,
    /// A bound on the processor time.
    ProcessorTime,
    /// No new descriptors and no bytes written to files.
    Files,
    /// No further processes of the same user.
    Processes,
    /// No core dumps, which would hold what was in memory.
    CoreDumps,
    /// No other process of the same user may trace it or read its memory.
    Inspection,
    /// No supplementary groups.
    Groups,
    /// Not root.
    Identity,
    /// No capabilities.
    Capabilities,
    /// No capabilities that executing a file could give back.
    BoundingSet,
    /// Executing a file gives no rights that the process does not have.
    NoNewPrivileges,
    /// In the child, no file may be opened, made, removed or executed. In the parent, none may be changed but those it
    /// was given.
    Filesystem,
    /// No program's file may be executed but the process's own.
    Execution,
    /// No TCP port may be bound or connected to.
    Network,
    /// No signals and no connections to abstract sockets beyond the process itself.
    Scope,
    /// In the child, only the system calls that computing and the socket to the parent need. In the parent, all but those
    /// that lead around the other protections.
    SystemCalls,
    /// The kernel's own account of the process was read afterwards.
    Verification,
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "empty environment",
            Self::Descriptors => "no inherited descriptors",
            Self::Threads => "one thread",
            Self::Session => "own session",
            Self::ParentDeath => "end with the parent",
            Self::Memory => "limit on memory",
            Self::ProcessorTime => "limit on processor time",
            Self::Files => "limit on files",
            Self::Processes => "limit on processes",
            Self::CoreDumps => "no core dumps",
            Self::Inspection => "no inspection by other processes",
            Self::Groups => "no supplementary groups",
            Self::Identity => "unprivileged user",
            Self::Capabilities => "no capabilities",
            Self::BoundingSet => "empty capability bounding set",
            Self::NoNewPrivileges => "no new privileges",
            Self::Filesystem => "restricted file system",
            Self::Execution => "restricted execution",
            Self::Network => "restricted network",
            Self::Scope => "restricted signals and abstract sockets",
            Self::SystemCalls => "restricted system calls",
            Self::Verification => "verification by the kernel's account",
        })
    }
}

/// How far one protection is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In force.
    Enforced,
    /// In force, but for what is named.
    Partial {
        /// What it leaves open, and why.
        gap: String,
    },
    /// Not in force.
    Missing {
        /// Why.
        reason: String,
    },
}

impl State {
    /// The state that follows from asking the kernel for a protection.
    pub(super) fn of<E: fmt::Display>(asked: &str, outcome: Result<(), E>) -> Self {
        match outcome {
            Ok(()) => Self::Enforced,
            Err(error) => Self::missing(format!("{asked}: {error}")),
        }
    }

    pub(super) fn missing(reason: impl Into<String>) -> Self {
        Self::Missing { reason: reason.into() }
    }

    /// Whether the protection is in force, at least in part.
    pub const fn is_in_force(&self) -> bool {
        !matches!(self, Self::Missing { .. })
    }

    const fn severity(&self) -> u8 {
        match self {
            Self::Enforced => 0,
            Self::Partial { .. } => 1,
            Self::Missing { .. } => 2,
        }
    }
}

/// One protection and how far it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The protection.
    pub what: Protection,
    /// How far it is in force.
    pub state: State,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Enforced => write!(f, "{}: enforced", self.what),
            State::Partial { gap } => write!(f, "{}: enforced in part: {gap}", self.what),
            State::Missing { reason } => write!(f, "{}: missing: {reason}", self.what),
        }
    }
}

/// Which process was confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The one that reads foreign bytes.
    Child,
    /// The one that holds credentials.
    Parent,
}

impl Role {
    /// The protections without which a process of this role is not to be trusted with its task. Why others are not among
    /// them stands at [`Confinement::is_sufficient`].
    pub(super) const fn essential(self) -> &'static [Protection] {
        match self {
            Self::Child => &[
                Protection::Environment,
                Protection::Descriptors,
                Protection::Threads,
                Protection::Memory,
                Protection::ProcessorTime,
                Protection::CoreDumps,
                Protection::Inspection,
                Protection::Capabilities,
                Protection::NoNewPrivileges,
                Protection::Filesystem,
                Protection::SystemCalls,
                Protection::Verification,
            ],
            Self::Parent => &[
                Protection::Threads,
                Protection::CoreDumps,
                Protection::Inspection,
                Protection::NoNewPrivileges,
                Protection::Filesystem,
            ],
        }
    }
}

/// The confinement of one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Which process it is.
    pub role: Role,
    /// Every protection that was asked for, once each, in the order in which they were.
    pub parts: Vec<Part>,
}

impl Confinement {
    pub(super) const fn new(role: Role) -> Self {
        Self { role, parts: Vec::new() }
    }

    /// Notes the state of a protection. Of several for the same one, the worst counts, and the first of these.
    pub(super) fn record(&mut self, what: Protection, state: State) {
        match self.parts.iter_mut().find(|part| part.what == what) {
            None => self.parts.push(Part { what, state }),
            Some(part) if part.state.severity() < state.severity() => part.state = state,
            Some(_) => {}
        }
    }

    /// How far a protection is in force; nothing if it was not asked for.
    pub fn state(&self, what: Protection) -> Option<&State> {
        self.parts.iter().find(|part| part.what == what).map(|part| &part.state)
    }

    /// The parts that are not in force and without which the process is not to be trusted with its task.
    pub fn missing_essentials(&self) -> impl Iterator<Item = Part> {
        self.role.essential().iter().filter_map(|&what| {
            let state = self.state(what).cloned().unwrap_or_else(|| State::missing("nothing is known of it"));
            (!state.is_in_force()).then_some(Part { what, state })
        })
    }

    /// Whether every protection that is essential is in force, at least in part.
    ///
    /// What something essential makes up for is not essential itself. In a child:
    /// - network and scope, which the Landlock of Linux before 6.7 and 6.12 does not know: without system calls for them
    ///   there are no sockets and no signals. The same is true of what an older Landlock lacks for files;
    /// - groups, which an ordinary user cannot leave: Landlock refuses every file, whatever the groups say;
    /// - the bounding set, which only root can empty: with no new privileges it has no use;
    /// - identity: without capabilities, files, signals and system calls, root is a number;
    /// - session, end with the parent, files and processes: they bound what the missing system calls already exclude, or
    ///   what the end of the socket and the limit on processor time end too.
    ///
    /// In a parent, execution: a program that it starts is bound by the rest, and some configurations ask for it.
    pub fn is_sufficient(&self) -> bool {
        self.missing_essentials().next().is_none()
    }
}

/// What is missing, each part with its reason, in one line.
pub fn list(parts: &[Part]) -> String {
    let part = |part: &Part| match &part.state {
        State::Missing { reason } => format!("{} ({reason})", part.what),
        State::Enforced | State::Partial { .. } => part.what.to_string(),
    };
    parts.iter().map(part).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_state_of_a_part_counts() {
        let mut confinement = Confinement::new(Role::Child);
        confinement.record(Protection::Memory, State::Enforced);
        confinement.record(Protection::Memory, State::missing("first"));
        confinement.record(Protection::Memory, State::missing("second"));
        confinement.record(Protection::Memory, State::Enforced);
        assert_eq!(confinement.parts.len(), 1);
        assert_eq!(confinement.state(Protection::Memory), Some(&State::missing("first")));
        let essentials: Vec<_> = confinement.missing_essentials().collect();
        assert!(essentials.contains(&confinement.parts[0]), "{essentials:?}");
    }

    #[test]
    fn what_is_not_reported_does_not_suffice() {
        for role in [Role::Child, Role::Parent] {
            let mut confinement = Confinement::new(role);
            assert!(!confinement.is_sufficient());
            for what in role.essential() {
                assert!(!confinement.is_sufficient());
                confinement.record(*what, State::Partial { gap: String::new() });
            }
            assert!(confinement.is_sufficient());
        }
    }
}
