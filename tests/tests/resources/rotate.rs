//! The action that rotates a scanner, against the local AWS. The Terraform at hand knows no actions, so it is invoked as
//! the provider would.

use std::sync::Arc;
use std::time::Duration;

use terraform_provider::action::rotate::{Model, Rotate};
use terraform_provider::aws::{Aws, Endpoints};
use terraform_provider::config::Settings;
use terraform_provider::sdk::{Action, Context, Progress};
use tokio::sync::mpsc;

use crate::scanner::Setting;
use crate::shared::{autoscaling, local_aws, terraform};

async fn instances(group: &str) -> Vec<String> {
    let answer =
        autoscaling().await.describe_auto_scaling_groups().auto_scaling_group_names(group).send().await;
    let groups = answer.expect("groups").auto_scaling_groups.unwrap_or_default();
    let instances = groups.into_iter().flat_map(|group| group.instances.unwrap_or_default());
    let mut ids: Vec<_> = instances.filter_map(|instance| instance.instance_id).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn every_instance_is_replaced_and_terraform_sees_no_change() {
    let setting = Setting::new().await;
    let terraform = terraform(&setting.config("min_size = 2\n  max_size = 2")).await;
    terraform.apply().await.unwrap();
    let before = instances(&setting.name).await;
    assert_eq!(before.len(), 2);

    let aws = Aws::new(local_aws().await.harness_sdk_config(), Endpoints::default());
    let ctx = Context::detached(Duration::from_mins(2));
    let (lines, mut said) = mpsc::unbounded_channel();
    let config = Model { name: setting.name.as_str().into(), region: "us-east-1".into(), ..Model::default() };
    let rotate = Rotate::new(Arc::new(aws), Arc::new(Settings::default()));
    rotate.invoke(&ctx, config, &Progress::new(lines)).await.unwrap();
    assert!(said.recv().await.unwrap().ends_with("has begun"));
    let after = instances(&setting.name).await;
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|id| !before.contains(id)), "{before:?} {after:?}");

    terraform.assert_empty_plans().await.unwrap();
    terraform.destroy().await.unwrap();
    local_aws().await.assert_no_unimplemented();
}
