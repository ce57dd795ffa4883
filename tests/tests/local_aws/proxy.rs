//! The proxy: records, credentials, faults.

use std::time::Duration;

use agentless_tests::local_aws::{ACCOUNT, Call, Effect, Fault, Hold, TEST_KEY};
use aws_config::retry::RetryConfig;
use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

use crate::shared::{code, own};

#[tokio::test]
async fn calls_are_recorded_with_their_principal() {
    let aws = own().await;
    let ec2 = aws_sdk_ec2::Client::new(&aws.sdk_config());
    ec2.describe_snapshots().owner_ids("self").send().await.unwrap();
    let error = ec2.delete_snapshot().snapshot_id("snap-00000000000000000").send().await.unwrap_err();
    assert_eq!(code(&error), "InvalidSnapshot.NotFound");

    let calls = aws.calls();
    assert_eq!(
        calls.iter().map(Call::permission).collect::<Vec<_>>(),
        ["ec2:DescribeSnapshots", "ec2:DeleteSnapshot"]
    );
    assert_eq!(calls[0].parameters["Owner.1"], "self");
    assert_eq!((calls[0].status, calls[0].error_code.as_deref()), (Some(200), None));
    assert_eq!(
        (calls[1].status, calls[1].error_code.as_deref()),
        (Some(400), Some("InvalidSnapshot.NotFound"))
    );
    assert_eq!(calls[1].access_key_id, TEST_KEY.access_key_id);
    assert_eq!(calls[1].principal.as_ref().unwrap().account, ACCOUNT);
    assert!(calls[1].user_agent.contains("aws-sdk-rust"));
    assert!(calls[0].sequence < calls[1].sequence);

    aws_sdk_ec2::Client::new(&aws.harness_sdk_config()).describe_vpcs().send().await.unwrap();
    assert_eq!(aws.calls().len(), 2, "the harness's own calls are not recorded");
    aws.clear_calls();
    assert!(aws.calls().is_empty());
}

#[tokio::test]
async fn a_role_is_known_by_its_credentials() {
    let aws = own().await;
    let iam = aws_sdk_iam::Client::new(&aws.sdk_config());
    let trust = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let role = iam.create_role().role_name("known").path("/team/").assume_role_policy_document(trust);
    let arn = role.send().await.unwrap().role().unwrap().arn().to_owned();
    let sts = aws_sdk_sts::Client::new(&aws.sdk_config());
    let assumed = sts.assume_role().role_arn(&arn).role_session_name("session").send().await.unwrap();
    let issued = assumed.credentials().unwrap();

    let as_role = |token: &str| {
        let token = Some(token.to_owned());
        with_credentials(
            &aws.sdk_config(),
            Credentials::new(issued.access_key_id(), issued.secret_access_key(), token, None, "test"),
        )
    };
    let sts = aws_sdk_sts::Client::new(&as_role(issued.session_token()));
    let identity = sts.get_caller_identity().send().await.unwrap();
    assert!(identity.arn().unwrap().ends_with(":assumed-role/known/session"));
    let principal = aws.calls().last().unwrap().principal.clone().unwrap();
    assert_eq!(principal.role_arn, Some(arn));
    assert_eq!(Some(principal.arn.as_str()), identity.arn());

    let sts = aws_sdk_sts::Client::new(&as_role("another token"));
    assert_eq!(code(&sts.get_caller_identity().send().await.unwrap_err()), "InvalidClientTokenId");

    aws.clock().advance(Duration::from_hours(1));
    let sts = aws_sdk_sts::Client::new(&as_role(issued.session_token()));
    assert_eq!(code(&sts.get_caller_identity().send().await.unwrap_err()), "ExpiredToken");
}

#[tokio::test]
async fn wrong_credentials_are_refused_as_each_service_does() {
    let aws = own().await;
    let unknown = Credentials::new("AKIAUNKNOWNUNKNOWN00", "secret", None, None, "test");
    let config = with_credentials(&aws.sdk_config(), unknown);
    let ec2 = aws_sdk_ec2::Client::new(&config).describe_vpcs().send().await.unwrap_err();
    assert_eq!((code(&ec2), ec2.raw_response().unwrap().status().as_u16()), ("AuthFailure".to_owned(), 401));
    let iam = aws_sdk_iam::Client::new(&config).list_roles().send().await.unwrap_err();
    assert_eq!(code(&iam), "InvalidClientTokenId");
    let ebs = aws_sdk_ebs::Client::new(&config)
        .list_snapshot_blocks()
        .snapshot_id("snap-1")
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&ebs), "UnrecognizedClientException");

    let wrong_secret = Credentials::new(TEST_KEY.access_key_id, "another secret", None, None, "test");
    let config = with_credentials(&aws.sdk_config(), wrong_secret);
    let sts = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await.unwrap_err();
    assert_eq!(code(&sts), "SignatureDoesNotMatch");
    assert_eq!(aws.calls().len(), 4);
}

#[tokio::test]
async fn refusals_by_protocol() {
    let aws = own().await;
    let config = without_retries(&aws.sdk_config());
    let (ec2, iam) = (aws_sdk_ec2::Client::new(&config), aws_sdk_iam::Client::new(&config));
    let ebs = aws_sdk_ebs::Client::new(&config);
    let ec2_error = async || ec2.describe_vpcs().send().await.unwrap_err();
    let iam_error = async || iam.list_roles().send().await.unwrap_err();
    let ebs_error = async || ebs.list_snapshot_blocks().snapshot_id("snap-1").send().await.unwrap_err();

    for (effect, expected) in [
        (Effect::Throttle, ["RequestLimitExceeded", "Throttling", "RequestThrottledException"]),
        (Effect::AccessDenied, ["UnauthorizedOperation", "AccessDenied", "AccessDeniedException"]),
        (Effect::InternalError, ["InternalError", "InternalFailure", "InternalServerException"]),
        (Effect::Error(400, "Odd", "An odd error."), ["Odd", "Odd", "Odd"]),
    ] {
        for service in ["ec2", "iam", "ebs"] {
            aws.inject(Fault::on(service, "*", effect.clone()));
        }
        assert_eq!([code(&ec2_error().await), code(&iam_error().await), code(&ebs_error().await)], expected);
        aws.clear_faults();
    }
    assert!(aws.calls().iter().all(|call| call.faulted));
}

#[tokio::test]
async fn the_sdk_retries_what_is_transient() {
    let aws = own().await;
    let ec2 = aws_sdk_ec2::Client::new(&quick_retries(&aws.sdk_config()));
    for effect in [Effect::Throttle, Effect::Unavailable, Effect::ResetRequest, Effect::ResetReply] {
        aws.clear_calls();
        aws.inject(Fault::on("ec2", "DescribeVpcs", effect).times(1));
        ec2.describe_vpcs().send().await.unwrap();
        assert_eq!(aws.calls().len(), 2);
        aws.clear_faults();
    }
}

#[tokio::test]
async fn a_lost_reply_leaves_what_was_done() {
    let aws = own().await;
    let ec2 = aws_sdk_ec2::Client::new(&without_retries(&aws.sdk_config()));
    let count = async || vpcs(&ec2, "10.101.0.0/16").await;
    let create = || ec2.create_vpc().cidr_block("10.101.0.0/16").send();

    aws.inject(Fault::on("ec2", "CreateVpc", Effect::ResetRequest).times(1));
    create().await.unwrap_err();
    assert_eq!(count().await, 0);

    aws.inject(Fault::on("ec2", "CreateVpc", Effect::ResetReply).times(1));
    create().await.unwrap_err();
    assert_eq!(count().await, 1);
}

#[tokio::test]
async fn a_call_can_be_held() {
    let aws = own().await;
    let ec2 = aws_sdk_ec2::Client::new(&aws.sdk_config());
    let count = async || vpcs(&ec2, "10.102.0.0/16").await;
    for (hold_reply, while_held) in [(false, 0), (true, 2)] {
        let hold = Hold::new();
        let effect =
            if hold_reply { Effect::HoldReply(hold.clone()) } else { Effect::HoldRequest(hold.clone()) };
        aws.inject(Fault::on("ec2", "CreateVpc", effect).times(1));
        let call = tokio::spawn(ec2.create_vpc().cidr_block("10.102.0.0/16").send());
        hold.reached().await;
        assert_eq!(count().await, while_held);
        hold.release();
        call.await.unwrap().unwrap();
    }
    assert_eq!(count().await, 2);
}

#[tokio::test]
async fn an_unimplemented_call_is_an_error_that_is_remembered() {
    let aws = own().await;
    let ec2 = aws_sdk_ec2::Client::new(&aws.sdk_config());
    let error = ec2.get_ebs_default_kms_key_id().send().await.unwrap_err();
    assert_eq!(code(&error), "NotImplemented");
    assert_eq!(aws.calls().len(), 1, "not retried");
    assert!(aws.unimplemented().iter().any(|line| line.contains("ec2:GetEbsDefaultKmsKeyId")));
}

async fn vpcs(ec2: &aws_sdk_ec2::Client, cidr: &str) -> usize {
    let filter = aws_sdk_ec2::types::Filter::builder().name("cidr").values(cidr).build();
    ec2.describe_vpcs().filters(filter).send().await.expect("DescribeVpcs").vpcs().len()
}

fn with_credentials(config: &SdkConfig, credentials: Credentials) -> SdkConfig {
    config.to_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build()
}

fn without_retries(config: &SdkConfig) -> SdkConfig {
    config.to_builder().retry_config(RetryConfig::disabled()).region(Region::from_static("us-east-1")).build()
}

fn quick_retries(config: &SdkConfig) -> SdkConfig {
    let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    config.to_builder().retry_config(retries).build()
}
