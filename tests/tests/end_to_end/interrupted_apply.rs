//! Ctrl-C in the middle of `terraform apply`: what exists by then is in the state, and `destroy` removes it.

use agentless_tests::leftovers::left_behind;
use agentless_tests::local_aws::{Effect, Fault, Hold, LocalAws, Options};
use agentless_tests::terraform::Terraform;
use aws_sdk_ec2::types::ArchitectureValues;
use serde_json::Value;

/// Every call of an apply that creates something or adds to it.
const CREATING: [(&str, &str); 8] = [
    ("iam", "CreateRole"),
    ("iam", "PutRolePolicy"),
    ("iam", "CreateInstanceProfile"),
    ("iam", "AddRoleToInstanceProfile"),
    ("ec2", "CreateSecurityGroup"),
    ("ec2", "AuthorizeSecurityGroupEgress"),
    ("ec2", "CreateLaunchTemplate"),
    ("autoscaling", "CreateAutoScalingGroup"),
];

#[tokio::test]
async fn destroy_cleans_up_after_an_interrupt_at_any_creating_call() {
    let aws = LocalAws::start(Options::default()).await.unwrap();
    let network = aws.create_network().await.unwrap();
    let image_id = aws.register_image("agentless-scanner", ArchitectureValues::Arm64, &[]).await.unwrap();
    for (service, action) in CREATING {
        for held in [Effect::HoldRequest, Effect::HoldReply] {
            let hold = Hold::new();
            let effect = held(hold.clone());
            let told = format!("{service}:{action}, {effect:?}");
            let mut terraform = Terraform::with_example(&aws, "quickstart").unwrap();
            terraform.set_variable("region", aws.region());
            terraform.set_variable("vpc_id", &network.vpc_id);
            terraform.set_variable("subnet_ids", Value::from(network.subnet_ids.clone()).to_string());
            terraform.set_variable("image_id", &image_id);
            terraform.init().await.unwrap();

            aws.inject(Fault::on(service, action, effect).times(1));
            let apply = terraform.start_apply().unwrap();
            hold.reached().await;
            apply.interrupt().unwrap();
            hold.release();
            let finished = apply.wait().await.unwrap();
            aws.clear_faults();
            assert_ne!(finished.code, Some(0), "{told}: {}", finished.stdout);

            terraform.destroy().await.unwrap();
            assert_eq!(
                left_behind(&aws).await.unwrap(),
                [""; 0],
                "{told}: {}{}",
                finished.stdout,
                finished.stderr
            );
        }
    }
    aws.assert_no_unimplemented();
}
