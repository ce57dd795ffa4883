//! Networks whose creation fails at each call that makes or changes something: destroy leaves nothing, a second apply
//! converges; and answers that are lost, at each of these calls.

use std::collections::BTreeMap;

use agentless_tests::local_aws::{Effect, Fault, LocalAws, Options};
use agentless_tests::terraform::Terraform;

use crate::network::{assert_gone, config};
use crate::shared::{local_aws, unique};

/// Small, but with every kind of part.
const MODES: [&str; 2] = [
    "availability_zone_count = 1\negress = \"nat_per_zone\"\nipv6 = true\nendpoint_services = [\"s3\"]\n\
     flow_logs = {\n  log_group_arn = \"arn:aws:logs:us-east-1:123456789012:log-group:flows\"\n  \
     role_arn      = \"arn:aws:iam::123456789012:role/flows\"\n}",
    "availability_zone_count = 1\negress = \"endpoints\"\nendpoint_services = [\"s3\", \"ec2\"]",
];

/// A local AWS with calls and faults of its own.
async fn own_aws() -> LocalAws {
    local_aws().await.share(Options::default()).expect("a local AWS")
}

async fn terraform(aws: &LocalAws, mode: &str) -> Terraform {
    let terraform = Terraform::with_config(aws, &config(&unique("network"), mode)).expect("a directory");
    terraform.init().await.expect("terraform init");
    terraform
}

/// Every call of a creation that makes or changes something, with how many of the same action come before it.
async fn changing_calls(mode: &str) -> Vec<(&'static str, u64)> {
    let aws = own_aws().await;
    let terraform = terraform(&aws, mode).await;
    aws.clear_calls();
    terraform.apply().await.expect("apply");
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut found = Vec::new();
    for call in aws.calls() {
        if call.service != "ec2" || call.action.starts_with("Describe") {
            continue;
        }
        let action: &'static str = call.action.leak();
        let count = counts.entry(action).or_default();
        found.push((action, *count));
        *count += 1;
    }
    terraform.destroy().await.expect("destroy");
    found
}

/// What has the tag of this creation, whatever the state knows.
fn tokens(aws: &LocalAws) -> Vec<String> {
    let calls = aws.calls().into_iter().filter(|call| call.action == "CreateVpc");
    let mut tokens: Vec<String> = calls
        .filter_map(|call| {
            let key = call
                .parameters
                .iter()
                .find(|(_, value)| *value == "DatadogAgentlessScannerNetwork")?
                .0
                .clone();
            call.parameters.get(&key.replace(".Key", ".Value")).cloned()
        })
        .collect();
    tokens.dedup();
    tokens
}

async fn assert_all_gone(aws: &LocalAws) {
    for token in tokens(aws) {
        assert_gone("vpc-00000000000000000", &token).await;
    }
}

/// Calls of one mode with a fault at each, one after the other in one directory. Returns how many.
async fn each_call(mode: &str, effect: Effect, is_fatal: bool) -> u64 {
    let calls = changing_calls(mode).await;
    let aws = own_aws().await;
    let terraform = terraform(&aws, mode).await;
    let mut cases = 0;
    for (action, nth) in calls {
        let case = format!("{action} no. {nth}");
        aws.clear_calls();
        aws.inject(Fault::on("ec2", action, effect.clone()).skip(nth).times(1));
        if is_fatal {
            let failed = terraform.apply_fails().await.expect("a failure");
            assert!(failed.stderr.contains(&format!("ec2:{action}")), "{case}: {}", failed.stderr);
        }
        // After a failure alternately: what is left is removed at once, or the next apply makes it whole.
        if !is_fatal || cases % 2 == 0 {
            terraform.apply().await.unwrap_or_else(|error| panic!("{case}: {error}"));
            let plan = terraform.plan().await.unwrap_or_else(|error| panic!("{case}: {error}"));
            plan.assert_empty().unwrap_or_else(|error| panic!("{case}: {error}"));
        }
        terraform.destroy().await.unwrap_or_else(|error| panic!("{case}: {error}"));
        assert!(aws.calls().iter().any(|call| call.faulted), "{case}: nothing failed");
        assert_all_gone(&aws).await;
        aws.clear_faults();
        cases += 1;
    }
    cases
}

#[tokio::test]
async fn a_failed_creation_can_be_destroyed_or_finished() {
    let [nat, endpoints] = MODES.map(|mode| each_call(mode, Effect::AccessDenied, true));
    let (nat, endpoints) = tokio::join!(nat, endpoints);
    println!("{nat} + {endpoints} creations failed, nothing was left");
    assert!(nat + endpoints >= 30);
}

#[tokio::test]
async fn a_lost_answer_makes_nothing_twice() {
    let [nat, endpoints] = MODES.map(|mode| each_call(mode, Effect::ResetReply, false));
    let (nat, endpoints) = tokio::join!(nat, endpoints);
    println!("{nat} + {endpoints} answers were lost, nothing was made twice");
    assert!(nat + endpoints >= 30);
}
