//! What the local AWS claims to be, shown with the AWS SDKs.
//!
//! One local AWS is shared by the tests of each file below; each test works on resources of its own.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, outside of #[test] functions"
)]

#[path = "local_aws/auto_scaling.rs"]
mod auto_scaling;
#[path = "local_aws/ebs_direct.rs"]
mod ebs_direct;
#[path = "local_aws/ec2.rs"]
mod ec2;
#[path = "local_aws/iam.rs"]
mod iam;
#[path = "local_aws/metadata.rs"]
mod metadata;
#[path = "local_aws/process.rs"]
mod process;
#[path = "local_aws/proxy.rs"]
mod proxy;
#[path = "local_aws/secrets.rs"]
mod secrets;
#[path = "local_aws/shared.rs"]
mod shared;
