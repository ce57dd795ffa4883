//! What each action of the pipeline's role may be done to.
//!
//! What a build makes carries the tag [`IMAGE`](tags::IMAGE) from the request that makes it, and only what carries it can be
//! changed or deleted. So the role reaches no image, snapshot, instance or security group of anybody else.

use super::actions::{
    AUTHORIZE_SECURITY_GROUP_INGRESS, COPY_IMAGE, CREATE_GRANT, CREATE_IMAGE, CREATE_KEY_PAIR,
    CREATE_SECURITY_GROUP, CREATE_TAGS, DECRYPT, DELETE_KEY_PAIR, DELETE_SECURITY_GROUP, DELETE_SNAPSHOT,
    DEREGISTER_IMAGE, DESCRIBE_AUTO_SCALING_GROUPS, DESCRIBE_IMAGES, DESCRIBE_INSTANCE_REFRESHES,
    DESCRIBE_INSTANCE_STATUS, DESCRIBE_INSTANCE_TYPE_OFFERINGS, DESCRIBE_INSTANCES, DESCRIBE_KEY,
    DESCRIBE_LAUNCH_TEMPLATE_VERSIONS, DESCRIBE_REGIONS, DESCRIBE_SECURITY_GROUPS, DESCRIBE_SNAPSHOTS,
    DESCRIBE_SUBNETS, DESCRIBE_TAGS, DESCRIBE_VOLUMES, DESCRIBE_VPCS,
    DISABLE_IMAGE_DEREGISTRATION_PROTECTION, ENABLE_IMAGE_DEPRECATION,
    ENABLE_IMAGE_DEREGISTRATION_PROTECTION, GENERATE_DATA_KEY, GET_CONSOLE_OUTPUT, GET_INSTANCE_PROFILE,
    GET_PARAMETERS, MODIFY_IMAGE_ATTRIBUTE, MODIFY_INSTANCE_ATTRIBUTE, MODIFY_SNAPSHOT_ATTRIBUTE, PASS_ROLE,
    PUT_PARAMETER, RE_ENCRYPT_FROM, RE_ENCRYPT_TO, RUN_INSTANCES, START_SESSION, STOP_INSTANCES,
    TERMINATE_INSTANCES, TERMINATE_SESSION,
};
use super::{PipelineGrant, Resource};
use crate::grant::{Condition, ConditionKey, ConditionValue};
use crate::tags;

/// Every statement, in the order in which the policy lists them.
pub(crate) static GRANTS: &[&PipelineGrant] = &[
    &FIND_IMAGES_AND_THEIR_USES,
    &POINT_TO_IMAGES,
    &RETIRE_IMAGES,
    &DELETE_THEIR_SNAPSHOTS,
    &LOOK_AROUND_FOR_BUILDS,
    &LAUNCH_BUILDS_FROM,
    &LAUNCH_TAGGED_INSTANCES,
    &LAUNCH_TAGGED_VOLUMES,
    &MAKE_TAGGED_ACCESS,
    &MAKE_ACCESS_IN_NETWORKS,
    &CHANGE_TAGGED_BUILDS,
    &MAKE_TAGGED_IMAGES,
    &COPY_IMAGES,
    &TAG_WHILE_MAKING,
    &TAG_IMAGES_AGAIN,
    &FINISH_TAGGED_IMAGES,
    &USE_NAMED_KEYS,
    &LET_EC2_USE_NAMED_KEYS,
    &PASS_NAMED_ROLES,
    &CHECK_PROFILES,
    &REACH_TAGGED_INSTANCES,
    &REACH_THEM_BY_ONE_DOCUMENT,
    &END_OWN_SESSIONS,
];

static FIND_IMAGES_AND_THEIR_USES: PipelineGrant = PipelineGrant {
    sid: "FindImagesAndTheirUses",
    actions: &[
        &DESCRIBE_AUTO_SCALING_GROUPS,
        &DESCRIBE_INSTANCE_REFRESHES,
        &DESCRIBE_IMAGES,
        &DESCRIBE_INSTANCES,
        &DESCRIBE_LAUNCH_TEMPLATE_VERSIONS,
        &DESCRIBE_SNAPSHOTS,
    ],
    resources: &[Resource::Any],
    conditions: IN_THE_REGIONS,
};

static POINT_TO_IMAGES: PipelineGrant = PipelineGrant {
    sid: "PointToImages",
    actions: &[&GET_PARAMETERS, &PUT_PARAMETER],
    resources: &[Resource::Parameters],
    conditions: &[],
};

static RETIRE_IMAGES: PipelineGrant = PipelineGrant {
    sid: "RetireImages",
    actions: &[&DEREGISTER_IMAGE, &DISABLE_IMAGE_DEREGISTRATION_PROTECTION],
    resources: &[Resource::OfRegion("image")],
    conditions: OF_THE_PIPELINE,
};

static DELETE_THEIR_SNAPSHOTS: PipelineGrant = PipelineGrant {
    sid: "DeleteTheirSnapshots",
    actions: &[&DELETE_SNAPSHOT],
    resources: &[Resource::OfRegion("snapshot")],
    conditions: OF_THE_PIPELINE,
};

static LOOK_AROUND_FOR_BUILDS: PipelineGrant = PipelineGrant {
    sid: "LookAroundForBuilds",
    actions: &[
        &DESCRIBE_INSTANCE_STATUS,
        &DESCRIBE_INSTANCE_TYPE_OFFERINGS,
        &DESCRIBE_REGIONS,
        &DESCRIBE_SECURITY_GROUPS,
        &DESCRIBE_SUBNETS,
        &DESCRIBE_TAGS,
        &DESCRIBE_VOLUMES,
        &DESCRIBE_VPCS,
    ],
    resources: &[Resource::Any],
    conditions: IN_THE_REGIONS,
};

/// What an instance is started from and with. It restricts nothing: the instance and its volumes do, in the next two.
static LAUNCH_BUILDS_FROM: PipelineGrant = PipelineGrant {
    sid: "LaunchBuildsFrom",
    actions: &[&RUN_INSTANCES],
    resources: &[
        Resource::OfRegion("image"),
        Resource::OfAccount("key-pair"),
        Resource::OfAccount("launch-template"),
        Resource::OfAccount("network-interface"),
        Resource::OfAccount("security-group"),
        Resource::OfAccount("subnet"),
    ],
    conditions: &[],
};

static LAUNCH_TAGGED_INSTANCES: PipelineGrant = PipelineGrant {
    sid: "LaunchTaggedInstances",
    actions: &[&RUN_INSTANCES],
    resources: &[Resource::OfAccount("instance")],
    conditions: &[
        TAGGED,
        Condition {
            operator: "StringEquals",
            key: ConditionKey::Named("ec2:MetadataHttpTokens"),
            value: ConditionValue::Text("required"),
        },
    ],
};

static LAUNCH_TAGGED_VOLUMES: PipelineGrant = PipelineGrant {
    sid: "LaunchTaggedVolumes",
    actions: &[&RUN_INSTANCES],
    resources: &[Resource::OfAccount("volume")],
    conditions: &[TAGGED],
};

static MAKE_TAGGED_ACCESS: PipelineGrant = PipelineGrant {
    sid: "MakeTaggedAccess",
    actions: &[&CREATE_KEY_PAIR, &CREATE_SECURITY_GROUP],
    resources: &[Resource::OfAccount("key-pair"), Resource::OfAccount("security-group")],
    conditions: &[TAGGED],
};

static MAKE_ACCESS_IN_NETWORKS: PipelineGrant = PipelineGrant {
    sid: "MakeAccessInNetworks",
    actions: &[&CREATE_SECURITY_GROUP],
    resources: &[Resource::OfAccount("vpc")],
    conditions: &[],
};

static CHANGE_TAGGED_BUILDS: PipelineGrant = PipelineGrant {
    sid: "ChangeTaggedBuilds",
    actions: &[
        &AUTHORIZE_SECURITY_GROUP_INGRESS,
        &CREATE_IMAGE,
        &DELETE_KEY_PAIR,
        &DELETE_SECURITY_GROUP,
        &GET_CONSOLE_OUTPUT,
        &MODIFY_INSTANCE_ATTRIBUTE,
        &STOP_INSTANCES,
        &TERMINATE_INSTANCES,
    ],
    resources: &[
        Resource::OfAccount("instance"),
        Resource::OfAccount("key-pair"),
        Resource::OfAccount("security-group"),
    ],
    conditions: OF_THE_PIPELINE,
};

static MAKE_TAGGED_IMAGES: PipelineGrant = PipelineGrant {
    sid: "MakeTaggedImages",
    actions: &[&CREATE_IMAGE],
    resources: &[Resource::OfRegion("image"), Resource::OfRegion("snapshot")],
    conditions: &[TAGGED],
};

/// A copy takes the tags over of what it is made of (`CopyImageTags`), which is no tag of the request.
static COPY_IMAGES: PipelineGrant = PipelineGrant {
    sid: "CopyImages",
    actions: &[&COPY_IMAGE],
    resources: &[Resource::OfRegion("image"), Resource::OfRegion("snapshot")],
    conditions: &[],
};

/// Tags only in the act of creation: otherwise the role could claim somebody else's image by tagging it.
static TAG_WHILE_MAKING: PipelineGrant = PipelineGrant {
    sid: "TagWhileMaking",
    actions: &[&CREATE_TAGS],
    resources: &[
        Resource::OfRegion("image"),
        Resource::OfAccount("instance"),
        Resource::OfAccount("key-pair"),
        Resource::OfAccount("network-interface"),
        Resource::OfAccount("security-group"),
        Resource::OfRegion("snapshot"),
        Resource::OfAccount("volume"),
    ],
    conditions: &[Condition {
        operator: "StringEquals",
        key: ConditionKey::Named("ec2:CreateAction"),
        value: ConditionValue::AnyOf(&[
            "CopyImage",
            "CreateImage",
            "CreateKeyPair",
            "CreateSecurityGroup",
            "RunInstances",
        ]),
    }],
};

/// Packer tags images and their snapshots when they are made, and once more afterwards.
static TAG_IMAGES_AGAIN: PipelineGrant = PipelineGrant {
    sid: "TagImagesAgain",
    actions: &[&CREATE_TAGS],
    resources: &[Resource::OfRegion("image"), Resource::OfRegion("snapshot")],
    conditions: OF_THE_PIPELINE,
};

static FINISH_TAGGED_IMAGES: PipelineGrant = PipelineGrant {
    sid: "FinishTaggedImages",
    actions: &[
        &ENABLE_IMAGE_DEPRECATION,
        &ENABLE_IMAGE_DEREGISTRATION_PROTECTION,
        &MODIFY_IMAGE_ATTRIBUTE,
        &MODIFY_SNAPSHOT_ATTRIBUTE,
    ],
    resources: &[Resource::OfRegion("image"), Resource::OfRegion("snapshot")],
    conditions: OF_THE_PIPELINE,
};

static USE_NAMED_KEYS: PipelineGrant = PipelineGrant {
    sid: "UseNamedKeys",
    actions: &[&DECRYPT, &DESCRIBE_KEY, &GENERATE_DATA_KEY, &RE_ENCRYPT_FROM, &RE_ENCRYPT_TO],
    resources: &[Resource::Keys],
    conditions: &[THROUGH_EC2],
};

static LET_EC2_USE_NAMED_KEYS: PipelineGrant = PipelineGrant {
    sid: "LetEc2UseNamedKeys",
    actions: &[&CREATE_GRANT],
    resources: &[Resource::Keys],
    conditions: &[
        THROUGH_EC2,
        Condition {
            operator: "Bool",
            key: ConditionKey::Named("kms:GrantIsForAWSResource"),
            value: ConditionValue::Text("true"),
        },
    ],
};

static PASS_NAMED_ROLES: PipelineGrant = PipelineGrant {
    sid: "PassNamedRoles",
    actions: &[&PASS_ROLE],
    resources: &[Resource::InstanceRoles],
    conditions: &[Condition {
        operator: "StringEquals",
        key: ConditionKey::Named("iam:PassedToService"),
        value: ConditionValue::Ec2,
    }],
};

static CHECK_PROFILES: PipelineGrant = PipelineGrant {
    sid: "CheckProfiles",
    actions: &[&GET_INSTANCE_PROFILE],
    resources: &[Resource::InstanceProfiles],
    conditions: &[],
};

static REACH_TAGGED_INSTANCES: PipelineGrant = PipelineGrant {
    sid: "ReachTaggedInstances",
    actions: &[&START_SESSION],
    resources: &[Resource::BuildInstances],
    conditions: OF_THE_PIPELINE,
};

static REACH_THEM_BY_ONE_DOCUMENT: PipelineGrant = PipelineGrant {
    sid: "ReachThemByOneDocument",
    actions: &[&START_SESSION],
    resources: &[Resource::PortForwarding],
    conditions: &[],
};

static END_OWN_SESSIONS: PipelineGrant = PipelineGrant {
    sid: "EndOwnSessions",
    actions: &[&TERMINATE_SESSION],
    resources: &[Resource::OwnSessions],
    conditions: &[],
};

const IN_THE_REGIONS: &[Condition] = &[Condition {
    operator: "StringEquals",
    key: ConditionKey::Named("aws:RequestedRegion"),
    value: ConditionValue::Regions,
}];

/// The tag is there already.
const OF_THE_PIPELINE: &[Condition] = &[Condition {
    operator: "StringEquals",
    key: ConditionKey::ResourceTag(tags::IMAGE),
    value: ConditionValue::Text(tags::TRUE),
}];

/// The request sets the tag.
const TAGGED: Condition = Condition {
    operator: "StringEquals",
    key: ConditionKey::RequestTag(tags::IMAGE),
    value: ConditionValue::Text(tags::TRUE),
};

const THROUGH_EC2: Condition = Condition {
    operator: "StringEquals",
    key: ConditionKey::Named("kms:ViaService"),
    value: ConditionValue::ViaService("ec2"),
};
