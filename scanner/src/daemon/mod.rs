//! The scanner as a service: joins the parts of `agentless-service` with AWS.

pub mod sinks;
