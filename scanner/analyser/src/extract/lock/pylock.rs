//! `lock/pylock`: what is locked in the format that all Python tools share (PEP 751).
//!
//! Conditions are not evaluated: what is locked for some machine is listed. Directories are the application itself.

use crate::extract::format::text::shown;
use crate::extract::lock::lockfile::{self, Lock, Row, toml_stanzas};
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Reads `pylock.toml`.
#[derive(Clone, Copy, Debug)]
pub struct Pylock;

impl Extractor for Pylock {
    fn name(&self) -> &'static str {
        "lock/pylock"
    }

    fn description(&self) -> &'static str {
        "Python packages locked in the common format"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("pylock.toml")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        lockfile::is_an_applications(path)
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        lockfile::read(input, report, PackageKind::Pypi, parse)
    }
}

pub(super) fn parse<'a>(text: &'a str, lock: &mut Lock<'a, '_>) {
    toml_stanzas(text, "packages", lock, &mut |lock, package| {
        let text = |field| package.get(field).text().map(ToString::to_string);
        if !package.get("directory").map().is_empty() {
            return;
        }
        let name = text("name").unwrap_or_default();
        let Some(version) = text("version") else {
            return lock.unknown(format!("{:?} has no version", shown(&name)));
        };
        let depends_on = package.get("dependencies").list().iter();
        let depends_on = depends_on.filter_map(|dependency| dependency.get("name").text());
        lock.row(Row {
            depends_on: depends_on.map(|name| name.to_string().into()).collect(),
            ..Row::new(name, version)
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::test::rows;

    #[test]
    fn packages() {
        let text = r#"lock-version = "1.0"
created-by = "x"
[[packages]]
name = "attrs"
version = "25.1.0"
requires-python = ">=3.8"
wheels = [
  {name = "attrs-25.1.0-py3-none-any.whl", upload-time = 2025-01-25T11:30:10.164985+00:00, size = 63152, hashes = {sha256 = "00"}},
]
[[packages.attestation-identities]]
kind = "GitHub"

[[packages]]
name = "cattrs"
version = "24.1.2"
dependencies = [
    {name = "attrs"},
]

[[packages]]
name = "app"
directory = {path = "."}

[[packages]]
name = "git"
vcs = {type = "git", url = "https://example.com/git"}

[tool.x]
name = "x"
"#;
        let (rows, problems) = rows(PackageKind::Pypi, text, parse);
        assert_eq!(rows, ["attrs 25.1.0", "cattrs 24.1.2 -> attrs"]);
        assert_eq!(problems, ["\"git\" has no version"]);
    }
}
