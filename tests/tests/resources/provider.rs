//! The provider block: where credentials and region come from, and what is said when they are not there.

use agentless_tests::local_aws::{Effect, Fault};

use crate::shared::{local_aws, terraform, text, unique};

/// Where there is no block, Terraform adds an error of its own to every one about it.
const EMPTY_BLOCK: &str = "provider \"datadog\" {}\n";

fn role(name: &str) -> String {
    format!("resource \"datadog_agentless_scanner_role\" \"this\" {{\n  name = \"{name}\"\n}}\n")
}

#[tokio::test]
async fn wrong_credentials_are_told_once() {
    let two = format!("{EMPTY_BLOCK}{}{}", role("one"), role("two").replace("\"this\"", "\"that\""));
    let mut terraform = terraform(&two).await;
    terraform.set_environment("AWS_ACCESS_KEY_ID", "AKIAWRONG");
    let failed = terraform.plan_fails().await.unwrap();
    assert_eq!(failed.stderr.matches("Error:").count(), 1, "{}", failed.stderr);
    assert!(failed.stderr.contains("Could not use the AWS credentials"), "{}", failed.stderr);
    assert!(failed.stderr.contains("sts:GetCallerIdentity"), "{}", failed.stderr);
}

#[tokio::test]
async fn a_missing_region_is_told() {
    let mut terraform = terraform(&role("one")).await;
    terraform.set_environment("AWS_REGION", "");
    terraform.set_environment("AWS_DEFAULT_REGION", "");
    let failed = terraform.plan_fails().await.unwrap();
    assert!(failed.stderr.contains("No AWS region"), "{}", failed.stderr);
}

#[tokio::test]
async fn a_role_is_not_assumed_without_a_region() {
    let block = "provider \"datadog\" {\n  assume_role {\n    role_arn = \"arn:aws:iam::123456789012:role/admin\"\n  \
                 }\n}\n";
    let mut terraform = terraform(&format!("{block}{}", role("one"))).await;
    terraform.set_environment("AWS_REGION", "");
    terraform.set_environment("AWS_DEFAULT_REGION", "");
    let failed = terraform.plan_fails().await.unwrap();
    assert!(failed.stderr.contains("No AWS region"), "{}", failed.stderr);
    assert!(failed.stderr.contains("assume_role"), "{}", failed.stderr);
}

#[tokio::test]
async fn what_aws_would_refuse_is_refused_before_it_is_asked() {
    let block = "provider \"datadog\" {\n  assume_role {\n    role_arn = \"admin\"\n  }\n  default_tags {\n    \
                 tags = { \"aws:team\" = \"security\" }\n  }\n}\n";
    let terraform = terraform(&format!("{block}{}", role("one"))).await;
    let failed = terraform.plan_fails().await.unwrap();
    assert!(failed.stderr.contains("assume_role.role_arn"), "{}", failed.stderr);
    assert!(failed.stderr.contains("\"aws:team\""), "{}", failed.stderr);
    for (tags, said) in [("\"aws:team\" = \"security\"", "\"aws:team\""), ("team = null", "not null")] {
        let tagged = role("one").replace("\n}", &format!("\n  tags = {{ {tags} }}\n}}"));
        terraform.set_config(&format!("{EMPTY_BLOCK}{tagged}")).unwrap();
        let failed = terraform.plan_fails().await.unwrap();
        assert!(failed.stderr.contains(said), "{}", failed.stderr);
    }
}

#[tokio::test]
async fn an_endpoint_that_nobody_serves_is_told() {
    // Port 9 (discard) has no listener; a connection is refused at once.
    let block = "provider \"datadog\" {\n  endpoints {\n    sts = \"http://127.0.0.1:9\"\n  }\n}\n";
    let terraform = terraform(&format!("{block}{}", role("one"))).await;
    let failed = terraform.plan_fails().await.unwrap();
    assert!(failed.stderr.contains("Could not reach AWS"), "{}", failed.stderr);
}

#[tokio::test]
async fn access_denied_names_the_permission() {
    let name = unique("denied");
    let terraform = terraform(&role(&name)).await;
    let fault = Fault::on("iam", "CreateRole", Effect::AccessDenied).with_parameter("RoleName", &name);
    local_aws().await.inject(fault.times(1));
    let failed = terraform.apply_fails().await.unwrap();
    assert!(failed.stderr.contains("lack the permission"), "{}", failed.stderr);
    assert!(failed.stderr.contains("iam:CreateRole"), "{}", failed.stderr);
}

#[tokio::test]
async fn throttling_is_waited_out() {
    let name = unique("throttled");
    let terraform = terraform(&role(&name)).await;
    for effect in [Effect::Throttle, Effect::Unavailable, Effect::ResetRequest] {
        let fault = Fault::on("iam", "CreateRole", effect).with_parameter("RoleName", &name);
        local_aws().await.inject(fault.times(1));
    }
    terraform.apply().await.unwrap();
    terraform.destroy().await.unwrap();
}

#[tokio::test]
async fn what_was_made_before_its_answer_was_lost_is_recognised() {
    let name = unique("lost");
    let terraform = terraform(&role(&name)).await;
    for action in ["PutRolePolicy", "CreateInstanceProfile", "AddRoleToInstanceProfile"] {
        let parameter = if action == "PutRolePolicy" { "RoleName" } else { "InstanceProfileName" };
        let fault = Fault::on("iam", action, Effect::ResetReply).with_parameter(parameter, &name);
        local_aws().await.inject(fault.times(1));
    }
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    for (action, parameter) in [("DeleteInstanceProfile", "InstanceProfileName"), ("DeleteRole", "RoleName")]
    {
        let fault = Fault::on("iam", action, Effect::ResetReply).with_parameter(parameter, &name);
        local_aws().await.inject(fault.times(1));
    }
    terraform.destroy().await.unwrap();
}

#[tokio::test]
async fn credentials_and_tags_come_from_the_block() {
    let aws = local_aws().await;
    let environment = aws.environment();
    let value =
        |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| value).unwrap();
    let block = format!(
        "provider \"datadog\" {{\n  region = \"eu-west-1\"\n  access_key = \"{}\"\n  secret_key = \"{}\"\n  \
         default_tags {{\n    tags = {{ team = \"security\", env = \"prod\" }}\n  }}\n}}\n",
        value("AWS_ACCESS_KEY_ID"),
        value("AWS_SECRET_ACCESS_KEY"),
    );
    let name = unique("block");
    let tagged = role(&name).replace("\n}", "\n  tags = { env = \"test\" }\n}");
    let mut terraform = terraform(&format!("{block}{tagged}")).await;
    terraform.set_environment("AWS_ACCESS_KEY_ID", "AKIAWRONG");
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    let state = terraform.state().await.unwrap();
    let address = "datadog_agentless_scanner_role.this";
    assert_eq!(text(&state, address, "region"), "eu-west-1");
    let tags = state.attribute(address, "tags_all").unwrap();
    assert_eq!(*tags, serde_json::json!({"team": "security", "env": "test"}));
    terraform.destroy().await.unwrap();
}

#[tokio::test]
async fn a_role_is_assumed_first() {
    let (name, admin) = (unique("assumed"), unique("admin"));
    let block = format!(
        "provider \"datadog\" {{\n  assume_role {{\n    role_arn = \"arn:aws:iam::123456789012:role/{admin}\"\n    \
         session_name = \"terraform-test\"\n    external_id = \"1234\"\n    duration = \"1h\"\n  }}\n}}\n"
    );
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
        "Principal":{"AWS":"*"}}]}"#;
    let iam = crate::shared::iam().await;
    iam.create_role().role_name(&admin).assume_role_policy_document(trust).send().await.unwrap();
    let terraform = terraform(&format!("{block}{}", role(&name))).await;
    terraform.apply().await.unwrap();
    let calls = local_aws().await.calls();
    let assumed = calls.iter().find(|call| {
        call.action == "AssumeRole" && call.parameters.get("RoleArn").is_some_and(|arn| arn.ends_with(&admin))
    });
    assert_eq!(assumed.unwrap().parameters["ExternalId"], "1234");
    assert_eq!(assumed.unwrap().parameters["DurationSeconds"], "3600");
    terraform.destroy().await.unwrap();
}

#[tokio::test]
async fn one_block_serves_many_regions() {
    let name = unique("regions");
    let config = format!(
        "resource \"datadog_agentless_scanner_role\" \"this\" {{\n  for_each = toset([\"us-east-1\", \"eu-west-1\"])\n  \
         region = each.key\n  name = \"{name}-${{each.key}}\"\n}}\n"
    );
    let terraform = terraform(&config).await;
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    let state = terraform.state().await.unwrap();
    let policy = text(&state, "datadog_agentless_scanner_role.this[\"eu-west-1\"]", "policy");
    assert!(policy.contains("arn:aws:ec2:eu-west-1:") && !policy.contains("us-east-1"), "{policy}");
    terraform.destroy().await.unwrap();
}

#[tokio::test]
async fn an_error_within_an_attribute_shows_its_line() {
    let config = role("one").replace("\n}", "\n  timeouts = {\n    create = \"soon\"\n  }\n}");
    let failed = terraform(&format!("{EMPTY_BLOCK}{config}")).await.plan_fails().await.unwrap();
    assert!(failed.stderr.contains("The value of `timeouts.create`"), "{}", failed.stderr);
    // Terraform quotes the line that the error is about.
    assert!(failed.stderr.contains("timeouts = {"), "{}", failed.stderr);
}
