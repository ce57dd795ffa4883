//! The matrix of faults: each kind of fault at each call of each creation, change and removal of each resource.
//!
//! The resources are taken through their lives within this process, over the real SDK with the provider's own retries and
//! time limits, against a local AWS of their own each, in a time that runs faster. The calls are those that were recorded
//! in a life without faults. After each fault either the operation has come to its end all the same, or it has failed: then the
//! next apply leaves nothing to do, or destroy leaves nothing behind, by turns.
#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::type_complexity,
    reason = "helpers of tests, outside of #[test] functions; the table is what the test is for"
)]

mod arguments;
mod clock;
mod inventory;
mod kind;
mod life;
mod terraform;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::slice::from_ref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentless_tests::local_aws::{LocalAws, Options};
use comfy_table::Table;
use futures_util::FutureExt;
use terraform_provider::aws::Aws;
use terraform_provider::config::{Client, Config, Settings};
use terraform_provider::provider::Agentless;
use terraform_provider::resource::api_key::ApiKey;
use terraform_provider::resource::delegate_role::DelegateRole;
use terraform_provider::resource::network::Network;
use terraform_provider::resource::role::Role;
use terraform_provider::resource::scanner::Scanner;
use terraform_provider::resource::security_group::SecurityGroup;
use terraform_provider::sdk::{Context, Provider, Resource, Secret, Value};

use kind::{Kind, Point};
use life::{Life, Outcome, Phase, Planned};

/// What came of the cases of one field of the table.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    retried: u32,
    converged: u32,
    destroyed: u32,
}

impl Tally {
    fn count(&mut self, outcome: Outcome, cases: u32) {
        match outcome {
            Outcome::Retried => self.retried += cases,
            Outcome::Converged => self.converged += cases,
            Outcome::Destroyed => self.destroyed += cases,
        }
    }

    fn cases(self) -> u32 {
        self.retried + self.converged + self.destroyed
    }

    fn told(self) -> String {
        if self.cases() == 0 {
            return String::new();
        }
        format!("{}: {}, {}, {}", self.cases(), self.retried, self.converged, self.destroyed)
    }
}

/// What came of one resource's cases.
#[derive(Debug, Default)]
struct Found {
    tallies: BTreeMap<(Phase, Kind), Tally>,
    wrong: Vec<String>,
}

#[test]
fn nothing_is_left_and_nothing_lost_after_a_fault_at_any_call() {
    let started = Instant::now();
    let all = &Kind::ALL[..];
    // A network has as many calls as the others together: four work on it.
    let (repaired, others) = all.split_at(5);
    let [denied, not_found, interrupted] = others else { panic!("there are eight kinds") };
    let network: Lane = |name, kinds| lane(name, kinds, Network::new);
    let lanes: [(&str, &'static [_], Lane); 9] = [
        ("network", repaired, network),
        ("network", from_ref(denied), network),
        ("network", from_ref(not_found), network),
        ("network", from_ref(interrupted), network),
        ("scanner", all, |name, kinds| lane(name, kinds, Scanner::new)),
        ("api_key", all, |name, kinds| lane(name, kinds, ApiKey::new)),
        ("role", all, |name, kinds| lane(name, kinds, Role::new)),
        ("delegate_role", all, |name, kinds| lane(name, kinds, DelegateRole::new)),
        ("security_group", all, |name, kinds| lane(name, kinds, SecurityGroup::new)),
    ];
    let wanted = std::env::var("AGENTLESS_FAULTS_OF").ok();
    let running = lanes
        .into_iter()
        .filter(|(name, ..)| wanted.as_deref().is_none_or(|wanted| wanted == *name))
        .map(|(name, kinds, run)| {
            // The futures of the SDK are large in a build without optimisation.
            let thread = std::thread::Builder::new().stack_size(64 << 20);
            (name, thread.spawn(move || run(name, kinds)).expect("a thread"))
        });
    let running: Vec<_> = running.collect();
    let mut found: BTreeMap<&str, Found> = BTreeMap::new();
    for (name, lane) in running {
        let Found { tallies, wrong } = lane.join().expect(name);
        let of_resource = found.entry(name).or_default();
        of_resource.tallies.extend(tallies);
        of_resource.wrong.extend(wrong);
    }
    let cases = print_table(&found);
    println!("{cases} cases in {} s", started.elapsed().as_secs());
    let wrong: Vec<_> = found.into_values().flat_map(|found| found.wrong).collect();
    assert!(wrong.is_empty(), "{} cases went wrong:\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(wanted.is_some() || cases >= 300, "{cases} cases");
}

/// The cases of one resource and these kinds of fault.
type Lane = fn(&'static str, &'static [(Kind, &'static str)]) -> Found;

fn lane<R: Resource>(
    name: &'static str,
    kinds: &[(Kind, &str)],
    make: impl Fn(Arc<Aws>, Arc<Settings>) -> R,
) -> Found {
    let started = Instant::now();
    clock::run(async {
        let aws = LocalAws::start(Options::default()).await.expect("the local AWS starts");
        let client = configured(&aws).await;
        let make = || make(Arc::clone(&client.aws), Arc::clone(&client.settings));
        let arguments = arguments::of(&aws, name).await.map(|json| json.to_string());
        let mut number = 0;
        let mut next = || {
            number += 1;
            let name = format!("{}-{number}", name.replace('_', "-"));
            arguments.clone().map(|text| text.replace("NAME", &name))
        };

        // A network asks fourteen questions whenever it looks at itself.
        let times = if name == "network" { 1 } else { 2 };
        let mut points: BTreeMap<Phase, Vec<Point>> = BTreeMap::new();
        let mut services = BTreeSet::new();
        let [create, update] = next();
        let nowhere = BTreeSet::new();
        let mut life = Life::new(&aws, make(), [&create, &update], &nowhere).await;
        for phase in Phase::ALL {
            let calls = life.record(phase).await.unwrap_or_else(|wrong| panic!("{name}: {phase:?}: {wrong}"));
            services.extend(calls.iter().map(|call| call.service.clone()));
            points.insert(phase, Point::of(&calls, times));
        }
        drop(life);

        let mut found = Found::default();
        for (kind, fault) in kinds.iter().copied() {
            let of_phase: BTreeMap<Phase, Vec<Vec<&Point>>> =
                points.iter().map(|(phase, points)| (*phase, kind.cases(*phase, points))).collect();
            let lives = of_phase.values().map(Vec::len).max().unwrap_or_default();
            for index in 0..lives {
                let [create, update] = next();
                let mut life = Life::new(&aws, make(), [&create, &update], &services).await;
                for (phase, cases) in &of_phase {
                    let planned =
                        cases.get(index).map(|points| Planned { kind, points, destroys: index % 2 == 0 });
                    let gone = AssertUnwindSafe(life.go(*phase, planned)).catch_unwind().await;
                    match gone.unwrap_or_else(|_| Err("it panicked".to_owned())) {
                        Ok((outcome, count)) => {
                            found.tallies.entry((*phase, kind)).or_default().count(outcome, count);
                        }
                        Err(wrong) => {
                            let points = planned.map(|it| it.points).unwrap_or_default();
                            let told: Vec<_> = points.iter().map(|point| point.told()).collect();
                            let wrong = format!("{name}: {phase:?}: {fault} at {}: {wrong}", told.join(", "));
                            println!("WRONG: {wrong}\n");
                            found.wrong.push(wrong);
                            break;
                        }
                    }
                }
            }
        }
        let unimplemented = aws.unimplemented();
        if !unimplemented.is_empty() {
            found.wrong.push(format!("{name}: the local AWS does not implement {unimplemented:?}"));
        }
        let calls: Vec<_> = points.values().map(Vec::len).collect();
        println!("{name}: {number} lives, {calls:?} calls, {} s", started.elapsed().as_secs());
        found
    })
}

/// The provider's client, as a provider block makes it.
async fn configured(aws: &LocalAws) -> Client {
    let environment: BTreeMap<_, _> = aws.environment().into_iter().collect();
    let endpoint = Value::Known(aws.endpoint());
    let endpoints = terraform_provider::config::EndpointUrls {
        autoscaling: endpoint.clone(),
        ec2: endpoint.clone(),
        iam: endpoint.clone(),
        secretsmanager: endpoint.clone(),
        sts: endpoint,
    };
    let config = Config {
        region: Value::Known(aws.region().to_owned()),
        access_key: Value::Known(environment["AWS_ACCESS_KEY_ID"].clone()),
        secret_key: Value::Known(Secret::new(environment["AWS_SECRET_ACCESS_KEY"].clone())),
        endpoints: Value::Known(endpoints),
        ..Config::default()
    };
    let ctx = Context::detached(Duration::from_mins(20));
    Agentless.configure(&ctx, config).await.unwrap_or_else(|failed| panic!("{failed}"))
}

/// Prints what came of all cases; returns how many there were.
fn print_table(found: &BTreeMap<&str, Found>) -> u32 {
    let mut table = Table::new();
    let faults = Kind::ALL.iter().map(|(_, name)| (*name).to_owned());
    table.set_header([String::new()].into_iter().chain(faults).chain(["cases".to_owned()]));
    let mut sum = 0;
    for (name, found) in found {
        for phase in Phase::ALL {
            let of_kind = |kind| found.tallies.get(&(phase, kind)).copied().unwrap_or_default();
            let tallies = Kind::ALL.map(|(kind, _)| of_kind(kind));
            let cases: u32 = tallies.iter().map(|tally| tally.cases()).sum();
            sum += cases;
            let cells = tallies.into_iter().map(Tally::told);
            let title = format!("{name}, {phase:?}").to_lowercase();
            table.add_row([title].into_iter().chain(cells).chain([cases.to_string()]));
        }
    }
    println!("cases: retried, converged, destroyed\n{table}");
    sum
}
