//! The argument `settings`: what the scanner on the instances is to do.
//!
//! The names here are those of the scanner's configuration file, which is this argument as JSON; see
//! [`user_data`](super::user_data). What is left out here is left out there, so that the defaults are the scanner's own.

mod limits;
mod model;
mod pattern;
mod schema;
mod sinks;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use scanner_policy::Region;

pub use self::model::{
    Account, DatadogSink, FilesSink, Hosts, HttpsSink, Images, Queue, RateLimits, S3Sink, ScannerSettings,
    Sinks, Spool, Status, Tasks,
};
use self::pattern::account_of;
pub(super) use self::schema::attribute;
use crate::sdk::{Diagnostic, Path};

/// What is wrong beyond single attributes.
pub(super) fn problems(settings: &ScannerSettings) -> Vec<Diagnostic> {
    let at = |name| Path::from("settings").attribute(name);
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for (index, account) in settings.accounts.get().into_iter().flatten().enumerate() {
        let Some(id) = account.delegate_role_arn.as_str().and_then(account_of) else { continue };
        if !seen.insert(id) {
            let path = at("accounts").index(index).attribute("delegate_role_arn");
            let detail = format!("Account {id} is listed before. Each account is scanned by one role.");
            problems.push(Diagnostic::error("An account is listed twice", detail).at(path));
        }
    }
    let scans_no_other = settings.accounts.is_null() || settings.accounts.get().is_some_and(Vec::is_empty);
    if settings.scan_own_account.get() == Some(&false) && scans_no_other {
        let detail = "Without its own account, a scanner scans those of accounts, which names none. Name one, or leave \
                      scan_own_account out.";
        problems.push(Diagnostic::error("Nothing to scan", detail).at(at("scan_own_account")));
    }
    if let Some(sinks) = settings.sinks.get()
        && sinks.files.is_null()
        && sinks.s3.is_null()
        && sinks.datadog.is_null()
        && sinks.https.is_null()
    {
        let detail = "Set files, s3, datadog or https, or leave sinks out.";
        problems.push(Diagnostic::error("sinks names no sink", detail).at(at("sinks")));
    }
    if let Some(tasks) = settings.tasks.get()
        && tasks.directory.is_null()
        && tasks.file.is_null()
        && tasks.url.is_null()
    {
        let detail = "Set directory, file or url, or leave tasks out.";
        problems.push(Diagnostic::error("tasks names no place for tasks", detail).at(at("tasks")));
    }
    problems
}

/// What is accepted and yet may not be what was meant. `region` is the scanner's own.
pub(super) fn warnings(settings: &ScannerSettings, region: &Region) -> Vec<Diagnostic> {
    let at = |name| Path::from("settings").attribute(name);
    let mut warnings = Vec::new();
    let others = settings.regions.get().into_iter().flatten();
    let others: Vec<&str> = others.map(String::as_str).filter(|name| *name != region.as_str()).collect();
    if !others.is_empty() && settings.scan_own_account.get() != Some(&false) {
        let detail = format!(
            "The role of datadog_agentless_scanner_role covers one region, here {region}. In {}, the scanner's own \
             account is scanned only with a role that permits it there; delegate roles permit the regions that they name. \
             Make a scanner in each region, scan this account by a delegate role, or set scan_own_account = false.",
            others.join(", ")
        );
        let summary = "The scanner's own role may not cover all regions";
        warnings.push(Diagnostic::warning(summary, detail).at(at("regions")));
    }
    if let Some(tasks) = settings.tasks.get()
        && tasks.url.is_known()
        && tasks.public_key.is_null()
    {
        let detail = "Whoever can change what the URL answers can make the scanner scan what it may scan at any time. Sign \
                      the tasks with minisign, and give the key that verifies them as public_key.";
        let path = at("tasks").attribute("public_key");
        warnings.push(Diagnostic::warning("Tasks from the URL are not signed", detail).at(path));
    }
    warnings
}
