//! Surveys of an account that is made up.

use std::collections::BTreeSet;

use super::*;
use crate::aws::inventory::{Function, Image, Instance};
use crate::aws::{Attachment, VolumeInfo};

/// What there is in an account, and the requests that fail there.
#[derive(Clone, Debug, Default)]
struct Account {
    instances: Vec<Instance>,
    volumes: Vec<VolumeInfo>,
    own: Vec<Image>,
    others: Vec<Image>,
    /// Functions with their tags and the versions that aliases point to.
    functions: Vec<(Function, Tags, Vec<&'static str>)>,
    /// Requests that are denied, by name; one for a single function with its ARN behind a space.
    denied: Vec<String>,
    /// Functions that are no longer there when they are looked at.
    deleted: Vec<&'static str>,
}

impl Account {
    fn answer(&self, call: &'static str) -> Result<&Self, AwsError> {
        let is_denied = self.denied.iter().any(|denied| denied == call);
        if is_denied { Err(AwsError::Denied { call, detail: "no".to_owned() }) } else { Ok(self) }
    }

    fn about(&self, call: &'static str, arn: &str) -> Result<&(Function, Tags, Vec<&'static str>), AwsError> {
        if self.denied.contains(&format!("{call} {arn}")) {
            return Err(AwsError::Denied { call, detail: "no".to_owned() });
        }
        if self.deleted.iter().any(|name| arn.ends_with(name)) {
            return Err(AwsError::NotFound { call, detail: "gone".to_owned() });
        }
        Ok(self.answer(call)?.functions.iter().find(|(function, ..)| function.arn == arn).unwrap())
    }
}

impl Inventory for Account {
    async fn instances(&self) -> Result<Vec<Instance>, AwsError> {
        Ok(self.answer("ec2:DescribeInstances")?.instances.clone())
    }

    async fn attached_volumes(&self) -> Result<Vec<VolumeInfo>, AwsError> {
        Ok(self.answer("ec2:DescribeVolumes")?.volumes.clone())
    }

    async fn own_images(&self) -> Result<Vec<Image>, AwsError> {
        Ok(self.answer("ec2:DescribeImages")?.own.clone())
    }

    async fn images(&self, ids: &BTreeSet<String>) -> Result<Vec<Image>, AwsError> {
        let images = self.answer("ec2:DescribeImages")?.own.iter().chain(&self.others);
        Ok(images.filter(|image| ids.contains(&image.id)).cloned().collect())
    }

    async fn functions(&self) -> Result<Vec<Function>, AwsError> {
        let functions = self.answer("lambda:ListFunctions")?.functions.iter();
        Ok(functions.map(|(function, ..)| function.clone()).collect())
    }

    async fn function_tags(&self, arn: &str) -> Result<Tags, AwsError> {
        Ok(self.about("lambda:ListTags", arn)?.1.clone())
    }

    async fn aliased_versions(&self, arn: &str) -> Result<BTreeSet<String>, AwsError> {
        let (function, _, aliased) = self.about("lambda:ListAliases", arn)?;
        assert!(!function.published.is_empty(), "asked for nothing");
        Ok(aliased.iter().map(|&version| version.to_owned()).collect())
    }
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn opted_out() -> Tags {
    tags(&[(scanner_policy::tags::SCANNER, scanner_policy::tags::FALSE)])
}

/// An instance with its root volume at `/dev/sda`, and these volumes at `/dev/sda`, `/dev/sdb` and so on.
fn instance(id: &str, state: &str, volumes: &[&str]) -> Instance {
    let volumes = ('a'..).zip(volumes).map(|(letter, &id)| (format!("/dev/sd{letter}"), id.to_owned()));
    Instance {
        id: id.to_owned(),
        state: state.to_owned(),
        image: None,
        is_windows: false,
        root_device: Some("/dev/sda".to_owned()),
        volumes: volumes.collect(),
        tags: Tags::new(),
    }
}

fn volume(id: &str, instance: &str, tags: Tags) -> VolumeInfo {
    let attachment = Attachment { instance: instance.to_owned(), device: "/dev/sda".to_owned() };
    VolumeInfo { id: id.to_owned(), tags, attachments: vec![attachment] }
}

fn image(id: &str) -> Image {
    Image {
        id: id.to_owned(),
        state: "available".to_owned(),
        is_windows: false,
        product_codes: Vec::new(),
        has_snapshots: true,
        tags: Tags::new(),
    }
}

const FUNCTIONS: &str = "arn:aws:lambda:eu-central-1:111122223333:function";

fn function(name: &str, published: &[&str]) -> Function {
    let published = published.iter().map(|&version| version.to_owned()).collect();
    Function { arn: format!("{FUNCTIONS}:{name}"), published }
}

fn place(region: &str) -> Place {
    Place { account: "111122223333".to_owned(), region: region.to_owned() }
}

fn everything() -> DiscoverySettings {
    DiscoverySettings { features: Feature::ALL.to_vec(), ..DiscoverySettings::default() }
}

async fn look(account: &Account, settings: &DiscoverySettings) -> Survey {
    survey(account, &place("eu-central-1"), settings).await
}

fn ids(survey: &Survey) -> Vec<&str> {
    survey.targets.iter().map(|target| target.id.rsplit("function:").next().unwrap()).collect()
}

fn skipped(survey: &Survey) -> Vec<(&str, Reason)> {
    let skipped = survey.skipped.iter();
    skipped.map(|it| (it.arn.rsplit(['/', ':']).next().unwrap(), it.reason.clone())).collect()
}

#[tokio::test]
async fn instances_are_found_in_the_states_in_which_their_disks_are() {
    let account = Account {
        instances: vec![
            instance("i-5", "stopped", &["vol-5"]),
            instance("i-1", "running", &["vol-1"]),
            instance("i-2", "pending", &["vol-2"]),
            instance("i-3", "terminated", &[]),
            instance("i-4", "running", &[]),
            Instance { is_windows: true, ..instance("i-6", "running", &["vol-6"]) },
        ],
        ..Account::default()
    };
    let hosts = DiscoverySettings::default();
    let all = look(&account, &hosts).await;
    assert_eq!(ids(&all), ["i-1", "i-5"]);
    assert_eq!(skipped(&all), [("i-4", Reason::NoVolumes), ("i-6", Reason::Windows)]);
    let target = &all.targets[0];
    assert_eq!(target.arn, "arn:aws:ec2:eu-central-1:111122223333:instance/i-1");
    assert_eq!((target.kind, &target.place), (Kind::Instance, &place("eu-central-1")));

    let running = look(&account, &DiscoverySettings { stopped_instances: false, ..hosts }).await;
    assert_eq!(ids(&running), ["i-1"]);
    assert!(skipped(&running).contains(&("i-5", Reason::Stopped)));
}

#[tokio::test]
async fn arns_are_those_of_the_partition() {
    let account = Account {
        instances: vec![instance("i-1", "running", &["vol-1"])],
        own: vec![image("ami-1")],
        ..Account::default()
    };
    for (region, partition) in [("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")] {
        let found = survey(&account, &place(region), &everything()).await;
        let arns: Vec<_> = found.targets.iter().map(|target| target.arn.as_str()).collect();
        let expected = [
            format!("arn:{partition}:ec2:{region}:111122223333:instance/i-1"),
            format!("arn:{partition}:ec2:{region}::image/ami-1"),
        ];
        assert_eq!(arns, expected);
    }
}

#[tokio::test]
async fn who_opts_out_is_left_alone_and_reported() {
    let account = Account {
        instances: vec![
            Instance { tags: opted_out(), ..instance("i-1", "running", &["vol-1"]) },
            instance("i-2", "running", &["vol-2", "vol-3"]),
            instance("i-4", "running", &["vol-4"]),
        ],
        volumes: vec![
            volume("vol-2", "i-2", Tags::new()),
            volume("vol-3", "i-2", opted_out()),
            volume("vol-4", "i-4", opted_out()),
        ],
        own: vec![Image { tags: opted_out(), ..image("ami-1") }],
        functions: vec![(function("bills", &["1"]), opted_out(), vec!["1"])],
        ..Account::default()
    };
    let found = look(&account, &everything()).await;
    assert_eq!(ids(&found), ["i-2"]);
    let expected = [
        ("ami-1", Reason::OptedOut),
        ("i-1", Reason::OptedOut),
        ("i-4", Reason::VolumesOptedOut),
        ("vol-3", Reason::OptedOut),
        ("vol-4", Reason::OptedOut),
        ("bills", Reason::OptedOut),
    ];
    let mut of = skipped(&found);
    of.sort_by_key(|(id, _)| expected.iter().position(|(expected, _)| expected == id));
    assert_eq!(of, expected);
    assert!(found.skipped[0].reason.to_string().contains("DatadogAgentlessScanner=false"));

    // Of the root volume alone, nothing is left out.
    let root = look(&account, &DiscoverySettings { volumes: Volumes::Root, ..everything() }).await;
    assert_eq!(ids(&root), ["i-2"]);
    assert!(!skipped(&root).contains(&("vol-3", Reason::OptedOut)));
}

#[tokio::test]
async fn where_the_root_volume_alone_counts_there_must_be_one() {
    let without =
        Instance { root_device: Some("/dev/xvda".to_owned()), ..instance("i-1", "running", &["vol-1"]) };
    let account = Account { instances: vec![without], ..Account::default() };
    let root = DiscoverySettings { volumes: Volumes::Root, ..DiscoverySettings::default() };
    assert_eq!(skipped(&look(&account, &root).await), [("i-1", Reason::NoRootVolume)]);
    assert_eq!(ids(&look(&account, &DiscoverySettings::default()).await), ["i-1"]);
}

#[tokio::test]
async fn images_are_owned_or_used() {
    let of = |id: &str, state: &str, image: &str| Instance {
        image: Some(image.to_owned()),
        ..instance(id, state, &["vol-1"])
    };
    let account = Account {
        instances: vec![
            of("i-1", "running", "ami-own"),
            of("i-2", "stopped", "ami-other"),
            of("i-3", "terminated", "ami-past"),
            of("i-4", "running", "ami-gone"),
        ],
        own: vec![image("ami-unused"), image("ami-own")],
        others: vec![image("ami-other"), image("ami-past")],
        ..Account::default()
    };
    for (owned_images, used_images, expected) in [
        (true, true, &["ami-other", "ami-own", "ami-unused"][..]),
        (true, false, &["ami-own", "ami-unused"]),
        (false, true, &["ami-other", "ami-own"]),
        (false, false, &[]),
    ] {
        let features = vec![Feature::Images];
        let settings =
            DiscoverySettings { features, owned_images, used_images, ..DiscoverySettings::default() };
        let found = look(&account, &settings).await;
        assert_eq!((ids(&found), found.skipped.len()), (expected.to_vec(), 0));
    }
    // Who uses them need not be known where it does not matter.
    let account = Account { denied: vec!["ec2:DescribeInstances".to_owned()], ..account };
    let settings = DiscoverySettings { features: vec![Feature::Images], used_images: false, ..everything() };
    assert_eq!(look(&account, &settings).await.errors, []);
}

#[tokio::test]
async fn images_that_cannot_be_copied_are_reported() {
    let account = Account {
        own: vec![
            Image { product_codes: vec!["abc".to_owned()], ..image("ami-1") },
            Image { state: "failed".to_owned(), ..image("ami-2") },
            Image { state: "pending".to_owned(), ..image("ami-3") },
            Image { has_snapshots: false, ..image("ami-4") },
            Image { is_windows: true, ..image("ami-5") },
        ],
        ..Account::default()
    };
    let found = look(&account, &everything()).await;
    assert_eq!(ids(&found), [""; 0]);
    let expected = [
        ("ami-1", Reason::ProductCode("abc".to_owned())),
        ("ami-2", Reason::State("failed".to_owned())),
        ("ami-4", Reason::NoVolumes),
        ("ami-5", Reason::Windows),
    ];
    assert_eq!(skipped(&found), expected);
}

#[tokio::test]
async fn of_functions_the_versions_in_use_are_found() {
    let prod = || tags(&[("env", "prod")]);
    let account = Account {
        functions: vec![
            (function("orders", &["1", "2", "3"]), prod(), vec!["2", "$LATEST", "9"]),
            (function("bills", &[]), prod(), vec![]),
            (function("gone", &["1"]), prod(), vec!["1"]),
        ],
        deleted: vec!["gone"],
        ..Account::default()
    };
    let found = look(&account, &everything()).await;
    assert_eq!(ids(&found), ["bills:$LATEST", "orders:$LATEST", "orders:2"]);
    assert!(found.skipped.is_empty() && found.errors.is_empty());
    let target = &found.targets[2];
    assert_eq!((target.arn.as_str(), &target.id), (&*format!("{FUNCTIONS}:orders:2"), &target.arn));
    assert_eq!((target.kind, &target.tags), (Kind::Function, &prod()));
}

#[tokio::test]
async fn tags_choose_among_all_kinds() {
    let prod = || tags(&[("env", "prod")]);
    let account = Account {
        instances: vec![
            Instance { tags: prod(), ..instance("i-1", "running", &["vol-1"]) },
            instance("i-2", "running", &["vol-2"]),
        ],
        own: vec![image("ami-1"), Image { tags: prod(), ..image("ami-2") }],
        functions: vec![
            (function("bills", &[]), Tags::new(), vec![]),
            (function("orders", &[]), prod(), vec![]),
        ],
        ..Account::default()
    };
    let settings = |include: Tags, exclude: Tags| DiscoverySettings {
        tags: TagSelection { include, exclude },
        ..everything()
    };
    let included = look(&account, &settings(prod(), Tags::new())).await;
    assert_eq!(ids(&included), ["i-1", "ami-2", "orders:$LATEST"]);
    let reasons: BTreeSet<_> = included.skipped.iter().map(|skipped| skipped.reason.to_string()).collect();
    assert_eq!((included.skipped.len(), reasons.len()), (3, 1));
    let excluded = look(&account, &settings(Tags::new(), tags(&[("env", ANY)]))).await;
    assert_eq!(ids(&excluded), ["i-2", "ami-1", "bills:$LATEST"]);
}

#[tokio::test]
async fn a_part_that_fails_costs_itself_alone_and_names_the_permission() {
    let account = Account {
        instances: vec![instance("i-1", "running", &["vol-1"])],
        own: vec![image("ami-1")],
        functions: vec![(function("orders", &["1"]), Tags::new(), vec!["1"])],
        ..Account::default()
    };
    for (call, left, failed) in [
        ("ec2:DescribeInstances", &["orders:$LATEST", "orders:1"][..], &[Kind::Instance, Kind::Image][..]),
        ("ec2:DescribeVolumes", &["ami-1", "orders:$LATEST", "orders:1"], &[Kind::Instance]),
        ("ec2:DescribeImages", &["i-1", "orders:$LATEST", "orders:1"], &[Kind::Image]),
        ("lambda:ListFunctions", &["i-1", "ami-1"], &[Kind::Function]),
        ("lambda:ListTags", &["i-1", "ami-1"], &[Kind::Function]),
        ("lambda:ListAliases", &["i-1", "ami-1"], &[Kind::Function]),
    ] {
        let found = look(&Account { denied: vec![call.to_owned()], ..account.clone() }, &everything()).await;
        assert_eq!(ids(&found), left, "{call}");
        assert_eq!(found.skipped, [], "{call}");
        assert_eq!(found.errors.iter().map(|error| error.kind).collect::<Vec<_>>(), failed, "{call}");
        let told = found.errors[0].to_string();
        assert!(told.contains(&format!("{call} is not allowed")), "{told}");
        assert!(told.contains("111122223333/eu-central-1"), "{told}");
    }
}

#[tokio::test]
async fn a_function_that_is_denied_costs_itself_alone() {
    let account = Account {
        functions: vec![
            (function("bills", &[]), Tags::new(), vec![]),
            (function("orders", &[]), Tags::new(), vec![]),
        ],
        denied: vec![format!("lambda:ListTags {FUNCTIONS}:bills")],
        ..Account::default()
    };
    let found = look(&account, &everything()).await;
    assert_eq!((ids(&found), found.errors.len()), (vec!["orders:$LATEST"], 0));
    assert!(found.skipped[0].reason.to_string().contains("lambda:ListTags"), "{:?}", found.skipped);
}
