//! `lock/yarn`: what yarn locks, in the form of its first version and in that of "berry", versions 2 to 4.
//!
//! Neither says which packages are needed for development only: all are listed. Workspaces, links and directories are the
//! application itself.

use std::borrow::Cow;

use crate::extract::format::indented::{self, Line, entry, quoted};
use crate::extract::format::text::shown;
use crate::extract::lock::lockfile::{self, Lock, Row};
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Reads `yarn.lock`.
#[derive(Clone, Copy, Debug)]
pub struct Yarn;

impl Extractor for Yarn {
    fn name(&self) -> &'static str {
        "lock/yarn"
    }

    fn description(&self) -> &'static str {
        "Node.js packages locked by yarn"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("yarn.lock")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        lockfile::is_an_applications(path)
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        lockfile::read(input, report, PackageKind::Npm, parse)
    }
}

pub(super) fn parse<'a>(text: &'a str, lock: &mut Lock<'a, '_>) {
    let mut current: Option<Entry> = None;
    for line in indented::lines(text) {
        match (line.indent, &mut current) {
            (0, _) => {
                if let Some(entry) = current.take() {
                    entry.finish(lock);
                }
                if line.text.ends_with(':') {
                    current = Some(Entry::new(&line));
                } else {
                    lock.unknown(format!("line {} is not the beginning of a package", line.number));
                }
            }
            (indent, Some(entry)) => entry.line(indent, &line, lock),
            (_, None) => {}
        }
    }
    if let Some(entry) = current {
        entry.finish(lock);
    }
}

/// One block of the file.
#[derive(Debug, Default)]
struct Entry {
    line: u64,
    /// The first of the descriptors that it stands for, `name@range`.
    descriptor: String,
    version: Option<String>,
    /// What berry resolved it to, `name@protocol:reference`.
    resolution: Option<String>,
    /// Whether it is a directory of the application.
    is_soft: bool,
    /// Whether the deeper lines are dependencies.
    in_dependencies: bool,
    depends_on: Vec<String>,
}

impl Entry {
    fn new(line: &Line<'_>) -> Self {
        let text = line.text.strip_suffix(':').unwrap_or(&line.text);
        // Yarn 1 quotes each descriptor, berry all together.
        let all = quoted(text).map_or(Cow::Borrowed(text), |(first, _)| first);
        let first = all.split(", ").next().unwrap_or_default();
        Self { line: line.number, descriptor: first.to_owned(), ..Self::default() }
    }

    fn line(&mut self, indent: usize, line: &Line<'_>, lock: &mut Lock<'_, '_>) {
        let Some((key, value)) = entry(&line.text) else { return };
        if indent > 2 {
            if self.in_dependencies && lock.takes_name() {
                self.depends_on.push(real_name(&key, &value).to_owned());
            }
            return;
        }
        self.in_dependencies = false;
        match &*key {
            "version" => self.version = Some(value.into_owned()),
            "resolution" => self.resolution = Some(value.into_owned()),
            "linkType" => self.is_soft = value == "soft",
            "dependencies" | "optionalDependencies" | "peerDependencies" => self.in_dependencies = true,
            _ => {}
        }
    }

    fn finish(self, lock: &mut Lock<'_, '_>) {
        if self.descriptor == "__metadata" || self.is_soft {
            return;
        }
        let locator = self.resolution.as_deref().unwrap_or(&self.descriptor);
        let Some((name, reference)) = split(locator) else {
            return lock.unknown(format!("the package at line {} has no name", self.line));
        };
        if ["file:", "link:", "portal:", "workspace:"].iter().any(|local| reference.starts_with(local)) {
            return;
        }
        let Some(version) = self.version else {
            return lock.unknown(format!("{:?} at line {} has no version", shown(name), self.line));
        };
        let depends_on = self.depends_on.into_iter().map(Cow::Owned).collect();
        lock.row(Row { depends_on, ..Row::new(real_name(name, reference).to_owned(), version) });
    }
}

/// The package that a dependency names: `npm:name@range` under another name, or the name itself.
fn real_name<'a>(name: &'a str, range: &'a str) -> &'a str {
    range.strip_prefix("npm:").and_then(split).map_or(name, |(real, _)| real)
}

/// `name@reference`, where the name of a scope begins with an `@` of its own.
fn split(locator: &str) -> Option<(&str, &str)> {
    let at = locator.char_indices().skip(1).find(|(_, character)| *character == '@')?.0;
    let (name, reference) = locator.split_at_checked(at)?;
    Some((name, reference.strip_prefix('@')?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::test::{only_rows, rows};

    #[test]
    fn packages_of_the_first_version() {
        let text = r#"# THIS IS AN AUTOGENERATED FILE. DO NOT EDIT THIS FILE DIRECTLY.
# yarn lockfile v1


"@s/a@^1.0.0", "@s/a@^1.1.0":
  version "1.1.0"
  resolved "https://example.com/a.tgz#00"
  integrity sha512-00==
  dependencies:
    "@s/b" "^2.0.0"
    al "npm:c@>= 1"
  optionalDependencies:
    absent "1"

"@s/b@^2.0.0":
  version "2.0.0"

"al@npm:c@>= 1, c@>= 1":
  version "1.5.0"

"d@file:../d":
  version "0.0.0"

e@~1, e@^1:
  version "1.0.3"
"#;
        let expected = ["@s/a 1.1.0 -> @s/b c", "@s/b 2.0.0", "c 1.5.0", "e 1.0.3"];
        assert_eq!(only_rows(PackageKind::Npm, text, parse), expected);
    }

    #[test]
    fn packages_of_berry() {
        let text = r#"__metadata:
  version: 8
  cacheKey: 10c0

"@s/a@npm:^1.0.0, @s/a@npm:^1.1.0":
  version: 1.1.0
  resolution: "@s/a@npm:1.1.0"
  dependencies:
    "@s/b": "npm:^2.0.0"
    al: "npm:c@^1"
  dependenciesMeta:
    "@s/b":
      optional: true
  checksum: 10c0/00
  languageName: node
  linkType: hard

"@s/b@patch:@s/b@npm%3A^2.0.0#optional!builtin<compat/b>":
  version: 2.0.0
  resolution: "@s/b@patch:@s/b@npm%3A2.0.0#optional!builtin<compat/b>::version=2.0.0&hash=00"
  linkType: hard

? "al@npm:c@^1, c@npm:^1"
:
  version: 1.5.0
  resolution: "c@npm:1.5.0"
  linkType: hard

"app@workspace:.":
  version: 0.0.0-use.local
  resolution: "app@workspace:."
  dependencies:
    "@s/a": "npm:^1.0.0"
  languageName: unknown
  linkType: soft
"#;
        let expected = ["@s/a 1.1.0 -> @s/b c", "@s/b 2.0.0", "c 1.5.0"];
        assert_eq!(only_rows(PackageKind::Npm, text, parse), expected);
    }

    #[test]
    fn damage_costs_its_own_package() {
        let text =
            "<<<<<<< HEAD\na@1:\n  version \"1.0.0\"\n  dependencies\n\nb@1:\n\nc@1:\n  version \"1\"\nd:\n";
        let (rows, problems) = rows(PackageKind::Npm, text, parse);
        assert_eq!(rows, ["a 1.0.0", "c 1"]);
        assert_eq!(problems.len(), 3, "{problems:?}");
    }
}
