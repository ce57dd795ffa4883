use std::fs;

use agentless_tests::local_aws::{Call, Effect, Fault};
use aws_sdk_iam::types::PolicyScopeType;
use serde_json::Value as Json;

use crate::shared::{assert_repaired, iam, local_aws, terraform, text, unique};

const ROLE: &str = "datadog_agentless_scanner_role.this";

fn config(name: &str, more: &str) -> String {
    format!("resource \"datadog_agentless_scanner_role\" \"this\" {{\n  name = \"{name}\"\n{more}\n}}\n")
}

#[tokio::test]
async fn the_life_of_a_role() {
    let name = unique("role");
    let terraform = terraform(&config(&name, "")).await;
    let plan = terraform.plan().await.unwrap();
    plan.expect_actions(ROLE, &["create"]).unwrap();
    // The permissions can be reviewed before anything is made.
    let policy = plan.change(ROLE).unwrap().pointer("/after/policy").and_then(Json::as_str).unwrap();
    assert!(policy.contains("ec2:CreateSnapshot"), "{policy}");
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    let arn = text(&terraform.state().await.unwrap(), ROLE, "arn");
    terraform.assert_import_verifies(ROLE, &name, &[]).await.unwrap();
    terraform.assert_import_verifies(ROLE, &format!("{name}@us-east-1"), &[]).await.unwrap();
    terraform.assert_import_block_is_no_op(ROLE, &name).await.unwrap();

    let key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let more = format!(
        "kms_key_arns = [\"{key}\"]\nmax_session_duration = 7200\ntags = {{ team = \"security\" }}\n\
         permissions_boundary = \"arn:aws:iam::aws:policy/ReadOnlyAccess\""
    );
    terraform.set_config(&config(&name, &more)).unwrap();
    terraform.plan().await.unwrap().expect_actions(ROLE, &["update"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    terraform.assert_import_verifies(ROLE, &name, &[]).await.unwrap();
    let state = terraform.state().await.unwrap();
    assert_eq!(text(&state, ROLE, "arn"), arn);
    assert!(text(&state, ROLE, "policy").contains(key));
    let role = iam().await.get_role().role_name(&name).send().await.unwrap().role.unwrap();
    assert_eq!(role.max_session_duration, Some(7_200));
    assert!(role.permissions_boundary.is_some());

    let other = unique("role");
    terraform.set_config(&config(&other, "")).unwrap();
    terraform.plan().await.unwrap().expect_actions(ROLE, &["delete", "create"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    assert_ne!(text(&terraform.state().await.unwrap(), ROLE, "arn"), arn);
    assert_gone(&name).await;

    terraform.destroy().await.unwrap();
    assert_gone(&other).await;
    local_aws().await.assert_no_unimplemented();
}

#[tokio::test]
async fn a_role_that_somebody_widens_is_set_right() {
    let name = unique("role");
    let terraform = terraform(&config(&name, "")).await;
    terraform.apply().await.unwrap();
    let iam = iam().await;
    let everything =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    let anybody = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
        "Principal":{"AWS":"*"}}]}"#;

    iam.put_role_policy()
        .role_name(&name)
        .policy_name("agentless-scanner")
        .policy_document(everything)
        .send()
        .await
        .unwrap();
    assert_repaired(&terraform, ROLE).await;

    iam.put_role_policy()
        .role_name(&name)
        .policy_name("more")
        .policy_document(everything)
        .send()
        .await
        .unwrap();
    let policy = iam.create_policy().policy_name(unique("admin")).policy_document(everything).send().await;
    let policy_arn = policy.unwrap().policy.unwrap().arn.unwrap();
    iam.attach_role_policy().role_name(&name).policy_arn(&policy_arn).send().await.unwrap();
    let plan = terraform.plan().await.unwrap();
    assert!(plan.text.contains(&policy_arn) && plan.text.contains("inline:more"), "{}", plan.text);
    assert_repaired(&terraform, ROLE).await;
    let attached = iam.list_attached_role_policies().role_name(&name).send().await.unwrap();
    assert!(attached.attached_policies().is_empty());

    iam.update_assume_role_policy().role_name(&name).policy_document(anybody).send().await.unwrap();
    assert_repaired(&terraform, ROLE).await;

    iam.remove_role_from_instance_profile()
        .instance_profile_name(&name)
        .role_name(&name)
        .send()
        .await
        .unwrap();
    iam.delete_instance_profile().instance_profile_name(&name).send().await.unwrap();
    assert_repaired(&terraform, ROLE).await;

    iam.tag_role()
        .role_name(&name)
        .tags(aws_sdk_iam::types::Tag::builder().key("who").value("me").build().unwrap())
        .send()
        .await
        .unwrap();
    assert_repaired(&terraform, ROLE).await;
    terraform.destroy().await.unwrap();
    assert_gone(&name).await;
}

#[tokio::test]
async fn a_role_that_is_gone_is_made_anew() {
    let name = unique("role");
    let terraform = terraform(&config(&name, "")).await;
    terraform.apply().await.unwrap();
    let iam = iam().await;
    iam.remove_role_from_instance_profile()
        .instance_profile_name(&name)
        .role_name(&name)
        .send()
        .await
        .unwrap();
    iam.delete_instance_profile().instance_profile_name(&name).send().await.unwrap();
    iam.delete_role_policy().role_name(&name).policy_name("agentless-scanner").send().await.unwrap();
    iam.delete_role().role_name(&name).send().await.unwrap();
    terraform.plan().await.unwrap().expect_actions(ROLE, &["create"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    terraform.destroy().await.unwrap();
    assert_gone(&name).await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_told() {
    let name = unique("role");
    let owner = terraform(&config(&name, "")).await;
    owner.apply().await.unwrap();
    let second = terraform(&config(&name, "")).await;
    let failed = second.apply_fails().await.unwrap();
    assert!(failed.stderr.contains("EntityAlreadyExists"), "{}", failed.stderr);
    assert!(failed.stderr.contains("terraform import"), "{}", failed.stderr);
    assert!(second.state().await.unwrap().addresses().is_empty());
    owner.destroy().await.unwrap();
}

#[tokio::test]
async fn what_is_named_beside_scanning_is_granted_and_imported() {
    let name = unique("role");
    let account = "arn:aws:secretsmanager:us-east-1:123456789012:secret";
    let more = format!(
        "features = []\ndelegate_role_arns = [\"arn:aws:iam::444455556666:role/delegate\"]\n\
         secret_arns = [\"{account}:key-AbCdEf\"]\nscaling_group_names = [\"scanner\"]\n\
         secret_kms_key_arns = [\"arn:aws:kms:us-east-1:123456789012:key/1234abcd\"]\n\
         reports = {{ bucket = \"reports\", prefix = \"scans/\" }}"
    );
    let terraform = terraform(&config(&name, &more)).await;
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    terraform.assert_import_verifies(ROLE, &name, &[]).await.unwrap();
    let policy = text(&terraform.state().await.unwrap(), ROLE, "policy");
    assert!(policy.contains("sts:AssumeRole") && !policy.contains("ec2:"), "{policy}");

    // Back to a role as it was before there were these arguments.
    terraform.set_config(&config(&name, "")).unwrap();
    terraform.plan().await.unwrap().expect_actions(ROLE, &["update"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();

    for (more, said) in [
        ("features = []", "Nothing to scan"),
        ("delegate_role_arns = [\"*\"]", "the ARN of one IAM role"),
        ("secret_arns = [\"arn:aws:secretsmanager:us-east-1:123456789012:secret:key\"]", "six characters"),
        ("reports = { bucket = \"reports\", prefix = \"scans\" }", "ends in"),
    ] {
        terraform.set_config(&config(&name, more)).unwrap();
        let failed = terraform.plan_fails().await.unwrap();
        assert!(failed.stderr.contains(said), "{more}: {}", failed.stderr);
    }
    terraform.set_config(&config(&name, "")).unwrap();
    terraform.destroy().await.unwrap();
    assert_gone(&name).await;
}

#[tokio::test]
async fn a_policy_too_long_for_one_becomes_several_and_goes_with_the_role() {
    let name = unique("role");
    let keys = |count: usize| {
        let key = |number| format!("\"arn:aws:kms:us-east-1:123456789012:key/{number:036}\"");
        format!("kms_key_arns = [{}]", (0..count).map(key).collect::<Vec<_>>().join(", "))
    };
    let terraform = terraform(&config(&name, &keys(150))).await;
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    terraform.assert_import_verifies(ROLE, &name, &[]).await.unwrap();
    assert_eq!(policies_of(&name).await.len(), 3);

    let iam = iam().await;
    let everything =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
    for arn in policies_of(&name).await {
        let request = iam.create_policy_version().policy_arn(&arn).policy_document(everything);
        request.set_as_default(true).send().await.unwrap();
        assert_repaired(&terraform, ROLE).await;
        iam.detach_role_policy().role_name(&name).policy_arn(&arn).send().await.unwrap();
        assert_repaired(&terraform, ROLE).await;
    }

    let fewer = format!("{}\ntags = {{ team = \"security\" }}", keys(120));
    terraform.set_config(&config(&name, &fewer)).unwrap();
    terraform.plan().await.unwrap().expect_actions(ROLE, &["update"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    assert_eq!(policies_of(&name).await.len(), 2);
    for arn in policies_of(&name).await {
        let policy = iam.get_policy().policy_arn(&arn).send().await.unwrap().policy.unwrap();
        assert_eq!(policy.tags().len(), 1, "{arn}");
    }

    terraform.destroy().await.unwrap();
    assert_gone(&name).await;
    assert_eq!(policies_of(&name).await, [""; 0]);
    local_aws().await.assert_no_unimplemented();
}

#[tokio::test]
async fn what_was_made_without_an_answer_is_recognised() {
    let name = unique("role");
    let key = |number| format!("\"arn:aws:kms:us-east-1:123456789012:key/{number:036}\"");
    let keys = format!("kms_key_arns = [{}]", (0..150).map(key).collect::<Vec<_>>().join(", "));
    let terraform = terraform(&config(&name, &keys)).await;
    for (action, parameter, value) in
        [("CreateRole", "RoleName", name.clone()), ("CreatePolicy", "PolicyName", format!("{name}-1"))]
    {
        let fault = Fault::on("iam", action, Effect::ResetReply).times(1);
        local_aws().await.inject(fault.with_parameter(parameter, &value));
    }
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    let calls = local_aws().await.calls();
    let asked = |action| {
        let named = |call: &&Call| call.parameters.values().any(|value| value.starts_with(&name));
        calls.iter().filter(named).filter(|call| call.action == action).count()
    };
    assert_eq!((asked("CreateRole"), asked("CreatePolicy")), (2, 4), "the answers were not lost");
    terraform.destroy().await.unwrap();
    assert_gone(&name).await;
    assert_eq!(policies_of(&name).await, [""; 0]);
}

#[tokio::test]
async fn a_state_of_the_version_before_is_read() {
    let name = unique("role");
    let terraform = terraform(&config(&name, "")).await;
    terraform.apply().await.unwrap();
    let path = terraform.directory().join("terraform.tfstate");
    let mut state: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    *state.pointer_mut("/resources/0/instances/0/schema_version").unwrap() = 0.into();
    let attributes = state.pointer_mut("/resources/0/instances/0/attributes").unwrap();
    for later in [
        "delegate_role_arns",
        "managed_policy_arns",
        "reports",
        "scaling_group_names",
        "secret_arns",
        "secret_kms_key_arns",
    ] {
        attributes.as_object_mut().unwrap().remove(later).unwrap();
    }
    fs::write(&path, state.to_string()).unwrap();
    terraform.assert_empty_plans().await.unwrap();
    terraform.destroy().await.unwrap();
    assert_gone(&name).await;
}

/// The managed policies that are named after the role.
async fn policies_of(role: &str) -> Vec<String> {
    let pages = iam().await.list_policies().scope(PolicyScopeType::Local).into_paginator().items().send();
    let policies = pages.collect::<Result<Vec<_>, _>>().await.expect("the policies");
    let arns = policies.into_iter().filter_map(|policy| policy.arn);
    arns.filter(|arn| arn.contains(&format!(":policy/{role}-"))).collect()
}

async fn assert_gone(name: &str) {
    let iam = iam().await;
    assert!(iam.get_role().role_name(name).send().await.is_err(), "role {name} is still there");
    let profile = iam.get_instance_profile().instance_profile_name(name).send().await;
    assert!(profile.is_err(), "instance profile {name} is still there");
}
