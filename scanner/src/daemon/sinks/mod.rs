//! The sinks that are AWS's own.

pub mod s3;
