//! What the local AWS claims to be, shown with the AWS SDKs.

use agentless_tests::local_aws::{LocalAws, Options};

#[tokio::test]
async fn starts() {
    let started = std::time::Instant::now();
    let aws = LocalAws::start(Options::default()).await.unwrap();
    eprintln!("started in {:?}", started.elapsed());
    let ec2 = aws_sdk_ec2::Client::new(&aws.sdk_config());
    let vpcs = ec2.describe_vpcs().send().await.unwrap();
    eprintln!("answered in {:?}", started.elapsed());
    assert_eq!(vpcs.vpcs().len(), 1);
    let calls = aws.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].permission(), "ec2:DescribeVpcs");
    assert_eq!(calls[0].status, Some(200));
    aws.assert_no_unimplemented();
}
