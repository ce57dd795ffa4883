//! `lock/go`: the modules that a Go module requires.
//!
//! Since Go 1.17 `go.mod` lists all modules that are built; before it lists only those that are required directly. The
//! others are then taken from the `go.sum` beside it, which may have several versions of a module, of which the highest is
//! built. The main module is the application itself, as is a replacement by a directory. What is excluded needs no look:
//! Go never writes a requirement of it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::extract::lock::lockfile::{self, Lock, Row};
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Reads `go.mod`, and `go.sum` beside it.
#[derive(Clone, Copy, Debug)]
pub struct Go;

impl Extractor for Go {
    fn name(&self) -> &'static str {
        "lock/go"
    }

    fn description(&self) -> &'static str {
        "Go modules that a module requires"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("go.mod")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        lockfile::is_an_applications(path)
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        let content = input.read_small()?;
        let mut sums = Vec::new();
        if !Module::new(&String::from_utf8_lossy(&content), &mut |_| {}).is_complete() {
            match input.read_document_of_side(&input.path().join("../go.sum")) {
                Ok(content) => sums = content.unwrap_or_default(),
                Err(error) => report.unknown(format!("go.sum: {}", crate::chain(&error))),
            }
        }
        let sums = String::from_utf8_lossy(&sums);
        let parse = |text: &str, lock: &mut Lock<'_, '_>| parse_with(text, &sums, lock);
        lockfile::run(PackageKind::Golang, content, input.limits(), parse, &mut |finding| {
            lockfile::put(report, finding);
        });
        Ok(())
    }
}

/// Reads a `go.mod` that is its own `go.sum`, which is enough for fuzzing.
pub(super) fn parse<'a>(text: &'a str, lock: &mut Lock<'a, '_>) {
    parse_with(text, text, lock);
}

fn parse_with(text: &str, sums: &str, lock: &mut Lock<'_, '_>) {
    let module = Module::new(text, &mut |problem| lock.unknown(problem));
    for (path, version) in &module.required {
        let exactly = (path.clone(), Some(version.clone()));
        let replacement =
            module.replaced.get(&exactly).or_else(|| module.replaced.get(&(path.clone(), None)));
        match replacement {
            Some(Some((path, version))) => lock.row(Row::new(path.clone(), version.clone())),
            Some(None) => {}
            None => lock.row(Row::new(path.clone(), version.clone())),
        }
    }
    if module.is_complete() {
        return;
    }
    let replaced = module.replaced.keys().map(|(replaced, _)| replaced);
    let required = module.required.iter().map(|(path, _)| path);
    let known: HashSet<&str> = required
        .chain(replaced)
        .chain(module.replaced.values().flatten().map(|(by, _)| by))
        .map(String::as_str)
        .collect();
    for (path, version) in highest(sums) {
        if !known.contains(path) {
            lock.row(Row::new(path.to_owned(), version.to_owned()));
        }
    }
}

/// A module with its version; none if a directory takes its place.
type Replacement = Option<(String, String)>;

/// What a `go.mod` says.
#[derive(Debug, Default)]
struct Module {
    /// Of `go 1.17`, the second number; none if nothing is said.
    go: Option<u32>,
    required: Vec<(String, String)>,
    /// By module, and version if only that one is replaced.
    replaced: HashMap<(String, Option<String>), Replacement>,
}

impl Module {
    fn new(text: &str, unknown: &mut dyn FnMut(String)) -> Self {
        let mut module = Self::default();
        let mut block: Option<String> = None;
        for (number, line) in (1_u64..).zip(text.lines()) {
            let words = words(line);
            let words: Vec<&str> = words.iter().map(|word| &**word).collect();
            let is_understood = match (&block, words.as_slice()) {
                (_, []) => true,
                (Some(_), [")"]) => {
                    block = None;
                    true
                }
                (Some(directive), words) => module.directive(directive, words),
                (None, [directive, "("]) => {
                    block = Some((*directive).to_owned());
                    true
                }
                (None, [directive, words @ ..]) => module.directive(directive, words),
            };
            if !is_understood {
                unknown(format!("line {number} is not understood"));
            }
        }
        module
    }

    /// Whether all modules that are built are required (Go Modules Reference, "Module graph pruning").
    fn is_complete(&self) -> bool {
        self.go.is_some_and(|go| go >= 17)
    }

    fn directive(&mut self, directive: &str, words: &[&str]) -> bool {
        match (directive, words) {
            ("go", [version]) => {
                let mut numbers = version.split('.').map(|part| part.parse().unwrap_or_default());
                let major: u32 = numbers.next().unwrap_or_default();
                self.go = if major > 1 { Some(u32::MAX) } else { numbers.next() };
                true
            }
            ("require", [path, version]) => {
                self.required.push(((*path).to_owned(), (*version).to_owned()));
                true
            }
            ("replace", [path, rest @ ..]) => {
                let (version, by) = match rest {
                    ["=>", by @ ..] => (None, by),
                    [version, "=>", by @ ..] => (Some((*version).to_owned()), by),
                    _ => return false,
                };
                let by = match by {
                    [_directory] => None,
                    [by, version] => Some(((*by).to_owned(), (*version).to_owned())),
                    _ => return false,
                };
                self.replaced.insert(((*path).to_owned(), version), by);
                true
            }
            ("go" | "require" | "replace", _) => false,
            // What other directives say is not about what is built, or is not known yet.
            _ => true,
        }
    }
}

/// The words of a line, without a comment. A word may be in quotes (Go Modules Reference, "Lexical elements").
fn words(line: &str) -> Vec<Cow<'_, str>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with("//") {
        let quote = rest.chars().next().filter(|character| matches!(character, '"' | '`'));
        let (word, after) = match quote.and_then(|quote| rest.get(1..)?.split_once(quote)) {
            Some(quoted) => quoted,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(Cow::Borrowed(word));
        rest = after.trim_start();
    }
    words
}

/// The highest version of each module of a `go.sum` whose content, and not only whose `go.mod`, was needed.
fn highest(sums: &str) -> BTreeMap<&str, &str> {
    let mut highest: BTreeMap<&str, &str> = BTreeMap::new();
    for line in sums.lines() {
        let mut words = line.split_whitespace();
        let (Some(path), Some(version), Some(sum)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if version.ends_with("/go.mod") || !sum.starts_with("h1:") {
            continue;
        }
        let known = highest.entry(path).or_insert(version);
        if compare(version, known) == Ordering::Greater {
            *known = version;
        }
    }
    highest
}

/// Compares versions of modules (Semantic Versioning 2.0.0, section 11).
fn compare(a: &str, b: &str) -> Ordering {
    let parts = |version: &str| {
        let version = version.strip_prefix('v').unwrap_or(version);
        let version = version.split('+').next().unwrap_or_default().to_owned();
        let (release, pre) = version.split_once('-').unwrap_or((&version, ""));
        let number = |part: &str| part.parse::<u64>().unwrap_or_default();
        (release.split('.').map(number).collect::<Vec<_>>(), pre.to_owned())
    };
    let ((a_release, a_pre), (b_release, b_pre)) = (parts(a), parts(b));
    // Without a pre-release it is higher.
    let then = || match (a_pre.is_empty(), b_pre.is_empty()) {
        (true, other) => other.cmp(&true).reverse(),
        (false, true) => Ordering::Less,
        (false, false) => compare_pre(&a_pre, &b_pre),
    };
    a_release.cmp(&b_release).then_with(then)
}

/// Identifiers of digits are compared as numbers and lower than others; with more of them it is higher.
fn compare_pre(a: &str, b: &str) -> Ordering {
    let key = |part: &str| {
        let number = part.parse::<u64>().ok();
        (number.is_none(), number, part.to_owned())
    };
    a.split('.').map(key).cmp(b.split('.').map(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::test::{only_rows, rows};

    const SUMS: &str = "example.com/a v1.0.0 h1:00=\nexample.com/a v1.0.0/go.mod h1:00=\n\
        example.com/i v1.9.0 h1:00=\nexample.com/i v1.10.0-rc.1 h1:00=\nexample.com/i v1.10.0/go.mod h1:00=\n\
        example.com/r v1.0.0 h1:00=\n";

    fn module(go: &str) -> String {
        format!(
            "// comment\nmodule example.com/app\n\n{go}\n\nrequire example.com/a v1.0.0\n\nrequire (\n\t\
             example.com/b/v2 v2.3.4+incompatible // indirect\n\t\"example.com/r\" v1.0.0\n\texample.com/l v1.0.0\n\t\
             example.com/s v1.0.0\n)\n\nreplace (\n\texample.com/r => example.com/fork v1.2.0\n\texample.com/l v1.0.0 => ../l\n)\n\
             replace example.com/s v9.0.0 => ./s\nexclude example.com/a v0.9.0\nretract [v1.0.0, v1.1.0] // why\n"
        )
    }

    #[test]
    fn required_and_replaced_modules() {
        let text = module("go 1.22.1\ntoolchain go1.22.2");
        let expected = [
            "example.com/a v1.0.0",
            "example.com/b/v2 v2.3.4+incompatible",
            "example.com/fork v1.2.0",
            "example.com/s v1.0.0",
        ];
        assert_eq!(only_rows(PackageKind::Golang, &text, parse), expected);
    }

    #[test]
    fn before_1_17_the_rest_is_in_the_sums() {
        for (go, expected) in [("go 1.16", 5), ("", 5), ("go 1.17", 4), ("go 2", 4)] {
            let mut found = Vec::new();
            let text = module(go);
            let limits = crate::limits::Limits::default();
            let parse = |text: &str, lock: &mut Lock<'_, '_>| parse_with(text, SUMS, lock);
            lockfile::run(PackageKind::Golang, text.into(), &limits, parse, &mut |finding| {
                let row = finding.unwrap();
                found.push(format!("{} {}", row.name, row.version));
            });
            assert_eq!(found.len(), expected, "{go}: {found:?}");
            assert_eq!(found.contains(&"example.com/i v1.10.0-rc.1".to_owned()), expected == 5);
        }
    }

    #[test]
    fn lines_that_are_not_understood_are_reported() {
        let text = "go 1.20\nrequire a\nrequire (\nb v1\nc v1 d\n)\nreplace e f g\n";
        let (rows, problems) = rows(PackageKind::Golang, text, parse);
        assert_eq!((rows, problems.len()), (vec!["b v1".to_owned()], 3), "{problems:?}");
    }

    #[test]
    fn versions_are_in_order() {
        let order = [
            "v0.0.0-2020",
            "v0.0.0-3",
            "v0.0.0-a",
            "v0.0.0",
            "v1.2.3-rc.1",
            "v1.2.3-rc.1.1",
            "v1.2.3",
            "v1.10.0",
        ];
        let mut order = order.to_vec();
        order.swap(0, 1);
        for pair in order.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        assert_eq!(compare("v1.0.0", "v1.0.0+incompatible"), Ordering::Equal);
    }

    #[test]
    fn many_replacements_and_many_sums_take_no_time() {
        use std::fmt::Write as _;

        let mut text = String::from("module m\n");
        let mut sums = String::new();
        for number in 0..20_000 {
            writeln!(text, "replace r{number} => ../r").unwrap();
            writeln!(sums, "s{number} v1 h1:x").unwrap();
        }
        let began = std::time::Instant::now();
        let parse = |text: &str, lock: &mut Lock<'_, '_>| parse_with(text, &sums, lock);
        let mut rows = 0;
        lockfile::run(
            PackageKind::Golang,
            text.into(),
            &crate::limits::Limits::default(),
            parse,
            &mut |finding| rows += u32::from(finding.is_ok()),
        );
        assert_eq!(rows, 20_000);
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
    }
}
