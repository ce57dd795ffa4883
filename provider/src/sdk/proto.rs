//! The generated messages and services.

#![expect(
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::as_conversions,
    clippy::default_trait_access,
    unnameable_types,
    unreachable_pub,
    unused_qualifications,
    reason = "generated code"
)]

/// Terraform's plugin protocol, version 6.
#[allow(
    dead_code,
    reason = "messages that only name a space for others; `expect` finds nothing here, yet rustc warns"
)]
pub(crate) mod tfplugin6 {
    tonic::include_proto!("tfplugin6");
}

/// The services of go-plugin.
pub(crate) mod go_plugin {
    tonic::include_proto!("plugin");
}

/// The health protocol of gRPC.
pub(crate) mod health {
    tonic::include_proto!("grpc.health.v1");
}
