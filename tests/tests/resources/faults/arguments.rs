//! Two configurations of each resource, in JSON: how it is made, and what it is changed to. `NAME` is another one in
//! each life.

use agentless_tests::local_aws::LocalAws;
use aws_sdk_ec2::types::ArchitectureValues;
use serde_json::{Value as Json, json};

/// What a resource needs is made, and then it can be made.
pub(crate) async fn of(aws: &LocalAws, resource: &str) -> [Json; 2] {
    match resource {
        "network" => network(),
        "role" => role(),
        "delegate_role" => delegate_role(aws).await,
        "security_group" => security_group(aws).await,
        "api_key" => api_key(),
        _ => scanner(aws).await,
    }
}

/// Small, but with every kind of part: in the one a NAT gateway and a flow log, in the other interface endpoints.
fn network() -> [Json; 2] {
    let logs = json!({
        "log_group_arn": "arn:aws:logs:us-east-1:123456789012:log-group:flows",
        "role_arn": "arn:aws:iam::123456789012:role/flows",
    });
    [
        json!({"name": "NAME", "availability_zone_count": 1, "egress": "nat_per_zone", "ipv6": true,
            "endpoint_services": ["s3"], "flow_logs": logs}),
        json!({"name": "NAME", "availability_zone_count": 1, "egress": "endpoints", "ipv6": true,
            "endpoint_services": ["s3", "ec2"], "tags": {"team": "security"}}),
    ]
}

fn role() -> [Json; 2] {
    [
        json!({"name": "NAME"}),
        json!({"name": "NAME", "features": ["hosts", "functions", "images"], "max_session_duration": 7200,
            "permissions_boundary": "arn:aws:iam::aws:policy/ReadOnlyAccess", "tags": {"team": "security"}}),
    ]
}

async fn delegate_role(aws: &LocalAws) -> [Json; 2] {
    let arn = make_role(aws, "trusted").await;
    [
        json!({"name": "NAME", "scanner_role_arns": [arn]}),
        json!({"name": "NAME", "scanner_role_arns": [arn], "external_id": "agreed-id",
            "features": ["hosts", "images", "functions"], "max_session_duration": 7200,
            "permissions_boundary": "arn:aws:iam::aws:policy/ReadOnlyAccess", "tags": {"team": "security"}}),
    ]
}

async fn security_group(aws: &LocalAws) -> [Json; 2] {
    let vpc = aws.create_network().await.expect("a network").vpc_id;
    [
        json!({"name": "NAME", "vpc_id": vpc}),
        json!({"name": "NAME", "vpc_id": vpc, "egress_cidr_blocks": ["10.42.0.0/16"], "egress_ipv6_cidr_blocks": [],
            "egress_prefix_list_ids": ["pl-0123456789abcdef0"], "tags": {"team": "security"}}),
    ]
}

fn api_key() -> [Json; 2] {
    let reader = "arn:aws:iam::123456789012:role/scanner";
    [
        json!({"name": "NAME", "api_key_wo": "0123456789abcdef0123456789abcdef", "api_key_wo_version": 1,
            "recovery_window_in_days": 0, "reader_role_arns": [reader]}),
        json!({"name": "NAME", "api_key_wo": "fedcba9876543210fedcba9876543210", "api_key_wo_version": 2,
            "recovery_window_in_days": 0, "description": "The key", "tags": {"team": "security"}}),
    ]
}

async fn scanner(aws: &LocalAws) -> [Json; 2] {
    let network = aws.create_network().await.expect("a network");
    let mut images = Vec::new();
    for _ in 0..2 {
        let image = aws.register_image("scanner", ArchitectureValues::Arm64, &[]).await;
        images.push(image.expect("an image"));
    }
    let role = make_role(aws, "scanner").await;
    let iam = aws_sdk_iam::Client::new(&aws.harness_sdk_config());
    let profile = iam.create_instance_profile().instance_profile_name("scanner").send().await;
    let profile = profile.expect("a profile").instance_profile.expect("a profile").arn;
    let add = iam.add_role_to_instance_profile().instance_profile_name("scanner").role_name("scanner");
    add.send().await.expect("a role in the profile");
    assert!(role.ends_with("/scanner"));
    let ec2 = aws_sdk_ec2::Client::new(&aws.harness_sdk_config());
    let group =
        ec2.create_security_group().vpc_id(&network.vpc_id).group_name("scanner").description("Scanner");
    let group = group.send().await.expect("a group").group_id.expect("a group");
    let of_image = |image: &str, tags: Json| {
        json!({"name": "NAME", "image_id": image, "subnet_ids": network.subnet_ids,
            "security_group_ids": [group], "instance_profile_arn": profile, "tags": tags})
    };
    [of_image(&images[0], json!({})), of_image(&images[1], json!({"team": "security"}))]
}

async fn make_role(aws: &LocalAws, name: &str) -> String {
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
        "Principal":{"Service":"ec2.amazonaws.com"}}]}"#;
    let iam = aws_sdk_iam::Client::new(&aws.harness_sdk_config());
    let request = iam.create_role().role_name(name).assume_role_policy_document(trust);
    request.send().await.expect("a role").role.expect("a role").arn
}
