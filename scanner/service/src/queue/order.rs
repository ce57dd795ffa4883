//! What is asked of the queue: a target, why, and what of it.

use crate::target::Target;
use crate::tasks::{Actions, Task};

/// Why a target is scanned, the most urgent first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Cause {
    /// Somebody asked for it, by the status interface.
    User,
    /// A task asked for it.
    Task,
    /// It is due.
    Schedule,
}

impl Cause {
    /// The name in messages and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Task => "task",
            Self::Schedule => "schedule",
        }
    }

    /// Whether it goes before what is merely due.
    pub(super) const fn is_urgent(self) -> bool {
        matches!(self, Self::User | Self::Task)
    }
}

/// One scan that is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Order {
    /// Of what.
    pub target: Target,
    /// Why.
    pub cause: Cause,
    /// What of it.
    pub scope: Scope,
    /// The delegate role that a task named; otherwise that of the account, as configured.
    pub role: Option<String>,
    /// The host's name that a task gave.
    pub hostname: Option<String>,
}

impl Order {
    /// A scan of what is configured, with the role that is configured.
    pub fn new(target: Target, cause: Cause) -> Self {
        Self { target, cause, scope: Scope::CONFIGURED, role: None, hostname: None }
    }

    /// Takes on what another order of the same target asks for. The role stays: a scan that was due never fails because of
    /// what a task brought with it.
    pub(super) fn join(&mut self, other: Self) {
        self.cause = self.cause.min(other.cause);
        self.scope = self.scope.union(other.scope);
        self.hostname = self.hostname.take().or(other.hostname);
    }
}

impl From<Task> for Order {
    fn from(task: Task) -> Self {
        Self {
            target: task.target,
            cause: Cause::Task,
            scope: task.actions.map_or(Scope::CONFIGURED, Scope::only),
            role: task.role,
            hostname: task.hostname,
        }
    }
}

/// What of a target is scanned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scope {
    /// What is configured.
    is_configured: bool,
    /// These, whatever is configured.
    actions: Actions,
}

impl Scope {
    /// What is configured.
    pub const CONFIGURED: Self = Self { is_configured: true, actions: Actions::NONE };

    /// Exactly these actions.
    pub const fn only(actions: Actions) -> Self {
        Self { is_configured: false, actions }
    }

    /// The actions that these are, with what is configured.
    pub fn actions(self, configured: Actions) -> Actions {
        if self.is_configured { self.actions.union(configured) } else { self.actions }
    }

    fn union(self, other: Self) -> Self {
        Self {
            is_configured: self.is_configured || other.is_configured,
            actions: self.actions.union(other.actions),
        }
    }

    /// Whether a scan of this is one of the other as well.
    pub(super) fn covers(self, other: Self) -> bool {
        self.union(other) == self
    }
}
