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

async fn assert_gone(name: &str) {
    let iam = iam().await;
    assert!(iam.get_role().role_name(name).send().await.is_err(), "role {name} is still there");
    let profile = iam.get_instance_profile().instance_profile_name(name).send().await;
    assert!(profile.is_err(), "instance profile {name} is still there");
}
