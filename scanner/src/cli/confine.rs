//! What the system protects: the scanner gives up what it does not need, and the user is told of what is missing.

use std::error::Error;
use std::path::Path;

use agentless_core::text::printable;
use agentless_sandbox::confine::{self, Confinement, ParentRights, Part, list};
use agentless_sandbox::parent::Mode;

use super::log::Log;
use super::say;
use crate::aws::AwsFiles;
use crate::target::{Target, TargetPlace};

/// This process holds credentials, and the system does not confine it.
#[derive(Debug, thiserror::Error)]
#[error(
    "this system does not confine the scanner, which holds credentials and starts what reads a disk that may be hostile: \
     {}. Linux 5.13 or later with Landlock does; `{otherwise}` goes on all the same",
    list(.missing)
)]
struct Unconfined {
    missing: Vec<Part>,
    otherwise: &'static str,
}

/// Gives up what this process does not need for reading a target, and writing files into these folders.
///
/// It must be called while the process has one thread.
pub(super) fn confine<'a>(
    target: &Target,
    folders: impl IntoIterator<Item = &'a Path>,
    mode: Mode,
    log: Log,
) -> Result<Safeguards, Box<dyn Error>> {
    let missing = give_up(&rights(target, folders), mode, "--sandbox best-effort")?;
    Ok(Safeguards { mode, missing, is_quiet: log.quiet })
}

/// Gives up everything but these rights, and returns what essential part of that the system does not do. `otherwise` is what
/// the user can set to go on all the same.
///
/// It must be called while the process has one thread.
pub(super) fn give_up(
    rights: &ParentRights,
    mode: Mode,
    otherwise: &'static str,
) -> Result<Vec<Part>, Box<dyn Error>> {
    let confinement = confine::parent(rights)?;
    for part in &confinement.parts {
        tracing::debug!(%part, "the scanner's own confinement");
    }
    let missing: Vec<_> = confinement.missing_essentials().collect();
    if mode == Mode::Required && !confinement.is_sufficient() {
        return Err(Unconfined { missing, otherwise }.into());
    }
    Ok(missing)
}

/// Adds what whoever speaks to AWS needs: the caches of its credentials, and a place for blocks that do not fit into memory.
pub(super) fn add_aws(rights: &mut ParentRights) {
    let files = AwsFiles::find();
    rights.writes.extend(Some(std::env::temp_dir()).filter(|path| path.is_dir()));
    rights.writes.extend(files.caches);
    rights.executes_others |= files.runs_programs;
    if files.runs_programs {
        tracing::debug!(
            "the AWS configuration has `credential_process`, so that this process may execute other programs"
        );
    }
}

fn rights<'a>(target: &Target, folders: impl IntoIterator<Item = &'a Path>) -> ParentRights {
    let writes = folders.into_iter().map(Path::to_owned).collect();
    let mut rights = ParentRights { writes, executes_others: false };
    // A target of this machine needs no credentials, and none of its blocks are kept.
    if !matches!(target.place(), TargetPlace::Here(_)) {
        add_aws(&mut rights);
    }
    rights
}

/// How far the system confines this process, and what to do where that, or the confinement of an analyser, is not enough.
#[derive(Clone, Debug)]
pub(super) struct Safeguards {
    mode: Mode,
    /// What this process lacks of what is essential.
    missing: Vec<Part>,
    is_quiet: bool,
}

impl Safeguards {
    /// What to do where it is not enough.
    pub(super) const fn mode(&self) -> Mode {
        self.mode
    }

    /// Tells the user, in one line, what of the protection is missing, if anything that matters is.
    pub(super) fn warn(&self, analyser: &Confinement) {
        if let Some(warning) = self.warning(analyser).filter(|_| !self.is_quiet) {
            say(&printable(&warning));
        }
    }

    fn warning(&self, analyser: &Confinement) -> Option<String> {
        let of_analyser: Vec<_> = analyser.missing_essentials().collect();
        let missing: Vec<_> = [("analyser", &of_analyser), ("scanner", &self.missing)]
            .into_iter()
            .filter(|(_, parts)| !parts.is_empty())
            .map(|(process, parts)| format!("of the {process}, {}", list(parts)))
            .collect();
        (!missing.is_empty()).then(|| {
            format!(
                "warning: a part of the protection from hostile disks is not in force here: {}. A disk that is made to \
                 take over the process which reads it could do more than spoil its own report: read only disks that you \
                 trust, or use Linux 5.13 or later with Landlock. `--sandbox required` reads nothing without it",
                missing.join("; ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use agentless_sandbox::confine::{Protection, Role, State};

    use super::*;

    fn part(what: Protection, reason: Option<&str>) -> Part {
        let state = reason.map_or(State::Enforced, |reason| State::Missing { reason: reason.to_owned() });
        Part { what, state }
    }

    #[test]
    fn what_is_missing_is_said_in_one_line_and_only_if_it_matters() {
        let essential = Confinement { role: Role::Child, parts: Vec::new() };
        let analyser = |filesystem, scope| {
            let others = essential.missing_essentials().map(|missing| missing.what);
            let mut parts: Vec<_> =
                others.filter(|&what| what != Protection::Filesystem).map(|what| part(what, None)).collect();
            parts.extend([part(Protection::Filesystem, filesystem), part(Protection::Scope, scope)]);
            Confinement { role: Role::Child, parts }
        };
        let protection = |missing| Safeguards { mode: Mode::BestEffort, missing, is_quiet: false };
        let old = Some("too old");
        assert_eq!(protection(vec![]).warning(&analyser(None, None)), None);
        assert_eq!(protection(vec![]).warning(&analyser(None, old)), None);
        let warning =
            protection(vec![part(Protection::Inspection, old)]).warning(&analyser(old, old)).unwrap();
        let expected = "of the analyser, restricted file system (too old); of the scanner, no inspection by other \
                        processes (too old). ";
        assert!(warning.contains(expected) && warning.lines().count() == 1, "{warning}");
    }

    #[test]
    fn a_target_of_this_machine_needs_nothing_but_its_outputs() {
        let outputs = [Path::new("/out")];
        let local = rights(&Target::Image("disk.img".into()), outputs);
        assert_eq!(local, ParentRights { writes: vec!["/out".into()], executes_others: false });
        let remote = rights(&Target::Snapshot("snap-1".to_owned()), outputs);
        assert!(remote.writes.contains(&std::env::temp_dir()));
    }
}
