//! The rendered policy, judged by an IAM evaluator that knows nothing of this crate.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the failure report")]

use iam_rs::{
    Arn, Context, ContextValue, Decision, IAMPolicy, IAMRequest, Principal, PrincipalId, evaluate_policy,
};
use scanner_policy::{
    DelegateScope, Feature, PolicyDocument, ReportStore, Scope, ServiceAccess, actions, tags,
};

const ROLE: &str = "arn:aws:iam::111122223333:role/scanner";
const VOLUME: &str = "arn:aws:ec2:eu-central-1:111122223333:volume/vol-0a";
const SNAPSHOT: &str = "arn:aws:ec2:eu-central-1::snapshot/snap-0a";
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd";
/// The id under which AWS checks a snapshot that is not there yet, as `${*}` in a policy means it.
const SNAPSHOT_TO_BE: &str = "arn:aws:ec2:eu-central-1::snapshot/STAR";
const FUNCTION: &str = "arn:aws:lambda:eu-central-1:111122223333:function:orders:7";
const LAYER: &str = "arn:aws:lambda:eu-central-1:444455556666:layer:tools:3";
const REPOSITORY: &str = "arn:aws:ecr:eu-central-1:111122223333:repository/team/orders";
const INSTANCES: &str = "arn:aws:ec2:eu-central-1:111122223333:instance/*";
const EVERYTHING: &[Feature] = &[Feature::Hosts, Feature::Images, Feature::Functions, Feature::Incremental];

/// One authorization that AWS checks: an action on a resource, with the context that the conditions look at.
#[derive(Clone)]
struct Check {
    action: &'static str,
    resource: &'static str,
    context: Vec<(String, ContextValue)>,
}

impl Check {
    fn new(action: &'static str, resource: &'static str) -> Self {
        Self { action, resource, context: Vec::new() }
    }

    fn with(mut self, key: &str, value: &str) -> Self {
        self.context.push((key.to_owned(), ContextValue::String(value.to_owned())));
        self
    }

    fn with_list(mut self, key: &str, values: &[&str]) -> Self {
        let values = values.iter().map(ToString::to_string).collect();
        self.context.push((key.to_owned(), ContextValue::StringList(values)));
        self
    }

    fn with_truth(mut self, key: &str, value: bool) -> Self {
        self.context.push((key.to_owned(), ContextValue::Boolean(value)));
        self
    }

    fn resource_tag(self, value: &str) -> Self {
        self.with(&format!("aws:ResourceTag/{}", tags::SCANNER), value)
    }

    fn request_tags(self, value: &str, keys: &[&str]) -> Self {
        self.with(&format!("aws:RequestTag/{}", tags::SCANNER), value).with_list("aws:TagKeys", keys)
    }

    fn is_allowed_by(&self, policy: &PolicyDocument) -> bool {
        // The evaluator does not know the special characters of policies.
        let policy: IAMPolicy = serde_json::from_str(&policy.to_json().replace("${*}", "STAR")).unwrap();
        let request = IAMRequest::new_with_context(
            Principal::Aws(PrincipalId::String(ROLE.to_owned())),
            self.action,
            Arn::parse(self.resource).unwrap(),
            Context::with_data(self.context.iter().cloned().collect()),
        );
        evaluate_policy(&policy, &request).unwrap() == Decision::Allow
    }
}

fn policy() -> PolicyDocument {
    let scope = Scope {
        region: "eu-central-1".parse().unwrap(),
        account: "111122223333".parse().unwrap(),
        kms_keys: Vec::new(),
    };
    PolicyDocument::for_scanner(&scope, EVERYTHING).unwrap()
}

/// The delegate role of the same account, for the same region and another one.
fn delegate() -> PolicyDocument {
    let scope = DelegateScope {
        regions: vec!["eu-central-1".parse().unwrap(), "eu-west-1".parse().unwrap()],
        account: "111122223333".parse().unwrap(),
        kms_keys: Vec::new(),
    };
    PolicyDocument::for_delegate(&scope, EVERYTHING).unwrap()
}

/// What AWS checks while an instance with one encrypted volume is scanned.
fn checks_of_a_scan() -> Vec<Check> {
    let keys = [tags::SCANNER, tags::SCAN_ID, tags::SCANNER_ID, tags::TARGET, tags::EXPIRES_AT];
    vec![
        Check::new("ec2:DescribeInstances", INSTANCES).with("aws:RequestedRegion", "eu-central-1"),
        Check::new("ec2:DescribeVolumes", VOLUME).with("aws:RequestedRegion", "eu-central-1"),
        Check::new("ec2:CreateSnapshot", VOLUME),
        Check::new("ec2:CreateSnapshot", SNAPSHOT).request_tags("true", &keys),
        Check::new("ec2:CreateTags", SNAPSHOT).with("ec2:CreateAction", "CreateSnapshot"),
        Check::new("ec2:DescribeSnapshots", SNAPSHOT).with("aws:RequestedRegion", "eu-central-1"),
        Check::new("ebs:ListSnapshotBlocks", SNAPSHOT).resource_tag("true"),
        Check::new("ebs:GetSnapshotBlock", SNAPSHOT).resource_tag("true"),
        Check::new("kms:Decrypt", KEY)
            .with("kms:ViaService", "ec2.eu-central-1.amazonaws.com")
            .with_list("kms:EncryptionContextKeys", &["aws:ebs:id"]),
        Check::new("ec2:DeleteSnapshot", SNAPSHOT).resource_tag("true"),
    ]
}

/// What AWS checks while an image with one encrypted snapshot is scanned.
fn checks_of_a_scan_of_an_image() -> Vec<Check> {
    let keys = [tags::SCANNER, tags::SCAN_ID, tags::SCANNER_ID, tags::TARGET, tags::EXPIRES_AT];
    vec![
        Check::new("ec2:DescribeImages", "arn:aws:ec2:eu-central-1::image/ami-0a")
            .with("aws:RequestedRegion", "eu-central-1"),
        Check::new("ec2:CopySnapshot", SNAPSHOT).request_tags("true", &keys),
        Check::new("ec2:CopySnapshot", SNAPSHOT_TO_BE).request_tags("true", &keys),
        Check::new("ec2:CreateTags", SNAPSHOT).with("ec2:CreateAction", "CopySnapshot"),
        Check::new("kms:CreateGrant", KEY)
            .with("kms:ViaService", "ec2.eu-central-1.amazonaws.com")
            .with_list("kms:EncryptionContextKeys", &["aws:ebs:id"])
            .with_truth("kms:GrantIsForAWSResource", true),
    ]
}

/// What AWS checks while functions are found.
fn checks_of_finding_functions() -> Vec<Check> {
    let anything = "arn:aws:lambda:eu-central-1:111122223333:*";
    let function = "arn:aws:lambda:eu-central-1:111122223333:function:orders";
    vec![
        Check::new("lambda:ListFunctions", anything).with("aws:RequestedRegion", "eu-central-1"),
        // Also of one that is opted out.
        Check::new("lambda:ListTags", function)
            .with("aws:RequestedRegion", "eu-central-1")
            .resource_tag("false"),
        Check::new("lambda:ListAliases", function),
    ]
}

/// What AWS checks while functions are scanned: one with a layer of another account, and one that is a container image.
fn checks_of_a_scan_of_functions() -> Vec<Check> {
    vec![
        Check::new("lambda:GetFunction", FUNCTION).with("aws:ResourceTag/team", "shop"),
        Check::new("lambda:GetLayerVersion", LAYER),
        Check::new("ecr:BatchGetImage", REPOSITORY),
        Check::new("ecr:GetDownloadUrlForLayer", REPOSITORY),
    ]
}

/// What AWS checks in addition while an instance is scanned again, whose snapshot was kept.
fn checks_of_a_rescan() -> Vec<Check> {
    vec![Check::new("ebs:ListChangedBlocks", SNAPSHOT).resource_tag("true")]
}

/// What AWS checks while something of everything is scanned.
fn checks_of_all_scans() -> Vec<Check> {
    [
        checks_of_a_scan(),
        checks_of_a_scan_of_an_image(),
        checks_of_finding_functions(),
        checks_of_a_scan_of_functions(),
        checks_of_a_rescan(),
    ]
    .concat()
}

#[test]
fn a_scan_is_allowed() {
    for check in checks_of_all_scans() {
        assert!(check.is_allowed_by(&policy()), "{} on {}", check.action, check.resource);
        assert!(check.is_allowed_by(&delegate()), "{} on {}, delegated", check.action, check.resource);
    }
}

#[test]
fn every_action_of_the_table_is_needed() {
    for action in actions::ALL {
        let reduced = policy().without(action.name);
        assert!(
            checks_of_all_scans().iter().any(|check| !check.is_allowed_by(&reduced)),
            "a scan works without {action}"
        );
        let reduced = delegate().without(action.name);
        assert!(
            checks_of_all_scans().iter().any(|check| !check.is_allowed_by(&reduced)),
            "{action}, delegated"
        );
    }
    assert_eq!(policy().actions(), actions::ALL.iter().map(|action| action.name).collect::<Vec<_>>());
}

#[test]
fn what_is_not_the_scanners_is_denied() {
    let own_tag = [tags::SCANNER];
    let denied = [
        ("an untagged snapshot is read", Check::new("ebs:GetSnapshotBlock", SNAPSHOT)),
        ("an untagged snapshot is listed", Check::new("ebs:ListSnapshotBlocks", SNAPSHOT)),
        ("an untagged snapshot is compared", Check::new("ebs:ListChangedBlocks", SNAPSHOT)),
        ("an untagged snapshot is deleted", Check::new("ec2:DeleteSnapshot", SNAPSHOT)),
        (
            "a snapshot tagged false is read",
            Check::new("ebs:GetSnapshotBlock", SNAPSHOT).resource_tag("false"),
        ),
        (
            "a snapshot tagged false is deleted",
            Check::new("ec2:DeleteSnapshot", SNAPSHOT).resource_tag("false"),
        ),
        (
            "a snapshot of somebody else's tool is deleted",
            Check::new("ec2:DeleteSnapshot", SNAPSHOT).with("aws:ResourceTag/Backup", "true"),
        ),
        (
            "a snapshot of another region is read",
            Check::new("ebs:GetSnapshotBlock", "arn:aws:ec2:us-east-1::snapshot/snap-0a")
                .resource_tag("true"),
        ),
        ("an opted-out volume", Check::new("ec2:CreateSnapshot", VOLUME).resource_tag("false")),
        (
            "a volume of another account",
            Check::new("ec2:CreateSnapshot", "arn:aws:ec2:eu-central-1:444455556666:volume/vol-0a"),
        ),
        (
            "a volume of another region",
            Check::new("ec2:CreateSnapshot", "arn:aws:ec2:us-east-1:111122223333:volume/vol-0a"),
        ),
        ("a snapshot made without tags", Check::new("ec2:CreateSnapshot", SNAPSHOT)),
        (
            "a snapshot made with the opt-out's value",
            Check::new("ec2:CreateSnapshot", SNAPSHOT).request_tags("false", &own_tag),
        ),
        (
            "a snapshot made with a tag that others rely on",
            Check::new("ec2:CreateSnapshot", SNAPSHOT).request_tags("true", &[tags::SCANNER, "CostCentre"]),
        ),
        (
            "tags on a snapshot that exists",
            Check::new("ec2:CreateTags", SNAPSHOT).request_tags("true", &own_tag),
        ),
        (
            "tags while an instance is launched",
            Check::new("ec2:CreateTags", SNAPSHOT).with("ec2:CreateAction", "RunInstances"),
        ),
        ("tags on a volume", Check::new("ec2:CreateTags", VOLUME).with("ec2:CreateAction", "CreateSnapshot")),
        (
            "a key used directly",
            Check::new("kms:Decrypt", KEY).with_list("kms:EncryptionContextKeys", &["aws:ebs:id"]),
        ),
        (
            "a key used through another service",
            Check::new("kms:Decrypt", KEY)
                .with("kms:ViaService", "secretsmanager.eu-central-1.amazonaws.com")
                .with_list("kms:EncryptionContextKeys", &["aws:ebs:id"]),
        ),
        (
            "a key used for something else than a volume",
            Check::new("kms:Decrypt", KEY)
                .with("kms:ViaService", "ec2.eu-central-1.amazonaws.com")
                .with_list("kms:EncryptionContextKeys", &["SecretARN"]),
        ),
        (
            "a key of another account that was not named",
            Check::new("kms:Decrypt", "arn:aws:kms:eu-central-1:444455556666:key/1234abcd")
                .with("kms:ViaService", "ec2.eu-central-1.amazonaws.com")
                .with_list("kms:EncryptionContextKeys", &["aws:ebs:id"]),
        ),
        (
            "an opted-out key",
            Check::new("kms:Decrypt", KEY)
                .with("kms:ViaService", "ec2.eu-central-1.amazonaws.com")
                .with_list("kms:EncryptionContextKeys", &["aws:ebs:id"])
                .resource_tag("false"),
        ),
        (
            "an opted-out key for a copy",
            Check::new("kms:CreateGrant", KEY)
                .with("kms:ViaService", "ec2.eu-central-1.amazonaws.com")
                .with_list("kms:EncryptionContextKeys", &["aws:ebs:id"])
                .with_truth("kms:GrantIsForAWSResource", true)
                .resource_tag("false"),
        ),
        (
            "functions listed elsewhere",
            Check::new("lambda:ListFunctions", "arn:aws:lambda:us-east-1:111122223333:*")
                .with("aws:RequestedRegion", "us-east-1"),
        ),
        (
            "the aliases of an opted-out function",
            Check::new("lambda:ListAliases", FUNCTION).resource_tag("false"),
        ),
        ("a snapshot made public", Check::new("ec2:ModifySnapshotAttribute", SNAPSHOT).resource_tag("true")),
        (
            "an opted-out snapshot is copied",
            Check::new("ec2:CopySnapshot", SNAPSHOT).resource_tag("false").request_tags("true", &own_tag),
        ),
        ("a copy made without tags", Check::new("ec2:CopySnapshot", SNAPSHOT_TO_BE)),
        (
            "a key granted to somebody",
            Check::new("kms:CreateGrant", KEY)
                .with("kms:ViaService", "ec2.eu-central-1.amazonaws.com")
                .with_list("kms:EncryptionContextKeys", &["aws:ebs:id"]),
        ),
        ("an opted-out function", Check::new("lambda:GetFunction", FUNCTION).resource_tag("false")),
        (
            "a function of another account",
            Check::new("lambda:GetFunction", "arn:aws:lambda:eu-central-1:444455556666:function:orders"),
        ),
        ("a function run", Check::new("lambda:InvokeFunction", FUNCTION)),
        (
            "an image of an opted-out repository",
            Check::new("ecr:BatchGetImage", REPOSITORY)
                .with(&format!("ecr:ResourceTag/{}", tags::SCANNER), "false"),
        ),
        (
            "an image of another account",
            Check::new("ecr:BatchGetImage", "arn:aws:ecr:eu-central-1:444455556666:repository/team/orders"),
        ),
        ("an image pushed", Check::new("ecr:PutImage", REPOSITORY)),
        ("a snapshot written", Check::new("ebs:PutSnapshotBlock", SNAPSHOT).resource_tag("true")),
        (
            "volumes looked up elsewhere",
            Check::new("ec2:DescribeVolumes", VOLUME).with("aws:RequestedRegion", "us-east-1"),
        ),
        ("a volume attached", Check::new("ec2:AttachVolume", VOLUME)),
        ("another role assumed", Check::new("sts:AssumeRole", ROLE)),
        ("a role passed on", Check::new("iam:PassRole", ROLE)),
    ];
    for (what, check) in denied {
        assert!(!check.is_allowed_by(&policy()), "{what}: allowed");
        assert!(!check.is_allowed_by(&delegate()), "{what}: allowed, delegated");
    }
}

#[test]
fn the_service_reaches_what_is_named_and_nothing_else() {
    const DELEGATE: &str = "arn:aws:iam::444455556666:role/delegate";
    const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:api-key-AbCdEf";
    const GROUP: &str =
        "arn:aws:autoscaling:eu-central-1:111122223333:autoScalingGroup:0f-1:autoScalingGroupName/scanner";
    const OBJECT: &str = "arn:aws:s3:::reports/scans/2026/a.json";
    let scope = Scope {
        region: "eu-central-1".parse().unwrap(),
        account: "111122223333".parse().unwrap(),
        kms_keys: Vec::new(),
    };
    let service = ServiceAccess {
        delegate_roles: vec![DELEGATE.parse().unwrap()],
        secrets: vec![SECRET.parse().unwrap()],
        secret_kms_keys: vec![KEY.parse().unwrap()],
        scaling_groups: vec!["scanner".parse().unwrap()],
        reports: Some(ReportStore {
            bucket: "reports".parse().unwrap(),
            prefix: "scans/".parse().unwrap(),
            kms_key: Some(KEY.parse().unwrap()),
        }),
    };
    let policy = PolicyDocument::for_scanner_service(&scope, &[], &service).unwrap();
    let encrypted = |check: Check, key: &str| {
        check
            .with("s3:x-amz-server-side-encryption", "aws:kms")
            .with("s3:x-amz-server-side-encryption-aws-kms-key-id", key)
    };
    let through = |action, service: &str| {
        Check::new(action, KEY).with("kms:ViaService", &format!("{service}.eu-central-1.amazonaws.com"))
    };
    let needed = [
        Check::new("sts:AssumeRole", DELEGATE),
        Check::new("secretsmanager:GetSecretValue", SECRET),
        through("kms:Decrypt", "secretsmanager"),
        Check::new("autoscaling:CompleteLifecycleAction", GROUP),
        Check::new("autoscaling:RecordLifecycleActionHeartbeat", GROUP),
        encrypted(Check::new("s3:PutObject", OBJECT), KEY),
        through("kms:GenerateDataKey", "s3"),
    ];
    for check in &needed {
        assert!(check.is_allowed_by(&policy), "{} on {}", check.action, check.resource);
        assert!(!check.is_allowed_by(&self::policy()), "{} without being named", check.action);
        assert!(!check.is_allowed_by(&delegate()), "{} by a delegate", check.action);
    }
    for action in actions::SERVICE {
        let reduced = policy.without(action.name);
        assert!(needed.iter().any(|check| !check.is_allowed_by(&reduced)), "{action} is needless");
    }
    let denied = [
        ("another role", Check::new("sts:AssumeRole", "arn:aws:iam::444455556666:role/delegate-2")),
        (
            "another secret",
            Check::new(
                "secretsmanager:GetSecretValue",
                "arn:aws:secretsmanager:eu-central-1:111122223333:secret:api-key-2-AbCdEf",
            ),
        ),
        ("a secret written", Check::new("secretsmanager:PutSecretValue", SECRET)),
        ("its key used directly", Check::new("kms:Decrypt", KEY)),
        ("its key for volumes", through("kms:Decrypt", "ec2")),
        (
            "another group",
            Check::new(
                "autoscaling:CompleteLifecycleAction",
                "arn:aws:autoscaling:eu-central-1:111122223333:autoScalingGroup:0f-1:autoScalingGroupName/scanner-2",
            ),
        ),
        ("a group scaled", Check::new("autoscaling:SetDesiredCapacity", GROUP)),
        ("another prefix", encrypted(Check::new("s3:PutObject", "arn:aws:s3:::reports/scans-2/a.json"), KEY)),
        ("a report in the clear", Check::new("s3:PutObject", OBJECT)),
        (
            "a report under another key",
            encrypted(
                Check::new("s3:PutObject", OBJECT),
                "arn:aws:kms:eu-central-1:111122223333:key/5678efab",
            ),
        ),
        ("a report read", Check::new("s3:GetObject", OBJECT)),
    ];
    for (what, check) in denied {
        assert!(!check.is_allowed_by(&policy), "{what}: allowed");
    }
}

#[test]
fn a_feature_brings_what_it_needs_and_no_more() {
    let scope = Scope {
        region: "eu-central-1".parse().unwrap(),
        account: "111122223333".parse().unwrap(),
        kms_keys: Vec::new(),
    };
    let hosts = PolicyDocument::for_scanner(&scope, &[Feature::Hosts]).unwrap();
    assert!(checks_of_a_scan().iter().all(|check| check.is_allowed_by(&hosts)));
    assert!(!checks_of_a_scan_of_an_image().iter().any(|check| check.is_allowed_by(&hosts)));
    let rescan = checks_of_a_rescan();
    assert!(!rescan.iter().any(|check| check.is_allowed_by(&hosts)));
    let incremental = PolicyDocument::for_scanner(&scope, &[Feature::Hosts, Feature::Incremental]).unwrap();
    assert!(rescan.iter().all(|check| check.is_allowed_by(&incremental)));
    assert_eq!(incremental.actions().len(), hosts.actions().len() + 1);
    let images = PolicyDocument::for_scanner(&scope, &[Feature::Images]).unwrap();
    // Those in use are known by what uses them.
    let instances =
        Check::new("ec2:DescribeInstances", INSTANCES).with("aws:RequestedRegion", "eu-central-1");
    assert!(
        checks_of_a_scan_of_an_image().iter().chain([&instances]).all(|check| check.is_allowed_by(&images))
    );
    let of_functions = [checks_of_finding_functions(), checks_of_a_scan_of_functions()].concat();
    assert!(!of_functions.iter().any(|check| check.is_allowed_by(&hosts)));

    let functions = PolicyDocument::for_scanner(&scope, &[Feature::Functions]).unwrap();
    let needed: Vec<_> = of_functions.iter().map(|check| check.action).collect();
    assert!(of_functions.iter().all(|check| check.is_allowed_by(&functions)));
    let mut granted = functions.actions();
    granted.sort_by_key(|action| needed.iter().position(|needed| needed == action));
    assert_eq!(granted, needed);
}

#[test]
fn only_ec2_takes_on_the_role() {
    let trust = PolicyDocument::trust_ec2(&"eu-central-1".parse().unwrap());
    let expected = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "AssumedByInstances",
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": ["sts:AssumeRole"]
        }]
    });
    assert_eq!(serde_json::to_value(&trust).unwrap(), expected);
}
