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
                packages.extend(Package::new(&key, &value, lock));
            }
        } else if lock.has_room(roots.len()) {
            let name = value.get("name").text().map(ToString::to_string).unwrap_or_default();
            if let Some(name) = checked(name, lock) {
                roots.push((name, needed(&value, lock)));
            }
        }
    });
    let index = Index::of(&packages);
    let starts = roots.iter().flat_map(|(from, needs)| index.resolve(from, needs));
    let reached = reachable(packages.len(), starts, |node| {
        packages
            .get(node)
            .map(|package| index.resolve(&package.key, &package.needs).collect())
            .unwrap_or_default()
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
    fn new(key: &str, value: &Value<'_>, lock: &mut Lock<'_, '_>) -> Option<Self> {
        // `[resolution, registry, {…}, checksum]`; what is not from a registry has fewer.
        let resolution = value.list().first()?.text()?.to_string();
        let key = checked(key.to_owned(), lock)?;
        let needs = value.list().iter().flat_map(|part| needed(part, lock)).collect();
        Some(Self { key, resolution, needs })
    }

    fn split(&self) -> Option<(&str, &str)> {
        let at = self.resolution.char_indices().skip(1).find(|(_, character)| *character == '@')?.0;
        let (name, version) = self.resolution.split_at_checked(at)?;
        Some((name, version.strip_prefix('@')?))
    }

    fn finish(&self, index: &Index<'_>, packages: &[Self], lock: &mut Lock<'_, '_>) {
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
        let needed = index.resolve(&self.key, &self.needs).filter_map(|needed| packages.get(needed));
        let depends_on = needed.filter_map(|package| Some(package.split()?.0.to_owned().into()));
        lock.row(Row { depends_on: depends_on.collect(), ..Row::new(name.to_owned(), version.to_owned()) });
    }
}

/// What a package, or a workspace, needs outside development.
fn needed(value: &Value<'_>, lock: &mut Lock<'_, '_>) -> Vec<String> {
    let fields = ["dependencies", "optionalDependencies", "peerDependencies"];
    let names = fields.into_iter().flat_map(|field| value.get(field).keys());
    names.take_while(|_| lock.takes_name()).map(ToString::to_string).collect()
}

/// A key that names no more packages around a package than are looked at: against one of megabytes that is nothing but slashes.
fn checked(key: String, lock: &mut Lock<'_, '_>) -> Option<String> {
    /// Packages in each other, and bytes; real keys name two or three, of at most 214 bytes each (npm's limit on names).
    const LEVELS: usize = 32;
    const BYTES: usize = 4096;

    if key.len() > BYTES || outward(&key).nth(LEVELS).is_some() {
        lock.unknown(format!(
            "{:?} names more than {LEVELS} packages, or has more than {BYTES} bytes",
            shown(&key)
        ));
        return None;
    }
    Some(key)
}

/// Which package is found by a name from within another one: its own, or else that of the nearest one around it.
///
/// Each place and each name is looked up once for all that is resolved from there, so that a file costs time by what it has
/// and not by how long its keys are.
#[derive(Debug, Default)]
struct Index<'k> {
    /// What has packages of its own, by key; what all share has the empty one.
    places: HashMap<&'k str, usize>,
    names: HashMap<&'k str, usize>,
    /// The packages, by the numbers of place and name.
    packages: HashMap<(usize, usize), usize>,
}

impl<'k> Index<'k> {
    fn of(packages: &'k [Package]) -> Self {
        let mut index = Self::default();
        for (number, package) in packages.iter().enumerate() {
            let (place, name) = split_key(&package.key);
            let (places, names) = (index.places.len(), index.names.len());
            let place = *index.places.entry(place).or_insert(places);
            let name = *index.names.entry(name).or_insert(names);
            index.packages.insert((place, name), number);
        }
        index
    }

    fn resolve(&self, from: &str, names: &[String]) -> impl Iterator<Item = usize> {
        let places: Vec<_> = outward(from).filter_map(|key| self.places.get(key).copied()).collect();
        names.iter().filter_map(move |name| {
            let name = *self.names.get(&name[..])?;
            places.iter().find_map(|place| self.packages.get(&(*place, name)).copied())
        })
    }
}

/// A key, then those of the packages around it, out to the empty one.
fn outward(key: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(key), |key| (!key.is_empty()).then(|| split_key(key).0))
}

/// The key of the package around another one, and the name of that.
fn split_key(key: &str) -> (&str, &str) {
    let Some((around, name)) = key.rsplit_once('/') else { return ("", key) };
    // The name of a scope has a slash of its own.
    match around.rsplit_once('/') {
        Some((outer, scope)) if scope.starts_with('@') => {
            (outer, key.get(outer.len().saturating_add(1)..).unwrap_or_default())
        }
        None if around.starts_with('@') => ("", key),
        _ => (around, name),
    }
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
    use crate::limits::Limits;

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
    fn a_key_of_nothing_but_slashes_is_reported() {
        for key in ["a/".repeat(33), "a".repeat(5000)] {
            let text = format!(
                r#"{{"workspaces": {{"": {{"dependencies": {{"{key}": "1", "b": "1"}}}}}}, "packages": {{"{key}": ["a@1"], "b": ["b@1"]}}}}"#
            );
            let (rows, problems) = rows(PackageKind::Npm, &text, parse);
            assert_eq!(rows, ["b 1"]);
            assert!(
                problems.len() == 1 && problems[0].contains("names more than 32 packages"),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn packages_are_found_from_within_those_around_them() {
        let packages = ["a", "@s/a", "@s/a/b", "@s/a/@s/b", "@s/a/b/c", "b", "c", "a//x", "/"]
            .map(|key| Package { key: key.to_owned(), resolution: String::new(), needs: Vec::new() });
        let index = Index::of(&packages);
        for (from, name, expected) in [
            ("@s/a", "b", Some("@s/a/b")),
            ("@s/a", "@s/b", Some("@s/a/@s/b")),
            ("@s/a/b", "c", Some("@s/a/b/c")),
            ("@s/a/@s/b", "b", Some("@s/a/b")),
            ("@s/a/@s/b", "@s/a", Some("@s/a")),
            ("@s/a/b/c", "a", Some("a")),
            ("a", "b", Some("b")),
            ("absent", "c", Some("c")),
            ("", "@s/b", None),
        ] {
            let found = index.resolve(from, &[name.to_owned()]).next();
            let found = found.map(|found| &packages[found].key[..]);
            assert_eq!(found, expected, "{name} from {from}");
        }
    }

    #[test]
    fn long_keys_that_need_many_names_take_no_time() {
        // Packages in each other, thirty deep, of which the innermost needs what is only at the outermost place.
        let place =
            |depth: usize| (0..depth).map(|level| format!("{level:0>100}")).collect::<Vec<_>>().join("/");
        let around = (1..30).map(|depth| format!(r#""{}": ["p@{depth}"]"#, place(depth)));
        let needs = (0..200_000).map(|number| format!(r#""n{number}": "1""#)).collect::<Vec<_>>().join(", ");
        let deepest =
            format!(r#""{0}": ["p@30", {{"dependencies": {{{needs}}}}}], "n7": ["n@7"]"#, place(30));
        let packages = around.chain([deepest]).collect::<Vec<_>>().join(", ");
        let text = format!(
            r#"{{"workspaces": {{"": {{"name": "{}", "dependencies": {{"{:0>100}": "1"}}}}}}, "packages": {{{packages}}}}}"#,
            place(29),
            29
        );
        let began = std::time::Instant::now();
        assert_eq!(only_rows(PackageKind::Npm, &text, parse), ["p 30 -> n", "n 7"]);
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    }

    #[test]
    fn a_workspace_with_a_long_name_that_needs_much_takes_no_memory() {
        // With the name for each of them it would be four gigabytes.
        let needs = (0..1_000_000).map(|number| format!(r#""{number}":0"#)).collect::<Vec<_>>().join(",");
        let name = "w".repeat(4000);
        let text = format!(
            r#"{{"workspaces": {{"": {{"name": "{name}", "dependencies": {{{needs}}}}}}}, "packages": {{"7": ["b@1"]}}}}"#
        );
        assert_eq!(only_rows(PackageKind::Npm, &text, parse), ["b 1"]);
    }

    #[test]
    fn names_beyond_the_limit_are_reported() {
        let needs = (0..10).map(|number| format!(r#""{number}": "1""#)).collect::<Vec<_>>().join(", ");
        let text = format!(
            r#"{{"workspaces": {{"": {{"dependencies": {{{needs}}}}}}}, "packages": {{"7": ["b@1"]}}}}"#
        );
        let mut problems = Vec::new();
        let limits = Limits { relations: 5, ..Limits::default() };
        lockfile::run(PackageKind::Npm, text.into(), &limits, parse, &mut |finding| {
            problems.push(finding.unwrap_err());
        });
        assert!(problems.len() == 1 && problems[0].contains("(`relations`)"), "{problems:?}");
    }
}
