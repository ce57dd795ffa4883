//! The providers that are measured.

use std::fs;
use std::path::PathBuf;

use agentless_tests::local_aws::LocalAws;
use agentless_tests::programs;
use agentless_tests::terraform::{self, Installed, Terraform};

use crate::error::Error;

/// What is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Objects {
    /// Role, security group, launch template, Auto Scaling group.
    Scanner,
    /// The same, and a network beside it.
    ScannerAndNetwork,
}

impl Objects {
    pub(crate) const ALL: [Self; 2] = [Self::Scanner, Self::ScannerAndNetwork];

    /// What the table says before the command.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Scanner => "",
            Self::ScannerAndNetwork => "with a network, ",
        }
    }
}

/// A provider, and the configuration by which it makes a scanner's AWS objects.
#[derive(Debug)]
pub(crate) struct Subject {
    /// What the table calls it.
    pub(crate) title: String,
    /// Its source address.
    pub(crate) source: &'static str,
    pub(crate) version: String,
    pub(crate) program: PathBuf,
    configuration: Configuration,
    /// What makes the network, beside the configuration.
    network: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Configuration {
    Example(&'static str),
    Text(&'static str),
}

impl Subject {
    /// The provider of this workspace, built as it is released.
    pub(crate) fn ours() -> Result<Self, Error> {
        Ok(Self {
            title: "datadog-agentless".to_owned(),
            source: terraform::SOURCE,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            program: programs::provider()?,
            configuration: Configuration::Example("quickstart"),
            network: include_str!("datadog-agentless-network.tf"),
        })
    }

    /// The general AWS provider, if it is installed.
    pub(crate) fn hashicorp_aws() -> Option<Self> {
        let source = "registry.terraform.io/hashicorp/aws";
        let named = std::env::var_os("AWS_PROVIDER_MIRROR").map(|mirror| vec![PathBuf::from(mirror)]);
        let mirrors = named.unwrap_or_else(Installed::implied_mirrors);
        let Installed { version, program } = Installed::find(source, &mirrors)?;
        let configuration = Configuration::Text(include_str!("hashicorp-aws.tf"));
        let title = format!("hashicorp/aws {version}");
        let network = include_str!("hashicorp-aws-network.tf");
        Some(Self { title, source, version, program, configuration, network })
    }

    /// A working directory with the configuration.
    pub(crate) fn terraform(&self, aws: &LocalAws, objects: Objects) -> Result<Terraform, Error> {
        let terraform = match self.configuration {
            Configuration::Example(name) => Terraform::with_example(aws, name),
            Configuration::Text(text) => Terraform::with_config(aws, text),
        }?;
        if objects == Objects::ScannerAndNetwork {
            let path = terraform.directory().join("network.tf");
            fs::write(&path, self.network).map_err(Error::io("write", &path))?;
        }
        Ok(terraform)
    }
}
