//! What the overlay corrects in moto's EC2: launch templates, security groups, images, snapshots, pages.

use agentless_tests::local_aws::{Effect, Fault};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, EbsBlockDevice, IpPermission, RequestLaunchTemplateData,
    ResourceType, Tag, TagSpecification, UserIdGroupPair,
};

use crate::shared::{aws, code, completed_snapshot, image, start};

#[tokio::test]
async fn launch_template_versions() {
    let aws = aws().await;
    let ec2 = Client::new(&aws.sdk_config());
    let data = |size: &str| RequestLaunchTemplateData::builder().instance_type(size.into());
    let tags = TagSpecification::builder()
        .resource_type(ResourceType::LaunchTemplate)
        .tags(Tag::builder().key("owner").value("team").build());
    let create =
        ec2.create_launch_template().launch_template_name("versions").tag_specifications(tags.build());
    let created =
        create.launch_template_data(data("t4g.small").image_id("ami-1").build()).send().await.unwrap();
    let id = created.launch_template().unwrap().launch_template_id().unwrap().to_owned();

    let new_version = async |data: RequestLaunchTemplateData, source: Option<&str>| {
        let create = ec2.create_launch_template_version().launch_template_id(&id).launch_template_data(data);
        create.set_source_version(source.map(str::to_owned)).send().await
    };
    new_version(data("t4g.medium").build(), Some("1")).await.unwrap();
    new_version(data("t4g.large").user_data("I2Nsb3VkLWNvbmZpZwo=").build(), None).await.unwrap();
    let error = new_version(data("t4g.large").build(), Some("9")).await.unwrap_err();
    assert_eq!(code(&error), "InvalidLaunchTemplateId.VersionNotFound");

    let described = ec2.describe_launch_template_versions().launch_template_id(&id).send().await.unwrap();
    let versions: Vec<_> = described
        .launch_template_versions()
        .iter()
        .map(|version| {
            let data = version.launch_template_data().unwrap();
            assert!(data.tag_specifications().is_empty(), "the template's own tags are not what it launches");
            (version.version_number().unwrap(), data.instance_type().unwrap().as_str(), data.image_id())
        })
        .collect();
    assert_eq!(
        versions,
        [(1, "t4g.small", Some("ami-1")), (2, "t4g.medium", Some("ami-1")), (3, "t4g.large", None)]
    );
    let template = ec2.describe_launch_templates().launch_template_ids(&id).send().await.unwrap();
    assert_eq!(template.launch_templates()[0].tags()[0].key(), Some("owner"));

    let deleted = ec2
        .delete_launch_template_versions()
        .launch_template_id(&id)
        .versions("1")
        .versions("2")
        .versions("7");
    let deleted = deleted.send().await.unwrap();
    assert_eq!(deleted.successfully_deleted_launch_template_versions()[0].version_number(), Some(2));
    let kept = deleted.unsuccessfully_deleted_launch_template_versions();
    let kept: Vec<_> = kept
        .iter()
        .map(aws_sdk_ec2::types::DeleteLaunchTemplateVersionsResponseErrorItem::version_number)
        .collect();
    assert_eq!(kept, [Some(1), Some(7)]);
    new_version(data("t4g.nano").build(), None).await.unwrap();
    let latest = ec2.describe_launch_template_versions().launch_template_id(&id).versions("$Latest");
    let latest = latest.send().await.unwrap();
    assert_eq!(latest.launch_template_versions()[0].version_number(), Some(4));
}

#[tokio::test]
async fn unknown_launch_templates() {
    let aws = aws().await;
    let ec2 = Client::new(&aws.sdk_config());
    let (unknown, malformed) = ("lt-00000000000000000", "lt-1");
    let describe = |id: &str| ec2.describe_launch_templates().launch_template_ids(id).send();
    assert_eq!(code(&describe(unknown).await.unwrap_err()), "InvalidLaunchTemplateId.NotFound");
    assert_eq!(code(&describe(malformed).await.unwrap_err()), "InvalidLaunchTemplateId.Malformed");
    let delete = ec2.delete_launch_template().launch_template_id(unknown).send().await;
    assert_eq!(code(&delete.unwrap_err()), "InvalidLaunchTemplateId.NotFound");
    let modify = ec2.modify_launch_template().launch_template_id(unknown).default_version("1").send().await;
    assert_eq!(code(&modify.unwrap_err()), "InvalidLaunchTemplateId.NotFound");
    let versions = ec2.describe_launch_template_versions().launch_template_id(unknown).send().await;
    assert_eq!(code(&versions.unwrap_err()), "InvalidLaunchTemplateId.NotFound");
    let by_name = ec2.describe_launch_templates().launch_template_names("none such").send().await;
    assert_eq!(code(&by_name.unwrap_err()), "InvalidLaunchTemplateName.NotFoundException");
}

#[tokio::test]
async fn security_groups_in_use_stay() {
    let aws = aws().await;
    let ec2 = Client::new(&aws.sdk_config());
    let network = aws.create_network().await.unwrap();
    let image = image(&[]);
    let host = aws.run_instance(&network, image.path(), false, &[]).await.unwrap();
    let delete = |id: &str| ec2.delete_security_group().group_id(id).send();
    assert_eq!(code(&delete(&network.security_group_id).await.unwrap_err()), "DependencyViolation");

    let create = ec2.create_security_group().group_name("scanner").description("d").vpc_id(&network.vpc_id);
    let referrer = create.send().await.unwrap().group_id().unwrap().to_owned();
    let pair = UserIdGroupPair::builder().group_id(&network.security_group_id).build();
    let rule = IpPermission::builder()
        .ip_protocol("tcp")
        .from_port(443)
        .to_port(443)
        .user_id_group_pairs(pair)
        .build();
    ec2.authorize_security_group_egress().group_id(&referrer).ip_permissions(rule).send().await.unwrap();
    ec2.terminate_instances().instance_ids(host.instance_id).send().await.unwrap();
    assert_eq!(code(&delete(&network.security_group_id).await.unwrap_err()), "DependencyViolation");
    aws.assert_no_unimplemented();
    delete(&referrer).await.unwrap();
    delete(&network.security_group_id).await.unwrap();

    let in_no_vpc = ec2.create_security_group().group_name("x").description("d").vpc_id("vpc-00000000");
    assert_eq!(code(&in_no_vpc.send().await.unwrap_err()), "InvalidVpcID.NotFound");
    let all = ec2.describe_security_groups().send().await.unwrap();
    let default = all.security_groups().iter().find(|group| group.group_name() == Some("default")).unwrap();
    assert_eq!(code(&delete(default.group_id().unwrap()).await.unwrap_err()), "CannotDelete");
}

#[tokio::test]
async fn registered_images() {
    let aws = aws().await;
    let ec2 = Client::new(&aws.sdk_config());
    let network = aws.create_network().await.unwrap();
    let disk = image(&[]);
    let host = aws.run_instance(&network, disk.path(), false, &[]).await.unwrap();
    let snapshot = completed_snapshot(aws, &host.volume_id).await;
    let mapping = |snapshot: &str| {
        let root = EbsBlockDevice::builder().snapshot_id(snapshot).encrypted(true).build();
        BlockDeviceMapping::builder().device_name("/dev/sda1").ebs(root).build()
    };
    let tag = Tag::builder().key("Name").value("image").build();
    let tags = TagSpecification::builder().resource_type(ResourceType::Image).tags(tag).build();
    let register = |snapshot: &str| {
        ec2.register_image()
            .name("registered")
            .architecture(ArchitectureValues::Arm64)
            .root_device_name("/dev/sda1")
            .block_device_mappings(mapping(snapshot))
            .tag_specifications(tags.clone())
            .send()
    };
    assert_eq!(code(&register("snap-00000000000000000").await.unwrap_err()), "InvalidSnapshot.NotFound");
    let id = register(&snapshot).await.unwrap().image_id().unwrap().to_owned();
    assert_eq!(code(&register(&snapshot).await.unwrap_err()), "InvalidAMIName.Duplicate");

    let images = ec2.describe_images().image_ids(&id).send().await.unwrap();
    let image = &images.images()[0];
    assert_eq!(image.architecture(), Some(&ArchitectureValues::Arm64));
    assert_eq!(image.tags()[0].value(), Some("image"));
    assert_eq!(image.block_device_mappings()[0].ebs().unwrap().snapshot_id(), Some(snapshot.as_str()));
}

#[tokio::test]
async fn snapshots_know_their_key_and_owner() {
    let aws = aws().await;
    let ec2 = Client::new(&aws.sdk_config());
    let network = aws.create_network().await.unwrap();
    let disk = image(&[]);
    let host = aws.run_instance(&network, disk.path(), true, &[]).await.unwrap();
    let snapshot = completed_snapshot(aws, &host.volume_id).await;
    let described = ec2.describe_snapshots().snapshot_ids(&snapshot).send().await.unwrap();
    assert_eq!(described.snapshots()[0].encrypted(), Some(true));
    assert!(described.snapshots()[0].kms_key_id().unwrap().contains(":key/"));
    let others = ec2.describe_snapshots().owner_ids("999999999999").send().await.unwrap();
    assert!(others.snapshots().is_empty());
    let own = ec2.describe_snapshots().owner_ids("self").send().await.unwrap();
    assert!(own.snapshots().iter().any(|own| own.snapshot_id() == Some(&snapshot)));
}

#[tokio::test]
async fn descriptions_come_in_pages() {
    let aws = start().await;
    let ec2 = Client::new(&aws.sdk_config());
    for number in 0..17 {
        let data = RequestLaunchTemplateData::builder().image_id("ami-1").build();
        let create = ec2.create_launch_template().launch_template_name(format!("page-{number}"));
        create.launch_template_data(data).send().await.unwrap();
    }
    let zone = "us-east-1a";
    for _ in 0..7 {
        ec2.create_volume().availability_zone(zone).size(1).send().await.unwrap();
    }
    let all = ec2.describe_launch_templates().send().await.unwrap();
    assert_eq!(all.launch_templates().len(), 17);
    let page = ec2.describe_volumes().max_results(5).send().await.unwrap();
    assert_eq!(page.volumes().len(), 5);
    let rest =
        ec2.describe_volumes().max_results(5).next_token(page.next_token().unwrap()).send().await.unwrap();
    assert_eq!((rest.volumes().len(), rest.next_token()), (2, None));

    aws.inject(Fault::on("ec2", "*", Effect::SmallPages(2)));
    let pages = ec2.describe_volumes().into_paginator().send().collect::<Result<Vec<_>, _>>().await.unwrap();
    assert_eq!(pages.len(), 4);
    let volume = pages[0].volumes()[0].volume_id().unwrap();
    let by_id = ec2.describe_volumes().volume_ids(volume).send().await.unwrap();
    assert_eq!(by_id.volumes().len(), 1);
    let pages =
        ec2.describe_launch_templates().into_paginator().send().collect::<Result<Vec<_>, _>>().await.unwrap();
    assert_eq!(pages.len(), 9);
    aws.clear_faults();
    let both = ec2.describe_volumes().volume_ids(volume).max_results(5).send().await.unwrap_err();
    assert_eq!(code(&both), "InvalidParameterCombination");
    aws.assert_no_unimplemented();
}
