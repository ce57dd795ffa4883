//! `lang/php`: packages that Composer installed.

use serde::de::{MapAccess, SeqAccess};

use crate::extract::format::described::Described;
use crate::extract::format::json::{self, Element, Member, Names, Texts, Wanted};
use crate::extract::format::text;
use crate::extract::{ExtractError, Extractor, Found, Input, Interest, Report};
use crate::fs::FsPath;
use crate::limits::Limits;
use crate::package::PackageKind;

/// Reads `composer/installed.json`, in the folder of the installed packages: `vendor`, unless it was renamed.
#[derive(Clone, Copy, Debug)]
pub struct Php;

impl Extractor for Php {
    fn name(&self) -> &'static str {
        "lang/php"
    }

    fn description(&self) -> &'static str {
        "installed Composer packages"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Name("installed.json")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        path.components().rev().nth(1) == Some(b"composer")
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        report.database();
        let content = text::decoded(input.read_document()?);
        let mut installed = Installed {
            limits: input.limits(),
            emit: |finding| match finding {
                Ok(found) => report.package(found),
                Err(problem) => report.unknown(problem),
            },
        };
        if let Err(error) = json::read(&content, &mut installed) {
            report.unknown(crate::chain(&error));
        }
        Ok(())
    }
}

/// The packages: a list of them in Composer 1, and the member `packages` of an object since Composer 2.
#[derive(Debug)]
struct Installed<'a, F> {
    limits: &'a Limits,
    emit: F,
}

impl<F: FnMut(Result<Found, String>)> Wanted for Installed<'_, F> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, member: Member<'_, A>) -> Result<(), A::Error> {
        if name == "packages" { member.read(self) } else { member.skip() }
    }

    fn element<'de, A: SeqAccess<'de>>(&mut self, element: Element<'_, A>) -> Result<bool, A::Error> {
        let mut package = Package(Described::new(self.limits));
        let is_there = element.read(&mut package)?;
        if is_there {
            let found = package.0.found(PackageKind::Composer);
            (self.emit)(found.map(|found| Found { version: without_v(&found.version).to_owned(), ..found }));
        }
        Ok(is_there)
    }
}

/// The members of a package that are wanted: it is described as in its `composer.json` (getcomposer.org, "The
/// composer.json schema"), with the version that was installed.
#[derive(Debug)]
struct Package<'a>(Described<'a>);

impl Wanted for Package<'_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, member: Member<'_, A>) -> Result<(), A::Error> {
        let Self(package) = self;
        match name {
            "name" => member.read(&mut package.name),
            "version" => member.read(&mut package.version),
            "license" => member.read(&mut Texts(|text: &str| package.license(text))),
            "require" => member.read(&mut Names(|name: &str, _: Option<&str>| package.needs(name))),
            _ => member.skip(),
        }
    }
}

/// The version without the `v` that names of tags begin with: to Composer `v1.2` and `1.2` are the same.
fn without_v(version: &str) -> &str {
    match version.strip_prefix(['v', 'V']) {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_digit()) => rest,
        _ => version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::Details;

    fn packages(content: &str) -> (Vec<Found>, Vec<String>, bool) {
        let (mut packages, mut problems) = (Vec::new(), Vec::new());
        let limits = Limits::default();
        let emit = |finding| match finding {
            Ok(found) => packages.push(found),
            Err(problem) => problems.push(problem),
        };
        let outcome = json::read(content, &mut Installed { limits: &limits, emit });
        (packages, problems, outcome.is_ok())
    }

    const PACKAGE: &str = r#"{"name": "a/b", "version": "v1.2.0", "version_normalized": "1.2.0.0",
        "license": ["MIT", "GPL-2.0-only"], "require": {"php": ">=8", "c/d": "^1"}, "require-dev": {"x/y": "*"}}"#;

    #[test]
    fn both_forms_give_the_same() {
        let first = packages(&format!("[{PACKAGE}]"));
        let second =
            packages(&format!(r#"{{"packages": [{PACKAGE}], "dev": true, "dev-package-names": ["x/y"]}}"#));
        assert_eq!(first, second);
        let (found, problems, is_whole) = first;
        assert!(problems.is_empty() && is_whole, "{problems:?}");
        let details = Details {
            licenses: vec!["MIT".to_owned(), "GPL-2.0-only".to_owned()],
            depends_on: vec!["php".to_owned(), "c/d".to_owned()],
            ..Details::default()
        };
        assert_eq!(found, [Found { details, ..Found::new(PackageKind::Composer, "a/b", "1.2.0") }]);
    }

    #[test]
    fn a_damaged_package_costs_only_itself() {
        let content =
            format!(r#"{{"packages": [1, {{"name": "x/y"}}, {PACKAGE}, {{"version": "1"}}, {{"name":"#);
        let (found, problems, is_whole) = packages(&content);
        assert_eq!((found.len(), is_whole), (1, false));
        let expected = ["a package has no name", "package \"x/y\" has no version", "a package has no name"];
        assert_eq!(problems, expected);
    }

    #[test]
    fn only_a_version_of_digits_loses_its_v() {
        for (version, expected) in
            [("v1.0", "1.0"), ("1.0", "1.0"), ("dev-main", "dev-main"), ("vnext", "vnext")]
        {
            assert_eq!(without_v(version), expected);
        }
    }
}
