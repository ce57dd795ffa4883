//! What an action may be done to, and when: the resource and conditions of a policy statement, before region, account
//! and keys are filled in.

use crate::tags;

/// One statement of the policy, shared by the actions that it allows.
#[derive(Debug)]
pub(crate) struct Grant {
    /// The statement's id: letters and digits, unique within the policy.
    pub(crate) sid: &'static str,
    pub(crate) resource: Resource,
    pub(crate) conditions: &'static [Condition],
}

/// The resources of a grant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Resource {
    /// `*`, for actions that AWS does not let be restricted to resources.
    Any,
    /// Every volume of the account in the region.
    Volumes,
    /// Every snapshot in the region. Their ARNs have no account.
    Snapshots,
    /// Every snapshot in the region that has an id.
    ExistingSnapshots,
    /// The snapshot that a request is about to make. AWS checks it under the id `*`, and `${*}` is that character and
    /// nothing else ("Policy variables", special characters): no snapshot that exists is meant.
    SnapshotToBe,
    /// Every function of the account in the region, and its versions.
    Functions,
    /// Every version of every layer in the region, also of other accounts: those that publish layers for everybody.
    Layers,
    /// Every repository of container images of the account in the region.
    Repositories,
    /// The given KMS keys, or every key of the account in the region.
    Keys,
    /// The roles of other accounts that were given, each by its ARN.
    DelegateRoles,
    /// The secrets that were given, each by its ARN.
    Secrets,
    /// The keys that those are encrypted with, each by its ARN.
    SecretKeys,
    /// The Auto Scaling groups whose names were given. The ARN of a group has an id before its name that only exists with
    /// the group, so `*` stands for it: the name is unique in the account and region.
    ScalingGroups,
    /// Objects under the prefix of the bucket that was given without a key. The scanner names them.
    Reports,
    /// The same of a bucket that was given with a key.
    EncryptedReports,
    /// That key.
    ReportKey,
}

impl Resource {
    /// Whether it is what a caller names, and nothing where nothing is named.
    #[cfg(test)]
    pub(crate) fn is_named(self) -> bool {
        matches!(
            self,
            Self::DelegateRoles
                | Self::Secrets
                | Self::SecretKeys
                | Self::ScalingGroups
                | Self::Reports
                | Self::EncryptedReports
                | Self::ReportKey
        )
    }
}

/// One condition of a grant.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) operator: &'static str,
    pub(crate) key: ConditionKey,
    pub(crate) value: ConditionValue,
}

/// The name of a condition key, which may contain that of a tag.
#[derive(Debug)]
pub(crate) enum ConditionKey {
    Named(&'static str),
    /// `aws:RequestTag/…`: a tag that the request sets.
    RequestTag(&'static str),
    /// `aws:ResourceTag/…`: a tag that the resource has.
    ResourceTag(&'static str),
    /// `ecr:ResourceTag/…`: the same, under the name that ECR has for it.
    RepositoryTag(&'static str),
}

/// What a condition compares with.
#[derive(Debug)]
pub(crate) enum ConditionValue {
    Text(&'static str),
    /// One of these.
    AnyOf(&'static [&'static str]),
    /// Anything that begins so.
    Prefix(&'static str),
    /// The policy's regions.
    Regions,
    /// The service of this name in the policy's regions, as `kms:ViaService` writes it.
    ViaService(&'static str),
    /// The same in the regions of the keys of secrets.
    ViaServiceOfSecrets(&'static str),
    /// The same in the region of the key of reports.
    ViaServiceOfReports(&'static str),
    /// The key of reports.
    ReportKey,
    /// EC2, as IAM names services.
    Ec2,
}

/// Every grant, in the order in which policies list them.
pub(crate) static GRANTS: &[&Grant] = &[
    &FIND_WHAT_TO_SCAN,
    &SNAPSHOT_VOLUMES_NOT_OPTED_OUT,
    &COPY_SNAPSHOTS_NOT_OPTED_OUT,
    &MAKE_TAGGED_SNAPSHOTS,
    &MAKE_TAGGED_COPIES,
    &TAG_SNAPSHOTS_WHILE_MAKING_THEM,
    &TAG_COPIES_WHILE_MAKING_THEM,
    &READ_AND_DELETE_OWN_SNAPSHOTS,
    &DECRYPT_BLOCKS_OF_SNAPSHOTS,
    &LET_EC2_USE_KEYS_FOR_COPIES,
    &TELL_TAGS_OF_FUNCTIONS,
    &READ_FUNCTIONS_NOT_OPTED_OUT,
    &READ_LAYERS_NOT_OPTED_OUT,
    &READ_REPOSITORIES_NOT_OPTED_OUT,
    &BECOME_NAMED_DELEGATES,
    &READ_NAMED_SECRETS,
    &DECRYPT_NAMED_SECRETS,
    &FOLLOW_OWN_LIFECYCLE,
    &STORE_REPORTS,
    &STORE_ENCRYPTED_REPORTS,
    &ENCRYPT_REPORTS,
];

/// The one statement on `*`: AWS offers no restriction of these to resources. They change nothing, tell what there is and
/// not what is in it, and are held to the regions that are scanned.
pub(crate) static FIND_WHAT_TO_SCAN: Grant =
    Grant { sid: "FindWhatToScan", resource: Resource::Any, conditions: IN_SCANNED_REGIONS };

const IN_SCANNED_REGIONS: &[Condition] = &[Condition {
    operator: "StringEquals",
    key: ConditionKey::Named("aws:RequestedRegion"),
    value: ConditionValue::Regions,
}];

/// A volume whose owner set the tag to `false` is refused by IAM, whatever the scanner's own filter does.
/// `StringNotEquals` holds where the tag is absent.
pub(crate) static SNAPSHOT_VOLUMES_NOT_OPTED_OUT: Grant =
    Grant { sid: "SnapshotVolumesNotOptedOut", resource: Resource::Volumes, conditions: NOT_OPTED_OUT };

/// As for volumes: the owner of an image opts out by the tag on its snapshots.
pub(crate) static COPY_SNAPSHOTS_NOT_OPTED_OUT: Grant = Grant {
    sid: "CopySnapshotsNotOptedOut",
    resource: Resource::ExistingSnapshots,
    conditions: NOT_OPTED_OUT,
};

/// A snapshot that is not tagged as the scanner's own cannot come into being, so none can escape the clean-up.
/// `ForAllValues` also holds for a request without tags; the first condition is what demands one.
pub(crate) static MAKE_TAGGED_SNAPSHOTS: Grant =
    Grant { sid: "MakeTaggedSnapshots", resource: Resource::Snapshots, conditions: TAGGED_AS_OWN };

/// The same for copies. AWS checks `CopySnapshot` against the source too, with the tags of the request: what this grants
/// must not be the source, whose owner may have opted out.
pub(crate) static MAKE_TAGGED_COPIES: Grant =
    Grant { sid: "MakeTaggedCopies", resource: Resource::SnapshotToBe, conditions: TAGGED_AS_OWN };

const TAGGED_AS_OWN: &[Condition] = &[
    Condition {
        operator: "StringEquals",
        key: ConditionKey::RequestTag(tags::SCANNER),
        value: ConditionValue::Text(tags::TRUE),
    },
    Condition {
        operator: "ForAllValues:StringLike",
        key: ConditionKey::Named("aws:TagKeys"),
        value: ConditionValue::Prefix(tags::PREFIX),
    },
];

/// Tags only in the act of creation: otherwise a scanner could claim somebody else's snapshot by tagging it.
pub(crate) static TAG_SNAPSHOTS_WHILE_MAKING_THEM: Grant = Grant {
    sid: "TagSnapshotsWhileMakingThem",
    resource: Resource::Snapshots,
    conditions: &[Condition {
        operator: "StringEquals",
        key: ConditionKey::Named("ec2:CreateAction"),
        value: ConditionValue::Text("CreateSnapshot"),
    }],
};

/// The same for copies.
pub(crate) static TAG_COPIES_WHILE_MAKING_THEM: Grant = Grant {
    sid: "TagCopiesWhileMakingThem",
    resource: Resource::Snapshots,
    conditions: &[Condition {
        operator: "StringEquals",
        key: ConditionKey::Named("ec2:CreateAction"),
        value: ConditionValue::Text("CopySnapshot"),
    }],
};

/// Snapshots that a scanner made, and no others.
pub(crate) static READ_AND_DELETE_OWN_SNAPSHOTS: Grant = Grant {
    sid: "ReadAndDeleteOwnSnapshots",
    resource: Resource::Snapshots,
    conditions: &[Condition {
        operator: "StringEquals",
        key: ConditionKey::ResourceTag(tags::SCANNER),
        value: ConditionValue::Text(tags::TRUE),
    }],
};

/// Keys only for EBS, and only through it. The encryption context's value is not pinned to a snapshot id: on a snapshot
/// just made from a volume it is the volume's. A key with the tag of the opt-out is refused, whatever it encrypts.
pub(crate) static DECRYPT_BLOCKS_OF_SNAPSHOTS: Grant = Grant {
    sid: "DecryptBlocksOfSnapshots",
    resource: Resource::Keys,
    conditions: &[
        Condition {
            operator: "StringEquals",
            key: ConditionKey::Named("kms:ViaService"),
            value: ConditionValue::ViaService("ec2"),
        },
        Condition {
            operator: "ForAnyValue:StringEquals",
            key: ConditionKey::Named("kms:EncryptionContextKeys"),
            value: ConditionValue::Text("aws:ebs:id"),
        },
        NOT_WITH_THE_OPT_OUT,
    ],
};

/// Keys only for EBS, only through EC2, and only for what EC2 itself does with them; none that is opted out.
pub(crate) static LET_EC2_USE_KEYS_FOR_COPIES: Grant = Grant {
    sid: "LetEc2UseKeysForCopies",
    resource: Resource::Keys,
    conditions: &[
        Condition {
            operator: "StringEquals",
            key: ConditionKey::Named("kms:ViaService"),
            value: ConditionValue::ViaService("ec2"),
        },
        Condition {
            operator: "ForAnyValue:StringEquals",
            key: ConditionKey::Named("kms:EncryptionContextKeys"),
            value: ConditionValue::Text("aws:ebs:id"),
        },
        NOT_WITH_THE_OPT_OUT,
        Condition {
            operator: "Bool",
            key: ConditionKey::Named("kms:GrantIsForAWSResource"),
            value: ConditionValue::Text("true"),
        },
    ],
};

/// Also of functions that are opted out: by their tags that is known, and said.
pub(crate) static TELL_TAGS_OF_FUNCTIONS: Grant =
    Grant { sid: "TellTagsOfFunctions", resource: Resource::Functions, conditions: IN_SCANNED_REGIONS };

/// A function whose owner set the tag to `false` is refused by IAM, as a volume is.
pub(crate) static READ_FUNCTIONS_NOT_OPTED_OUT: Grant =
    Grant { sid: "ReadFunctionsNotOptedOut", resource: Resource::Functions, conditions: NOT_OPTED_OUT };

/// The same for layers.
pub(crate) static READ_LAYERS_NOT_OPTED_OUT: Grant =
    Grant { sid: "ReadLayersNotOptedOut", resource: Resource::Layers, conditions: NOT_OPTED_OUT };

/// The same for repositories of container images.
pub(crate) static READ_REPOSITORIES_NOT_OPTED_OUT: Grant = Grant {
    sid: "ReadRepositoriesNotOptedOut",
    resource: Resource::Repositories,
    conditions: &[Condition {
        operator: "StringNotEquals",
        key: ConditionKey::RepositoryTag(tags::SCANNER),
        value: ConditionValue::Text(tags::FALSE),
    }],
};

/// Roles that were named, and no others: who may become them is for their own trust policies to say as well.
pub(crate) static BECOME_NAMED_DELEGATES: Grant =
    Grant { sid: "BecomeNamedDelegates", resource: Resource::DelegateRoles, conditions: &[] };

/// Secrets that were named, and no others.
pub(crate) static READ_NAMED_SECRETS: Grant =
    Grant { sid: "ReadNamedSecrets", resource: Resource::Secrets, conditions: &[] };

/// Their keys, only through Secrets Manager, which asks for them only to read a secret that the role may read.
pub(crate) static DECRYPT_NAMED_SECRETS: Grant = Grant {
    sid: "DecryptNamedSecrets",
    resource: Resource::SecretKeys,
    conditions: &[Condition {
        operator: "StringEquals",
        key: ConditionKey::Named("kms:ViaService"),
        value: ConditionValue::ViaServiceOfSecrets("secretsmanager"),
    }],
};

/// The groups that the scanner's instances are in: it can say how far they are, and neither scale nor change the group.
pub(crate) static FOLLOW_OWN_LIFECYCLE: Grant =
    Grant { sid: "FollowOwnLifecycle", resource: Resource::ScalingGroups, conditions: &[] };

/// Only writing, only there: what others or the scanner itself stored cannot be read or deleted.
pub(crate) static STORE_REPORTS: Grant =
    Grant { sid: "StoreReports", resource: Resource::Reports, conditions: &[] };

/// The same, and refused unless the request asks S3 to encrypt with the key.
pub(crate) static STORE_ENCRYPTED_REPORTS: Grant = Grant {
    sid: "StoreEncryptedReports",
    resource: Resource::EncryptedReports,
    conditions: &[
        Condition {
            operator: "StringEquals",
            key: ConditionKey::Named("s3:x-amz-server-side-encryption"),
            value: ConditionValue::Text("aws:kms"),
        },
        Condition {
            operator: "ArnEquals",
            key: ConditionKey::Named("s3:x-amz-server-side-encryption-aws-kms-key-id"),
            value: ConditionValue::ReportKey,
        },
    ],
};

/// That key, only through S3.
pub(crate) static ENCRYPT_REPORTS: Grant = Grant {
    sid: "EncryptReports",
    resource: Resource::ReportKey,
    conditions: &[Condition {
        operator: "StringEquals",
        key: ConditionKey::Named("kms:ViaService"),
        value: ConditionValue::ViaServiceOfReports("s3"),
    }],
};

const NOT_OPTED_OUT: &[Condition] = &[NOT_WITH_THE_OPT_OUT];

const NOT_WITH_THE_OPT_OUT: Condition = Condition {
    operator: "StringNotEquals",
    key: ConditionKey::ResourceTag(tags::SCANNER),
    value: ConditionValue::Text(tags::FALSE),
};
