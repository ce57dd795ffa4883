use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::target::{Kind, Place, Target};
use crate::tasks::Actions;

const NOW: OffsetDateTime = datetime!(2026-03-01 09:30 UTC);
const BOUNDS: Bounds = Bounds { length: 100, per_place: 100, deadline: Duration::from_mins(1) };

fn target(account: &str, region: &str, id: &str) -> Target {
    Target {
        arn: format!("arn:aws:ec2:{region}:{account}:instance/{id}"),
        place: Place { account: account.to_owned(), region: region.to_owned() },
        kind: Kind::Instance,
        id: id.to_owned(),
        tags: BTreeMap::new(),
    }
}

fn due(account: &str, id: &str) -> Order {
    Order::new(target(account, "r", id), Cause::Schedule)
}

fn asked(account: &str, id: &str) -> Order {
    Order { cause: Cause::User, ..due(account, id) }
}

/// What can be taken without waiting.
fn ready(queue: &Queue) -> Option<Job> {
    use futures_util::FutureExt as _;
    queue.take().now_or_never().flatten()
}

fn ids(queue: &Queue) -> Vec<String> {
    std::iter::from_fn(|| ready(queue))
        .map(|job| format!("{}{}", job.target.place.account, job.target.id))
        .collect()
}

#[test]
fn accounts_take_turns_and_so_do_their_regions() {
    let queue = Queue::new(BOUNDS);
    for id in ["1", "2", "3", "4"] {
        queue.push(due("a", id)).unwrap();
    }
    queue.push(Order::new(target("b", "s", "1"), Cause::Schedule)).unwrap();
    queue.push(Order::new(target("b", "s", "2"), Cause::Schedule)).unwrap();
    queue.push(Order::new(target("b", "t", "3"), Cause::Schedule)).unwrap();
    queue.push(due("c", "1")).unwrap();
    assert_eq!(ids(&queue), ["a1", "b1", "c1", "a2", "b3", "a3", "b2", "a4"]);
}

#[test]
fn an_account_that_comes_back_stands_behind_those_that_wait() {
    let queue = Queue::new(BOUNDS);
    queue.push(due("a", "1")).unwrap();
    for id in ["1", "2", "3"] {
        queue.push(due("b", id)).unwrap();
    }
    let mut taken = Vec::new();
    for id in ["2", "3", "4"] {
        let job = ready(&queue).unwrap();
        taken.push(format!("{}{}", job.target.place.account, job.target.id));
        drop(job);
        let _ = queue.push(due("a", id));
    }
    assert_eq!(taken, ["a1", "b1", "a2"]);
}

#[test]
fn what_was_asked_for_goes_first() {
    let queue = Queue::new(BOUNDS);
    queue.push(due("a", "1")).unwrap();
    queue.push(due("b", "2")).unwrap();
    queue.push(Order { cause: Cause::Task, ..due("a", "3") }).unwrap();
    queue.push(asked("a", "4")).unwrap();
    assert_eq!(ids(&queue), ["a3", "a4", "b2", "a1"]);
}

#[test]
fn a_second_order_joins_the_first_and_makes_it_urgent() {
    let queue = Queue::new(BOUNDS);
    queue.push(due("a", "1")).unwrap();
    let Pushed::Queued(scan) = queue.push(due("a", "2")).unwrap() else { panic!("joined") };
    let order = Order {
        scope: Scope::only(Actions { applications: true, ..Actions::NONE }),
        hostname: Some("web".to_owned()),
        role: Some("arn:aws:iam::111122223333:role/other".to_owned()),
        ..asked("a", "2")
    };
    assert_eq!(queue.push(order), Ok(Pushed::Joined(scan)));
    assert_eq!(queue.push(due("a", "2")), Ok(Pushed::Joined(scan)), "and stays urgent");
    let job = ready(&queue).unwrap();
    assert_eq!((job.scan, job.cause, job.target.id.as_str()), (scan, Cause::User, "2"));
    let configured = Actions { host_os: true, ..Actions::NONE };
    assert_eq!(job.scope.actions(configured), Actions { host_os: true, applications: true, ..Actions::NONE });
    assert_eq!((job.hostname.as_deref(), job.role.as_deref()), (Some("web"), None));
    assert_eq!(queue.push(asked("a", "2")), Ok(Pushed::Joined(scan)), "while it runs");
    assert_eq!(ids(&queue), ["a1"]);
}

#[test]
fn an_order_that_a_running_scan_does_not_cover_waits_for_its_end() {
    let queue = Queue::new(Bounds { length: 1, ..BOUNDS });
    let narrow = Scope::only(Actions { host_os: true, ..Actions::NONE });
    queue.push(Order { scope: narrow, ..asked("a", "1") }).unwrap();
    let job = ready(&queue).unwrap();
    assert_eq!(queue.push(Order { scope: narrow, ..due("a", "1") }), Ok(Pushed::Joined(job.scan)));
    let Ok(Pushed::Queued(next)) = queue.push(due("a", "1")) else { panic!("joined") };
    assert_ne!(next, job.scan);
    assert_eq!(queue.push(due("a", "1")), Ok(Pushed::Joined(next)));
    assert_eq!(queue.push(due("a", "2")), Err(Refused::Full { length: 1 }), "it counts");
    assert_eq!(queue.snapshot(NOW).waiting_count(), 1);
    assert!(ready(&queue).is_none(), "not both at once");
    job.finish();
    assert_eq!(ready(&queue).unwrap().scan, next);
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let queue = Queue::new(Bounds { length: 2, ..BOUNDS });
    queue.push(due("a", "1")).unwrap();
    queue.push(due("a", "2")).unwrap();
    let refused = queue.push(due("a", "3")).unwrap_err();
    assert_eq!(refused, Refused::Full { length: 2 });
    assert!(refused.to_string().contains("queue.length"), "{refused}");
    assert!(matches!(queue.push(due("a", "2")), Ok(Pushed::Joined(_))), "joining needs no room");
    drop(ready(&queue));
    queue.push(due("a", "3")).unwrap();
}

#[test]
fn no_more_run_in_one_place_than_may() {
    let queue = Queue::new(Bounds { per_place: 2, ..BOUNDS });
    for id in ["1", "2", "3"] {
        queue.push(asked("a", id)).unwrap();
    }
    queue.push(due("b", "4")).unwrap();
    let mut jobs: Vec<_> = std::iter::from_fn(|| ready(&queue)).collect();
    let taken: Vec<_> = jobs.iter().map(|it| it.target.id.as_str()).collect();
    assert_eq!(taken, ["1", "2", "4"]);
    jobs.pop();
    assert!(ready(&queue).is_none());
    jobs.pop();
    assert_eq!(ids(&queue), ["a3"]);
}

#[test]
fn cancelling_gives_back_what_waits_and_stops_what_runs() {
    let queue = Queue::new(BOUNDS);
    queue.push(due("a", "1")).unwrap();
    queue.push(due("a", "2")).unwrap();
    let job = ready(&queue).unwrap();
    let arn = job.target.arn.clone();

    let cancelled = queue.cancel(&arn);
    assert_eq!((cancelled.running, cancelled.waiting), (Some(job.scan), None));
    assert!(job.cancel.is_cancelled());
    assert!(queue.snapshot(NOW).running[0].is_cancelled);
    assert!(matches!(queue.push(due("a", "1")), Ok(Pushed::Queued(_))), "what stops is not joined");
    drop(job);

    let cancelled = queue.cancel(&due("a", "2").target.arn);
    assert_eq!((cancelled.running, cancelled.waiting), (None, Some(due("a", "2"))));
    let cancelled = queue.cancel("arn:aws:ec2:r:c:instance/other");
    assert_eq!((cancelled.running, cancelled.waiting), (None, None));
    assert_eq!(ids(&queue), ["a1"]);
}

#[tokio::test]
async fn what_is_handed_back_is_no_longer_taken_and_the_rest_is() {
    let queue = Queue::new(BOUNDS);
    for order in [due("a", "1"), due("a", "2"), asked("b", "3")] {
        queue.push(order).unwrap();
    }
    let handed = queue.hand_back(|order| *order == due("a", "1"));
    assert_eq!(handed, [due("a", "1")]);
    assert!(matches!(queue.push(due("c", "4")), Err(Refused::Closed)));
    for _ in 0..2 {
        let job = queue.take().await.unwrap();
        assert_ne!(job.order(), due("a", "1"));
    }
    queue.idle().await;
}

#[test]
fn draining_gives_back_all_that_waits() {
    let queue = Queue::new(BOUNDS);
    queue.push(due("b", "1")).unwrap();
    queue.push(due("a", "2")).unwrap();
    let running = ready(&queue).unwrap();
    queue.push(asked("a", "3")).unwrap();
    queue.cancel_running();
    queue.push(running.order()).unwrap();
    queue.close();
    assert!(running.cancel.is_cancelled());
    assert_eq!(queue.push(due("a", "4")), Err(Refused::Closed));
    assert_eq!(queue.drain(), [asked("a", "3"), due("a", "2"), due("b", "1")]);
    assert_eq!(queue.drain(), []);
    drop(running);
    let snapshot = queue.snapshot(NOW);
    assert!(snapshot.is_closed && snapshot.running.is_empty() && snapshot.waiting_count() == 0);
}

#[tokio::test(start_paused = true)]
async fn takers_wait_for_orders_for_room_and_for_the_end() {
    let queue = Queue::new(Bounds { per_place: 1, ..BOUNDS });
    let taker = |queue: Queue| tokio::spawn(async move { queue.take().await });
    let (first, second) = (taker(queue.clone()), taker(queue.clone()));
    tokio::time::sleep(Duration::from_secs(5)).await;
    queue.push(due("a", "1")).unwrap();
    queue.push(due("a", "2")).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (done, waits) = if first.is_finished() { (first, second) } else { (second, first) };
    let job = done.await.unwrap().unwrap();
    assert_eq!(job.target.id, "1");
    assert!(!waits.is_finished(), "one at a time in this place");
    let idle = tokio::spawn({
        let queue = queue.clone();
        async move { queue.idle().await }
    });
    job.finish();
    let job = waits.await.unwrap().unwrap();
    assert_eq!(job.target.id, "2");
    let last = taker(queue.clone());
    tokio::time::sleep(Duration::from_secs(5)).await;
    queue.close();
    assert!(last.await.unwrap().is_none());
    drop(job);
    idle.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_says_what_waits_and_since_when_what_runs() {
    let queue = Queue::new(BOUNDS);
    queue.push(due("a", "1")).unwrap();
    let job = queue.take().await.unwrap();
    queue.push(due("a", "2")).unwrap();
    queue.push(asked("a", "3")).unwrap();
    queue.push(due("b", "4")).unwrap();
    tokio::time::advance(Duration::from_secs(90)).await;
    let snapshot = queue.snapshot(NOW);
    let since = NOW - Duration::from_secs(90);
    let place = |account: &str| Place { account: account.to_owned(), region: "r".to_owned() };
    let totals = (snapshot.is_closed, snapshot.length, snapshot.following, snapshot.oldest);
    assert_eq!(totals, (false, 100, 0, Some(since)));
    assert_eq!(
        snapshot.waiting,
        [Waiting { place: place("a"), urgent: 1, due: 1 }, Waiting { place: place("b"), urgent: 0, due: 1 }]
    );
    let [running] = snapshot.running.as_slice() else { panic!("{snapshot:?}") };
    assert_eq!((running.scan, &running.target), (job.scan, &job.target.arn));
    assert_eq!((&running.place, running.cause), (&place("a"), Cause::Schedule));
    assert_eq!((running.since, running.is_cancelled), (since, false));
}

#[derive(Clone, Debug)]
enum Step {
    Push { account: u8, region: u8, id: u8, cause: Cause },
    Take,
    Finish(usize),
    Cancel { account: u8, region: u8, id: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let cause = prop_oneof![4 => Just(Cause::Schedule), 1 => Just(Cause::Task), 1 => Just(Cause::User)];
    prop_oneof![
        6 => (0_u8..4, 0_u8..2, 0_u8..6, cause)
            .prop_map(|(account, region, id, cause)| Step::Push { account, region, id, cause }),
        4 => Just(Step::Take),
        3 => any::<usize>().prop_map(Step::Finish),
        1 => (0_u8..4, 0_u8..2, 0_u8..6).prop_map(|(account, region, id)| Step::Cancel { account, region, id }),
    ]
}

fn numbered(account: u8, region: u8, id: u8) -> Target {
    target(&account.to_string(), &region.to_string(), &id.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any steps: no target twice, no place over its bound, nothing lost, and the urgent first.
    #[test]
    fn no_target_is_there_twice_and_none_is_lost(steps in prop::collection::vec(step(), 1..120)) {
        let bounds = Bounds { length: 12, per_place: 2, ..BOUNDS };
        let queue = Queue::new(bounds);
        let mut waiting: BTreeMap<String, bool> = BTreeMap::new();
        let mut running: Vec<Job> = Vec::new();
        for step in steps {
            match step {
                Step::Push { account, region, id, cause } => {
                    let target = numbered(account, region, id);
                    let arn = target.arn.clone();
                    let job = running.iter().find(|it| it.target.arn == arn);
                    let pushed = queue.push(Order::new(target, cause));
                    match job {
                        // One that was cancelled is not joined: that has a test of its own, here it is taken back.
                        Some(job) if job.cancel.is_cancelled() => {
                            if pushed.is_ok() { queue.cancel(&arn); }
                        }
                        Some(job) => prop_assert_eq!(pushed, Ok(Pushed::Joined(job.scan))),
                        None => match pushed {
                            Ok(Pushed::Queued(_)) => prop_assert!(waiting.insert(arn, cause.is_urgent()).is_none()),
                            Ok(Pushed::Joined(_)) => *waiting.get_mut(&arn).unwrap() |= cause.is_urgent(),
                            Err(refused) => {
                                prop_assert_eq!(refused, Refused::Full { length: bounds.length });
                                prop_assert_eq!(waiting.len(), bounds.length);
                            }
                        },
                    }
                }
                Step::Take => match ready(&queue) {
                    Some(job) => {
                        let was_urgent = waiting.remove(&job.target.arn);
                        prop_assert_eq!(was_urgent, Some(job.cause.is_urgent()));
                        running.push(job);
                    }
                    None => for arn in waiting.keys() {
                        let place = arn.rsplit_once(':').unwrap().0;
                        let there = running.iter().filter(|it| it.target.arn.starts_with(place)).count();
                        prop_assert_eq!(there, bounds.per_place);
                    },
                },
                Step::Finish(number) => if !running.is_empty() {
                    running.swap_remove(number % running.len());
                },
                Step::Cancel { account, region, id } => {
                    let arn = numbered(account, region, id).arn;
                    let cancelled = queue.cancel(&arn);
                    prop_assert_eq!(cancelled.waiting.is_some(), waiting.remove(&arn).is_some());
                }
            }
            let snapshot = queue.snapshot(NOW);
            prop_assert_eq!(snapshot.waiting_count(), waiting.len());
            let mut arns: BTreeSet<_> = snapshot.running.iter().map(|it| it.target.as_str()).collect();
            prop_assert_eq!(arns.len(), running.len());
            arns.extend(waiting.keys().map(String::as_str));
            prop_assert_eq!(arns.len(), running.len() + waiting.len());
        }
        queue.close();
        prop_assert_eq!(queue.drain().len(), waiting.len());
    }

    /// Between two turns of one account, each other one had its turn if it had something that could run all the while.
    #[test]
    fn between_two_turns_of_one_account_every_other_one_has_its_own(
        backlog in prop::collection::vec(1_u8..20, 2..6),
        late in prop::collection::vec((any::<bool>(), 0_u8..6), 60),
    ) {
        let queue = Queue::new(Bounds { length: 1000, ..BOUNDS });
        let mut waiting: BTreeMap<String, usize> = BTreeMap::new();
        let push = |waiting: &mut BTreeMap<String, usize>, account: u8, id: u8| {
            let target = numbered(account, id % 3, id);
            let account = target.place.account.clone();
            if let Ok(Pushed::Queued(_)) = queue.push(Order::new(target, Cause::Schedule)) {
                *waiting.entry(account).or_default() += 1;
            }
        };
        for (account, count) in (0_u8..).zip(&backlog) {
            for id in 0..*count {
                push(&mut waiting, account, id);
            }
        }
        // Who waited without a break since the last turn of each account.
        let mut overdue: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (number, (is_pushed, account)) in (100_u8..).zip(late) {
            let Some(job) = ready(&queue) else { break };
            let account_of_job = job.target.place.account.clone();
            let passed_over = overdue.remove(&account_of_job).unwrap_or_default();
            prop_assert!(passed_over.is_empty(), "{account_of_job} went before {passed_over:?}");
            *waiting.get_mut(&account_of_job).unwrap() -= 1;
            waiting.retain(|_, count| *count > 0);
            for others in overdue.values_mut() {
                others.remove(&account_of_job);
            }
            let others = waiting.keys().filter(|it| **it != account_of_job).cloned().collect();
            overdue.insert(account_of_job, others);
            drop(job);
            if is_pushed {
                push(&mut waiting, account, number);
            }
        }
    }
}
