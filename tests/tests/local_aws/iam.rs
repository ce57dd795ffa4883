//! What the overlay corrects in moto's IAM and STS.

use aws_sdk_iam::Client;

use crate::shared::{aws, code};

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
    "Principal":{"Service":"ec2.amazonaws.com"}}]}"#;
const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:DescribeVolumes","Resource":"*"}]}"#;

#[tokio::test]
async fn what_is_in_use_stays() {
    let aws = aws().await;
    let iam = Client::new(&aws.sdk_config());
    let create = iam.create_policy().policy_name("attached").policy_document(POLICY);
    let policy = create.send().await.unwrap().policy().unwrap().arn().unwrap().to_owned();
    iam.create_role().role_name("holder").assume_role_policy_document(TRUST).send().await.unwrap();
    let delete_policy = || iam.delete_policy().policy_arn(&policy).send();

    iam.attach_role_policy().role_name("holder").policy_arn(&policy).send().await.unwrap();
    assert_eq!(code(&delete_policy().await.unwrap_err()), "DeleteConflict");
    assert_eq!(code(&iam.delete_role().role_name("holder").send().await.unwrap_err()), "DeleteConflict");
    iam.detach_role_policy().role_name("holder").policy_arn(&policy).send().await.unwrap();

    iam.put_role_permissions_boundary()
        .role_name("holder")
        .permissions_boundary(&policy)
        .send()
        .await
        .unwrap();
    assert_eq!(code(&delete_policy().await.unwrap_err()), "DeleteConflict");
    iam.delete_role_permissions_boundary().role_name("holder").send().await.unwrap();
    delete_policy().await.unwrap();

    iam.create_instance_profile().instance_profile_name("holder").send().await.unwrap();
    iam.add_role_to_instance_profile()
        .instance_profile_name("holder")
        .role_name("holder")
        .send()
        .await
        .unwrap();
    assert_eq!(code(&iam.delete_role().role_name("holder").send().await.unwrap_err()), "DeleteConflict");
    let tags = iam.list_instance_profile_tags().instance_profile_name("holder").send().await.unwrap();
    assert!(tags.tags().is_empty());
}

#[tokio::test]
async fn documents_and_references_are_checked() {
    let aws = aws().await;
    let iam = Client::new(&aws.sdk_config());
    let create = |trust: &str| iam.create_role().role_name("checked").assume_role_policy_document(trust);
    assert_eq!(code(&create("{nope").send().await.unwrap_err()), "MalformedPolicyDocument");
    let foreign = TRUST
        .replace(r#""Service":"ec2.amazonaws.com""#, r#""AWS":"arn:aws:iam::123456789012:role/none-such""#);
    assert_eq!(code(&create(&foreign).send().await.unwrap_err()), "MalformedPolicyDocument");
    let boundary = "arn:aws:iam::123456789012:policy/none-such";
    let error = create(TRUST).permissions_boundary(boundary).send().await.unwrap_err();
    assert_eq!(code(&error), "NoSuchEntity");
    create(TRUST).permissions_boundary("arn:aws:iam::aws:policy/PowerUserAccess").send().await.unwrap();

    let put = |name: &str, document: &str| {
        iam.put_role_policy().role_name("checked").policy_name(name).policy_document(document).send()
    };
    let actions: Vec<String> = (0..400).map(|number| format!(r#""ec2:DescribeSomething{number}""#)).collect();
    let large = POLICY.replace(r#""ec2:DescribeVolumes""#, &format!("[{}]", actions.join(",")));
    put("small", POLICY).await.unwrap();
    put("spaces", &format!("{}{POLICY}", " ".repeat(11_000))).await.unwrap();
    assert_eq!(code(&put("large", &large).await.unwrap_err()), "LimitExceeded");
}

#[tokio::test]
async fn only_roles_that_exist_can_be_assumed() {
    let aws = aws().await;
    let sts = aws_sdk_sts::Client::new(&aws.sdk_config());
    let assume = |arn: &str| sts.assume_role().role_arn(arn).role_session_name("session").send();
    let error = assume("arn:aws:iam::123456789012:role/none-such").await.unwrap_err();
    aws.assert_no_unimplemented();
    assert_eq!(code(&error), "AccessDenied");
    let other = assume("arn:aws:iam::222222222222:role/OrganizationAccountAccessRole").await.unwrap();
    assert!(other.assumed_role_user().unwrap().arn().contains(":222222222222:"));
}
