//! What cannot be planned yet, for a Terraform that can wait.

use serde_json::json;
use tempfile::TempDir;

use crate::client::proto::{self, ClientCapabilities, deferred::Reason};
use crate::client::{Client, DynamicValue, json, said, value};

/// The configuration `{ root = …, token = (unknown) }`, which JSON cannot say.
fn unknown_token(root: &str) -> DynamicValue {
    let mut msgpack = vec![0x82, 0xa4];
    msgpack.extend_from_slice(b"root");
    msgpack.extend([0xd9, u8::try_from(root.len()).unwrap()]);
    msgpack.extend_from_slice(root.as_bytes());
    msgpack.push(0xa5);
    msgpack.extend_from_slice(b"token");
    msgpack.extend([0xd4, 0, 0]);
    DynamicValue { msgpack, json: Vec::new() }
}

fn capabilities(deferral_allowed: bool) -> ClientCapabilities {
    ClientCapabilities { deferral_allowed, ..ClientCapabilities::default() }
}

async fn configure(client: &Client, root: &TempDir, deferral_allowed: bool) {
    let request = proto::configure_provider::Request {
        config: Some(unknown_token(root.path().to_str().unwrap())),
        client_capabilities: Some(capabilities(deferral_allowed)),
        ..Default::default()
    };
    let answer: proto::configure_provider::Response = client.call("ConfigureProvider", request).await;
    assert_eq!(said(&answer.diagnostics), Vec::<String>::new());
}

async fn plan(client: &Client, deferral_allowed: bool) -> proto::plan_resource_change::Response {
    let config = json!({"name": "one"});
    let request = proto::plan_resource_change::Request {
        type_name: "fixture_file".to_owned(),
        proposed_new_state: Some(value(&config)),
        config: Some(value(&config)),
        client_capabilities: Some(capabilities(deferral_allowed)),
        ..Default::default()
    };
    client.call("PlanResourceChange", request).await
}

#[tokio::test]
async fn an_unknown_configuration_defers_everything() {
    let root = TempDir::new().unwrap();
    let client = Client::start().await;
    configure(&client, &root, true).await;
    let reason = proto::Deferred { reason: Reason::ProviderConfigUnknown.into() };

    let planned = plan(&client, true).await;
    assert_eq!(planned.deferred, Some(reason));
    let state = json(planned.planned_state.as_ref());
    assert_eq!(
        (&state["size"], &state["id"]),
        (&json!(8), &json!("(unknown)")),
        "as far as the schema can tell"
    );

    let read: proto::read_resource::Response = client
        .call(
            "ReadResource",
            proto::read_resource::Request {
                type_name: "fixture_file".to_owned(),
                current_state: Some(value(&json!({"id": "one", "name": "one"}))),
                client_capabilities: Some(capabilities(true)),
                ..Default::default()
            },
        )
        .await;
    assert_eq!(
        (read.deferred, read.new_state),
        (Some(reason), Some(value(&json!({"id": "one", "name": "one"}))))
    );

    let imported: proto::import_resource_state::Response = client
        .call(
            "ImportResourceState",
            proto::import_resource_state::Request {
                type_name: "fixture_file".to_owned(),
                id: "one".to_owned(),
                client_capabilities: Some(capabilities(true)),
                ..Default::default()
            },
        )
        .await;
    assert_eq!(imported.deferred, Some(reason));
    assert_eq!(json(imported.imported_resources[0].state.as_ref()), "(unknown)");

    let data: proto::read_data_source::Response = client
        .call(
            "ReadDataSource",
            proto::read_data_source::Request {
                type_name: "fixture_size".to_owned(),
                config: Some(value(&json!({"name": "one"}))),
                client_capabilities: Some(capabilities(true)),
                ..Default::default()
            },
        )
        .await;
    assert_eq!((data.deferred, json(data.state.as_ref())), (Some(reason), json!("(unknown)")));

    // The next run knows more.
    configure(&client, &root, false).await;
    let planned = plan(&client, true).await;
    assert_eq!((planned.deferred, said(&planned.diagnostics)), (None, Vec::new()));
}

#[tokio::test]
async fn a_client_that_cannot_wait_is_not_asked_to() {
    let root = TempDir::new().unwrap();
    let client = Client::start().await;
    configure(&client, &root, false).await;
    let planned = plan(&client, false).await;
    assert_eq!((planned.deferred, said(&planned.diagnostics)), (None, Vec::new()));
}
