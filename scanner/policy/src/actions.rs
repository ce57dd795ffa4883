//! The table: every action of the scanner's role, and the [`Call`]s that the scanner may make.
//!
//! To add one: write its entry, list it in [`ALL`] (sorted by name), give it a [`Call`] if the scanner sends it, and let
//! a scan of the tests send it. A test removes each action in turn and demands that a recorded request is then denied,
//! so an action that nothing needs does not pass. [`SERVICE`] is apart from that: a role holds none of it unless the
//! resource that it is for is named. So is [`UNRESTRICTED`], which no role needs to hold.

use crate::action::{Action, Call, Feature, RateClass, Trigger};
use crate::grant;
use crate::pipeline;

/// Every action, sorted by name.
pub static ALL: &[&Action] = &[
    &GET_SNAPSHOT_BLOCK,
    &LIST_CHANGED_BLOCKS,
    &LIST_SNAPSHOT_BLOCKS,
    &COPY_SNAPSHOT,
    &CREATE_SNAPSHOT,
    &CREATE_TAGS,
    &DELETE_SNAPSHOT,
    &DESCRIBE_IMAGES,
    &DESCRIBE_INSTANCES,
    &DESCRIBE_SNAPSHOTS,
    &DESCRIBE_VOLUMES,
    &BATCH_GET_IMAGE,
    &GET_DOWNLOAD_URL_FOR_LAYER,
    &CREATE_GRANT,
    &DECRYPT,
    &GET_FUNCTION,
    &GET_LAYER_VERSION,
    &LIST_ALIASES,
    &LIST_FUNCTIONS,
    &LIST_TAGS,
];

/// Every action of the service around the scans, sorted by name. Each is granted for the resources that are named in
/// [`ServiceAccess`](crate::ServiceAccess), and not at all where there is none.
pub static SERVICE: &[&Action] = &[
    &COMPLETE_LIFECYCLE_ACTION,
    &RECORD_LIFECYCLE_ACTION_HEARTBEAT,
    &DECRYPT_SECRETS,
    &GENERATE_DATA_KEY,
    &PUT_OBJECT,
    &GET_SECRET_VALUE,
    &ASSUME_ROLE,
];

/// What AWS answers to everybody whose credentials it knows, so that no policy grants it.
pub static UNRESTRICTED: &[&Action] = &[&GET_CALLER_IDENTITY];

/// What the verbs `agentless-scanner image …` send with the role of the pipeline that runs them, sorted by name. No scanner's
/// role has these.
pub static IMAGE_VERBS: &[&Action] = pipeline::VERBS;

/// Say how far the scanner's own instance is in its life.
pub const AUTOSCALING_COMPLETE_LIFECYCLE_ACTION: Call = Call::new(&COMPLETE_LIFECYCLE_ACTION);
/// Ask for more time for that.
pub const AUTOSCALING_RECORD_LIFECYCLE_ACTION_HEARTBEAT: Call = Call::new(&RECORD_LIFECYCLE_ACTION_HEARTBEAT);
/// Look Auto Scaling groups up.
pub const AUTOSCALING_DESCRIBE_AUTO_SCALING_GROUPS: Call =
    Call::new(&pipeline::actions::DESCRIBE_AUTO_SCALING_GROUPS);
/// Look the instance refreshes of a group up.
pub const AUTOSCALING_DESCRIBE_INSTANCE_REFRESHES: Call =
    Call::new(&pipeline::actions::DESCRIBE_INSTANCE_REFRESHES);
/// List the blocks in which two snapshots of a volume differ.
pub const EBS_LIST_CHANGED_BLOCKS: Call = Call::new(&LIST_CHANGED_BLOCKS);
/// Read one block of a snapshot.
pub const EBS_GET_SNAPSHOT_BLOCK: Call = Call::new(&GET_SNAPSHOT_BLOCK);
/// List the blocks of a snapshot.
pub const EBS_LIST_SNAPSHOT_BLOCKS: Call = Call::new(&LIST_SNAPSHOT_BLOCKS);
/// Copy a snapshot.
pub const EC2_COPY_SNAPSHOT: Call = Call::new(&COPY_SNAPSHOT);
/// Make a snapshot of a volume.
pub const EC2_CREATE_SNAPSHOT: Call = Call::new(&CREATE_SNAPSHOT);
/// Delete a snapshot.
pub const EC2_DELETE_SNAPSHOT: Call = Call::new(&DELETE_SNAPSHOT);
/// Deregister an image.
pub const EC2_DEREGISTER_IMAGE: Call = Call::new(&pipeline::actions::DEREGISTER_IMAGE);
/// Look images up.
pub const EC2_DESCRIBE_IMAGES: Call = Call::new(&DESCRIBE_IMAGES);
/// Look instances up.
pub const EC2_DESCRIBE_INSTANCES: Call = Call::new(&DESCRIBE_INSTANCES);
/// Look versions of launch templates up.
pub const EC2_DESCRIBE_LAUNCH_TEMPLATE_VERSIONS: Call =
    Call::new(&pipeline::actions::DESCRIBE_LAUNCH_TEMPLATE_VERSIONS);
/// Look snapshots up.
pub const EC2_DESCRIBE_SNAPSHOTS: Call = Call::new(&DESCRIBE_SNAPSHOTS);
/// Look volumes up.
pub const EC2_DESCRIBE_VOLUMES: Call = Call::new(&DESCRIBE_VOLUMES);
/// Take the protection from deregistration from an image.
pub const EC2_DISABLE_IMAGE_DEREGISTRATION_PROTECTION: Call =
    Call::new(&pipeline::actions::DISABLE_IMAGE_DEREGISTRATION_PROTECTION);
/// Read the manifest of a container image.
pub const ECR_BATCH_GET_IMAGE: Call = Call::new(&BATCH_GET_IMAGE);
/// Get the address of a layer of a container image.
pub const ECR_GET_DOWNLOAD_URL_FOR_LAYER: Call = Call::new(&GET_DOWNLOAD_URL_FOR_LAYER);
/// Look a function up, and get the address of its code.
pub const LAMBDA_GET_FUNCTION: Call = Call::new(&GET_FUNCTION);
/// Get the address of a layer of functions.
pub const LAMBDA_GET_LAYER_VERSION: Call = Call::new(&GET_LAYER_VERSION);
/// List the aliases of a function.
pub const LAMBDA_LIST_ALIASES: Call = Call::new(&LIST_ALIASES);
/// List functions.
pub const LAMBDA_LIST_FUNCTIONS: Call = Call::new(&LIST_FUNCTIONS);
/// Look the tags of a function up.
pub const LAMBDA_LIST_TAGS: Call = Call::new(&LIST_TAGS);
/// Store a package list.
pub const S3_PUT_OBJECT: Call = Call::new(&PUT_OBJECT);
/// Read a secret.
pub const SECRETSMANAGER_GET_SECRET_VALUE: Call = Call::new(&GET_SECRET_VALUE);
/// Read parameters.
pub const SSM_GET_PARAMETERS: Call = Call::new(&pipeline::actions::GET_PARAMETERS);
/// Set a parameter.
pub const SSM_PUT_PARAMETER: Call = Call::new(&pipeline::actions::PUT_PARAMETER);
/// Become the delegate role of an account.
pub const STS_ASSUME_ROLE: Call = Call::new(&ASSUME_ROLE);
/// Learn the scanner's own account.
pub const STS_GET_CALLER_IDENTITY: Call = Call::new(&GET_CALLER_IDENTITY);

const HOSTS: &[Feature] = &[Feature::Hosts];
const IMAGES: &[Feature] = &[Feature::Images];
const FUNCTIONS: &[Feature] = &[Feature::Functions];
const INCREMENTAL: &[Feature] = &[Feature::Incremental];
/// No feature: what the service needs follows from the resources that are named.
const NAMED: &[Feature] = &[];
const BOTH: &[Feature] = &[Feature::Hosts, Feature::Images];

static GET_SNAPSHOT_BLOCK: Action = Action {
    name: "ebs:GetSnapshotBlock",
    reason: "Read the blocks that hold package databases, from snapshots that the scanner made.",
    trigger: Trigger::Request(RateClass::BlockGet),
    grants: &[(&grant::READ_AND_DELETE_OWN_SNAPSHOTS, BOTH)],
};

static LIST_CHANGED_BLOCKS: Action = Action {
    name: "ebs:ListChangedBlocks",
    reason: "Learn which blocks have changed since the scan before, so that only these are read again.",
    trigger: Trigger::Request(RateClass::BlockList),
    grants: &[(&grant::READ_AND_DELETE_OWN_SNAPSHOTS, INCREMENTAL)],
};

static LIST_SNAPSHOT_BLOCKS: Action = Action {
    name: "ebs:ListSnapshotBlocks",
    reason: "Learn which blocks of such a snapshot hold data, and get the tokens to read them.",
    trigger: Trigger::Request(RateClass::BlockList),
    grants: &[(&grant::READ_AND_DELETE_OWN_SNAPSHOTS, BOTH)],
};

static COPY_SNAPSHOT: Action = Action {
    name: "ec2:CopySnapshot",
    reason: "Copy the snapshots of an image: the copy carries the scanner's tag, without which it reads none.",
    trigger: Trigger::Request(RateClass::Mutating),
    grants: &[(&grant::COPY_SNAPSHOTS_NOT_OPTED_OUT, IMAGES), (&grant::MAKE_TAGGED_COPIES, IMAGES)],
};

static CREATE_SNAPSHOT: Action = Action {
    name: "ec2:CreateSnapshot",
    reason: "Freeze a volume, so that it can be read without attaching it or touching the instance.",
    trigger: Trigger::Request(RateClass::Mutating),
    grants: &[(&grant::SNAPSHOT_VOLUMES_NOT_OPTED_OUT, HOSTS), (&grant::MAKE_TAGGED_SNAPSHOTS, HOSTS)],
};

static CREATE_TAGS: Action = Action {
    name: "ec2:CreateTags",
    reason: "Tag the snapshot in the request that creates it.",
    trigger: Trigger::ImpliedBy(&[&CREATE_SNAPSHOT, &COPY_SNAPSHOT]),
    grants: &[
        (&grant::TAG_SNAPSHOTS_WHILE_MAKING_THEM, HOSTS),
        (&grant::TAG_COPIES_WHILE_MAKING_THEM, IMAGES),
    ],
};

static DELETE_SNAPSHOT: Action = Action {
    name: "ec2:DeleteSnapshot",
    reason: "Delete the snapshot when its scan has ended.",
    trigger: Trigger::Request(RateClass::Mutating),
    grants: &[(&grant::READ_AND_DELETE_OWN_SNAPSHOTS, BOTH)],
};

static DESCRIBE_IMAGES: Action = Action {
    name: "ec2:DescribeImages",
    reason: "Find the images to scan, their snapshots, and their owners' opt-outs.",
    trigger: Trigger::Request(RateClass::Read),
    grants: &[(&grant::FIND_WHAT_TO_SCAN, IMAGES)],
};

static DESCRIBE_INSTANCES: Action = Action {
    name: "ec2:DescribeInstances",
    reason: "Find the instances to scan, their volumes, and the images that they were started from.",
    trigger: Trigger::Request(RateClass::Read),
    grants: &[(&grant::FIND_WHAT_TO_SCAN, BOTH)],
};

static DESCRIBE_SNAPSHOTS: Action = Action {
    name: "ec2:DescribeSnapshots",
    reason: "Wait until a snapshot is complete, and find those that were left behind.",
    trigger: Trigger::Request(RateClass::Read),
    grants: &[(&grant::FIND_WHAT_TO_SCAN, BOTH)],
};

static DESCRIBE_VOLUMES: Action = Action {
    name: "ec2:DescribeVolumes",
    reason: "Learn a volume's size, encryption and tags, its owner's opt-out among them.",
    trigger: Trigger::Request(RateClass::Read),
    grants: &[(&grant::FIND_WHAT_TO_SCAN, HOSTS)],
};

static BATCH_GET_IMAGE: Action = Action {
    name: "ecr:BatchGetImage",
    reason: "Learn the layers of the container image that a function comes as.",
    trigger: Trigger::Request(RateClass::Registry),
    grants: &[(&grant::READ_REPOSITORIES_NOT_OPTED_OUT, FUNCTIONS)],
};

static GET_DOWNLOAD_URL_FOR_LAYER: Action = Action {
    name: "ecr:GetDownloadUrlForLayer",
    reason: "Get the address from which such a layer is read.",
    trigger: Trigger::Request(RateClass::Registry),
    grants: &[(&grant::READ_REPOSITORIES_NOT_OPTED_OUT, FUNCTIONS)],
};

static CREATE_GRANT: Action = Action {
    name: "kms:CreateGrant",
    reason: "Copy encrypted snapshots; EC2 uses the key in the caller's name while it copies.",
    trigger: Trigger::ImpliedBy(&[&COPY_SNAPSHOT]),
    grants: &[(&grant::LET_EC2_USE_KEYS_FOR_COPIES, IMAGES)],
};

static DECRYPT: Action = Action {
    name: "kms:Decrypt",
    reason: "Read blocks of encrypted snapshots; the service decrypts them with the caller's permission.",
    trigger: Trigger::ImpliedBy(&[&GET_SNAPSHOT_BLOCK]),
    grants: &[(&grant::DECRYPT_BLOCKS_OF_SNAPSHOTS, BOTH)],
};

static GET_FUNCTION: Action = Action {
    name: "lambda:GetFunction",
    reason: "Learn a function's runtime and layers, and the address from which its code is read.",
    trigger: Trigger::Request(RateClass::FunctionGet),
    grants: &[(&grant::READ_FUNCTIONS_NOT_OPTED_OUT, FUNCTIONS)],
};

static GET_LAYER_VERSION: Action = Action {
    name: "lambda:GetLayerVersion",
    reason: "Get the address from which a layer of a function is read.",
    trigger: Trigger::Request(RateClass::Lambda),
    grants: &[(&grant::READ_LAYERS_NOT_OPTED_OUT, FUNCTIONS)],
};

static LIST_ALIASES: Action = Action {
    name: "lambda:ListAliases",
    reason: "Learn which published versions of a function are in use.",
    trigger: Trigger::Request(RateClass::Lambda),
    grants: &[(&grant::READ_FUNCTIONS_NOT_OPTED_OUT, FUNCTIONS)],
};

static LIST_FUNCTIONS: Action = Action {
    name: "lambda:ListFunctions",
    reason: "Find the functions to scan, and their versions.",
    trigger: Trigger::Request(RateClass::Lambda),
    grants: &[(&grant::FIND_WHAT_TO_SCAN, FUNCTIONS)],
};

static LIST_TAGS: Action = Action {
    name: "lambda:ListTags",
    reason: "Learn the tags of a function, its owner's opt-out among them.",
    trigger: Trigger::Request(RateClass::Lambda),
    grants: &[(&grant::TELL_TAGS_OF_FUNCTIONS, FUNCTIONS)],
};

static COMPLETE_LIFECYCLE_ACTION: Action = Action {
    name: "autoscaling:CompleteLifecycleAction",
    reason: "Say that the scanner passed its self-test, or that it has finished and its instance may go.",
    trigger: Trigger::Request(RateClass::Unmetered),
    grants: &[(&grant::FOLLOW_OWN_LIFECYCLE, NAMED)],
};

static RECORD_LIFECYCLE_ACTION_HEARTBEAT: Action = Action {
    name: "autoscaling:RecordLifecycleActionHeartbeat",
    reason: "Ask for more time, when a scan is under way while its instance is replaced.",
    trigger: Trigger::Request(RateClass::Unmetered),
    grants: &[(&grant::FOLLOW_OWN_LIFECYCLE, NAMED)],
};

static DECRYPT_SECRETS: Action = Action {
    name: "kms:Decrypt",
    reason: "Read secrets that are encrypted with a key of the customer's.",
    trigger: Trigger::ImpliedBy(&[&GET_SECRET_VALUE]),
    grants: &[(&grant::DECRYPT_NAMED_SECRETS, NAMED)],
};

static GENERATE_DATA_KEY: Action = Action {
    name: "kms:GenerateDataKey",
    reason: "Store package lists encrypted; S3 asks for the data key with the caller's permission.",
    trigger: Trigger::ImpliedBy(&[&PUT_OBJECT]),
    grants: &[(&grant::ENCRYPT_REPORTS, NAMED)],
};

static PUT_OBJECT: Action = Action {
    name: "s3:PutObject",
    reason: "Store package lists in the bucket that was given.",
    trigger: Trigger::Request(RateClass::Unmetered),
    grants: &[(&grant::STORE_REPORTS, NAMED), (&grant::STORE_ENCRYPTED_REPORTS, NAMED)],
};

static GET_SECRET_VALUE: Action = Action {
    name: "secretsmanager:GetSecretValue",
    reason: "Read the key with which package lists are sent.",
    trigger: Trigger::Request(RateClass::Unmetered),
    grants: &[(&grant::READ_NAMED_SECRETS, NAMED)],
};

static ASSUME_ROLE: Action = Action {
    name: "sts:AssumeRole",
    reason: "Become the delegate role of another account, which says what may be scanned there.",
    trigger: Trigger::Request(RateClass::Unmetered),
    grants: &[(&grant::BECOME_NAMED_DELEGATES, NAMED)],
};

static GET_CALLER_IDENTITY: Action = Action {
    name: "sts:GetCallerIdentity",
    reason: "Learn the scanner's own account, of which the credentials say nothing.",
    trigger: Trigger::Request(RateClass::Unmetered),
    grants: &[],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::GRANTS;

    #[test]
    fn the_table_is_sorted_and_names_nothing_twice() {
        assert!(ALL.is_sorted_by(|a, b| a.name < b.name));
        assert!(SERVICE.is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn every_action_is_granted_and_explained() {
        for action in ALL.iter().chain(SERVICE) {
            assert!(!action.grants.is_empty(), "{action}");
            assert!(action.reason.ends_with('.'), "{action}");
            assert!(action.name.split_once(':').is_some_and(|(service, name)| {
                service.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
            }));
        }
    }

    #[test]
    fn every_grant_is_used_and_named_once() {
        let all = || ALL.iter().chain(SERVICE);
        for grant in GRANTS {
            assert!(all().any(|action| action.is_granted(grant, Feature::ALL)), "{}", grant.sid);
            assert_eq!(GRANTS.iter().filter(|other| other.sid == grant.sid).count(), 1);
            assert!(grant.sid.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
        for (used, _) in all().flat_map(|action| action.grants) {
            assert!(GRANTS.iter().any(|grant| grant.sid == used.sid), "{}", used.sid);
        }
    }

    #[test]
    fn actions_that_change_something_are_restricted() {
        for action in ALL {
            let reads = action.name.starts_with("ec2:Describe") || action.name == "lambda:ListFunctions";
            for (grant, _) in action.grants {
                assert_eq!(grant.resource == grant::Resource::Any, reads, "{action}");
                assert!(!grant.conditions.is_empty(), "{action}");
            }
        }
    }

    #[test]
    fn scans_need_features_and_the_service_named_resources() {
        for action in ALL {
            assert!(
                action
                    .grants
                    .iter()
                    .all(|(grant, features)| !features.is_empty() && !grant.resource.is_named())
            );
        }
        for action in SERVICE {
            assert!(
                action
                    .grants
                    .iter()
                    .all(|(grant, features)| features.is_empty() && grant.resource.is_named())
            );
        }
        // "No permissions are required to perform this operation" (AWS STS API reference).
        assert!(UNRESTRICTED.iter().all(|action| action.grants.is_empty()));
    }
}
