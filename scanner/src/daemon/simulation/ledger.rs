//! What was promised, and what became of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use agentless_service::report::Report;
use agentless_service::schedule::{LOOK_BACK, Schedule};
use agentless_service::target::Place;
use time::OffsetDateTime;
use uuid::Uuid;

/// How long a target is there before it must be known: a few surveys fail.
const DISCOVERED: Duration = Duration::from_hours(2);

/// What happened so close to a slot that was missed is told.
const EXPLAINED: time::Duration = time::Duration::hours(3);

/// What was promised, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    targets: BTreeMap<String, Target>,
    reports: BTreeMap<Uuid, Record>,
    losses: Vec<Loss>,
    violations: Vec<String>,
    /// What happened to the scanners, for whoever looks for a reason.
    events: Vec<(&'static str, OffsetDateTime, String)>,
}

#[derive(Debug)]
struct Target {
    place: Place,
    appeared: OffsetDateTime,
    vanished: Option<OffsetDateTime>,
}

/// A report that a spool has.
#[derive(Debug)]
struct Record {
    line: &'static str,
    target: String,
    started: OffsetDateTime,
    ended: OffsetDateTime,
    /// Where the spool is.
    disk: u64,
    /// Whether the sink has it, or has said that it does not want it.
    is_settled: bool,
}

/// An instance was gone with its disk, and another one took over.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    /// The scanners of which it was one.
    pub(super) line: &'static str,
    pub(super) disk: u64,
    /// Up to where all was done in each place, by the heartbeat on the disk.
    pub(super) done: BTreeMap<Place, OffsetDateTime>,
    /// When the successor was started.
    pub(super) started: OffsetDateTime,
}

/// What a run was made of.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) slots: usize,
    /// Slots of which a lost disk had the report, or the knowledge that they were still due.
    pub(super) lost_slots: usize,
    pub(super) reports: usize,
    pub(super) lost_with_disk: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slots, lost_slots, reports, lost_with_disk } = self;
        write!(
            f,
            "{slots} slots ({lost_slots} lost with a disk), {reports} reports ({lost_with_disk} lost with a disk)"
        )
    }
}

impl Ledger {
    pub(super) fn appeared(&self, arn: String, place: Place, at: OffsetDateTime) {
        self.lock().targets.insert(arn, Target { place, appeared: at, vanished: None });
    }

    pub(super) fn vanished(&self, arn: &str, at: OffsetDateTime) {
        self.lock().targets.get_mut(arn).unwrap().vanished = Some(at);
    }

    /// A spool takes a report, and keeps it whatever becomes of the process.
    pub(super) fn kept(&self, line: &'static str, disk: u64, report: &Report) {
        let record = Record {
            line,
            target: report.target.arn.clone(),
            started: report.started,
            ended: report.started + report.duration,
            disk,
            is_settled: false,
        };
        self.lock().reports.insert(report.scan, record);
    }

    /// The sink has a report, or has said that it does not want it.
    pub(super) fn settled(&self, scan: Uuid) {
        match self.lock().reports.get_mut(&scan) {
            Some(record) => record.is_settled = true,
            None => unreachable!("{scan} was never kept"),
        }
    }

    pub(super) fn lost(&self, loss: Loss) {
        self.lock().losses.push(loss);
    }

    pub(super) fn event(&self, line: &'static str, at: OffsetDateTime, text: String) {
        self.lock().events.push((line, at, text));
    }

    pub(super) fn violation(&self, text: String) {
        self.lock().violations.push(text);
    }

    /// All that went against a promise, for the slots of these scanners from one time to another.
    pub(super) fn close(
        &self,
        lines: &[&'static str],
        schedule: Schedule,
        (from, to): (OffsetDateTime, OffsetDateTime),
    ) -> (Tally, Vec<String>) {
        let book = self.lock();
        let mut violations = book.violations.clone();
        let mut tally = Tally { reports: book.reports.len(), ..Tally::default() };
        for (scan, record) in &book.reports {
            if record.is_settled {
                continue;
            }
            if book.is_lost(record.disk) {
                tally.lost_with_disk += 1;
            } else {
                violations.push(format!("the report of {scan} was lost: {record:?}"));
            }
        }
        for line in lines {
            for (arn, target) in &book.targets {
                let mut slot = schedule.next(arn, from.max(target.appeared + DISCOVERED));
                while slot <= to && target.vanished.is_none_or(|at| at > slot + schedule.interval()) {
                    tally.slots += 1;
                    if !book.is_served(line, arn, slot, schedule.interval()) {
                        let of = (*line, arn.as_str(), slot, schedule.interval());
                        if book.is_forgotten(&target.place, of) {
                            tally.lost_slots += 1;
                        } else {
                            let around = book.events_around(line, slot);
                            violations.push(format!("{line} did not report {arn} of {slot}: {around}"));
                        }
                    }
                    slot = schedule.next(arn, slot);
                }
            }
        }
        (tally, violations)
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }
}

impl Book {
    /// The reports of scans that are of this slot.
    fn reports_of(
        &self,
        line: &str,
        arn: &str,
        slot: OffsetDateTime,
        interval: Duration,
    ) -> impl Iterator<Item = &Record> {
        let of = self.reports.values().filter(move |record| record.line == line && record.target == arn);
        of.filter(move |record| record.ended >= slot && record.started < slot + interval)
    }

    fn events_around(&self, line: &str, slot: OffsetDateTime) -> String {
        let near = self.events.iter().filter(|(of, at, _)| *of == line && (*at - slot).abs() < EXPLAINED);
        near.map(|(_, at, text)| format!("{at} {text}")).collect::<Vec<_>>().join(", ")
    }

    fn is_served(&self, line: &str, arn: &str, slot: OffsetDateTime, interval: Duration) -> bool {
        self.reports_of(line, arn, slot, interval).any(|record| record.is_settled)
    }

    fn is_lost(&self, disk: u64) -> bool {
        self.losses.iter().any(|loss| loss.disk == disk)
    }

    /// Whether a disk was lost, with the report, or with the knowledge that the target was still due for longer than a new
    /// scanner looks back.
    fn is_forgotten(
        &self,
        place: &Place,
        (line, arn, slot, interval): (&str, &str, OffsetDateTime, Duration),
    ) -> bool {
        let is_of =
            |loss: &Loss| loss.line == line && slot > loss.done[place] && slot <= loss.started - LOOK_BACK;
        let mut reports = self.reports_of(line, arn, slot, interval);
        reports.any(|record| self.is_lost(record.disk)) || self.losses.iter().any(is_of)
    }
}
