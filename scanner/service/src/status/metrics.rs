//! The board in Prometheus's text format, version 0.0.4.
//!
//! Targets have no label of their own: there may be 20,000. A page has as many lines as there are places, sinks and actions.

use std::fmt::{self, Display, Write as _};

use time::OffsetDateTime;

use crate::board::{Durations, Outcome, Phase, Severity, View};

/// The page.
pub(super) fn page(view: &View) -> String {
    let mut page = Page::default();
    service(&mut page, view);
    places(&mut page, view);
    scans(&mut page, view);
    sinks(&mut page, view);
    aws(&mut page, view);
    page.text
}

fn service(page: &mut Page, view: &View) {
    let identity = &view.identity;
    page.family("info", Type::Gauge, "The scanner, its version and its instance.");
    page.sample(
        "info",
        &[
            ("scanner", &identity.scanner),
            ("version", &identity.version),
            ("instance", identity.instance.as_deref().unwrap_or_default()),
        ],
        1,
    );
    page.family("start_time_seconds", Type::Gauge, "When the service was started.");
    page.sample("start_time_seconds", &[], identity.started.unix_timestamp());
    page.family("phase", Type::Gauge, "What the service is about: 1 for the present phase.");
    for phase in Phase::ALL {
        page.sample("phase", &[("phase", phase.name())], u8::from(phase == view.phase));
    }
    page.family("healthy", Type::Gauge, "Whether the service does its work.");
    page.sample("healthy", &[], u8::from(view.health.healthy));
    page.family("problems", Type::Gauge, "What is wrong at present, by severity.");
    for severity in [Severity::Warning, Severity::Error] {
        let count = view.problems.iter().filter(|problem| problem.severity == severity).count();
        page.sample("problems", &[("severity", severity.name())], count);
    }
}

fn places(page: &mut Page, view: &View) {
    page.family("targets", Type::Gauge, "Targets in a place, by kind.");
    for found in &view.places {
        for (kind, count) in &found.targets {
            let place = &found.place;
            let labels = [("account", &*place.account), ("region", &place.region), ("kind", kind.name())];
            page.sample("targets", &labels, count);
        }
    }
    page.family("targets_left_out", Type::Gauge, "Targets in a place that are not scanned, by reason.");
    for found in &view.places {
        let own = [("opted out", found.opted_out), ("excluded", found.excluded)];
        let others = found.skipped.iter().map(|(reason, count)| (reason.as_str(), *count));
        for (reason, count) in own.into_iter().chain(others) {
            let place = &found.place;
            let labels = [("account", &*place.account), ("region", &place.region), ("reason", reason)];
            page.sample("targets_left_out", &labels, count);
        }
    }
    let places = || view.places.iter().map(|found| (labels(&found.place), found));
    page.family(
        "discovery_success_time_seconds",
        Type::Gauge,
        "When a place was last looked at with success.",
    );
    for (labels, found) in places() {
        page.time("discovery_success_time_seconds", &labels, found.last_ok);
    }
    page.family("discovery_failing", Type::Gauge, "Whether the last look at a place failed.");
    for (labels, found) in places() {
        page.sample("discovery_failing", &labels, u8::from(found.failing.is_some()));
    }
    let snapshots = || view.snapshots.iter().map(|snapshots| (labels(&snapshots.place), snapshots));
    page.family("snapshots_pending", Type::Gauge, "Snapshots that are being made.");
    for (labels, snapshots) in snapshots() {
        page.sample("snapshots_pending", &labels, snapshots.pending);
    }
    page.family("snapshots_pending_limit", Type::Gauge, "How many snapshots may be being made.");
    for (labels, snapshots) in snapshots() {
        page.sample("snapshots_pending_limit", &labels, snapshots.limit);
    }
    page.family("snapshots_kept", Type::Gauge, "Snapshots that are kept for the next scan.");
    for (labels, snapshots) in snapshots() {
        page.sample("snapshots_kept", &labels, snapshots.kept);
    }
    let sweeps = || view.sweeps.iter().map(|sweep| (labels(&sweep.place), sweep));
    page.family("sweep_time_seconds", Type::Gauge, "When snapshots were last swept.");
    for (labels, sweep) in sweeps() {
        page.time("sweep_time_seconds", &labels, Some(sweep.at));
    }
    page.family("sweep_left", Type::Gauge, "Snapshots that the last sweep could not delete.");
    for (labels, sweep) in sweeps() {
        page.sample("sweep_left", &labels, sweep.left);
    }
}

fn scans(page: &mut Page, view: &View) {
    let queue = &view.queue;
    for (name, help, value) in [
        ("queue_waiting", "Targets that wait.", queue.waiting),
        ("queue_length", "How many targets may wait.", queue.length),
        ("scans_running", "Scans under way.", queue.running),
        ("workers", "How many scans may be under way.", queue.workers),
        ("results", "Targets whose last result is remembered.", view.totals.targets),
    ] {
        page.family(name, Type::Gauge, help);
        page.sample(name, &[], value);
    }
    page.family("queue_refused_total", Type::Counter, "Targets turned away because the queue was full.");
    page.sample("queue_refused_total", &[], queue.refused);
    page.family("scans_total", Type::Counter, "Scans, by how they ended.");
    for outcome in Outcome::ALL {
        let count = view.totals.outcomes.get(&outcome).copied().unwrap_or(0);
        page.sample("scans_total", &[("outcome", outcome.name())], count);
    }
    page.family("packages_total", Type::Counter, "Packages that scans found.");
    page.sample("packages_total", &[], view.totals.packages);
    let durations = &view.totals.durations;
    page.family("scan_duration_seconds", Type::Histogram, "How long scans took.");
    let mut below = 0_u64;
    for (bound, count) in Durations::BOUNDS.iter().zip(durations.buckets) {
        below = below.saturating_add(count);
        page.sample("scan_duration_seconds_bucket", &[("le", &bound.to_string())], below);
    }
    page.sample("scan_duration_seconds_bucket", &[("le", "+Inf")], durations.count);
    page.sample("scan_duration_seconds_sum", &[], durations.sum.as_secs_f64());
    page.sample("scan_duration_seconds_count", &[], durations.count);
}

fn sinks(page: &mut Page, view: &View) {
    type Field = fn(&crate::board::Sink) -> u64;
    let fields: [(&str, Type, &str, Field); 8] = [
        ("sink_queued", Type::Gauge, "Reports that wait for a sink.", |sink| sink.queued),
        ("sink_queued_bytes", Type::Gauge, "Room that they take.", |sink| sink.queued_bytes),
        ("sink_capacity_bytes", Type::Gauge, "Room that they may take.", |sink| sink.capacity_bytes),
        ("sink_failing", Type::Gauge, "Whether the last attempt failed.", |sink| {
            u64::from(sink.failing.is_some())
        }),
        ("sink_delivered_total", Type::Counter, "Reports delivered.", |sink| sink.delivered),
        ("sink_refused_total", Type::Counter, "Reports refused for good.", |sink| sink.refused),
        ("sink_dropped_total", Type::Counter, "Reports that had no room.", |sink| sink.dropped),
        ("sink_retries_total", Type::Counter, "Attempts that failed.", |sink| sink.retried),
    ];
    for (name, kind, help, value) in fields {
        page.family(name, kind, help);
        for sink in &view.sinks {
            page.sample(name, &[("sink", &sink.name)], value(sink));
        }
    }
    page.family("sink_success_time_seconds", Type::Gauge, "When a report was last delivered.");
    for sink in &view.sinks {
        page.time("sink_success_time_seconds", &[("sink", &sink.name)], sink.last_ok);
    }
    page.family("tasks_total", Type::Counter, "Tasks, by source and by whether they were taken.");
    for source in &view.sources {
        for (result, count) in [("accepted", source.accepted), ("rejected", source.rejected)] {
            page.sample("tasks_total", &[("source", &source.name), ("result", result)], count);
        }
    }
    page.family("tasks_failing", Type::Gauge, "Whether a source of tasks cannot be read.");
    for source in &view.sources {
        page.sample("tasks_failing", &[("source", &source.name)], u8::from(source.failing.is_some()));
    }
}

fn aws(page: &mut Page, view: &View) {
    page.family("aws_calls_total", Type::Counter, "Requests to AWS, by action.");
    for calls in &view.calls {
        page.sample("aws_calls_total", &[("action", &calls.action)], calls.calls);
    }
    page.family(
        "aws_throttles_total",
        Type::Counter,
        "Requests that AWS asked to be made more slowly, by class.",
    );
    for (class, count) in &view.throttles {
        page.sample("aws_throttles_total", &[("class", class)], count);
    }
}

fn labels(place: &crate::target::Place) -> [(&'static str, &str); 2] {
    [("account", &place.account), ("region", &place.region)]
}

/// What a family of samples is.
#[derive(Clone, Copy)]
enum Type {
    Counter,
    Gauge,
    Histogram,
}

impl Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// The text. Writing to a string cannot fail.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: Type, help: &str) {
        let _ = writeln!(self.text, "# HELP agentless_scanner_{name} {help}");
        let _ = writeln!(self.text, "# TYPE agentless_scanner_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.text, "agentless_scanner_{name}");
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// A time; no sample where it has not come.
    fn time(&mut self, name: &str, labels: &[(&str, &str)], time: Option<OffsetDateTime>) {
        if let Some(time) = time {
            self.sample(name, labels, time.unix_timestamp());
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;
    use crate::board::Source;
    use crate::board::testing::{NOW, busy};

    /// A sample: its name, its labels, its value.
    type Sample = (String, BTreeMap<String, String>, f64);

    /// Reads the format by its description, and nothing of how it was written.
    fn parse(page: &str) -> Vec<Sample> {
        assert!(page.ends_with('\n'));
        let mut family: Option<(String, &str)> = None;
        let mut known = HashSet::new();
        let mut samples: Vec<Sample> = Vec::new();
        for line in page.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').unwrap();
                assert!(!text.is_empty() && known.insert(name.to_owned()), "{name} is there twice");
                family = Some((name.to_owned(), ""));
            } else if let Some(of) = line.strip_prefix("# TYPE ") {
                let (name, kind) = of.split_once(' ').unwrap();
                assert_eq!(family.as_ref().unwrap().0, name);
                assert!(["counter", "gauge", "histogram"].contains(&kind));
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
                family = Some((name.to_owned(), kind));
            } else {
                let sample = parse_sample(line);
                let (name, kind) = family.as_ref().unwrap();
                let base = if *kind == "histogram" {
                    ["_bucket", "_sum", "_count"].iter().find_map(|end| sample.0.strip_suffix(end)).unwrap()
                } else {
                    &sample.0
                };
                assert_eq!(base, name, "a sample of another family");
                let is_new =
                    !samples.iter().any(|(name, labels, _)| (name, labels) == (&sample.0, &sample.1));
                assert!(is_new, "twice: {line}");
                samples.push(sample);
            }
        }
        samples
    }

    fn parse_sample(line: &str) -> Sample {
        let end = line.find(['{', ' ']).unwrap();
        let (name, mut rest) = line.split_at(end);
        let is_word = |word: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        assert!(is_word(name) && name.starts_with("agentless_scanner_"), "{line}");
        let mut labels = BTreeMap::new();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside;
            loop {
                let (label, after) = rest.split_once("=\"").unwrap();
                assert!(is_word(label), "{line}");
                let mut value = String::new();
                let mut characters = after.char_indices();
                let end = loop {
                    match characters.next().unwrap() {
                        (at, '"') => break at,
                        (_, '\\') => value.push(match characters.next().unwrap().1 {
                            'n' => '\n',
                            plain @ ('\\' | '"') => plain,
                            other => panic!("\\{other} in {line}"),
                        }),
                        (_, plain) => value.push(plain),
                    }
                };
                labels.insert(label.to_owned(), value);
                rest = &after[end + 1..];
                match rest.strip_prefix(',') {
                    Some(next) => rest = next,
                    None => break,
                }
            }
            rest = rest.strip_prefix('}').unwrap();
        }
        (name.to_owned(), labels, rest.strip_prefix(' ').unwrap().parse().unwrap())
    }

    #[test]
    fn the_page_is_in_the_format_and_says_what_the_board_does() {
        let board = busy();
        board.requests([].into(), [("mutating".to_owned(), 1)].into());
        board.source(Source { name: "url \"a\\b\"\nc".to_owned(), accepted: 4, ..Source::default() });
        let samples = parse(&page(&board.view(NOW, 0)));
        let value = |name: &str, wanted: &[(&str, &str)]| {
            let has = |labels: &BTreeMap<String, String>| {
                wanted.iter().all(|(label, text)| labels.get(*label).is_some_and(|value| value == text))
            };
            let fits = |sample: &&Sample| sample.0 == format!("agentless_scanner_{name}") && has(&sample.1);
            let found: Vec<f64> = samples.iter().filter(fits).map(|sample| sample.2).collect();
            assert_eq!(found.len(), 1, "{name} {wanted:?}");
            found[0]
        };
        let is = |name: &str, wanted: &[(&str, &str)], expected: f64| {
            let value = value(name, wanted);
            assert!((value - expected).abs() < 1e-9, "{name}: {value}");
        };
        is("info", &[("instance", "i-0aaaaaaaaaaaaaaaa"), ("scanner", "production")], 1.0);
        is("phase", &[("phase", "ready")], 1.0);
        is("phase", &[("phase", "starting")], 0.0);
        is("targets", &[("account", "123456789012"), ("kind", "instance")], 12.0);
        is("targets_left_out", &[("reason", "opted out")], 2.0);
        is("scans_total", &[("outcome", "failed")], 1.0);
        is("scan_duration_seconds_bucket", &[("le", "30")], 0.0);
        is("scan_duration_seconds_bucket", &[("le", "60")], 2.0);
        is("scan_duration_seconds_bucket", &[("le", "+Inf")], 2.0);
        is("scan_duration_seconds_sum", &[], 85.0);
        is("sink_queued", &[("sink", "https")], 3.0);
        is("sink_failing", &[("sink", "https")], 1.0);
        is("tasks_total", &[("source", "url \"a\\b\"\nc"), ("result", "accepted")], 4.0);
        is("aws_throttles_total", &[("class", "mutating")], 1.0);
        is("problems", &[("severity", "warning")], 1.0);
    }

    #[test]
    fn an_empty_board_has_a_page_too() {
        parse(&page(&crate::board::testing::board().view(NOW, 0)));
    }
}
