//! The analyser as a process of its own.

use std::process::ExitCode;

use agentless_sandbox::child;
use agentless_sandbox::confine::ChildLimits;

use crate::analyse;

/// Makes this process an analyser, which gives up its power before it reads the first byte of a disk.
pub fn main(limits: ChildLimits) -> ExitCode {
    child::run(limits, |given| analyse::perform(given.task, given.id, given.source, given.limits, given.out))
}
