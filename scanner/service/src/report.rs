//! What a scan has to tell, on its way to the sinks.

use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::target::Target;

/// What one scan has to tell.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was scanned.
    pub target: Target,
    /// The scan.
    pub scan: Uuid,
    /// The scanner.
    pub scanner: String,
    /// When it began.
    pub started: OffsetDateTime,
    /// How long it took.
    pub duration: Duration,
    /// What was found, or why nothing was.
    pub outcome: Outcome,
}

/// What was found, or why nothing was.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Package lists: of each system and of each container, at least one.
    Listed(Vec<List>),
    /// The scan failed, for this reason.
    Failed(String),
}

/// The package list of one system, function or container.
#[derive(Clone, Debug)]
pub struct List {
    /// What it is the list of.
    pub subject: Subject,
    /// A name for a file with it in it, without an ending; harmless characters only. Two lists of one report may have the
    /// same.
    pub name: String,
    /// Whether everything was read. What was not is named in the list.
    pub is_complete: bool,
    /// SHA-256 of the contents without their time, in hexadecimal: the same packages have the same.
    pub hash: String,
    /// CycloneDX 1.6 in JSON.
    pub json: Bytes,
    /// CycloneDX 1.4 in protocol buffers.
    pub protobuf: Bytes,
}

/// What a list is the list of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Subject {
    /// The system of the target: a host, a machine image or a function.
    Target,
    /// A container on it.
    Container {
        /// The reference of its image, with the digest where that is known.
        image: String,
    },
}
