//! The same with the real Terraform and one configuration of all six resources: one fault at a call of each of them at
//! once, for every kind of fault but those that would take minutes; and Ctrl-C at a call of each.

use std::collections::BTreeSet;

use agentless_tests::local_aws::{Effect, Fault, Hold, LocalAws, Options};
use agentless_tests::terraform::Terraform;
use aws_sdk_ec2::types::ArchitectureValues;

use super::inventory::inventory;

/// A call that makes something, of each resource: service, action, and the parameter that only this resource's has.
const CALLS: [(&str, &str, Option<(&str, &str)>); 6] = [
    ("ec2", "CreateNatGateway", None),
    ("ec2", "AuthorizeSecurityGroupEgress", None),
    ("iam", "PutRolePolicy", Some(("RoleName", "faults"))),
    ("iam", "CreateRole", Some(("RoleName", "faults-delegate"))),
    ("secretsmanager", "CreateSecret", None),
    ("autoscaling", "CreateAutoScalingGroup", None),
];

const CONFIG: &str = r#"
resource "datadog_agentless_scanner_network" "this" {
  name                    = "faults"
  availability_zone_count = 1
}

resource "datadog_agentless_scanner_security_group" "this" {
  name   = "faults"
  vpc_id = datadog_agentless_scanner_network.this.vpc_id
}

resource "datadog_agentless_scanner_role" "this" {
  name = "faults"
}

resource "datadog_agentless_scanner_delegate_role" "this" {
  name              = "faults-delegate"
  scanner_role_arns = [datadog_agentless_scanner_role.this.arn]
}

resource "datadog_agentless_scanner_api_key" "this" {
  name                    = "faults"
  api_key_wo              = "0123456789abcdef0123456789abcdef"
  api_key_wo_version      = 1
  recovery_window_in_days = 0
  reader_role_arns        = [datadog_agentless_scanner_role.this.arn]
}

resource "datadog_agentless_scanner" "this" {
  name                 = "faults"
  image_id             = "IMAGE"
  subnet_ids           = datadog_agentless_scanner_network.this.private_subnet_ids
  security_group_ids   = [datadog_agentless_scanner_security_group.this.id]
  instance_profile_arn = datadog_agentless_scanner_role.this.instance_profile_arn
}
"#;

#[tokio::test]
async fn terraform_converges_after_faults_in_every_resource() {
    let aws = LocalAws::start(Options::default()).await.expect("the local AWS starts");
    let image = aws.register_image("scanner", ArchitectureValues::Arm64, &[]).await.expect("an image");
    let services = ["ec2", "iam", "autoscaling", "secretsmanager"].map(str::to_owned).into();
    let before = inventory(&aws, &services).await;
    let terraform = Terraform::with_config(&aws, &CONFIG.replace("IMAGE", &image)).expect("a directory");
    terraform.init().await.expect("terraform init");
    let mut cases = 0;
    for (effect, is_fatal) in [
        (Effect::Throttle, false),
        (Effect::InternalError, false),
        (Effect::ResetRequest, false),
        (Effect::ResetReply, false),
        (Effect::AccessDenied, true),
    ] {
        for call in CALLS {
            aws.inject(fault(call, effect.clone()).times(1));
        }
        aws.clear_calls();
        if is_fatal {
            // What depends on a resource is not reached before that is made.
            while aws.calls().iter().filter(|call| call.faulted).count() < CALLS.len() {
                terraform.apply_fails().await.expect("a failure");
            }
        }
        terraform.apply().await.unwrap_or_else(|error| panic!("{effect:?}: {error}"));
        terraform.assert_empty_plans().await.unwrap_or_else(|error| panic!("{effect:?}: {error}"));
        cases += aws.calls().iter().filter(|call| call.faulted).count();
        aws.clear_faults();
        assert_destroyed(&terraform, &aws, &services, &before).await;
    }
    for call in CALLS {
        let hold = Hold::new();
        aws.inject(fault(call, Effect::HoldReply(hold.clone())).times(1));
        let running = terraform.start_apply().expect("terraform apply");
        hold.reached().await;
        running.interrupt().expect("an interrupt");
        hold.release();
        let finished = running.wait().await.expect("an end");
        assert!(finished.stdout.contains("Interrupt received"), "{call:?}: {}", finished.stdout);
        aws.clear_faults();
        cases += 1;
        assert_destroyed(&terraform, &aws, &services, &before).await;
    }
    println!("{cases} cases with Terraform");
    assert_eq!(cases, CALLS.len() * 6);
    aws.assert_no_unimplemented();
}

fn fault(
    (service, action, parameter): (&'static str, &'static str, Option<(&str, &str)>),
    effect: Effect,
) -> Fault {
    let fault = Fault::on(service, action, effect);
    match parameter {
        Some((name, value)) => fault.with_parameter(name, value),
        None => fault,
    }
}

async fn assert_destroyed(
    terraform: &Terraform,
    aws: &LocalAws,
    services: &BTreeSet<String>,
    before: &BTreeSet<String>,
) {
    terraform.destroy().await.expect("terraform destroy");
    assert_eq!(inventory(aws, services).await, *before);
}
