//! The local AWS that the tests share, and what they ask of it behind Terraform's back.

use agentless_tests::local_aws::{Effect, Fault, Hold, LocalAws, Network, Options};
use agentless_tests::terraform::{State, Terraform};
use aws_sdk_ec2::types::ArchitectureValues;
use tokio::sync::OnceCell;

/// The local AWS of all tests of this file.
pub(crate) async fn local_aws() -> &'static LocalAws {
    static AWS: OnceCell<LocalAws> = OnceCell::const_new();
    let start = || async { LocalAws::start(Options::default()).await.expect("the local AWS starts") };
    AWS.get_or_init(start).await
}

/// A working directory with this configuration, initialised.
pub(crate) async fn terraform(config: &str) -> Terraform {
    let terraform = Terraform::with_config(local_aws().await, config).expect("a working directory");
    terraform.init().await.expect("terraform init");
    terraform
}

/// Everything a test makes has this in its name, so that tests that run at once do not meet.
pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{}", &uuid::Uuid::new_v4().simple().to_string()[..8])
}

pub(crate) async fn network() -> Network {
    local_aws().await.create_network().await.expect("a network")
}

pub(crate) async fn image() -> String {
    let image = local_aws().await.register_image("scanner", ArchitectureValues::Arm64, &[]).await;
    image.expect("an image")
}

pub(crate) async fn ec2() -> aws_sdk_ec2::Client {
    aws_sdk_ec2::Client::new(&local_aws().await.harness_sdk_config())
}

pub(crate) async fn iam() -> aws_sdk_iam::Client {
    aws_sdk_iam::Client::new(&local_aws().await.harness_sdk_config())
}

pub(crate) async fn secretsmanager() -> aws_sdk_secretsmanager::Client {
    aws_sdk_secretsmanager::Client::new(&local_aws().await.harness_sdk_config())
}

pub(crate) async fn autoscaling() -> aws_sdk_autoscaling::Client {
    aws_sdk_autoscaling::Client::new(&local_aws().await.harness_sdk_config())
}

/// One attribute as text.
pub(crate) fn text(state: &State, address: &str, name: &str) -> String {
    let value = state.attribute(address, name).expect("the attribute is there");
    value.as_str().expect("the attribute is a text").to_owned()
}

/// What follows a change behind Terraform's back: the next plan updates the resource in place, apply does so, and
/// then there is nothing to do.
pub(crate) async fn assert_repaired(terraform: &Terraform, address: &str) {
    terraform.plan().await.expect("plan").expect_actions(address, &["update"]).expect("drift shows");
    terraform.apply().await.expect("apply");
    terraform.assert_empty_plans().await.expect("nothing is left to do");
}

/// Ctrl-C in `terraform apply` while this call, which has this parameter, has been carried out and is not answered yet.
pub(crate) async fn interrupt_apply(
    terraform: &Terraform,
    (service, action): (&'static str, &'static str),
    (parameter, value): (&str, &str),
) {
    let hold = Hold::new();
    let fault = Fault::on(service, action, Effect::HoldReply(hold.clone())).times(1);
    local_aws().await.inject(fault.with_parameter(parameter, value));
    let running = terraform.start_apply().expect("apply starts");
    hold.reached().await;
    running.interrupt().expect("it is interrupted");
    hold.release();
    let finished = running.wait().await.expect("it ends");
    assert!(finished.stdout.contains("Interrupt received"), "{}{}", finished.stdout, finished.stderr);
}
