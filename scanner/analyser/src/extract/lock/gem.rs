//! `lock/gem`: what Bundler locks.
//!
//! The file does not say which gems are needed for development only: all are listed. Paths are the application itself. A gem
//! that is locked for several platforms is one gem.

use crate::extract::lock::lockfile::{self, Lock, Row};
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Reads `Gemfile.lock` and `gems.locked`.
#[derive(Clone, Copy, Debug)]
pub struct Gem;

impl Extractor for Gem {
    fn name(&self) -> &'static str {
        "lock/gem"
    }

    fn description(&self) -> &'static str {
        "Ruby gems locked by Bundler"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("Gemfile.lock"), Interest::Name("gems.locked")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        lockfile::is_an_applications(path)
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        lockfile::read(input, report, PackageKind::Gem, parse)
    }
}

pub(super) fn parse<'a>(text: &'a str, lock: &mut Lock<'a, '_>) {
    let mut in_gems = false;
    let mut current: Option<Row<'a>> = None;
    for (number, line) in (1_u64..).zip(text.lines()) {
        let line = line.trim_end();
        let entry = line.trim_start_matches(' ');
        match line.len().saturating_sub(entry.len()) {
            0 if !entry.is_empty() => {
                in_gems = matches!(entry, "GEM" | "GIT" | "PLUGIN SOURCE");
                if ["<<<<<<<", "=======", ">>>>>>>"].iter().any(|mark| entry.starts_with(mark)) {
                    lock.unknown(format!("line {number} is the mark of a conflict"));
                }
            }
            4 if in_gems => {
                if let Some(row) = current.take() {
                    lock.row(row);
                }
                match gem(entry) {
                    Some((name, version)) => current = Some(Row::new(name, version)),
                    None => lock.unknown(format!("line {number} is not a gem")),
                }
            }
            6 if in_gems => {
                if let Some(row) = current.as_mut().filter(|_| lock.takes_name()) {
                    let name = entry.split(' ').next().unwrap_or_default();
                    row.depends_on.push(name.trim_end_matches('!').into());
                }
            }
            _ => {}
        }
    }
    if let Some(row) = current {
        lock.row(row);
    }
}

/// `name (version)` or `name (version-platform)`: versions have no hyphen.
fn gem(entry: &str) -> Option<(&str, &str)> {
    let (name, version) = entry.split_once(" (")?;
    let version = version.strip_suffix(')')?;
    Some((name, version.split('-').next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::test::{only_rows, rows};

    #[test]
    fn gems_of_all_sources() {
        let text = "GIT\n  remote: https://example.com/g\n  revision: 01\n  specs:\n    g (0.5)\n\n\
            PATH\n  remote: .\n  specs:\n    app (0.1.0)\n      nokogiri\n\n\
            GEM\n  remote: https://rubygems.org/\n  specs:\n    mini_portile2 (2.8.0)\n    nokogiri (1.13.8)\n      \
            mini_portile2 (~> 2.8.0)\n      racc (~> 1.4)\n    nokogiri (1.13.8-x86_64-linux)\n      racc (~> 1.4)\n    \
            racc (1.6.0.rc1)\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n  app!\n  nokogiri (= 1.13.8)\n\n\
            CHECKSUMS\n  racc (1.6.0) sha256=00\n\nBUNDLED WITH\n   2.3.7\n";
        let expected = [
            "g 0.5",
            "mini_portile2 2.8.0",
            "nokogiri 1.13.8 -> mini_portile2 racc",
            "nokogiri 1.13.8 -> racc",
            "racc 1.6.0.rc1",
        ];
        assert_eq!(only_rows(PackageKind::Gem, text, parse), expected);
    }

    #[test]
    fn damage_costs_its_own_gem() {
        let (rows, problems) = rows(PackageKind::Gem, "GEM\n  specs:\n    a (1\n    b (2)\n=======\n", parse);
        assert_eq!((rows, problems.len()), (vec!["b 2".to_owned()], 2));
    }
}
