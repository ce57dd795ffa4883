//! `moved` blocks between resources of different types.

use serde_json::json;

use crate::client::proto::{self, RawState};
use crate::client::{Client, json, said};
use crate::harness::Workspace;

const FILE: &str = "resource \"fixture_file\" \"one\" {\n  name = \"one\"\n  size = 9\n}\n";
const RECORD: &str = "resource \"fixture_record\" \"r\" {\n  name = \"one\"\n  size = 9\n}\n";

#[test]
fn a_resource_becomes_one_of_another_type() {
    let workspace = Workspace::new(FILE);
    workspace.apply().expect_ok();
    let moved = "moved {\n  from = fixture_file.one\n  to = fixture_record.r\n}\n";
    workspace.configure(&format!("{RECORD}{moved}"));
    workspace.apply().expect_ok().expect_said(&["0 added, 0 changed, 0 destroyed"]);
    assert_eq!(workspace.attributes("fixture_record.r"), json!({"name": "one", "size": 9}));
    assert!(workspace.state("fixture_file.one").is_none());
    assert!(workspace.file("one").is_some(), "it was moved, not destroyed");
    workspace.expect_no_changes();
}

#[test]
fn a_resource_that_takes_nothing_says_so() {
    let workspace = Workspace::new(RECORD);
    workspace.apply().expect_ok();
    let moved = "moved {\n  from = fixture_record.r\n  to = fixture_file.one\n}\n";
    workspace.configure(&format!("{FILE}{moved}"));
    workspace.terraform(&["plan"]).expect_error(&[
        "Move is not supported",
        "A fixture_record of provider registry.terraform.io/example/fixture cannot become a fixture_file",
    ]);
}

#[tokio::test]
async fn the_source_is_told_by_provider_type_and_version() {
    let client = Client::start().await;
    let schemas: proto::get_provider_schema::Response =
        client.call("GetProviderSchema", proto::get_provider_schema::Request::default()).await;
    assert!(schemas.server_capabilities.unwrap().move_resource_state);

    let move_from = async |provider: &str, state: &str| {
        let request = proto::move_resource_state::Request {
            source_provider_address: provider.to_owned(),
            source_type_name: "fixture_file".to_owned(),
            source_state: Some(RawState { json: state.as_bytes().to_vec(), ..Default::default() }),
            target_type_name: "fixture_record".to_owned(),
            ..Default::default()
        };
        client.call::<_, proto::move_resource_state::Response>("MoveResourceState", request).await
    };
    let moved = move_from("mirror.example/example/fixture", r#"{"name":"a","size":3,"gone":[1]}"#).await;
    assert_eq!(json(moved.target_state.as_ref()), json!({"name": "a", "size": 3}));
    let refused = move_from("mirror.example/other/fixture", "{}").await;
    assert!(said(&refused.diagnostics)[0].contains("mirror.example/other/fixture"));
    let broken = move_from("mirror.example/example/fixture", "{").await;
    assert!(said(&broken.diagnostics)[0].starts_with("The state to move is not valid JSON"));
}
