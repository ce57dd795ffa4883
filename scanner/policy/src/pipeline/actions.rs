//! The actions of the pipeline's role, and the [`Call`]s of the verbs.
//!
//! To add one for a verb: its entry, its place in [`VERBS`] and in a statement of [`grants`](super::grants), its [`Call`] in
//! [`actions`](crate::actions), and a test that lets the verb send it.

use crate::action::{Action, RateClass, Trigger};

/// What the verbs send, sorted by name.
pub(crate) static VERBS: &[&Action] = &[
    &DESCRIBE_AUTO_SCALING_GROUPS,
    &DESCRIBE_INSTANCE_REFRESHES,
    &DELETE_SNAPSHOT,
    &DEREGISTER_IMAGE,
    &DESCRIBE_IMAGES,
    &DESCRIBE_INSTANCES,
    &DESCRIBE_LAUNCH_TEMPLATE_VERSIONS,
    &DESCRIBE_SNAPSHOTS,
    &DISABLE_IMAGE_DEREGISTRATION_PROTECTION,
    &GET_PARAMETERS,
    &PUT_PARAMETER,
];

/// What Packer sends beside these, and who tries an image on an instance; sorted by name.
#[cfg(test)]
pub(crate) static BUILD: &[&Action] = &[
    &AUTHORIZE_SECURITY_GROUP_INGRESS,
    &COPY_IMAGE,
    &CREATE_IMAGE,
    &CREATE_KEY_PAIR,
    &CREATE_SECURITY_GROUP,
    &CREATE_TAGS,
    &DELETE_KEY_PAIR,
    &DELETE_SECURITY_GROUP,
    &DESCRIBE_INSTANCE_STATUS,
    &DESCRIBE_INSTANCE_TYPE_OFFERINGS,
    &DESCRIBE_REGIONS,
    &DESCRIBE_SECURITY_GROUPS,
    &DESCRIBE_SUBNETS,
    &DESCRIBE_TAGS,
    &DESCRIBE_VOLUMES,
    &DESCRIBE_VPCS,
    &ENABLE_IMAGE_DEPRECATION,
    &ENABLE_IMAGE_DEREGISTRATION_PROTECTION,
    &GET_CONSOLE_OUTPUT,
    &MODIFY_IMAGE_ATTRIBUTE,
    &MODIFY_INSTANCE_ATTRIBUTE,
    &MODIFY_SNAPSHOT_ATTRIBUTE,
    &RUN_INSTANCES,
    &STOP_INSTANCES,
    &TERMINATE_INSTANCES,
    &GET_INSTANCE_PROFILE,
    &PASS_ROLE,
    &CREATE_GRANT,
    &DECRYPT,
    &DESCRIBE_KEY,
    &GENERATE_DATA_KEY,
    &RE_ENCRYPT_FROM,
    &RE_ENCRYPT_TO,
    &START_SESSION,
    &TERMINATE_SESSION,
];

pub(crate) static DESCRIBE_AUTO_SCALING_GROUPS: Action = Action {
    name: "autoscaling:DescribeAutoScalingGroups",
    reason: "Learn which launch templates groups use, so that no image of theirs is retired.",
    trigger: Trigger::Request(RateClass::Read),
    grants: &[],
};

pub(crate) static DESCRIBE_INSTANCE_REFRESHES: Action = Action {
    name: "autoscaling:DescribeInstanceRefreshes",
    reason: "Promote an image only after the instance refresh that brought it has succeeded.",
    trigger: Trigger::Request(RateClass::Read),
    grants: &[],
};

pub(crate) static DELETE_SNAPSHOT: Action = Action {
    name: "ec2:DeleteSnapshot",
    reason: "Delete the snapshots of an image that is deregistered.",
    trigger: Trigger::Request(RateClass::Mutating),
    grants: &[],
};

pub(crate) static DEREGISTER_IMAGE: Action = Action {
    name: "ec2:DeregisterImage",
    reason: "Retire an image that nothing uses any more.",
    trigger: Trigger::Request(RateClass::Mutating),
    grants: &[],
};

pub(crate) static DESCRIBE_IMAGES: Action = Action {
    name: "ec2:DescribeImages",
    reason: "Check an image before it is pointed to; find those that are old. Systems Manager asks for it too.",
    trigger: Trigger::Request(RateClass::Read),
    grants: &[],
};

pub(crate) static DESCRIBE_INSTANCES: Action = Action {
    name: "ec2:DescribeInstances",
    reason: "Keep images that instances were started from.",
    trigger: Trigger::Request(RateClass::Read),
    grants: &[],
};

pub(crate) static DESCRIBE_LAUNCH_TEMPLATE_VERSIONS: Action = Action {
    name: "ec2:DescribeLaunchTemplateVersions",
    reason: "Keep images that launch templates name; see which image a group launches.",
    trigger: Trigger::Request(RateClass::Read),
    grants: &[],
};

pub(crate) static DESCRIBE_SNAPSHOTS: Action = Action {
    name: "ec2:DescribeSnapshots",
    reason: "Find the snapshots of images that are gone.",
    trigger: Trigger::Request(RateClass::Read),
    grants: &[],
};

pub(crate) static DISABLE_IMAGE_DEREGISTRATION_PROTECTION: Action = Action {
    name: "ec2:DisableImageDeregistrationProtection",
    reason: "Take the protection from an image that is to be retired.",
    trigger: Trigger::Request(RateClass::Mutating),
    grants: &[],
};

pub(crate) static GET_PARAMETERS: Action = Action {
    name: "ssm:GetParameters",
    reason: "Read which images are candidate, current and previous.",
    trigger: Trigger::Request(RateClass::Unmetered),
    grants: &[],
};

pub(crate) static PUT_PARAMETER: Action = Action {
    name: "ssm:PutParameter",
    reason: "Point to another image.",
    trigger: Trigger::Request(RateClass::Unmetered),
    grants: &[],
};

pub(crate) static AUTHORIZE_SECURITY_GROUP_INGRESS: Action =
    of_packer("ec2:AuthorizeSecurityGroupIngress", "Let Packer in to the instance that it builds on.");

pub(crate) static COPY_IMAGE: Action =
    of_packer("ec2:CopyImage", "Encrypt an image, and bring it to other regions.");

pub(crate) static CREATE_IMAGE: Action = of_packer("ec2:CreateImage", "Make an image of the instance.");

pub(crate) static CREATE_KEY_PAIR: Action = of_packer("ec2:CreateKeyPair", "Make a key for this one build.");

pub(crate) static CREATE_SECURITY_GROUP: Action =
    of_packer("ec2:CreateSecurityGroup", "Make a security group for this one build.");

pub(crate) static CREATE_TAGS: Action =
    of_packer("ec2:CreateTags", "Tag what a build makes, by which all else is restricted.");

pub(crate) static DELETE_KEY_PAIR: Action = of_packer("ec2:DeleteKeyPair", "Delete the key of the build.");

pub(crate) static DELETE_SECURITY_GROUP: Action =
    of_packer("ec2:DeleteSecurityGroup", "Delete the security group of the build.");

pub(crate) static DESCRIBE_INSTANCE_STATUS: Action =
    of_packer("ec2:DescribeInstanceStatus", "Wait for the instance.");

pub(crate) static DESCRIBE_INSTANCE_TYPE_OFFERINGS: Action =
    of_packer("ec2:DescribeInstanceTypeOfferings", "Find a zone that has the instance type.");

pub(crate) static DESCRIBE_REGIONS: Action =
    of_packer("ec2:DescribeRegions", "Check the regions of the template.");

pub(crate) static DESCRIBE_SECURITY_GROUPS: Action =
    of_packer("ec2:DescribeSecurityGroups", "Wait for the security group.");

pub(crate) static DESCRIBE_SUBNETS: Action =
    of_packer("ec2:DescribeSubnets", "Find the subnet of the build.");

pub(crate) static DESCRIBE_TAGS: Action = of_packer("ec2:DescribeTags", "Wait for tags.");

pub(crate) static DESCRIBE_VOLUMES: Action =
    of_packer("ec2:DescribeVolumes", "Find the volumes of the instance.");

pub(crate) static DESCRIBE_VPCS: Action = of_packer("ec2:DescribeVpcs", "Find the network of the build.");

pub(crate) static ENABLE_IMAGE_DEPRECATION: Action =
    of_packer("ec2:EnableImageDeprecation", "Say when an image is no longer to be used.");

pub(crate) static ENABLE_IMAGE_DEREGISTRATION_PROTECTION: Action = of_packer(
    "ec2:EnableImageDeregistrationProtection",
    "Protect an image from being deregistered by mistake.",
);

pub(crate) static GET_CONSOLE_OUTPUT: Action =
    of_packer("ec2:GetConsoleOutput", "Read what the instance on which an image is tried found out.");

pub(crate) static MODIFY_IMAGE_ATTRIBUTE: Action =
    of_packer("ec2:ModifyImageAttribute", "Describe an image and share it with the accounts that are named.");

pub(crate) static MODIFY_INSTANCE_ATTRIBUTE: Action =
    of_packer("ec2:ModifyInstanceAttribute", "Switch enhanced networking on.");

pub(crate) static MODIFY_SNAPSHOT_ATTRIBUTE: Action =
    of_packer("ec2:ModifySnapshotAttribute", "Share the snapshots of an image with the same accounts.");

pub(crate) static RUN_INSTANCES: Action =
    of_packer("ec2:RunInstances", "Start the instance that the image is made of.");

pub(crate) static STOP_INSTANCES: Action =
    of_packer("ec2:StopInstances", "Stop it before the image is made.");

pub(crate) static TERMINATE_INSTANCES: Action = of_packer("ec2:TerminateInstances", "End it afterwards.");

pub(crate) static GET_INSTANCE_PROFILE: Action =
    of_packer("iam:GetInstanceProfile", "Check the profile of an instance that is started.");

pub(crate) static PASS_ROLE: Action = of_packer("iam:PassRole", "Give instances the roles that are named.");

pub(crate) static CREATE_GRANT: Action =
    of_packer("kms:CreateGrant", "Let EC2 encrypt images with the key that is given.");

pub(crate) static DECRYPT: Action = of_packer("kms:Decrypt", "Read what is encrypted with it, for a copy.");

pub(crate) static DESCRIBE_KEY: Action = of_packer("kms:DescribeKey", "Check that key.");

pub(crate) static GENERATE_DATA_KEY: Action =
    of_packer("kms:GenerateDataKeyWithoutPlaintext", "Encrypt a volume with it.");

pub(crate) static RE_ENCRYPT_FROM: Action = of_packer("kms:ReEncryptFrom", "Copy what is encrypted with it.");

pub(crate) static RE_ENCRYPT_TO: Action =
    of_packer("kms:ReEncryptTo", "Copy what is then encrypted with it.");

pub(crate) static START_SESSION: Action =
    of_packer("ssm:StartSession", "Reach the instance without an open port.");

pub(crate) static TERMINATE_SESSION: Action = of_packer("ssm:TerminateSession", "End that session.");

/// Sent by Packer and the scripts around it, and never by this program.
const fn of_packer(name: &'static str, reason: &'static str) -> Action {
    Action { name, reason, trigger: Trigger::Packer, grants: &[] }
}
