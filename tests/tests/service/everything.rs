//! Everything at once: two accounts and two regions, all features, all sinks, secrets, tasks and hooks, with exactly the permissions
//! of the generated policies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use agentless_service::board::{Outcome, View};
use agentless_tests::intake::{self, Intake};
use agentless_tests::judge::{self, Account, Disk, Policy};
use agentless_tests::local_aws::{
    self, ACCOUNT, Call, Effect, Fault, FunctionCode, Hold, LocalAws, RunningInstance,
};
use agentless_tests::service::{Machine, Service, eventually};
use aws_config::{Region, SdkConfig};
use aws_sdk_ec2::types::Filter;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use scanner_policy::{DelegateScope, Feature, PolicyDocument, ReportStore, ServiceAccess, tags};
use serde_json::json;

use crate::scene::{LISTS, NOBODY, Scene, claim, configure, image};

const REGION: &str = "sa-east-1";
const OTHER_REGION: &str = "ca-central-1";
const OTHER: &str = "444455556666";
const ROLE: &str = "arn:aws:iam::444455556666:role/delegate";
const BUCKET: &str = "package-lists";
const REPORT_KEY: &str = "arn:aws:kms:sa-east-1:123456789012:key/0000aaaa-12ab-34cd-56ef-1234567890ab";
const SECRET_KEY: &str = "arn:aws:kms:sa-east-1:123456789012:key/1111bbbb-12ab-34cd-56ef-1234567890ab";

/// A region of an account, with an instance.
struct Place {
    account: &'static str,
    region: &'static str,
    config: SdkConfig,
    instance: RunningInstance,
}

/// An image, and functions: one of Python with a layer, and one of a container image.
struct Others {
    image: String,
    snapshot: String,
    functions: [String; 2],
}

/// What there is to scan, and what it is reported with.
struct Everything {
    scene: Scene,
    /// Every region of every account.
    places: [Place; 4],
    /// Of the scanner's account in its region, and of the other account in the other region.
    others: [Others; 2],
    secrets: [String; 2],
}

impl Everything {
    async fn new() -> Self {
        let scene = Scene::new(REGION).await;
        claim(OTHER_REGION);
        let aws = &scene.aws;
        let harness = aws.harness_sdk_config();
        let other = aws.sdk_config_of(OTHER).await.expect("the other account");
        let iam = aws_sdk_iam::Client::new(&other);
        let role = iam.create_role().role_name("delegate").assume_role_policy_document(NOBODY);
        role.send().await.expect("a delegate role");
        let places = [
            Place {
                account: ACCOUNT,
                region: REGION,
                instance: scene.instance.clone(),
                config: harness.clone(),
            },
            Place::new(aws, ACCOUNT, OTHER_REGION, &harness).await,
            Place::new(aws, OTHER, REGION, &other).await,
            Place::new(aws, OTHER, OTHER_REGION, &other).await,
        ];
        let [own, _, _, far] = &places;
        let others = [Others::new(aws, own).await, Others::new(aws, far).await];
        let mut secrets = Vec::new();
        for (name, value) in [("api-key", intake::API_KEY), ("authorization", intake::AUTHORIZATION)] {
            secrets.push(secret(aws, name, value).await);
        }
        make_bucket(aws, BUCKET, REGION).await;
        let secrets = secrets.try_into().expect("two");
        Self { scene, places, others, secrets }
    }

    /// Each target has one of these in its ARN.
    fn targets(&self) -> Vec<&str> {
        let instances = self.places.iter().map(|place| place.instance.instance_id.as_str());
        let images = self.others.iter().map(|others| others.image.as_str());
        instances.chain(images).chain(self.functions()).collect()
    }

    fn functions(&self) -> impl Iterator<Item = &str> {
        self.others.iter().flat_map(|others| &others.functions).map(String::as_str)
    }

    fn keys(&self, intake: &Intake, tasks: &Path) -> String {
        let [api_key, authorization] = &self.secrets;
        format!(
            "regions: [{REGION}, {OTHER_REGION}]
accounts: [{{delegate_role_arn: \"{ROLE}\", external_id: agreed-id}}]
features: [hosts, images, functions]
images: {{used: false}}
incremental: true
tasks: {{file: {}, poll_seconds: 1}}
lifecycle: {{group: workers, launch_hook: launched, termination_hook: to-be-terminated}}
sinks:
  s3: {{bucket: {BUCKET}, prefix: sbom/, kms_key_arn: \"{REPORT_KEY}\"}}
  datadog: {{api_key: \"ENC[{api_key}]\", url: \"{}\", env: test}}
  https: {{url: \"{}\", authorization: \"ENC[{authorization}]\"}}
",
            tasks.display(),
            intake.url(),
            intake.lists_url(),
        )
    }

    /// Both roles' policies, as the provider makes them: the scanner's, and that of the delegate.
    fn policies(&self) -> [Policy; 2] {
        let home = REGION.parse().expect("a region");
        let scope = |account: &str| DelegateScope {
            regions: [REGION, OTHER_REGION].map(|region| region.parse().expect("a region")).into(),
            account: account.parse().expect("an account"),
            kms_keys: Vec::new(),
        };
        let service = ServiceAccess {
            delegate_roles: vec![ROLE.parse().expect("a role")],
            secrets: self.secrets.iter().map(|secret| secret.parse().expect("a secret")).collect(),
            secret_kms_keys: vec![SECRET_KEY.parse().expect("a key")],
            scaling_groups: vec!["workers".parse().expect("a group")],
            reports: Some(ReportStore {
                bucket: BUCKET.parse().expect("a bucket"),
                prefix: "sbom/".parse().expect("a prefix"),
                kms_key: Some(REPORT_KEY.parse().expect("a key")),
            }),
        };
        let (own, other) = (scope(ACCOUNT), scope(OTHER));
        let own = PolicyDocument::for_scanner_of_regions(&home, &own, Feature::OF_ROLES, &service);
        let other = PolicyDocument::for_delegate(&other, Feature::OF_ROLES);
        [own, other].map(|policy| Policy::from_json(&policy.expect("a policy").to_json()).expect("a policy"))
    }

    /// What AWS knows of an account, as if its disks and secrets were encrypted: the local AWS checks no keys.
    fn account(&self, id: &str, calls: &[Call]) -> Account {
        let disk = |region: &str| {
            let key = format!("arn:aws:kms:{region}:{id}:key/1234abcd-12ab-34cd-56ef-1234567890ab");
            Disk { kms_key: Some(key), ..Disk::default() }
        };
        let volumes = self.places.iter().filter(|place| place.account == id);
        let [own, far] = &self.others;
        let others = if id == ACCOUNT { (own, REGION) } else { (far, OTHER_REGION) };
        let account = Account {
            id: id.to_owned(),
            volumes: volumes.map(|it| (it.instance.volume_id.clone(), disk(it.region))).collect(),
            snapshots: [(others.0.snapshot.clone(), disk(others.1))].into(),
            functions: others.0.functions.iter().map(|it| (it.clone(), BTreeMap::new())).collect(),
            secret_keys: self.secrets.iter().map(|it| (it.clone(), SECRET_KEY.to_owned())).collect(),
            images: BTreeMap::new(),
        };
        account.with_snapshots_of(calls)
    }

    /// The snapshots of scanners that there are anywhere.
    async fn snapshots(&self) -> usize {
        let mut count = 0;
        for place in &self.places {
            let tagged = Filter::builder().name("tag-key").values(tags::SCANNER).build();
            let ec2 = aws_sdk_ec2::Client::new(&place.config);
            let found = ec2.describe_snapshots().owner_ids("self").filters(tagged).send().await;
            count += found.expect("snapshots").snapshots().len();
        }
        count
    }

    /// Waits until every target has a list in every sink.
    async fn until_all_is_listed(&self, machine: &Machine, intake: &Intake) {
        let all = self.targets().len();
        let arrived = async || {
            let objects = s3(&self.scene.aws).list_objects_v2().bucket(BUCKET).prefix("sbom/");
            let counts = [
                machine.lists(LISTS).ok()?.len(),
                objects.send().await.ok()?.contents().len(),
                intake.known().len(),
                intake.lists().len(),
            ];
            counts.iter().all(|count| *count >= all).then_some(())
        };
        eventually("every sink has every list", arrived).await.expect("lists");
    }
}

impl Place {
    async fn new(aws: &LocalAws, account: &'static str, region: &'static str, of: &SdkConfig) -> Self {
        let config = of.to_builder().region(Region::new(region)).build();
        let instance = aws.run_instance_of(&config, image().await, true).await.expect("an instance");
        Self { account, region, config, instance }
    }
}

impl Others {
    async fn new(aws: &LocalAws, place: &Place) -> Self {
        let (config, account) = (&place.config, place.account);
        let volume = &place.instance.volume_id;
        let (image, snapshot) = local_aws::image_of_volume(config, volume, &[]).await.expect("an image");
        let zip = || package("code.zip", &ZIP);
        let layer = local_aws::publish_layer(config, "tools", zip()).await.expect("a layer");
        let name = format!("orders-{account}");
        let code = FunctionCode::Python(zip());
        let python = local_aws::create_function(config, &name, code, &[layer], &[]).await;
        local_aws::publish_function(config, &name, "live").await.expect("a version in use");
        let layer = package("layer.tar.gz", &TAR).into();
        let code = aws.push_image_to((account, place.region), "team/orders", &[layer]);
        let (code, name) = (FunctionCode::Image(code), format!("orders-image-{account}"));
        let container = local_aws::create_function(config, &name, code, &[], &[]).await;
        let functions = [python, container].map(|function| function.expect("a function"));
        Self { image, snapshot, functions }
    }
}

#[tokio::test]
async fn promise_3_everything_at_once_takes_exactly_the_permissions_of_the_policies() {
    let everything = Box::pin(Everything::new()).await;
    let (scene, intake) = (&everything.scene, Intake::start().await.unwrap());
    let metadata = scene.metadata().await;
    metadata.set_target_state("InService");
    let machine = Machine::instance(&scene.aws, &metadata).unwrap();
    let tasks = machine.path("tasks.json");
    configure(&machine, &everything.keys(&intake, &tasks));
    scene.aws.clear_calls();

    // The functions are asked for by tasks, the others by the status interface.
    let mut service = machine.ready().await.unwrap();
    let asked: Vec<_> = everything.functions().map(|arn| json!({"type": "lambda", "arn": arn})).collect();
    let batch = json!({"type": "aws-scan", "roles": [ROLE], "tasks": asked});
    std::fs::write(&tasks, batch.to_string()).unwrap();
    for target in everything.targets() {
        if !target.contains(":function:") {
            service = service.order(target).await.unwrap();
        }
    }
    let service = until_complete(service, &everything.targets()).await;
    everything.until_all_is_listed(&machine, &intake).await;
    assert_eq!(intake.problems(), [""; 0]);
    // Of each account one instance is scanned once more: what has changed is asked for.
    let [own, _, _, far] = &everything.places;
    let (service, last) = service.scan(&own.instance.instance_id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Complete, "{last:?}");
    let (service, last) = service.scan(&far.instance.instance_id).await.unwrap();
    assert_eq!(last.outcome, Outcome::Complete, "{last:?}");
    let view = service.view().await.unwrap();
    assert!(view.health.healthy && view.problems.is_empty(), "{:?}", view.problems);
    assert_eq!(
        everything.snapshots().await,
        4,
        "those that are kept for the next scan, of each instance one"
    );

    let replace = || metadata.set_target_state("Terminated");
    let log = end_during_a_scan(service, scene, &own.instance.instance_id, replace).await;
    assert_eq!(everything.snapshots().await, 0, "{log}");
    assert_eq!(scene.left().await, [""; 0], "{log}");
    scene.aws.assert_no_unimplemented();
    judge_calls(&everything);
}

/// Has the instance replaced while a scan goes on, which takes long enough for the hook to be asked for more time. What the service
/// logged.
async fn end_during_a_scan(
    service: Service,
    scene: &Scene,
    instance: &str,
    replace: impl FnOnce(),
) -> String {
    let hold = Hold::new();
    // A question: it takes up to 30 seconds until more time is asked for, and what is held for longer than that is asked again.
    scene.aws.inject(Fault::on("ebs", "ListChangedBlocks", Effect::HoldRequest(hold.clone())));
    let service = service.order(instance).await.expect("a scan");
    hold.reached().await;
    replace();
    let asked = || async { scene.told().contains(&"to-be-terminated heartbeat".to_owned()).then_some(()) };
    eventually("it asks for more time", asked).await.expect("a heartbeat");
    hold.release();
    let finished = service.wait().await.expect("it ends");
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    for secret in [intake::API_KEY, intake::AUTHORIZATION] {
        assert!(!finished.stderr.contains(secret), "a secret is in the log");
    }
    let told = scene.told();
    assert_eq!(told.first().map(String::as_str), Some("launched CONTINUE"));
    assert_eq!(told.last().map(String::as_str), Some("to-be-terminated CONTINUE"));
    finished.stderr
}

async fn until_complete(service: Service, targets: &[&str]) -> Service {
    let complete = |view: &View| {
        let has = |part: &&str| {
            let of_target = |arn: &str| arn.contains(*part);
            view.results.iter().any(|it| of_target(&it.target.arn) && it.outcome == Outcome::Complete)
        };
        targets.iter().all(has).then_some(())
    };
    service.until("every target is scanned", complete).await.expect("scans").0
}

/// Each account's requests are allowed by its role's policy, and each grant of either policy was needed.
fn judge_calls(everything: &Everything) {
    let (of_other, own): (Vec<Call>, Vec<Call>) =
        everything.scene.aws.calls().into_iter().partition(|call| {
            call.principal.as_ref().is_some_and(|principal| principal.role_arn.as_deref() == Some(ROLE))
        });
    let all: Vec<&Call> = of_other.iter().chain(&own).collect();
    let refused: Vec<String> = all
        .iter()
        .filter(|call| !confirms_a_deletion(call, &all))
        .filter_map(|call| {
            Some(format!("{} {} {:?}", call.permission(), call.error_code.as_deref()?, call.parameters))
        })
        .collect();
    assert_eq!(refused, [""; 0]);

    for (policy, (id, calls)) in everything.policies().iter().zip([(ACCOUNT, &own), (OTHER, &of_other)]) {
        let regions = calls.iter().map(|call| call.region.as_str());
        // By a presigned URL one asks without saying where.
        let regions: BTreeSet<&str> = regions.filter(|region| !region.is_empty()).collect();
        assert_eq!(regions, [REGION, OTHER_REGION].into());
        let verdict = judge::judge(policy, calls, &everything.account(id, calls)).expect("known calls");
        assert_eq!(verdict.denied, [], "{id}");
        assert_eq!(verdict.needless, [""; 0], "{id}");
        assert_eq!(policy.needless_grants(&verdict.authorizations).expect("grants"), [""; 0], "{id}");
    }
    let assumed = own.iter().find(|call| call.action == "AssumeRole").expect("a role was assumed");
    assert_eq!(assumed.parameters.get("ExternalId").map(String::as_str), Some("agreed-id"));
}

/// Whether a call found nothing where nothing should be any more: the sweep looks whether what it deleted is gone.
fn confirms_a_deletion(call: &Call, all: &[&Call]) -> bool {
    let snapshot = call.parameters.get("SnapshotId.1");
    let is_deletion = |other: &&&Call| {
        other.action == "DeleteSnapshot"
            && other.status == Some(200)
            && other.sequence < call.sequence
            && other.parameters.get("SnapshotId") == snapshot
    };
    call.permission() == "ec2:DescribeSnapshots"
        && call.error_code.as_deref() == Some("InvalidSnapshot.NotFound")
        && snapshot.is_some()
        && all.iter().any(|other| is_deletion(&other))
}

async fn secret(aws: &LocalAws, name: &str, value: &str) -> String {
    let client = aws_sdk_secretsmanager::Client::new(&aws.harness_sdk_config());
    let created = client.create_secret().name(name).secret_string(value).send().await.expect("a secret");
    created.arn().expect("its ARN").to_owned()
}

/// Makes a bucket, as its owner would.
pub(crate) async fn make_bucket(aws: &LocalAws, name: &str, region: &str) {
    let place = BucketLocationConstraint::from(region);
    let place = CreateBucketConfiguration::builder().location_constraint(place).build();
    let bucket = s3(aws).create_bucket().bucket(name).create_bucket_configuration(place);
    bucket.send().await.expect("a bucket");
}

/// S3 behind the service's back.
pub(crate) fn s3(aws: &LocalAws) -> aws_sdk_s3::Client {
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
