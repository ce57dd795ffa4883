//! What a distribution says of itself.
//!
//! Metadata (packaging.python.org, "Core metadata specifications") has the form of the headers of a mail. It is read as
//! text that anybody may have written: a line that is no header is left out, and the others are kept.

use super::requirement::{required_always, requirement};
use crate::extract::Found;
use crate::extract::format::text::{self, Listed, shown};
use crate::limits::Limits;
use crate::package::{Certainty, Details, PackageKind};

/// The distribution that metadata describes. What it needs may be in `requirements` instead, the content of
/// `requires.txt`; name and version may be missing, and are guessed from `file_name` then.
pub(super) fn found(
    metadata: &str,
    requirements: &str,
    file_name: &str,
    limits: &Limits,
) -> Result<Found, String> {
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

/// Name and version in the name of a directory (packaging.python.org, "Recording installed projects"): hyphens separate
/// them and stand in neither.
fn named_by(file_name: &str) -> (Option<&str>, Option<&str>) {
    let stem = file_name.rsplit_once('.').map_or("", |(stem, _)| stem);
    let mut parts = stem.split('-');
    (parts.next(), parts.next())
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
    fn what_metadata_does_not_say_is_guessed() {
        for (name, expected) in [
            ("a_b-1.0.dist-info", Some(("a_b", "1.0"))),
            ("a-1.0-py3.11.egg-info", Some(("a", "1.0"))),
            ("a-1.0-py3.11.egg", Some(("a", "1.0"))),
            ("a.egg-info", None),
            ("", None),
        ] {
            let found = found("", "", name, &Limits::default());
            let known = found.as_ref().ok().map(|found| (&found.name[..], &found.version[..]));
            assert_eq!(known, expected, "{name}");
            assert!(found.iter().all(|found| found.details.certainty == Certainty::Guessed));
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
