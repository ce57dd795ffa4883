use std::collections::BTreeMap;

use super::super::testing::{Action, Stage};
use super::*;
use crate::aws::fake::FakeAws;

fn start() -> (Arc<FakeAws>, Stage<SecurityGroup<FakeAws>>) {
    let aws = Arc::new(FakeAws::default());
    let settings = Settings { region: Value::Known("eu-central-1".parse().unwrap()), ..Settings::default() };
    (aws.clone(), Stage::new(SecurityGroup::new(aws, Arc::new(settings))))
}

fn config() -> Model {
    Model { name: "scanner".into(), vpc_id: "vpc-1".into(), ..Model::default() }
}

fn strings<const N: usize>(texts: [&str; N]) -> Value<BTreeSet<String>> {
    Value::Known(texts.map(str::to_owned).into())
}

fn rules_of(aws: &FakeAws, id: &str) -> BTreeSet<(bool, String)> {
    let world = aws.world();
    let (_, rules) = &world.groups[id];
    rules.iter().map(|rule| (rule.is_egress, rule.spec.to_string())).collect()
}

fn add_rule(aws: &FakeAws, is_egress: bool, spec: RuleSpec) {
    let mut world = aws.world();
    let (_, rules) = world.groups.values_mut().next().unwrap();
    rules.push(Rule { id: format!("sgr-foreign{}", rules.len()), is_egress, spec });
}

fn ssh() -> RuleSpec {
    RuleSpec {
        protocol: "tcp".to_owned(),
        from_port: 22,
        to_port: 22,
        peer: Peer::Ipv4("10.0.0.0/8".to_owned()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_group_allows_https_out_and_nothing_else() {
    let (aws, mut stage) = start();
    assert_eq!(stage.apply(&config()).await.unwrap(), Action::Create);
    let made = stage.state().clone();
    assert_eq!(
        rules_of(&aws, made.id.as_str().unwrap()),
        [(true, "tcp 443 0.0.0.0/0".to_owned()), (true, "tcp 443 ::/0".to_owned())].into()
    );
    assert_eq!(
        made.arn,
        format!("arn:aws:ec2:eu-central-1:111122223333:security-group/{}", made.id.as_str().unwrap()).into()
    );
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
    assert_eq!(*stage.state(), made);
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_creation_was_asked_for_twice_is_ours_and_another_is_not() {
    for code in ["InvalidGroup.Duplicate", "InternalError"] {
        let (aws, mut stage) = start();
        aws.world().loses_answer_of = Some("ec2:CreateSecurityGroup");
        aws.world().lost_answer_is = Some(code);
        stage.apply(&config()).await.unwrap();
        assert_eq!(aws.world().groups.len(), 1);
        assert_eq!(stage.drift(&config()).await, Action::Nothing);
        assert_eq!(stage.state().tags_all, Value::Known(BTreeMap::new()));

        let mut other = Stage::new(SecurityGroup::new(aws.clone(), stage.resource.settings.clone()));
        let error = other.apply(&config()).await.unwrap_err();
        assert_eq!(error.path, "name".into());
        assert!(other.state.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn foreign_rules_show_in_the_plan_and_are_revoked() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let everything = RuleSpec {
        protocol: "-1".to_owned(),
        from_port: -1,
        to_port: -1,
        peer: Peer::Ipv4("0.0.0.0/0".to_owned()),
    };
    let anywhere_https = https(Peer::Ipv4("192.0.2.0/24".to_owned()));
    for (is_egress, spec) in [(false, ssh()), (true, everything), (true, anywhere_https)] {
        add_rule(&aws, is_egress, spec);
    }
    assert_eq!(stage.drift(&config()).await, Action::Update);
    let seen = stage.state();
    assert_eq!(
        seen.foreign_rules,
        strings([
            "inbound tcp 22 10.0.0.0/8 (sgr-foreign2)",
            "outbound all traffic 0.0.0.0/0 (sgr-foreign3)"
        ])
    );
    assert_eq!(seen.egress_cidr_blocks, strings(["0.0.0.0/0", "192.0.2.0/24"]));

    assert_eq!(stage.apply(&config()).await.unwrap(), Action::Update);
    let id = stage.state().id.clone();
    assert_eq!(rules_of(&aws, id.as_str().unwrap()).len(), 2);
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn an_inbound_https_rule_is_foreign_too() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    add_rule(&aws, false, https(Peer::Ipv4("0.0.0.0/0".to_owned())));
    assert_eq!(stage.drift(&config()).await, Action::Update);
    stage.apply(&config()).await.unwrap();
    let id = stage.state().id.clone();
    assert!(rules_of(&aws, id.as_str().unwrap()).iter().all(|(is_egress, _)| *is_egress));
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_was_taken_away_comes_back() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    aws.world().groups.values_mut().next().unwrap().1.clear();
    assert_eq!(stage.drift(&config()).await, Action::Update);
    stage.apply(&config()).await.unwrap();
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
}

#[tokio::test(start_paused = true)]
async fn destinations_change_in_place_and_names_do_not() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let id = stage.state().id.clone();
    let private = Model {
        egress_cidr_blocks: strings(["10.0.0.0/16"]),
        egress_ipv6_cidr_blocks: strings([]),
        egress_prefix_list_ids: strings(["pl-1"]),
        tags: Value::Known([("a".to_owned(), "b".to_owned())].into()),
        ..config()
    };
    assert_eq!(stage.apply(&private).await.unwrap(), Action::Update);
    assert_eq!(stage.state().id, id);
    assert_eq!(
        rules_of(&aws, id.as_str().unwrap()),
        [(true, "tcp 443 10.0.0.0/16".to_owned()), (true, "tcp 443 pl-1".to_owned())].into()
    );
    assert_eq!(stage.drift(&private).await, Action::Nothing);

    let renamed = Model { name: "other".into(), ..private };
    assert_eq!(stage.apply(&renamed).await.unwrap(), Action::Replace);
    assert_ne!(stage.state().id, id);
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_rules_failed_is_saved_and_can_be_destroyed() {
    let (aws, mut stage) = start();
    aws.fail("ec2:AuthorizeSecurityGroupEgress", "UnauthorizedOperation", "not you");
    let error = stage.apply(&config()).await.unwrap_err();
    assert!(error.detail.contains("permission ec2:AuthorizeSecurityGroupEgress"), "{}", error.detail);
    assert!(stage.state().id.is_known());
    stage.destroy().await.unwrap();
    assert!(aws.world().groups.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_in_use_is_deleted_when_it_is_free() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    for _ in 0..5 {
        aws.fail("ec2:DeleteSecurityGroup", "DependencyViolation", "has a dependent object");
    }
    stage.destroy().await.unwrap();
    assert!(aws.world().groups.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_stays_in_use_is_told_when_time_is_up() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    for _ in 0..1_000 {
        aws.fail("ec2:DeleteSecurityGroup", "DependencyViolation", "has a dependent object");
    }
    let error = stage.destroy().await.unwrap_err();
    assert!(error.summary.contains("nothing uses security group"), "{}", error.summary);
    assert!(stage.state.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_told_at_the_argument() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let mut other = Stage::new(SecurityGroup::new(aws, stage.resource.settings.clone()));
    let error = other.apply(&config()).await.unwrap_err();
    assert_eq!(error.path, "name".into());
    assert!(error.detail.contains("InvalidGroup.Duplicate"), "{}", error.detail);
    assert!(other.state.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_gone_is_made_anew() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    aws.world().groups.clear();
    assert_eq!(stage.drift(&config()).await, Action::Create);
}

#[tokio::test(start_paused = true)]
async fn an_import_finds_everything() {
    let (_, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let id = stage.state().id.as_str().unwrap().to_owned();
    for import_id in [id.clone(), format!("{id}@eu-central-1")] {
        assert_eq!(stage.imported(&import_id).await.unwrap().as_ref(), Some(stage.state()));
    }
    assert_eq!(stage.imported_by_identity().await, [stage.state.clone(), stage.state.clone()]);
    assert_eq!(stage.imported("sg-0").await.unwrap(), None);
    assert!(stage.imported("scanner").await.unwrap_err().detail.contains("sg-…@REGION"));
}

#[test]
fn a_scanner_must_reach_something() {
    let nothing = Model { egress_cidr_blocks: strings([]), egress_ipv6_cidr_blocks: strings([]), ..config() };
    let refused = |config: &Model| !<SecurityGroup<FakeAws> as Resource>::validate(config).is_empty();
    assert!(refused(&nothing));
    assert!(refused(&Model { egress_prefix_list_ids: strings([]), ..nothing.clone() }));
    assert!(!refused(&Model { egress_prefix_list_ids: strings(["pl-1"]), ..nothing.clone() }));
    assert!(!refused(&Model { egress_prefix_list_ids: Value::Unknown, ..nothing }));
    assert!(!refused(&config()));
}

#[test]
fn networks_are_written_as_ec2_writes_them() {
    for good in ["0.0.0.0/0", "10.0.0.0/8", "192.0.2.1/32"] {
        assert!(is_ipv4_network(good), "{good}");
    }
    for bad in ["", "10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "010.0.0.0/8", "10.0.0.0/08", "::/0"] {
        assert!(!is_ipv4_network(bad), "{bad}");
    }
    for good in ["::/0", "2001:db8::/32", "2001:db8::1/128"] {
        assert!(is_ipv6_network(good), "{good}");
    }
    for bad in ["", "::", "2001:db8::1/32", "2001:DB8::/32", "2001:0db8::/32", "::/129", "0.0.0.0/0"] {
        assert!(!is_ipv6_network(bad), "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_of_the_aws_provider_becomes_one_of_ours() {
    let (aws, mut stage) = start();
    stage.apply(&config()).await.unwrap();
    let made = stage.state().clone();
    add_rule(&aws, false, ssh());
    let theirs = serde_json::json!({
        "arn": made.arn.as_str(), "id": made.id.as_str(), "name": "scanner", "vpc_id": "vpc-1",
        "description": made.description.as_str(), "tags": null, "ingress": [{"from_port": 22}],
    });
    let source = |provider| MoveSource::new(provider, "aws_security_group", 1, theirs.clone());
    let moved = SecurityGroup::<FakeAws>::move_from(&source("registry.terraform.io/hashicorp/aws")).unwrap();
    assert_eq!(moved.as_ref().unwrap().region, "eu-central-1".into());
    stage.state = moved;
    assert_eq!(stage.drift(&config()).await, Action::Update, "in place: it allows more than it may");
    stage.apply(&config()).await.unwrap();
    assert_eq!(stage.drift(&config()).await, Action::Nothing);
    assert_eq!(stage.state(), &made);

    let other = SecurityGroup::<FakeAws>::move_from(&source("registry.terraform.io/example/aws"));
    assert!(other.unwrap().is_none());
}
