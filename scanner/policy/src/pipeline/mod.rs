//! The role of the pipeline that builds scanner images, points to them and retires them.
//!
//! Not a scanner's role and never on a scanner's instance: a scanner can change no image. Two halves: what the verbs
//! `agentless-scanner image …` send, which tests judge request by request, and what Packer's builder `amazon-ebs` sends,
//! after the list in its documentation. What Terraform needs to apply is not here: that is for what its configuration has.

pub(crate) mod actions;
mod grants;

#[cfg(test)]
pub(crate) use actions::BUILD;
pub(crate) use actions::VERBS;
pub(crate) use grants::GRANTS;

use crate::action::Action;
use crate::document::{Places, sorted};
use crate::grant::Condition;
use crate::{
    AccountId, DelegateScope, KmsKeyArn, ParameterPrefix, PolicyDocument, PolicyError, Region, RoleArn,
    ServiceAccess, Statement,
};

/// Where a pipeline builds images, and what it is given for it.
#[derive(Clone, Debug)]
pub struct PipelineScope {
    /// The regions in which images are built, or to which they are copied: at least one, all of one partition.
    pub regions: Vec<Region>,
    /// The account that owns them.
    pub account: AccountId,
    /// The keys that images are encrypted with, where it is not AWS's own.
    pub kms_keys: Vec<KmsKeyArn>,
    /// Under which the parameters are that point to images.
    pub parameters: ParameterPrefix,
    /// The roles of instances that the pipeline starts: of the one that Packer builds on, where it reaches that by Session
    /// Manager, and the scanner's own, of the one on which a new image is tried.
    pub instance_roles: Vec<RoleArn>,
}

/// One statement of the policy.
#[derive(Debug)]
pub(crate) struct PipelineGrant {
    pub(crate) sid: &'static str,
    pub(crate) actions: &'static [&'static Action],
    pub(crate) resources: &'static [Resource],
    pub(crate) conditions: &'static [Condition],
}

/// What a statement is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Resource {
    /// `*`, for actions that AWS does not let be restricted to resources.
    Any,
    /// Those of EC2 in the account and region, by the name that ARNs have for their kind.
    OfAccount(&'static str),
    /// Images and snapshots, whose ARNs have no account.
    OfRegion(&'static str),
    /// The parameters that point to images.
    Parameters,
    /// The KMS keys that were given.
    Keys,
    /// The roles that were given for instances.
    InstanceRoles,
    /// Every instance profile of the account, where there are such roles.
    InstanceProfiles,
    /// Instances of the account, where there are such roles.
    BuildInstances,
    /// The document of Session Manager by which Packer reaches that instance.
    PortForwarding,
    /// The pipeline's own sessions.
    OwnSessions,
}

/// The processors that there are images for, as parameters name them.
pub const ARCHITECTURES: &[&str] = &["amd64", "arm64"];

/// What a parameter can say of an image, by the last part of its name: it is to be tried; it is to be used; it was used before.
pub const POINTERS: &[&str] = &["candidate", "current", "previous"];

impl PolicyDocument {
    /// The permissions of the role with which images are built, published, promoted, rolled back and pruned.
    ///
    /// # Errors
    /// [`PolicyError`] where the scope contradicts itself.
    pub fn for_image_pipeline(scope: &PipelineScope) -> Result<Self, PolicyError> {
        let PipelineScope { regions, account, kms_keys, .. } = scope.clone();
        let places = DelegateScope { regions, account, kms_keys };
        let home = places.regions.iter().min().ok_or(PolicyError::NoRegion)?;
        let regions = places.distinct_regions(home.partition())?;
        let (account, kms_keys, service) = (&places.account, &places.kms_keys, &ServiceAccess::default());
        let filled = Places { home, regions: &regions, account, kms_keys, service };
        filled.check_keys()?;
        let statements = GRANTS.iter().filter_map(|grant| {
            let resource: Vec<String> =
                grant.resources.iter().flat_map(|resource| scope.named(*resource, &regions)).collect();
            // A statement without resources would be for nothing that is named.
            (!resource.is_empty()).then(|| Statement {
                sid: grant.sid.to_owned(),
                effect: "Allow",
                principal: std::collections::BTreeMap::new(),
                action: grant.actions.iter().map(|action| action.name).collect(),
                resource,
                condition: filled.conditions(grant.conditions),
            })
        });
        Ok(Self::new(statements.collect()))
    }
}

impl PipelineScope {
    fn named(&self, resource: Resource, regions: &[Region]) -> Vec<String> {
        let account = &self.account;
        let partition = regions.first().map(|region| region.partition().id()).unwrap_or_default();
        let regional = |rest: &dyn Fn(&Region) -> String| -> Vec<String> {
            regions.iter().map(|region| format!("arn:{partition}:{}", rest(region))).collect()
        };
        match resource {
            Resource::Any => vec!["*".to_owned()],
            Resource::OfAccount(kind) => regional(&|region| format!("ec2:{region}:{account}:{kind}/*")),
            Resource::OfRegion(kind) => regional(&|region| format!("ec2:{region}::{kind}/*")),
            Resource::Parameters => {
                let names = self.parameters.pointers();
                let of = |region: &Region, name: &str| {
                    format!("arn:{partition}:ssm:{region}:{account}:parameter{name}")
                };
                regions.iter().flat_map(|region| names.iter().map(move |name| of(region, name))).collect()
            }
            Resource::Keys => sorted(&self.kms_keys),
            Resource::InstanceRoles => sorted(&self.instance_roles),
            Resource::InstanceProfiles => {
                self.only_with_roles(vec![format!("arn:{partition}:iam::{account}:instance-profile/*")])
            }
            Resource::BuildInstances => {
                self.only_with_roles(regional(&|region| format!("ec2:{region}:{account}:instance/*")))
            }
            Resource::PortForwarding => self.only_with_roles(regional(&|region| {
                format!("ssm:{region}::document/AWS-StartPortForwardingSession")
            })),
            Resource::OwnSessions => self.only_with_roles(regional(&|region| {
                format!("ssm:{region}:{account}:session/${{aws:userid}}-*")
            })),
        }
    }

    fn only_with_roles(&self, resources: Vec<String>) -> Vec<String> {
        if self.instance_roles.is_empty() { Vec::new() } else { resources }
    }
}

impl ParameterPrefix {
    /// The names of all parameters under it, sorted.
    pub fn pointers(&self) -> Vec<String> {
        let names = ARCHITECTURES.iter().flat_map(|architecture| {
            POINTERS.iter().map(move |pointer| format!("{self}/{architecture}/{pointer}"))
        });
        names.collect()
    }
}

#[cfg(test)]
mod tests;
