//! `lang/conda`: packages that Conda installed.

use serde::de::MapAccess;

use crate::extract::format::described::Described;
use crate::extract::format::json::{self, Member, Texts, Wanted};
use crate::extract::format::text;
use crate::extract::{ExtractError, Extractor, Input, Interest, Report};
use crate::fs::FsPath;
use crate::package::PackageKind;

/// Reads the files in `conda-meta`, which each environment has: one for each package.
#[derive(Clone, Copy, Debug)]
pub struct Conda;

impl Extractor for Conda {
    fn name(&self) -> &'static str {
        "lang/conda"
    }

    fn description(&self) -> &'static str {
        "installed Conda packages"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Suffix(".json")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        path.components().rev().nth(1) == Some(b"conda-meta")
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        let content = text::decoded(input.read_document()?);
        let mut package = Package(Described::new(input.limits()));
        let outcome = json::read(&content, &mut package);
        match package.0.found(PackageKind::Conda) {
            Ok(found) => report.package(found),
            Err(problem) => report.unknown(problem),
        }
        if let Err(error) = outcome {
            report.unknown(crate::chain(&error));
        }
        Ok(())
    }
}

/// The members of a package's record that are wanted (docs.conda.io, "Package metadata").
#[derive(Debug)]
struct Package<'a>(Described<'a>);

impl Wanted for Package<'_> {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, member: Member<'_, A>) -> Result<(), A::Error> {
        let Self(package) = self;
        match name {
            "name" => member.read(&mut package.name),
            "version" => member.read(&mut package.version),
            "license" => member.read(&mut Texts(|text: &str| package.license(text))),
            // A name, and which versions and builds of it will do: `python >=3.8,<3.9.0a0`.
            "depends" => member.read(&mut Texts(|text: &str| {
                package.needs(text.split_ascii_whitespace().next().unwrap_or_default());
            })),
            _ => member.skip(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::Found;
    use crate::limits::Limits;
    use crate::package::Details;

    #[test]
    fn a_record_gives_a_package_and_what_it_needs() {
        let content = r#"{"build": "py38_0", "build_number": 0, "depends": ["python >=3.8,<3.9.0a0", "libzlib"],
            "files": ["lib/a.py"], "license": "BSD-3-Clause", "name": "a", "version": "1.0", "timestamp": 1.5e12}"#;
        let limits = Limits::default();
        let mut package = Package(Described::new(&limits));
        json::read(content, &mut package).unwrap();
        let details = Details {
            licenses: vec!["BSD-3-Clause".to_owned()],
            depends_on: vec!["python".to_owned(), "libzlib".to_owned()],
            ..Details::default()
        };
        let expected = Found { details, ..Found::new(PackageKind::Conda, "a", "1.0") };
        assert_eq!(package.0.found(PackageKind::Conda), Ok(expected));
    }

    #[test]
    fn only_the_files_of_an_environment_are_read() {
        assert!(Conda.wants(&FsPath::new("/opt/conda/conda-meta/a-1.0-py38_0.json")));
        assert!(!Conda.wants(&FsPath::new("/opt/conda/pkgs/a-1.0-py38_0/info/index.json")));
    }
}
