//! The arguments and results that roles share, for their schemas.

use scanner_policy::{
    BucketName, ExternalId, Feature, KmsKeyArn, Region, ReportPrefix, ScalingGroupName, SecretArn,
};

use super::super::ids::role_arn;
use super::SESSION;
use crate::sdk::{Attribute, Type, Value, validator};

/// `name`, `path`, `permissions_boundary` and `max_session_duration`. `made` is what bears name and path; `session` goes on
/// the description of the last.
pub(crate) fn role_attributes(made: &str, session: &str) -> [Attribute; 4] {
    [
        Attribute::string(
            "name",
            format!("The name of {made}, unique in the account. A change makes a new role."),
        )
        .required()
        .replaces()
        .validate(validator::length(1..=64))
        .validate(validator::characters("letters, digits and `+=,.@-_`", |character| {
            character.is_ascii_alphanumeric() || "+=,.@-_".contains(character)
        })),
        Attribute::string("path", format!("The path of {made}. A change makes a new role."))
            .default("/")
            .replaces()
            .validate(validator::length(1..=512))
            .validate(validator::pattern("a path that begins and ends with `/`", |path| {
                path.starts_with('/')
                    && path.ends_with('/')
                    && path.bytes().all(|byte| byte.is_ascii_graphic())
            })),
        Attribute::string(
            "permissions_boundary",
            "The ARN of a managed policy that bounds the role's permissions, where the account demands one.",
        )
        .optional()
        .validate(validator::pattern("the ARN of a policy", |arn| {
            arn.starts_with("arn:") && arn.contains(":policy/")
        })),
        Attribute::int(
            "max_session_duration",
            format!("How long a session of the role may last, in seconds.{session}"),
        )
        .default(i64::from(SESSION))
        .validate(validator::range(3_600..=43_200)),
    ]
}

/// `features`, at least `least` of them.
pub(crate) fn features_attribute(least: usize, more: &str) -> Attribute {
    Attribute::set(
        "features",
        Type::String,
        format!(
            "What is to be scanned in the role's account; each feature brings the permissions that it needs. `hosts`: the \
             volumes of EC2 instances. `images`: Amazon Machine Images, by copies of their snapshots. `functions`: Lambda \
             functions with their layers, and the container images of those that are one. `incremental`: asking what has \
             changed on volumes since the scan before, beside `hosts`, where the scanner's setting `incremental` is on.{more}"
        ),
    )
    .optional()
    .validate(validator::items(least..=Feature::OF_ROLES.len()))
    .validate(validator::each(validator::one_of(["hosts", "images", "functions", "incremental"])))
}

/// `kms_key_arns`.
pub(crate) fn kms_keys_attribute() -> Attribute {
    Attribute::set(
        "kms_key_arns",
        Type::String,
        "The ARNs of the KMS keys of encrypted volumes. Left out, the role may use every key of its account, in the \
         regions that it may scan, whose own policy allows it, but only through EBS.",
    )
    .optional()
    .validate(validator::items(1..=usize::MAX))
    .validate(validator::each(key_validator()))
}

/// What the service around the scans needs: delegate roles, secrets, Auto Scaling groups, a place for package lists.
pub(crate) fn service_attributes() -> [Attribute; 5] {
    [
        Attribute::set(
            "delegate_role_arns",
            Type::String,
            "The ARNs of the delegate roles (`datadog_agentless_scanner_delegate_role`) in scanned accounts that the \
             scanner may become. Each role's own trust policy must name the scanner's role in turn. Where one configuration \
             makes both, write these ARNs out instead of referring to the delegates: those refer to the scanner's role.",
        )
        .optional()
        .validate(validator::each(role_arn())),
        Attribute::set(
            "secret_arns",
            Type::String,
            "The whole ARNs, with the six characters that Secrets Manager adds to a name, of the secrets that the scanner \
             may read: the key with which it sends package lists.",
        )
        .optional()
        .validate(validator::each(validator::pattern(
            "the whole ARN of one secret, which ends in `-` and six characters that Secrets Manager added",
            |arn| arn.parse::<SecretArn>().is_ok(),
        ))),
        Attribute::set(
            "secret_kms_key_arns",
            Type::String,
            "The ARNs of the KMS keys of those secrets, where they are not encrypted with AWS's own key. The role may use \
             them only through Secrets Manager.",
        )
        .optional()
        .validate(validator::each(key_validator())),
        Attribute::set(
            "scaling_group_names",
            Type::String,
            "The names of the Auto Scaling groups, in the role's account and region, whose instances have the role. The \
             scanner may tell these groups when an instance is ready and when it may go, and ask for time to finish a scan.",
        )
        .optional()
        .validate(validator::each(validator::pattern(
            "the name of an Auto Scaling group, without `:`, `*`, `?` and `$`",
            |name| name.parse::<ScalingGroupName>().is_ok(),
        ))),
        Attribute::nested(
            "reports",
            "Where the scanner may store package lists in S3. It may write there and neither read nor delete.",
            [
                Attribute::string("bucket", "The name of the bucket.").required().validate(validator::pattern(
                    "the name of an S3 bucket",
                    |name| name.parse::<BucketName>().is_ok(),
                )),
                Attribute::string(
                    "prefix",
                    "What the keys of the objects begin with: a folder such as `scans/`. Left out, the whole bucket.",
                )
                .optional()
                .validate(validator::length(1..=512))
                .validate(validator::pattern(
                    "a prefix such as `scans/`: it ends in `/`, does not begin with it, and has no wildcards",
                    |prefix| prefix.parse::<ReportPrefix>().is_ok(),
                )),
                Attribute::string(
                    "kms_key_arn",
                    "The ARN of the KMS key that the objects must be encrypted with. Left out, the bucket's own settings \
                     decide.",
                )
                .optional()
                .validate(key_validator()),
            ],
        )
        .optional(),
    ]
}

/// Who may take a delegate role on, and in which regions it may be used.
pub(crate) fn delegate_attributes() -> [Attribute; 3] {
    [
        Attribute::set(
            "scanner_role_arns",
            Type::String,
            "The ARNs of exactly the scanner roles that may take the delegate role on. They must exist: IAM refuses a trust \
             policy that names a role which does not.",
        )
        .validate(validator::items(1..=usize::MAX))
        .validate(validator::each(role_arn())),
        Attribute::string(
            "external_id",
            "What a scanner must name as external id to take the delegate role on, where scanner and scanned account belong \
             to different parties. It is no secret.",
        )
        .optional()
        .validate(validator::pattern("2 to 1224 letters, digits and `+=,.@:/-_`", |id| {
            id.parse::<ExternalId>().is_ok()
        })),
        Attribute::set(
            "regions",
            Type::String,
            "The regions in which the delegate role may be used, all of one partition. Left out, `region` alone.",
        )
        .optional()
        .validate(validator::items(1..=usize::MAX))
        .validate(validator::each(validator::pattern("an AWS region such as eu-central-1", |name| {
            name.parse::<Region>().is_ok()
        }))),
    ]
}

/// What a role's documents and policies are read back as.
pub(crate) fn policy_attributes(trusted: &str) -> [Attribute; 4] {
    [
        Attribute::string(
            "policy",
            "What the role permits, as JSON. Up to 10,240 characters it is one inline policy; a longer one is split into \
             managed policies.",
        )
        .computed()
        .keeps_state(),
        Attribute::string("assume_role_policy", format!("Who may take the role on, as JSON: {trusted}."))
            .computed()
            .keeps_state(),
        Attribute::set(
            "managed_policy_arns",
            Type::String,
            "The ARNs of the managed policies that `policy` is split into, named after the role and numbered; empty where it \
             is inline.",
        )
        .computed()
        .keeps_state(),
        Attribute::set(
            "foreign_policies",
            Type::String,
            "Policies of the role that this resource did not make: ARNs of attached ones and names of inline ones. \
             Always planned as empty, so that apply removes them from the role.",
        )
        .computed()
        .keeps_state(),
    ]
}

/// Name and region of an import id `NAME` or `NAME@REGION`. A role's name may itself contain an `@`.
pub(crate) fn import_id(id: &str) -> (&str, Value<String>) {
    match id.rsplit_once('@') {
        Some((name, region)) if !name.is_empty() && region.parse::<Region>().is_ok() => (name, region.into()),
        _ => (id, Value::Null),
    }
}

fn key_validator() -> validator::Validator {
    validator::pattern("an ARN of a KMS key, not of an alias", |arn| arn.parse::<KmsKeyArn>().is_ok())
}
