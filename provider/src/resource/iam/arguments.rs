//! Arguments as documents, and back.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use scanner_policy::{
    AccountId, Argument, DelegateScope, Feature, InvalidId, KmsKeyArn, PolicyDocument, PolicyError, Region,
    ReportStore, Scope, ServiceAccess,
};

use crate::model;
use crate::sdk::{Diagnostic, Path, Value};

model! {
    /// Where package lists are stored.
    pub struct Reports {
        /// The S3 bucket.
        pub bucket: Value<String>,
        /// What the keys of objects begin with.
        pub prefix: Value<String>,
        /// The key that encrypts them.
        pub kms_key_arn: Value<String>,
    }
}

/// What the policy of a scanner's own role is made from.
#[derive(Clone, Copy)]
pub(crate) struct ScannerArguments<'a> {
    pub(crate) features: &'a Value<BTreeSet<String>>,
    pub(crate) kms_key_arns: &'a Value<BTreeSet<String>>,
    pub(crate) delegate_role_arns: &'a Value<BTreeSet<String>>,
    pub(crate) secret_arns: &'a Value<BTreeSet<String>>,
    pub(crate) secret_kms_key_arns: &'a Value<BTreeSet<String>>,
    pub(crate) scaling_group_names: &'a Value<BTreeSet<String>>,
    pub(crate) reports: &'a Value<Reports>,
}

/// What the policy of a delegate role is made from.
#[derive(Clone, Copy)]
pub(crate) struct DelegateArguments<'a> {
    pub(crate) features: &'a Value<BTreeSet<String>>,
    pub(crate) kms_key_arns: &'a Value<BTreeSet<String>>,
}

impl ScannerArguments<'_> {
    /// Whether all of it is known.
    pub(crate) fn are_known(&self) -> bool {
        let sets = [
            self.features,
            self.kms_key_arns,
            self.delegate_role_arns,
            self.secret_arns,
            self.secret_kms_key_arns,
            self.scaling_group_names,
        ];
        let reports_are_known = match self.reports {
            Value::Known(reports) => {
                [&reports.bucket, &reports.prefix, &reports.kms_key_arn].iter().all(|text| !text.is_unknown())
            }
            Value::Null => true,
            Value::Unknown => false,
        };
        reports_are_known && sets.iter().all(|set| !set.is_unknown())
    }

    /// What excludes or needs each other. Values may be unknown.
    pub(crate) fn problems(&self) -> Vec<Diagnostic> {
        let is_empty = |set: &Value<BTreeSet<String>>| match set {
            Value::Known(set) => set.is_empty(),
            Value::Null => true,
            Value::Unknown => false,
        };
        let mut problems = Vec::new();
        if self.features.is_known() && is_empty(self.features) && is_empty(self.delegate_role_arns) {
            let detail = "A scanner scans its own account, for which it needs features, or others through their delegate \
                          roles. Name a feature, or set delegate_role_arns.";
            problems.push(Diagnostic::error("Nothing to scan", detail).at("features"));
        }
        if is_empty(self.secret_arns) && !is_empty(self.secret_kms_key_arns) {
            let detail =
                "secret_kms_key_arns names the keys of the secrets in secret_arns, which names none.";
            problems.push(Diagnostic::error("Keys without secrets", detail).at("secret_kms_key_arns"));
        }
        problems
    }

    /// The policy of the role.
    pub(crate) fn policy(&self, region: &Region, account: AccountId) -> Result<PolicyDocument, Diagnostic> {
        let kms_keys = parse_set(self.kms_key_arns, "kms_key_arns")?;
        let service = ServiceAccess {
            delegate_roles: parse_set(self.delegate_role_arns, "delegate_role_arns")?,
            secrets: parse_set(self.secret_arns, "secret_arns")?,
            secret_kms_keys: parse_set(self.secret_kms_key_arns, "secret_kms_key_arns")?,
            scaling_groups: parse_set(self.scaling_group_names, "scaling_group_names")?,
            reports: self.reports.get().map(report_store).transpose()?,
        };
        let scope = Scope { region: region.clone(), account, kms_keys };
        PolicyDocument::for_scanner_service(&scope, &features(self.features), &service)
            .map_err(|error| refused(&error))
    }
}

impl DelegateArguments<'_> {
    /// Whether all of it is known.
    pub(crate) fn are_known(&self) -> bool {
        !self.features.is_unknown() && !self.kms_key_arns.is_unknown()
    }

    /// The policy of the role.
    pub(crate) fn policy(
        &self,
        regions: Vec<Region>,
        account: AccountId,
    ) -> Result<PolicyDocument, Diagnostic> {
        let scope =
            DelegateScope { regions, account, kms_keys: parse_set(self.kms_key_arns, "kms_key_arns")? };
        PolicyDocument::for_delegate(&scope, &features(self.features)).map_err(|error| refused(&error))
    }
}

/// The trust policy of a delegate role.
pub(crate) fn trust_scanners(
    scanner_role_arns: &Value<BTreeSet<String>>,
    external_id: &Value<String>,
    region: &Region,
) -> Result<PolicyDocument, Diagnostic> {
    let roles: Vec<scanner_policy::RoleArn> = parse_set(scanner_role_arns, "scanner_role_arns")?;
    let partition = region.partition();
    if let Some(role) = roles.iter().find(|role| role.partition() != partition.id()) {
        return Err(refused(&PolicyError::ForeignPartition {
            name: role.to_string(),
            partition: partition.id(),
            argument: Argument::ScannerRoles,
        }));
    }
    let external_id = external_id.as_str().map(|id| parse(id, Path::from("external_id"))).transpose()?;
    PolicyDocument::trust_scanners(&roles, external_id.as_ref()).map_err(|error| refused(&error))
}

/// The regions that a delegate may be used in: those named, or the resource's own.
pub(crate) fn region_list(
    regions: &Value<BTreeSet<String>>,
    own: &Region,
) -> Result<Vec<Region>, Diagnostic> {
    let mut named: Vec<Region> = parse_set(regions, "regions")?;
    if named.is_empty() {
        named.push(own.clone());
    }
    match named.iter().find(|region| region.partition() != own.partition()) {
        Some(other) => Err(refused(&PolicyError::ForeignPartition {
            name: other.to_string(),
            partition: own.partition().id(),
            argument: Argument::Regions,
        })),
        None => Ok(named),
    }
}

/// What was read from a policy, as an argument that may be left out.
pub(crate) fn read_set<T: Display>(values: &[T]) -> Value<BTreeSet<String>> {
    if values.is_empty() {
        Value::Null
    } else {
        Value::Known(values.iter().map(ToString::to_string).collect())
    }
}

/// The same of the place for package lists.
pub(crate) fn read_reports(reports: Option<&ReportStore>) -> Value<Reports> {
    reports
        .map(|reports| Reports {
            bucket: reports.bucket.as_str().into(),
            prefix: Some(reports.prefix.to_string()).filter(|prefix| !prefix.is_empty()).into(),
            kms_key_arn: reports.kms_key.as_ref().map(ToString::to_string).into(),
        })
        .into()
}

/// The path of a role.
pub(crate) fn path_of(path: &Value<String>) -> &str {
    path.as_str().unwrap_or("/")
}

/// The ARN of a role.
pub(crate) fn role_arn(region: &Region, account: &AccountId, path: &str, name: &str) -> String {
    format!("arn:{}:iam::{account}:role{path}{name}", region.partition().id())
}

/// Everything that is in one or the other.
pub(crate) fn union(
    one: &Value<BTreeSet<String>>,
    other: &Value<BTreeSet<String>>,
) -> Value<BTreeSet<String>> {
    Value::Known(one.get().into_iter().chain(other.get()).flatten().cloned().collect())
}

fn features(names: &Value<BTreeSet<String>>) -> Vec<Feature> {
    names.get().into_iter().flatten().filter_map(|name| Feature::of_roles(name)).collect()
}

fn report_store(reports: &Reports) -> Result<ReportStore, Diagnostic> {
    let at = |name| Path::from("reports").attribute(name);
    let kms_key = reports.kms_key_arn.as_str().map(|arn| parse::<KmsKeyArn>(arn, at("kms_key_arn")));
    Ok(ReportStore {
        bucket: parse(reports.bucket.as_str().unwrap_or_default(), at("bucket"))?,
        prefix: parse(reports.prefix.as_str().unwrap_or_default(), at("prefix"))?,
        kms_key: kms_key.transpose()?,
    })
}

fn parse_set<T: FromStr<Err = InvalidId>>(
    values: &Value<BTreeSet<String>>,
    attribute: &str,
) -> Result<Vec<T>, Diagnostic> {
    values.get().into_iter().flatten().map(|text| parse(text, Path::from(attribute))).collect()
}

fn parse<T: FromStr<Err = InvalidId>>(text: &str, path: Path) -> Result<T, Diagnostic> {
    text.parse().map_err(|error: InvalidId| Diagnostic::caused_by("Invalid value", &error).at(path))
}

fn refused(error: &PolicyError) -> Diagnostic {
    let path = match error.argument() {
        Argument::Regions => Path::from("regions"),
        Argument::KmsKeys => Path::from("kms_key_arns"),
        Argument::DelegateRoles => Path::from("delegate_role_arns"),
        Argument::Secrets => Path::from("secret_arns"),
        Argument::SecretKmsKeys => Path::from("secret_kms_key_arns"),
        Argument::ReportKmsKey => Path::from("reports").attribute("kms_key_arn"),
        Argument::ScannerRoles => Path::from("scanner_role_arns"),
        _ => Path::from("features"),
    };
    Diagnostic::caused_by("The role's policy cannot be made", error).at(path)
}
