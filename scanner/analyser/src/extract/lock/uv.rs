//! `lock/uv`: what uv locks.
//!
//! Packages that only groups for development lead to are left out. Conditions are not evaluated: what is locked for some
//! machine, or for some extra, is listed. Directories are the application itself.

use std::cell::Cell;
use std::collections::HashMap;

use crate::extract::format::document::Value;
use crate::extract::lock::lockfile::{self, Lock, Row, reachable, toml_stanzas};
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Reads `uv.lock`.
#[derive(Clone, Copy, Debug)]
pub struct Uv;

impl Extractor for Uv {
    fn name(&self) -> &'static str {
        "lock/uv"
    }

    fn description(&self) -> &'static str {
        "Python packages locked by uv"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("uv.lock")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        lockfile::is_an_applications(path)
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        lockfile::read(input, report, PackageKind::Pypi, parse)
    }
}

pub(super) fn parse<'a>(text: &'a str, lock: &mut Lock<'a, '_>) {
    let mut packages = Vec::new();
    toml_stanzas(text, "package", lock, &mut |lock, package| {
        if lock.has_room(packages.len()) {
            packages.push(Package::new(package, lock));
        }
    });
    // The version is only written where the name has several.
    let mut named: HashMap<(&str, Option<&str>), Cell<Vec<usize>>> = HashMap::new();
    for (index, Package { name, version, .. }) in packages.iter().enumerate() {
        named.entry((name, None)).or_default().get_mut().push(index);
        named.entry((name, Some(version))).or_default().get_mut().push(index);
    }
    // What a name leads to is followed once: thousands of packages may have it, and need it.
    let resolve = |(name, version): &(String, Option<String>)| -> Vec<usize> {
        named.get(&(&name[..], version.as_deref())).map(Cell::take).unwrap_or_default()
    };
    let local = |(index, package): (usize, &Package)| package.is_local.then_some(index);
    let mut roots: Vec<_> = packages.iter().enumerate().filter_map(local).collect();
    if roots.is_empty() {
        roots.extend(0..packages.len());
    }
    let reached = reachable(packages.len(), roots, |index| {
        packages.get(index).into_iter().flat_map(|package| &package.depends_on).flat_map(&resolve).collect()
    });
    for (package, is_reached) in packages.iter().zip(reached) {
        if is_reached && !package.is_local {
            let depends_on = package.depends_on.iter().map(|(name, _)| name.clone().into()).collect();
            lock.row(Row { depends_on, ..Row::new(package.name.clone(), package.version.clone()) });
        }
    }
}

#[derive(Debug)]
struct Package {
    name: String,
    version: String,
    /// Whether it is a directory of the application.
    is_local: bool,
    /// Names, with the version where one is named; extras included, groups for development not.
    depends_on: Vec<(String, Option<String>)>,
}

impl Package {
    fn new(package: &Value<'_>, lock: &mut Lock<'_, '_>) -> Self {
        let text = |field| package.get(field).text().map(ToString::to_string).unwrap_or_default();
        let is_local =
            package.get("source").keys().any(|kind| matches!(&**kind, "virtual" | "editable" | "directory"));
        let extras = package.get("optional-dependencies").map().iter().flat_map(|(_, extra)| extra.list());
        let needed = package.get("dependencies").list().iter().chain(extras);
        let named = |dependency: &Value<'_>| {
            let field = |name| dependency.get(name).text().map(ToString::to_string);
            Some((field("name")?, field("version")))
        };
        Self {
            name: text("name"),
            version: text("version"),
            is_local,
            depends_on: needed.filter_map(named).take_while(|_| lock.takes_name()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::test::only_rows;

    #[test]
    fn packages_that_the_application_leads_to() {
        let text = r#"version = 1
requires-python = ">=3.9"

[[package]]
name = "app"
version = "0.1.0"
source = { virtual = "." }
dependencies = [
    { name = "a", extra = ["x"] },
    { name = "n", version = "1.0", source = { registry = "https://example.com" }, marker = "python_full_version < '3.10'" },
]

[package.dev-dependencies]
dev = [{ name = "d" }]

[package.metadata]
requires-dist = [{ name = "a" }]

[[package]]
name = "a"
version = "1.0"
source = { registry = "https://example.com" }
sdist = { url = "https://example.com/a.tar.gz", hash = "sha256:00", size = 1 }
wheels = [
    { url = "https://example.com/a.whl", hash = "sha256:00", size = 1 },
]

[package.optional-dependencies]
x = [{ name = "b" }]

[[package]]
name = "b"
version = "2.0"
source = { git = "https://example.com/b" }

[[package]]
name = "d"
version = "3.0"
source = { registry = "https://example.com" }
dependencies = [{ name = "b" }, { name = "e" }]

[[package]]
name = "e"
version = "4.0"
source = { registry = "https://example.com" }

[[package]]
name = "n"
version = "1.0"
source = { registry = "https://example.com" }

[[package]]
name = "n"
version = "2.0"
source = { registry = "https://example.com" }
"#;
        assert_eq!(only_rows(PackageKind::Pypi, text, parse), ["a 1.0 -> b", "b 2.0", "n 1.0"]);
    }

    #[test]
    fn a_thousand_packages_of_one_name_that_all_need_it_take_no_time() {
        let stanza = "[[package]]\nname = \"a\"\nversion = \"1\"\ndependencies = [{ name = \"a\" }]\n";
        let began = std::time::Instant::now();
        assert_eq!(only_rows(PackageKind::Pypi, &stanza.repeat(20_000), parse).len(), 20_000);
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }
}
