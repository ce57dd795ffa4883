//! `packer build` against the local AWS: the image with its tags, copies and permissions, and no image of what is not signed. The
//! instance is one of the local AWS and runs nothing, so the provisioners that need a connection are left out here; what they run
//! is run for real by `cargo test --test image`.

use std::fs;

use agentless_tests::image_template::{COMMIT, Release, Template, VERSION};
use agentless_tests::local_aws::{ACCOUNT, LocalAws, Options};
use agentless_tests::process::Finished;
use aws_config::Region;
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, EbsBlockDevice, Image, ImageAttributeName, InstanceStateName,
    Reservation, Tag,
};
use scanner_policy::tags;
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use tokio::sync::OnceCell;

use crate::packed_release;

const SOURCE: &str = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_architectures_become_images() {
    let aws = region("eu-central-1").await;
    let amd64 =
        source_image(&aws, &format!("{SOURCE}-amd64-server-20261101"), ArchitectureValues::X8664).await;
    let arm64 =
        source_image(&aws, &format!("{SOURCE}-arm64-server-20261101"), ArchitectureValues::Arm64).await;
    // Neither the newest of another release nor an older one.
    source_image(
        &aws,
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20261102",
        ArchitectureValues::X8664,
    )
    .await;
    let release = packed_release();
    let mut packer = against(&release, &aws);
    packer.set("keep_days", "14");
    let before = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap();
    succeeded(packer.run("build", &["-color=false"]).await);

    let manifest = fs::read(packer.output("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let builds = manifest.get("builds").and_then(Value::as_array).unwrap();
    assert_eq!(builds.len(), 2);
    for (architecture, of_aws, source) in
        [("amd64", ArchitectureValues::X8664, amd64), ("arm64", ArchitectureValues::Arm64, arm64)]
    {
        let custom = |build: &Value, name: &str| {
            build.pointer(&format!("/custom_data/{name}")).and_then(Value::as_str).map(str::to_owned)
        };
        let build = builds
            .iter()
            .find(|build| custom(build, "architecture").as_deref() == Some(architecture))
            .unwrap();
        let id = build.get("artifact_id").and_then(Value::as_str).unwrap();
        let image = image(&aws, "eu-central-1", id.strip_prefix("eu-central-1:").unwrap()).await;
        assert_eq!(image.architecture(), Some(&of_aws));

        // The source's name is in the tags, and the times fit together.
        let tag = |key: &str| tag(&image, key);
        assert_eq!(tag("DatadogAgentlessScannerImage"), "true");
        assert_eq!(tag(tags::IMAGE_VERSION), VERSION);
        assert_eq!(tag(tags::IMAGE_COMMIT), COMMIT);
        assert_eq!(tag(tags::IMAGE_SOURCE), source);
        assert_eq!(
            tag("DatadogAgentlessScannerSourceImageName"),
            format!("{SOURCE}-{architecture}-server-20261101")
        );
        assert_eq!(tag("DatadogAgentlessScannerBinarySha256"), release.sha256(architecture));
        let [made, expires] = ["DatadogAgentlessScannerBuiltAt", "DatadogAgentlessScannerExpiresAt"]
            .map(|key| OffsetDateTime::parse(&tag(key), &Rfc3339).unwrap());
        assert!(made >= before && made <= OffsetDateTime::now_utc());
        assert_eq!(expires - made, Duration::days(14));
        assert_eq!(custom(build, "built_at"), Some(tag("DatadogAgentlessScannerBuiltAt")));
        let stamp = tag("DatadogAgentlessScannerBuiltAt").replace(['-', ':', 'T', 'Z'], "");
        assert_eq!(
            image.name(),
            Some(format!("agentless-scanner-{VERSION}-{architecture}-{stamp}").as_str())
        );
        assert_eq!(custom(build, "scanner_version").as_deref(), Some(VERSION));
    }
    assert_nothing_left(&aws).await;
    aws.assert_no_unimplemented();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_and_permissions_are_those_that_are_named() {
    let aws = region("eu-west-1").await;
    source_image(&aws, &format!("{SOURCE}-amd64-server-20261101"), ArchitectureValues::X8664).await;
    let release = packed_release();
    let mut packer = against(&release, &aws);
    packer.set("copy_to", r#"{us-west-2="alias/scanner-image"}"#);
    packer.set("kms_key_id", "alias/scanner-image");
    packer.set("share_with_accounts", r#"["444455556666"]"#);
    succeeded(packer.run("build", &["-color=false", "-only=*.amd64"]).await);

    let manifest = fs::read_to_string(packer.output("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let ids = manifest.pointer("/builds/0/artifact_id").and_then(Value::as_str).unwrap();
    let ids: Vec<(&str, &str)> = ids.split(',').map(|id| id.split_once(':').unwrap()).collect();
    assert_eq!(ids.iter().map(|(region, _)| *region).collect::<Vec<_>>(), ["eu-west-1", "us-west-2"]);
    for (region, id) in ids {
        let image = image(&aws, region, id).await;
        assert_eq!(tag(&image, tags::IMAGE_VERSION), VERSION, "{region}");
        let attribute = ec2(&aws, region).describe_image_attribute().image_id(id);
        let attribute = attribute.attribute(ImageAttributeName::LaunchPermission).send().await.unwrap();
        let allowed: Vec<_> =
            attribute.launch_permissions().iter().map(|it| (it.user_id(), it.group())).collect();
        assert_eq!(allowed, [(Some("444455556666"), None)], "{region}");
    }
    // Every copy is asked to be encrypted, with the key of its region; moto does not keep that.
    let copies: Vec<_> = aws.calls().into_iter().filter(|call| call.action == "CopyImage").collect();
    assert_eq!(copies.len(), 2);
    for copy in copies {
        assert_eq!(copy.parameters.get("Encrypted").map(String::as_str), Some("true"));
        assert_eq!(copy.parameters.get("KmsKeyId").map(String::as_str), Some("alias/scanner-image"));
    }
    assert_nothing_left(&aws).await;
}

/// What EC2 is asked to start: an encrypted volume, no way in but from the named network, and the marker on all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_build_instance_is_closed_and_marked() {
    let aws = region("eu-west-2").await;
    source_image(&aws, &format!("{SOURCE}-amd64-server-20261101"), ArchitectureValues::X8664).await;
    let release = packed_release();
    let packer = against(&release, &aws);
    succeeded(packer.run("build", &["-color=false", "-only=*.amd64"]).await);
    let calls = aws.calls();
    let of = |action: &str| {
        let mut found = calls.iter().filter(|call| call.action == action);
        let call = found.next().unwrap_or_else(|| panic!("no {action}"));
        assert!(found.next().is_none(), "{action} twice");
        call.parameters.clone()
    };
    let opened = of("AuthorizeSecurityGroupIngress");
    let networks: Vec<_> =
        opened.iter().filter(|(name, _)| name.contains("CidrIp")).map(|(_, value)| value.as_str()).collect();
    assert_eq!(networks, ["203.0.113.7/32"]);
    let run = of("RunInstances");
    let has = |end: &str, value: &str| run.iter().any(|(name, it)| name.ends_with(end) && it == value);
    assert!(has("BlockDeviceMapping.1.Ebs.Encrypted", "true"), "{run:?}");
    assert!(has("InstanceInitiatedShutdownBehavior", "stop"), "{run:?}");
    for marked in ["instance", "volume"] {
        let of = run.iter().find(|(name, it)| name.ends_with("ResourceType") && *it == marked);
        let (name, _) = of.unwrap_or_else(|| panic!("no tags of the {marked}: {run:?}"));
        // Packer sends them in no order.
        let keys = name.replace("ResourceType", "Tag.");
        let marker =
            run.iter().find(|(name, it)| name.starts_with(&keys) && *it == "DatadogAgentlessScannerImage");
        let (key, _) = marker.unwrap_or_else(|| panic!("the {marked} is not marked: {run:?}"));
        let value = run.get(&key.replace("Key", "Value"));
        assert_eq!(value.map(String::as_str), Some("true"), "{run:?}");
    }
    assert_eq!(
        run.get("UserData").map(String::as_str),
        Some(""),
        "it runs nothing that is not in the template"
    );
}

/// A byte of the program, another key, an older version under a new name: nothing of it becomes an image.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_signed_becomes_no_image() {
    let aws = region("eu-west-3").await;
    source_image(&aws, &format!("{SOURCE}-amd64-server-20261101"), ArchitectureValues::X8664).await;

    let changed = packed_release();
    let mut bytes = fs::read(changed.program("amd64")).unwrap();
    bytes[40] ^= 1;
    fs::write(changed.program("amd64"), bytes).unwrap();
    assert_no_image(&aws, &against(&changed, &aws), "is not what the owner of the key").await;

    let release = packed_release();
    let mut other_key = against(&release, &aws);
    other_key.set("release_public_key", &packed_release().public_key);
    assert_no_image(&aws, &other_key, "is not what the owner of the key").await;

    let renamed = packed_release();
    for suffix in ["", ".sha256", ".minisig"] {
        let from = format!("{}{suffix}", renamed.program("amd64").display());
        fs::rename(&from, from.replace(VERSION, "9.9.9")).unwrap();
    }
    let mut packer = against(&renamed, &aws);
    packer.set("scanner_version", "9.9.9");
    assert_no_image(&aws, &packer, "was made for another file").await;

    // The image's tag would name it.
    let other_sum = packed_release();
    let sums = format!("{}.sha256", other_sum.program("amd64").display());
    let lie = fs::read_to_string(&sums).unwrap().replacen(&other_sum.sha256("amd64"), &"0".repeat(64), 1);
    fs::write(&sums, lie).unwrap();
    assert_no_image(&aws, &against(&other_sum, &aws), "does not have the checksum").await;
}

/// Through Session Manager the instance stops itself when it is done. One that does not becomes no image.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_does_not_stop_becomes_no_image() {
    let aws = region("eu-north-1").await;
    source_image(&aws, &format!("{SOURCE}-amd64-server-20261101"), ArchitectureValues::X8664).await;
    let release = packed_release();
    let mut packer = against(&release, &aws);
    packer.unset("ssh_source_cidrs");
    packer.set("instance_profile", "image-build");
    // Of minutes at first.
    packer.set_environment("AWS_MAX_ATTEMPTS", "2");
    packer.set_environment("AWS_POLL_DELAY_SECONDS", "1");
    let iam = aws_sdk_iam::Client::new(&aws.harness_sdk_config());
    iam.create_instance_profile().instance_profile_name("image-build").send().await.unwrap();
    assert_no_image(&aws, &packer, "Error waiting for instance to stop").await;
}

/// The local AWS that the tests share, each in a region of its own.
async fn region(region: &'static str) -> LocalAws {
    static AWS: OnceCell<LocalAws> = OnceCell::const_new();
    let start = || async { LocalAws::start(Options::default()).await.expect("the local AWS starts") };
    let options = Options { region, ..Options::default() };
    AWS.get_or_init(start).await.share(options).expect("a local AWS of its own")
}

/// A template that builds in the local AWS, without what needs a connection to the instance.
fn against(release: &Release, aws: &LocalAws) -> Template {
    let mut template = Template::new(release);
    template.set("source_owner", ACCOUNT);
    template.set("region", aws.region());
    template.build_in(aws, "  communicator = \"none\"");
    template.edit("build.pkr.hcl", |text| {
        let (from, to) = (text.find("  # cloud-init sets up"), text.find("  post-processor "));
        let (before, after) = (text.get(..from.expect("the first")), text.get(to.expect("the last")..));
        format!("{}{}", before.expect("a part"), after.expect("a part"))
    });
    template
}

async fn source_image(aws: &LocalAws, name: &str, architecture: ArchitectureValues) -> String {
    let volume = EbsBlockDevice::builder().volume_size(8).build();
    let volume = BlockDeviceMapping::builder().device_name("/dev/sda1").ebs(volume).build();
    let request = ec2(aws, aws.region()).register_image().name(name).architecture(architecture);
    let request = request.root_device_name("/dev/sda1").virtualization_type("hvm");
    let registered = request.block_device_mappings(volume).send().await.expect("an image");
    registered.image_id.expect("its id")
}

async fn image(aws: &LocalAws, region: &str, id: &str) -> Image {
    let found = ec2(aws, region).describe_images().image_ids(id).send().await.expect("images");
    found.images.and_then(|images| images.into_iter().next()).expect("the image")
}

fn tag(image: &Image, key: &str) -> String {
    let found = image.tags().iter().find(|tag: &&Tag| tag.key() == Some(key));
    found.and_then(Tag::value).unwrap_or_else(|| panic!("no tag {key}")).to_owned()
}

async fn assert_no_image(aws: &LocalAws, packer: &Template, why: &str) {
    let failed = packer.run("build", &["-color=false", "-only=*.amd64"]).await;
    let output = format!("{}{}", failed.stdout, failed.stderr);
    assert!(failed.code != Some(0) && output.contains(why), "{output}");
    let own = ec2(aws, aws.region()).describe_images().owners("self").send().await.expect("images");
    let scanners =
        own.images().iter().filter(|it| it.name().is_some_and(|it| it.contains("agentless-scanner")));
    assert_eq!(scanners.count(), 0);
    assert!(!aws.calls().iter().any(|call| call.action == "CreateImage"));
    assert_nothing_left(aws).await;
}

/// No instance runs on, and neither key nor security group stays.
async fn assert_nothing_left(aws: &LocalAws) {
    let ec2 = ec2(aws, aws.region());
    let instances = ec2.describe_instances().send().await.expect("instances");
    for instance in instances.reservations().iter().flat_map(Reservation::instances) {
        let state = instance.state().and_then(|state| state.name());
        assert_eq!(state, Some(&InstanceStateName::Terminated));
    }
    assert!(ec2.describe_key_pairs().send().await.expect("keys").key_pairs().is_empty());
    let groups = ec2.describe_security_groups().send().await.expect("groups");
    assert!(groups.security_groups().iter().all(|group| group.group_name() == Some("default")));
}

fn succeeded(ended: Finished) {
    ended.success().expect("packer build");
}

fn ec2(aws: &LocalAws, region: &str) -> aws_sdk_ec2::Client {
    let config = aws.harness_sdk_config().to_builder().region(Region::new(region.to_owned())).build();
    aws_sdk_ec2::Client::new(&config)
}
