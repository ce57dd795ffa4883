//! The messages of the SBOM intake, written down from its field numbers once more: a mistake in the scanner's is not made
//! here too.

use prost::bytes::Bytes;
use prost::{Enumeration, Message, Oneof};

/// What an entity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
#[expect(missing_docs, reason = "the intake's names")]
pub enum Kind {
    Unspecified = 0,
    ContainerImageLayers = 1,
    ContainerFileSystem = 2,
    HostFileSystem = 3,
    CiPipeline = 4,
    HostImage = 5,
    ServerlessFunction = 6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(super) enum Status {
    Success = 0,
    Failed = 1,
    Pending = 2,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Payload {
    #[prost(int32, tag = "1")]
    pub(super) version: i32,
    #[prost(string, tag = "2")]
    pub(super) host: String,
    #[prost(string, tag = "3")]
    pub(super) source: String,
    #[prost(message, repeated, tag = "4")]
    pub(super) entities: Vec<Entity>,
    #[prost(string, optional, tag = "5")]
    pub(super) env: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Entity {
    #[prost(enumeration = "Kind", tag = "1")]
    pub(super) kind: i32,
    #[prost(string, tag = "2")]
    pub(super) id: String,
    #[prost(message, optional, tag = "3")]
    pub(super) generated_at: Option<Time>,
    #[prost(string, repeated, tag = "4")]
    pub(super) repo_tags: Vec<String>,
    #[prost(bool, tag = "5")]
    pub(super) in_use: bool,
    #[prost(message, optional, tag = "6")]
    pub(super) generation_duration: Option<Time>,
    #[prost(string, repeated, tag = "7")]
    pub(super) tags: Vec<String>,
    #[prost(bool, tag = "8")]
    pub(super) heartbeat: bool,
    #[prost(string, tag = "9")]
    pub(super) hash: String,
    #[prost(oneof = "Sbom", tags = "10, 12")]
    pub(super) sbom: Option<Sbom>,
    #[prost(enumeration = "Status", tag = "11")]
    pub(super) status: i32,
    #[prost(string, repeated, tag = "14")]
    pub(super) repo_digests: Vec<String>,
    #[prost(string, tag = "15")]
    pub(super) kernel_version: String,
    #[prost(string, tag = "16")]
    pub(super) cpu_architecture: String,
}

#[derive(Clone, PartialEq, Eq, Oneof)]
pub(super) enum Sbom {
    #[prost(bytes = "bytes", tag = "10")]
    Cyclonedx(Bytes),
    #[prost(string, tag = "12")]
    Error(String),
}

/// `google.protobuf.Timestamp` and `google.protobuf.Duration` have the same fields.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Time {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}
