//! A region of its own for each test, with images, groups and the verbs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use agentless_tests::judge::{Account, Disk};
use agentless_tests::local_aws::{ACCOUNT, LocalAws, Options};
use agentless_tests::process::{Finished, Program};
use agentless_tests::programs;
use aws_sdk_autoscaling::types::{DesiredConfiguration, LaunchTemplateSpecification};
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, EbsBlockDevice, InstanceType,
    LaunchTemplateTagSpecificationRequest, RequestLaunchTemplateData, ResourceType, Tag, TagSpecification,
};
use aws_sdk_ec2::types::{ImdsSupportValues, InstanceMetadataOptionsRequest};
use scanner_policy::tags;
use time::OffsetDateTime;
use time::macros::format_description;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

pub(crate) const CANDIDATE: &str = "/agentless-scanner/image/arm64/candidate";
pub(crate) const CURRENT: &str = "/agentless-scanner/image/arm64/current";
pub(crate) const PREVIOUS: &str = "/agentless-scanner/image/arm64/previous";
const GROUP: &str = "scanner";

/// One region.
pub(crate) struct Scene {
    pub(crate) aws: LocalAws,
    pub(crate) ec2: aws_sdk_ec2::Client,
    pub(crate) scaling: aws_sdk_autoscaling::Client,
    ssm: aws_sdk_ssm::Client,
}

/// An image to be registered.
#[derive(Clone, Copy)]
pub(crate) struct New<'a> {
    pub(crate) days: i64,
    pub(crate) architecture: &'a str,
    pub(crate) is_ours: bool,
    pub(crate) is_encrypted: bool,
    pub(crate) imds: bool,
    pub(crate) tags: &'a [(&'a str, &'a str)],
}

pub(crate) const GOOD: New<'_> = New {
    days: 0,
    architecture: "arm64",
    is_ours: true,
    is_encrypted: true,
    imds: true,
    tags: &[(tags::IMAGE_VERSION, "1.2.3")],
};

impl Scene {
    /// Each test names another region: nothing of one is seen in another.
    pub(crate) async fn new(region: &'static str) -> Self {
        static AWS: OnceCell<LocalAws> = OnceCell::const_new();
        let start = || async { LocalAws::start(Options::default()).await.expect("the local AWS starts") };
        let shared = AWS.get_or_init(start).await;
        let aws = shared.share(Options { region, ..Options::default() }).expect("another local AWS");
        let config = aws.harness_sdk_config();
        Self {
            ec2: aws_sdk_ec2::Client::new(&config),
            scaling: aws_sdk_autoscaling::Client::new(&config),
            ssm: aws_sdk_ssm::Client::new(&config),
            aws,
        }
    }

    /// Runs `agentless-scanner image` with these arguments.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Finished {
        let mut environment = self.aws.environment();
        let nowhere = ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"];
        environment.extend(nowhere.map(|name| (name, "/dev/null".to_owned())));
        environment.push(("AWS_EC2_METADATA_DISABLED", "true".to_owned()));
        let program = Program {
            path: &programs::scanner().expect("the scanner builds"),
            directory: Path::new("/"),
            environment: &environment,
            time_limit: Duration::from_mins(3),
            interrupt: CancellationToken::new(),
        };
        let arguments = [&["image"], arguments].concat();
        program.start(&arguments).expect("the scanner starts").wait().await.expect("the scanner ends")
    }

    /// The same, which must end so.
    pub(crate) async fn ends(&self, arguments: &[&str], code: i32) -> Finished {
        let finished = self.run(arguments).await;
        assert_eq!(finished.code, Some(code), "{arguments:?}: {}{}", finished.stdout, finished.stderr);
        finished
    }

    /// Registers an image. Its id and that of its snapshot.
    pub(crate) async fn image(&self, new: New<'_>) -> (String, String) {
        let zone = format!("{}a", self.aws.region());
        let volume = self.ec2.create_volume().availability_zone(zone).size(8).encrypted(new.is_encrypted);
        let volume = volume.send().await.unwrap();
        let marker = Tag::builder().key(tags::IMAGE).value(tags::TRUE).build();
        let specification = TagSpecification::builder().resource_type(ResourceType::Snapshot).tags(marker);
        let snapshot = self.ec2.create_snapshot().volume_id(volume.volume_id().unwrap());
        let snapshot = snapshot
            .set_tag_specifications(new.is_ours.then(|| vec![specification.build()]))
            .send()
            .await
            .unwrap();
        let snapshot = snapshot.snapshot_id().unwrap().to_owned();
        // The first look finds it complete.
        self.ec2.describe_snapshots().snapshot_ids(&snapshot).send().await.unwrap();
        let image = self.image_of(&[&snapshot], new).await;
        (image, snapshot)
    }

    /// Registers an image of snapshots that there are.
    pub(crate) async fn image_of(&self, snapshots: &[&str], new: New<'_>) -> String {
        let marker = new.is_ours.then(|| Tag::builder().key(tags::IMAGE).value(tags::TRUE).build());
        let others = new.tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build());
        let tagged: Vec<Tag> = marker.into_iter().chain(others).collect();
        let tagged =
            TagSpecification::builder().resource_type(ResourceType::Image).set_tags(Some(tagged)).build();
        let mapping = |(number, snapshot): (usize, &&str)| {
            let device = if number == 0 { "/dev/sda1".to_owned() } else { format!("/dev/sd{number}") };
            let volume = EbsBlockDevice::builder().snapshot_id(*snapshot).build();
            BlockDeviceMapping::builder().device_name(device).ebs(volume).build()
        };
        let registered = self
            .ec2
            .register_image()
            .name(format!("agentless-scanner-{}", uuid::Uuid::new_v4().simple()))
            .architecture(ArchitectureValues::from(new.architecture))
            .root_device_name("/dev/sda1")
            .virtualization_type("hvm")
            .set_imds_support(new.imds.then_some(ImdsSupportValues::V20))
            .set_block_device_mappings(Some(snapshots.iter().enumerate().map(mapping).collect()))
            .tag_specifications(tagged)
            .send()
            .await
            .unwrap();
        let image = registered.image_id().unwrap().to_owned();
        self.aws.set_image_dates(&image, &days_ago(new.days), None).await.unwrap();
        image
    }

    pub(crate) async fn parameter(&self, name: &str) -> Option<String> {
        let found = self.ssm.get_parameters().names(name).send().await.unwrap();
        let parameter = found.parameters().first()?;
        assert_eq!(parameter.data_type(), Some("aws:ec2:image"), "{name}");
        parameter.value().map(str::to_owned)
    }

    /// Candidate, current and previous; empty where one is not set.
    pub(crate) async fn pointers(&self) -> [String; 3] {
        let mut values = [const { String::new() }; 3];
        for (value, name) in values.iter_mut().zip([CANDIDATE, CURRENT, PREVIOUS]) {
            *value = self.parameter(name).await.unwrap_or_default();
        }
        values
    }

    /// Makes a group of one instance that launches the image, as the provider does. The id of its template.
    pub(crate) async fn group(&self, image: &str) -> String {
        let network = self.aws.create_network().await.unwrap();
        let made = self.ec2.create_launch_template().launch_template_name(GROUP);
        let made = made.launch_template_data(launching(image)).send().await.unwrap();
        let template = made.launch_template().unwrap().launch_template_id().unwrap().to_owned();
        self.scaling
            .create_auto_scaling_group()
            .auto_scaling_group_name(GROUP)
            .launch_template(version(&template, "1"))
            .vpc_zone_identifier(network.subnet_ids.join(","))
            .min_size(1)
            .max_size(2)
            .desired_capacity(1)
            .send()
            .await
            .unwrap();
        template
    }

    /// Starts an instance refresh of the group with a new version of its template.
    pub(crate) async fn refresh(&self, template: &str, image: &str) {
        let made = self.ec2.create_launch_template_version().launch_template_id(template);
        let made = made.launch_template_data(launching(image)).send().await.unwrap();
        let number = made.launch_template_version().unwrap().version_number().unwrap().to_string();
        let desired = DesiredConfiguration::builder().launch_template(version(template, &number)).build();
        let start = self.scaling.start_instance_refresh().auto_scaling_group_name(GROUP);
        start.desired_configuration(desired).send().await.unwrap();
    }

    /// Lets the refresh of the group come to its end.
    pub(crate) async fn refreshed(&self) {
        for _ in 0..20 {
            let refreshes = self.scaling.describe_instance_refreshes().auto_scaling_group_name(GROUP);
            let refreshes = refreshes.send().await.unwrap();
            if refreshes.instance_refreshes()[0].end_time().is_some() {
                return;
            }
        }
        panic!("the refresh does not end");
    }

    /// The images of the account that are left.
    pub(crate) async fn left(&self) -> Vec<String> {
        let images = self.ec2.describe_images().owners("self").send().await.unwrap();
        images.images().iter().filter_map(|image| image.image_id().map(str::to_owned)).collect()
    }

    /// Whether a snapshot is left.
    pub(crate) async fn has_snapshot(&self, snapshot: &str) -> bool {
        self.ec2.describe_snapshots().snapshot_ids(snapshot).send().await.is_ok()
    }

    /// What IAM knows of the images and snapshots that there are.
    pub(crate) async fn account(&self) -> Account {
        let tags_of = |tags: &[Tag]| -> BTreeMap<String, String> {
            tags.iter()
                .map(|tag| (tag.key().unwrap().to_owned(), tag.value().unwrap_or_default().to_owned()))
                .collect()
        };
        let images = self.ec2.describe_images().owners("self").send().await.unwrap();
        let images = images.images().iter();
        let images = images.map(|image| (image.image_id().unwrap().to_owned(), tags_of(image.tags())));
        let snapshots = self.ec2.describe_snapshots().owner_ids("self").send().await.unwrap();
        let snapshots = snapshots.snapshots().iter().map(|snapshot| {
            let disk = Disk { tags: tags_of(snapshot.tags()), ..Disk::default() };
            (snapshot.snapshot_id().unwrap().to_owned(), disk)
        });
        Account {
            id: ACCOUNT.to_owned(),
            images: images.collect(),
            snapshots: snapshots.collect(),
            ..Account::default()
        }
    }

    /// Starts an instance by itself.
    pub(crate) async fn instance_of(&self, image: &str) -> String {
        let options = InstanceMetadataOptionsRequest::builder().http_tokens("required".into()).build();
        let launched = self.ec2.run_instances().image_id(image).instance_type(InstanceType::T4gMedium);
        let launched = launched.metadata_options(options).min_count(1).max_count(1).send().await.unwrap();
        launched.instances()[0].instance_id().unwrap().to_owned()
    }
}

/// As EC2 writes times.
pub(crate) fn days_ago(days: i64) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].000Z");
    (OffsetDateTime::now_utc() - time::Duration::days(days)).format(format).expect("a time")
}

fn launching(image: &str) -> RequestLaunchTemplateData {
    let owner = Tag::builder().key(tags::SCANNER_ID).value(GROUP).build();
    let tagged = LaunchTemplateTagSpecificationRequest::builder().resource_type(ResourceType::Instance);
    RequestLaunchTemplateData::builder()
        .image_id(image)
        .instance_type(InstanceType::T4gMedium)
        .tag_specifications(tagged.tags(owner).build())
        .build()
}

fn version(template: &str, number: &str) -> LaunchTemplateSpecification {
    LaunchTemplateSpecification::builder().launch_template_id(template).version(number).build()
}
