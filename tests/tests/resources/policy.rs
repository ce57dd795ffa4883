use crate::shared::{local_aws, terraform, unique};

#[tokio::test]
async fn the_documents_are_those_of_the_roles() {
    let name = unique("policy");
    let arguments = "features = [\"hosts\", \"functions\"]\n  scaling_group_names = [\"scanner\"]";
    let scanners = "scanner_role_arns = [datadog_agentless_scanner_role.this.arn]";
    let config = format!(
        "resource \"datadog_agentless_scanner_role\" \"this\" {{\n  name = \"{name}\"\n  {arguments}\n}}\n\
         resource \"datadog_agentless_scanner_delegate_role\" \"this\" {{\n  name = \"{name}-delegate\"\n  \
         features = [\"hosts\", \"functions\"]\n  {scanners}\n}}\n\
         data \"datadog_agentless_scanner_policy\" \"this\" {{\n  {arguments}\n  {scanners}\n}}\n\
         locals {{\n  made = data.datadog_agentless_scanner_policy.this\n}}\n\
         output \"same\" {{\n  value = [\n    \
         local.made.scanner_policy == datadog_agentless_scanner_role.this.policy,\n    \
         local.made.scanner_trust_policy == datadog_agentless_scanner_role.this.assume_role_policy,\n    \
         local.made.delegate_policy == datadog_agentless_scanner_delegate_role.this.policy,\n    \
         local.made.delegate_trust_policy == datadog_agentless_scanner_delegate_role.this.assume_role_policy,\n    \
         local.made.scanner_policies[0] == local.made.scanner_policy,\n  ]\n}}\n"
    );
    let terraform = terraform(&config).await;
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    let state = terraform.state().await.unwrap();
    assert_eq!(state.output("same"), Some(&serde_json::json!([true, true, true, true, true])));
    terraform.destroy().await.unwrap();
    local_aws().await.assert_no_unimplemented();
}

#[tokio::test]
async fn the_documents_of_an_account_that_is_given_need_no_aws() {
    let config = |region: &str| {
        format!(
            "data \"datadog_agentless_scanner_policy\" \"this\" {{\n  account_id = \"444455556666\"\n  \
             region = \"{region}\"\n}}\n\
             output \"policy\" {{\n  value = data.datadog_agentless_scanner_policy.this.delegate_policy\n}}\n"
        )
    };
    let terraform = terraform(&config("cn-north-1")).await;
    terraform.apply().await.unwrap();
    let state = terraform.state().await.unwrap();
    let policy = state.output("policy").unwrap().as_str().unwrap();
    assert!(policy.contains("arn:aws-cn:ec2:cn-north-1:444455556666:volume/*"), "{policy}");
    assert!(policy.contains("ec2.cn-north-1.amazonaws.com.cn"), "{policy}");

    terraform.set_config(&config("the-moon")).unwrap();
    let failed = terraform.plan_fails().await.unwrap();
    assert!(failed.stderr.contains("an AWS region such as eu-central-1"), "{}", failed.stderr);
}
