//! The tables: what was sent, what the scanners used, what it costs, and what follows for twelve hours.

use std::fmt::Write as _;
use std::time::Duration;

use agentless_service::board::{Outcome as Ended, View};
use agentless_tests::load::{CLASSES, Class, Flow, Load, Outcome, Traffic, is_discovery};
use agentless_tests::local_aws::Call;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};

use crate::cost::{self, float};

/// What was measured.
pub(crate) struct Figures<'a> {
    pub(crate) load: &'a Load<'a>,
    pub(crate) outcome: &'a Outcome,
    pub(crate) calls: &'a [Call],
}

/// How often each target is scanned, and each place is surveyed, unless it is told otherwise.
const INTERVAL: Duration = Duration::from_hours(12);
const SURVEY: Duration = Duration::from_mins(15);
/// How long it is remembered what was asked about a function.
const MEMORY: Duration = Duration::from_hours(3);
/// Scans at a time of each scanner, unless it is told otherwise.
const WORKERS: f64 = 4.0;

impl Figures<'_> {
    /// All of them.
    pub(crate) fn tables(&self) -> String {
        let mut text = String::new();
        let size = self.load.size;
        let (targets, scanners, regions) = (size.targets(), self.load.scanners, self.load.regions.len());
        let parts = [
            format!(
                "{} instances, {} functions and {} images in {regions} regions; {scanners} scanners",
                size.instances, size.functions, size.images
            ),
            self.requests().to_string(),
            self.scanners().to_string(),
            self.costs().to_string(),
            self.conclusions(),
        ];
        for part in parts {
            // Writing to a String does not fail.
            let _ = writeln!(text, "\n{part}");
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let _ = write!(
            text,
            "\n{targets} targets in {:.0} s, on {cores} cores, with the local AWS on the same ones",
            self.outcome.wall.as_secs_f64()
        );
        text
    }

    fn requests(&self) -> Table {
        let traffic = Traffic::new(self.calls);
        let mut table = table(&[
            "requests",
            "sent",
            "per target",
            "of discovery",
            "throttled",
            "a scanner may, in a second",
            "busiest second",
            "AWS takes, in a second",
            "busiest second of a region",
            "bucket, of AWS's size",
        ]);
        for class in &CLASSES {
            let allowed = class.allowed((self.load.rates)(class, self.load.scanners));
            let by_scanner = traffic.by_scanner(class).into_iter().map(Flow::busiest_second);
            let by_region = traffic.by_region(class);
            let needed = by_region.iter().map(|flow| flow.needed(class.aws.per_second)).fold(0.0, f64::max);
            let of_discovery = self
                .calls
                .iter()
                .filter(|call| is_discovery(call) && Class::of(call).is_some_and(|of| of.name == class.name));
            table.add_row(vec![
                class.name.to_owned(),
                traffic.count(class).to_string(),
                format!("{:.2}", self.per_target(float_of(traffic.count(class)))),
                of_discovery.count().to_string(),
                traffic.throttled(class).to_string(),
                format!("{:.0} + {:.0}", allowed.per_second, allowed.size),
                by_scanner.max().unwrap_or_default().to_string(),
                format!("{:.0} + {:.0}", class.aws.per_second, class.aws.size),
                by_region.iter().map(Flow::busiest_second).max().unwrap_or_default().to_string(),
                format!("{needed:.0} of {:.0}", class.aws.size),
            ]);
        }
        let counted = traffic.total();
        let others = self.calls.len().saturating_sub(counted);
        let of_discovery = self.calls.iter().filter(|call| is_discovery(call)).count();
        let mut row = vec![
            "all".to_owned(),
            counted.to_string(),
            format!("{:.2}", self.per_target(float_of(counted))),
            of_discovery.to_string(),
        ];
        row.resize(table.column_count(), String::new());
        table.add_row(row);
        let mut row = vec!["code by its address, own identity".to_owned(), others.to_string()];
        row.resize(table.column_count(), String::new());
        table.add_row(row);
        table
    }

    fn scanners(&self) -> Table {
        let mut table = table(&[
            "scanner",
            "targets",
            "failed",
            "CPU, s",
            "CPU per target, ms",
            "peak memory, MiB",
            "without the program's pages",
        ]);
        for (view, usage) in self.outcome.views.iter().zip(&self.outcome.usage) {
            let done: u64 = view.totals.outcomes.values().sum();
            table.add_row(vec![
                view.identity.scanner.clone(),
                done.to_string(),
                ended(view, Ended::Failed).to_string(),
                format!("{:.1}", usage.cpu.as_secs_f64()),
                format!("{:.0}", usage.cpu.as_secs_f64() * 1000.0 / float(done.max(1))),
                format!("{:.1}", float(usage.peak_kib) / 1024.0),
                format!("{:.1}", float(usage.anonymous_kib) / 1024.0),
            ]);
        }
        table
    }

    fn costs(&self) -> Table {
        let mut table = table(&["cost, us-east-1", "quantity", "price", "all targets, $", "per target, $"]);
        let items = cost::items(self.calls, self.outcome.disk_bytes);
        let row = |what: &str, quantity: &str, price: &str, cost: f64| {
            let each = self.per_target(cost);
            vec![
                what.to_owned(),
                quantity.to_owned(),
                price.to_owned(),
                format!("{cost:.5}"),
                format!("{each:.8}"),
            ]
        };
        for item in items.iter().filter(|item| item.is_sure) {
            table.add_row(row(item.what, &item.quantity, item.price, item.cost));
        }
        let sum = items.iter().filter(|item| item.is_sure).map(|item| item.cost).sum();
        table.add_row(row("together", "", "", sum));
        for item in items.iter().filter(|item| !item.is_sure) {
            table.add_row(row(item.what, &item.quantity, item.price, item.cost));
        }
        table
    }

    fn conclusions(&self) -> String {
        let traffic = Traffic::new(self.calls);
        let scanners = float_of(self.load.scanners);
        // A region is done when its slowest class is.
        let needs = |class: &Class| {
            let most = traffic.by_region(class).iter().map(Flow::count).max().unwrap_or_default();
            let rate = f64::from((self.load.rates)(class, self.load.scanners)) * scanners;
            float_of(most) / rate
        };
        let slowest = CLASSES.iter().map(|class| (needs(class), class.name));
        let (seconds, name) = slowest.fold((0.0, ""), |a, b| if b.0 > a.0 { b } else { a });
        let scanning: f64 =
            self.outcome.views.iter().map(|view| view.totals.durations.sum.as_secs_f64()).sum();
        let disks = float_of(self.load.size.instances + self.load.size.images);
        let patience = (INTERVAL.as_secs_f64() * WORKERS * scanners - scanning) / disks.max(1.0);
        let (lists, of_functions) = self.discovery();
        let surveys = INTERVAL.as_secs_f64() / SURVEY.as_secs_f64();
        let memories = INTERVAL.as_secs_f64() / MEMORY.as_secs_f64();
        let targets = float_of(self.load.size.targets());
        format!(
            "measured: {:.2} s of a worker for a target, of which a second and more is waiting for the snapshot; {:.2} GB read\n\
             computed: at the rates of the scanners together, the requests of the busiest class ({name}) of a region take \
             {:.1} minutes of the 12 hours\n\
             computed: {:.0} workers are done within 12 hours as long as a snapshot takes AWS no longer than {:.1} minutes more \
             than here, on average\n\
             computed: {lists:.0} requests for one survey of every place by every scanner, and {of_functions:.0} about single functions \
             every {:.0} hours: {:.1} requests of discovery per target in 12 hours",
            scanning / targets,
            cost::bytes_read(self.calls) / (1024.0 * 1024.0 * 1024.0),
            seconds / 60.0,
            WORKERS * scanners,
            patience / 60.0,
            MEMORY.as_secs_f64() / 3600.0,
            (lists * surveys + of_functions * memories) / targets,
        )
    }

    /// What one survey of every place by every scanner takes, and what each of them asks about single functions.
    fn discovery(&self) -> (f64, f64) {
        let discovery = self.calls.iter().filter(|call| is_discovery(call));
        let (of_functions, lists): (Vec<&Call>, Vec<&Call>) = discovery
            .filter(|call| call.action != "DescribeSnapshots")
            .partition(|call| matches!(call.action.as_str(), "ListTags" | "ListAliases"));
        // Each survey has one of these.
        let surveys = lists.iter().filter(|call| call.action == "DescribeInstances").count().max(1);
        let places = self.load.regions.len() * self.load.scanners;
        (float_of(lists.len() * places) / float_of(surveys), float_of(of_functions.len()))
    }

    fn per_target(&self, of_all: f64) -> f64 {
        of_all / float_of(self.load.size.targets().max(1))
    }
}

fn ended(view: &View, how: Ended) -> u64 {
    view.totals.outcomes.get(&how).copied().unwrap_or_default()
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(header.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn float_of(count: usize) -> f64 {
    float(u64::try_from(count).unwrap_or(u64::MAX))
}
