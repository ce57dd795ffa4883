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
pub(crate) struct Places<'a> {
    /// Where the scanner is.
    pub(crate) home: &'a Region,
    /// Sorted; at least one.
    pub(crate) regions: &'a [Region],
    pub(crate) account: &'a AccountId,
    pub(crate) kms_keys: &'a [KmsKeyArn],
    pub(crate) service: &'a ServiceAccess,
}

impl Places<'_> {
    fn document(
        &self,
        table: &(impl Iterator<Item = &'static Action> + Clone),
        features: &[Feature],
    ) -> Result<PolicyDocument, PolicyError> {
        self.check_keys()?;
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

    /// Every key is in one of the regions.
    pub(crate) fn check_keys(&self) -> Result<(), PolicyError> {
        let is_foreign = |key: &&KmsKeyArn| !self.regions.iter().any(|region| key.is_in(region));
        let Some(key) = self.kms_keys.iter().find(is_foreign) else { return Ok(()) };
        let regions: Vec<&str> = self.regions.iter().map(Region::as_str).collect();
        Err(PolicyError::ForeignKey { key: key.to_string(), region: regions.join(", ") })
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

    pub(crate) fn conditions(
        &self,
        needed: &[Condition],
    ) -> BTreeMap<&'static str, BTreeMap<String, Values>> {
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
                ConditionValue::AnyOf(texts) => Values::new(texts.iter().map(ToString::to_string)),
                ConditionValue::Ec2 => {
                    let suffix = self.regions.first().map(|region| region.partition().dns_suffix());
                    Values::One(format!("ec2.{}", suffix.unwrap_or_default()))
                }
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

pub(crate) fn sorted<T: ToString>(named: &[T]) -> Vec<String> {
    let mut texts: Vec<String> = named.iter().map(ToString::to_string).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

#[cfg(test)]
mod tests;
