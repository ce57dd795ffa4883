//! `lock/composer`: what Composer locks, without what is for development only. Paths are the application itself.

use crate::extract::lock::lockfile::{self, Lock, Row, json_entries};
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Reads `composer.lock`.
#[derive(Clone, Copy, Debug)]
pub struct Composer;

impl Extractor for Composer {
    fn name(&self) -> &'static str {
        "lock/composer"
    }

    fn description(&self) -> &'static str {
        "PHP packages locked by Composer"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("composer.lock")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        lockfile::is_an_applications(path)
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        lockfile::read(input, report, PackageKind::Composer, parse)
    }
}

pub(super) fn parse<'a>(text: &'a str, lock: &mut Lock<'a, '_>) {
    json_entries(text, &["packages"], lock, &mut |lock, _, _, package| {
        if package.get("dist").get("type").text().is_some_and(|kind| kind == "path") {
            return;
        }
        let text = |field| package.get(field).text().cloned().unwrap_or_default();
        lock.row(Row {
            depends_on: package.get("require").keys().cloned().collect(),
            licenses: package.get("license").texts().cloned().collect(),
            ..Row::new(text("name"), text("version"))
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::lock::lockfile::test::only_rows;

    #[test]
    fn packages_for_production() {
        let text = r#"{"_readme": [], "content-hash": "00",
            "packages": [
                {"name": "monolog/monolog", "version": "2.9.1", "require": {"php": ">=7.2", "psr/log": "^1.0"}, "license": ["MIT"]},
                {"name": "psr/log", "version": "v1.1.4", "extra": [], "authors": 7},
                {"name": "own/lib", "version": "dev-main", "dist": {"type": "path", "url": "../lib"}}
            ],
            "packages-dev": [{"name": "phpunit/phpunit", "version": "9.5.0"}]}"#;
        let expected = ["monolog/monolog 2.9.1 -> psr/log", "psr/log v1.1.4"];
        assert_eq!(only_rows(PackageKind::Composer, text, parse), expected);
    }
}
