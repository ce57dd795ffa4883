use crate::shared::{assert_repaired, iam, local_aws, terraform, text, unique};

const ROLE: &str = "datadog_agentless_scanner_delegate_role.this";

/// A delegate of a scanner that exists.
fn config(name: &str, more: &str) -> String {
    format!(
        "resource \"datadog_agentless_scanner_delegate_role\" \"this\" {{\n  name = \"{name}\"\n  \
         scanner_role_arns = [\"arn:aws:iam::123456789012:role/{name}-scanner\"]\n{more}\n}}\n"
    )
}

async fn make_scanner(name: &str) {
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
        "Principal":{"Service":"ec2.amazonaws.com"}}]}"#;
    let request = iam().await.create_role().role_name(format!("{name}-scanner"));
    request.assume_role_policy_document(trust).send().await.expect("a scanner's role");
}

#[tokio::test]
async fn the_life_of_a_delegate_role() {
    let name = unique("delegate");
    make_scanner(&name).await;
    let terraform = terraform(&config(&name, "")).await;
    let plan = terraform.plan().await.unwrap();
    plan.expect_actions(ROLE, &["create"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    let state = terraform.state().await.unwrap();
    assert!(text(&state, ROLE, "assume_role_policy").contains(&format!(":role/{name}-scanner")));
    assert!(!text(&state, ROLE, "policy").contains("sts:"));
    terraform.assert_import_verifies(ROLE, &name, &[]).await.unwrap();
    terraform.assert_import_verifies(ROLE, &format!("{name}@us-east-1"), &[]).await.unwrap();
    terraform.assert_import_block_is_no_op(ROLE, &name).await.unwrap();

    let more = "external_id = \"agreed-id\"\nfeatures = [\"hosts\", \"images\", \"functions\"]\n\
                regions = [\"us-east-1\", \"eu-west-1\"]\nmax_session_duration = 7200\n\
                tags = { team = \"security\" }\n\
                permissions_boundary = \"arn:aws:iam::aws:policy/ReadOnlyAccess\"";
    terraform.set_config(&config(&name, more)).unwrap();
    terraform.plan().await.unwrap().expect_actions(ROLE, &["update"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    terraform.assert_import_verifies(ROLE, &name, &[]).await.unwrap();
    let role = iam().await.get_role().role_name(&name).send().await.unwrap().role.unwrap();
    assert_eq!(role.max_session_duration, Some(7_200));
    assert!(role.permissions_boundary.is_some());

    terraform.set_config(&config(&name, "path = \"/security/\"")).unwrap();
    terraform.plan().await.unwrap().expect_actions(ROLE, &["delete", "create"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    terraform.destroy().await.unwrap();
    assert!(iam().await.get_role().role_name(&name).send().await.is_err(), "role {name} is still there");
    local_aws().await.assert_no_unimplemented();
}

#[tokio::test]
async fn a_delegate_that_somebody_widens_is_set_right() {
    let name = unique("delegate");
    make_scanner(&name).await;
    let terraform = terraform(&config(&name, "external_id = \"agreed-id\"")).await;
    terraform.apply().await.unwrap();
    let iam = iam().await;
    let trusted = text(&terraform.state().await.unwrap(), ROLE, "assume_role_policy");
    let statement = trusted.split_once("\"AWS\":\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    for wider in [
        trusted.replace(&statement, "*"),
        trusted.replace("agreed-id", "any-id"),
        trusted.replace(&statement, "arn:aws:iam::123456789012:root"),
    ] {
        iam.update_assume_role_policy().role_name(&name).policy_document(wider).send().await.unwrap();
        assert_repaired(&terraform, ROLE).await;
    }
    let permitted = text(&terraform.state().await.unwrap(), ROLE, "policy");
    iam.put_role_policy()
        .role_name(&name)
        .policy_name("agentless-scanner")
        .policy_document(permitted.replace("ec2:DeleteSnapshot", "ec2:*"))
        .send()
        .await
        .unwrap();
    assert_repaired(&terraform, ROLE).await;
    terraform.destroy().await.unwrap();
}

#[tokio::test]
async fn a_scanner_that_does_not_exist_is_told() {
    let name = unique("delegate");
    let config = format!(
        "resource \"datadog_agentless_scanner_delegate_role\" \"this\" {{\n  name = \"{name}\"\n  \
         scanner_role_arns = [\"arn:aws:iam::123456789012:role/{name}-nobody\"]\n  \
         timeouts = {{ create = \"3s\" }}\n}}\n"
    );
    let terraform = terraform(&config).await;
    let failed = terraform.apply_fails().await.unwrap();
    assert!(failed.stderr.contains("Invalid principal"), "{}", failed.stderr);
    assert!(failed.stderr.contains(&format!("{name}-nobody")), "{}", failed.stderr);
    assert!(terraform.state().await.unwrap().addresses().is_empty());

    let anybody = config.replace(&format!("arn:aws:iam::123456789012:role/{name}-nobody"), "*");
    terraform.set_config(&anybody).unwrap();
    let failed = terraform.plan_fails().await.unwrap();
    assert!(failed.stderr.contains("the ARN of one IAM role"), "{}", failed.stderr);
}
