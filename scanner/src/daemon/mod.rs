//! The scanner as a service: what joins the parts of `agentless-service` with AWS.

pub mod sweep;
