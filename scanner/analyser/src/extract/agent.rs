//! A Datadog agent that lists the packages of its host by itself, by what its configuration says.

use super::format::indented::{self, entry};
use crate::fs::{FsPath, Tree};

/// Where an agent that is installed on a Linux host has its configuration.
const CONFIGURATION: &str = "etc/datadog-agent/datadog.yaml";
/// The keys that must be `true`, both, for an agent to do so ("Set up Infrastructure Vulnerabilities", Linux hosts).
const KEYS: [&[&str]; 2] = [&["sbom", "enabled"], &["sbom", "host", "enabled"]];

/// Whether the agent in this tree is configured to list the packages of its host. What cannot be read or is not understood
/// switches nothing on: rather a host is scanned that need not be than one is not that must.
pub(crate) fn lists_packages(tree: &Tree) -> bool {
    let content = match tree.open(&FsPath::new(CONFIGURATION)) {
        Ok(Some(file)) => file.read_small(),
        Ok(None) => return false,
        Err(error) => Err(error),
    };
    match content {
        Ok(content) => is_switched_on(&String::from_utf8_lossy(&content)),
        Err(error) => {
            tracing::debug!(%error, "the agent's configuration could not be read");
            false
        }
    }
}

/// Whether all [`KEYS`] are true, in maps that are written by indentation. The last of several that have the same key counts.
fn is_switched_on(text: &str) -> bool {
    let mut is_on = [false; KEYS.len()];
    let mut outer: Vec<(usize, String)> = Vec::new();
    for line in indented::lines(text) {
        while outer.pop_if(|(indent, _)| *indent >= line.indent).is_some() {}
        let Some((key, value)) = entry(&line.text) else { continue };
        let value = match value.split_once(" #") {
            _ if value.starts_with('#') => "",
            Some((value, _)) => value.trim_end(),
            None => &value,
        };
        if value.is_empty() {
            outer.push((line.indent, key.into_owned()));
            continue;
        }
        let path = || outer.iter().map(|(_, key)| key.as_str()).chain([&*key]);
        for (is_on, wanted) in is_on.iter_mut().zip(KEYS) {
            if path().eq(wanted.iter().copied()) {
                *is_on = value.eq_ignore_ascii_case("true");
            }
        }
    }
    is_on == [true; KEYS.len()]
}

/// For the fuzzer: ends soon and without a panic.
pub fn fuzz_agent(content: &[u8]) {
    is_switched_on(&String::from_utf8_lossy(content));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_switches_are_on() {
        for text in [
            "sbom:\n  enabled: true\n  host:\n    enabled: true\n",
            "api_key: x\nsbom: # all of it\n    host:\n        enabled: 'true'\n    enabled: True # yes\nlogs_enabled: false\n",
            "sbom:\r\n  container_image:\r\n    enabled: false\r\n  enabled: true\r\n  host:\r\n    analyzers:\r\n    - os\r\n    enabled: true\r\n",
            "sbom:\n  enabled: false\n  host:\n    enabled: true\n  \"enabled\": true\n",
        ] {
            assert!(is_switched_on(text), "{text}");
        }
    }

    #[test]
    fn anything_else_is_off() {
        for text in [
            "",
            "sbom:\n  enabled: true\n",
            "sbom:\n  host:\n    enabled: true\n",
            "sbom:\n  enabled: true\n  host:\n    enabled: false\n",
            "sbom:\n  enabled: true\n  container_image:\n    enabled: true\n",
            "# sbom:\n#   enabled: true\n#   host:\n#     enabled: true\n",
            "sbom:\n  enabled: true\nhost:\n  enabled: true\n",
            "sbom:\n  enabled: true\n  host:\n    analyzers:\n      enabled: true\n",
            "other:\n  sbom:\n    enabled: true\n    host:\n      enabled: true\n",
            "sbom:\n  enabled: truely\n  host:\n    enabled: true\n",
            "note: |\n  sbom:\nsbom:\n  enabled: true\n  text: |\n    host:\n      enabled: true\n",
            "sbom: {enabled: true, host: {enabled: true}}\n",
            "sbom:\n  enabled: true\n  host:\n    enabled: true\nsbom:\n  enabled: false\n",
        ] {
            assert!(!is_switched_on(text), "{text}");
        }
    }
}
