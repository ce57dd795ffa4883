//! Why a volume that is made of others cannot be read.

use crate::fs::FsError;

/// Why a logical volume or an array cannot be read. Sorted by who must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// The caller: a part of it is on a disk that is not among those that were given.
    #[error("{part} is missing")]
    Missing {
        /// The part, with its identity, e.g. `physical volume 0Ytc6g-…`.
        part: String,
    },
    /// The data: what describes it contradicts the format's specification.
    #[error("{problem}")]
    Damaged {
        /// What is wrong, as a sentence without a full stop.
        problem: String,
    },
    /// Ours: valid, but this version does not read it.
    #[error("{feature} is not supported")]
    Unsupported {
        /// The feature, in the format's own terms.
        feature: String,
    },
}

impl From<FsError> for Unreadable {
    fn from(error: FsError) -> Self {
        match error {
            FsError::Unsupported { feature } => Self::Unsupported { feature },
            other => Self::Damaged { problem: crate::chain(&other) },
        }
    }
}

impl Unreadable {
    pub(crate) fn damaged(problem: impl Into<String>) -> Self {
        Self::Damaged { problem: problem.into() }
    }

    pub(crate) fn missing(part: impl Into<String>) -> Self {
        Self::Missing { part: part.into() }
    }

    pub(crate) fn unsupported(feature: impl Into<String>) -> Self {
        Self::Unsupported { feature: feature.into() }
    }
}
