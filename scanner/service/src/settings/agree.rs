//! Whether values that are right by themselves are so together.

use std::collections::HashMap;

use super::form::{Arn, partition};
use super::mistake::Mistakes;
use super::typed::{Account, Settings};
use super::values::Values;
use crate::secret::{SecretValue, is_secrets_manager_arn};

/// What each section is nothing without.
const NEEDED: &[(&str, &str)] = &[
    ("sinks.files", "directory"),
    ("sinks.s3", "bucket"),
    ("sinks.datadog", "api_key"),
    ("sinks.https", "url"),
    ("lifecycle", "group"),
];

pub(super) fn check(settings: &Settings, values: &Values<'_>, mistakes: &mut Mistakes) {
    for (section, name) in NEEDED {
        let path = format!("{section}.{name}");
        if values.has(section) && values.node(&path).is_none() && !values.0.wrong.contains(&path) {
            mistakes.add(&values.origin(section), &path, || "is needed where there is its section");
        }
    }
    check_accounts(settings, values, mistakes);
    if settings.discovery_interval > settings.scan_interval {
        mistakes.add(
            &values.origin("discovery_minutes"),
            "discovery_minutes",
            || "targets would be looked for less often than scan_interval_hours says they are scanned",
        );
    }
    for (name, value) in &settings.exclude_tags {
        if settings.include_tags.get(name).is_some_and(|included| value == "*" || included == value) {
            mistakes.add(&values.origin("exclude_tags"), "exclude_tags", || {
                format!("excludes all that include_tags includes, by {}", super::mistake::shown(name))
            });
        }
    }
    for (path, secret) in settings.secrets() {
        let needs_program = secret.handle().is_some_and(|handle| !is_secrets_manager_arn(handle));
        let has_program =
            settings.secret_backend.is_some() || values.0.wrong.contains("secret_backend_command");
        if needs_program && !has_program {
            mistakes.add(&values.origin(path), path, || {
                format!(
                    "{secret} is no ARN of Secrets Manager, and there is no secret_backend_command to ask"
                )
            });
        }
    }
}

fn check_accounts(settings: &Settings, values: &Values<'_>, mistakes: &mut Mistakes) {
    let path = "accounts";
    if settings.accounts.is_empty() {
        if !settings.scan_own_account && !values.0.wrong.contains(path) {
            mistakes.add(
                &values.origin("scan_own_account"),
                "scan_own_account",
                || "nothing is left to scan: there are no accounts but the scanner's own",
            );
        }
        return;
    }
    let entries = values.list(path);
    let mut seen = HashMap::new();
    for (Account { account, role_arn, .. }, entry) in settings.accounts.iter().zip(&entries) {
        if let Some(first) = seen.insert(account, role_arn) {
            mistakes.add(&entry.origin, path, || {
                format!("the account {account} is there already, with {first}; one role reads an account")
            });
        }
        let own = settings.region.iter().chain(&settings.regions).map(|region| (region, partition(region)));
        let theirs = Arn::parse(role_arn).map_or("", |arn| arn.partition);
        for (region, own) in own {
            if own != theirs {
                mistakes.add(&entry.origin, path, || {
                    format!("{role_arn} is of the partition {theirs}, and the region {region} of {own}: roles do not reach across")
                });
                break;
            }
        }
    }
}

impl Settings {
    /// The settings that are secret, with the paths of their keys.
    pub fn secrets(&self) -> impl Iterator<Item = (&'static str, &SecretValue)> {
        let datadog = self.sinks.datadog.as_ref().map(|sink| ("sinks.datadog.api_key", &sink.api_key));
        let https = self
            .sinks
            .https
            .as_ref()
            .and_then(|sink| Some(("sinks.https.authorization", sink.authorization.as_ref()?)));
        datadog.into_iter().chain(https)
    }
}
