//! Why there are no figures.

use std::path::{Path, PathBuf};

use agentless_tests::local_aws;
use agentless_tests::programs::BuildError;
use agentless_tests::terraform;

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
#[expect(clippy::error_impl_error, reason = "the only error of this program")]
pub(crate) enum Error {
    #[error("could not run a part in a thread of its own")]
    Task(#[from] tokio::task::JoinError),
    #[error("could not {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    LocalAws(#[from] local_aws::StartError),
    #[error(transparent)]
    Seed(#[from] local_aws::SeedError),
    #[error(transparent)]
    Terraform(#[from] terraform::Error),
    #[error("could not make a client certificate")]
    Certificate(#[from] rcgen::Error),
    #[error("{} did not answer with a handshake: {said:?}", program.display())]
    Handshake { program: PathBuf, said: String },
    #[error("{0}")]
    Measurement(String),
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}
