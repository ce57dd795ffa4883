//! Which keys of the configuration take effect while the service runs.

use agentless_service::settings::Settings;

/// The keys that differ and take effect only when the service is started again.
pub(super) fn fixed(before: &Settings, after: &Settings) -> Vec<&'static str> {
    let keys = [
        ("scanner_id", before.scanner_id == after.scanner_id),
        ("region", before.region == after.region),
        ("regions", before.regions == after.regions),
        ("scan_own_account", before.scan_own_account == after.scan_own_account),
        ("accounts", before.accounts == after.accounts),
        ("queue", before.queue == after.queue),
        ("rate_limits", before.rate_limits == after.rate_limits),
        ("tasks", before.tasks == after.tasks),
        ("sinks", before.sinks == after.sinks),
        ("spool", before.spool == after.spool),
        ("state_directory", before.state_directory == after.state_directory),
        ("runtime_directory", before.runtime_directory == after.runtime_directory),
        ("ca_file", before.ca_file == after.ca_file),
        ("status", before.status == after.status),
        ("lifecycle", before.lifecycle == after.lifecycle),
        ("limits", before.limits == after.limits),
        ("sandbox", before.sandbox == after.sandbox),
        ("scan_timeout_minutes", before.scan_timeout == after.scan_timeout),
    ];
    keys.into_iter().filter(|(_, is_same)| !is_same).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_needs_a_new_start_is_named() {
        let parse = |text| Settings::parse(Path::new("config.yaml"), text).unwrap();
        let before = parse("log_level: info\nregions: [eu-central-1]\n");
        let after = parse("log_level: debug\nregions: [eu-west-1]\nexclude_tags: {scan: never}\n");
        assert_eq!(fixed(&before, &after), ["regions"]);
        assert!(fixed(&before, &before).is_empty());
    }
}
