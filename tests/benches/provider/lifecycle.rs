//! Takes a scanner's AWS objects through their life with one of the providers.

use std::time::{Duration, Instant};

use agentless_tests::local_aws::{ACCOUNT, LocalAws, Network};
use aws_sdk_ec2::types::ArchitectureValues;
use scanner_policy::{Feature, PolicyDocument, Region, Scope};

use crate::error::Error;
use crate::meter::{Mirror, Usage};
use crate::subject::{Objects, Subject};

/// A command of Terraform.
#[derive(Debug)]
pub(crate) struct Command {
    /// What the table calls it.
    pub(crate) title: &'static str,
    arguments: &'static [&'static str],
    /// The exit code that shows that it did what it is measured for.
    exit_code: i32,
}

/// The life, in order.
pub(crate) const COMMANDS: [Command; 4] = [
    Command { title: "plan", arguments: PLAN, exit_code: CHANGES },
    Command { title: "apply", arguments: &["apply", "-auto-approve", "-no-color"], exit_code: 0 },
    Command { title: "plan, no changes", arguments: PLAN, exit_code: 0 },
    Command { title: "destroy", arguments: &["destroy", "-auto-approve", "-no-color"], exit_code: 0 },
];

const PLAN: &[&str] = &["plan", "-no-color", "-detailed-exitcode"];

/// Of `plan -detailed-exitcode`.
const CHANGES: i32 = 2;

/// What one command cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Of the provider.
    pub(crate) usage: Usage,
    /// The requests that AWS got.
    pub(crate) calls: usize,
    /// From the start of Terraform to its end.
    pub(crate) wall: Duration,
}

/// One life.
#[derive(Debug)]
pub(crate) struct Life {
    /// Of each of [`COMMANDS`].
    pub(crate) costs: Vec<Cost>,
    /// The Terraform that ran, for example `Terraform v1.11.4`.
    pub(crate) terraform: String,
}

/// Where the objects come to be.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    aws: &'a LocalAws,
    network: Network,
    image_id: String,
    policy: String,
    trust_policy: String,
}

impl<'a> Scene<'a> {
    pub(crate) async fn new(aws: &'a LocalAws) -> Result<Self, Error> {
        let network = aws.create_network().await?;
        let image_id = aws.register_image("agentless-scanner", ArchitectureValues::Arm64, &[]).await?;
        let unusable = |error: &dyn std::fmt::Display| Error::Measurement(format!("no policy: {error}"));
        let region: Region = aws.region().parse().map_err(|error| unusable(&error))?;
        let account = ACCOUNT.parse().map_err(|error| unusable(&error))?;
        let trust_policy = PolicyDocument::trust_ec2(&region).to_json();
        let scope = Scope { region, account, kms_keys: Vec::new() };
        let policy = PolicyDocument::for_scanner(&scope, Feature::ALL).map_err(|error| unusable(&error))?;
        Ok(Self { aws, network, image_id, policy: policy.to_json(), trust_policy })
    }

    /// Runs every command, and measures each.
    pub(crate) async fn live(
        &self,
        subject: &Subject,
        objects: Objects,
        mirror: &Mirror,
        round: u32,
    ) -> Result<Life, Error> {
        let mut terraform = subject.terraform(self.aws, objects)?;
        terraform.set_mirror(mirror.path())?;
        let (name, records) = mirror.environment();
        terraform.set_environment(name, records);
        terraform.set_variable("name", format!("scanner-{round}"));
        terraform.set_variable("region", self.aws.region());
        terraform.set_variable("vpc_id", &self.network.vpc_id);
        terraform.set_variable("subnet_ids", format!("{:?}", self.network.subnet_ids));
        terraform.set_variable("image_id", &self.image_id);
        // Our provider knows these by itself.
        terraform.set_variable("policy", &self.policy);
        terraform.set_variable("assume_role_policy", &self.trust_policy);
        mirror.reset()?;
        terraform.init().await?;

        let mut costs = Vec::new();
        for command in &COMMANDS {
            mirror.reset()?;
            self.aws.clear_calls();
            let began = Instant::now();
            let finished = terraform.run(command.arguments).await?;
            let wall = began.elapsed();
            if finished.code != Some(command.exit_code) {
                return Err(Error::Terraform(finished.into_error().into()));
            }
            costs.push(Cost { usage: mirror.usage()?, calls: self.aws.calls().len(), wall });
        }
        let unimplemented = self.aws.unimplemented();
        if !unimplemented.is_empty() {
            let what = unimplemented.join(", ");
            return Err(Error::Measurement(format!("the local AWS does not implement {what}")));
        }
        Ok(Life { costs, terraform: terraform.version().to_owned() })
    }
}
