//! `lock/pdm`: what PDM locks.
//!
//! Packages of other groups than the default one are left out, as `pdm install --prod` installs none of them. Paths are the
//! application itself.

use crate::extract::lock::lockfile::{self, Lock, Row, toml_stanzas};
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Reads `pdm.lock`.
#[derive(Clone, Copy, Debug)]
pub struct Pdm;

impl Extractor for Pdm {
    fn name(&self) -> &'static str {
        "lock/pdm"
    }

    fn description(&self) -> &'static str {
        "Python packages locked by PDM"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("pdm.lock")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        lockfile::is_an_applications(path)
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        lockfile::read(input, report, PackageKind::Pypi, parse)
    }
}

pub(super) fn parse<'a>(text: &'a str, lock: &mut Lock<'a, '_>) {
    toml_stanzas(text, "package", lock, &mut |lock, package| {
        let text = |field| package.get(field).text().map(ToString::to_string);
        let groups = package.get("groups");
        let is_default = groups.list().is_empty() || groups.texts().any(|group| group == "default");
        if is_default && text("path").is_none() {
            let depends_on = package.get("dependencies").texts();
            lock.row(Row {
                depends_on: depends_on.map(|requirement| name(requirement).to_owned().into()).collect(),
                ..Row::new(text("name").unwrap_or_default(), text("version").unwrap_or_default())
            });
        }
    });
}

/// A dependency is a requirement, such as `name>=1.0; python_version < "3.8"`.
fn name(requirement: &str) -> &str {
    let is_of_a_name =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    requirement.split(|character: char| !is_of_a_name(character)).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::test::only_rows;

    #[test]
    fn packages_of_the_default_group() {
        let text = r#"
[metadata]
groups = ["default", "dev"]

[[package]]
name = "requests"
version = "2.31.0"
groups = ["default"]
dependencies = [
    "certifi>=2017.4.17",
    "importlib-metadata; python_version < \"3.8\"",
]

[[package]]
name = "requests"
version = "2.31.0"
extras = ["socks"]

[[package]]
name = "certifi"
version = "2023.7.22"

[[package]]
name = "pytest"
version = "7.0"
groups = ["dev"]

[[package]]
name = "app"
version = "0.1.0"
path = "."
"#;
        let expected = ["requests 2.31.0 -> certifi", "requests 2.31.0", "certifi 2023.7.22"];
        assert_eq!(only_rows(PackageKind::Pypi, text, parse), expected);
    }
}
