//! Runs the real Terraform with the freshly built provider.
