//! What the service does in AWS, as a trait: the service itself is the same whether AWS answers or a simulation does.

use std::fmt;

use agentless_service::queue::Job;
use agentless_service::report::Report;
use agentless_service::target::Place;

use super::discovery::Survey;
use super::sweep::{InUse, Swept};

/// What the service does in AWS.
pub trait World: fmt::Debug + Send + Sync + 'static {
    /// The regions of the accounts that are scanned.
    ///
    /// # Errors
    /// The reason why not even the scanner's own account is known.
    fn places(&self) -> impl Future<Output = Result<Vec<Place>, String>> + Send;

    /// What there is to scan in a place.
    ///
    /// # Errors
    /// The reason why the place cannot be reached.
    fn survey(&self, place: &Place) -> impl Future<Output = Result<Survey, String>> + Send;

    /// Scans a target, and deletes what it made for that. Tells `step` what it does. Ends soon after the job is cancelled.
    fn scan(&self, job: &Job, step: &(dyn Fn(&str) + Sync)) -> impl Future<Output = Scanned> + Send;

    /// Deletes what scans left behind in a place.
    ///
    /// # Errors
    /// The reason why what is there cannot be found out.
    fn sweep(&self, place: &Place, in_use: &impl InUse)
    -> impl Future<Output = Result<Swept, String>> + Send;
}

/// What became of a scan.
#[derive(Debug)]
pub enum Scanned {
    /// This is to be reported.
    Reported(Box<Figures>),
    /// Nothing is: an agent on the host lists its packages.
    Skipped(String),
    /// It was cancelled. What it made is deleted, and it is still due.
    Cancelled,
}

/// A report, and what the status shows of it.
#[derive(Debug)]
pub struct Figures {
    /// What goes to the sinks.
    pub report: Report,
    /// How many packages were found.
    pub packages: u64,
    /// How many things could not be read.
    pub unknowns: u64,
}
