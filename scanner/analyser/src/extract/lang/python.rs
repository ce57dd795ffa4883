//! `lang/python`: installed Python distributions.
//!
//! Their metadata (packaging.python.org, "Core metadata specifications") has the form of the headers of a mail. It is read
//! as bytes that anybody may have written: a line that is no header is left out, and the others are kept.

use crate::extract::text::{self, Listed, shown};
use crate::extract::{ExtractError, Extractor, Found, Input, Interest, Report};
use crate::fs::FsPath;
use crate::limits::Limits;
use crate::package::{Certainty, Details, PackageKind};

/// Reads `*.dist-info/METADATA`, `*.egg-info/PKG-INFO`, `EGG-INFO/PKG-INFO`, and `*.egg-info` that is a file.
#[derive(Clone, Copy, Debug)]
pub struct Python;

impl Extractor for Python {
    fn name(&self) -> &'static str {
        "lang/python"
    }

    fn description(&self) -> &'static str {
        "installed Python packages"
    }

    fn interest(&self) -> &'static [Interest] {
        &[Interest::Suffix("metadata"), Interest::Suffix("pkg-info"), Interest::Suffix(".egg-info")]
    }

    fn wants(&self, path: &FsPath) -> bool {
        let mut names = path.components().rev();
        let (Some(file), folder) = (names.next(), names.next().unwrap_or_default()) else { return false };
        let in_egg_info = folder.eq_ignore_ascii_case(b"egg-info") || ends_with(folder, b".egg-info");
        (file.eq_ignore_ascii_case(b"metadata") && ends_with(folder, b".dist-info"))
            || (file.eq_ignore_ascii_case(b"pkg-info") && in_egg_info)
            || ends_with(file, b".egg-info")
    }

    fn extract(&self, input: &Input<'_>, report: &mut Report<'_>) -> Result<(), ExtractError> {
        let metadata = text::decoded(input.read_all()?);
        let requirements = requirements_beside(input, report);
        match found(&metadata, &requirements, &file_name_of(input.path()), input.limits()) {
            Ok(found) => report.package(found),
            Err(problem) => report.unknown(problem),
        }
        Ok(())
    }
}

/// What setuptools wrote down before metadata had `Requires-Dist`: the file `requires.txt` beside it.
fn requirements_beside(input: &Input<'_>, report: &mut Report<'_>) -> String {
    let is_egg = input.path().file_name().is_some_and(|name| name.eq_ignore_ascii_case(b"pkg-info"));
    if !is_egg {
        return String::new();
    }
    match input.read_side(&input.path().join("../requires.txt")) {
        Ok(content) => text::decoded(content.unwrap_or_default()),
        Err(error) => {
            report.unknown(format!("requires.txt: {}", crate::chain(&error)));
            String::new()
        }
    }
}

/// The part of the path that has name and version in it: `NAME-VERSION.dist-info`, `NAME-VERSION-py3.11.egg-info`.
fn file_name_of(path: &FsPath) -> String {
    let is_record = |name: &&[u8]| {
        [&b".dist-info"[..], b".egg-info", b".egg"].iter().any(|suffix| ends_with(name, suffix))
    };
    let name = path.components().rev().take(3).find(is_record).unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// Reads metadata of any bytes, for fuzzing: it must come back without a panic.
pub fn fuzz_python_metadata(content: &[u8]) {
    let content = text::decoded(content.to_vec());
    drop(found(&content, &content, "name-1.0.dist-info", &Limits::default()));
}

/// The distribution that metadata describes.
fn found(metadata: &str, requirements: &str, file_name: &str, limits: &Limits) -> Result<Found, String> {
    let Metadata { name, version, people, licenses, mut depends_on } = Metadata::read(metadata, limits);
    for requirement in required_always(requirements) {
        depends_on.add(&requirement, limits);
    }
    let certainty = match (&name, &version) {
        (Some(_), Some(_)) => Certainty::Recorded,
        _ => Certainty::Guessed,
    };
    let (guessed_name, guessed_version) = named_by(file_name);
    let name = text::needed("Name", name.or(guessed_name), limits)?;
    let version = text::needed("Version", version.or(guessed_version), limits)
        .map_err(|problem| format!("{:?} {problem}", shown(&name)))?;
    let details = Details {
        maintainer: people.into_iter().find_map(|person| text::optional(person, limits)),
        licenses: licenses.into_vec(),
        depends_on: depends_on.into_vec(),
        certainty,
        ..Details::default()
    };
    Ok(Found { details, ..Found::new(PackageKind::Pypi, name, version) })
}

/// The fields that are wanted.
#[derive(Debug)]
struct Metadata<'a> {
    name: Option<&'a str>,
    version: Option<&'a str>,
    /// Maintainer and author with their addresses, whoever is nearest to it first.
    people: [Option<&'a str>; 4],
    licenses: Listed,
    depends_on: Listed,
}

impl<'a> Metadata<'a> {
    fn read(metadata: &'a str, limits: &Limits) -> Self {
        let [mut name, mut version, mut license, mut expression] = [None; 4];
        let mut people = [None; 4];
        let (mut classified, mut depends_on) = (Listed::default(), Listed::default());
        for Header { name: field, value, continued } in headers(metadata) {
            let [maintainer, author, maintainer_email, author_email] = &mut people;
            // What was not known was written so once.
            if value.is_empty() || value == "UNKNOWN" {
                continue;
            }
            let slot = match field.to_ascii_lowercase().as_str() {
                "name" => &mut name,
                "version" => &mut version,
                "maintainer" => maintainer,
                "author" => author,
                "maintainer-email" => maintainer_email,
                "author-email" => author_email,
                "license-expression" => &mut expression,
                // Of more than one line it is the licence's own text.
                "license" if !continued => &mut license,
                "classifier" => {
                    if let Some(license) = classified_license(value) {
                        classified.add(license, limits);
                    }
                    continue;
                }
                "requires-dist" => {
                    if let Some(needed) = requirement(value) {
                        depends_on.add(&needed, limits);
                    }
                    continue;
                }
                _ => continue,
            };
            slot.get_or_insert(value);
        }
        // The expression says all; before there was one, people wrote what they liked beside the classifiers.
        let mut licenses = Listed::default();
        match (expression, license) {
            (Some(expression), _) => licenses.add(expression, limits),
            (None, license) => {
                licenses.add(license.unwrap_or_default(), limits);
                classified.into_vec().iter().for_each(|license| licenses.add(license, limits));
            }
        }
        Self { name, version, people, licenses, depends_on }
    }
}

/// One header.
#[derive(Debug, PartialEq, Eq)]
struct Header<'a> {
    name: &'a str,
    /// Of a field of many lines the first that has a text.
    value: &'a str,
    /// Whether it has more lines with text.
    continued: bool,
}

/// The headers up to the empty line at which the description begins. Lines that are none are left out.
fn headers(metadata: &str) -> impl Iterator<Item = Header<'_>> {
    let mut lines = metadata
        .split('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .skip_while(|line| line.is_empty())
        .peekable();
    std::iter::from_fn(move || {
        loop {
            let line = lines.next().filter(|line| !line.is_empty())?;
            let header = line.split_once(':').filter(|(name, _)| is_name(name));
            let Some((name, value)) = header else { continue };
            let mut header = Header { name, value: value.trim(), continued: false };
            while let Some(line) = lines.next_if(|line| line.starts_with([' ', '\t'])) {
                match line.trim() {
                    "" => {}
                    text if header.value.is_empty() => header.value = text,
                    _ => header.continued = true,
                }
            }
            return Some(header);
        }
    })
}

/// Names of headers are printable ASCII without space (RFC 822, section 3.2).
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The licence that a classifier names, such as `License :: OSI Approved :: MIT License`. `OSI Approved` alone is none.
fn classified_license(classifier: &str) -> Option<&str> {
    let mut parts = classifier.split("::").map(str::trim);
    let is_license = parts.next() == Some("License");
    parts.last().filter(|&last| is_license && last != "OSI Approved")
}

/// The name of a distribution that is needed (packaging.python.org, "Dependency specifiers"), as it is compared: for
/// `Foo_Bar[extra] (>=1.0) ; python_version < "3.8"` it is `foo-bar`. None for one that only a chosen extra needs.
fn requirement(specifier: &str) -> Option<String> {
    let (needed, marker) = specifier.split_once(';').unwrap_or((specifier, ""));
    let is_variable = |word: &str| word == "extra";
    if marker.split(|character: char| !character.is_ascii_alphanumeric() && character != '_').any(is_variable)
    {
        return None;
    }
    let needed = needed.trim_start();
    let is_in_name =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    let end = needed.find(|character| !is_in_name(character)).unwrap_or(needed.len());
    let name = needed.get(..end).unwrap_or_default();
    (!name.is_empty()).then(|| PackageKind::Pypi.compared_name(name).into_owned())
}

/// What `requires.txt` says is needed in any case (setuptools, "Egg metadata"): what comes before its first section, and
/// in sections such as `[:python_version < "3"]`, which name a marker and no extra.
fn required_always(requirements: &str) -> impl Iterator<Item = String> {
    let mut is_always = true;
    requirements.lines().filter_map(move |line| {
        if let Some(section) = line.trim_start().strip_prefix('[') {
            is_always = section.starts_with(':');
            return None;
        }
        if is_always { requirement(line) } else { None }
    })
}

/// Name and version in the name of a directory (packaging.python.org, "Recording installed projects"): hyphens separate
/// them and stand in neither.
fn named_by(file_name: &str) -> (Option<&str>, Option<&str>) {
    let stem = file_name.rsplit_once('.').map_or("", |(stem, _)| stem);
    let mut parts = stem.split('-');
    (parts.next(), parts.next())
}

fn ends_with(name: &[u8], suffix: &[u8]) -> bool {
    let tail = name.len().checked_sub(suffix.len()).and_then(|start| name.get(start..));
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(suffix))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(metadata: &str) -> Found {
        found(metadata, "", "", &Limits::default()).unwrap()
    }

    #[test]
    fn metadata_gives_a_distribution_as_it_is_recorded() {
        let found = read(
            "Metadata-Version: 2.1\r\nName: Flask_Cors \r\nVersion: 4.0.0\r\nSummary: a\r\n  Name: no\r\n\
             License: MIT\r\nAuthor: UNKNOWN\r\nAuthor-email: A <a@b>\r\n\
             Classifier: License :: OSI Approved :: MIT License\r\nClassifier: License :: OSI Approved\r\n\
             Classifier: Topic :: License\r\nRequires-Dist: Flask (>=0.9)\r\n\
             Requires-Dist: x; extra == 'y'\r\nRequires-Dist: a.B__c[d]>=1; python_version < '3'\r\n\r\nName: body\r\n",
        );
        let details = Details {
            maintainer: Some("A <a@b>".to_owned()),
            licenses: vec!["MIT".to_owned(), "MIT License".to_owned()],
            depends_on: vec!["flask".to_owned(), "a-b-c".to_owned()],
            ..Details::default()
        };
        assert_eq!(found, Found { details, ..Found::new(PackageKind::Pypi, "Flask_Cors", "4.0.0") });
    }

    #[test]
    fn an_expression_says_the_licence_alone_and_a_text_is_none() {
        let metadata = |license| format!("Name: a\nVersion: 1\n{license}\n");
        for (license, expected) in [
            ("License: x\nLicense-Expression: MIT OR Apache-2.0", &["MIT OR Apache-2.0"][..]),
            (
                "License: Copyright\n        All rights\nClassifier: License :: Public Domain",
                &["Public Domain"],
            ),
            ("License:\n  BSD\n", &["BSD"]),
            ("License: UNKNOWN", &[]),
        ] {
            assert_eq!(read(&metadata(license)).details.licenses, expected, "{license}");
        }
    }

    #[test]
    fn odd_lines_cost_only_themselves() {
        let found =
            read("\n\n continues nothing\nno header\n: no name\nNa me: x\nNAME:a\nname: b\nVersion: 1\n");
        assert_eq!((&found.name[..], &found.version[..]), ("a", "1"));
    }

    #[test]
    fn what_metadata_does_not_say_is_guessed_from_the_directory() {
        for (path, expected) in [
            ("/s/a_b-1.0.dist-info/METADATA", Some(("a_b", "1.0"))),
            ("/s/a-1.0-py3.11.egg-info", Some(("a", "1.0"))),
            ("/s/a-1.0-py3.11.egg/EGG-INFO/PKG-INFO", Some(("a", "1.0"))),
            ("/s/a.egg-info/PKG-INFO", None),
        ] {
            let name = file_name_of(&FsPath::new(path));
            let found = found("", "", &name, &Limits::default());
            let known = found.as_ref().ok().map(|found| (&found.name[..], &found.version[..]));
            assert_eq!(known, expected, "{path}");
            assert!(found.iter().all(|found| found.details.certainty == Certainty::Guessed));
        }
    }

    #[test]
    fn requirements_of_extras_are_left_out() {
        let requirements =
            "a>=1\n\n[:python_version < \"3\"]\nb\n[extra]\nc\n[extra:python_version < \"3\"]\nd\n";
        assert_eq!(required_always(requirements).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn records_are_known_by_their_place_in_any_case() {
        for (path, expected) in [
            ("/s/a-1.dist-info/METADATA", true),
            ("/s/A-1.DIST-INFO/metadata", true),
            ("/s/a.egg-info/PKG-INFO", true),
            ("/s/a.egg/EGG-INFO/PKG-INFO", true),
            ("/s/a-1-py3.9.egg-info", true),
            ("/s/a-1.dist-info/PKG-INFO", false),
            ("/s/METADATA", false),
            ("/PKG-INFO", false),
        ] {
            assert_eq!(Python.wants(&FsPath::new(path)), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(
            content in proptest::collection::vec(prop_oneof![Just('\n'), Just(':'), Just(' '), any::<char>()], 0..200),
        ) {
            let content = String::from_iter(content);
            if let Ok(found) = found(&content, &content, &content, &Limits::default()) {
                prop_assert!(!found.name.is_empty() && !found.version.is_empty());
            }
        }
    }
}
