//! Everything at once: two accounts, all features, all sinks, secrets, tasks and hooks, with exactly the permissions of the
//! generated policies.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use agentless_service::board::{Outcome, View};
use agentless_tests::intake::{self, Intake};
use agentless_tests::judge::{self, Account, Disk, Policy};
use agentless_tests::local_aws::{ACCOUNT, Call, FunctionCode, LocalAws, RunningInstance};
use agentless_tests::service::{Machine, eventually};
use aws_sdk_ec2::types::Filter;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use scanner_policy::{
    DelegateScope, Feature, KmsKeyArn, PolicyDocument, ReportStore, Scope, ServiceAccess, tags,
};
use serde_json::json;

use crate::scene::{LISTS, NOBODY, Scene, configure, image};

const REGION: &str = "sa-east-1";
const OTHER: &str = "444455556666";
const ROLE: &str = "arn:aws:iam::444455556666:role/delegate";
const BUCKET: &str = "package-lists";
const FEATURES: [Feature; 3] = [Feature::Hosts, Feature::Images, Feature::Functions];
/// What a run does not need in which everything goes well and quickly.
const FOR_LATER: [&str; 1] = ["autoscaling:RecordLifecycleActionHeartbeat"];

/// What there is to scan, and what it is reported with.
struct Everything {
    scene: Scene,
    of_other: RunningInstance,
    image: String,
    snapshot: String,
    /// One of Python with a layer, and one of a container image.
    functions: [String; 2],
    secrets: [String; 2],
}

impl Everything {
    async fn new() -> Self {
        let scene = Scene::new(REGION).await;
        let aws = &scene.aws;
        let other = aws.sdk_config_of(OTHER).await.expect("the other account");
        let of_other = aws.run_instance_of(&other, image().await, true).await.expect("an instance");
        let iam = aws_sdk_iam::Client::new(&other);
        let role = iam.create_role().role_name("delegate").assume_role_policy_document(NOBODY);
        role.send().await.expect("a delegate role");
        let volume = &scene.instance.volume_id;
        let (image, snapshot) = aws.image_of_volume(volume, &[]).await.expect("an image");
        let layer = aws.publish_layer("tools", package("code.zip", &ZIP)).await.expect("a layer");
        let code = FunctionCode::Python(package("code.zip", &ZIP));
        let python = aws.create_function("orders", code, &[layer], &[]).await.expect("a function");
        aws.publish_function("orders", "live").await.expect("a version in use");
        let code = aws.push_image("team/orders", &[package("layer.tar.gz", &TAR).into()]);
        let code = FunctionCode::Image(code);
        let container = aws.create_function("orders-image", code, &[], &[]).await.expect("a function");
        let mut secrets = Vec::new();
        for (name, value) in [("api-key", intake::API_KEY), ("authorization", intake::AUTHORIZATION)] {
            secrets.push(secret(aws, name, value).await);
        }
        let place = BucketLocationConstraint::from(REGION);
        let place = CreateBucketConfiguration::builder().location_constraint(place).build();
        let bucket = s3(aws).create_bucket().bucket(BUCKET).create_bucket_configuration(place);
        bucket.send().await.expect("a bucket");
        let secrets = secrets.try_into().expect("two");
        Self { scene, of_other, image, snapshot, functions: [python, container], secrets }
    }

    /// Each target has one of these in its ARN.
    fn targets(&self) -> [&str; 5] {
        let [python, container] = &self.functions;
        [&self.scene.instance.instance_id, &self.of_other.instance_id, &self.image, python, container]
    }

    fn keys(&self, intake: &Intake, tasks: &Path) -> String {
        let [api_key, authorization] = &self.secrets;
        format!(
            "regions: [{REGION}]
accounts: [{{delegate_role_arn: \"{ROLE}\", external_id: agreed-id}}]
features: [hosts, images, functions]
images: {{used: false}}
tasks: {{file: {}, poll_seconds: 1}}
lifecycle: {{group: workers, launch_hook: launched, termination_hook: to-be-terminated}}
sinks:
  s3: {{bucket: {BUCKET}, prefix: sbom/}}
  datadog: {{api_key: \"ENC[{api_key}]\", url: \"{}\", env: test}}
  https: {{url: \"{}\", authorization: \"ENC[{authorization}]\"}}
",
            tasks.display(),
            intake.url(),
            intake.lists_url(),
        )
    }

    /// The policy of the scanner's role.
    fn own_policy(&self) -> Policy {
        let scope = Scope {
            region: REGION.parse().expect("a region"),
            account: ACCOUNT.parse().expect("an account"),
            kms_keys: Vec::new(),
        };
        let service = ServiceAccess {
            delegate_roles: vec![ROLE.parse().expect("a role")],
            secrets: self.secrets.iter().map(|secret| secret.parse().expect("a secret")).collect(),
            secret_kms_keys: Vec::<KmsKeyArn>::new(),
            scaling_groups: vec!["workers".parse().expect("a group")],
            reports: Some(ReportStore {
                bucket: BUCKET.parse().expect("a bucket"),
                prefix: "sbom/".parse().expect("a prefix"),
                kms_key: None,
            }),
        };
        let document = PolicyDocument::for_scanner_service(&scope, &FEATURES, &service).expect("a policy");
        Policy::from_json(&document.to_json()).expect("a policy")
    }

    /// What AWS knows of an account, as if its disks were encrypted: the local AWS checks no keys.
    fn account(&self, id: &str, volume: &str, calls: &[Call]) -> Account {
        let key = format!("arn:aws:kms:{REGION}:{id}:key/1234abcd-12ab-34cd-56ef-1234567890ab");
        let disk = Disk { kms_key: Some(key), ..Disk::default() };
        let account = Account {
            id: id.to_owned(),
            volumes: [(volume.to_owned(), disk.clone())].into(),
            snapshots: [(self.snapshot.clone(), disk)].into(),
            functions: self.functions.iter().map(|function| (function.clone(), BTreeMap::new())).collect(),
        };
        account.with_snapshots_of(calls)
    }
}

#[tokio::test]
async fn everything_at_once_with_exactly_the_permissions_of_the_policies() {
    let everything = Everything::new().await;
    let (scene, intake) = (&everything.scene, Intake::start().await.unwrap());
    let metadata = scene.metadata().await;
    metadata.set_target_state("InService");
    let machine = Machine::instance(&scene.aws, &metadata).unwrap();
    let tasks = machine.path("tasks.json");
    configure(&machine, &everything.keys(&intake, &tasks));
    scene.aws.clear_calls();

    // The functions are asked for by tasks, the others by the status interface.
    let mut service = machine.ready().await.unwrap();
    let asked: Vec<_> =
        everything.functions.iter().map(|arn| json!({"type": "lambda", "arn": arn})).collect();
    let batch = json!({"type": "aws-scan", "roles": [ROLE], "tasks": asked});
    std::fs::write(&tasks, batch.to_string()).unwrap();
    for target in &everything.targets()[..3] {
        service = service.order(target).await.unwrap();
    }
    let complete = |view: &View| {
        let has = |part: &&str| {
            let of_target = |arn: &str| arn.contains(*part);
            view.results.iter().any(|it| of_target(&it.target.arn) && it.outcome == Outcome::Complete)
        };
        everything.targets().iter().all(has).then_some(())
    };
    let (service, ()) = service.until("every target is scanned", complete).await.unwrap();
    let arrived = async || {
        let objects = s3(&scene.aws).list_objects_v2().bucket(BUCKET).prefix("sbom/").send().await.ok()?;
        let counts = [
            machine.lists(LISTS).ok()?.len(),
            objects.contents().len(),
            intake.known().len(),
            intake.lists().len(),
        ];
        counts.iter().all(|count| *count >= 5).then_some(())
    };
    eventually("every sink has every list", arrived).await.unwrap();
    assert_eq!(intake.problems(), [""; 0]);
    let view = service.view().await.unwrap();
    assert!(view.health.healthy && view.problems.is_empty(), "{:?}", view.problems);

    metadata.set_target_state("Terminated");
    let finished = service.wait().await.unwrap();
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    for secret in [intake::API_KEY, intake::AUTHORIZATION] {
        assert!(!finished.stderr.contains(secret), "a secret is in the log");
    }
    assert_eq!(scene.told(), ["launched CONTINUE", "to-be-terminated CONTINUE"]);
    assert_eq!(scene.left().await, [""; 0]);
    assert_eq!(snapshots_of_other(&scene.aws).await, 0);
    scene.aws.assert_no_unimplemented();
    judge_calls(&everything);
}

/// Each account's requests are allowed by its role's policy, and each action of it was needed.
fn judge_calls(everything: &Everything) {
    let (of_other, own): (Vec<Call>, Vec<Call>) =
        everything.scene.aws.calls().into_iter().partition(|call| {
            call.principal.as_ref().is_some_and(|principal| principal.role_arn.as_deref() == Some(ROLE))
        });
    let refused: Vec<String> = of_other
        .iter()
        .chain(&own)
        .filter_map(|call| Some(format!("{} {}", call.permission(), call.error_code.as_deref()?)))
        .filter(|refused| refused.contains("Denied") || refused.contains("Unauthorized"))
        .collect();
    assert_eq!(refused, [""; 0]);

    let volume = &everything.scene.instance.volume_id;
    let account = everything.account(ACCOUNT, volume, &own);
    let verdict = judge::judge(&everything.own_policy(), &own, &account).expect("known calls");
    assert_eq!(verdict.denied, []);
    assert_eq!(verdict.needless, FOR_LATER);
    let assumed = own.iter().find(|call| call.action == "AssumeRole").expect("a role was assumed");
    assert_eq!(assumed.parameters.get("ExternalId").map(String::as_str), Some("agreed-id"));

    let scope = DelegateScope {
        regions: vec![REGION.parse().expect("a region")],
        account: OTHER.parse().expect("an account"),
        kms_keys: Vec::new(),
    };
    let policy = PolicyDocument::for_delegate(&scope, &FEATURES).expect("a policy");
    let policy = Policy::from_json(&policy.to_json()).expect("a policy");
    let account = everything.account(OTHER, &everything.of_other.volume_id, &of_other);
    let verdict = judge::judge(&policy, &of_other, &account).expect("known calls");
    assert_eq!(verdict.denied, []);
    assert!(verdict.authorizations.iter().any(|check| check.action == "ec2:CreateSnapshot"));
}

async fn snapshots_of_other(aws: &LocalAws) -> usize {
    let config = aws.sdk_config_of(OTHER).await.expect("the other account");
    let tagged = Filter::builder().name("tag-key").values(tags::SCANNER).build();
    let ec2 = aws_sdk_ec2::Client::new(&config);
    let found = ec2.describe_snapshots().owner_ids("self").filters(tagged).send().await;
    found.expect("snapshots").snapshots().len()
}

async fn secret(aws: &LocalAws, name: &str, value: &str) -> String {
    let client = aws_sdk_secretsmanager::Client::new(&aws.harness_sdk_config());
    let created = client.create_secret().name(name).secret_string(value).send().await.expect("a secret");
    created.arn().expect("its ARN").to_owned()
}

fn s3(aws: &LocalAws) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(&aws.harness_sdk_config()).force_path_style(true);
    aws_sdk_s3::Client::from_conf(config.build())
}

/// One package of Python, packed by the native tool.
fn package(name: &str, command: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let package = folder.path().join("requests-2.32.3.dist-info");
    std::fs::create_dir(&package).expect("a folder");
    let metadata = "Metadata-Version: 2.1\nName: requests\nVersion: 2.32.3\n";
    std::fs::write(package.join("METADATA"), metadata).expect("a file");
    let [program, arguments @ ..] = command else { panic!("no program") };
    let mut pack = Command::new(program);
    pack.args(arguments).args([name, "requests-2.32.3.dist-info"]);
    assert!(pack.current_dir(folder.path()).status().expect("it starts").success());
    std::fs::read(folder.path().join(name)).expect("what was packed")
}

const ZIP: [&str; 4] = ["python3", "-m", "zipfile", "-c"];
const TAR: [&str; 2] = ["tar", "-czf"];
