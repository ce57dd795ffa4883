//! The messages of CycloneDX 1.4, those fields of them that are written.
//!
//! Numbers and types are those of the package `cyclonedx.v1_4` in
//! [bom-1.4.proto](https://github.com/CycloneDX/specification/blob/1.4/schema/bom-1.4.proto), names are in Rust's manner.

use prost::{Enumeration, Message};

#[derive(Clone, PartialEq, Message)]
pub(super) struct Bom {
    #[prost(string, tag = "1")]
    pub(super) spec_version: String,
    #[prost(int32, optional, tag = "2")]
    pub(super) version: Option<i32>,
    #[prost(string, optional, tag = "3")]
    pub(super) serial_number: Option<String>,
    #[prost(message, optional, tag = "4")]
    pub(super) metadata: Option<Metadata>,
    #[prost(message, repeated, tag = "5")]
    pub(super) components: Vec<Component>,
    #[prost(message, repeated, tag = "8")]
    pub(super) dependencies: Vec<Dependency>,
    #[prost(message, repeated, tag = "9")]
    pub(super) compositions: Vec<Composition>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Metadata {
    #[prost(message, optional, tag = "1")]
    pub(super) timestamp: Option<Timestamp>,
    #[prost(message, repeated, tag = "2")]
    pub(super) tools: Vec<Tool>,
    #[prost(message, optional, tag = "4")]
    pub(super) component: Option<Component>,
    #[prost(message, repeated, tag = "8")]
    pub(super) properties: Vec<Property>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Tool {
    #[prost(string, optional, tag = "2")]
    pub(super) name: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(super) version: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Component {
    #[prost(enumeration = "Classification", tag = "1")]
    pub(super) kind: i32,
    #[prost(string, optional, tag = "3")]
    pub(super) bom_ref: Option<String>,
    #[prost(message, optional, tag = "4")]
    pub(super) supplier: Option<OrganizationalEntity>,
    #[prost(string, optional, tag = "7")]
    pub(super) group: Option<String>,
    #[prost(string, tag = "8")]
    pub(super) name: String,
    /// Empty where there is none: it is not optional.
    #[prost(string, tag = "9")]
    pub(super) version: String,
    #[prost(string, optional, tag = "10")]
    pub(super) description: Option<String>,
    #[prost(message, repeated, tag = "13")]
    pub(super) licenses: Vec<LicenseChoice>,
    #[prost(string, optional, tag = "16")]
    pub(super) purl: Option<String>,
    #[prost(message, repeated, tag = "21")]
    pub(super) components: Vec<Self>,
    #[prost(message, repeated, tag = "22")]
    pub(super) properties: Vec<Property>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(super) enum Classification {
    Null = 0,
    Application = 1,
    Framework = 2,
    Library = 3,
    OperatingSystem = 4,
    Device = 5,
    File = 6,
    Container = 7,
    Firmware = 8,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OrganizationalEntity {
    #[prost(string, optional, tag = "1")]
    pub(super) name: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LicenseChoice {
    #[prost(oneof = "choice::Choice", tags = "1, 2")]
    pub(super) choice: Option<choice::Choice>,
}

pub(super) mod choice {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(in super::super) enum Choice {
        #[prost(message, tag = "1")]
        License(super::License),
        #[prost(string, tag = "2")]
        Expression(String),
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct License {
    #[prost(oneof = "license::License", tags = "1, 2")]
    pub(super) license: Option<license::License>,
}

pub(super) mod license {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(in super::super) enum License {
        #[prost(string, tag = "1")]
        Id(String),
        #[prost(string, tag = "2")]
        Name(String),
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Property {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, optional, tag = "2")]
    pub(super) value: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Dependency {
    #[prost(string, tag = "1")]
    pub(super) reference: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) dependencies: Vec<Self>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Composition {
    #[prost(enumeration = "Aggregate", tag = "1")]
    pub(super) aggregate: i32,
    #[prost(string, repeated, tag = "2")]
    pub(super) assemblies: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub(super) enum Aggregate {
    NotSpecified = 0,
    Complete = 1,
    Incomplete = 2,
}
