//! IAM policy documents.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::action::{Action, Feature};
use crate::grant::{Condition, ConditionKey, ConditionValue, GRANTS, Resource};
use crate::{AccountId, DelegateScope, KmsKeyArn, PolicyError, Region, Scope, ServiceAccess, actions};

/// An IAM policy document. Equal inputs give equal text.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyDocument {
    version: &'static str,
    statement: Vec<Statement>,
}

/// One statement of a [`PolicyDocument`]. All of them allow; what no statement allows, IAM denies.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    pub(crate) sid: String,
    pub(crate) effect: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) principal: BTreeMap<&'static str, Values>,
    pub(crate) action: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) resource: Vec<String>,
    /// Operator, then key, then value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) condition: BTreeMap<&'static str, BTreeMap<String, Values>>,
}

/// One value as a text, several as a list.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Values {
    One(String),
    Many(Vec<String>),
}

impl Values {
    pub(crate) fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut values: Vec<String> = values.into_iter().collect();
        values.sort_unstable();
        values.dedup();
        match <[String; 1]>::try_from(values) {
            Ok([value]) => Self::One(value),
            Err(values) => Self::Many(values),
        }
    }
}

impl PolicyDocument {
    /// The permissions of a scanner's own role: exactly what the given features need within the scope.
    ///
    /// # Errors
    /// [`PolicyError`] where the scope contradicts itself.
    pub fn for_scanner(scope: &Scope, features: &[Feature]) -> Result<Self, PolicyError> {
        Self::for_scanner_service(scope, features, &ServiceAccess::default())
    }

    /// The same, and what the service around the scans does with the resources that it is given.
    ///
    /// # Errors
    /// [`PolicyError`] where the arguments contradict each other.
    pub fn for_scanner_service(
        scope: &Scope,
        features: &[Feature],
        service: &ServiceAccess,
    ) -> Result<Self, PolicyError> {
        let regions = vec![scope.region.clone()];
        let (account, kms_keys) = (scope.account.clone(), scope.kms_keys.clone());
        let places = DelegateScope { regions, account, kms_keys };
        Self::for_scanner_of_regions(&scope.region, &places, features, service)
    }

    /// The same for a scanner that is in `home` and scans several regions of its own account.
    ///
    /// # Errors
    /// [`PolicyError`] where the arguments contradict each other.
    pub fn for_scanner_of_regions(
        home: &Region,
        scope: &DelegateScope,
        features: &[Feature],
        service: &ServiceAccess,
    ) -> Result<Self, PolicyError> {
        service.check(home.partition())?;
        let regions = scope.distinct_regions(home.partition())?;
        let (account, kms_keys) = (&scope.account, &scope.kms_keys);
        let places = Places { home, regions: &regions, account, kms_keys, service };
        places.document(&actions::ALL.iter().chain(actions::SERVICE).copied(), features)
    }

    /// The permissions of the delegate role in a scanned account: what the given features need there, and nothing of the
    /// service.
    ///
    /// # Errors
    /// [`PolicyError`] where the scope contradicts itself.
    pub fn for_delegate(scope: &DelegateScope, features: &[Feature]) -> Result<Self, PolicyError> {
        let home = scope.regions.iter().min().ok_or(PolicyError::NoRegion)?;
        let regions = scope.distinct_regions(home.partition())?;
        let (account, kms_keys, service) = (&scope.account, &scope.kms_keys, &ServiceAccess::default());
        let places = Places { home, regions: &regions, account, kms_keys, service };
        places.document(&actions::ALL.iter().copied(), features)
    }

    /// The same policy without one action, in every statement. For proofs that each action is needed.
    #[must_use]
    pub fn without(&self, action: &str) -> Self {
        let mut statement = self.statement.clone();
        for statement in &mut statement {
            statement.action.retain(|name| *name != action);
        }
        statement.retain(|statement| !statement.action.is_empty());
        Self::new(statement)
    }

    /// The names of the actions it grants, sorted.
    pub fn actions(&self) -> Vec<&'static str> {
        let mut names: Vec<_> =
            self.statement.iter().flat_map(|statement| &statement.action).copied().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The statements, in the order of the document.
    pub fn statements(&self) -> &[Statement] {
        &self.statement
    }

    /// The document as JSON without white space, as IAM takes it.
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    pub(crate) fn new(statement: Vec<Statement>) -> Self {
        Self { version: "2012-10-17", statement }
    }
}

impl Statement {
    /// The statement's id, unique within its document.
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// The actions it allows, sorted.
    pub fn actions(&self) -> &[&'static str] {
        &self.action
    }

    /// What it allows them on.
    pub fn resources(&self) -> &[String] {
        &self.resource
    }
}

/// What the resources and conditions of grants are filled in with.
struct Places<'a> {
    /// Where the scanner is.
    home: &'a Region,
    /// Sorted; at least one.
    regions: &'a [Region],
    account: &'a AccountId,
    kms_keys: &'a [KmsKeyArn],
    service: &'a ServiceAccess,
}

impl Places<'_> {
    fn document(
        &self,
        table: &(impl Iterator<Item = &'static Action> + Clone),
        features: &[Feature],
    ) -> Result<PolicyDocument, PolicyError> {
        if let Some(key) =
            self.kms_keys.iter().find(|key| !self.regions.iter().any(|region| key.is_in(region)))
        {
            let regions: Vec<&str> = self.regions.iter().map(Region::as_str).collect();
            return Err(PolicyError::ForeignKey { key: key.to_string(), region: regions.join(", ") });
        }
        let mut statements = Vec::new();
        for grant in GRANTS {
            let action: Vec<&'static str> = table
                .clone()
                .filter(|action| action.is_granted(grant, features))
                .map(|action| action.name)
                .collect();
            let resource = self.resources(grant.resource);
            // A statement without resources would be for nothing that is named.
            if action.is_empty() || resource.is_empty() {
                continue;
            }
            statements.push(Statement {
                sid: grant.sid.to_owned(),
                effect: "Allow",
                principal: BTreeMap::new(),
                action,
                resource,
                condition: self.conditions(grant.conditions),
            });
        }
        if statements.is_empty() { Err(PolicyError::NoFeature) } else { Ok(PolicyDocument::new(statements)) }
    }

    fn resources(&self, resource: Resource) -> Vec<String> {
        let (account, service) = (self.account, self.service);
        let partition = self.regions.first().map(|region| region.partition().id()).unwrap_or_default();
        let regional = |rest: &dyn Fn(&Region) -> String| -> Vec<String> {
            self.regions.iter().map(|region| format!("arn:{partition}:{}", rest(region))).collect()
        };
        let objects = |encrypted: bool| {
            let reports = service.reports.iter().filter(|reports| reports.kms_key.is_some() == encrypted);
            reports.map(|it| format!("arn:{partition}:s3:::{}/{}*", it.bucket, it.prefix)).collect()
        };
        match resource {
            Resource::Any => vec!["*".to_owned()],
            Resource::Volumes => regional(&|region| format!("ec2:{region}:{account}:volume/*")),
            Resource::Snapshots => regional(&|region| format!("ec2:{region}::snapshot/*")),
            Resource::ExistingSnapshots => regional(&|region| format!("ec2:{region}::snapshot/snap-*")),
            Resource::SnapshotToBe => regional(&|region| format!("ec2:{region}::snapshot/${{*}}")),
            Resource::Functions => regional(&|region| format!("lambda:{region}:{account}:function:*")),
            Resource::Layers => regional(&|region| format!("lambda:{region}:*:layer:*:*")),
            Resource::Repositories => regional(&|region| format!("ecr:{region}:{account}:repository/*")),
            Resource::Keys if self.kms_keys.is_empty() => {
                regional(&|region| format!("kms:{region}:{account}:key/*"))
            }
            Resource::Keys => sorted(self.kms_keys),
            Resource::DelegateRoles => sorted(&service.delegate_roles),
            Resource::Secrets => sorted(&service.secrets),
            Resource::SecretKeys => sorted(&service.secret_kms_keys),
            Resource::ScalingGroups => {
                let names = sorted(&service.scaling_groups).into_iter();
                let groups =
                    format!("arn:{partition}:autoscaling:{}:{account}:autoScalingGroup:*", self.home);
                names.map(|name| format!("{groups}:autoScalingGroupName/{name}")).collect()
            }
            Resource::Reports => objects(false),
            Resource::EncryptedReports => objects(true),
            Resource::ReportKey => self.report_key().map(ToString::to_string).into_iter().collect(),
        }
    }

    fn conditions(&self, needed: &[Condition]) -> BTreeMap<&'static str, BTreeMap<String, Values>> {
        let mut rendered: BTreeMap<&'static str, BTreeMap<String, Values>> = BTreeMap::new();
        for condition in needed {
            let key = match condition.key {
                ConditionKey::Named(name) => name.to_owned(),
                ConditionKey::RequestTag(tag) => format!("aws:RequestTag/{tag}"),
                ConditionKey::RepositoryTag(tag) => format!("ecr:ResourceTag/{tag}"),
                ConditionKey::ResourceTag(tag) => format!("aws:ResourceTag/{tag}"),
            };
            let via = |service: &str, regions: &mut dyn Iterator<Item = &str>| {
                let suffix = self.regions.first().map(|region| region.partition().via_service_suffix());
                let suffix = suffix.unwrap_or_default();
                Values::new(regions.map(|region| format!("{service}.{region}.{suffix}")))
            };
            let value = match condition.value {
                ConditionValue::Text(text) => Values::One(text.to_owned()),
                ConditionValue::Prefix(prefix) => Values::One(format!("{prefix}*")),
                ConditionValue::Regions => Values::new(self.regions.iter().map(ToString::to_string)),
                ConditionValue::ViaService(service) => {
                    via(service, &mut self.regions.iter().map(Region::as_str))
                }
                ConditionValue::ViaServiceOfSecrets(service) => {
                    via(service, &mut self.service.secret_kms_keys.iter().map(KmsKeyArn::region))
                }
                ConditionValue::ViaServiceOfReports(service) => {
                    via(service, &mut self.report_key().into_iter().map(KmsKeyArn::region))
                }
                ConditionValue::ReportKey => Values::new(self.report_key().map(ToString::to_string)),
            };
            rendered.entry(condition.operator).or_default().insert(key, value);
        }
        rendered
    }

    fn report_key(&self) -> Option<&KmsKeyArn> {
        self.service.reports.as_ref()?.kms_key.as_ref()
    }
}

fn sorted<T: ToString>(named: &[T]) -> Vec<String> {
    let mut texts: Vec<String> = named.iter().map(ToString::to_string).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Argument, ReportStore};

    fn scope(region: &str) -> Scope {
        Scope {
            region: region.parse().unwrap(),
            account: "111122223333".parse().unwrap(),
            kms_keys: Vec::new(),
        }
    }

    #[test]
    fn policies_stay_within_their_partition() {
        for (region, partition, service, via) in [
            ("eu-central-1", "aws", "ec2.amazonaws.com", "ec2.eu-central-1.amazonaws.com"),
            ("us-gov-west-1", "aws-us-gov", "ec2.amazonaws.com", "ec2.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "aws-cn", "ec2.amazonaws.com.cn", "ec2.cn-north-1.amazonaws.com.cn"),
            ("us-iso-east-1", "aws-iso", "ec2.c2s.ic.gov", "ec2.us-iso-east-1.amazonaws.com"),
        ] {
            let scope = scope(region);
            let json = PolicyDocument::for_scanner(&scope, Feature::ALL).unwrap().to_json();
            for arn in json.split("arn:").skip(1) {
                assert!(arn.starts_with(&format!("{partition}:")), "{region}: {arn}");
            }
            assert!(json.contains(&format!(r#""kms:ViaService":"{via}""#)), "{json}");
            assert!(PolicyDocument::trust_ec2(&scope.region).to_json().contains(&format!(r#""{service}""#)));
        }
    }

    #[test]
    fn the_whole_policy_reads_as_reviewed() {
        let policy = PolicyDocument::for_scanner(&scope("eu-central-1"), &[Feature::Hosts]).unwrap();
        let expected = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "FindWhatToScan",
                    "Effect": "Allow",
                    "Action": ["ec2:DescribeInstances", "ec2:DescribeSnapshots", "ec2:DescribeVolumes"],
                    "Resource": ["*"],
                    "Condition": {"StringEquals": {"aws:RequestedRegion": "eu-central-1"}}
                },
                {
                    "Sid": "SnapshotVolumesNotOptedOut",
                    "Effect": "Allow",
                    "Action": ["ec2:CreateSnapshot"],
                    "Resource": ["arn:aws:ec2:eu-central-1:111122223333:volume/*"],
                    "Condition": {"StringNotEquals": {"aws:ResourceTag/DatadogAgentlessScanner": "false"}}
                },
                {
                    "Sid": "MakeTaggedSnapshots",
                    "Effect": "Allow",
                    "Action": ["ec2:CreateSnapshot"],
                    "Resource": ["arn:aws:ec2:eu-central-1::snapshot/*"],
                    "Condition": {
                        "StringEquals": {"aws:RequestTag/DatadogAgentlessScanner": "true"},
                        "ForAllValues:StringLike": {"aws:TagKeys": "DatadogAgentlessScanner*"}
                    }
                },
                {
                    "Sid": "TagSnapshotsWhileMakingThem",
                    "Effect": "Allow",
                    "Action": ["ec2:CreateTags"],
                    "Resource": ["arn:aws:ec2:eu-central-1::snapshot/*"],
                    "Condition": {"StringEquals": {"ec2:CreateAction": "CreateSnapshot"}}
                },
                {
                    "Sid": "ReadAndDeleteOwnSnapshots",
                    "Effect": "Allow",
                    "Action": ["ebs:GetSnapshotBlock", "ebs:ListSnapshotBlocks", "ec2:DeleteSnapshot"],
                    "Resource": ["arn:aws:ec2:eu-central-1::snapshot/*"],
                    "Condition": {"StringEquals": {"aws:ResourceTag/DatadogAgentlessScanner": "true"}}
                },
                {
                    "Sid": "DecryptBlocksOfSnapshots",
                    "Effect": "Allow",
                    "Action": ["kms:Decrypt"],
                    "Resource": ["arn:aws:kms:eu-central-1:111122223333:key/*"],
                    "Condition": {
                        "StringEquals": {"kms:ViaService": "ec2.eu-central-1.amazonaws.com"},
                        "ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "aws:ebs:id"},
                        "StringNotEquals": {"aws:ResourceTag/DatadogAgentlessScanner": "false"}
                    }
                }
            ]
        });
        assert_eq!(serde_json::to_value(&policy).unwrap(), expected);
        assert!(!policy.to_json().contains(char::is_whitespace));
    }

    #[test]
    fn named_keys_replace_every_key() {
        let mut scope = scope("eu-central-1");
        let key = |id: &str| format!("arn:aws:kms:eu-central-1:444455556666:key/{id}").parse().unwrap();
        scope.kms_keys = vec![key("b"), key("a"), key("b")];
        let json = PolicyDocument::for_scanner(&scope, Feature::ALL).unwrap().to_json();
        assert!(!json.contains("key/*"));
        assert!(json.contains(
            r#"["arn:aws:kms:eu-central-1:444455556666:key/a","arn:aws:kms:eu-central-1:444455556666:key/b"]"#
        ));
    }

    #[test]
    fn what_iam_would_refuse_is_refused_here() {
        let mut scope = scope("eu-central-1");
        assert_eq!(PolicyDocument::for_scanner(&scope, &[]), Err(PolicyError::NoFeature));

        scope.kms_keys = vec!["arn:aws:kms:eu-west-1:111122223333:key/a".parse().unwrap()];
        let error = PolicyDocument::for_scanner(&scope, Feature::ALL).unwrap_err();
        assert!(matches!(&error, PolicyError::ForeignKey { .. }), "{error}");
    }

    fn service() -> ServiceAccess {
        ServiceAccess {
            delegate_roles: vec!["arn:aws:iam::444455556666:role/delegate".parse().unwrap()],
            secrets: vec![
                "arn:aws:secretsmanager:eu-west-1:111122223333:secret:api-key-AbCdEf".parse().unwrap(),
            ],
            secret_kms_keys: vec!["arn:aws:kms:eu-west-1:111122223333:key/a".parse().unwrap()],
            scaling_groups: vec!["scanner".parse().unwrap()],
            reports: Some(ReportStore {
                bucket: "reports".parse().unwrap(),
                prefix: "scans/".parse().unwrap(),
                kms_key: Some("arn:aws:kms:us-east-1:111122223333:key/b".parse().unwrap()),
            }),
        }
    }

    #[test]
    fn the_service_reads_as_reviewed() {
        let scope = scope("eu-central-1");
        let policy = PolicyDocument::for_scanner_service(&scope, &[], &service()).unwrap();
        let expected = serde_json::json!([
            {
                "Sid": "BecomeNamedDelegates",
                "Effect": "Allow",
                "Action": ["sts:AssumeRole"],
                "Resource": ["arn:aws:iam::444455556666:role/delegate"]
            },
            {
                "Sid": "ReadNamedSecrets",
                "Effect": "Allow",
                "Action": ["secretsmanager:GetSecretValue"],
                "Resource": ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:api-key-AbCdEf"]
            },
            {
                "Sid": "DecryptNamedSecrets",
                "Effect": "Allow",
                "Action": ["kms:Decrypt"],
                "Resource": ["arn:aws:kms:eu-west-1:111122223333:key/a"],
                "Condition": {"StringEquals": {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"}}
            },
            {
                "Sid": "FollowOwnLifecycle",
                "Effect": "Allow",
                "Action": ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"],
                "Resource": [
                    "arn:aws:autoscaling:eu-central-1:111122223333:autoScalingGroup:*:autoScalingGroupName/scanner"
                ]
            },
            {
                "Sid": "StoreEncryptedReports",
                "Effect": "Allow",
                "Action": ["s3:PutObject"],
                "Resource": ["arn:aws:s3:::reports/scans/*"],
                "Condition": {
                    "StringEquals": {"s3:x-amz-server-side-encryption": "aws:kms"},
                    "ArnEquals": {
                        "s3:x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:us-east-1:111122223333:key/b"
                    }
                }
            },
            {
                "Sid": "EncryptReports",
                "Effect": "Allow",
                "Action": ["kms:GenerateDataKey"],
                "Resource": ["arn:aws:kms:us-east-1:111122223333:key/b"],
                "Condition": {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
            }
        ]);
        assert_eq!(serde_json::to_value(&policy).unwrap()["Statement"], expected);
    }

    #[test]
    fn what_is_not_named_is_not_granted() {
        let scope = scope("eu-central-1");
        let scans = PolicyDocument::for_scanner(&scope, Feature::ALL).unwrap();
        let named = |service: ServiceAccess| {
            let with = PolicyDocument::for_scanner_service(&scope, Feature::ALL, &service).unwrap();
            let new = with.statements().iter().filter(|statement| !scans.statements().contains(statement));
            new.map(|statement| statement.sid().to_owned()).collect::<Vec<_>>()
        };
        assert!(named(ServiceAccess::default()).is_empty());
        let all = service();
        let nothing = ServiceAccess::default;
        let delegates = ServiceAccess { delegate_roles: all.delegate_roles, ..nothing() };
        assert_eq!(named(delegates), ["BecomeNamedDelegates"]);
        assert_eq!(named(ServiceAccess { secrets: all.secrets, ..nothing() }), ["ReadNamedSecrets"]);
        let groups = ServiceAccess { scaling_groups: all.scaling_groups, ..nothing() };
        assert_eq!(named(groups), ["FollowOwnLifecycle"]);
        let plain = all.reports.map(|reports| ReportStore { kms_key: None, ..reports });
        assert_eq!(named(ServiceAccess { reports: plain, ..nothing() }), ["StoreReports"]);
    }

    #[test]
    fn a_delegate_may_be_used_in_its_regions() {
        let delegate = |regions: &[&str]| DelegateScope {
            regions: regions.iter().map(|region| region.parse().unwrap()).collect(),
            account: "111122223333".parse().unwrap(),
            kms_keys: Vec::new(),
        };
        let one = PolicyDocument::for_delegate(&delegate(&["eu-central-1"]), Feature::ALL).unwrap();
        assert_eq!(Ok(one), PolicyDocument::for_scanner(&scope("eu-central-1"), Feature::ALL));

        let two = delegate(&["eu-west-1", "eu-central-1", "eu-west-1"]);
        let two =
            serde_json::to_value(PolicyDocument::for_delegate(&two, &[Feature::Hosts]).unwrap()).unwrap();
        assert_eq!(
            two["Statement"][1]["Resource"],
            serde_json::json!([
                "arn:aws:ec2:eu-central-1:111122223333:volume/*",
                "arn:aws:ec2:eu-west-1:111122223333:volume/*"
            ])
        );
        assert_eq!(
            two["Statement"][5]["Condition"]["StringEquals"]["kms:ViaService"],
            serde_json::json!(["ec2.eu-central-1.amazonaws.com", "ec2.eu-west-1.amazonaws.com"])
        );

        let refused = |regions: &[&str]| {
            PolicyDocument::for_delegate(&delegate(regions), Feature::ALL).unwrap_err().argument()
        };
        assert_eq!(refused(&[]), Argument::Regions);
        assert_eq!(refused(&["eu-central-1", "us-gov-west-1"]), Argument::Regions);
    }

    #[test]
    fn exactly_the_scanners_take_on_a_delegate() {
        let role = |name: &str| format!("arn:aws:iam::111122223333:role/{name}").parse().unwrap();
        let statement = |trust: PolicyDocument| serde_json::to_value(&trust).unwrap()["Statement"][0].clone();
        let one = statement(PolicyDocument::trust_scanners(&[role("a")], None).unwrap());
        let expected = serde_json::json!({
            "Sid": "AssumedByScanners",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111122223333:role/a"},
            "Action": ["sts:AssumeRole"]
        });
        assert_eq!(one, expected);
        let id = "agreed-id".parse().unwrap();
        let two = statement(PolicyDocument::trust_scanners(&[role("b"), role("a")], Some(&id)).unwrap());
        let both = ["arn:aws:iam::111122223333:role/a", "arn:aws:iam::111122223333:role/b"];
        assert_eq!(two["Principal"]["AWS"], serde_json::json!(both));
        assert_eq!(two["Condition"]["StringEquals"]["sts:ExternalId"], "agreed-id");
        assert_eq!(PolicyDocument::trust_scanners(&[], Some(&id)), Err(PolicyError::NoScanner));
    }

    #[test]
    fn what_no_permission_can_reach_is_told_where_it_stands() {
        let refused = |region: &str, change: fn(&mut ServiceAccess)| {
            let mut service = service();
            change(&mut service);
            let error = PolicyDocument::for_scanner_service(&scope(region), &[], &service).unwrap_err();
            (error.argument(), error.to_string())
        };
        let (argument, message) = refused("us-gov-west-1", |_| ());
        assert_eq!(argument, Argument::DelegateRoles);
        assert!(message.contains("not in the partition aws-us-gov"), "{message}");
        let (argument, _) = refused("us-gov-west-1", |service| service.delegate_roles.clear());
        assert_eq!(argument, Argument::Secrets);
        let (argument, message) = refused("eu-central-1", |service| service.secrets.clear());
        assert_eq!(argument, Argument::SecretKmsKeys);
        assert!(message.contains("no secret is named"), "{message}");
    }
}
