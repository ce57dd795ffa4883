//! Identities of resources, as Terraform 1.12 and later ask for them.

use serde_json::json;
use tempfile::TempDir;

use crate::client::proto::{self, RawState};
use crate::client::{Client, DynamicValue, identity, identity_json, json, said, value};

/// Creates the file `name`, and returns its state and identity.
async fn create(client: &Client, name: &str) -> (DynamicValue, proto::ResourceIdentityData) {
    let config = json!({"name": name});
    let plan: proto::plan_resource_change::Response = client
        .call(
            "PlanResourceChange",
            proto::plan_resource_change::Request {
                type_name: "fixture_file".to_owned(),
                proposed_new_state: Some(value(&config)),
                config: Some(value(&config)),
                ..Default::default()
            },
        )
        .await;
    assert_eq!(said(&plan.diagnostics), Vec::<String>::new());
    assert_eq!(plan.planned_identity, None, "it gets its name when it is made");
    let applied: proto::apply_resource_change::Response = client
        .call(
            "ApplyResourceChange",
            proto::apply_resource_change::Request {
                type_name: "fixture_file".to_owned(),
                planned_state: plan.planned_state,
                config: Some(value(&config)),
                planned_private: plan.planned_private,
                ..Default::default()
            },
        )
        .await;
    assert_eq!(said(&applied.diagnostics), Vec::<String>::new());
    (applied.new_state.unwrap(), applied.new_identity.unwrap())
}

async fn read(
    client: &Client,
    state: &DynamicValue,
    current: proto::ResourceIdentityData,
) -> proto::read_resource::Response {
    let request = proto::read_resource::Request {
        type_name: "fixture_file".to_owned(),
        current_state: Some(state.clone()),
        current_identity: Some(current),
        ..Default::default()
    };
    client.call("ReadResource", request).await
}

async fn import(
    client: &Client,
    type_name: &str,
    id: &str,
    identity: Option<proto::ResourceIdentityData>,
) -> proto::import_resource_state::Response {
    let request = proto::import_resource_state::Request {
        type_name: type_name.to_owned(),
        id: id.to_owned(),
        identity,
        ..Default::default()
    };
    client.call("ImportResourceState", request).await
}

#[tokio::test]
async fn identities_are_described() {
    let client = Client::start().await;
    let answer: proto::get_resource_identity_schemas::Response = client
        .call("GetResourceIdentitySchemas", proto::get_resource_identity_schemas::Request::default())
        .await;
    assert_eq!(answer.identity_schemas.keys().collect::<Vec<_>>(), ["fixture_file"], "others have none");
    let schema = &answer.identity_schemas["fixture_file"];
    assert_eq!(schema.version, 1);
    let [id, store] = schema.identity_attributes.as_slice() else { panic!("{schema:?}") };
    assert_eq!((id.name.as_str(), id.required_for_import, id.optional_for_import), ("id", true, false));
    assert_eq!(
        (store.name.as_str(), store.required_for_import, store.optional_for_import),
        ("store", false, true)
    );
    assert_eq!(id.r#type, b"\"string\"");
}

#[tokio::test]
async fn a_thing_gets_its_identity_when_it_is_made_and_keeps_it() {
    let root = TempDir::new().unwrap();
    let client = Client::configured(root.path()).await;
    let (state, named) = create(&client, "one").await;
    assert_eq!(identity_json(Some(&named)), json!({"id": "one", "store": "directory"}));

    let found = read(&client, &state, named.clone()).await;
    assert_eq!(identity_json(found.new_identity.as_ref()), identity_json(Some(&named)));
    // A state from before there were identities gets one by being read.
    let found = read(&client, &state, proto::ResourceIdentityData::default()).await;
    assert_eq!(identity_json(found.new_identity.as_ref()), identity_json(Some(&named)));

    let found = read(&client, &state, identity(&json!({"id": "one", "store": "bucket"}))).await;
    let problem = said(&found.diagnostics).join(" ");
    assert!(problem.contains("Found another file") && problem.contains("`store` bucket"), "{problem}");

    let update: proto::plan_resource_change::Response = client
        .call(
            "PlanResourceChange",
            proto::plan_resource_change::Request {
                type_name: "fixture_file".to_owned(),
                prior_state: Some(state.clone()),
                proposed_new_state: Some(state),
                config: Some(value(&json!({"name": "one", "size": 9}))),
                prior_identity: Some(named.clone()),
                ..Default::default()
            },
        )
        .await;
    assert_eq!(update.planned_identity, Some(named));
}

#[tokio::test]
async fn what_exists_is_imported_by_identity() {
    let root = TempDir::new().unwrap();
    let client = Client::configured(root.path()).await;
    let (state, _) = create(&client, "one").await;

    let named = identity(&json!({"id": "one", "store": null}));
    let answer = import(&client, "fixture_file", "", Some(named.clone())).await;
    assert_eq!(said(&answer.diagnostics), Vec::<String>::new());
    let imported = &answer.imported_resources[0];
    assert_eq!(json(imported.state.as_ref())["id"], "one");
    assert_eq!(imported.identity, Some(named.clone()));
    let found = read(&client, imported.state.as_ref().unwrap(), named).await;
    assert_eq!(identity_json(found.new_identity.as_ref()), json!({"id": "one", "store": "directory"}));
    assert_eq!(json(found.new_state.as_ref())["size"], json(Some(&state))["size"]);

    let answer = import(&client, "fixture_file", "", Some(identity(&json!({"store": "directory"})))).await;
    assert_eq!(said(&answer.diagnostics), ["Incomplete identity: An import of file by identity needs `id`."]);
    let answer = import(&client, "fixture_record", "", Some(identity(&json!({"name": "r"})))).await;
    assert!(said(&answer.diagnostics)[0].starts_with("Import by identity is not supported"));
    // By id as ever.
    let answer = import(&client, "fixture_file", "one", None).await;
    assert_eq!(json(answer.imported_resources[0].state.as_ref())["id"], "one");
}

#[tokio::test]
async fn a_stored_identity_is_upgraded() {
    let client = Client::start().await;
    let upgrade = async |version, stored: &str| {
        let request = proto::upgrade_resource_identity::Request {
            type_name: "fixture_file".to_owned(),
            version,
            raw_identity: Some(RawState { json: stored.as_bytes().to_vec(), ..Default::default() }),
        };
        let answer: proto::upgrade_resource_identity::Response =
            client.call("UpgradeResourceIdentity", request).await;
        (answer.upgraded_identity, said(&answer.diagnostics).join(" "))
    };
    let (upgraded, _) = upgrade(0, r#"{"name":"one","store":"directory"}"#).await;
    assert_eq!(identity_json(upgraded.as_ref()), json!({"id": "one", "store": "directory"}));
    let (same, _) = upgrade(1, r#"{"id":"one","store":"directory"}"#).await;
    assert_eq!(same, upgraded);
    assert!(upgrade(2, "{}").await.1.contains("newer provider"));
    assert!(upgrade(0, "{").await.1.contains("not valid JSON"));
}
