//! What the parent keeps.

use std::io;
use std::path::PathBuf;

/// What the process that holds credentials goes on doing once it is confined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParentRights {
    /// Files and directories that may be written to; beneath a directory, files may also be made, renamed and removed.
    /// Each must exist. An output that is put in place by renaming needs its directory here.
    pub writes: Vec<PathBuf>,
    /// Whether other programs may be executed, as AWS profiles with `credential_process` require.
    pub executes_others: bool,
}

/// Why a process could not be confined as it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfineError {
    /// A path in [`ParentRights::writes`] cannot be looked up.
    #[error("cannot permit writing to {}: it must exist and be accessible before the process gives up its rights", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
