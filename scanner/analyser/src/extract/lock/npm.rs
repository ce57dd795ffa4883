//! `lock/npm`: what npm locks, in all three versions of its file.
//!
//! The file says of each package whether it is needed for development only; those are left out, as `npm ci --omit=dev`
//! installs none of them. Links and workspaces are the application's own directories.

use std::borrow::Cow;

use crate::extract::format::document::Value;
use crate::extract::format::text::shown;
use crate::extract::lock::lockfile::{self, Lock, Row, json_entries};
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Reads `package-lock.json` and `npm-shrinkwrap.json`.
#[derive(Clone, Copy, Debug)]
pub struct Npm;

impl Extractor for Npm {
    fn name(&self) -> &'static str {
        "lock/npm"
    }

    fn description(&self) -> &'static str {
        "Node.js packages locked by npm"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("package-lock.json"), Interest::Name("npm-shrinkwrap.json")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        lockfile::is_an_applications(path)
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        lockfile::read(input, report, PackageKind::Npm, parse)
    }
}

pub(super) fn parse<'a>(text: &'a str, lock: &mut Lock<'a, '_>) {
    let mut has_packages = false;
    json_entries(text, &["packages", "dependencies"], lock, &mut |lock, section, key, value| {
        if section == "packages" {
            has_packages = true;
            package(key, &value, lock);
        } else if !has_packages {
            // Version 2 has both, the older one for older npm.
            dependency(key, &value, lock);
        }
    });
}

/// An entry of `packages` (versions 2 and 3): its key is the directory that the package is installed in.
fn package<'a>(key: Cow<'a, str>, entry: &Value<'a>, lock: &mut Lock<'a, '_>) {
    const DIRECTORY: &str = "node_modules/";

    let Some(start) = key.rfind(DIRECTORY) else { return };
    if entry.get("link").is_true() || entry.get("dev").is_true() {
        return;
    }
    // Where the directory has another name than the package, there is a name.
    let name = match entry.get("name").text() {
        Some(name) => name.clone(),
        None => after(key, start.saturating_add(DIRECTORY.len())),
    };
    let Some(version) = entry.get("version").text() else {
        if !entry.get("resolved").text().is_some_and(|resolved| resolved.starts_with("file:")) {
            lock.unknown(format!("{:?} has no version", shown(&name)));
        }
        return;
    };
    let needed = ["dependencies", "optionalDependencies", "peerDependencies"];
    lock.row(Row {
        depends_on: needed.iter().flat_map(|field| entry.get(field).map()).map(real_name).collect(),
        licenses: entry.get("license").texts().cloned().collect(),
        ..Row::new(name, version.clone())
    });
}

/// An entry of `dependencies` (version 1), and those in it. JSON is read to a bounded depth.
fn dependency<'a>(key: Cow<'a, str>, entry: &Value<'a>, lock: &mut Lock<'a, '_>) {
    for (key, value) in entry.get("dependencies").map() {
        dependency(key.clone(), value, lock);
    }
    if entry.get("dev").is_true() {
        return;
    }
    let Some(version) = entry.get("version").text() else {
        return lock.unknown(format!("{:?} has no version", shown(&key)));
    };
    let (name, version) = match version.strip_prefix("npm:").and_then(split_alias) {
        Some((name, version)) => (Cow::Owned(name.to_owned()), Cow::Owned(version.to_owned())),
        None => (key, version.clone()),
    };
    if version.starts_with("file:") {
        return;
    }
    if version.contains([':', '/']) {
        // Not from where: the address of a repository may have the password for it.
        return lock.unknown(format!("{:?} is from a place that does not tell its version", shown(&name)));
    }
    let depends_on = entry.get("requires").map().iter().map(real_name).collect();
    lock.row(Row { depends_on, ..Row::new(name, version) });
}

/// The package that a dependency names: `"alias": "npm:name@range"`, or simply `"name": "range"`.
fn real_name<'a>((key, range): &(Cow<'a, str>, Value<'a>)) -> Cow<'a, str> {
    let alias = range.text().and_then(|range| range.strip_prefix("npm:"));
    match alias.map(|alias| split_alias(alias).map_or(alias, |(name, _)| name)) {
        Some(name) => Cow::Owned(name.to_owned()),
        None => key.clone(),
    }
}

/// `name@version`, where the name of a scope begins with an `@` of its own.
fn split_alias(alias: &str) -> Option<(&str, &str)> {
    let at = alias.rfind('@').filter(|&at| at > 0)?;
    let (name, rest) = alias.split_at_checked(at)?;
    Some((name, rest.strip_prefix('@')?))
}

/// What follows a place of a text.
fn after(text: Cow<'_, str>, start: usize) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(start..).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(text.get(start..).unwrap_or_default().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::test::{only_rows, rows};

    #[test]
    fn packages_of_versions_2_and_3() {
        let text = r#"{"name": "app", "lockfileVersion": 2, "packages": {
            "": {"name": "app", "version": "1.0.0", "dependencies": {"a": "^1"}},
            "node_modules/a": {"version": "1.0.1", "license": "MIT", "dependencies": {"@s/b": "1", "al": "npm:real@^2", "absent": "1"}},
            "node_modules/a/node_modules/@s/b": {"version": "1.2.3", "optional": true},
            "node_modules/al": {"name": "real", "version": "2.0.0", "author": ["odd"], "cpu": 7},
            "node_modules/d": {"version": "9.0.0", "dev": true},
            "node_modules/e": {"version": "9.1.0", "devOptional": true},
            "node_modules/w": {"resolved": "packages/w", "link": true},
            "packages/w": {"version": "0.0.1"}
        }, "dependencies": {"old": {"version": "1.0.0"}}}"#;
        let expected = ["a 1.0.1 -> @s/b real", "@s/b 1.2.3", "real 2.0.0", "e 9.1.0"];
        assert_eq!(only_rows(PackageKind::Npm, text, parse), expected);
    }

    #[test]
    fn dependencies_of_version_1() {
        let text = r#"{"requires": true, "dependencies": {
            "a": {"version": "1.0.0", "requires": {"b": "^1", "c": "^1"},
                  "dependencies": {"b": {"version": "1.5.0", "requires": true}}},
            "al": {"version": "npm:@s/c@3.0.0-rc.1"},
            "d": {"version": "1.0.0", "dev": true},
            "f": {"version": "file:../f"},
            "g": {"version": "git+ssh://git@example.com/g.git#0123"}
        }}"#;
        let (rows, problems) = rows(PackageKind::Npm, text, parse);
        assert_eq!(rows, ["b 1.5.0", "a 1.0.0 -> b", "@s/c 3.0.0-rc.1"]);
        assert!(problems.len() == 1 && problems[0].contains("\"g\" is from"), "{problems:?}");
    }

    #[test]
    fn what_was_read_before_the_damage_is_kept() {
        let text = r#"{"packages": {"node_modules/a": {"version": "1"}, "node_modules/b": {"ver"#;
        let (rows, problems) = rows(PackageKind::Npm, text, parse);
        assert_eq!((rows, problems.len()), (vec!["a 1".to_owned()], 1));
        let (rows, problems) = self::rows(PackageKind::Npm, "", parse);
        assert_eq!((rows.len(), problems.len()), (0, 1));
    }

    #[test]
    fn no_password_of_a_repository_is_reported() {
        for text in [
            r#"{"dependencies": {"a": {"version": "git+https://user:secret@example.com/a.git#0"}}}"#,
            r#"{"dependencies": {"a": {"version": "https://user:secret@example.com/a b.tgz"}}}"#,
            r#"{"packages": {"node_modules/a": {"version": "https://user:secret@example.com/a.tgz"}}}"#,
            r#"{"packages": "https://user:secret@example.com"}"#,
            r#""https://user:secret@example.com""#,
        ] {
            let (rows, problems) = rows(PackageKind::Npm, text, parse);
            assert_eq!((rows.len(), problems.len()), (0, 1), "{text}");
            assert!(!problems[0].contains("secret"), "{problems:?}");
        }
    }
}
