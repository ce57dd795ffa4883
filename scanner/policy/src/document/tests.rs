use super::*;
use crate::{Argument, ReportStore};

fn scope(region: &str) -> Scope {
    Scope { region: region.parse().unwrap(), account: "111122223333".parse().unwrap(), kms_keys: Vec::new() }
}

#[test]
fn policies_stay_within_their_partition() {
    for (region, partition, service, via) in [
        ("eu-central-1", "aws", "ec2.amazonaws.com", "ec2.eu-central-1.amazonaws.com"),
        ("us-gov-west-1", "aws-us-gov", "ec2.amazonaws.com", "ec2.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "aws-cn", "ec2.amazonaws.com.cn", "ec2.cn-north-1.amazonaws.com.cn"),
        ("us-iso-east-1", "aws-iso", "ec2.c2s.ic.gov", "ec2.us-iso-east-1.amazonaws.com"),
    ] {
        let scope = scope(region);
        let json = PolicyDocument::for_scanner(&scope, Feature::ALL).unwrap().to_json();
        for arn in json.split("arn:").skip(1) {
            assert!(arn.starts_with(&format!("{partition}:")), "{region}: {arn}");
        }
        assert!(json.contains(&format!(r#""kms:ViaService":"{via}""#)), "{json}");
        assert!(PolicyDocument::trust_ec2(&scope.region).to_json().contains(&format!(r#""{service}""#)));
    }
}

#[test]
fn the_whole_policy_reads_as_reviewed() {
    let policy = PolicyDocument::for_scanner(&scope("eu-central-1"), &[Feature::Hosts]).unwrap();
    let expected = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "FindWhatToScan",
                "Effect": "Allow",
                "Action": ["ec2:DescribeInstances", "ec2:DescribeSnapshots", "ec2:DescribeVolumes"],
                "Resource": ["*"],
                "Condition": {"StringEquals": {"aws:RequestedRegion": "eu-central-1"}}
            },
            {
                "Sid": "SnapshotVolumesNotOptedOut",
                "Effect": "Allow",
                "Action": ["ec2:CreateSnapshot"],
                "Resource": ["arn:aws:ec2:eu-central-1:111122223333:volume/*"],
                "Condition": {"StringNotEquals": {"aws:ResourceTag/DatadogAgentlessScanner": "false"}}
            },
            {
                "Sid": "MakeTaggedSnapshots",
                "Effect": "Allow",
                "Action": ["ec2:CreateSnapshot"],
                "Resource": ["arn:aws:ec2:eu-central-1::snapshot/*"],
                "Condition": {
                    "StringEquals": {"aws:RequestTag/DatadogAgentlessScanner": "true"},
                    "ForAllValues:StringLike": {"aws:TagKeys": "DatadogAgentlessScanner*"}
                }
            },
            {
                "Sid": "TagSnapshotsWhileMakingThem",
                "Effect": "Allow",
                "Action": ["ec2:CreateTags"],
                "Resource": ["arn:aws:ec2:eu-central-1::snapshot/*"],
                "Condition": {"StringEquals": {"ec2:CreateAction": "CreateSnapshot"}}
            },
            {
                "Sid": "ReadAndDeleteOwnSnapshots",
                "Effect": "Allow",
                "Action": ["ebs:GetSnapshotBlock", "ebs:ListSnapshotBlocks", "ec2:DeleteSnapshot"],
                "Resource": ["arn:aws:ec2:eu-central-1::snapshot/*"],
                "Condition": {"StringEquals": {"aws:ResourceTag/DatadogAgentlessScanner": "true"}}
            },
            {
                "Sid": "DecryptBlocksOfSnapshots",
                "Effect": "Allow",
                "Action": ["kms:Decrypt"],
                "Resource": ["arn:aws:kms:eu-central-1:111122223333:key/*"],
                "Condition": {
                    "StringEquals": {"kms:ViaService": "ec2.eu-central-1.amazonaws.com"},
                    "ForAnyValue:StringEquals": {"kms:EncryptionContextKeys": "aws:ebs:id"},
                    "StringNotEquals": {"aws:ResourceTag/DatadogAgentlessScanner": "false"}
                }
            }
        ]
    });
    assert_eq!(serde_json::to_value(&policy).unwrap(), expected);
    assert!(!policy.to_json().contains(char::is_whitespace));
}

#[test]
fn named_keys_replace_every_key() {
    let mut scope = scope("eu-central-1");
    let key = |id: &str| format!("arn:aws:kms:eu-central-1:444455556666:key/{id}").parse().unwrap();
    scope.kms_keys = vec![key("b"), key("a"), key("b")];
    let json = PolicyDocument::for_scanner(&scope, Feature::ALL).unwrap().to_json();
    assert!(!json.contains("key/*"));
    assert!(json.contains(
        r#"["arn:aws:kms:eu-central-1:444455556666:key/a","arn:aws:kms:eu-central-1:444455556666:key/b"]"#
    ));
}

#[test]
fn what_iam_would_refuse_is_refused_here() {
    let mut scope = scope("eu-central-1");
    assert_eq!(PolicyDocument::for_scanner(&scope, &[]), Err(PolicyError::NoFeature));

    scope.kms_keys = vec!["arn:aws:kms:eu-west-1:111122223333:key/a".parse().unwrap()];
    let error = PolicyDocument::for_scanner(&scope, Feature::ALL).unwrap_err();
    assert!(matches!(&error, PolicyError::ForeignKey { .. }), "{error}");
}

fn service() -> ServiceAccess {
    ServiceAccess {
        delegate_roles: vec!["arn:aws:iam::444455556666:role/delegate".parse().unwrap()],
        secrets: vec!["arn:aws:secretsmanager:eu-west-1:111122223333:secret:api-key-AbCdEf".parse().unwrap()],
        secret_kms_keys: vec!["arn:aws:kms:eu-west-1:111122223333:key/a".parse().unwrap()],
        scaling_groups: vec!["scanner".parse().unwrap()],
        reports: Some(ReportStore {
            bucket: "reports".parse().unwrap(),
            prefix: "scans/".parse().unwrap(),
            kms_key: Some("arn:aws:kms:us-east-1:111122223333:key/b".parse().unwrap()),
        }),
    }
}

#[test]
fn the_service_reads_as_reviewed() {
    let scope = scope("eu-central-1");
    let policy = PolicyDocument::for_scanner_service(&scope, &[], &service()).unwrap();
    let expected = serde_json::json!([
        {
            "Sid": "BecomeNamedDelegates",
            "Effect": "Allow",
            "Action": ["sts:AssumeRole"],
            "Resource": ["arn:aws:iam::444455556666:role/delegate"]
        },
        {
            "Sid": "ReadNamedSecrets",
            "Effect": "Allow",
            "Action": ["secretsmanager:GetSecretValue"],
            "Resource": ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:api-key-AbCdEf"]
        },
        {
            "Sid": "DecryptNamedSecrets",
            "Effect": "Allow",
            "Action": ["kms:Decrypt"],
            "Resource": ["arn:aws:kms:eu-west-1:111122223333:key/a"],
            "Condition": {"StringEquals": {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"}}
        },
        {
            "Sid": "FollowOwnLifecycle",
            "Effect": "Allow",
            "Action": ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"],
            "Resource": [
                "arn:aws:autoscaling:eu-central-1:111122223333:autoScalingGroup:*:autoScalingGroupName/scanner"
            ]
        },
        {
            "Sid": "StoreEncryptedReports",
            "Effect": "Allow",
            "Action": ["s3:PutObject"],
            "Resource": ["arn:aws:s3:::reports/scans/*"],
            "Condition": {
                "StringEquals": {"s3:x-amz-server-side-encryption": "aws:kms"},
                "ArnEquals": {
                    "s3:x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:us-east-1:111122223333:key/b"
                }
            }
        },
        {
            "Sid": "EncryptReports",
            "Effect": "Allow",
            "Action": ["kms:GenerateDataKey"],
            "Resource": ["arn:aws:kms:us-east-1:111122223333:key/b"],
            "Condition": {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
        }
    ]);
    assert_eq!(serde_json::to_value(&policy).unwrap()["Statement"], expected);
}

#[test]
fn what_is_not_named_is_not_granted() {
    let scope = scope("eu-central-1");
    let scans = PolicyDocument::for_scanner(&scope, Feature::ALL).unwrap();
    let named = |service: ServiceAccess| {
        let with = PolicyDocument::for_scanner_service(&scope, Feature::ALL, &service).unwrap();
        let new = with.statements().iter().filter(|statement| !scans.statements().contains(statement));
        new.map(|statement| statement.sid().to_owned()).collect::<Vec<_>>()
    };
    assert!(named(ServiceAccess::default()).is_empty());
    let all = service();
    let nothing = ServiceAccess::default;
    let delegates = ServiceAccess { delegate_roles: all.delegate_roles, ..nothing() };
    assert_eq!(named(delegates), ["BecomeNamedDelegates"]);
    assert_eq!(named(ServiceAccess { secrets: all.secrets, ..nothing() }), ["ReadNamedSecrets"]);
    let groups = ServiceAccess { scaling_groups: all.scaling_groups, ..nothing() };
    assert_eq!(named(groups), ["FollowOwnLifecycle"]);
    let plain = all.reports.map(|reports| ReportStore { kms_key: None, ..reports });
    assert_eq!(named(ServiceAccess { reports: plain, ..nothing() }), ["StoreReports"]);
}

#[test]
fn a_delegate_may_be_used_in_its_regions() {
    let delegate = |regions: &[&str]| DelegateScope {
        regions: regions.iter().map(|region| region.parse().unwrap()).collect(),
        account: "111122223333".parse().unwrap(),
        kms_keys: Vec::new(),
    };
    let one = PolicyDocument::for_delegate(&delegate(&["eu-central-1"]), Feature::ALL).unwrap();
    assert_eq!(Ok(one), PolicyDocument::for_scanner(&scope("eu-central-1"), Feature::ALL));

    let two = delegate(&["eu-west-1", "eu-central-1", "eu-west-1"]);
    let two = serde_json::to_value(PolicyDocument::for_delegate(&two, &[Feature::Hosts]).unwrap()).unwrap();
    assert_eq!(
        two["Statement"][1]["Resource"],
        serde_json::json!([
            "arn:aws:ec2:eu-central-1:111122223333:volume/*",
            "arn:aws:ec2:eu-west-1:111122223333:volume/*"
        ])
    );
    assert_eq!(
        two["Statement"][5]["Condition"]["StringEquals"]["kms:ViaService"],
        serde_json::json!(["ec2.eu-central-1.amazonaws.com", "ec2.eu-west-1.amazonaws.com"])
    );

    let refused = |regions: &[&str]| {
        PolicyDocument::for_delegate(&delegate(regions), Feature::ALL).unwrap_err().argument()
    };
    assert_eq!(refused(&[]), Argument::Regions);
    assert_eq!(refused(&["eu-central-1", "us-gov-west-1"]), Argument::Regions);
}

#[test]
fn exactly_the_scanners_take_on_a_delegate() {
    let role = |name: &str| format!("arn:aws:iam::111122223333:role/{name}").parse().unwrap();
    let statement = |trust: PolicyDocument| serde_json::to_value(&trust).unwrap()["Statement"][0].clone();
    let one = statement(PolicyDocument::trust_scanners(&[role("a")], None).unwrap());
    let expected = serde_json::json!({
        "Sid": "AssumedByScanners",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:role/a"},
        "Action": ["sts:AssumeRole"]
    });
    assert_eq!(one, expected);
    let id = "agreed-id".parse().unwrap();
    let two = statement(PolicyDocument::trust_scanners(&[role("b"), role("a")], Some(&id)).unwrap());
    let both = ["arn:aws:iam::111122223333:role/a", "arn:aws:iam::111122223333:role/b"];
    assert_eq!(two["Principal"]["AWS"], serde_json::json!(both));
    assert_eq!(two["Condition"]["StringEquals"]["sts:ExternalId"], "agreed-id");
    assert_eq!(PolicyDocument::trust_scanners(&[], Some(&id)), Err(PolicyError::NoScanner));
}

#[test]
fn what_no_permission_can_reach_is_told_where_it_stands() {
    let refused = |region: &str, change: fn(&mut ServiceAccess)| {
        let mut service = service();
        change(&mut service);
        let error = PolicyDocument::for_scanner_service(&scope(region), &[], &service).unwrap_err();
        (error.argument(), error.to_string())
    };
    let (argument, message) = refused("us-gov-west-1", |_| ());
    assert_eq!(argument, Argument::DelegateRoles);
    assert!(message.contains("not in the partition aws-us-gov"), "{message}");
    let (argument, _) = refused("us-gov-west-1", |service| service.delegate_roles.clear());
    assert_eq!(argument, Argument::Secrets);
    let (argument, message) = refused("eu-central-1", |service| service.secrets.clear());
    assert_eq!(argument, Argument::SecretKmsKeys);
    assert!(message.contains("no secret is named"), "{message}");
}
