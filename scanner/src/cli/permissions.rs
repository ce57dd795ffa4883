//! `agentless-scanner permissions`: the policies of the roles that a scanner needs, and why.

use std::error::Error;
use std::io;

use clap::Args;
use scanner_policy::{
    AccountId, BucketName, DelegateScope, Feature, KmsKeyArn, ParameterPrefix, PipelineScope, PolicyDocument,
    Region, ReportPrefix, ReportStore, RoleArn, ScalingGroupName, SecretArn, ServiceAccess,
};

use super::image::DEFAULT_PREFIX;
use super::{Exit, unless_closed, write_stdout};
use crate::aws::{Connection, Home, Http};
use crate::output::table;

/// Print the policy of the role that a scanner needs: what it sends to AWS, and nothing else.
///
/// The policy is that of the scanner's own role, on its instance, or with --delegate that of the role in another account, or with
/// --image-pipeline that of who builds and retires scanner images. What is not given is not in it.
#[derive(Debug, Args)]
pub(super) struct Permissions {
    /// What is scanned: hosts, images, functions.
    #[arg(long, value_name = "FEATURE", value_delimiter = ',', default_value = "hosts", value_parser = feature)]
    features: Vec<Feature>,
    /// Nothing is scanned in the account of the role.
    #[arg(long, conflicts_with_all = ["features", "incremental", "delegate"])]
    no_features: bool,
    /// Read only what has changed since the scan before.
    #[arg(long)]
    incremental: bool,
    /// The account of the role. Without it, that of the credentials.
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// The regions that are scanned; in the first of them is the scanner. Without them, that of the environment.
    #[arg(long, value_name = "REGION", value_delimiter = ',')]
    regions: Vec<Region>,
    /// The KMS keys of encrypted volumes. Without them, every key of the account; for the pipeline's role, none but AWS's own.
    #[arg(long, value_name = "ARN", value_delimiter = ',')]
    volume_kms_keys: Vec<KmsKeyArn>,
    /// Why each action is in the policy, in place of the policy.
    #[arg(long)]
    explain: bool,
    /// The role of the pipeline that builds scanner images and runs the verbs `image`, not a scanner's.
    #[arg(
        long,
        conflicts_with_all = [
            "features", "no_features", "incremental", "delegate", "delegate_roles", "secrets", "secret_kms_keys", "group", "bucket"
        ],
        help_heading = "The role of the pipeline for images"
    )]
    image_pipeline: bool,
    /// What the names of the parameters begin with that point to images.
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = DEFAULT_PREFIX,
        requires = "image_pipeline",
        help_heading = "The role of the pipeline for images"
    )]
    parameter_prefix: ParameterPrefix,
    /// The roles of the instances that the pipeline starts: to build on by Session Manager, and to try an image.
    #[arg(
        long,
        value_name = "ARN",
        value_delimiter = ',',
        requires = "image_pipeline",
        help_heading = "The role of the pipeline for images"
    )]
    instance_roles: Vec<RoleArn>,
    /// The role in an account that is scanned, not the scanner's own.
    #[arg(long, conflicts_with_all = ["delegate_roles", "secrets", "secret_kms_keys", "group", "bucket"])]
    delegate: bool,
    /// The roles in other accounts that the scanner takes on.
    #[arg(long, value_name = "ARN", value_delimiter = ',', help_heading = "The scanner's own role")]
    delegate_roles: Vec<RoleArn>,
    /// The secrets that its configuration names.
    #[arg(long, value_name = "ARN", value_delimiter = ',', help_heading = "The scanner's own role")]
    secrets: Vec<SecretArn>,
    /// The KMS keys of those, where they are not AWS's own.
    #[arg(
        long,
        value_name = "ARN",
        value_delimiter = ',',
        requires = "secrets",
        help_heading = "The scanner's own role"
    )]
    secret_kms_keys: Vec<KmsKeyArn>,
    /// The Auto Scaling group of its instances.
    #[arg(long, value_name = "NAME", help_heading = "The scanner's own role")]
    group: Option<ScalingGroupName>,
    /// The bucket for package lists.
    #[arg(long, value_name = "NAME", help_heading = "The scanner's own role")]
    bucket: Option<BucketName>,
    /// What the names of objects in it begin with, such as sbom/.
    #[arg(long, value_name = "PREFIX", requires = "bucket", help_heading = "The scanner's own role")]
    prefix: Option<ReportPrefix>,
    /// The KMS key that they are encrypted with.
    #[arg(long, value_name = "ARN", requires = "bucket", help_heading = "The scanner's own role")]
    kms_key: Option<KmsKeyArn>,
}

impl Permissions {
    pub(super) fn run(self) -> Result<Exit, Box<dyn Error>> {
        let (account, regions) = self.place()?;
        let explain = self.explain;
        let policy = self.policy(account, regions)?;
        unless_closed(write_stdout(
            |out| if explain { explained(&policy, out) } else { printed(&policy, out) },
        ))?;
        Ok(Exit::Complete)
    }

    /// Account and regions as given, or else as AWS tools find them.
    fn place(&self) -> Result<(AccountId, Vec<Region>), Box<dyn Error>> {
        if let (Some(account), false) = (&self.account, self.regions.is_empty()) {
            return Ok((account.clone(), self.regions.clone()));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let region = self.regions.first().map(ToString::to_string);
            let connection = Connection { region, ..Connection::default() };
            let home = Home::connect(&connection, Http::default()).await?;
            let account = match &self.account {
                Some(account) => account.clone(),
                None => home.account().await?.parse()?,
            };
            let regions = match &self.regions[..] {
                [] => vec![home.region().parse()?],
                regions => regions.to_vec(),
            };
            Ok((account, regions))
        })
    }

    fn policy(self, account: AccountId, regions: Vec<Region>) -> Result<PolicyDocument, Box<dyn Error>> {
        if self.image_pipeline {
            let scope = PipelineScope {
                regions,
                account,
                kms_keys: self.volume_kms_keys,
                parameters: self.parameter_prefix,
                instance_roles: self.instance_roles,
            };
            return Ok(PolicyDocument::for_image_pipeline(&scope)?);
        }
        let home = regions.first().cloned();
        let scope = DelegateScope { regions, account, kms_keys: self.volume_kms_keys };
        let mut features = if self.no_features { Vec::new() } else { self.features };
        features.extend(self.incremental.then_some(Feature::Incremental));
        let Some(home) = home.filter(|_| !self.delegate) else {
            return Ok(PolicyDocument::for_delegate(&scope, &features)?);
        };
        let (prefix, kms_key) = (self.prefix, self.kms_key);
        let store = |bucket| -> Result<ReportStore, Box<dyn Error>> {
            let prefix = prefix.map_or_else(|| "".parse(), Ok)?;
            Ok(ReportStore { bucket, prefix, kms_key })
        };
        let service = ServiceAccess {
            delegate_roles: self.delegate_roles,
            secrets: self.secrets,
            secret_kms_keys: self.secret_kms_keys,
            scaling_groups: self.group.into_iter().collect(),
            reports: self.bucket.map(store).transpose()?,
        };
        Ok(PolicyDocument::for_scanner_of_regions(&home, &scope, &features, &service)?)
    }
}

/// As IAM takes it, and people read it.
fn printed(policy: &PolicyDocument, out: &mut dyn io::Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, policy)?;
    writeln!(out)
}

fn explained(policy: &PolicyDocument, out: &mut dyn io::Write) -> io::Result<()> {
    let explained = policy.explained();
    let rows = explained
        .iter()
        .map(|it| [it.action.to_owned(), it.statement.sid().to_owned(), it.reason.to_owned()]);
    table::render(out, &["ACTION", "STATEMENT", "REASON"], rows)
}

fn feature(name: &str) -> Result<Feature, String> {
    Feature::from_name(name).ok_or_else(|| {
        let known: Vec<_> = Feature::ALL.iter().map(|feature| feature.name()).collect();
        format!("what can be scanned is {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;

    use super::*;

    const PLACE: [&str; 4] = ["--account", "111122223333", "--regions", "eu-central-1,eu-west-1"];

    fn parsed(arguments: &[&str]) -> Result<Permissions, clap::Error> {
        let command = Permissions::augment_args(clap::Command::new("permissions"));
        let arguments = ["permissions"].iter().chain(&PLACE).chain(arguments);
        Permissions::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }

    fn policy(arguments: &[&str]) -> PolicyDocument {
        let permissions = parsed(arguments).unwrap();
        let (account, regions) = permissions.place().unwrap();
        permissions.policy(account, regions).unwrap()
    }

    #[test]
    fn what_is_asked_for_is_granted_and_nothing_else() {
        let hosts = policy(&[]);
        assert!(hosts.actions().contains(&"ec2:CreateSnapshot"));
        for absent in ["ebs:ListChangedBlocks", "lambda:GetFunction", "sts:AssumeRole"] {
            assert!(!hosts.actions().contains(&absent), "{absent}");
        }
        assert!(hosts.to_json().contains("arn:aws:ec2:eu-west-1::snapshot/*"));

        let all = policy(&["--features", "hosts,images,functions", "--incremental", "--delegate"]);
        for present in ["ebs:ListChangedBlocks", "lambda:GetFunction", "ec2:CopySnapshot"] {
            assert!(all.actions().contains(&present), "{present}");
        }
    }

    #[test]
    fn the_scanners_own_role_has_what_is_named() {
        let service = policy(&[
            "--no-features",
            "--delegate-roles",
            "arn:aws:iam::444455556666:role/delegate",
            "--group",
            "scanner",
            "--bucket",
            "reports",
        ]);
        assert_eq!(
            service.actions(),
            [
                "autoscaling:CompleteLifecycleAction",
                "autoscaling:RecordLifecycleActionHeartbeat",
                "s3:PutObject",
                "sts:AssumeRole"
            ]
        );
        assert!(service.to_json().contains("arn:aws:s3:::reports/*"));
        assert!(!service.to_json().contains("autoscaling:eu-west-1"), "{}", service.to_json());
    }

    #[test]
    fn the_pipelines_role_is_no_scanners() {
        let pipeline = policy(&["--image-pipeline", "--parameter-prefix", "/images"]);
        for present in ["ec2:DeregisterImage", "ssm:PutParameter", "ec2:RunInstances"] {
            assert!(pipeline.actions().contains(&present), "{present}");
        }
        assert!(pipeline.to_json().contains("parameter/images/arm64/current"));
        for absent in ["ec2:CreateSnapshot", "ebs:GetSnapshotBlock", "iam:PassRole"] {
            assert!(!pipeline.actions().contains(&absent), "{absent}");
        }
        let with_role = policy(&["--image-pipeline", "--instance-roles", "arn:aws:iam::111122223333:role/a"]);
        assert!(with_role.actions().contains(&"iam:PassRole"));
    }

    #[test]
    fn both_forms_name_every_action() {
        let policy = policy(&["--features", "functions"]);
        let (mut json, mut table) = (Vec::new(), Vec::new());
        printed(&policy, &mut json).unwrap();
        explained(&policy, &mut table).unwrap();
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&json).unwrap(),
            serde_json::to_value(&policy).unwrap()
        );
        let table = String::from_utf8(table).unwrap();
        for action in policy.actions() {
            assert!(table.lines().any(|line| line.starts_with(action) && line.ends_with('.')), "{table}");
        }
    }

    #[test]
    fn wrong_arguments_are_told() {
        for wrong in [
            &["--features", "everything"][..],
            &["--delegate", "--group", "x"],
            &["--image-pipeline", "--group", "x"],
            &["--parameter-prefix", "/a"],
            &["--prefix", "a/"],
            &["--delegate-roles", "role"],
            &["--secret-kms-keys", "arn:aws:kms:eu-central-1:111122223333:key/a"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
        let foreign = parsed(&["--delegate-roles", "arn:aws-cn:iam::444455556666:role/a"]).unwrap();
        let (account, regions) = foreign.place().unwrap();
        assert!(foreign.policy(account, regions).unwrap_err().is::<scanner_policy::PolicyError>());
    }
}
