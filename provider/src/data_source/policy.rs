//! `datadog_agentless_scanner_policy`: the documents of scanner and delegate roles, for review or for roles that are managed
//! elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use scanner_policy::{AccountId, Feature, Packed, PolicyDocument};

use super::region_attribute;
use crate::aws::Identity;
use crate::config::Settings;
use crate::model;
use crate::resource::iam::{
    DelegateArguments, Reports, ScannerArguments, delegate_attributes, features_attribute,
    kms_keys_attribute, region_list, service_attributes, trust_scanners,
};
use crate::resource::place::region_of;
use crate::sdk::{Attribute, Context, DataSource, Diagnostic, Schema, Type, Value, validator};

model! {
    /// One set of documents.
    pub struct Model {
        /// The account that is scanned.
        pub account_id: Value<String>,
        /// The region that is scanned.
        pub region: Value<String>,
        /// Its partition.
        pub partition: Value<String>,
        /// The regions that the delegate may be used in.
        pub regions: Value<BTreeSet<String>>,
        /// What is to be scanned.
        pub features: Value<BTreeSet<String>>,
        /// The keys of encrypted volumes.
        pub kms_key_arns: Value<BTreeSet<String>>,
        /// The roles of other accounts that the scanner may become.
        pub delegate_role_arns: Value<BTreeSet<String>>,
        /// The secrets that it may read.
        pub secret_arns: Value<BTreeSet<String>>,
        /// Their keys.
        pub secret_kms_key_arns: Value<BTreeSet<String>>,
        /// The groups of its instances.
        pub scaling_group_names: Value<BTreeSet<String>>,
        /// Where it may store package lists.
        pub reports: Value<Reports>,
        /// Who may take a delegate role on.
        pub scanner_role_arns: Value<BTreeSet<String>>,
        /// What they must name.
        pub external_id: Value<String>,
        /// What a scanner's role permits.
        pub scanner_policy: Value<String>,
        /// The same in pieces that IAM takes.
        pub scanner_policies: Value<Vec<String>>,
        /// Who may take a scanner's role on.
        pub scanner_trust_policy: Value<String>,
        /// What a delegate role permits.
        pub delegate_policy: Value<String>,
        /// The same in pieces that IAM takes.
        pub delegate_policies: Value<Vec<String>>,
        /// Who may take a delegate role on.
        pub delegate_trust_policy: Value<String>,
    }
}

/// Makes the documents.
#[derive(Debug)]
pub struct Policy<A> {
    aws: Arc<A>,
    settings: Arc<Settings>,
}

impl<A> Policy<A> {
    /// The data source over `aws`, which is asked for the account where none is given, and for nothing else.
    pub fn new(aws: Arc<A>, settings: Arc<Settings>) -> Self {
        Self { aws, settings }
    }
}

impl Model {
    fn of_scanner(&self) -> ScannerArguments<'_> {
        ScannerArguments {
            features: &self.features,
            kms_key_arns: &self.kms_key_arns,
            delegate_role_arns: &self.delegate_role_arns,
            secret_arns: &self.secret_arns,
            secret_kms_key_arns: &self.secret_kms_key_arns,
            scaling_group_names: &self.scaling_group_names,
            reports: &self.reports,
        }
    }
}

impl<A: Identity> DataSource for Policy<A> {
    const NAME: &'static str = "agentless_scanner_policy";
    type Model = Model;

    fn schema() -> Schema {
        let [scanners, external_id, regions] = delegate_attributes();
        Schema::new(
            "The IAM policies of scanner roles and delegate roles as JSON: the same documents that \
             `datadog_agentless_scanner_role` and `datadog_agentless_scanner_delegate_role` put on their roles, from the same \
             arguments. For review before anything is made, or for roles that are managed elsewhere.",
        )
        .attribute(
            Attribute::string(
                "account_id",
                "The account that the roles are in. Left out, that of the provider's credentials; given, AWS is not asked \
                 for anything.",
            )
            .optional()
            .computed()
            .validate(validator::pattern("the twelve digits of an account", |id| id.parse::<AccountId>().is_ok())),
        )
        .attribute(region_attribute(" that the scanner scans"))
        .attribute(
            Attribute::string(
                "partition",
                "The partition of the region, with which ARNs begin: `aws`, `aws-cn` in China, `aws-us-gov` in GovCloud.",
            )
            .computed(),
        )
        .attribute(regions)
        .attribute(features_attribute(
            0,
            " Left out, `hosts`. May be empty where `delegate_role_arns` are given: there is no delegate policy then.",
        ))
        .attribute(kms_keys_attribute())
        .attributes(service_attributes())
        .attribute(scanners.optional())
        .attribute(external_id)
        .attribute(Attribute::string("scanner_policy", "What a scanner's own role permits, as JSON.").computed())
        .attribute(
            Attribute::list(
                "scanner_policies",
                Type::String,
                "The same in pieces that IAM takes: one for an inline policy of up to 10,240 characters, or several for \
                 managed policies of up to 6,144 each.",
            )
            .computed(),
        )
        .attribute(
            Attribute::string("scanner_trust_policy", "Who may take a scanner's own role on, as JSON: EC2.").computed(),
        )
        .attribute(
            Attribute::string(
                "delegate_policy",
                "What the delegate role of a scanned account permits, as JSON. Null without features.",
            )
            .computed(),
        )
        .attribute(
            Attribute::list(
                "delegate_policies",
                Type::String,
                "The same in pieces that IAM takes, as `scanner_policies`.",
            )
            .computed(),
        )
        .attribute(
            Attribute::string(
                "delegate_trust_policy",
                "Who may take a delegate role on, as JSON: the scanner roles. Null where `scanner_role_arns` are not given.",
            )
            .computed(),
        )
    }

    fn validate(config: &Model) -> Vec<Diagnostic> {
        let mut problems = config.of_scanner().problems();
        if config.scanner_role_arns.is_null() && !config.external_id.is_null() {
            let detail = "external_id goes into the trust policy of a delegate role, which is made for scanner_role_arns.";
            problems.push(Diagnostic::error("External id without scanner roles", detail).at("external_id"));
        }
        problems
    }

    async fn read(&self, _ctx: &Context, config: Model) -> Result<Model, Diagnostic> {
        let region = region_of(&self.settings, &config.region)?;
        let account = match config.account_id.as_str() {
            Some(id) => id
                .parse()
                .map_err(|error| Diagnostic::caused_by("Invalid account id", &error).at("account_id"))?,
            None => self.aws.account(&region).await.map_err(|error| {
                error.diagnostic("Could not learn the account that the policies are for").at("account_id")
            })?,
        };
        let given = config.features.clone();
        let features = match &given {
            Value::Null => Value::Known(BTreeSet::from([Feature::Hosts.name().to_owned()])),
            given => given.clone(),
        };
        let config = Model { features, ..config };
        let scanner = config.of_scanner().policy(&region, account.clone())?;
        let delegate = if config.features.get().is_some_and(BTreeSet::is_empty) {
            None
        } else {
            let arguments =
                DelegateArguments { features: &config.features, kms_key_arns: &config.kms_key_arns };
            Some(arguments.policy(region_list(&config.regions, &region)?, account.clone())?)
        };
        let trust = if config.scanner_role_arns.is_known() {
            Some(trust_scanners(&config.scanner_role_arns, &config.external_id, &region)?)
        } else {
            None
        };
        Ok(Model {
            account_id: account.to_string().into(),
            region: region.to_string().into(),
            partition: region.partition().id().into(),
            features: given,
            scanner_policies: pieces(&scanner)?.into(),
            scanner_policy: scanner.to_json().into(),
            scanner_trust_policy: PolicyDocument::trust_ec2(&region).to_json().into(),
            delegate_policies: delegate.as_ref().map(pieces).transpose()?.into(),
            delegate_policy: delegate.map(|document| document.to_json()).into(),
            delegate_trust_policy: trust.map(|document| document.to_json()).into(),
            ..config
        })
    }
}

/// The documents that IAM takes for this one.
fn pieces(document: &PolicyDocument) -> Result<Vec<String>, Diagnostic> {
    let packed = document
        .packed()
        .map_err(|error| Diagnostic::caused_by("The policy is too long", &error).at("kms_key_arns"))?;
    Ok(match packed {
        Packed::Inline(document) => vec![document.to_json()],
        Packed::Managed(documents) => documents.iter().map(PolicyDocument::to_json).collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::aws::fake::FakeAws;

    fn set(texts: &[&str]) -> Value<BTreeSet<String>> {
        Value::Known(texts.iter().map(ToString::to_string).collect())
    }

    async fn read(config: Model) -> (Result<Model, Diagnostic>, Vec<&'static str>) {
        assert_eq!(Policy::<FakeAws>::validate(&config), []);
        let aws = Arc::new(FakeAws::default());
        let settings =
            Settings { region: Value::Known("eu-central-1".parse().unwrap()), ..Settings::default() };
        let ctx = Context::detached(Duration::from_secs(1));
        let result = Policy::new(aws.clone(), Arc::new(settings)).read(&ctx, config).await;
        (result, aws.take_calls())
    }

    #[tokio::test]
    async fn nothing_but_the_account_is_asked_for() {
        let (result, calls) = read(Model::default()).await;
        let asked = result.unwrap();
        assert_eq!(calls, ["sts:GetCallerIdentity"]);
        assert_eq!(asked.account_id, "111122223333".into());
        assert_eq!(asked.region, "eu-central-1".into());
        assert_eq!(asked.partition, "aws".into());
        assert_eq!(asked.features, Value::Null);
        assert!(asked.scanner_policy.as_str().unwrap().contains("ec2:CreateSnapshot"));
        assert_eq!(asked.scanner_policy, asked.delegate_policy);
        assert_eq!(asked.scanner_policies.get().map(Vec::len), Some(1));
        assert_eq!(asked.delegate_trust_policy, Value::Null);

        let (result, calls) = read(Model { account_id: "444455556666".into(), ..Model::default() }).await;
        assert!(calls.is_empty());
        assert!(result.unwrap().scanner_policy.as_str().unwrap().contains(":444455556666:volume/*"));
    }

    #[tokio::test]
    async fn long_documents_come_in_pieces() {
        let keys: BTreeSet<String> =
            (0..150).map(|n| format!("arn:aws:kms:eu-central-1:111122223333:key/{n:036}")).collect();
        let made = read(Model { kms_key_arns: keys.into(), ..Model::default() }).await.0.unwrap();
        assert!(made.delegate_policies.get().unwrap().len() > 1);
        assert!(made.scanner_policies.get().unwrap().iter().all(|piece| piece.len() <= 6_144));
    }

    #[tokio::test]
    async fn a_scanner_of_other_accounts_has_no_delegate_of_its_own() {
        let config = Model {
            features: set(&[]),
            delegate_role_arns: set(&["arn:aws:iam::444455556666:role/delegate"]),
            ..Model::default()
        };
        let made = read(config).await.0.unwrap();
        assert!(made.scanner_policy.as_str().unwrap().contains("BecomeNamedDelegates"));
        assert_eq!(made.delegate_policy, Value::Null);
        assert_eq!(made.features, set(&[]));
    }

    #[tokio::test]
    async fn a_delegate_trusts_who_is_named() {
        let config = Model {
            scanner_role_arns: set(&["arn:aws:iam::444455556666:role/scanner"]),
            external_id: "agreed".into(),
            regions: set(&["eu-west-1", "us-east-1"]),
            ..Model::default()
        };
        let made = read(config).await.0.unwrap();
        let trust = made.delegate_trust_policy.as_str().unwrap();
        assert!(trust.contains("444455556666:role/scanner") && trust.contains("agreed"), "{trust}");
        let delegate = made.delegate_policy.as_str().unwrap();
        assert!(delegate.contains("us-east-1") && !delegate.contains("eu-central-1"), "{delegate}");

        let config = Model { external_id: "agreed".into(), ..Model::default() };
        assert_eq!(Policy::<FakeAws>::validate(&config).len(), 1);
        let config = Model { regions: set(&["us-gov-west-1"]), ..Model::default() };
        assert_eq!(read(config).await.0.unwrap_err().path.to_string(), "regions");
    }
}
