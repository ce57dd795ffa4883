//! What policies are made for: places, keys, and what is named beside them.

use crate::{
    AccountId, BucketName, KmsKeyArn, Partition, Region, ReportPrefix, RoleArn, ScalingGroupName, SecretArn,
};

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

/// Where in one account things may be scanned, and with which keys: that of a delegate role, or the scanner's own.
#[derive(Clone, Debug)]
pub struct DelegateScope {
    /// The regions whose volumes it may snapshot: at least one, all of one partition.
    pub regions: Vec<Region>,
    /// The account it is in.
    pub account: AccountId,
    /// The keys of encrypted volumes. Empty means every key of the account in the regions that its key policy lets the
    /// role use.
    pub kms_keys: Vec<KmsKeyArn>,
}

/// What a scanner's own role may do beside scanning: each only for what is named here.
#[derive(Clone, Debug, Default)]
pub struct ServiceAccess {
    /// The roles of other accounts that it may become.
    pub delegate_roles: Vec<RoleArn>,
    /// The secrets that it may read.
    pub secrets: Vec<SecretArn>,
    /// The keys that these are encrypted with, where it is not AWS's own.
    pub secret_kms_keys: Vec<KmsKeyArn>,
    /// The Auto Scaling groups, in the scanner's account and region, whose instances it runs on.
    pub scaling_groups: Vec<ScalingGroupName>,
    /// Where it may store package lists.
    pub reports: Option<ReportStore>,
}

/// A place for package lists in S3.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReportStore {
    /// The bucket.
    pub bucket: BucketName,
    /// What the keys of its objects begin with.
    pub prefix: ReportPrefix,
    /// The key that objects must be encrypted with.
    pub kms_key: Option<KmsKeyArn>,
}

/// What a policy is made from, so that an error can say where it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Argument {
    /// The features.
    Features,
    /// The regions of a delegate.
    Regions,
    /// The keys of encrypted volumes.
    KmsKeys,
    /// [`ServiceAccess::delegate_roles`].
    DelegateRoles,
    /// [`ServiceAccess::secrets`].
    Secrets,
    /// [`ServiceAccess::secret_kms_keys`].
    SecretKmsKeys,
    /// The key of [`ServiceAccess::reports`].
    ReportKmsKey,
    /// The principals of a delegate's trust policy.
    ScannerRoles,
}

/// Why a policy could not be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// No feature was asked for: the policy would grant nothing, which IAM refuses.
    #[error("at least one feature is needed: without any the policy would be empty")]
    NoFeature,
    /// A delegate that may be used nowhere.
    #[error("at least one region is needed")]
    NoRegion,
    /// A trust policy for nobody.
    #[error("at least one scanner role is needed: without any nobody could take the role on")]
    NoScanner,
    /// A key of another region.
    #[error("the KMS key {key} is not in {region}, so it cannot encrypt a volume there")]
    ForeignKey {
        /// The key's ARN.
        key: String,
        /// The policy's regions.
        region: String,
    },
    /// A key in a region where there is no secret.
    #[error("the KMS key {key} is in a region in which no secret is named, so it cannot encrypt one")]
    KeyWithoutSecret {
        /// The key's ARN.
        key: String,
    },
    /// An ARN or region of another partition.
    #[error("{name} is not in the partition {partition}, which no permission can cross")]
    ForeignPartition {
        /// The ARN or region.
        name: String,
        /// The partition of the policy.
        partition: &'static str,
        /// Where it was given.
        argument: Argument,
    },
    /// More than IAM accepts.
    #[error(
        "the permissions need {policies} managed policies, and IAM accepts {} on a role: name fewer KMS keys, roles and \
         secrets",
        crate::MANAGED_POLICIES_OF_ROLE
    )]
    TooLong {
        /// How many managed policies it would take.
        policies: usize,
    },
}

impl PolicyError {
    /// Where the cause is.
    pub fn argument(&self) -> Argument {
        match self {
            Self::NoFeature => Argument::Features,
            Self::NoRegion => Argument::Regions,
            Self::NoScanner => Argument::ScannerRoles,
            Self::ForeignKey { .. } | Self::TooLong { .. } => Argument::KmsKeys,
            Self::KeyWithoutSecret { .. } => Argument::SecretKmsKeys,
            Self::ForeignPartition { argument, .. } => *argument,
        }
    }
}

impl DelegateScope {
    /// The regions, sorted and each once.
    pub(crate) fn distinct_regions(&self, partition: Partition) -> Result<Vec<Region>, PolicyError> {
        let mut regions = self.regions.clone();
        regions.sort_unstable();
        regions.dedup();
        if regions.is_empty() {
            return Err(PolicyError::NoRegion);
        }
        for region in &regions {
            same_partition(region.as_str(), region.partition().id(), partition, Argument::Regions)?;
        }
        Ok(regions)
    }
}

impl ServiceAccess {
    /// Checks that everything can be reached from `partition`, and every key of a secret has one.
    pub(crate) fn check(&self, partition: Partition) -> Result<(), PolicyError> {
        let report_key = self.reports.as_ref().and_then(|reports| reports.kms_key.as_ref());
        let arns = (self.delegate_roles.iter())
            .map(|role| (role.as_str(), role.partition(), Argument::DelegateRoles))
            .chain(self.secrets.iter().map(|it| (it.as_str(), it.partition(), Argument::Secrets)))
            .chain(
                self.secret_kms_keys.iter().map(|it| (it.as_str(), it.partition(), Argument::SecretKmsKeys)),
            )
            .chain(report_key.map(|key| (key.as_str(), key.partition(), Argument::ReportKmsKey)));
        for (arn, of_arn, argument) in arns {
            same_partition(arn, of_arn, partition, argument)?;
        }
        let has_secret = |key: &KmsKeyArn| self.secrets.iter().any(|secret| secret.region() == key.region());
        match self.secret_kms_keys.iter().find(|key| !has_secret(key)) {
            Some(key) => Err(PolicyError::KeyWithoutSecret { key: key.to_string() }),
            None => Ok(()),
        }
    }
}

fn same_partition(
    name: &str,
    of_name: &str,
    partition: Partition,
    argument: Argument,
) -> Result<(), PolicyError> {
    if of_name == partition.id() {
        return Ok(());
    }
    Err(PolicyError::ForeignPartition { name: name.to_owned(), partition: partition.id(), argument })
}
