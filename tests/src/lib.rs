//! The end-to-end harness: a local AWS, a Terraform runner, the judge of permissions, and the programs under test.

pub mod bench;
pub mod causes;
pub mod cyclonedx;
pub mod demo;
pub mod image_template;
pub mod intake;
pub mod judge;
pub mod leftovers;
pub mod load;
pub mod local_aws;
pub mod machine_image;
pub mod packages;
pub mod process;
pub mod programs;
pub mod service;
pub mod terraform;
pub mod tools;
