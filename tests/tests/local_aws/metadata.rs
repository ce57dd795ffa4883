//! Instance metadata: tokens, role credentials, and the SDK's own provider with them.

use std::time::Duration;

use agentless_tests::local_aws::{InstanceMetadata, LocalAws};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::shared::own;

#[tokio::test]
async fn a_token_is_needed_and_ends() {
    let (aws, metadata) = with_role("token").await;
    let read = async |token: &str| {
        ask(&metadata, "GET", "/latest/meta-data/instance-id", Some(("token", token))).await
    };
    assert_eq!(ask(&metadata, "GET", "/latest/meta-data/instance-id", None).await.0, 401);
    assert_eq!(read("bogus").await.0, 401);
    for bad in ["0", "21601", "soon"] {
        assert_eq!(ask(&metadata, "PUT", "/latest/api/token", Some(("token-ttl-seconds", bad))).await.0, 400);
    }
    let (status, token) = ask(&metadata, "PUT", "/latest/api/token", Some(("token-ttl-seconds", "60"))).await;
    assert_eq!(status, 200);
    assert_eq!(read(&token).await, (200, metadata.instance_id().to_owned()));
    let region = ask(&metadata, "GET", "/latest/meta-data/placement/region", Some(("token", &token))).await;
    assert_eq!(region, (200, "us-east-1".to_owned()));
    let document =
        ask(&metadata, "GET", "/latest/dynamic/instance-identity/document", Some(("token", &token))).await.1;
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["accountId"], "123456789012");
    assert_eq!(ask(&metadata, "GET", "/latest/user-data", Some(("token", &token))).await.0, 404);
    metadata.set_user_data("#cloud-config\n{}\n");
    let user_data = ask(&metadata, "GET", "/2021-03-23/user-data", Some(("token", &token))).await;
    assert_eq!(user_data, (200, "#cloud-config\n{}\n".to_owned()));
    assert_eq!(ask(&metadata, "GET", "/2021-03-23/user-data", None).await.0, 401);
    aws.clock().advance(Duration::from_mins(1));
    assert_eq!(read(&token).await.0, 401);
}

#[tokio::test]
async fn the_sdk_gets_role_credentials_from_it() {
    let (aws, metadata) = with_role("scanner").await;
    let client = aws_config::imds::Client::builder().endpoint(metadata.endpoint()).unwrap().build();
    let provider =
        aws_config::imds::credentials::ImdsCredentialsProvider::builder().imds_client(client).build();
    let provider = aws_credential_types::provider::SharedCredentialsProvider::new(provider);
    let config = aws.sdk_config().to_builder().credentials_provider(provider).build();
    let identity = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await.unwrap();
    let session = format!(":assumed-role/scanner/{}", metadata.instance_id());
    assert!(identity.arn().unwrap().ends_with(&session), "{identity:?}");

    let calls = aws.calls();
    let principal = calls.last().unwrap().principal.clone().unwrap();
    assert_eq!(principal.role_arn.unwrap(), "arn:aws:iam::123456789012:role/scanner");
    assert_eq!(
        calls.iter().filter(|call| call.action == "AssumeRole").count(),
        0,
        "EC2 assumes the role, not the program"
    );
}

async fn with_role(name: &str) -> (LocalAws, InstanceMetadata) {
    let aws = own().await;
    let iam = aws_sdk_iam::Client::new(&aws.harness_sdk_config());
    let role = iam.create_role().role_name(name).assume_role_policy_document(r#"{"Statement":[]}"#);
    role.send().await.expect("CreateRole");
    let metadata = aws.instance_metadata(name).await.expect("a port");
    (aws, metadata)
}

async fn ask(
    metadata: &InstanceMetadata,
    method: &str,
    path: &str,
    header: Option<(&str, &str)>,
) -> (u16, String) {
    let mut request = http::Request::builder().method(method).uri(format!("{}{path}", metadata.endpoint()));
    if let Some((name, value)) = header {
        request = request.header(format!("x-aws-ec2-metadata-{name}"), value);
    }
    let request = request.body(Full::<bytes::Bytes>::default()).expect("a request");
    let reply = Client::builder(TokioExecutor::new()).build_http().request(request).await.expect("a reply");
    let status = reply.status().as_u16();
    let body = reply.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}
