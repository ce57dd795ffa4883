use std::collections::BTreeMap;

use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::target::{Kind, Place};

const HOURS: Duration = Duration::from_hours(12);
const NOW: OffsetDateTime = datetime!(2026-03-01 09:30 UTC);

fn target(number: usize) -> Target {
    let id = format!("i-{number:017x}");
    Target {
        arn: format!("arn:aws:ec2:eu-central-1:111122223333:instance/{id}"),
        place: Place { account: "111122223333".to_owned(), region: "eu-central-1".to_owned() },
        kind: Kind::Instance,
        id,
        tags: BTreeMap::new(),
    }
}

fn targets(count: usize) -> Vec<Target> {
    (0..count).map(target).collect()
}

/// How uneven the slots of these ARNs are over 48 parts of the interval: about 47 for even ones.
fn chi_square(arns: impl Iterator<Item = String>) -> f64 {
    let schedule = Schedule::new(HOURS);
    let mut parts = [0_u32; 48];
    for arn in arns {
        let part = schedule.slot(&arn, NOW).unix_timestamp().rem_euclid(12 * 3600) / 900;
        parts[usize::try_from(part).unwrap()] += 1;
    }
    let expected = f64::from(parts.iter().sum::<u32>()) / 48.0;
    parts.iter().map(|it| (f64::from(*it) - expected).powi(2) / expected).sum()
}

#[test]
fn slots_are_those_of_the_arn_alone() {
    // Written out, because another version of the scanner has to find the same ones.
    let schedule = Schedule::new(HOURS);
    let arn = target(1).arn;
    let slot = schedule.slot(&arn, NOW);
    assert_eq!(slot, datetime!(2026-03-01 06:20:02 UTC));
    assert_eq!(schedule.next(&arn, NOW), slot + HOURS);
    assert_eq!(schedule.slot(&arn, slot), slot, "at the slot");
    assert_eq!(schedule.next(&arn, slot), slot + HOURS, "after the slot");
    assert_eq!(schedule.slot(&arn, slot - Duration::from_nanos(1)), slot - HOURS, "just before the slot");
}

#[test]
fn slots_exist_at_the_ends_of_the_calendar_and_for_odd_intervals() {
    let ends = [datetime!(-9999-01-01 00:00 UTC), datetime!(9999-12-31 23:59:59 UTC)];
    for interval in [Duration::ZERO, Duration::from_secs(1), HOURS, Duration::MAX] {
        let schedule = Schedule::new(interval);
        for end in ends {
            schedule.slot("arn", end);
            schedule.next("arn", end);
        }
        assert!(schedule.slot("arn", NOW) <= NOW && schedule.next("arn", NOW) > NOW);
    }
}

#[test]
fn due_is_what_has_its_slot_in_the_window_once_and_in_order() {
    let schedule = Schedule::new(HOURS);
    let all = targets(500);
    let to = NOW + Duration::from_mins(10);
    let due = schedule.due(&all, NOW, to);
    assert!((1..30).contains(&due.len()));
    let slots: Vec<_> = due.iter().map(|it| schedule.slot(&it.arn, to)).collect();
    assert!(slots.is_sorted() && slots.iter().all(|it| *it > NOW && *it <= to));
    assert_eq!(schedule.due(&all, NOW - 3 * HOURS, NOW).len(), 500, "each once in three intervals");
    assert_eq!(schedule.due(&all, NOW, NOW).len(), 0);
    assert_eq!(schedule.due(&all, NOW, NOW - HOURS).len(), 0, "backwards");
}

#[test]
fn a_fresh_instance_looks_back_and_an_old_heartbeat_is_one_interval() {
    let directory = tempfile::tempdir().unwrap();
    let open = |now| Watermark::open(directory.path(), HOURS, now);
    assert_eq!(open(NOW).window(NOW), Window { from: NOW - LOOK_BACK, to: NOW });

    open(NOW).advance(NOW).unwrap();
    let later = NOW + Duration::from_mins(1);
    assert_eq!(open(later).window(later), Window { from: NOW, to: later });
    let much_later = NOW + 5 * HOURS;
    assert_eq!(open(much_later).window(much_later), Window { from: much_later - HOURS, to: much_later });
}

#[test]
fn a_clock_set_back_looks_back_and_one_that_is_adjusted_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let mut watermark = Watermark::open(directory.path(), HOURS, NOW);
    watermark.advance(NOW).unwrap();
    let adjusted = NOW - Duration::from_secs(5);
    assert_eq!(watermark.window(adjusted), Window { from: adjusted, to: adjusted });
    watermark.advance(adjusted).unwrap();
    assert_eq!(watermark.at(), NOW, "nothing is queued twice");

    let back = NOW - 3 * HOURS;
    for mut it in [Watermark::open(directory.path(), HOURS, back), watermark] {
        assert_eq!(it.window(back), Window { from: back - LOOK_BACK, to: back });
        it.advance(back).unwrap();
        assert_eq!(it.at(), back);
    }
}

#[test]
fn an_unreadable_heartbeat_is_as_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("schedule-heartbeat");
    let long = "2026-03-01T09:30:00Z".repeat(1000);
    for contents in ["", "yesterday", "\u{0}\u{0}", "2026-13-01T00:00:00Z", &long] {
        std::fs::write(&path, contents).unwrap();
        assert_eq!(Watermark::open(directory.path(), HOURS, NOW).at(), NOW - LOOK_BACK, "{contents:.20}");
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let mut watermark = Watermark::open(directory.path(), HOURS, NOW);
    let failed = watermark.advance(NOW).unwrap_err();
    assert!(failed.to_string().starts_with("could not write the heartbeat"), "{failed}");
    assert_eq!(watermark.at(), NOW, "this run goes on");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn load_is_spread_evenly(account in 100_000_000_000_u64..999_999_999_999, start in 0_u32..1_000_000) {
        let arn = |number: u32| format!("arn:aws:ec2:us-east-1:{account}:instance/i-{number:017x}");
        prop_assert!(chi_square((start..start + 5000).map(arn)) < 120.0);
    }

    #[test]
    fn no_slot_is_lost_or_doubled_over_any_windows_and_restarts(
        steps in prop::collection::vec((0_u64..=12 * 3600, any::<bool>()), 1..15),
        nanos in 0_u64..1_000_000_000,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let schedule = Schedule::new(HOURS);
        let all = targets(40);
        let mut now = NOW + Duration::from_nanos(nanos);
        let mut watermark = Watermark::open(directory.path(), HOURS, now);
        let start = now;
        watermark.advance(start).unwrap();
        let mut queued: BTreeMap<&str, Vec<OffsetDateTime>> = BTreeMap::new();
        for (seconds, is_restart) in steps {
            now += Duration::from_secs(seconds);
            if is_restart {
                watermark = Watermark::open(directory.path(), HOURS, now);
            }
            let window = watermark.window(now);
            for target in schedule.due(&all, window.from, window.to) {
                queued.entry(&target.arn).or_default().push(schedule.slot(&target.arn, window.to));
            }
            watermark.advance(window.to).unwrap();
        }
        for target in &all {
            let mut expected = Vec::new();
            let mut slot = schedule.next(&target.arn, start);
            while slot <= now {
                expected.push(slot);
                slot = schedule.next(&target.arn, slot);
            }
            prop_assert_eq!(queued.remove(target.arn.as_str()).unwrap_or_default(), expected);
        }
    }

    #[test]
    fn downtime_longer_than_the_interval_makes_each_target_due_once(days in 1_u32..40, seconds in 0_u64..86_400) {
        let directory = tempfile::tempdir().unwrap();
        Watermark::open(directory.path(), HOURS, NOW).advance(NOW).unwrap();
        let now = NOW + Duration::from_hours(24) * days + Duration::from_secs(seconds);
        let window = Watermark::open(directory.path(), HOURS, now).window(now);
        let all = targets(40);
        prop_assert_eq!(Schedule::new(HOURS).due(&all, window.from, window.to).len(), 40);
    }
}
