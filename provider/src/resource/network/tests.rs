use super::super::testing::{Action, Stage};
use super::*;
use crate::aws::fake::{FakeAws, FakeNetworks};
use crate::aws::{Interface, Peer, Route, Rule, RuleSpec, Status, What};

const REGION: &str = "eu-central-1";

fn start() -> (Arc<FakeAws>, Stage<Network<FakeAws>>) {
    let aws = Arc::new(FakeAws::default());
    let settings = Settings { region: Value::Known(REGION.parse().unwrap()), ..Settings::default() };
    (aws.clone(), Stage::new(Network::new(aws, Arc::new(settings))))
}

fn config(egress: Egress) -> Model {
    Model { name: "scanners".into(), egress: egress.name().into(), ..Model::default() }
}

fn all_modes() -> [Egress; 3] {
    [Egress::Nat, Egress::NatPerZone, Egress::Endpoints]
}

fn set<const N: usize>(texts: [&str; N]) -> Value<BTreeSet<String>> {
    Value::Known(texts.map(str::to_owned).into())
}

fn full(egress: Egress) -> Model {
    Model {
        ipv6: true.into(),
        flow_logs: FlowLogs { s3_arn: "arn:aws:s3:::logs".into(), ..FlowLogs::default() }.into(),
        endpoint_services: set(["s3", "ec2", "kms"]),
        endpoint_account_ids: set(["444455556666"]),
        tags: Value::Known(BTreeMap::from([("team".to_owned(), "security".to_owned())])),
        ..config(egress)
    }
}

/// What is there, by kind, without what every VPC has.
fn count(aws: &FakeAws) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, part) in aws.world().networks.parts.values() {
        let is_built_in = match &part.what {
            What::Group { name, .. } => name == "default",
            What::RouteTable { is_main, .. } => *is_main,
            _ => false,
        };
        if !is_built_in {
            *counts.entry(part.what.kind().to_string()).or_default() += 1;
        }
    }
    counts
}

fn assert_nothing_is_left(aws: &FakeAws, after: &str) {
    let world = aws.world();
    assert!(world.networks.vpcs.is_empty(), "{after}: {:?}", world.networks.vpcs);
    assert!(world.networks.parts.is_empty(), "{after}: {:?}", world.networks.parts);
}

/// How many rules the default security group has.
fn default_rules(aws: &FakeAws) -> usize {
    let world = aws.world();
    let parts = world.networks.parts.values();
    parts
        .map(|(_, part)| match &part.what {
            What::Group { name, rules } if name == "default" => rules.len(),
            _ => 0,
        })
        .sum()
}

/// A change behind the resource's back.
type Edit<'a> = Box<dyn Fn(&mut What) + 'a>;

fn edit(aws: &FakeAws, mut change: impl FnMut(&mut What)) {
    for (_, part) in aws.world().networks.parts.values_mut() {
        change(&mut part.what);
    }
}

#[tokio::test(start_paused = true)]
async fn every_mode_is_made_read_back_imported_and_removed() {
    for egress in all_modes() {
        for config in [config(egress), full(egress)] {
            let (aws, mut stage) = start();
            assert_eq!(stage.apply(&config).await.unwrap(), Action::Create);
            assert_eq!(
                stage.drift(&config).await,
                Action::Nothing,
                "{egress:?}: {:?}",
                stage.state().deviations
            );
            let id = stage.state().vpc_id.as_str().unwrap().to_owned();
            let nats = count(&aws).get("NAT gateway").copied().unwrap_or_default();
            let zones = stage.state().availability_zones.clone().unwrap_or_default();
            assert_eq!((nats, zones.len()), (egress.nat_zones(&zones).len(), 2));
            let rules = default_rules(&aws);
            assert_eq!(rules, 0);
            for import_id in [id.clone(), format!("{id}@{REGION}")] {
                assert_eq!(stage.imported(&import_id).await.unwrap().as_ref(), Some(stage.state()));
            }
            assert_eq!(stage.imported_by_identity().await, [stage.state.clone(), stage.state.clone()]);
            stage.destroy().await.unwrap();
            assert_nothing_is_left(&aws, egress.name());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn any_mode_becomes_any_other_in_place() {
    for from in all_modes() {
        for to in all_modes() {
            for (first, then) in [
                (config(from), config(to)),
                (config(from), full(to)),
                (full(from), Model { ipv6: true.into(), ..config(to) }),
            ] {
                let (aws, mut stage) = start();
                stage.apply(&first).await.unwrap();
                let (id, subnets) = (stage.state().id.clone(), stage.state().private_subnet_ids.clone());
                if first != then {
                    assert_eq!(stage.apply(&then).await.unwrap(), Action::Update);
                }
                assert_eq!(stage.drift(&then).await, Action::Nothing, "{from:?} {to:?}");
                assert_eq!((&stage.state().id, &stage.state().private_subnet_ids), (&id, &subnets));
                let (changed, mut anew) = (count(&aws), start());
                anew.1.apply(&then).await.unwrap();
                assert_eq!(changed, count(&anew.0), "{from:?} {to:?}");
                stage.destroy().await.unwrap();
                assert_nothing_is_left(&aws, to.name());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_at_any_call_leaves_nothing_that_destroy_does_not_find() {
    let mut cases = 0;
    for config in all_modes().map(full) {
        let (aws, mut stage) = start();
        stage.apply(&config).await.unwrap();
        let calls = aws.take_calls();
        for (index, operation) in calls.iter().enumerate() {
            let nth = calls.iter().take(index).filter(|other| *other == operation).count();
            for code in ["UnauthorizedOperation", "InternalError"] {
                let after = format!("{code} at {operation} no. {nth} of {:?}", config.egress);
                let (aws, mut stage) = start();
                aws.fail_after(nth, operation, code);
                // A look that fails while one waits for an answer may pass.
                let failed = stage.apply(&config).await;
                stage.destroy().await.unwrap();
                assert_nothing_is_left(&aws, &after);
                assert!(failed.is_err(), "{after}");

                // The next apply goes on where it failed, as after `terraform untaint`.
                let (aws, mut stage) = start();
                aws.fail_after(nth, operation, code);
                stage.apply(&config).await.unwrap_err();
                stage.refresh().await.unwrap();
                stage.apply(&config).await.unwrap();
                assert_eq!(stage.drift(&config).await, Action::Nothing, "{after}");
                stage.destroy().await.unwrap();
                assert_nothing_is_left(&aws, &after);
                cases += 2;
            }
        }
    }
    println!("{cases} cases");
    assert!(cases > 300);
}

#[tokio::test(start_paused = true)]
async fn what_is_made_twice_because_an_answer_was_lost_is_there_once() {
    for config in all_modes().map(full) {
        let (aws, mut stage) = start();
        stage.apply(&config).await.unwrap();
        let (expected, mut calls) = (count(&aws), aws.take_changes());
        calls.retain(|call| call.contains(":Create") || call.contains(":Allocate"));
        calls.sort_unstable();
        calls.dedup();
        for operation in
            calls.into_iter().filter(|call| !matches!(*call, "ec2:CreateRoute" | "ec2:CreateTags"))
        {
            let (aws, mut stage) = start();
            aws.world().networks.repeats = Some(operation);
            stage.apply(&config).await.unwrap_or_else(|error| panic!("{operation}: {error}"));
            assert!(aws.world().networks.repeats.is_none(), "{operation}");
            assert_eq!(aws.world().networks.vpcs.len(), 1, "{operation}");
            assert_eq!(count(&aws), expected, "{operation}");
            assert_eq!(stage.drift(&config).await, Action::Nothing, "{operation}");
            stage.destroy().await.unwrap();
            assert_nothing_is_left(&aws, operation);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_change_of_the_way_out_is_finished_by_the_next_apply() {
    for (from, to) in [(Egress::Nat, Egress::Endpoints), (Egress::Endpoints, Egress::NatPerZone)] {
        let (aws, mut stage) = start();
        stage.apply(&full(from)).await.unwrap();
        aws.take_calls();
        stage.apply(&full(to)).await.unwrap();
        let calls = aws.take_changes();
        for (index, operation) in calls.iter().enumerate() {
            let nth = calls.iter().take(index).filter(|other| *other == operation).count();
            let (aws, mut stage) = start();
            stage.apply(&full(from)).await.unwrap();
            aws.fail_after(nth, operation, "UnauthorizedOperation");
            stage.apply(&full(to)).await.unwrap_err();
            stage.refresh().await.unwrap();
            stage.apply(&full(to)).await.unwrap();
            assert_eq!(stage.drift(&full(to)).await, Action::Nothing, "{operation}");
            stage.destroy().await.unwrap();
            assert_nothing_is_left(&aws, operation);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn zones_come_and_go_and_the_other_subnets_stay() {
    let (aws, mut stage) = start();
    let zones = |letters: &[&str]| Model {
        availability_zones: letters.iter().map(|it| format!("{REGION}{it}")).collect::<Vec<_>>().into(),
        ..config(Egress::NatPerZone)
    };
    let cidrs = |aws: &FakeAws| -> BTreeMap<String, String> {
        let world = aws.world();
        let parts = world.networks.parts.values();
        parts
            .filter_map(|(_, part)| match &part.what {
                What::Subnet { cidr, .. } => Some((part.tags[wanted::PART_TAG].clone(), cidr.clone())),
                _ => None,
            })
            .collect()
    };
    stage.apply(&zones(&["a", "b"])).await.unwrap();
    let before = cidrs(&aws);
    for letters in [["b", "c", "a"].as_slice(), &["c", "b"], &["c", "a"], &["a"]] {
        assert_eq!(stage.apply(&zones(letters)).await.unwrap(), Action::Update);
        assert_eq!(stage.drift(&zones(letters)).await, Action::Nothing);
        let now = cidrs(&aws);
        assert_eq!(now.len(), letters.len() * 2);
        let b = format!("private/{REGION}b");
        assert!(now.get(&b).is_none_or(|cidr| before.get(&b) == Some(cidr)));
        assert_eq!(stage.state().private_subnet_ids.get().unwrap().len(), letters.len());
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changes_is_named_and_repaired() {
    let foreign = |target: &str| Route { destination: "0.0.0.0/0".to_owned(), target: target.to_owned() };
    let ssh = RuleSpec {
        protocol: "tcp".to_owned(),
        from_port: 22,
        to_port: 22,
        peer: Peer::Ipv4("0.0.0.0/0".to_owned()),
    };
    let changes: Vec<(&str, Edit<'_>)> = vec![
        (
            "igw-1",
            Box::new(|what| {
                if let What::RouteTable { routes, .. } = what {
                    *routes = vec![foreign("igw-1")];
                }
            }),
        ),
        (
            "pcx-1",
            Box::new(|what| {
                if let What::RouteTable { routes, .. } = what {
                    *routes = vec![foreign("pcx-1")];
                }
            }),
        ),
        (
            "public addresses",
            Box::new(|what| {
                if let What::Subnet { maps_public, .. } = what {
                    *maps_public = true;
                }
            }),
        ),
        (
            "is served by",
            Box::new(|what| {
                if let What::RouteTable { subnets, .. } = what {
                    subnets.clear();
                }
            }),
        ),
        (
            "tcp 22",
            Box::new(|what| {
                if let What::Group { rules, .. } = what {
                    rules.push(Rule {
                        id: format!("sgr-{}", rules.len()),
                        is_egress: false,
                        spec: ssh.clone(),
                    });
                }
            }),
        ),
        (
            "does not allow",
            Box::new(|what| {
                if let What::Group { rules, .. } = what {
                    rules.clear();
                }
            }),
        ),
        (
            "endpoint of s3",
            Box::new(|what| {
                if let What::Endpoint(it) = what {
                    it.policy = "{}".to_owned();
                }
            }),
        ),
        (
            "endpoint of ec2",
            Box::new(|what| {
                if let What::Endpoint(it) = what {
                    it.groups.clear();
                }
            }),
        ),
    ];
    for (words, change) in changes {
        for config in all_modes().map(full) {
            let (aws, mut stage) = start();
            stage.apply(&config).await.unwrap();
            edit(&aws, &change);
            assert_eq!(stage.drift(&config).await, Action::Update, "{words}");
            let deviations = stage.state().deviations.clone().unwrap_or_default();
            assert!(deviations.iter().any(|it| it.contains(words)), "{words}: {deviations:?}");
            stage.apply(&config).await.unwrap();
            assert_eq!(stage.drift(&config).await, Action::Nothing, "{words}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_part_is_gone_is_made_again() {
    for config in all_modes().map(full) {
        let (aws, mut stage) = start();
        stage.apply(&config).await.unwrap();
        let expected = count(&aws);
        let keys: Vec<String> = aws
            .world()
            .networks
            .parts
            .values()
            .filter_map(|(_, part)| part.tags.get(wanted::PART_TAG).cloned())
            .collect();
        for key in keys {
            let is_it = |tags: &crate::aws::Tags| tags.get(wanted::PART_TAG) == Some(&key);
            aws.world().networks.parts.retain(|_, (_, part)| !is_it(&part.tags));
            assert_eq!(stage.drift(&config).await, Action::Update, "{key}");
            stage.apply(&config).await.unwrap_or_else(|error| panic!("{key}: {error}"));
            assert_eq!(stage.drift(&config).await, Action::Nothing, "{key}");
            assert_eq!(count(&aws), expected, "{key}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_fails_is_told_and_replaced() {
    let (aws, mut stage) = start();
    stage.apply(&config(Egress::Nat)).await.unwrap();
    for (_, part) in aws.world().networks.parts.values_mut() {
        if part.what.kind() == PartKind::NatGateway {
            part.status = Status::Failed("no addresses".to_owned());
        }
    }
    assert_eq!(stage.drift(&config(Egress::Nat)).await, Action::Update);
    let deviations = stage.state().deviations.clone().unwrap_or_default();
    assert!(deviations.iter().any(|it| it.contains("has failed: no addresses")), "{deviations:?}");
}

#[tokio::test(start_paused = true)]
async fn what_stands_in_the_way_is_named_when_time_is_up() {
    let (aws, mut stage) = start();
    stage.apply(&config(Egress::Nat)).await.unwrap();
    aws.world().networks.interfaces.push(Interface {
        id: "eni-1".to_owned(),
        subnet: "subnet-1".to_owned(),
        description: "somebody's".to_owned(),
        instance: Some("i-1".to_owned()),
    });
    let error = stage.destroy().await.unwrap_err();
    let line = "- network interface eni-1 of instance i-1 in subnet subnet-1 (somebody's)";
    assert!(error.detail.contains(line), "{}", error.detail);
    aws.world().networks.interfaces.clear();
    stage.destroy().await.unwrap();
    assert_nothing_is_left(&aws, "a second destroy");
}

#[tokio::test(start_paused = true)]
async fn nothing_foreign_is_adopted() {
    let (aws, stage) = start();
    let region: Region = REGION.parse().unwrap();
    let id = aws.create_vpc(&region, "10.0.0.0/16", false, &BTreeMap::new()).await.unwrap();
    let error = stage.imported(&id).await.unwrap_err();
    assert!(error.detail.contains("was not made by"), "{}", error.detail);
    assert!(stage.imported("subnet-1").await.unwrap_err().detail.contains("vpc-…@REGION"));
}

#[tokio::test(start_paused = true)]
async fn a_network_that_is_gone_is_made_anew() {
    let (aws, mut stage) = start();
    stage.apply(&config(Egress::Endpoints)).await.unwrap();
    aws.world().networks = FakeNetworks::default();
    assert_eq!(stage.drift(&config(Egress::Endpoints)).await, Action::Create);
}

#[tokio::test(start_paused = true)]
async fn addresses_and_ipv6_that_goes_make_a_new_network() {
    let (_, mut stage) = start();
    stage.apply(&full(Egress::Nat)).await.unwrap();
    let (without, _) = stage.plan(&Model { ipv6: false.into(), ..full(Egress::Nat) }).await.unwrap();
    let (other, _) =
        stage.plan(&Model { cidr_block: "10.1.0.0/16".into(), ..full(Egress::Nat) }).await.unwrap();
    let (renamed, planned) = stage.plan(&Model { name: "other".into(), ..full(Egress::Nat) }).await.unwrap();
    assert_eq!((without, other, renamed), (Action::Replace, Action::Replace, Action::Update));
    assert_eq!(planned.private_subnet_ids, stage.state().private_subnet_ids);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_aws_does_not_offer_is_told() {
    let (aws, mut stage) = start();
    let config = Model { endpoint_services: set(["s3", "ebz"]), ..config(Egress::Nat) };
    let error = stage.apply(&config).await.unwrap_err();
    assert_eq!((error.path, aws.world().networks.vpcs.len()), ("endpoint_services".into(), 0));
}

#[test]
fn services_have_other_names_in_other_partitions() {
    let service = |name: &str, is_gateway| EndpointService {
        name: name.to_owned(),
        is_gateway,
        ..EndpointService::default()
    };
    let offered = [
        service("cn.com.amazonaws.cn-north-1.ecr.api", false),
        service("com.amazonaws.cn-north-1.s3", true),
        service("com.amazonaws.cn-north-1.s3", false),
        service("com.amazonaws.cn-north-1.ec2", false),
    ];
    let find = |short| find_service(&offered, "cn-north-1", short).map(|it| (it.name, it.is_gateway));
    assert_eq!(find("ecr.api"), Some(("cn.com.amazonaws.cn-north-1.ecr.api".to_owned(), false)));
    assert_eq!(find("s3"), Some(("com.amazonaws.cn-north-1.s3".to_owned(), true)));
    assert_eq!((find("api"), find("c2")), (None, None));
}
