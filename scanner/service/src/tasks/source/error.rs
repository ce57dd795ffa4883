//! Why nothing was taken from a source.

use std::io;
use std::path::PathBuf;

use crate::tasks::{DocumentError, MAX_DOCUMENT, SignatureError};

/// Why a document, or all of a source, was not taken. It is tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A file or directory could not be read.
    #[error("could not read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// More files than are looked at.
    #[error("{path} has more than {max} documents: remove those that are done")]
    TooMany {
        /// The directory.
        path: PathBuf,
        /// How many are looked at.
        max: usize,
    },
    /// The address is not one, or not of HTTPS.
    #[error("the address of tasks is not one of HTTPS: write https://HOST/PATH")]
    Address,
    /// No answer, or a broken one.
    #[error("could not fetch {address}")]
    Fetch {
        /// Which, without what could be secret.
        address: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The answer of an error.
    #[error("could not fetch {address}: the server answered {status}")]
    Status {
        /// Which, without what could be secret.
        address: String,
        /// With this.
        status: http::StatusCode,
    },
    /// More than a document may have.
    #[error(
        "could not fetch {address}: it is longer than {max} bytes; split it (documents have up to {MAX_DOCUMENT})"
    )]
    TooMuch {
        /// Which, without what could be secret.
        address: String,
        /// How much is read.
        max: usize,
    },
    /// Without the signature that is asked for.
    #[error("{name} is refused: a public key is configured, and it has no signature {name}.minisig")]
    NoSignature {
        /// The document.
        name: String,
    },
    /// With a wrong signature.
    #[error("{name} is refused")]
    Signature {
        /// The document.
        name: String,
        /// Why.
        source: SignatureError,
    },
    /// Not a batch of tasks.
    #[error("{name} is refused")]
    Document {
        /// The document.
        name: String,
        /// Why.
        source: DocumentError,
    },
    /// The list of documents that were taken could not be written.
    #[error(
        "could not write {path}, the list of documents that were taken: after a restart they are taken again"
    )]
    Record {
        /// The list.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
