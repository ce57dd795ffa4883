//! Each way in which somebody may weaken what runs: it shows in the plan, apply undoes it, and instances that already
//! run so are replaced.

use super::*;
use aws_sdk_ec2::types::{
    LaunchTemplateInstanceMetadataOptionsRequest, LaunchTemplateInstanceNetworkInterfaceSpecificationRequest,
};

#[tokio::test]
async fn a_foreign_version_of_the_template_is_undone_whatever_it_weakens() {
    let setting = Setting::new().await;
    let terraform = terraform(&setting.config("")).await;
    terraform.apply().await.unwrap();
    let name = setting.name.as_str();
    let id = text(&terraform.state().await.unwrap(), SCANNER, "launch_template_id");
    let data = RequestLaunchTemplateData::builder;
    let metadata = LaunchTemplateInstanceMetadataOptionsRequest::builder();
    let metadata =
        metadata.http_tokens(LaunchTemplateHttpTokensState::Optional).http_put_response_hop_limit(1);
    let interface = LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder().device_index(0);
    let interface = interface.associate_public_ip_address(true).build();
    for (weak, shown) in [
        (data().metadata_options(metadata.build()), "\"optional\" -> \"required\""),
        (data().network_interfaces(interface), "public_address              = true -> false"),
        (data().key_name("backdoor"), "\"backdoor\" -> \"\""),
        (data().image_id(image().await), "image_id"),
    ] {
        let current = group_named(name).await.unwrap().launch_template.unwrap().version.unwrap();
        let create = ec2().await.create_launch_template_version().launch_template_id(&id);
        let create = create.source_version(current).launch_template_data(weak.build());
        let version = create.send().await.unwrap().launch_template_version.unwrap().version_number.unwrap();
        point_to(name, &id, &version.to_string()).await;
        // An instance of it runs already.
        let running = group_named(name).await.unwrap().instances()[0].instance_id().unwrap().to_owned();
        ec2().await.terminate_instances().instance_ids(&running).send().await.unwrap();
        let weakened = group_named(name).await.unwrap().instances()[0].instance_id().unwrap().to_owned();
        let plan = terraform.plan().await.unwrap();
        assert!(plan.text.contains(shown), "{shown}: {}", plan.text);
        assert_repaired(&terraform, SCANNER).await;
        assert_hardened(name).await;
        let group = group_named(name).await.unwrap();
        assert!(group.instances().iter().all(|it| it.instance_id() != Some(&weakened)), "{shown}");
    }
    terraform.destroy().await.unwrap();
    assert_gone(name).await;
}

#[tokio::test]
async fn a_lifetime_changed_or_removed_is_set_right() {
    let setting = Setting::new().await;
    let terraform = terraform(&setting.config("")).await;
    terraform.apply().await.unwrap();
    let name = setting.name.as_str();
    for lifetime in [0, 31_536_000] {
        let update = autoscaling().await.update_auto_scaling_group().auto_scaling_group_name(name);
        update.max_instance_lifetime(lifetime).send().await.unwrap();
        let plan = terraform.plan().await.unwrap();
        assert!(plan.text.contains(&format!("{lifetime} -> 86400")), "{}", plan.text);
        assert_repaired(&terraform, SCANNER).await;
        assert_hardened(name).await;
    }
    terraform.set_config(&setting.config("max_instance_lifetime = 3600")).unwrap();
    let failed = terraform.plan_fails().await.unwrap();
    assert!(failed.stderr.contains("between 86400 and 31536000"), "{}", failed.stderr);
    terraform.set_config(&setting.config("")).unwrap();
    terraform.destroy().await.unwrap();
}

#[tokio::test]
async fn an_image_that_cannot_run_is_told_by_the_plan() {
    let setting = Setting::new().await;
    for (more, told) in [
        ("instance_type = \"m5.large\"", "built for arm64, but instance_type m5.large is x86_64"),
        ("instance_type = \"t4g.gigantic\"", "There is no instance type t4g.gigantic"),
    ] {
        let terraform = terraform(&setting.config(more)).await;
        let failed = terraform.plan_fails().await.unwrap();
        let flat = failed.stderr.replace(['\n', '│'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(told), "{}", failed.stderr);
    }
}
