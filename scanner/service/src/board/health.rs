//! Whether the service does its work, and what is in the way.

use time::{Duration, OffsetDateTime};

use super::view::{Health, Phase, Problem, Severity, Trouble};
use super::{Board, State};

/// For how long a sink may fail before the service is no longer healthy: what waits in its spool is not lost yet.
const SINK: Duration = Duration::hours(1);

/// What is wrong, the worst first. What the parts say of themselves is in it for as long as they say so.
pub(super) fn problems(state: &State, now: OffsetDateTime) -> Vec<Problem> {
    let mut problems: Vec<_> = state.problems.values().cloned().collect();
    if state.beat.elapsed() > Board::SILENCE {
        let since = now.saturating_sub(state.beat.elapsed().try_into().unwrap_or(Duration::ZERO));
        let text = "the main loop does not move; systemd's watchdog restarts the service".to_owned();
        let key = "main-loop".to_owned();
        problems.push(Problem { key, severity: Severity::Error, text, since, last: now });
    }
    // Without any place there is nothing to do; without one of several there is.
    let all_fail = !state.places.is_empty() && state.places.values().all(|place| place.failing.is_some());
    let severity = if all_fail { Severity::Error } else { Severity::Warning };
    for found in state.places.values() {
        let what = format!("discovery {}", found.place);
        problems.extend(found.failing.as_ref().map(|trouble| problem(what, severity, trouble)));
    }
    for sink in state.sinks.values() {
        let what = format!("sink {}", sink.name);
        problems.extend(sink.failing.as_ref().map(|trouble| {
            let lasting = now - trouble.since >= SINK;
            problem(what, if lasting { Severity::Error } else { Severity::Warning }, trouble)
        }));
    }
    for source in state.sources.values() {
        let what = format!("tasks {}", source.name);
        problems.extend(source.failing.as_ref().map(|trouble| problem(what, Severity::Warning, trouble)));
    }
    for sweep in state.sweeps.values() {
        let what = format!("sweep {}", sweep.place);
        problems.extend(sweep.failing.as_ref().map(|trouble| problem(what, Severity::Warning, trouble)));
    }
    problems.sort_by(|one, other| {
        other
            .severity
            .cmp(&one.severity)
            .then(one.since.cmp(&other.since))
            .then_with(|| one.key.cmp(&other.key))
    });
    problems
}

fn problem(key: String, severity: Severity, trouble: &Trouble) -> Problem {
    Problem { key, severity, text: trouble.text.clone(), since: trouble.since, last: trouble.last }
}

/// Whether the service does its work. One that is draining does what it should.
pub(super) fn of(phase: Phase, problems: &[Problem]) -> Health {
    let phase = match phase {
        Phase::Starting => Some("the service is starting".to_owned()),
        Phase::Stopping => Some("the service is stopping".to_owned()),
        Phase::Ready | Phase::Draining => None,
    };
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let reasons: Vec<_> =
        phase.into_iter().chain(errors.map(|problem| format!("{}: {}", problem.key, problem.text))).collect();
    Health { healthy: reasons.is_empty(), reasons }
}
