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

fn part(region: &str, kind: Kind) -> Part {
    (Place { account: "111122223333".to_owned(), region: region.to_owned() }, kind)
}

fn here() -> Part {
    part("eu-central-1", Kind::Instance)
}

/// Everything is done up to then.
fn done(directory: &tempfile::TempDir, at: OffsetDateTime) -> Watermark {
    let mut watermark = Watermark::open(directory.path(), HOURS, at);
    watermark.advance(at, []).unwrap();
    watermark
}

#[test]
fn a_fresh_instance_looks_back_and_an_old_heartbeat_is_one_interval() {
    let directory = tempfile::tempdir().unwrap();
    let since = |now| Watermark::open(directory.path(), HOURS, now).since(&here(), now);
    assert_eq!(since(NOW), NOW - LOOK_BACK);
    assert_eq!(
        look_back(NOW, Duration::from_mins(10)),
        NOW - Duration::from_mins(10),
        "no more than an interval"
    );

    done(&directory, NOW);
    assert_eq!(since(NOW + Duration::from_mins(1)), NOW);
    let much_later = NOW + 5 * HOURS;
    assert_eq!(since(much_later), much_later - HOURS);
}

#[test]
fn what_was_looked_back_to_stays_over_a_crash_before_anything_is_known() {
    let directory = tempfile::tempdir().unwrap();
    Watermark::open(directory.path(), HOURS, NOW).keep(NOW).unwrap();
    let later = NOW + Duration::from_hours(2);
    let mut watermark = Watermark::open(directory.path(), HOURS, later);
    watermark.keep(later).unwrap();
    assert_eq!(watermark.since(&here(), later), NOW - LOOK_BACK);
}

#[test]
fn a_part_that_is_behind_holds_back_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let (denied, slow) = (part("eu-west-1", Kind::Function), part("eu-west-2", Kind::Instance));
    let then = NOW - Duration::from_hours(3);
    let behind = [(denied.clone(), then), (slow.clone(), NOW - Duration::from_mins(4)), (here(), NOW)];
    done(&directory, NOW).advance(NOW, behind).unwrap();
    let watermark = Watermark::open(directory.path(), HOURS, NOW);
    assert_eq!(watermark.since(&denied, NOW), then);
    assert_eq!(watermark.since(&slow, NOW), NOW - Duration::from_mins(4));
    assert_eq!(watermark.since(&part("eu-west-1", Kind::Instance), NOW), NOW, "of the same place");
    assert_eq!(watermark.since(&here(), NOW), NOW);

    // A place that is no longer scanned is not in the next one.
    done(&directory, NOW).advance(NOW, [(slow.clone(), then)]).unwrap();
    let watermark = Watermark::open(directory.path(), HOURS, NOW);
    assert_eq!((watermark.since(&denied, NOW), watermark.since(&slow, NOW)), (NOW, then));
}

#[test]
fn too_many_that_are_behind_are_as_far_as_the_last_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let all = |count: u32| {
        (0..count).map(|number| {
            (part(&format!("region-{number}"), Kind::Image), NOW - Duration::from_secs(9) * number)
        })
    };
    let open = || Watermark::open(directory.path(), HOURS, NOW);
    done(&directory, NOW).advance(NOW, all(1001)).unwrap();
    assert_eq!(open().since(&here(), NOW), NOW, "the first is not behind");
    assert_eq!(open().since(&part("region-1000", Kind::Image), NOW), NOW - Duration::from_mins(150));
    done(&directory, NOW).advance(NOW, all(1002)).unwrap();
    assert_eq!(open().since(&here(), NOW), NOW - Duration::from_secs(9009));
}

#[test]
fn a_clock_set_back_looks_back_and_one_that_is_adjusted_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let watermark = done(&directory, NOW);
    let adjusted = NOW - Duration::from_secs(5);
    assert_eq!(watermark.since(&here(), adjusted), adjusted, "nothing is queued twice");

    let back = NOW - 3 * HOURS;
    assert_eq!(watermark.since(&here(), back), back - LOOK_BACK);
    let mut opened = Watermark::open(directory.path(), HOURS, back);
    assert_eq!((opened.set_back(adjusted), opened.set_back(back)), (None, Some(NOW)));
    opened.keep(back).unwrap();
    assert_eq!(opened.up_to(&here()), back - LOOK_BACK);
}

#[test]
fn an_unreadable_heartbeat_is_as_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("schedule-heartbeat");
    let long = format!("agentless-scanner heartbeat 1\n2026-03-01T09:30:00Z\n{}", " ".repeat(1 << 18));
    let next = "agentless-scanner heartbeat 2\n2026-03-01T09:30:00Z\n";
    let no_time = "agentless-scanner heartbeat 1\n2026-13-01T00:00:00Z\n";
    for contents in
        ["", "2026-03-01T09:30:00Z", "\u{0}\u{0}", "agentless-scanner heartbeat 1", next, no_time, &long]
    {
        std::fs::write(&path, contents).unwrap();
        let watermark = Watermark::open(directory.path(), HOURS, NOW);
        assert_eq!(watermark.up_to(&here()), NOW - LOOK_BACK, "{contents:.50}");
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let mut watermark = Watermark::open(directory.path(), HOURS, NOW);
    let failed = watermark.advance(NOW, []).unwrap_err();
    assert!(failed.to_string().starts_with("could not write the heartbeat"), "{failed}");
    assert_eq!(watermark.up_to(&here()), NOW, "this run goes on");
}

#[test]
fn a_line_that_is_not_understood_costs_itself() {
    let directory = tempfile::tempdir().unwrap();
    let lines = [
        "agentless-scanner heartbeat 1",
        "2026-03-01T09:30:00Z",
        "2026-03-01T08:00:00Z 111122223333 eu-west-1 toaster",
        "yesterday 111122223333 eu-central-1 instance",
        "2026-03-01T08:00:00Z 111122223333",
        "",
        "2026-03-01T08:00:00Z 111122223333 eu-west-1 function and something new",
    ];
    std::fs::write(directory.path().join("schedule-heartbeat"), lines.join("\n")).unwrap();
    let watermark = Watermark::open(directory.path(), HOURS, NOW);
    assert_eq!(watermark.up_to(&here()), NOW);
    assert_eq!(watermark.up_to(&part("eu-west-1", Kind::Function)), datetime!(2026-03-01 08:00 UTC));
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
        let mut watermark = done(&directory, now);
        let start = now;
        let mut queued: BTreeMap<&str, Vec<OffsetDateTime>> = BTreeMap::new();
        for (seconds, is_restart) in steps {
            now += Duration::from_secs(seconds);
            if is_restart {
                watermark = Watermark::open(directory.path(), HOURS, now);
            }
            for target in schedule.due(&all, watermark.since(&here(), now), now) {
                queued.entry(&target.arn).or_default().push(schedule.slot(&target.arn, now));
            }
            watermark.advance(now, []).unwrap();
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
        done(&directory, NOW);
        let now = NOW + Duration::from_hours(24) * days + Duration::from_secs(seconds);
        let since = Watermark::open(directory.path(), HOURS, now).since(&here(), now);
        let all = targets(40);
        prop_assert_eq!(Schedule::new(HOURS).due(&all, since, now).len(), 40);
    }
}
