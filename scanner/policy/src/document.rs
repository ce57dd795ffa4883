//! IAM policy documents.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::action::Feature;
use crate::grant::{Condition, ConditionKey, ConditionValue, GRANTS, Resource};
use crate::{AccountId, KmsKeyArn, Region, actions};

/// What IAM allows the inline policies of one role to hold together, in characters, white space not counted
/// ("IAM and AWS STS quotas").
pub const INLINE_POLICY_LIMIT: usize = 10_240;

/// Where a scanner works, and with which keys.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The only region whose volumes it may snapshot. The partition follows from it.
    pub region: Region,
    /// The account it runs in, the only one whose volumes it may snapshot.
    pub account: AccountId,
    /// The keys of encrypted volumes. Empty means every key of the account in the region that its key policy lets the
    /// role use.
    pub kms_keys: Vec<KmsKeyArn>,
}

/// Why a policy could not be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// No feature was asked for: the policy would grant nothing, which IAM refuses.
    #[error("at least one feature is needed: without any the policy would be empty")]
    NoFeature,
    /// A key of another region.
    #[error("the KMS key {key} is not in {region}, so it cannot encrypt a volume there")]
    ForeignKey {
        /// The key's ARN.
        key: String,
        /// The policy's region.
        region: String,
    },
    /// More than IAM accepts.
    #[error(
        "the role's policy has {length} characters, and IAM accepts {INLINE_POLICY_LIMIT} in a role's inline policies: \
         name fewer KMS keys, or none to rely on the keys' own policies"
    )]
    TooLong {
        /// Its length in characters.
        length: usize,
    },
}

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
    sid: String,
    effect: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    principal: BTreeMap<&'static str, String>,
    action: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource: Vec<String>,
    /// Operator, then key, then value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<&'static str, BTreeMap<String, String>>,
}

impl PolicyDocument {
    /// The permissions of a scanner's own role: exactly what the given features need within the scope.
    ///
    /// # Errors
    /// [`PolicyError`] where the scope contradicts itself or the document is larger than IAM accepts.
    pub fn for_scanner(scope: &Scope, features: &[Feature]) -> Result<Self, PolicyError> {
        if let Some(key) = scope.kms_keys.iter().find(|key| !key.is_in(&scope.region)) {
            return Err(PolicyError::ForeignKey { key: key.to_string(), region: scope.region.to_string() });
        }
        let mut statements = Vec::new();
        for grant in GRANTS {
            let action: Vec<&'static str> = actions::ALL
                .iter()
                .filter(|action| action.is_granted(grant, features))
                .map(|action| action.name)
                .collect();
            if action.is_empty() {
                continue;
            }
            statements.push(Statement {
                sid: grant.sid.to_owned(),
                effect: "Allow",
                principal: BTreeMap::new(),
                action,
                resource: resources(grant.resource, scope),
                condition: conditions(grant.conditions, scope),
            });
        }
        if statements.is_empty() {
            return Err(PolicyError::NoFeature);
        }
        let document = Self::new(statements);
        let length = document.to_json().chars().count();
        if length > INLINE_POLICY_LIMIT {
            return Err(PolicyError::TooLong { length });
        }
        Ok(document)
    }

    /// Who may take on the role: EC2, for its instances, and nobody else.
    pub fn trust_ec2(region: &Region) -> Self {
        Self::new(vec![Statement {
            sid: "AssumedByInstances".to_owned(),
            effect: "Allow",
            principal: BTreeMap::from([("Service", format!("ec2.{}", region.partition().dns_suffix()))]),
            action: vec!["sts:AssumeRole"],
            resource: Vec::new(),
            condition: BTreeMap::new(),
        }])
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

    fn new(statement: Vec<Statement>) -> Self {
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
}

fn resources(resource: Resource, scope: &Scope) -> Vec<String> {
    let (partition, region, account) = (scope.region.partition().id(), &scope.region, &scope.account);
    match resource {
        Resource::Any => vec!["*".to_owned()],
        Resource::Volumes => vec![format!("arn:{partition}:ec2:{region}:{account}:volume/*")],
        Resource::Snapshots => vec![format!("arn:{partition}:ec2:{region}::snapshot/*")],
        Resource::ExistingSnapshots => vec![format!("arn:{partition}:ec2:{region}::snapshot/snap-*")],
        Resource::SnapshotToBe => vec![format!("arn:{partition}:ec2:{region}::snapshot/${{*}}")],
        Resource::Functions => vec![format!("arn:{partition}:lambda:{region}:{account}:function:*")],
        Resource::Layers => vec![format!("arn:{partition}:lambda:{region}:*:layer:*:*")],
        Resource::Repositories => vec![format!("arn:{partition}:ecr:{region}:{account}:repository/*")],
        Resource::Keys if scope.kms_keys.is_empty() => {
            vec![format!("arn:{partition}:kms:{region}:{account}:key/*")]
        }
        Resource::Keys => {
            let mut keys: Vec<_> = scope.kms_keys.iter().map(ToString::to_string).collect();
            keys.sort_unstable();
            keys.dedup();
            keys
        }
    }
}

fn conditions(conditions: &[Condition], scope: &Scope) -> BTreeMap<&'static str, BTreeMap<String, String>> {
    let mut rendered: BTreeMap<&'static str, BTreeMap<String, String>> = BTreeMap::new();
    for condition in conditions {
        let key = match condition.key {
            ConditionKey::Named(name) => name.to_owned(),
            ConditionKey::RequestTag(tag) => format!("aws:RequestTag/{tag}"),
            ConditionKey::RepositoryTag(tag) => format!("ecr:ResourceTag/{tag}"),
            ConditionKey::ResourceTag(tag) => format!("aws:ResourceTag/{tag}"),
        };
        let value = match condition.value {
            ConditionValue::Text(text) => text.to_owned(),
            ConditionValue::Prefix(prefix) => format!("{prefix}*"),
            ConditionValue::ViaService(service) => {
                format!("{service}.{}.{}", scope.region, scope.region.partition().via_service_suffix())
            }
        };
        rendered.entry(condition.operator).or_default().insert(key, value);
    }
    rendered
}

#[cfg(test)]
mod tests {
    use super::*;

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
                    "Resource": ["*"]
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
                        "ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "aws:ebs:id"}
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

        scope.kms_keys = (0..200)
            .map(|n| format!("arn:aws:kms:eu-central-1:111122223333:key/{n}").parse().unwrap())
            .collect();
        let error = PolicyDocument::for_scanner(&scope, Feature::ALL).unwrap_err();
        assert!(error.to_string().contains("IAM accepts 10240"), "{error}");
    }
}
