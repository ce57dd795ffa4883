//! The ephemeral resource: credentials that are used within one run and kept nowhere.

use crate::shared::{iam, local_aws, terraform, text, unique};

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
    "Principal":{"AWS":"*"}}]}"#;

/// A role that is made with the credentials of a session.
fn config(role: &str, session: &str, more: &str) -> String {
    format!(
        "ephemeral \"datadog_agentless_scanner_session\" \"this\" {{\n  \
         role_arn = \"arn:aws:iam::123456789012:role/{session}\"\n  external_id = \"1234\"\n{more}\n}}\n\
         provider \"datadog\" {{\n  alias = \"session\"\n  \
         region = ephemeral.datadog_agentless_scanner_session.this.region\n  \
         access_key = ephemeral.datadog_agentless_scanner_session.this.access_key_id\n  \
         secret_key = ephemeral.datadog_agentless_scanner_session.this.secret_access_key\n  \
         token = ephemeral.datadog_agentless_scanner_session.this.session_token\n}}\n\
         resource \"datadog_agentless_scanner_role\" \"this\" {{\n  provider = datadog.session\n  name = \"{role}\"\n}}\n"
    )
}

#[tokio::test]
async fn a_session_configures_another_provider_and_is_kept_nowhere() {
    let (role, session) = (unique("made-in-session"), unique("session"));
    iam().await.create_role().role_name(&session).assume_role_policy_document(TRUST).send().await.unwrap();
    let terraform = terraform(&config(&role, &session, "duration = \"30m\"")).await;
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    let state = terraform.state().await.unwrap();
    let made = text(&state, "datadog_agentless_scanner_role.this", "name");
    assert_eq!(made, role);

    let calls = local_aws().await.calls();
    let assumed = calls.iter().find(|call| {
        call.action == "AssumeRole"
            && call.parameters.get("RoleArn").is_some_and(|arn| arn.ends_with(&session))
    });
    let assumed = &assumed.unwrap().parameters;
    assert_eq!((assumed["ExternalId"].as_str(), assumed["DurationSeconds"].as_str()), ("1234", "1800"));
    let stored = std::fs::read_to_string(terraform.directory().join("terraform.tfstate")).unwrap();
    for secret in ["ASIA", "secret_access_key", "session_token"] {
        assert!(!stored.contains(secret), "{stored}");
    }
    terraform.destroy().await.unwrap();
}

#[tokio::test]
async fn what_sts_would_refuse_is_refused_before_it_is_asked() {
    let (role, session) = (unique("never-made"), unique("never-taken-on"));
    let terraform = terraform(&config(&role, &session, "duration = \"5m\"")).await;
    let failed = terraform.plan_fails().await.unwrap();
    assert!(failed.stderr.contains("from 15 minutes"), "{}", failed.stderr);
}
