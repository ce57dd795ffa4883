use std::fs;

use agentless_tests::local_aws::{Effect, Fault};
use agentless_tests::terraform::Terraform;
use aws_sdk_secretsmanager::types::Tag;
use serde_json::Value as Json;

use crate::shared::{assert_repaired, interrupt_apply, local_aws, secretsmanager, terraform, text, unique};

const SECRET: &str = "datadog_agentless_scanner_api_key.this";
const KEY: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";
const ROLE: &str = "arn:aws:iam::123456789012:role/scanner";
const AT_ONCE: &str = "recovery_window_in_days = 0";

/// With the key in an ephemeral variable.
fn config(name: &str, number: u32, more: &str) -> String {
    let variable = "variable \"key\" {\n  type      = string\n  ephemeral = true\n}\n";
    format!("{variable}{}", without_key(name, number, &format!("api_key_wo = var.key\n{more}")))
}

fn without_key(name: &str, number: u32, more: &str) -> String {
    format!(
        "resource \"datadog_agentless_scanner_api_key\" \"this\" {{\n  name = \"{name}\"\n  \
         api_key_wo_version = {number}\n{more}\n}}\n"
    )
}

async fn with_key(config: &str) -> Terraform {
    let mut terraform = terraform(config).await;
    terraform.set_variable("key", KEY);
    terraform
}

#[tokio::test]
async fn the_life_of_an_api_key() {
    let name = unique("key");
    let mut terraform = with_key(&config(&name, 1, "")).await;
    let plan = terraform.plan().await.unwrap();
    plan.expect_actions(SECRET, &["create"]).unwrap();
    assert!(!plan.text.contains(KEY));
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    assert_eq!(value(&name, "AWSCURRENT").await, KEY);
    let state = terraform.state().await.unwrap();
    let arn = text(&state, SECRET, "arn");
    assert_eq!(text(&state, SECRET, "enc_handle"), format!("ENC[{arn}]"));
    assert_eq!(*state.attribute(SECRET, "api_key_wo").unwrap(), Json::Null);
    terraform.assert_import_verifies(SECRET, &arn, &[]).await.unwrap();
    terraform.assert_import_block_is_no_op(SECRET, &arn).await.unwrap();
    // On other days the key is not there.
    terraform.set_config(&without_key(&name, 1, "")).unwrap();
    terraform.assert_empty_plans().await.unwrap();

    let key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let more = format!(
        "kms_key_id = \"{key}\"\ndescription = \"The key\"\nreader_role_arns = [\"{ROLE}\"]\n\
         tags = {{ team = \"security\" }}"
    );
    terraform.set_config(&without_key(&name, 1, &more)).unwrap();
    terraform.plan().await.unwrap().expect_actions(SECRET, &["update"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    terraform.assert_import_verifies(SECRET, &arn, &[]).await.unwrap();
    let policy = secretsmanager().await.get_resource_policy().secret_id(&arn).send().await.unwrap();
    assert!(policy.resource_policy().unwrap().contains(ROLE));

    terraform.set_variable("key", OTHER);
    terraform.set_config(&config(&name, 2, AT_ONCE)).unwrap();
    let plan = terraform.plan().await.unwrap();
    plan.expect_actions(SECRET, &["update"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    assert_eq!(
        (value(&name, "AWSCURRENT").await, value(&name, "AWSPREVIOUS").await),
        (OTHER.into(), KEY.into())
    );
    let secret = secretsmanager().await.describe_secret().secret_id(&arn).send().await.unwrap();
    assert!(secret.kms_key_id().is_none_or(str::is_empty));
    assert!(secret.tags().is_empty());

    let other = unique("key");
    terraform.set_config(&config(&other, 2, AT_ONCE)).unwrap();
    terraform.plan().await.unwrap().expect_actions(SECRET, &["delete", "create"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    assert_gone(&name).await;

    for file in fs::read_dir(terraform.directory()).unwrap().map(|entry| entry.unwrap().path()) {
        if file.is_file() {
            let content = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
            assert!(!content.contains(KEY) && !content.contains(OTHER), "{}", file.display());
        }
    }
    terraform.destroy().await.unwrap();
    assert_gone(&other).await;
    local_aws().await.assert_no_unimplemented();
}

#[tokio::test]
async fn what_somebody_changes_is_set_right() {
    let name = unique("key");
    let more = format!("{AT_ONCE}\nreader_role_arns = [\"{ROLE}\"]");
    let terraform = with_key(&config(&name, 1, &more)).await;
    terraform.apply().await.unwrap();
    let secrets = secretsmanager().await;

    secrets.put_secret_value().secret_id(&name).secret_string(OTHER).send().await.unwrap();
    terraform.set_config(&without_key(&name, 1, &more)).unwrap();
    let plan = terraform.plan().await.unwrap();
    assert!(plan.text.contains("Somebody else has replaced the API key"), "{}", plan.text);
    terraform.set_config(&config(&name, 1, &more)).unwrap();
    assert_repaired(&terraform, SECRET).await;
    assert_eq!(value(&name, "AWSCURRENT").await, KEY);

    let anybody = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",
        "Action":"secretsmanager:GetSecretValue","Resource":"*"}]}"#;
    secrets.put_resource_policy().secret_id(&name).resource_policy(anybody).send().await.unwrap();
    assert_repaired(&terraform, SECRET).await;
    secrets.delete_resource_policy().secret_id(&name).send().await.unwrap();
    assert_repaired(&terraform, SECRET).await;

    let key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    secrets.update_secret().secret_id(&name).kms_key_id(key).description("Mine").send().await.unwrap();
    assert_repaired(&terraform, SECRET).await;

    let tag = Tag::builder().key("who").value("me").build();
    secrets.tag_resource().secret_id(&name).tags(tag).send().await.unwrap();
    assert_repaired(&terraform, SECRET).await;

    secrets.delete_secret().secret_id(&name).recovery_window_in_days(7).send().await.unwrap();
    let plan = terraform.plan().await.unwrap();
    assert!(plan.text.contains("deletion_date"), "{}", plan.text);
    assert_repaired(&terraform, SECRET).await;
    assert_eq!(value(&name, "AWSCURRENT").await, KEY);

    secrets.delete_secret().secret_id(&name).force_delete_without_recovery(true).send().await.unwrap();
    terraform.plan().await.unwrap().expect_actions(SECRET, &["create"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    terraform.destroy().await.unwrap();
    assert_gone(&name).await;
}

#[tokio::test]
async fn a_name_that_is_taken_or_being_given_up_is_told() {
    let name = unique("key");
    let owner = with_key(&config(&name, 1, "")).await;
    owner.apply().await.unwrap();
    let second = with_key(&config(&name, 1, AT_ONCE)).await;
    let failed = second.apply_fails().await.unwrap();
    assert!(failed.stderr.contains("ResourceExistsException"), "{}", failed.stderr);
    assert!(second.state().await.unwrap().addresses().is_empty());

    owner.destroy().await.unwrap();
    let failed = second.apply_fails().await.unwrap();
    assert!(failed.stderr.contains("restore-secret --region us-east-1"), "{}", failed.stderr);
    let secrets = secretsmanager().await;
    let secret = secrets.describe_secret().secret_id(&name).send().await.unwrap();
    assert!(secret.deleted_date().is_some());
    // What is scheduled already can be imported, restored and deleted at once.
    second.import(SECRET, secret.arn().unwrap()).await.unwrap();
    assert_repaired(&second, SECRET).await;
    second.destroy().await.unwrap();
    assert_gone(&name).await;
}

#[tokio::test]
async fn the_key_is_asked_for_when_it_is_needed() {
    let name = unique("key");
    let terraform = terraform(&without_key(&name, 1, AT_ONCE)).await;
    let failed = terraform.plan_fails().await.unwrap();
    assert!(failed.stderr.contains("The API key is missing"), "{}", failed.stderr);
    for key in ["short", &format!("{KEY} ")] {
        let line = format!("api_key_wo = \"{key}\"\n{AT_ONCE}");
        terraform.set_config(&without_key(&name, 1, &line)).unwrap();
        let failed = terraform.plan_fails().await.unwrap();
        assert!(failed.stderr.contains("`api_key_wo` is sensitive and not shown"), "{}", failed.stderr);
    }
}

#[tokio::test]
async fn a_call_that_fails_leaves_something_to_go_on_with() {
    let name = unique("key");
    let more = format!("reader_role_arns = [\"{ROLE}-{name}\"]");
    let mut terraform = with_key(&config(&name, 1, &more)).await;
    // The answers are lost: the request is made again, with the same token.
    let aws = local_aws().await;
    let lost = Fault::on("secretsmanager", "CreateSecret", Effect::ResetReply).times(1);
    aws.inject(lost.with_parameter("Name", &name));
    let plan = terraform.plan().await.unwrap();
    let policy = plan.change(SECRET).unwrap().pointer("/after/policy").and_then(Json::as_str).unwrap();
    let denied = Fault::on("secretsmanager", "PutResourcePolicy", Effect::AccessDenied).times(1);
    aws.inject(denied.with_parameter("ResourcePolicy", policy));
    let failed = terraform.apply_fails().await.unwrap();
    assert!(failed.stderr.contains("secretsmanager:PutResourcePolicy"), "{}", failed.stderr);
    // It is gone again, at once: in the recovery window its name would be taken.
    assert!(terraform.state().await.unwrap().addresses().is_empty());
    assert_gone(&name).await;
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();

    let arn = text(&terraform.state().await.unwrap(), SECRET, "arn");
    terraform.set_variable("key", OTHER);
    let more = format!("{AT_ONCE}\ndescription = \"New\"\ntags = {{ a = \"b\" }}");
    terraform.set_config(&config(&name, 2, &more)).unwrap();
    for action in ["DeleteResourcePolicy", "UpdateSecret", "PutSecretValue", "TagResource"] {
        let denied = Fault::on("secretsmanager", action, Effect::AccessDenied).times(1);
        aws.inject(denied.with_parameter("SecretId", &arn));
        let failed = terraform.apply_fails().await.unwrap();
        assert!(failed.stderr.contains(&format!("secretsmanager:{action}")), "{}", failed.stderr);
        assert!(!failed.stderr.contains(OTHER) && !failed.stdout.contains(OTHER));
    }
    let lost = Fault::on("secretsmanager", "DeleteSecret", Effect::ResetReply).times(1);
    aws.inject(lost.with_parameter("SecretId", &arn));
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    assert_eq!(value(&name, "AWSCURRENT").await, OTHER);
    terraform.destroy().await.unwrap();
    assert_gone(&name).await;
}

#[tokio::test]
async fn an_interrupted_apply_keeps_what_it_has_made() {
    let name = unique("key");
    let more = format!("{AT_ONCE}\nreader_role_arns = [\"{ROLE}\"]");
    let terraform = with_key(&config(&name, 1, &more)).await;
    interrupt_apply(&terraform, ("secretsmanager", "CreateSecret"), ("Name", &name)).await;
    assert_eq!(terraform.state().await.unwrap().addresses(), [SECRET]);
    terraform.destroy().await.unwrap();
    assert_gone(&name).await;
}

#[tokio::test]
async fn the_key_is_in_no_log() {
    let name = unique("key");
    let mut terraform = with_key(&config(&name, 1, AT_ONCE)).await;
    let log = terraform.directory().join("trace.log");
    terraform.set_environment("TF_LOG", "TRACE");
    terraform.set_environment("TF_LOG_PATH", &log);
    let wrong = Effect::Error(400, "InvalidParameterException", "No.");
    let fault = Fault::on("secretsmanager", "CreateSecret", wrong).times(1);
    local_aws().await.inject(fault.with_parameter("Name", &name));
    let mut written = String::new();
    for finished in [
        terraform.apply_fails().await.unwrap(),
        terraform.run(&["apply", "-auto-approve", "-no-color"]).await.unwrap(),
        terraform.run(&["plan", "-no-color"]).await.unwrap(),
    ] {
        written.push_str(&finished.stdout);
        written.push_str(&finished.stderr);
    }
    assert_eq!(value(&name, "AWSCURRENT").await, KEY);
    written.push_str(&String::from_utf8_lossy(&fs::read(&log).unwrap()));
    // It is a trace of the requests indeed.
    assert!(written.contains("CreateSecret"), "the log does not show the requests");
    let lines: Vec<&str> = written.lines().filter(|line| line.contains(KEY)).collect();
    assert!(lines.is_empty(), "{lines:#?}");
    terraform.destroy().await.unwrap();
    assert_gone(&name).await;
}

async fn value(name: &str, stage: &str) -> String {
    let request = secretsmanager().await.get_secret_value().secret_id(name).version_stage(stage);
    let answer = request.send().await.expect("the secret has a value");
    answer.secret_string.expect("the value is a text")
}

async fn assert_gone(name: &str) {
    let answer = secretsmanager().await.describe_secret().secret_id(name).send().await;
    assert!(answer.is_err(), "secret {name} is still there");
}
