//! Actions, as Terraform 1.14 and later ask for them.

use serde_json::json;
use tempfile::TempDir;

use crate::client::proto::{self, invoke_action::event::Type};
use crate::client::{Client, said, value};

/// The gRPC status of what a server does not have.
const UNIMPLEMENTED: i32 = 12;

fn grow(name: &str, by: u8) -> proto::invoke_action::Request {
    proto::invoke_action::Request {
        action_type: "fixture_grow".to_owned(),
        config: Some(value(&json!({"name": name, "by": by}))),
        ..Default::default()
    }
}

/// What the action says, line by line, and in the end what went wrong.
async fn invoke(client: &Client, request: proto::invoke_action::Request) -> (Vec<String>, Vec<String>) {
    let events: Vec<proto::invoke_action::Event> = client.stream("InvokeAction", request).await.unwrap();
    let mut lines = Vec::new();
    let mut completed = Vec::new();
    for event in events {
        match event.r#type.unwrap() {
            Type::Progress(progress) => lines.push(progress.message),
            Type::Completed(with) => completed.push(said(&with.diagnostics)),
        }
    }
    assert_eq!(completed.len(), 1, "it ends once");
    (lines, completed.remove(0))
}

#[tokio::test]
async fn an_action_tells_how_far_it_is_and_how_it_went() {
    let root = TempDir::new().unwrap();
    let client = Client::configured(root.path()).await;
    std::fs::write(root.path().join("one.json"), r#"{"size":8}"#).unwrap();

    let schemas: proto::get_provider_schema::Response =
        client.call("GetProviderSchema", proto::get_provider_schema::Request::default()).await;
    let schema = schemas.action_schemas["fixture_grow"].schema.as_ref().unwrap();
    assert_eq!(schema.block.as_ref().unwrap().attributes.len(), 2);
    let metadata: proto::get_metadata::Response =
        client.call("GetMetadata", proto::get_metadata::Request::default()).await;
    assert_eq!(metadata.actions[0].type_name, "fixture_grow");

    let plan = proto::plan_action::Request {
        action_type: "fixture_grow".to_owned(),
        config: Some(value(&json!({"name": "one", "by": 2}))),
        ..Default::default()
    };
    let planned: proto::plan_action::Response = client.call("PlanAction", plan).await;
    assert_eq!((said(&planned.diagnostics), planned.deferred), (Vec::new(), None));

    let (lines, problems) = invoke(&client, grow("one", 2)).await;
    assert_eq!(lines, ["grown by 1", "grown by 2"]);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(std::fs::read_to_string(root.path().join("one.json")).unwrap(), r#"{"size":10}"#);

    let (lines, problems) = invoke(&client, grow("one", 9)).await;
    assert!(problems[0].starts_with("Timed out growing"), "{problems:?}");
    assert!(!lines.is_empty() && lines.len() < 9, "{lines:?}");
    assert!(invoke(&client, grow("none", 1)).await.1[0].starts_with("No file \"none\""));
    assert!(invoke(&client, grow("panic", 1)).await.1[0].contains("boom in an action"));
    let unknown =
        proto::invoke_action::Request { action_type: "fixture_shrink".to_owned(), ..grow("one", 1) };
    assert!(invoke(&client, unknown).await.1[0].starts_with("No action \"fixture_shrink\""));
}

#[tokio::test]
async fn a_bad_configuration_of_an_action_is_refused() {
    let client = Client::start().await;
    let validate = async |by: u8| {
        let request = proto::validate_action_config::Request {
            action_type: "fixture_grow".to_owned(),
            config: Some(value(&json!({"name": "one", "by": by}))),
        };
        let answer: proto::validate_action_config::Response =
            client.call("ValidateActionConfig", request).await;
        said(&answer.diagnostics)
    };
    assert_eq!(validate(9).await, Vec::<String>::new());
    assert!(validate(10).await[0].contains("must be between 1 and 9"));
}

/// A procedure that this provider has nothing for is not there, which Terraform takes for an answer.
#[tokio::test]
async fn what_is_not_offered_is_unimplemented() {
    let client = Client::start().await;
    for procedure in ["GetFunctions", "CallFunction", "ListResource", "GetStates"] {
        let request = proto::get_metadata::Request::default();
        let answer = client.try_call::<_, proto::get_metadata::Response>(procedure, request).await;
        assert_eq!(answer.unwrap_err(), UNIMPLEMENTED, "{procedure}");
    }
}
