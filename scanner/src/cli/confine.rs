//! What the system protects: the scanner gives up what it does not need, and the user is told of what is missing.

use std::error::Error;
use std::path::Path;

use agentless_core::text::printable;
use agentless_sandbox::confine::{self, Confinement, ParentRights, Part};
use agentless_sandbox::parent::Mode;

use super::log::Log;
use super::say;
use crate::aws::AwsFiles;
use crate::target::Target;

/// This process holds credentials, and the system does not confine it.
#[derive(Debug, thiserror::Error)]
#[error(
    "this system does not confine the scanner, which holds credentials and starts what reads a disk that may be hostile: \
     {}. Linux 5.13 or later with Landlock does; `--sandbox best-effort` goes on all the same",
    list(.missing)
)]
struct Unconfined {
    missing: Vec<Part>,
}

/// Gives up what this process does not need for reading a target, and writing files into these folders.
///
/// It must be called while the process has one thread.
pub(super) fn confine<'a>(
    target: &Target,
    folders: impl IntoIterator<Item = &'a Path>,
    mode: Mode,
    log: Log,
) -> Result<Protection, Box<dyn Error>> {
    let confinement = confine::parent(&rights(target, folders))?;
    for part in &confinement.parts {
        tracing::debug!(%part, "the scanner's own confinement");
    }
    let missing: Vec<_> = confinement.missing_essentials().cloned().collect();
    if mode == Mode::Required && !confinement.is_sufficient() {
        return Err(Unconfined { missing }.into());
    }
    Ok(Protection { mode, missing, is_quiet: log.quiet })
}

fn rights<'a>(target: &Target, folders: impl IntoIterator<Item = &'a Path>) -> ParentRights {
    let writes = folders.into_iter().map(Path::to_owned).collect();
    let mut rights = ParentRights { writes, executes_others: false };
    // A target of this machine needs no credentials, and none of its blocks are kept.
    if target.place().is_ok() {
        let files = AwsFiles::find();
        rights.writes.extend(Some(std::env::temp_dir()).filter(|path| path.is_dir()));
        rights.writes.extend(files.caches);
        rights.executes_others = files.runs_programs;
        if files.runs_programs {
            tracing::debug!(
                "the AWS configuration has `credential_process`, so that this process may execute other programs"
            );
        }
    }
    rights
}

/// How far the system protects this process from the one that reads disks.
#[derive(Clone, Debug)]
pub(super) struct Protection {
    mode: Mode,
    /// What this process lacks of what is essential.
    missing: Vec<Part>,
    is_quiet: bool,
}

impl Protection {
    /// What to do where it is not enough.
    pub(super) const fn mode(&self) -> Mode {
        self.mode
    }

    /// Tells the user, in one line, what of the protection is missing, if anything that matters is.
    pub(super) fn warn(&self, analyser: &Confinement) {
        if self.is_quiet {
            return;
        }
        let of_analyser: Vec<_> = analyser.missing_essentials().cloned().collect();
        let mut missing = Vec::new();
        for (process, parts) in [("analyser", &of_analyser), ("scanner", &self.missing)] {
            if !parts.is_empty() {
                missing.push(format!("of the {process}: {}", list(parts)));
            }
        }
        if !missing.is_empty() {
            say(&format!(
                "warning: this system lacks protection from hostile disks ({}). A disk that takes over the process which \
                 reads it could reach what that process reaches. Read only disks that you trust here, or use Linux 5.13 \
                 or later with Landlock, and `--sandbox required` to be sure",
                printable(&missing.join("; "))
            ));
        }
    }
}

fn list(parts: &[Part]) -> String {
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
