//! `terraform-provider-datadog-agentless`: the process that Terraform starts.

use std::process::ExitCode;

use terraform_provider::provider::Agentless;
use terraform_provider::sdk::serve;

fn main() -> ExitCode {
    serve(Agentless)
}
