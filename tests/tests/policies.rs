//! The policies that the provider generates, before a linter and a judge that share no code with it.
#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the failure report")]

use std::collections::BTreeMap;
use std::time::SystemTime;

use agentless_tests::judge::parliament::{findings, lint};
use agentless_tests::judge::{Account, Disk, KeyValue, Policy, judge};
use agentless_tests::local_aws::Call;
use scanner_policy::{
    DelegateScope, Feature, Packed, PipelineScope, PolicyDocument, ReportStore, Scope, ServiceAccess, tags,
};

const ACCOUNT: &str = "444455556666";
const SCANNED: &str = "eu-west-1";

/// Everything that the service can be given, in the partition and region.
fn service(partition: &str, region: &str, with_key: bool) -> ServiceAccess {
    let key = || format!("arn:{partition}:kms:{region}:{ACCOUNT}:key/1234abcd").parse().unwrap();
    let secret = format!("arn:{partition}:secretsmanager:{region}:{ACCOUNT}:secret:api-key-AbCdEf");
    ServiceAccess {
        delegate_roles: vec![format!("arn:{partition}:iam::111122223333:role/delegate").parse().unwrap()],
        secrets: vec![secret.parse().unwrap()],
        secret_kms_keys: vec![key()],
        scaling_groups: vec!["scanner".parse().unwrap()],
        reports: Some(ReportStore {
            bucket: "reports".parse().unwrap(),
            prefix: "scans/".parse().unwrap(),
            kms_key: with_key.then(key),
        }),
    }
}

fn delegate(regions: &[&str], keys: usize, features: &[Feature]) -> PolicyDocument {
    let key = |number| format!("arn:aws:kms:{SCANNED}:{ACCOUNT}:key/{number:036}").parse().unwrap();
    let scope = DelegateScope {
        regions: regions.iter().map(|region| region.parse().unwrap()).collect(),
        account: ACCOUNT.parse().unwrap(),
        kms_keys: (0..keys).map(key).collect(),
    };
    PolicyDocument::for_delegate(&scope, features).unwrap()
}

#[test]
fn the_linter_finds_nothing_wrong_with_what_is_generated() {
    for (region, partition) in [(SCANNED, "aws"), ("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")] {
        let scope = Scope {
            region: region.parse().unwrap(),
            account: ACCOUNT.parse().unwrap(),
            kms_keys: Vec::new(),
        };
        for with_key in [false, true] {
            let service = service(partition, region, with_key);
            let policy = PolicyDocument::for_scanner_service(&scope, Feature::ALL, &service).unwrap();
            assert_eq!(lint(&policy.to_json()).unwrap(), [], "{region}: {}", policy.to_json());
        }
    }
    for feature in Feature::ALL.iter().chain(&[Feature::Incremental]) {
        let policy = delegate(&[SCANNED, "eu-central-1"], 0, &[*feature]);
        assert_eq!(lint(&policy.to_json()).unwrap(), [], "{feature:?}");
    }
    let Ok(Packed::Managed(parts)) = delegate(&[SCANNED], 150, Feature::ALL).packed() else {
        panic!("not split")
    };
    for part in parts {
        assert_eq!(lint(&part.to_json()).unwrap(), []);
    }
}

fn pipeline(region: &str, partition: &str) -> PipelineScope {
    PipelineScope {
        regions: vec![region.parse().unwrap()],
        account: ACCOUNT.parse().unwrap(),
        kms_keys: vec![format!("arn:{partition}:kms:{region}:{ACCOUNT}:key/1234abcd").parse().unwrap()],
        parameters: "/agentless-scanner/image".parse().unwrap(),
        instance_roles: vec![format!("arn:{partition}:iam::{ACCOUNT}:role/build").parse().unwrap()],
    }
}

#[test]
fn the_linter_finds_nothing_wrong_with_the_policy_of_the_pipeline() {
    for (region, partition) in [(SCANNED, "aws"), ("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")] {
        let whole = pipeline(region, partition);
        let plain = PipelineScope { kms_keys: Vec::new(), instance_roles: Vec::new(), ..whole.clone() };
        for scope in [whole, plain] {
            let policy = PolicyDocument::for_image_pipeline(&scope).unwrap();
            assert_eq!(lint(&policy.to_json()).unwrap(), [], "{region}: {}", policy.to_json());
        }
    }
}

#[test]
fn the_linter_finds_what_is_wrong() {
    let policy = delegate(&[SCANNED], 0, Feature::ALL).to_json();
    for (right, wrong, issue) in [
        ("ec2:DeleteSnapshot", "ec2:RemoveSnapshot", "UNKNOWN_ACTION"),
        (":snapshot/*", ":snapshots/*", "RESOURCE_MISMATCH"),
        ("kms:ViaService", "kms:ThroughService", "UNKNOWN_CONDITION_FOR_ACTION"),
        ("MakeTaggedCopies", "MakeTaggedSnapshots", "DUPLICATE_SID"),
    ] {
        let found = lint(&policy.replace(right, wrong)).unwrap();
        assert!(found.iter().any(|finding| finding.issue == issue), "{wrong}: {found:?}");
    }
    // What is let pass is still there to be let pass; when it no longer is, `lint` should stop doing so.
    let excepted: Vec<String> = findings(&policy).unwrap().into_iter().map(|finding| finding.issue).collect();
    assert!(excepted.iter().any(|issue| issue == "RESOURCE_MISMATCH"), "{excepted:?}");
    assert!(excepted.iter().any(|issue| issue == "UNKNOWN_CONDITION_FOR_ACTION"), "{excepted:?}");
}

fn call(sequence: u64, permission: &str, region: &str, parameters: &[(&str, &str)]) -> Call {
    let (service, action) = permission.split_once(':').unwrap();
    Call {
        sequence,
        time: SystemTime::UNIX_EPOCH,
        service: service.to_owned(),
        action: action.to_owned(),
        region: region.to_owned(),
        parameters: parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        access_key_id: String::new(),
        principal: None,
        user_agent: String::new(),
        status: Some(200),
        error_code: None,
        snapshot_id: (action == "CreateSnapshot").then(|| "snap-made".to_owned()),
        reply_bytes: 0,
        faulted: false,
    }
}

/// What the end-to-end tests record of a scan of an instance and of a function, in the region of the scanned account.
fn calls(region: &str) -> Vec<Call> {
    let tagged = [
        ("VolumeId", "vol-0a"),
        ("TagSpecification.1.ResourceType", "snapshot"),
        ("TagSpecification.1.Tag.1.Key", tags::SCANNER),
        ("TagSpecification.1.Tag.1.Value", tags::TRUE),
        ("TagSpecification.1.Tag.2.Key", tags::SCAN_ID),
        ("TagSpecification.1.Tag.2.Value", "1"),
    ];
    let function = format!("arn:aws:lambda:{region}:{ACCOUNT}:function:orders");
    let requests: &[(&str, &[(&str, &str)])] = &[
        ("lambda:ListFunctions", &[]),
        ("lambda:ListTags", &[("Resource", &function)]),
        ("lambda:ListAliases", &[("FunctionName", &function)]),
        ("ec2:DescribeInstances", &[]),
        ("ec2:DescribeVolumes", &[]),
        ("ec2:CreateSnapshot", &tagged),
        ("ec2:DescribeSnapshots", &[]),
        ("ebs:ListSnapshotBlocks", &[("snapshotId", "snap-made")]),
        ("ebs:GetSnapshotBlock", &[("snapshotId", "snap-made")]),
        ("ec2:DeleteSnapshot", &[("SnapshotId", "snap-made")]),
        ("lambda:GetFunction", &[("FunctionName", "orders")]),
        (
            "lambda:GetLayerVersion",
            &[
                ("LayerName", &format!("arn:aws:lambda:{region}:777788889999:layer:tools")),
                ("VersionNumber", "3"),
            ],
        ),
        ("ecr:BatchGetImage", &[("registryId", ACCOUNT), ("repositoryName", "team/orders")]),
        ("ecr:GetDownloadUrlForLayer", &[("registryId", ACCOUNT), ("repositoryName", "team/orders")]),
    ];
    (1..)
        .zip(requests)
        .map(|(sequence, (name, parameters))| call(sequence, name, region, parameters))
        .collect()
}

fn account(region: &str, tag: &[(&str, &str)], calls: &[Call]) -> Account {
    let tags: BTreeMap<String, String> =
        tag.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let kms_key = Some(format!("arn:aws:kms:{region}:{ACCOUNT}:key/1234abcd"));
    let function = format!("arn:aws:lambda:{region}:{ACCOUNT}:function:orders");
    Account {
        id: ACCOUNT.to_owned(),
        volumes: [("vol-0a".to_owned(), Disk { tags: tags.clone(), kms_key })].into(),
        functions: [(function, tags)].into(),
        ..Account::default()
    }
    .with_snapshots_of(calls)
}

#[test]
fn a_delegate_allows_a_scan_of_its_account_and_needs_all_that_it_grants() {
    let policy = delegate(&[SCANNED, "eu-central-1"], 0, &[Feature::Hosts, Feature::Functions]);
    let policy = Policy::from_json(&policy.to_json()).unwrap();
    for region in [SCANNED, "eu-central-1"] {
        let calls = calls(region);
        let verdict = judge(&policy, &calls, &account(region, &[], &calls)).unwrap();
        assert_eq!(verdict.denied, []);
        assert_eq!(verdict.needless, [""; 0]);
        assert!(verdict.authorizations.len() > calls.len());

        // Snapshots are made with the scanner's tag or not at all, and read and deleted only with it.
        let scanner_tag = |prefix: &str| format!("aws:{prefix}/{}", tags::SCANNER);
        for authorization in verdict.authorizations.iter().filter(|it| it.resource.contains(":snapshot/")) {
            let mut untagged = authorization.clone();
            untagged.context.remove(&scanner_tag("RequestTag"));
            untagged.context.remove(&scanner_tag("ResourceTag"));
            let is_tagging = authorization.action == "ec2:CreateTags";
            assert_eq!(policy.allows(&untagged).unwrap(), is_tagging, "{untagged}");
            untagged.context.remove("ec2:CreateAction");
            assert!(!policy.allows(&untagged).unwrap(), "{untagged}");
        }
    }
}

#[test]
fn a_delegate_reaches_nothing_that_opted_out_and_no_other_place() {
    let policy = delegate(&[SCANNED], 0, Feature::ALL);
    let policy = Policy::from_json(&policy.to_json()).unwrap();
    let calls_there = calls(SCANNED);
    let opted_out = account(SCANNED, &[(tags::SCANNER, tags::FALSE)], &calls_there);
    let denied = judge(&policy, &calls_there, &opted_out).unwrap().denied;
    let denied: Vec<&str> = denied.iter().map(|authorization| authorization.action.as_str()).collect();
    assert_eq!(denied, ["lambda:ListAliases", "ec2:CreateSnapshot", "lambda:GetFunction"]);

    let elsewhere = calls("us-east-1");
    let verdict = judge(&policy, &elsewhere, &account("us-east-1", &[], &elsewhere)).unwrap();
    assert_eq!(verdict.denied.len(), verdict.authorizations.len(), "allowed in another region");

    let other_account = Account { id: "111122223333".to_owned(), ..account(SCANNED, &[], &calls_there) };
    let volumes =
        calls_there.iter().filter(|call| call.action == "CreateSnapshot").cloned().collect::<Vec<_>>();
    assert!(!judge(&policy, &volumes, &other_account).unwrap().denied.is_empty());

    let verdict = judge(&policy, &calls_there, &account(SCANNED, &[], &calls_there)).unwrap();
    let mut repository =
        verdict.authorizations.into_iter().find(|it| it.action == "ecr:BatchGetImage").unwrap();
    let tag = format!("ecr:ResourceTag/{}", tags::SCANNER);
    repository.context.insert(tag, KeyValue::One(tags::FALSE.to_owned()));
    assert!(!policy.allows(&repository).unwrap());
}
