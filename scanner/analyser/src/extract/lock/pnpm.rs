//! `lock/pnpm`: what pnpm locks, in the versions 5, 6 and 9 of its file.
//!
//! Packages that are needed for development only are left out: versions 5 and 6 say so of each, in version 9 they are those
//! that no `dependencies` lead to. Links and directories are the application itself.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::extract::format::indented::{self, Line, entry};
use crate::extract::lock::lockfile::{self, Lock, Row, reachable};
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Reads `pnpm-lock.yaml`.
#[derive(Clone, Copy, Debug)]
pub struct Pnpm;

impl Extractor for Pnpm {
    fn name(&self) -> &'static str {
        "lock/pnpm"
    }

    fn description(&self) -> &'static str {
        "Node.js packages locked by pnpm"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("pnpm-lock.yaml")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        lockfile::is_an_applications(path)
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        lockfile::read(input, report, PackageKind::Npm, parse)
    }
}

pub(super) fn parse<'a>(text: &'a str, lock: &mut Lock<'a, '_>) {
    let mut document = Document::default();
    for line in indented::lines(text) {
        // pnpm 11 locks itself in a document before the application's.
        if line.text == "---" {
            std::mem::take(&mut document).finish(lock);
        } else {
            document.line(&line, lock);
        }
    }
    document.finish(lock);
}

/// What is wanted of one document.
#[derive(Debug, Default)]
struct Document {
    /// The first number of the file's version.
    version: u32,
    section: Section,
    /// What the lines at the indentations 2, 4 and 6 named last.
    field: String,
    dependency: String,
    is_wanted: bool,
    packages: Vec<Package>,
    snapshots: Vec<Package>,
    /// What the application itself depends on, not for development.
    roots: Vec<(String, String)>,
    has_importers: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Section {
    Packages,
    Snapshots,
    Importers,
    #[default]
    Other,
}

/// An entry of `packages`, or of `snapshots`.
#[derive(Debug, Default)]
struct Package {
    line: u64,
    key: String,
    name: Option<String>,
    version: Option<String>,
    is_dev: bool,
    is_directory: bool,
    /// Names, and what each resolves to.
    depends_on: Vec<(String, String)>,
}

impl Document {
    fn line(&mut self, line: &Line<'_>, lock: &mut Lock<'_, '_>) {
        // A list's items are nothing that is wanted.
        if line.text.starts_with("- ") {
            return;
        }
        let Some((key, value)) = entry(&line.text) else {
            return lock.unknown(format!("line {} is not an entry", line.number));
        };
        match (line.indent, self.section) {
            (0, _) => self.top(&key, &value),
            (2, Section::Packages) if lock.has_room(self.packages.len()) => {
                self.packages.push(Package::new(line, &key));
            }
            (2, Section::Snapshots) if lock.has_room(self.snapshots.len()) => {
                self.snapshots.push(Package::new(line, &key));
            }
            (_, Section::Packages) => {
                if let Some(package) = self.packages.last_mut() {
                    package.line(line.indent, (&key, &value), &mut self.field, lock);
                }
            }
            (_, Section::Snapshots) => {
                if let Some(snapshot) = self.snapshots.last_mut() {
                    snapshot.line(line.indent, (&key, &value), &mut self.field, lock);
                }
            }
            (4, Section::Importers) => {
                self.is_wanted = matches!(&*key, "dependencies" | "optionalDependencies");
            }
            (6, Section::Importers) => self.dependency = key.into_owned(),
            (8, Section::Importers)
                if self.is_wanted && key == "version" && lock.has_room(self.roots.len()) =>
            {
                self.roots.push((self.dependency.clone(), value.into_owned()));
            }
            _ => {}
        }
    }

    fn top(&mut self, key: &str, value: &str) {
        self.section = match key {
            "packages" => Section::Packages,
            "snapshots" => Section::Snapshots,
            "importers" => Section::Importers,
            _ => Section::Other,
        };
        self.has_importers |= self.section == Section::Importers;
        if key == "lockfileVersion" {
            self.version = value.split('.').next().and_then(|major| major.parse().ok()).unwrap_or_default();
        }
    }

    fn finish(self, lock: &mut Lock<'_, '_>) {
        if self.snapshots.is_empty() {
            for package in self.packages.iter().filter(|package| !package.is_dev) {
                package.finish(self.version, &package.depends_on, lock);
            }
            return;
        }
        let packages: HashMap<_, _> =
            self.packages.iter().map(|package| (&package.key[..], package)).collect();
        let index: HashMap<_, _> =
            self.snapshots.iter().enumerate().map(|(index, snapshot)| (&snapshot.key[..], index)).collect();
        let find = |(name, reference): &(String, String)| index.get(&*snapshot_key(name, reference)).copied();
        let all = if self.has_importers { 0..0 } else { 0..self.snapshots.len() };
        let reached =
            reachable(self.snapshots.len(), self.roots.iter().filter_map(find).chain(all), |node| {
                self.snapshots
                    .get(node)
                    .into_iter()
                    .flat_map(|from| &from.depends_on)
                    .filter_map(find)
                    .collect()
            });
        for (snapshot, _) in self.snapshots.iter().zip(reached).filter(|(_, is_reached)| *is_reached) {
            // The same package with other peers is another snapshot.
            let key = without_peers(&snapshot.key);
            packages.get(key).unwrap_or(&snapshot).finish(self.version, &snapshot.depends_on, lock);
        }
    }
}

impl Package {
    fn new(line: &Line<'_>, key: &str) -> Self {
        Self { line: line.number, key: key.to_owned(), ..Self::default() }
    }

    fn line(
        &mut self,
        indent: usize,
        (key, value): (&str, &str),
        field: &mut String,
        lock: &mut Lock<'_, '_>,
    ) {
        if indent == 4 {
            key.clone_into(field);
            match key {
                "name" => self.name = Some(value.to_owned()),
                "version" => self.version = Some(value.to_owned()),
                "dev" => self.is_dev = value == "true",
                "resolution" => self.is_directory = value.contains("type: directory"),
                _ => {}
            }
        } else if indent == 6 {
            match &field[..] {
                "dependencies" | "optionalDependencies" if lock.takes_name() => {
                    self.depends_on.push((key.to_owned(), value.to_owned()));
                }
                "resolution" if key == "type" => self.is_directory = value == "directory",
                _ => {}
            }
        }
    }

    fn finish(&self, version: u32, depends_on: &[(String, String)], lock: &mut Lock<'_, '_>) {
        if self.is_directory {
            return;
        }
        let in_key = split(&self.key, version);
        let named = |part: Option<&str>| part.filter(|part| !part.contains(':')).map(str::to_owned);
        let name = self.name.clone().or_else(|| named(in_key.map(|(name, _)| name)));
        let found = self.version.clone().or_else(|| named(in_key.map(|(_, version)| version)));
        let (Some(name), Some(found)) = (name, found) else {
            return lock.unknown(format!("the package at line {} has no name or no version", self.line));
        };
        let depends_on =
            depends_on.iter().map(|(name, reference)| Cow::Owned(real_name(name, reference, version)));
        lock.row(Row { depends_on: depends_on.collect(), ..Row::new(name, found) });
    }
}

/// Name and version in a key: `/name/1.0.0_peers` up to version 5, `/name@1.0.0(peers)` in version 6, `name@1.0.0(peers)`
/// since. Before version 9 a registry may stand before them.
fn split(key: &str, version: u32) -> Option<(&str, &str)> {
    let key = without_peers(key);
    let key = match key.strip_prefix('/') {
        Some(key) => key,
        None if version < 9 && !key.starts_with('@') => {
            key.split_once('/').filter(|(host, _)| host.contains('.')).map_or(key, |(_, rest)| rest)
        }
        None => key,
    };
    if version < 6 {
        let (name, version) = key.rsplit_once('/')?;
        return Some((name, version.split('_').next().unwrap_or_default()));
    }
    let at = key.char_indices().skip(1).find(|(_, character)| *character == '@')?.0;
    let (name, version) = key.split_at_checked(at)?;
    Some((name, version.strip_prefix('@')?))
}

fn without_peers(key: &str) -> &str {
    key.split('(').next().unwrap_or_default()
}

/// The snapshot that a dependency resolves to: under another name than its own it is the whole key.
fn snapshot_key<'a>(name: &str, reference: &'a str) -> Cow<'a, str> {
    let at = reference.find('@');
    let first = |what| reference.find(what).is_none_or(|place| at.is_some_and(|at| at < place));
    if reference.starts_with('@') || at.is_some() && first(':') && first('(') {
        Cow::Borrowed(reference)
    } else {
        Cow::Owned(format!("{name}@{reference}"))
    }
}

/// The package that a dependency names.
fn real_name(name: &str, reference: &str, version: u32) -> String {
    let key = match version {
        0..9 if reference.starts_with('/') => Cow::Borrowed(reference),
        0..9 => return name.to_owned(),
        _ => snapshot_key(name, reference),
    };
    split(&key, version).map_or(name, |(name, _)| name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::test::{only_rows, rows};

    #[test]
    fn version_5() {
        let text = "lockfileVersion: 5.4\n\nspecifiers:\n  a: ^1.0.0\n\ndependencies:\n  a: 1.0.0_react@17.0.2\n\n\
            packages:\n\n  /@s/b/2.0.0:\n    resolution: {integrity: sha512-00==}\n    dev: false\n\n  \
            /a/1.0.0_react@17.0.2:\n    resolution: {integrity: sha512-00==}\n    peerDependencies:\n      react: '*'\n    \
            dependencies:\n      '@s/b': 2.0.0\n      al: /c/3.0.0\n    deprecated: |-\n      old\n      : text\n    dev: false\n\n  \
            /d/1.0.0:\n    dev: true\n\n  registry.example.com/c/3.0.0:\n    os: [linux]\n    dev: false\n\n  \
            github.com/u/e/0123:\n    resolution: {tarball: https://example.com/e}\n    name: e\n    version: 4.0.0\n  \
            file:f:\n    resolution: {directory: f, type: directory}\n    name: f\n    version: 0.0.0\n";
        let expected = ["@s/b 2.0.0", "a 1.0.0 -> @s/b c", "c 3.0.0", "e 4.0.0"];
        assert_eq!(only_rows(PackageKind::Npm, text, parse), expected);
    }

    #[test]
    fn version_6() {
        let text = "lockfileVersion: '6.0'\n\nsettings:\n  autoInstallPeers: true\n\npackages:\n\n  \
            /@s/b@2.0.0(react@18.0.0):\n    resolution: {integrity: sha512-00==}\n    engines: {node: '>=6'}\n    \
            dependencies:\n      al: /c@3.0.0\n    dev: false\n\n  /c@3.0.0:\n    cpu:\n      - x64\n    dev: false\n\n  \
            /d@1.0.0:\n    dev: true\n";
        assert_eq!(only_rows(PackageKind::Npm, text, parse), ["@s/b 2.0.0 -> c", "c 3.0.0"]);
    }

    #[test]
    fn version_9() {
        let text = "---\nlockfileVersion: '9.0'\n\nimporters:\n\n  .:\n    dependencies:\n      '@s/b':\n        \
            specifier: ^2.0.0\n        version: 2.0.0(react@18.0.0)\n      w:\n        specifier: workspace:*\n        \
            version: link:packages/w\n    devDependencies:\n      d:\n        specifier: ^1.0.0\n        version: 1.0.0\n\n\
            packages:\n\n  '@s/b@2.0.0':\n    resolution: {integrity: sha512-00==}\n    peerDependencies:\n      react: '*'\n\n  \
            c@3.0.0:\n    resolution: {integrity: sha512-00==}\n    hasBin: true\n\n  \
            d@1.0.0:\n    resolution: {integrity: sha512-00==}\n\n  \
            e@https://codeload.example.com/e:\n    resolution: {tarball: https://codeload.example.com/e}\n    version: 4.0.0\n\n\
            snapshots:\n\n  '@s/b@2.0.0(react@18.0.0)':\n    dependencies:\n      al: c@3.0.0\n      \
            e: https://codeload.example.com/e\n\n  c@3.0.0: {}\n\n  d@1.0.0:\n    dependencies:\n      c: 3.0.0\n\n  \
            e@https://codeload.example.com/e: {}\n";
        let expected = ["@s/b 2.0.0 -> c e", "c 3.0.0", "e 4.0.0"];
        assert_eq!(only_rows(PackageKind::Npm, text, parse), expected);
    }

    #[test]
    fn what_a_reference_resolves_to() {
        for (reference, expected) in [
            ("1.0.0", "a@1.0.0"),
            ("1.0.0(b@2.0.0)", "a@1.0.0(b@2.0.0)"),
            ("b@1.0.0(c@2.0.0)", "b@1.0.0(c@2.0.0)"),
            ("@s/b@1.0.0", "@s/b@1.0.0"),
            ("https://user@example.com/a", "a@https://user@example.com/a"),
        ] {
            assert_eq!(snapshot_key("a", reference), expected);
        }
    }

    #[test]
    fn damage_costs_its_own_package() {
        let text = "lockfileVersion: '6.0'\npackages:\n  /a@1.0.0:\n  nothing:\n  \"\": x\n  /b@2.0.0:\n";
        let (rows, problems) = rows(PackageKind::Npm, text, parse);
        assert_eq!((rows, problems.len()), (vec!["a 1.0.0".to_owned(), "b 2.0.0".to_owned()], 2));
    }
}
