//! What the overlay adds to moto's Auto Scaling groups and instance refreshes.

use agentless_tests::local_aws::{LocalAws, Network};
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{
    AutoScalingGroup, DesiredConfiguration, InstanceMaintenancePolicy, InstanceRefresh,
    LaunchTemplateSpecification, RefreshPreferences,
};
use aws_sdk_ec2::types::{
    ArchitectureValues, InstanceMetadataOptionsRequest, LaunchTemplateBlockDeviceMappingRequest,
    LaunchTemplateEbsBlockDeviceRequest, LaunchTemplateHttpTokensState,
    LaunchTemplateIamInstanceProfileSpecificationRequest, LaunchTemplateInstanceMetadataOptionsRequest,
    LaunchTemplateTagSpecificationRequest, RequestLaunchTemplateData, ResourceType, Tag, VolumeType,
};

use crate::shared::{aws, code, message, start};

#[tokio::test]
async fn settings_are_kept() {
    let aws = aws().await;
    let fleet = Fleet::new(aws, "settings").await;
    let policy = |least| {
        InstanceMaintenancePolicy::builder().min_healthy_percentage(least).max_healthy_percentage(200).build()
    };
    let create = fleet.create().max_instance_lifetime(86_400).default_instance_warmup(60);
    create.instance_maintenance_policy(policy(100)).send().await.unwrap();
    let group = fleet.describe().await.unwrap();
    assert_eq!(group.max_instance_lifetime(), Some(86_400));
    assert_eq!(group.default_instance_warmup(), Some(60));
    assert_eq!(group.instance_maintenance_policy(), Some(&policy(100)));

    let update = || fleet.client.update_auto_scaling_group().auto_scaling_group_name(&fleet.name);
    update().max_instance_lifetime(0).instance_maintenance_policy(policy(90)).send().await.unwrap();
    let group = fleet.describe().await.unwrap();
    assert_eq!(group.max_instance_lifetime(), None);
    assert_eq!(group.instance_maintenance_policy(), Some(&policy(90)));
    assert_eq!(group.default_instance_warmup(), Some(60));

    assert_eq!(code(&update().max_instance_lifetime(10).send().await.unwrap_err()), "ValidationError");
    assert_eq!(code(&update().min_size(5).send().await.unwrap_err()), "ValidationError");
    aws.assert_no_unimplemented();
}

#[tokio::test]
async fn what_aws_refuses() {
    let aws = aws().await;
    let fleet = Fleet::new(aws, "refusals").await;
    fleet.create().send().await.unwrap();
    assert_eq!(code(&fleet.create().send().await.unwrap_err()), "AlreadyExists");

    let other = || fleet.create().auto_scaling_group_name("other");
    let template =
        LaunchTemplateSpecification::builder().version("1").launch_template_id("lt-00000000000000000");
    let error = other().launch_template(template.build()).send().await.unwrap_err();
    assert_eq!(code(&error), "ValidationError");
    assert!(message(&error).contains("launch template"), "{error:?}");
    let error = other().launch_template(fleet.template("9")).send().await.unwrap_err();
    assert_eq!(code(&error), "ValidationError");
    let error = other().vpc_zone_identifier("subnet-00000000000000000").send().await.unwrap_err();
    assert_eq!(code(&error), "ValidationError");

    let template = fleet.template_with("profile", |data| {
        let profile =
            LaunchTemplateIamInstanceProfileSpecificationRequest::builder().name("none-such").build();
        data.iam_instance_profile(profile)
    });
    let template = template.await;
    let error = other().launch_template(by_id(&template, "1")).send().await.unwrap_err();
    assert!(message(&error).contains("Invalid IAM Instance Profile"), "{error:?}");
    assert!(fleet.describe_named("other").await.is_none());
}

#[tokio::test]
async fn deletion_takes_a_while_and_holds_the_security_group() {
    let aws = aws().await;
    let fleet = Fleet::new(aws, "deletion").await;
    fleet.create().send().await.unwrap();
    let delete = || fleet.client.delete_auto_scaling_group().auto_scaling_group_name(&fleet.name);
    let error = delete().send().await.unwrap_err();
    assert_eq!(code(&error), "ResourceInUse");

    delete().force_delete(true).send().await.unwrap();
    let delete_security_group =
        || fleet.ec2.delete_security_group().group_id(&fleet.network.security_group_id).send();
    assert_eq!(code(&delete_security_group().await.unwrap_err()), "DependencyViolation");
    let update = fleet.client.update_auto_scaling_group().auto_scaling_group_name(&fleet.name).max_size(9);
    assert_eq!(code(&update.send().await.unwrap_err()), "ValidationError");
    let mut describes = 0;
    while let Some(group) = fleet.describe().await {
        assert_eq!(group.status(), Some("Delete in progress"));
        describes += 1;
    }
    assert_eq!(describes, 2);
    delete_security_group().await.unwrap();
}

#[tokio::test]
async fn instances_are_as_the_template_says() {
    let aws = aws().await;
    let fleet = Fleet::new(aws, "launch").await;
    let iam = aws_sdk_iam::Client::new(&aws.sdk_config());
    iam.create_instance_profile().instance_profile_name("launch").send().await.unwrap();
    let template = fleet.template_with("as-told", |data| {
        let options = LaunchTemplateInstanceMetadataOptionsRequest::builder()
            .http_tokens(LaunchTemplateHttpTokensState::Required)
            .http_put_response_hop_limit(1);
        let profile = LaunchTemplateIamInstanceProfileSpecificationRequest::builder().name("launch");
        let root = LaunchTemplateEbsBlockDeviceRequest::builder()
            .encrypted(true)
            .volume_type(VolumeType::Gp3)
            .volume_size(12)
            .delete_on_termination(true);
        let root =
            LaunchTemplateBlockDeviceMappingRequest::builder().device_name("/dev/xvda").ebs(root.build());
        data.metadata_options(options.build())
            .iam_instance_profile(profile.build())
            .block_device_mappings(root.build())
            .tag_specifications(tagged(ResourceType::Volume))
            .tag_specifications(tagged(ResourceType::Instance))
    });
    let template = template.await;
    fleet.create().launch_template(by_id(&template, "1")).desired_capacity(2).send().await.unwrap();

    let group = fleet.describe().await.unwrap();
    let mut zones: Vec<_> = group
        .instances()
        .iter()
        .filter_map(aws_sdk_autoscaling::types::Instance::availability_zone)
        .collect();
    zones.sort_unstable();
    assert_eq!(zones, ["us-east-1a", "us-east-1b"]);
    assert_eq!(group.instances()[0].launch_template().unwrap().version(), Some("1"));

    let id = group.instances()[0].instance_id().unwrap();
    let described = fleet.ec2.describe_instances().instance_ids(id).send().await.unwrap();
    let instance = &described.reservations()[0].instances()[0];
    assert_eq!(instance.metadata_options().unwrap().http_tokens().unwrap().as_str(), "required");
    assert!(instance.iam_instance_profile().unwrap().arn().unwrap().ends_with("instance-profile/launch"));
    assert_eq!(instance.security_groups()[0].group_id(), Some(fleet.network.security_group_id.as_str()));
    assert!(instance.tags().iter().any(|tag| tag.key() == Some("told")));
    let volume = instance.block_device_mappings()[0].ebs().unwrap().volume_id().unwrap();
    let volumes = fleet.ec2.describe_volumes().volume_ids(volume).send().await.unwrap();
    let volume = &volumes.volumes()[0];
    assert_eq!((volume.size(), volume.encrypted()), (Some(12), Some(true)));
    assert_eq!(volume.volume_type(), Some(&VolumeType::Gp3));
    assert!(volume.tags().iter().any(|tag| tag.key() == Some("told")));

    let run = fleet.ec2.run_instances().image_id("ami-00000000000000000").min_count(1).max_count(1);
    assert_eq!(code(&run.send().await.unwrap_err()), "InvalidAMIID.NotFound");
    // What the call says comes before the template.
    let run = fleet
        .ec2
        .run_instances()
        .launch_template(
            aws_sdk_ec2::types::LaunchTemplateSpecification::builder()
                .launch_template_id(&template)
                .version("1")
                .build(),
        )
        .metadata_options(InstanceMetadataOptionsRequest::builder().http_put_response_hop_limit(2).build());
    let run = run.min_count(1).max_count(1).send().await.unwrap();
    assert_eq!(run.instances()[0].metadata_options().unwrap().http_put_response_hop_limit(), Some(2));
}

#[tokio::test]
async fn a_refresh_replaces_every_instance_by_steps() {
    let aws = aws().await;
    let fleet = Fleet::new(aws, "refresh").await;
    fleet.create().desired_capacity(2).send().await.unwrap();
    let before = fleet.instance_ids().await;
    fleet.new_version().await;

    fleet.start_refresh("2", false).await.unwrap();
    assert_eq!(code(&fleet.start_refresh("2", false).await.unwrap_err()), "InstanceRefreshInProgress");
    // The group keeps what it launches until the refresh has succeeded, and cannot be changed meanwhile.
    assert_eq!(fleet.describe().await.unwrap().launch_template().unwrap().version(), Some("1"));
    let update = || fleet.client.update_auto_scaling_group().auto_scaling_group_name(&fleet.name);
    let error = update().launch_template(fleet.template("2")).send().await.unwrap_err();
    assert!(message(&error).contains("An active instance refresh with a desired configuration"), "{error:?}");
    update().max_size(4).send().await.unwrap();
    assert_eq!(
        fleet.refresh_until_end().await,
        ["InProgress 0", "InProgress 50", "InProgress 100", "Baking 100", "Successful 100"]
    );
    let group = fleet.describe().await.unwrap();
    assert_eq!(group.launch_template().unwrap().version(), Some("2"));
    assert!(group.instances().iter().all(|it| it.launch_template().unwrap().version() == Some("2")));
    assert!(fleet.instance_ids().await.iter().all(|id| !before.contains(id)));

    let cancel = || fleet.client.cancel_instance_refresh().auto_scaling_group_name(&fleet.name).send();
    assert_eq!(code(&cancel().await.unwrap_err()), "ActiveInstanceRefreshNotFound");
    fleet.start_refresh("1", false).await.unwrap();
    cancel().await.unwrap();
    assert_eq!(fleet.refresh_until_end().await, ["Cancelled 0"]);
}

#[tokio::test]
async fn a_refresh_that_fails_rolls_back() {
    let aws = start().await;
    let fleet = Fleet::new(&aws, "rollback").await;
    fleet.create().send().await.unwrap();
    fleet.new_version().await;
    aws.let_instance_refreshes_fail(true).await.unwrap();

    assert_eq!(code(&fleet.start_refresh("$Latest", true).await.unwrap_err()), "ValidationError");
    fleet.start_refresh("2", true).await.unwrap();
    let steps = fleet.refresh_until_end().await;
    assert_eq!(steps.last().unwrap(), "RollbackSuccessful 100");
    let group = fleet.describe().await.unwrap();
    assert_eq!(group.launch_template().unwrap().version(), Some("1"));
    assert!(group.instances().iter().all(|it| it.launch_template().unwrap().version() == Some("1")));

    fleet.start_refresh("2", false).await.unwrap();
    assert_eq!(fleet.refresh_until_end().await.last().unwrap(), "Failed 100");
    assert_eq!(fleet.describe().await.unwrap().launch_template().unwrap().version(), Some("1"));
    aws.assert_no_unimplemented();
}

#[tokio::test]
async fn a_terminated_instance_is_replaced() {
    let aws = aws().await;
    let fleet = Fleet::new(aws, "replaced").await;
    fleet.create().send().await.unwrap();
    let before = fleet.instance_ids().await;
    fleet.ec2.terminate_instances().instance_ids(&before[0]).send().await.unwrap();
    let after = fleet.instance_ids().await;
    assert_eq!(after.len(), 1);
    assert_ne!(after, before);
}

/// A group with one instance, its template and network.
struct Fleet {
    client: Client,
    ec2: aws_sdk_ec2::Client,
    name: String,
    network: Network,
    image: String,
    template: String,
}

impl Fleet {
    async fn new(aws: &LocalAws, name: &str) -> Self {
        let network = aws.create_network().await.expect("a network");
        let image = aws.register_image(name, ArchitectureValues::Arm64, &[]).await.expect("an image");
        let mut fleet = Self {
            client: Client::new(&aws.sdk_config()),
            ec2: aws_sdk_ec2::Client::new(&aws.sdk_config()),
            name: name.to_owned(),
            network,
            image,
            template: String::new(),
        };
        fleet.template = fleet.template_with("template", |data| data).await;
        fleet
    }

    async fn template_with(
        &self,
        name: &str,
        with: impl FnOnce(
            aws_sdk_ec2::types::builders::RequestLaunchTemplateDataBuilder,
        ) -> aws_sdk_ec2::types::builders::RequestLaunchTemplateDataBuilder,
    ) -> String {
        let data = RequestLaunchTemplateData::builder()
            .image_id(&self.image)
            .instance_type("t4g.small".into())
            .security_group_ids(&self.network.security_group_id);
        let create = self.ec2.create_launch_template().launch_template_name(format!("{}-{name}", self.name));
        let created =
            create.launch_template_data(with(data).build()).send().await.expect("CreateLaunchTemplate");
        created
            .launch_template()
            .and_then(|template| template.launch_template_id())
            .expect("an id")
            .to_owned()
    }

    fn template(&self, version: &str) -> LaunchTemplateSpecification {
        by_id(&self.template, version)
    }

    async fn new_version(&self) {
        let data = RequestLaunchTemplateData::builder().instance_type("t4g.medium".into()).build();
        let create = self.ec2.create_launch_template_version().launch_template_id(&self.template);
        create
            .source_version("1")
            .launch_template_data(data)
            .send()
            .await
            .expect("CreateLaunchTemplateVersion");
    }

    fn create(
        &self,
    ) -> aws_sdk_autoscaling::operation::create_auto_scaling_group::builders::CreateAutoScalingGroupFluentBuilder{
        self.client
            .create_auto_scaling_group()
            .auto_scaling_group_name(&self.name)
            .launch_template(self.template("1"))
            .vpc_zone_identifier(self.network.subnet_ids.join(","))
            .min_size(1)
            .max_size(3)
    }

    async fn describe(&self) -> Option<AutoScalingGroup> {
        self.describe_named(&self.name).await
    }

    async fn describe_named(&self, name: &str) -> Option<AutoScalingGroup> {
        let described =
            self.client.describe_auto_scaling_groups().auto_scaling_group_names(name).send().await;
        described.expect("DescribeAutoScalingGroups").auto_scaling_groups().first().cloned()
    }

    async fn instance_ids(&self) -> Vec<String> {
        let group = self.describe().await.expect("the group");
        group.instances().iter().filter_map(|instance| instance.instance_id().map(str::to_owned)).collect()
    }

    async fn start_refresh(
        &self,
        version: &str,
        rollback: bool,
    ) -> Result<
        (),
        aws_sdk_autoscaling::error::SdkError<
            aws_sdk_autoscaling::operation::start_instance_refresh::StartInstanceRefreshError,
        >,
    > {
        let desired = DesiredConfiguration::builder().launch_template(self.template(version)).build();
        let preferences = RefreshPreferences::builder().auto_rollback(rollback).bake_time(60).build();
        let start = self.client.start_instance_refresh().auto_scaling_group_name(&self.name);
        start.desired_configuration(desired).preferences(preferences).send().await.map(|_| ())
    }

    /// The states of the newest refresh, described until it ends.
    async fn refresh_until_end(&self) -> Vec<String> {
        let mut steps = Vec::new();
        loop {
            let described =
                self.client.describe_instance_refreshes().auto_scaling_group_name(&self.name).send().await;
            let described = described.expect("DescribeInstanceRefreshes");
            let refresh: &InstanceRefresh = described.instance_refreshes().first().expect("a refresh");
            let status = refresh.status().expect("a status").as_str();
            steps.push(format!("{status} {}", refresh.percentage_complete().unwrap_or_default()));
            if refresh.end_time().is_some() {
                return steps;
            }
        }
    }
}

fn by_id(template: &str, version: &str) -> LaunchTemplateSpecification {
    LaunchTemplateSpecification::builder().launch_template_id(template).version(version).build()
}

fn tagged(resource: ResourceType) -> LaunchTemplateTagSpecificationRequest {
    let tag = Tag::builder().key("told").value("yes").build();
    LaunchTemplateTagSpecificationRequest::builder().resource_type(resource).tags(tag).build()
}
