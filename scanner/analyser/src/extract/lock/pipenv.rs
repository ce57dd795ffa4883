//! `lock/pipenv`: what Pipenv locks, without what is for development only.

use crate::extract::format::text::shown;
use crate::extract::lock::lockfile::{self, Lock, Row, json_entries};
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Reads `Pipfile.lock`.
#[derive(Clone, Copy, Debug)]
pub struct Pipenv;

impl Extractor for Pipenv {
    fn name(&self) -> &'static str {
        "lock/pipenv"
    }

    fn description(&self) -> &'static str {
        "Python packages locked by Pipenv"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("Pipfile.lock")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        lockfile::is_an_applications(path)
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        lockfile::read(input, report, PackageKind::Pypi, parse)
    }
}

pub(super) fn parse<'a>(text: &'a str, lock: &mut Lock<'a, '_>) {
    json_entries(text, &["default"], lock, &mut |lock, _, name, package| {
        match package.get("version").text().and_then(|version| version.strip_prefix("==")) {
            Some(version) => lock.row(Row::new(name, version.to_owned())),
            // A directory is the application itself.
            None if package.get("path").text().is_some() => {}
            None => lock.unknown(format!("{:?} has no version", shown(&name))),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::test::rows;

    #[test]
    fn packages_of_the_default_category() {
        let text = r#"{"_meta": {"hash": {"sha256": "00"}, "sources": []},
            "default": {"flask": {"hashes": ["sha256:00"], "index": "pypi", "version": "==2.0.1"},
                        "app": {"editable": true, "path": "."}, "g": {"git": "https://example.com/g", "ref": "01"}},
            "develop": {"pytest": {"version": "==7.0"}}}"#;
        let (rows, problems) = rows(PackageKind::Pypi, text, parse);
        assert_eq!(
            (rows, problems),
            (vec!["flask 2.0.1".to_owned()], vec!["\"g\" has no version".to_owned()])
        );
    }
}
