//! The board for people, as `agentless-scanner status` shows it.

mod table;

use std::time::Duration;

use time::OffsetDateTime;

use self::table::{Cell, Page, Tone};
use super::view::{Discovery, Last, Name, Outcome, Phase, Severity, Sink, Source, Trouble, View};

/// What of it, and for what kind of terminal.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The width in columns; none where lines may have any length.
    pub width: Option<usize>,
    /// Whether there are colours.
    pub colours: bool,
    /// How many rows a table has at most.
    pub rows: usize,
}

impl Default for Look {
    fn default() -> Self {
        Self { width: None, colours: false, rows: 10 }
    }
}

/// The board for people.
pub fn render(view: &View, look: Look) -> String {
    let mut page = Page::new(look.width, look.colours);
    head(&mut page, view);
    problems(&mut page, view, look);
    places(&mut page, view, look);
    scans(&mut page, view, look);
    due(&mut page, view, look);
    results(&mut page, view, look);
    sinks(&mut page, view);
    sources(&mut page, view);
    page.finish()
}

fn head(page: &mut Page, view: &View) {
    let identity = &view.identity;
    let mut name = vec![
        Cell::toned(format!("agentless-scanner {}", identity.version), Tone::Title),
        format!(", {}", identity.scanner).into(),
    ];
    if let Some(instance) = &identity.instance {
        name.push(format!(" on {instance}").into());
    }
    name.push(format!(", up {}", span(view.now, identity.started)).into());
    page.line(name);

    let tone = match view.phase {
        Phase::Ready => Tone::Good,
        Phase::Starting | Phase::Draining | Phase::Stopping => Tone::Doubtful,
    };
    let health = if view.health.healthy {
        Cell::toned("healthy", Tone::Good)
    } else {
        Cell::toned("not healthy", Tone::Bad)
    };
    page.line([Cell::toned(view.phase.name(), tone), ", ".into(), health]);

    let queue = &view.queue;
    let (pending, kept) = view.snapshots.iter().fold((0_u64, 0_u64), |(pending, kept), place| {
        (pending.saturating_add(place.pending), kept.saturating_add(place.kept))
    });
    let mut line = vec![
        format!("{} of {} scanning", queue.running, queue.workers),
        format!("{} waiting", queue.waiting),
        format!("{pending} snapshots pending"),
    ];
    if kept > 0 {
        line.push(format!("{kept} kept"));
    }
    if let Some(oldest) = queue.oldest.filter(|_| queue.waiting > 0) {
        line.push(format!("longest wait {}", span(view.now, oldest)));
    }
    page.line([line.join(", ").into()]);
    let totals: Vec<_> = Outcome::ALL
        .into_iter()
        .filter_map(|outcome| {
            let count = view.totals.outcomes.get(&outcome).copied().filter(|count| *count > 0)?;
            Some(format!("{count} {}", outcome.name()))
        })
        .collect();
    let totals = if totals.is_empty() { "none yet".to_owned() } else { totals.join(", ") };
    page.line([format!("scans since the start: {totals}").into()]);
}

fn problems(page: &mut Page, view: &View, look: Look) {
    // A service that starts or stops has a reason that is no problem, and the line above says so.
    if view.problems.is_empty() {
        return;
    }
    title(page, "Problems");
    for problem in view.problems.iter().take(look.rows) {
        let tone = match problem.severity {
            Severity::Warning => Tone::Doubtful,
            Severity::Error => Tone::Bad,
        };
        let since = span(view.now, problem.since);
        page.line([
            Cell::from("  "),
            Cell::toned(&problem.key, tone),
            Cell::toned(format!(", for {since}"), Tone::Faint),
        ]);
        page.paragraph(4, &Cell::from(&problem.text));
    }
    let omitted = u64::try_from(view.problems.len().saturating_sub(look.rows)).unwrap_or(u64::MAX);
    more(page, omitted.saturating_add(view.problems_omitted));
}

fn places(page: &mut Page, view: &View, look: Look) {
    if view.places.is_empty() {
        return;
    }
    title(page, "Places");
    let rows = view.places.iter().take(look.rows).map(|found| {
        vec![
            Cell::from(found.place.to_string()),
            targets(found).into(),
            left_out(found).into(),
            match (&found.failing, found.last_ok) {
                (Some(trouble), _) => failing(view.now, trouble),
                (None, Some(at)) => format!("{} ago", span(view.now, at)).into(),
                (None, None) => Cell::toned("not yet", Tone::Faint),
            },
        ]
    });
    page.table(&["PLACE", "TARGETS", "LEFT OUT", "LOOKED AT"], rows.collect());
    beyond(page, view.places.len(), look);
}

fn targets(found: &Discovery) -> String {
    let kinds = found.targets.iter().filter(|(_, count)| **count > 0);
    let kinds: Vec<_> = kinds.map(|(kind, count)| counted(*count, kind.name())).collect();
    if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }
}

fn left_out(found: &Discovery) -> String {
    let own = [(found.opted_out, "opted out"), (found.excluded, "excluded")];
    let others = found.skipped.iter().map(|(reason, count)| (*count, reason.as_str()));
    let reasons: Vec<_> = own
        .into_iter()
        .chain(others)
        .filter(|(count, _)| *count > 0)
        .map(|(count, reason)| format!("{count} {reason}"))
        .collect();
    if reasons.is_empty() { "none".to_owned() } else { reasons.join(", ") }
}

fn scans(page: &mut Page, view: &View, look: Look) {
    if view.scans.is_empty() {
        return;
    }
    title(page, "Scanning");
    let rows = view.scans.iter().take(look.rows).map(|scan| {
        vec![
            target(&scan.target),
            scan.target.place.to_string().into(),
            span(view.now, scan.since).into(),
            Cell::from(&scan.step),
        ]
    });
    page.table(&["TARGET", "PLACE", "FOR", "STEP"], rows.collect());
    beyond(page, view.scans.len(), look);
}

fn due(page: &mut Page, view: &View, look: Look) {
    if view.due.is_empty() {
        return;
    }
    title(page, "Next");
    let rows = view.due.iter().take(look.rows).map(|due| {
        let when =
            if due.at <= view.now { "now".to_owned() } else { format!("in {}", span(due.at, view.now)) };
        vec![target(&due.target), due.target.place.to_string().into(), when.into()]
    });
    page.table(&["TARGET", "PLACE", "DUE"], rows.collect());
    beyond(page, view.due.len(), look);
}

fn results(page: &mut Page, view: &View, look: Look) {
    if view.results.is_empty() {
        return;
    }
    title(page, "Last results");
    let rows = view.results.iter().take(look.rows).map(|last| {
        vec![
            target(&last.target),
            last.target.place.to_string().into(),
            outcome(last),
            last.packages.to_string().into(),
            duration(last.duration).into(),
            format!("{} ago", span(view.now, last.at)).into(),
            match (&last.reason, last.unknowns) {
                (Some(reason), _) => reason.into(),
                (None, 0) => Cell::default(),
                (None, unknowns) => format!("{unknowns} not read").into(),
            },
        ]
    });
    page.table(&["TARGET", "PLACE", "RESULT", "PACKAGES", "TOOK", "WHEN", ""], rows.collect());
    let rows = u64::try_from(view.results.len().min(look.rows)).unwrap_or(u64::MAX);
    more(page, view.totals.targets.saturating_sub(rows));
}

fn outcome(last: &Last) -> Cell {
    let tone = match last.outcome {
        Outcome::Complete => Tone::Good,
        Outcome::Incomplete => Tone::Doubtful,
        Outcome::Failed => Tone::Bad,
        Outcome::Cancelled | Outcome::Skipped => Tone::Faint,
    };
    Cell::toned(last.outcome.name(), tone)
}

fn sinks(page: &mut Page, view: &View) {
    if view.sinks.is_empty() {
        return;
    }
    title(page, "Sinks");
    let rows = view.sinks.iter().map(|sink| {
        vec![
            Cell::from(&sink.name),
            sink.delivered.to_string().into(),
            format!("{} ({})", sink.queued, bytes(sink.queued_bytes)).into(),
            sink.refused.to_string().into(),
            sink.dropped.to_string().into(),
            sink_state(view.now, sink),
        ]
    });
    page.table(&["SINK", "DELIVERED", "WAITING", "REFUSED", "DROPPED", "STATE"], rows.collect());
}

fn sink_state(now: OffsetDateTime, sink: &Sink) -> Cell {
    match (&sink.failing, sink.last_ok) {
        (Some(trouble), _) => failing(now, trouble),
        (None, Some(at)) => Cell::toned(format!("delivered {} ago", span(now, at)), Tone::Good),
        (None, None) => Cell::toned("nothing to deliver yet", Tone::Faint),
    }
}

fn sources(page: &mut Page, view: &View) {
    if view.sources.is_empty() {
        return;
    }
    title(page, "Tasks");
    let state = |source: &Source| match (&source.failing, source.last_ok) {
        (Some(trouble), _) => failing(view.now, trouble),
        (None, Some(at)) => Cell::toned(format!("read {} ago", span(view.now, at)), Tone::Good),
        (None, None) => Cell::toned("not read yet", Tone::Faint),
    };
    let rows = view.sources.iter().map(|source| {
        vec![
            Cell::from(&source.name),
            source.accepted.to_string().into(),
            source.rejected.to_string().into(),
            state(source),
        ]
    });
    page.table(&["SOURCE", "ACCEPTED", "REJECTED", "STATE"], rows.collect());
}

fn title(page: &mut Page, text: &str) {
    page.gap();
    page.line([Cell::toned(text, Tone::Title)]);
}

/// Says how many rows there is no room for.
fn beyond(page: &mut Page, length: usize, look: Look) {
    more(page, u64::try_from(length.saturating_sub(look.rows)).unwrap_or(u64::MAX));
}

fn more(page: &mut Page, count: u64) {
    if count > 0 {
        page.line([Cell::toned(format!("  … and {count} more"), Tone::Faint)]);
    }
}

/// A target, as briefly as it is still known. The id of a function is its ARN, of which the end is its name.
fn target(name: &Name) -> Cell {
    match name.id.split_once(":function:") {
        Some((_, function)) => function.into(),
        None => Cell::from(&name.id),
    }
}

/// What fails, and for how long. The reason is among the problems.
fn failing(now: OffsetDateTime, trouble: &Trouble) -> Cell {
    Cell::toned(format!("failing for {}", span(now, trouble.since)), Tone::Bad)
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The time between two, which a clock that was set back does not make negative.
fn span(later: OffsetDateTime, earlier: OffsetDateTime) -> String {
    duration((later - earlier).try_into().unwrap_or_default())
}

/// A duration in its two largest units.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        (_, _, _) => format!("{days}d {}h", hours % 24),
    }
}

/// A size in the largest unit that leaves something before the point.
fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KiB", bytes / 1_024),
        1_048_576.. => format!("{} MiB", bytes / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::testing::{NOW, busy, last, name, place};
    use crate::board::{Queue, Source};

    #[test]
    fn everything_is_on_one_page() {
        let board = busy();
        board.source(Source { name: "directory".to_owned(), accepted: 4, rejected: 1, ..Source::default() });
        board.queue(Queue { running: 1, workers: 4, waiting: 3, oldest: Some(NOW), ..Queue::default() });
        let text = render(&board.view(NOW, 10), Look::default());
        let expected = "\
agentless-scanner VERSION, production on i-0aaaaaaaaaaaaaaaa, up 3h 0m
ready, healthy
1 of 4 scanning, 3 waiting, 0 snapshots pending, longest wait 0s
scans since the start: 1 complete, 1 failed

Problems
  sink https, for 12m 0s
    connection refused

Places
  PLACE                      TARGETS                   LEFT OUT     LOOKED AT
  123456789012/eu-central-1  12 instances, 1 function  2 opted out  4m 0s ago

Scanning
  TARGET               PLACE                      FOR     STEP
  i-00000000000000001  123456789012/eu-central-1  1m 15s  reading vol-0123456789abcdef0

Next
  TARGET               PLACE                      DUE
  i-00000000000000004  123456789012/eu-central-1  in 9m 0s

Last results
  TARGET               PLACE                      RESULT    PACKAGES  TOOK  WHEN
  i-00000000000000003  123456789012/eu-central-1  failed    312       42s   5m 0s ago  the snapshot was deleted by somebody else
  i-00000000000000002  123456789012/eu-central-1  complete  312       42s   5m 0s ago

Sinks
  SINK   DELIVERED  WAITING     REFUSED  DROPPED  STATE
  files  7          0 (0 B)     0        0        nothing to deliver yet
  https  0          3 (39 KiB)  0        0        failing for 12m 0s

Tasks
  SOURCE     ACCEPTED  REJECTED  STATE
  directory  4         1         not read yet
";
        let trimmed: String = text.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
        assert_eq!(trimmed, expected.replace("VERSION", env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn it_fits_the_terminal() {
        let board = busy();
        board.discovery_failed(&place(), "access denied: lambda:ListFunctions is not allowed", NOW);
        for number in 0..30 {
            board.scan_ended(last(number, Outcome::Incomplete));
        }
        let view = board.view(NOW, 30);
        for width in 20..200 {
            let text = render(&view, Look { width: Some(width), ..Look::default() });
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width, "{widest} of {width}:\n{text}");
            assert!(!text.contains('\u{1b}'));
            assert!(text.contains("… and 20 more"), "{text}");
        }
        assert!(render(&view, Look { colours: true, ..Look::default() }).contains("\u{1b}[31mnot healthy"));
    }

    #[test]
    fn functions_have_short_names() {
        let id = "arn:aws:lambda:eu-central-1:123456789012:function:orders:7".to_owned();
        let function = Name { arn: id.clone(), id, ..name(1) };
        assert_eq!(format!("{:?}", target(&function)), format!("{:?}", Cell::from("orders:7")));
    }

    #[test]
    fn durations_have_two_units() {
        let shown = [0, 59, 60, 3_599, 3_600, 86_399, 86_400, 200_000]
            .map(|seconds| duration(Duration::from_secs(seconds)));
        assert_eq!(shown, ["0s", "59s", "1m 0s", "59m 59s", "1h 0m", "23h 59m", "1d 0h", "2d 7h"]);
        assert_eq!(span(NOW - Duration::from_mins(1), NOW), "0s", "the clock was set back");
    }
}
