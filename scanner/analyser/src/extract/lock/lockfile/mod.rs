//! What the readers of lock files share.

mod application;
mod installed;
mod sections;

use std::borrow::Cow;
use std::collections::HashMap;

use crate::extract::format::text::{self, shown};
use crate::extract::{ExtractError, Found, Input, Report};
use crate::limits::Limits;
use crate::package::{Details, PackageKind, Record};

pub(super) use application::is_an_applications;
pub(in crate::extract) use installed::leave_out_installed;
pub(super) use sections::{json_entries, toml_stanzas};

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
    /// Names that may still be kept beside those of the packages: what each needs, its licences. `None` if there were more.
    names_left: Option<u64>,
    limits: &'e Limits,
    emit: &'e mut dyn FnMut(Finding),
}

impl<'a> Lock<'a, '_> {
    /// A package to be installed.
    pub(super) fn row(&mut self, mut row: Row<'a>) {
        if self.has_room(self.rows.len()) {
            for names in [&mut row.depends_on, &mut row.licenses] {
                let kept = names.iter().take_while(|_| self.takes_name()).count();
                names.truncate(kept);
                names.shrink_to_fit();
            }
            self.rows.push(row);
        }
    }

    /// Whether one more name may be kept of what packages need. They are many more than the packages, and each costs several
    /// times its bytes of memory.
    pub(super) fn takes_name(&mut self) -> bool {
        let Some(left) = self.names_left else { return false };
        self.names_left = left.checked_sub(1);
        if self.names_left.is_none() {
            let limit = self.limits.relations;
            self.unknown(format!(
                "more than {limit} names of what packages need, the limit (`relations`): the others were not read"
            ));
        }
        self.names_left.is_some()
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
        let Self { rows, is_full: _, names_left: _, limits, emit } = self;
        // A name that is too long for a package is not repeated for each package that needs it.
        let packages = rows.iter().filter(|row| is_text(&row.name, limits));
        let names: HashMap<_, _> = packages.map(|row| (kind.compared_name(&row.name), &row.name)).collect();
        for row in &rows {
            if let Some(problem) = problem(row, limits) {
                emit(Err(problem));
                continue;
            }
            let there = |name: &Cow<'_, str>| Some(&***names.get(&kind.compared_name(name))?);
            let mut depends_on: Vec<&str> = row.depends_on.iter().filter_map(there).collect();
            // A long name may be meant by a short one, and be meant a million times.
            depends_on.sort_unstable();
            depends_on.dedup();
            let licenses = row.licenses.iter().filter(|license| is_text(license, limits));
            let details = Details {
                depends_on: depends_on.into_iter().map(str::to_owned).collect(),
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
    let content = input.read_document()?;
    run(kind, content, input.limits(), parse, &mut |finding| put(report, finding));
    Ok(())
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
    content: Vec<u8>,
    limits: &Limits,
    parse: impl for<'a> FnOnce(&'a str, &mut Lock<'a, '_>),
    emit: &mut dyn FnMut(Finding),
) {
    if str::from_utf8(&content).is_err() {
        emit(Err("it is not UTF-8".to_owned()));
    }
    let text = text::decoded(content);
    let names_left = Some(limits.relations);
    let mut lock = Lock { rows: Vec::new(), is_full: false, names_left, limits, emit };
    parse(&text, &mut lock);
    lock.finish(kind);
}

fn problem(row: &Row<'_>, limits: &Limits) -> Option<String> {
    let is_word =
        |text: &str| is_text(text, limits) && !text.contains(char::is_whitespace) && !text.contains("://");
    if is_word(&row.name) && is_word(&row.version) {
        return None;
    }
    // Nothing of what is no version: it may be the address of a repository, with the password for it.
    let what = if is_word(&row.name) { "version" } else { "name" };
    Some(format!("{:?} has a {what} that no package has", shown(&row.name)))
}

fn is_text(text: &str, limits: &Limits) -> bool {
    !text.is_empty() && text.len() <= limits.field_bytes && !text.contains(char::is_control)
}

/// Which of so many nodes can be reached from some of them.
pub(super) fn reachable(
    nodes: usize,
    roots: impl IntoIterator<Item = usize>,
    edges: impl Fn(usize) -> Vec<usize>,
) -> Vec<bool> {
    let mut reached = vec![false; nodes];
    // Each is marked when it is first met, so that no more of them wait than there are.
    let mut is_new =
        |node: &usize| reached.get_mut(*node).is_some_and(|seen: &mut bool| !std::mem::replace(seen, true));
    let mut open: Vec<usize> = roots.into_iter().filter(&mut is_new).collect();
    while let Some(node) = open.pop() {
        open.extend(edges(node).into_iter().filter(&mut is_new));
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
        run(kind, text.into(), &Limits::default(), parse, &mut |finding| match finding {
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

    #[test]
    fn packages_that_all_need_each_other_are_met_once() {
        const NODES: usize = 20_000;
        let reached = reachable(NODES, [0], |node| vec![NODES - 1 - node, node + 1, node, 0]);
        assert!(reached.iter().all(|reached| *reached));
        // As many edges as pairs would be two gigabytes of them.
        assert!(reachable(3000, 0..3000, |_| (0..3000).collect()).iter().all(|reached| *reached));
    }

    #[test]
    fn a_name_that_no_package_has_is_not_repeated_by_those_that_need_it() {
        let long = format!("a{}b", "-".repeat(1 << 20));
        let mut longest = 0;
        let parse = |_: &str, lock: &mut Lock<'_, '_>| {
            lock.row(Row::new(long.clone(), "1"));
            lock.row(Row { depends_on: vec!["a-b".into()], ..Row::new("c", "1") });
        };
        run(PackageKind::Pypi, Vec::new(), &Limits::default(), parse, &mut |finding| {
            longest = longest.max(finding.map_or_else(|problem| problem.len(), |found| found.text()));
        });
        assert!(longest < 1000, "{longest}");
    }

    #[test]
    fn toml_is_read_to_a_bounded_depth() {
        let deep = ["[".repeat(200_000), "{a=".repeat(200_000), format!("a{} = 1", ".a".repeat(200_000))];
        let table = format!("[package{}]\nb = 1", ".a".repeat(200_000));
        for text in deep
            .map(|value| if value.ends_with('1') { value } else { format!("a = {value}") })
            .into_iter()
            .chain([table])
        {
            let mut problems = Vec::new();
            let text = format!("[[package]]\nname = 'a'\n{text}\n[[package]]\nname = 'b'\n");
            run(
                PackageKind::Cargo,
                text.clone().into(),
                &Limits::default(),
                |text, lock| toml_stanzas(text, "package", lock, &mut |_, _| {}),
                &mut |finding| problems.push(finding.unwrap_err()),
            );
            assert_eq!(problems.len(), 1, "{text:.40}");
        }
    }
}
