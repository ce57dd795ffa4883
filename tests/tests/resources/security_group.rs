use aws_sdk_ec2::types::{IpPermission, IpRange, SecurityGroupRule, Tag};
use serde_json::json;

use crate::shared::{assert_repaired, ec2, local_aws, network, terraform, text, unique};

const GROUP: &str = "datadog_agentless_scanner_security_group.this";

fn config(name: &str, vpc_id: &str, more: &str) -> String {
    format!(
        "resource \"datadog_agentless_scanner_security_group\" \"this\" {{\n  name = \"{name}\"\n  \
         vpc_id = \"{vpc_id}\"\n{more}\n}}\n"
    )
}

#[tokio::test]
async fn the_life_of_a_security_group() {
    let (name, vpc_id) = (unique("group"), network().await.vpc_id);
    let terraform = terraform(&config(&name, &vpc_id, "")).await;
    terraform.plan().await.unwrap().expect_actions(GROUP, &["create"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    let id = text(&terraform.state().await.unwrap(), GROUP, "id");
    let found: Vec<_> = rules(&id).await.iter().map(described).collect();
    assert_eq!(found, ["out tcp 443 0.0.0.0/0", "out tcp 443 ::/0"]);
    terraform.assert_import_verifies(GROUP, &id, &[]).await.unwrap();
    terraform.assert_import_verifies(GROUP, &format!("{id}@us-east-1"), &[]).await.unwrap();
    terraform.assert_import_block_is_no_op(GROUP, &id).await.unwrap();

    let private = "egress_cidr_blocks = [\"10.42.0.0/16\"]\negress_ipv6_cidr_blocks = []\n\
                   egress_prefix_list_ids = [\"pl-0123456789abcdef0\"]\ntags = { team = \"security\" }";
    terraform.set_config(&config(&name, &vpc_id, private)).unwrap();
    terraform.plan().await.unwrap().expect_actions(GROUP, &["update"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    terraform.assert_import_verifies(GROUP, &id, &[]).await.unwrap();
    assert_eq!(text(&terraform.state().await.unwrap(), GROUP, "id"), id);
    let found: Vec<_> = rules(&id).await.iter().map(described).collect();
    assert_eq!(found, ["out tcp 443 10.42.0.0/16", "out tcp 443 pl-0123456789abcdef0"]);

    let other = unique("group");
    terraform.set_config(&config(&other, &vpc_id, "")).unwrap();
    terraform.plan().await.unwrap().expect_actions(GROUP, &["delete", "create"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    let replaced = text(&terraform.state().await.unwrap(), GROUP, "id");
    assert_ne!(replaced, id);
    assert_gone(&id).await;

    terraform.destroy().await.unwrap();
    assert_gone(&replaced).await;
    local_aws().await.assert_no_unimplemented();
}

#[tokio::test]
async fn promise_2_rules_that_somebody_adds_are_shown_and_revoked() {
    let (name, vpc_id) = (unique("group"), network().await.vpc_id);
    let terraform = terraform(&config(&name, &vpc_id, "")).await;
    terraform.apply().await.unwrap();
    let id = text(&terraform.state().await.unwrap(), GROUP, "id");
    let ec2 = ec2().await;

    ec2.authorize_security_group_ingress()
        .group_id(&id)
        .ip_permissions(permission("tcp", 22, "0.0.0.0/0"))
        .send()
        .await
        .unwrap();
    let plan = terraform.plan().await.unwrap();
    assert!(plan.text.contains("inbound tcp 22 0.0.0.0/0"), "{}", plan.text);
    assert_eq!(plan.change(GROUP).unwrap().pointer("/after/foreign_rules"), Some(&json!([])));
    assert_repaired(&terraform, GROUP).await;

    for extra in [permission("-1", -1, "0.0.0.0/0"), permission("tcp", 80, "0.0.0.0/0")] {
        ec2.authorize_security_group_egress().group_id(&id).ip_permissions(extra).send().await.unwrap();
    }
    assert_repaired(&terraform, GROUP).await;

    let ids: Vec<String> =
        rules(&id).await.into_iter().filter_map(|rule| rule.security_group_rule_id).collect();
    ec2.revoke_security_group_egress()
        .group_id(&id)
        .set_security_group_rule_ids(Some(ids))
        .send()
        .await
        .unwrap();
    assert_repaired(&terraform, GROUP).await;

    ec2.create_tags()
        .resources(&id)
        .tags(Tag::builder().key("who").value("me").build())
        .send()
        .await
        .unwrap();
    assert_repaired(&terraform, GROUP).await;
    let found: Vec<_> = rules(&id).await.iter().map(described).collect();
    assert_eq!(found, ["out tcp 443 0.0.0.0/0", "out tcp 443 ::/0"]);
    terraform.destroy().await.unwrap();
}

#[tokio::test]
async fn a_group_that_is_gone_is_made_anew() {
    let (name, vpc_id) = (unique("group"), network().await.vpc_id);
    let terraform = terraform(&config(&name, &vpc_id, "")).await;
    terraform.apply().await.unwrap();
    let id = text(&terraform.state().await.unwrap(), GROUP, "id");
    ec2().await.delete_security_group().group_id(&id).send().await.unwrap();
    terraform.plan().await.unwrap().expect_actions(GROUP, &["create"]).unwrap();
    terraform.apply().await.unwrap();
    terraform.assert_empty_plans().await.unwrap();
    terraform.destroy().await.unwrap();
}

fn permission(protocol: &str, port: i32, cidr: &str) -> IpPermission {
    let range = IpRange::builder().cidr_ip(cidr).build();
    IpPermission::builder().ip_protocol(protocol).from_port(port).to_port(port).ip_ranges(range).build()
}

async fn rules(group: &str) -> Vec<SecurityGroupRule> {
    let of_group = aws_sdk_ec2::types::Filter::builder().name("group-id").values(group).build();
    let answer = ec2().await.describe_security_group_rules().filters(of_group).send().await;
    let mut rules = answer.expect("rules").security_group_rules.unwrap_or_default();
    rules.sort_by_key(described);
    rules
}

fn described(rule: &SecurityGroupRule) -> String {
    let direction = if rule.is_egress() == Some(true) { "out" } else { "in" };
    let peer = [rule.cidr_ipv4(), rule.cidr_ipv6(), rule.prefix_list_id()].into_iter().flatten().next();
    let (protocol, port) = (rule.ip_protocol().unwrap_or_default(), rule.from_port().unwrap_or_default());
    format!("{direction} {protocol} {port} {}", peer.unwrap_or_default())
}

async fn assert_gone(id: &str) {
    let answer = ec2().await.describe_security_groups().group_ids(id).send().await;
    assert!(answer.is_err(), "security group {id} is still there");
}
