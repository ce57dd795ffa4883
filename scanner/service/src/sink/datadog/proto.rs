//! The messages of the SBOM intake, by its field numbers.

use bytes::Bytes;
use prost::{Enumeration, Message, Oneof};

/// One request.
#[derive(Clone, PartialEq, Message)]
pub struct SbomPayload {
    /// Of the protocol: 1.
    #[prost(int32, tag = "1")]
    pub version: i32,
    /// Where the scanner runs.
    #[prost(string, tag = "2")]
    pub host: String,
    /// What kind of program sends: `agentless-scanner`.
    #[prost(string, tag = "3")]
    pub source: String,
    /// What it is about.
    #[prost(message, repeated, tag = "4")]
    pub entities: Vec<SbomEntity>,
    /// The environment, where one is configured.
    #[prost(string, optional, tag = "5")]
    pub dd_env: Option<String>,
}

/// One thing that has a package list.
#[derive(Clone, PartialEq, Message)]
pub struct SbomEntity {
    /// What it is.
    #[prost(enumeration = "SourceType", tag = "1")]
    pub kind: i32,
    /// Which one.
    #[prost(string, tag = "2")]
    pub id: String,
    /// When it was looked at.
    #[prost(message, optional, tag = "3")]
    pub generated_at: Option<Timestamp>,
    /// Tags of a container's image in its repository.
    #[prost(string, repeated, tag = "4")]
    pub repo_tags: Vec<String>,
    /// Whether it runs, as opposed to something that could.
    #[prost(bool, tag = "5")]
    pub in_use: bool,
    /// How long the scan took.
    #[prost(message, optional, tag = "6")]
    pub generation_duration: Option<Duration>,
    /// Tags, `key:value`.
    #[prost(string, repeated, tag = "7")]
    pub dd_tags: Vec<String>,
    /// The list of this hash is still right, and not sent again.
    #[prost(bool, tag = "8")]
    pub heartbeat: bool,
    /// Of the list.
    #[prost(string, tag = "9")]
    pub hash: String,
    /// Whether there is a list.
    #[prost(enumeration = "Status", tag = "11")]
    pub status: i32,
    /// A container's image with its digest.
    #[prost(string, repeated, tag = "14")]
    pub repo_digests: Vec<String>,
    /// The list, or why there is none; nothing in a heartbeat.
    #[prost(oneof = "Sbom", tags = "10, 12")]
    pub sbom: Option<Sbom>,
}

/// The list, or why there is none.
#[derive(Clone, PartialEq, Eq, Oneof)]
pub enum Sbom {
    /// A `Bom` of CycloneDX 1.4, encoded: as a field, a message is its bytes.
    #[prost(bytes = "bytes", tag = "10")]
    Cyclonedx(Bytes),
    /// Why the scan failed.
    #[prost(string, tag = "12")]
    Error(String),
}

/// What an entity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
#[expect(missing_docs, reason = "the intake's names")]
pub enum SourceType {
    Unspecified = 0,
    ContainerImageLayers = 1,
    ContainerFileSystem = 2,
    HostFileSystem = 3,
    CiPipeline = 4,
    HostImage = 5,
    ServerlessFunction = 6,
}

/// Whether an entity has a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
#[expect(missing_docs, reason = "the intake's names")]
pub enum Status {
    Success = 0,
    Failed = 1,
    Pending = 2,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Timestamp {
    /// Since 1970.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Of the second.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Duration {
    /// Whole ones.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Of the second.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}
