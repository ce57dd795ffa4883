//! `lock/bun`: what Bun locks.
//!
//! Packages that are needed for development only are those that no other dependencies lead to; they are left out.
//! Workspaces, links and directories are the application itself. Before version 1.2 Bun wrote a binary file, which is
//! reported and not read.

use std::collections::HashMap;

use crate::extract::format::document::Value;
use crate::extract::format::text::shown;
use crate::extract::lock::lockfile::{self, Lock, Row, json_entries, reachable};
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Reads `bun.lock`.
#[derive(Clone, Copy, Debug)]
pub struct Bun;

impl Extractor for Bun {
    fn name(&self) -> &'static str {
        "lock/bun"
    }

    fn description(&self) -> &'static str {
        "Node.js packages locked by Bun"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("bun.lock"), Interest::Name("bun.lockb")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        lockfile::is_an_applications(path)
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        if input.path().file_name() == Some(b"bun.lockb") {
            // Bun writes one of both; whoever has changed over may have kept the old one.
            if !input.list_side(&input.path().join(".."))?.contains(&input.path().join("../bun.lock")) {
                report.unknown("this version does not read the binary lock files of Bun");
            }
            return Ok(());
        }
        lockfile::read(input, report, PackageKind::Npm, parse)
    }
}

pub(super) fn parse<'a>(text: &'a str, lock: &mut Lock<'a, '_>) {
    let text = plain_json(text);
    let mut packages: Vec<Package> = Vec::new();
    let mut roots = Vec::new();
    json_entries(&text, &["workspaces", "packages"], lock, &mut |lock, section, key, value| {
        if section == "packages" {
            if lock.has_room(packages.len()) {
                packages.extend(Package::new(&key, &value));
            }
        } else if lock.has_room(roots.len()) {
            let from = value.get("name").text().map(ToString::to_string).unwrap_or_default();
            roots.extend(needed(&value).map(|name| (from.clone(), name)));
        }
    });
    let index: HashMap<_, _> =
        packages.iter().enumerate().map(|(index, package)| (&package.key[..], index)).collect();
    let starts = roots.iter().filter_map(|(from, name)| resolve(&index, from, name));
    let reached = reachable(packages.len(), starts, |node| {
        let package = packages.get(node);
        let needed =
            package.into_iter().flat_map(|package| package.needs.iter().map(|name| (&package.key, name)));
        needed.filter_map(|(from, name)| resolve(&index, from, name)).collect()
    });
    for (package, _) in packages.iter().zip(reached).filter(|(_, is_reached)| *is_reached) {
        package.finish(&index, &packages, lock);
    }
}

/// An entry of `packages`. Its key is the name by which it is found, after that of the package that needs it where another
/// one has the same: `a/b`.
#[derive(Debug)]
struct Package {
    key: String,
    /// `name@version`.
    resolution: String,
    needs: Vec<String>,
}

impl Package {
    fn new(key: &str, value: &Value<'_>) -> Option<Self> {
        // `[resolution, registry, {…}, checksum]`; what is not from a registry has fewer.
        let needs = value.list().iter().flat_map(needed).collect();
        let resolution = value.list().first()?.text()?.to_string();
        Some(Self { key: key.to_owned(), resolution, needs })
    }

    fn split(&self) -> Option<(&str, &str)> {
        let at = self.resolution.char_indices().skip(1).find(|(_, character)| *character == '@')?.0;
        let (name, version) = self.resolution.split_at_checked(at)?;
        Some((name, version.strip_prefix('@')?))
    }

    fn finish(&self, index: &HashMap<&str, usize>, packages: &[Self], lock: &mut Lock<'_, '_>) {
        let Some((name, version)) = self.split() else {
            return lock.unknown(format!("{:?} is not a package", shown(&self.key)));
        };
        if ["workspace:", "link:", "file:", "root:"].iter().any(|local| version.starts_with(local)) {
            return;
        }
        if version.contains([':', '/']) {
            // Not from where: the address of a repository may have the password for it.
            return lock.unknown(format!("{:?} is from a place that does not tell its version", shown(name)));
        }
        let needed = self.needs.iter().filter_map(|name| packages.get(resolve(index, &self.key, name)?));
        let depends_on = needed.filter_map(|package| Some(package.split()?.0.to_owned().into()));
        lock.row(Row { depends_on: depends_on.collect(), ..Row::new(name.to_owned(), version.to_owned()) });
    }
}

/// What a package, or a workspace, needs outside development.
fn needed(value: &Value<'_>) -> impl Iterator<Item = String> {
    let fields = ["dependencies", "optionalDependencies", "peerDependencies"];
    fields.into_iter().flat_map(|field| value.get(field).keys()).map(ToString::to_string)
}

/// The package that is found by a name from within another one: its own, then that of each around it.
fn resolve(index: &HashMap<&str, usize>, from: &str, name: &str) -> Option<usize> {
    /// Slashes of a key, and its bytes: real ones name two or three packages. Against one of megabytes that is nothing but
    /// slashes.
    const LEVELS: usize = 32;
    const BYTES: usize = 1024;

    let mut around = if from.len() > BYTES { "" } else { from };
    for _ in 0..LEVELS {
        if around.is_empty() {
            break;
        }
        if let Some(found) = index.get(&*format!("{around}/{name}")) {
            return Some(*found);
        }
        // The name of a scope has a slash of its own.
        around = around.rsplit_once('/').map_or("", |(outer, _)| outer);
    }
    index.get(name).copied()
}

/// JSON without what Bun's form of it has besides: comments, and commas before the end of a list or an object.
fn plain_json(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            '/' if rest.starts_with("//") => {
                rest = rest.find('\n').and_then(|end| rest.get(end..)).unwrap_or_default();
                continue;
            }
            '/' if rest.starts_with("/*") => {
                rest = rest.split_once("*/").map_or("", |(_, after)| after);
                continue;
            }
            ']' | '}' => {
                plain.truncate(plain.trim_end().len());
                plain.truncate(plain.strip_suffix(',').unwrap_or(&plain).len());
                1
            }
            other => other.len_utf8(),
        };
        let (part, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        plain.push_str(part);
        rest = after;
    }
    plain
}

/// The bytes of the string that a text begins with, quotes included.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (place, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !is_escaped => return place.saturating_add(1),
            b'\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::test::{only_rows, rows};

    #[test]
    fn packages_that_the_application_leads_to() {
        let text = r#"{
            // Comment, with "quotes".
            "lockfileVersion": 1,
            "workspaces": {
                "": {"name": "app", "dependencies": {"@s/a": "^1", "al": "npm:real@2",}, "devDependencies": {"d": "1",},},
                "packages/w": {"name": "w", "dependencies": {"e": "1", "f": "1"}},
            },
            "packages": {
                "@s/a": ["@s/a@1.0.0", "", { "dependencies": { "b": "^2", "absent": "1", }, "bin": "x" }, "sha512-00=="],
                "@s/a/b": ["b@2.0.0", "", {}, "sha512-00=="], /* , } */
                "al": ["real@2.1.0", "", {}, "sha512-//=="],
                "b": ["b@1.0.0", "", {}, "sha512-00=="],
                "d": ["d@1.0.0", "", { "dependencies": { "b": "1" } }, "sha512-00=="],
                "e": ["e@github:u/e#0123", { "dependencies": { "g": "1" } }, "u-e-0123"],
                "f": ["f@file:../f", {}],
                "g": ["g@4.0.0", "", {}, "sha512-00=="],
                "w": ["w@workspace:packages/w"],
            },
        }"#;
        let (rows, problems) = rows(PackageKind::Npm, text, parse);
        assert_eq!(rows, ["@s/a 1.0.0 -> b", "b 2.0.0", "real 2.1.0", "g 4.0.0"]);
        assert!(problems.len() == 1 && problems[0].contains("\"e\" is from"), "{problems:?}");
    }

    #[test]
    fn strings_stay_as_they_are() {
        for text in [r#"{"a": "x,]"}"#, r#"{"\"//": "/*"}"#, r#"["\\",[]]"#, "\"open // ,]", ""] {
            assert_eq!(plain_json(text), text);
        }
        assert_eq!(plain_json("[1, // x\n /* y */ 2,\n ]"), "[1, \n  2]");
        assert!(only_rows(PackageKind::Npm, "{}", parse).is_empty());
    }

    #[test]
    fn no_password_of_a_repository_is_reported() {
        for place in ["a@git+https://user:secret@example.com/a", "https://user:secret_example.com/a"] {
            let text = format!(
                r#"{{"workspaces": {{"": {{"dependencies": {{"a": "1"}}}}}}, "packages": {{"a": ["{place}"]}}}}"#
            );
            let (rows, problems) = rows(PackageKind::Npm, &text, parse);
            assert_eq!((rows.len(), problems.len()), (0, 1), "{text}");
            assert!(!problems[0].contains("secret"), "{problems:?}");
        }
    }

    #[test]
    fn a_key_of_nothing_but_slashes_takes_no_time() {
        let key = "a/".repeat(50_000);
        let needs = (0..100).map(|number| format!(r#""n{number}": "1""#)).collect::<Vec<_>>().join(", ");
        let text = format!(
            r#"{{"workspaces": {{"": {{"dependencies": {{"{key}": "1"}}}}}}, "packages": {{"{key}": ["b@1", {{"dependencies": {{{needs}}}}}]}}}}"#
        );
        let began = std::time::Instant::now();
        assert_eq!(only_rows(PackageKind::Npm, &text, parse), ["b 1"]);
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }
}
