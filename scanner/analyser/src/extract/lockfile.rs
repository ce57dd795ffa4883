//! What the readers of lock files share.

use std::borrow::Cow;
use std::collections::HashMap;

use super::document::Value;
use super::{ExtractError, Found, Input, Report};
use crate::fs::{FsError, FsPath};
use crate::limits::Limits;
use crate::package::{Details, PackageKind, Record};

/// Directories that package managers fill, one component each; `*` stands for any name.
const INSTALLED: &[&[&str]] = &[
    // Node.js.
    &["node_modules"],
    // Python.
    &["site-packages"],
    &["dist-packages"],
    // Ruby: `vendor/bundle`, `lib/ruby/gems/3.1.0/gems`, gems from git, and Debian's.
    &["vendor", "bundle"],
    &["gems", "*", "gems"],
    &["bundler", "gems"],
    &["rubygems-integration"],
    // Go's module cache.
    &["pkg", "mod"],
    // Cargo's home, and what `cargo vendor` copies.
    &["registry", "src"],
    &["git", "checkouts"],
    &["vendor", "*", "Cargo.lock"],
    // Composer.
    &["vendor", "*", "*", "composer.lock"],
    // Java: what a build tool wrote into an archive that was unpacked, and Maven's repository.
    &["META-INF", "maven"],
    &[".m2", "repository"],
];

/// Whether a lock file is an application's own. Many packages are published with the lock file of their developers, who
/// pinned what they built and tested it with: nothing of that is installed with the package.
pub(super) fn is_an_applications(path: &FsPath) -> bool {
    let components: Vec<&[u8]> = path.components().collect();
    let is_at = |start: usize, pattern: &[&str]| {
        let part = components.get(start..).unwrap_or_default();
        part.len() >= pattern.len()
            && part.iter().zip(pattern).all(|(name, wanted)| *wanted == "*" || *name == wanted.as_bytes())
    };
    !(0..components.len()).any(|start| INSTALLED.iter().any(|pattern| is_at(start, pattern)))
}

/// What a lock file gives: a package, or what cannot be understood, and where.
pub(super) type Finding = Result<Found, String>;

/// How a format is read.
pub(super) type Parse = for<'a> fn(&'a str, &mut Lock<'a, '_>);

/// One locked package.
#[derive(Clone, Debug, Default)]
pub(super) struct Row<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) version: Cow<'a, str>,
    /// Names; those that the file does not lock are left out later.
    pub(super) depends_on: Vec<Cow<'a, str>>,
    pub(super) licenses: Vec<Cow<'a, str>>,
}

impl<'a> Row<'a> {
    pub(super) fn new(name: impl Into<Cow<'a, str>>, version: impl Into<Cow<'a, str>>) -> Self {
        Self { name: name.into(), version: version.into(), ..Self::default() }
    }
}

/// A lock file while it is read.
pub(super) struct Lock<'a, 'e> {
    rows: Vec<Row<'a>>,
    /// Whether there was more than may be kept.
    is_full: bool,
    limits: &'e Limits,
    emit: &'e mut dyn FnMut(Finding),
}

impl<'a> Lock<'a, '_> {
    /// A package to be installed.
    pub(super) fn row(&mut self, row: Row<'a>) {
        if self.has_room(self.rows.len()) {
            self.rows.push(row);
        }
    }

    /// What may have been a package.
    pub(super) fn unknown(&mut self, reason: String) {
        (self.emit)(Err(reason));
    }

    /// Whether one more may be kept beside so many. A target has no more packages than its limit: whatever a file has
    /// beyond them costs no memory.
    pub(super) fn has_room(&mut self, kept: usize) -> bool {
        let limit = self.limits.packages;
        let has_room = agentless_core::number::to_u64(kept) < limit;
        if !has_room && !std::mem::replace(&mut self.is_full, true) {
            self.unknown(format!(
                "more than {limit} entries, the limit (`packages`): the others were not read"
            ));
        }
        has_room
    }

    pub(super) fn limits(&self) -> &Limits {
        self.limits
    }

    fn finish(self, kind: PackageKind) {
        let Self { rows, is_full: _, limits, emit } = self;
        let names: HashMap<_, _> =
            rows.iter().map(|row| (kind.compared_name(&row.name), &row.name)).collect();
        for row in &rows {
            if let Some(problem) = problem(row, limits) {
                emit(Err(problem));
                continue;
            }
            let there = |name: &Cow<'_, str>| Some(names.get(&kind.compared_name(name))?.to_string());
            let mut depends_on: Vec<_> = row.depends_on.iter().filter_map(there).collect();
            depends_on.sort_unstable();
            depends_on.dedup();
            let licenses = row.licenses.iter().filter(|license| is_text(license, limits));
            let details = Details {
                depends_on,
                licenses: licenses.map(ToString::to_string).collect(),
                record: Record::Locked,
                ..Details::default()
            };
            emit(Ok(Found { details, ..Found::new(kind, &*row.name, &*row.version) }));
        }
    }
}

/// Reads a lock file whose packages are all of one kind.
pub(super) fn read(
    input: &Input<'_>,
    report: &mut Report<'_>,
    kind: PackageKind,
    parse: Parse,
) -> Result<(), ExtractError> {
    let content = content(input)?;
    run(kind, &content, input.limits(), parse, &mut |finding| put(report, finding));
    Ok(())
}

/// The bytes of a lock file.
pub(super) fn content(input: &Input<'_>) -> Result<Vec<u8>, ExtractError> {
    let limit = input.limits().lock_bytes;
    if input.size() > limit {
        return Err(FsError::Limit { what: "the size of a lock file (`lock_bytes`)", limit }.into());
    }
    Ok(input.read_all()?)
}

/// Reports a finding.
pub(super) fn put(report: &mut Report<'_>, finding: Finding) {
    match finding {
        Ok(found) => report.package(found),
        Err(problem) => report.unknown(problem),
    }
}

/// Reads the content of a lock file.
pub(super) fn run(
    kind: PackageKind,
    content: &[u8],
    limits: &Limits,
    parse: impl for<'a> FnOnce(&'a str, &mut Lock<'a, '_>),
    emit: &mut dyn FnMut(Finding),
) {
    let text = String::from_utf8_lossy(content);
    if let Cow::Owned(_) = text {
        emit(Err("it is not UTF-8".to_owned()));
    }
    let mut lock = Lock { rows: Vec::new(), is_full: false, limits, emit };
    // Programs for Windows begin a file with a byte order mark.
    parse(text.strip_prefix('\u{feff}').unwrap_or(&text), &mut lock);
    lock.finish(kind);
}

fn problem(row: &Row<'_>, limits: &Limits) -> Option<String> {
    let is_word = |text: &str| is_text(text, limits) && !text.contains(char::is_whitespace);
    if is_word(&row.name) && is_word(&row.version) {
        return None;
    }
    let shown = |text: &str| text.chars().take(64).collect::<String>();
    Some(format!("{:?}, version {:?}: not a package", shown(&row.name), shown(&row.version)))
}

fn is_text(text: &str, limits: &Limits) -> bool {
    !text.is_empty() && text.len() <= limits.field_bytes && !text.contains(char::is_control)
}

/// Calls `stanza` for each `[[section]]` of a TOML document, with the number of its first line.
///
/// The stanzas are read one by one: a damaged one costs itself, and a large file no more memory than its largest one.
pub(super) fn toml_stanzas<'a>(
    text: &'a str,
    section: &str,
    lock: &mut Lock<'a, '_>,
    stanza: &mut dyn FnMut(&mut Lock<'a, '_>, &Value<'_>),
) {
    let header = format!("[[{section}]]");
    let parts = [format!("[{section}."), format!("[[{section}.")];
    let mut start = None;
    let mut next = 0_usize;
    let lines = text.split_inclusive('\n').map(Some).chain([None]);
    for (number, line) in (1_u64..).zip(lines) {
        let offset = next;
        next = next.saturating_add(line.map_or(0, str::len));
        let is_header = line.is_some_and(|line| {
            let line = line.trim();
            line.strip_prefix(&header).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '#']))
        });
        let ends = line.is_none_or(|line| {
            is_header || line.starts_with('[') && !parts.iter().any(|part| line.starts_with(part))
        });
        if !ends {
            continue;
        }
        if let Some((from, first)) = start.take() {
            let part = text.get(from..offset).unwrap_or_default();
            match toml_stanza(part, lock.limits()) {
                Ok(value) => {
                    stanza(lock, value.get(section).list().first().unwrap_or(&Value::Other));
                }
                Err(problem) => lock.unknown(format!("[[{section}]] at line {first}: {problem}")),
            }
        }
        if is_header {
            start = Some((offset, number));
        }
    }
}

fn toml_stanza<'a>(text: &'a str, limits: &Limits) -> Result<Value<'a>, String> {
    let limit = limits.small_file_bytes;
    if agentless_core::number::to_u64(text.len()) > limit {
        return Err(format!("more than {limit} bytes, the limit (`small_file_bytes`)"));
    }
    let parsed = toml::Deserializer::parse(text).and_then(serde::de::Deserialize::deserialize);
    parsed.map_err(|error| error.message().to_owned())
}

/// Which of so many nodes can be reached from some of them.
pub(super) fn reachable(
    nodes: usize,
    roots: impl IntoIterator<Item = usize>,
    edges: impl Fn(usize) -> Vec<usize>,
) -> Vec<bool> {
    let mut reached = vec![false; nodes];
    let mut open: Vec<usize> = roots.into_iter().collect();
    while let Some(node) = open.pop() {
        if let Some(seen @ false) = reached.get_mut(node) {
            *seen = true;
            open.extend(edges(node));
        }
    }
    reached
}

/// What a format gives of a text, for tests.
#[cfg(test)]
pub(super) mod test {
    use super::*;

    /// `name version`, with ` -> a b` if it depends on something.
    pub(in crate::extract) fn rows(
        kind: PackageKind,
        text: &str,
        parse: Parse,
    ) -> (Vec<String>, Vec<String>) {
        let (mut rows, mut problems) = (Vec::new(), Vec::new());
        run(kind, text.as_bytes(), &Limits::default(), parse, &mut |finding| match finding {
            Ok(Found { name, version, details, .. }) => {
                assert_eq!(details.record, Record::Locked);
                let mut row = format!("{name} {version}");
                if !details.depends_on.is_empty() {
                    row = format!("{row} -> {}", details.depends_on.join(" "));
                }
                rows.push(row);
            }
            Err(problem) => problems.push(problem),
        });
        (rows, problems)
    }

    /// The rows of a text without problems.
    #[track_caller]
    pub(in crate::extract) fn only_rows(kind: PackageKind, text: &str, parse: Parse) -> Vec<String> {
        let (rows, problems) = rows(kind, text, parse);
        assert_eq!(problems, [""; 0]);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_files_of_installed_packages_are_told_apart() {
        for path in [
            "/srv/a/package-lock.json",
            "/package-lock.json",
            "/home/vendor/app/composer.lock",
            "/srv/vendor/Cargo.lock",
            "/srv/gems/Gemfile.lock",
            "/home/git/checkout/go.mod",
        ] {
            assert!(is_an_applications(&FsPath::new(path)), "{path}");
        }
        for path in [
            "/srv/a/node_modules/b/yarn.lock",
            "/usr/lib/python3/dist-packages/x/requirements.txt",
            "/srv/a/vendor/bundle/ruby/3.1.0/gems/x-1/Gemfile.lock",
            "/var/lib/gems/3.1.0/gems/x-1/Gemfile.lock",
            "/root/go/pkg/mod/example.com/x@v1/go.mod",
            "/usr/local/cargo/registry/src/index/x-1/Cargo.lock",
            "/srv/a/vendor/x/Cargo.lock",
            "/srv/a/vendor/x/y/composer.lock",
            "/srv/a/META-INF/maven/g/a/pom.xml",
        ] {
            assert!(!is_an_applications(&FsPath::new(path)), "{path}");
        }
    }

    #[test]
    fn a_damaged_stanza_costs_itself() {
        let text = "version = 1\n[[package]]\nname = 'a'\n[package.x]\ny = 1\n[[package]] # b\nname = \n\
                    [[package]]\nname = \"c\"\n[metadata]\nname = 'd'\n[[packages]]\nname = 'e'";
        let mut names = Vec::new();
        let mut problems = Vec::new();
        run(
            PackageKind::Cargo,
            text.as_bytes(),
            &Limits::default(),
            |text, lock| {
                toml_stanzas(text, "package", lock, &mut |_, value| {
                    names.push(value.get("name").text().unwrap().to_string());
                });
            },
            &mut |finding| problems.push(finding.unwrap_err()),
        );
        assert_eq!(names, ["a", "c"]);
        assert!(problems.len() == 1 && problems[0].contains("at line 6: "), "{problems:?}");
    }

    #[test]
    fn fields_that_cannot_be_are_reported() {
        let parse: Parse = |_, lock| {
            for (name, version) in [("a", "1"), ("", "1"), ("b", ""), ("c d", "1"), ("e", "\u{7}")] {
                lock.row(Row::new(name, version));
            }
            lock.row(Row::new("f".repeat(5000), "1"));
        };
        let (rows, problems) = test::rows(PackageKind::Npm, "", parse);
        assert_eq!(rows, ["a 1"]);
        assert_eq!(problems.len(), 5);
    }
}
