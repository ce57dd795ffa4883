//! Many targets at once: the requests stay within their rates, also when AWS takes fewer, and nothing is lost. The full form is
//! `cargo bench --bench load`.

use std::time::{Duration, UNIX_EPOCH};

use agentless_service::board::Outcome as Ended;
use agentless_service::schedule::Schedule;
use agentless_tests::load::{CLASSES, Class, Fleet, Load, Outcome, Size, Traffic};
use agentless_tests::local_aws::{Call, Effect, Fault, LocalAws};
use aws_config::Region;
use aws_sdk_ec2::types::Filter;
use scanner_policy::tags;
use time::OffsetDateTime;

use crate::scene::{Scene, claim};

const REGIONS: [&str; 3] = ["ap-southeast-4", "ap-south-2", "me-central-1"];
const SIZE: Size = Size { instances: 30, functions: 15, images: 3 };
const SCANNERS: usize = 2;
/// So slow that the scanners always have to wait.
const RATES: [(&str, u32); 7] = [
    ("read", 3),
    ("mutating", 1),
    ("block_get", 30),
    ("block_list", 2),
    ("function_get", 1),
    ("lambda", 2),
    ("registry", 2),
];
/// What is refused as too much: the action, its class, how many pass before, and how many do not.
const REFUSED: [(&str, &str, &str, u64, u64); 4] = [
    ("ec2", "CreateSnapshot", "mutating", 2, 2),
    ("ec2", "DescribeVolumes", "read", 4, 2),
    ("ebs", "GetSnapshotBlock", "block_get", 10, 3),
    ("lambda", "ListTags", "lambda", 4, 2),
];
/// How much closer together requests may arrive than they left, in seconds: everything here shares two cores.
const DELAY: f64 = 0.5;
/// How long what had left already may be on its way.
const UNDER_WAY: f64 = 0.3;
/// How long it is looked whether a scanner that was refused is slower, in seconds.
const SLOW: f64 = 3.0;
/// Of one scanner, without the pages of its program: four scans at a time, each with what it has read.
const MOST_MEMORY_KIB: u64 = 256 * 1024;
/// Requests that AWS counts for one target, without the blocks, and with those of discovery by both scanners.
const MOST_REQUESTS: usize = 10;
/// Blocks of one disk: this machine's package database and what leads to it.
const MOST_BLOCKS: usize = 64;

#[tokio::test]
async fn many_targets_are_each_reported_once_within_the_rates_and_when_aws_throttles() {
    let scene = Scene::new(REGIONS[0]).await;
    REGIONS.iter().skip(1).copied().for_each(claim);
    let load = Load {
        aws: &scene.aws,
        regions: &REGIONS,
        size: SIZE,
        scanners: SCANNERS,
        rates: |class, _| rate(class),
        limit: Duration::from_mins(5),
    };
    let begin = OffsetDateTime::now_utc();
    let refuse = |_: &Fleet| {
        for (service, action, _, passing, refused) in REFUSED {
            let fault = Fault::on(service, action, Effect::Throttle);
            scene.aws.inject(fault.skip(passing).times(refused));
        }
    };
    let outcome = load.bear(refuse).await.unwrap();
    scene.aws.assert_no_unimplemented();
    let calls = scene.aws.calls();
    let traffic = Traffic::new(&calls);

    every_target_is_reported_once(&outcome, begin);
    for class in &CLASSES {
        let allowed = class.allowed(rate(class));
        for flow in traffic.by_scanner(class) {
            let (second, needed) = (flow.busiest_second(), flow.needed(allowed.per_second));
            assert!(
                flow.fits(allowed, DELAY),
                "{}: {second} in a second, {needed} of {allowed:?}",
                class.name
            );
        }
        let injected = REFUSED.iter().filter(|(.., name, _, _)| *name == class.name).map(|it| it.4);
        assert_eq!(traffic.throttled(class), injected.sum::<u64>(), "{}", class.name);
    }
    who_is_refused_is_slower(&calls);
    let blocks =
        CLASSES.iter().find(|class| class.name == "block_get").map_or(0, |class| traffic.count(class));
    assert!(blocks <= MOST_BLOCKS * (SIZE.instances + SIZE.images), "{blocks} blocks");
    let others = traffic.total() - blocks;
    assert!(others <= MOST_REQUESTS * SIZE.targets(), "{others} requests beside {blocks} blocks");
    for usage in &outcome.usage {
        assert!(usage.anonymous_kib < MOST_MEMORY_KIB, "{usage:?}");
    }
    assert_eq!(snapshots_of_scanners(&scene.aws).await, [""; 0]);
}

/// By the scanner that it was given to, and by no other; once, unless it was due again meanwhile.
fn every_target_is_reported_once(outcome: &Outcome, begin: OffsetDateTime) {
    let targets = &outcome.fleet.targets;
    assert_eq!(targets.len(), SIZE.targets());
    assert!(outcome.unreported().is_empty(), "{:?}", outcome.unreported());
    let schedule = Schedule::new(Duration::from_hours(12));
    let now = OffsetDateTime::now_utc();
    let again = targets.iter().filter(|target| schedule.next(&target.arn, begin) <= now).count();
    let totals = outcome.views.iter().flat_map(|view| &view.totals.outcomes);
    let (complete, others): (Vec<_>, Vec<_>) = totals.partition(|(ended, _)| **ended == Ended::Complete);
    assert!(others.iter().all(|(_, count)| **count == 0), "{others:?}");
    let complete: u64 = complete.into_iter().map(|(_, count)| count).sum();
    let complete = usize::try_from(complete).expect("a number");
    assert!((targets.len()..=targets.len() + again).contains(&complete), "{complete} scans");
}

/// Half of the rate is left to whoever was refused, and comes back over minutes.
fn who_is_refused_is_slower(calls: &[Call]) {
    let seconds = |call: &Call| call.time.duration_since(UNIX_EPOCH).expect("a time").as_secs_f64();
    let by = |call: &Call| call.principal.as_ref().map(|principal| principal.arn.clone());
    let is_read = |call: &&Call| call.permission() == "ebs:GetSnapshotBlock";
    let refused = calls.iter().filter(is_read).filter(|call| call.faulted);
    for refused in refused {
        let at = seconds(refused) + UNDER_WAY;
        let same =
            calls.iter().filter(is_read).filter(|it| it.region == refused.region && by(it) == by(refused));
        let soon = same.filter(|it| (at..at + SLOW).contains(&seconds(it))).count();
        let rate = f64::from(rate(Class::of(refused).expect("a class")));
        let most = rate / 2.0 * (SLOW + DELAY) + 1.0;
        assert!(
            f64::from(u32::try_from(soon).expect("a few")) <= most,
            "{soon} in {SLOW} s, where {most} may be"
        );
    }
}

fn rate(class: &Class) -> u32 {
    RATES.iter().find(|(name, _)| *name == class.name).map_or(1, |(_, rate)| *rate)
}

async fn snapshots_of_scanners(aws: &LocalAws) -> Vec<String> {
    let mut left = Vec::new();
    for region in REGIONS {
        let config = aws.harness_sdk_config().into_builder().region(Region::from_static(region)).build();
        let tagged = Filter::builder().name("tag-key").values(tags::SCANNER).build();
        let ec2 = aws_sdk_ec2::Client::new(&config);
        let found =
            ec2.describe_snapshots().owner_ids("self").filters(tagged).send().await.expect("snapshots");
        left.extend(found.snapshots().iter().filter_map(|it| it.snapshot_id()).map(str::to_owned));
    }
    left
}
