//! `lock/cargo`: what Cargo locks.
//!
//! The file does not say which crates only tests or build scripts need, nor for which platforms: all are listed. Crates
//! without a source are the application itself.

use std::borrow::Cow;

use crate::extract::format::document::Value;
use crate::extract::lock::lockfile::{self, Lock, Row, toml_stanzas};
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Reads `Cargo.lock`, versions 1 to 4.
#[derive(Clone, Copy, Debug)]
pub struct Cargo;

impl Extractor for Cargo {
    fn name(&self) -> &'static str {
        "lock/cargo"
    }

    fn description(&self) -> &'static str {
        "Rust crates locked by Cargo"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("Cargo.lock")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        lockfile::is_an_applications(path)
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        lockfile::read(input, report, PackageKind::Cargo, parse)
    }
}

pub(super) fn parse<'a>(text: &'a str, lock: &mut Lock<'a, '_>) {
    toml_stanzas(text, "package", lock, &mut |lock, package| {
        let text = |field| package.get(field).text().map(ToString::to_string);
        if text("source").is_some() {
            let depends_on = package.get("dependencies").list().iter().filter_map(Value::text);
            lock.row(Row {
                depends_on: depends_on.map(|dependency| Cow::Owned(name(dependency).to_owned())).collect(),
                ..Row::new(text("name").unwrap_or_default(), text("version").unwrap_or_default())
            });
        }
    });
}

/// A dependency is `name`, and where that is not clear `name version` or `name version (source)`.
fn name(dependency: &str) -> &str {
    dependency.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::test::only_rows;

    #[test]
    fn crates_with_a_source() {
        let text = r#"# generated
version = 4

[[package]]
name = "app"
version = "0.1.0"
dependencies = ["a", "b 2.0.0"]

[[package]]
name = "a"
version = "1.0.0+meta"
source = "registry+https://example.com/index"
checksum = "00"
dependencies = [
 "app",
 "b 2.0.0 (registry+https://example.com/index)",
]

[[package]]
name = "b"
version = "2.0.0"
source = "git+https://example.com/b?branch=main#0123"

[[patch.unused]]
name = "c"
version = "1.0.0"
source = "git+https://example.com/c"

[metadata]
"checksum a 1.0.0 (registry+https://example.com/index)" = "00"
"#;
        assert_eq!(only_rows(PackageKind::Cargo, text, parse), ["a 1.0.0+meta -> b", "b 2.0.0"]);
        let windows = text.replace('\n', "\r\n");
        assert_eq!(only_rows(PackageKind::Cargo, &windows, parse).len(), 2);
    }
}
