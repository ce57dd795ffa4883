use agentless_tests::terraform::{State, Terraform};
use aws_sdk_autoscaling::types::{AutoScalingGroup, LaunchTemplateSpecification};
use aws_sdk_ec2::types::{
    LaunchTemplateHttpTokensState, RequestLaunchTemplateData, ResponseLaunchTemplateData, VolumeType,
};

use crate::shared;
use crate::shared::{assert_repaired, autoscaling, ec2, image, local_aws, network, terraform, text, unique};

mod drift;
mod faults;
mod lifecycle;

const SCANNER: &str = "datadog_agentless_scanner.this";

/// A scanner with what it needs, in a network of its own.
pub(crate) struct Setting {
    pub(crate) name: String,
    vpc_id: String,
    subnet_ids: Vec<String>,
    pub(crate) image_id: String,
}

impl Setting {
    pub(crate) async fn new() -> Self {
        let network = network().await;
        let (name, image_id) = (unique("scanner"), image().await);
        Self { name, vpc_id: network.vpc_id, subnet_ids: network.subnet_ids, image_id }
    }

    pub(crate) fn config(&self, more: &str) -> String {
        self.config_of_image(&format!("image_id = \"{}\"", self.image_id), more)
    }

    /// The same with the image named otherwise.
    fn config_of_image(&self, image: &str, more: &str) -> String {
        let Self { name, vpc_id, subnet_ids, image_id: _ } = self;
        format!(
            r#"
resource "datadog_agentless_scanner" "this" {{
  name                 = "{name}"
  {image}
  subnet_ids           = {subnet_ids:?}
  security_group_ids   = [datadog_agentless_scanner_security_group.this.id]
  instance_profile_arn = datadog_agentless_scanner_role.this.instance_profile_arn
  {more}
}}

resource "datadog_agentless_scanner_role" "this" {{
  name = "{name}"
}}

resource "datadog_agentless_scanner_security_group" "this" {{
  name   = "{name}"
  vpc_id = "{vpc_id}"
}}
"#
        )
    }

    /// The scanner alone, with what it refers to as it is in `state`.
    fn literal_config(&self, state: &State) -> String {
        let config = self.config("");
        let (scanner, _) = config.split_once("\n\n").expect("the scanner comes first");
        [
            ("datadog_agentless_scanner_security_group.this", "id"),
            ("datadog_agentless_scanner_role.this", "instance_profile_arn"),
        ]
        .iter()
        .fold(scanner.to_owned(), |config, (address, name)| {
            config.replace(&format!("{address}.{name}"), &format!("{:?}", text(state, address, name)))
        })
    }
}

#[tokio::test]
async fn the_life_of_a_scanner() {
    let mut setting = Setting::new().await;
    let terraform = terraform(&setting.config("")).await;
    terraform.plan().await.unwrap().expect_actions(SCANNER, &["create"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    assert_hardened(&setting.name).await;
    let arn = text(&terraform.state().await.unwrap(), SCANNER, "arn");
    let name = setting.name.clone();
    terraform.assert_import_verifies(SCANNER, &name, &[]).await.unwrap();
    terraform.assert_import_verifies(SCANNER, &format!("{name}@us-east-1"), &[]).await.unwrap();
    let literal = setting.literal_config(&terraform.state().await.unwrap());
    shared::terraform(&literal).await.assert_import_block_is_no_op(SCANNER, &name).await.unwrap();

    // In place: a new image is a new version, to which the group is pinned.
    setting.image_id = image().await;
    let more = "max_size = 3\ndesired_capacity = 2\nsettings = { log_level = \"debug\" }\n\
                tags = { team = \"security\" }\nroot_volume_size = 40";
    terraform.set_config(&setting.config(more)).unwrap();
    terraform.plan().await.unwrap().expect_actions(SCANNER, &["update"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    terraform.assert_import_verifies(SCANNER, &name, &[]).await.unwrap();
    let state = terraform.state().await.unwrap();
    assert_eq!(text(&state, SCANNER, "arn"), arn);
    assert_eq!(text(&state, SCANNER, "launch_template_version"), "2");
    assert_eq!(launched(&name).await.image_id(), Some(setting.image_id.as_str()));
    assert_hardened(&name).await;

    setting.name = unique("scanner");
    terraform.set_config(&setting.config("")).unwrap();
    terraform.plan().await.unwrap().expect_actions(SCANNER, &["delete", "create"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    assert_ne!(text(&terraform.state().await.unwrap(), SCANNER, "arn"), arn);
    assert_gone(&name).await;

    terraform.destroy().await.unwrap();
    assert_gone(&setting.name).await;
    local_aws().await.assert_no_unimplemented();
}

#[tokio::test]
async fn a_scanner_that_somebody_weakens_is_set_right() {
    let setting = Setting::new().await;
    let terraform = terraform(&setting.config("")).await;
    terraform.apply().await.unwrap();
    let name = setting.name.as_str();
    let (autoscaling, ec2) = (autoscaling().await, ec2().await);

    // A version with another image and IMDSv1, to which the group is pointed.
    let id = text(&terraform.state().await.unwrap(), SCANNER, "launch_template_id");
    let weak = RequestLaunchTemplateData::builder().image_id(image().await).build();
    let version = ec2.create_launch_template_version().launch_template_id(&id).launch_template_data(weak);
    let version = version.send().await.unwrap().launch_template_version.unwrap().version_number.unwrap();
    point_to(name, &id, &version.to_string()).await;
    let plan = terraform.plan().await.unwrap();
    assert!(plan.text.contains("\"optional\" -> \"required\""), "{}", plan.text);
    assert_repaired(&terraform, SCANNER).await;
    assert_hardened(name).await;

    point_to(name, &id, "$Latest").await;
    assert_repaired(&terraform, SCANNER).await;

    let group = autoscaling.update_auto_scaling_group().auto_scaling_group_name(name);
    group.max_instance_lifetime(0).max_size(5).send().await.unwrap();
    assert_repaired(&terraform, SCANNER).await;
    let group = group_named(name).await.unwrap();
    assert_eq!((group.max_instance_lifetime, group.max_size), (Some(86_400), Some(1)));
    terraform.destroy().await.unwrap();
    assert_gone(name).await;
}

#[tokio::test]
async fn what_scaling_makes_of_the_size_is_left_alone() {
    let setting = Setting::new().await;
    let terraform = terraform(&setting.config("max_size = 4")).await;
    terraform.apply().await.unwrap();
    let request = autoscaling().await.set_desired_capacity().auto_scaling_group_name(&setting.name);
    request.desired_capacity(3).send().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    terraform.set_config(&setting.config("max_size = 4\ndefault_instance_warmup = 90")).unwrap();
    terraform.apply().await.unwrap();
    assert_eq!(group_named(&setting.name).await.unwrap().desired_capacity, Some(3));
    terraform.destroy().await.unwrap();
}

#[tokio::test]
async fn a_group_in_use_is_replaced_with_its_scanner_as_the_examples_say() {
    const GROUP: &str = "datadog_agentless_scanner_security_group.this";
    let setting = Setting::new().await;
    let together = setting.config(&format!("lifecycle {{\n    replace_triggered_by = [{GROUP}.id]\n  }}"));
    let terraform = terraform(&together).await;
    terraform.apply().await.unwrap();
    let of_group = format!("vpc_id = \"{}\"", setting.vpc_id);
    let changed = |more: &str| together.replace(&of_group, &format!("{of_group}\n  {more}"));

    terraform.set_config(&changed("tags = { team = \"security\" }")).unwrap();
    let plan = terraform.plan().await.unwrap();
    plan.expect_actions(GROUP, &["update"]).unwrap();
    plan.expect_actions(SCANNER, &["no-op"]).unwrap();

    terraform.set_config(&changed("description = \"another\"")).unwrap();
    let plan = terraform.plan().await.unwrap();
    plan.expect_actions(GROUP, &["delete", "create"]).unwrap();
    plan.expect_actions(SCANNER, &["delete", "create"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    terraform.destroy().await.unwrap();
    assert_gone(&setting.name).await;
}

#[tokio::test]
async fn a_scanner_that_is_gone_is_made_anew() {
    let setting = Setting::new().await;
    let terraform = terraform(&setting.config("")).await;
    terraform.apply().await.unwrap();
    // The group alone: the template is still of use.
    delete_group(&terraform, &setting.name).await;
    assert_repaired(&terraform, SCANNER).await;
    // Both.
    delete_group(&terraform, &setting.name).await;
    let request = ec2().await.delete_launch_template().launch_template_name(&setting.name);
    request.send().await.unwrap();
    terraform.plan().await.unwrap().expect_actions(SCANNER, &["create"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    terraform.destroy().await.unwrap();
    assert_gone(&setting.name).await;
}

#[tokio::test]
async fn a_group_of_somebody_else_is_not_adopted() {
    let setting = Setting::new().await;
    let owner = terraform(&setting.config("")).await;
    owner.apply().await.unwrap();
    let scanner_only =
        setting.config("").replace(&format!("name   = \"{}\"", setting.name), "name = \"other\"");
    let scanner_only = scanner_only.replace(
        &format!("scanner_role\" \"this\" {{\n  name = \"{}\"", setting.name),
        &format!("scanner_role\" \"this\" {{\n  name = \"{}\"", unique("role")),
    );
    let second = terraform(&scanner_only).await;
    let failed = second.apply_fails().await.unwrap();
    assert!(failed.stderr.contains("There is an Auto Scaling group of that name"), "{}", failed.stderr);
    second.destroy().await.unwrap();
    assert!(group_named(&setting.name).await.is_some(), "the owner's group survives");
    owner.assert_empty_plans().await.unwrap();
    owner.destroy().await.unwrap();
}

async fn point_to(group: &str, template: &str, version: &str) {
    let template =
        LaunchTemplateSpecification::builder().launch_template_id(template).version(version).build();
    let request = autoscaling().await.update_auto_scaling_group().auto_scaling_group_name(group);
    request.launch_template(template).send().await.expect("the group is pointed elsewhere");
}

/// Deletes the group behind Terraform's back.
async fn delete_group(terraform: &Terraform, name: &str) {
    let request = autoscaling().await.delete_auto_scaling_group().auto_scaling_group_name(name);
    request.force_delete(true).send().await.expect("the group is deleted");
    assert!(terraform.plan().await.expect("plan").has_changes);
}

pub(crate) async fn group_named(name: &str) -> Option<AutoScalingGroup> {
    let request = autoscaling().await.describe_auto_scaling_groups().auto_scaling_group_names(name);
    request.send().await.expect("groups").auto_scaling_groups.unwrap_or_default().into_iter().next()
}

/// What the group launches.
async fn launched(group: &str) -> ResponseLaunchTemplateData {
    let template = group_named(group).await.and_then(|group| group.launch_template).expect("a template");
    let request = ec2().await.describe_launch_template_versions();
    let request = request.launch_template_id(template.launch_template_id.unwrap_or_default());
    let answer = request.versions(template.version.unwrap_or_default()).send().await.expect("versions");
    let version = answer.launch_template_versions.unwrap_or_default().into_iter().next();
    version.and_then(|version| version.launch_template_data).expect("content")
}

/// The promises about every instance, asked of AWS.
async fn assert_hardened(name: &str) {
    let data = launched(name).await;
    let metadata = data.metadata_options().expect("metadata options");
    assert_eq!(metadata.http_tokens(), Some(&LaunchTemplateHttpTokensState::Required));
    assert_eq!(metadata.http_put_response_hop_limit(), Some(1));
    assert_eq!(data.key_name(), None);
    let volume = data.block_device_mappings().first().and_then(|device| device.ebs()).expect("a volume");
    assert_eq!((volume.encrypted(), volume.volume_type().map(VolumeType::as_str)), (Some(true), Some("gp3")));
    let interface = data.network_interfaces().first().expect("an interface");
    assert_eq!(interface.associate_public_ip_address(), Some(false));
    let group = group_named(name).await.expect("a group");
    assert_eq!(group.max_instance_lifetime(), Some(86_400));
    let version = group.launch_template().and_then(|template| template.version()).unwrap_or_default();
    assert!(version.parse::<u32>().is_ok(), "pinned by number, not {version}");
    let maintenance = group.instance_maintenance_policy().expect("a maintenance policy");
    assert_eq!(maintenance.min_healthy_percentage(), Some(100));
    assert_eq!(maintenance.max_healthy_percentage(), Some(200));
}

pub(crate) async fn assert_gone(name: &str) {
    assert!(group_named(name).await.is_none(), "Auto Scaling group {name} is still there");
    let request = ec2().await.describe_launch_templates().launch_template_names(name);
    let templates = request.send().await.ok().and_then(|answer| answer.launch_templates).unwrap_or_default();
    assert!(templates.is_empty(), "launch template {name} is still there");
}
