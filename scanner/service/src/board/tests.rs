use std::time::Duration;

use super::testing::{NOW, board, busy, last, name, place};
use super::*;

#[test]
fn a_service_is_healthy_once_it_is_ready() {
    let board = board();
    assert_eq!(board.view(NOW, 0).health.reasons, ["the service is starting"]);
    board.phase(Phase::Ready);
    assert!(board.view(NOW, 0).health.healthy);
    board.phase(Phase::Draining);
    assert!(board.view(NOW, 0).health.healthy);
    board.phase(Phase::Stopping);
    assert!(!board.view(NOW, 0).health.healthy);
}

#[test]
fn results_are_those_of_the_newest_targets() {
    let board = board();
    let most = u32::try_from(Board::RESULTS).unwrap();
    for number in 0..most + 10 {
        board.scan_ended(last(number, Outcome::Complete));
    }
    // One that is scanned again is one of the newest, and takes no place of another.
    board.scan_ended(last(10, Outcome::Failed));
    board.scan_ended(last(most + 10, Outcome::Complete));
    let view = board.view(NOW, 3);
    assert_eq!(view.totals.targets, u64::from(most));
    assert_eq!(view.totals.outcomes[&Outcome::Complete], u64::from(most) + 11);
    let newest: Vec<_> = view.results.iter().map(|last| last.target.clone()).collect();
    assert_eq!(newest, [name(most + 10), name(10), name(most + 9)]);
    assert_eq!(board.result(&name(10).arn).unwrap().outcome, Outcome::Failed);
    assert_eq!(board.result(&name(11).arn), None);
    assert!(board.result(&name(12).arn).is_some());
}

#[test]
fn results_are_found_by_what_is_asked_for() {
    let board = board();
    for number in 0..250 {
        let outcome = if number % 5 == 0 { Outcome::Failed } else { Outcome::Complete };
        board.scan_ended(last(number, outcome));
    }
    let (fitting, shown) = board.results(&Filter::default());
    assert_eq!((fitting, shown.len()), (250, 100));
    let failed = Filter { outcome: Some(Outcome::Failed), skip: 48, ..Filter::default() };
    let (fitting, shown) = board.results(&failed);
    assert_eq!(fitting, 50);
    assert_eq!(shown.iter().map(|last| last.target.clone()).collect::<Vec<_>>(), [name(5), name(0)]);
    let elsewhere = Filter { region: Some("eu-west-1".to_owned()), ..Filter::default() };
    assert_eq!(board.results(&elsewhere).0, 0);
    let one = Filter { target: Some(name(7).id), ..Filter::default() };
    assert_eq!(board.results(&one).0, 1);
}

#[test]
fn everything_is_bounded() {
    let board = board();
    let long = "ä".repeat(Board::TEXT);
    let many = |what: &str| (0..2_000_u64).map(|number| (format!("{what} {number}"), number)).collect();
    board.requests(many("ec2:Action"), many("class"));
    for number in 0..2_000_u32 {
        board.problem(&format!("problem {number}"), Severity::Warning, &long, NOW);
        let account = format!("{number:012}");
        let mut found = Discovery::new(Place { account, region: "eu-central-1".to_owned() });
        let left_out = LeftOut { target: long.clone(), reason: long.clone() };
        found.left_out = vec![left_out; 2 * Board::LEFT_OUT];
        board.discovered(found);
        let running = Running {
            scan: format!("scan-{number}"),
            target: name(number),
            since: NOW,
            deadline: None,
            step: long.clone(),
        };
        board.scan_started(running);
    }
    board.due((0..2_000).map(|number| Due { target: name(number), at: NOW }));
    let view = board.view(NOW, usize::MAX);
    assert_eq!(view.problems.len(), Board::PROBLEMS);
    assert_eq!(view.problems_omitted, 1_900);
    assert_eq!(view.calls.len(), Board::ACTIONS);
    assert_eq!(view.throttles.len(), Board::ACTIONS);
    assert_eq!(view.places.len(), Board::ROWS);
    assert_eq!(view.scans.len(), Board::ROWS);
    assert_eq!(view.due.len(), Board::DUE);
    assert_eq!(view.places[0].left_out.len(), Board::LEFT_OUT);
    let texts = [&view.problems[0].text, &view.scans[0].step, &view.places[0].left_out[0].reason];
    for text in texts {
        assert!(text.len() <= Board::TEXT && text.ends_with('…'), "{} bytes", text.len());
    }
}

#[test]
fn the_worst_problems_stay() {
    let board = board();
    board.problem("first", Severity::Error, "bad", NOW);
    for number in 0..500 {
        board.problem(
            &format!("{number}"),
            Severity::Warning,
            "not so bad",
            NOW + Duration::from_secs(number),
        );
    }
    let view = board.view(NOW, 0);
    assert_eq!((view.problems[0].key.as_str(), view.problems.len()), ("first", Board::PROBLEMS));
}

#[test]
fn a_problem_lasts_from_its_first_time_until_it_is_solved() {
    let board = board();
    board.phase(Phase::Ready);
    board.problem("clock", Severity::Error, "the clock was set back", NOW);
    board.problem("clock", Severity::Error, "the clock was set back again", NOW + Duration::from_mins(1));
    let view = board.view(NOW, 0);
    assert_eq!(view.health.reasons, ["clock: the clock was set back again"]);
    assert_eq!((view.problems[0].since, view.problems[0].last), (NOW, NOW + Duration::from_mins(1)));
    board.solved("clock");
    assert!(board.view(NOW, 0).health.healthy);
}

#[test]
fn what_parts_say_of_themselves_are_problems_while_they_say_so() {
    let board = busy();
    let view = board.view(NOW, 0);
    assert_eq!(view.problems[0].key, "sink https");
    assert!(view.health.healthy, "a spool is there for this");
    let later = board.view(NOW + Duration::from_hours(1), 0);
    assert_eq!(later.health.reasons, ["sink https: connection refused"]);
    board.sink(Sink { name: "https".to_owned(), ..Sink::default() });
    assert!(board.view(NOW, 0).problems.is_empty());

    let other = Place { account: "210987654321".to_owned(), ..place() };
    board.discovery_failed(&other, "access denied", NOW);
    assert!(board.view(NOW, 0).health.healthy, "one place of two");
    board.discovery_failed(&place(), "access denied", NOW);
    let view = board.view(NOW, 0);
    assert_eq!(view.health.reasons.len(), 2);
    assert_eq!(view.places[0].targets.values().sum::<u64>(), 13, "what was known stays");
    board.retain_places(|place| place.account == "123456789012");
    assert_eq!(board.view(NOW, 0).places.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_main_loop_that_stands_still_is_seen() {
    let board = board();
    board.phase(Phase::Ready);
    tokio::time::advance(Board::SILENCE + Duration::from_secs(1)).await;
    assert!(!board.is_moving(Board::SILENCE));
    assert_eq!(board.view(NOW, 0).problems[0].key, "main-loop");
    board.beat();
    assert!(board.is_moving(Board::SILENCE) && board.view(NOW, 0).health.healthy);
}

#[test]
fn requests_are_counted_by_action_and_class() {
    let board = board();
    board.requests([("ec2:CreateSnapshot".to_owned(), 3)].into(), [("mutating".to_owned(), 1)].into());
    let view = board.view(NOW, 0);
    assert_eq!(view.calls, [Calls { action: "ec2:CreateSnapshot".to_owned(), calls: 3 }]);
    assert_eq!(view.throttles["mutating"], 1);
}

#[test]
fn a_view_survives_its_json() {
    let view = busy().view(NOW, 10);
    let json = serde_json::to_string(&view).unwrap();
    let read: View = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
    assert!(json.contains(r#""now":"2026-05-04T12:00:00Z""#), "{json}");
    assert!(json.contains(r#""duration_seconds":42.5"#), "{json}");
    // A version with less to tell.
    let less = r#"{"now":"2026-05-04T12:00:00Z","phase":"ready","identity":{"scanner":"s","version":"9","started":"2026-05-04T12:00:00Z"}}"#;
    let read: View = serde_json::from_str(less).unwrap();
    assert_eq!(read.phase, Phase::Ready);
}
