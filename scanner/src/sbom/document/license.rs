//! Licences, told apart by what the formats accept.

mod debian;

use std::collections::BTreeSet;

use serde::Serialize;
use spdx::{Expression, ParseMode};

use crate::package::PackageKind;

/// What a record says that says nothing. The list of the crate has it among the licences.
const NO_ASSERTION: &str = "NOASSERTION";

/// The licences of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Licenses {
    /// Nothing is recorded.
    #[default]
    None,
    /// One expression in the language of SPDX that is more than an identifier.
    Expression(String),
    /// One or several. All of them apply, as far as the record says.
    List(Vec<License>),
}

/// One licence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum License {
    /// An identifier of the SPDX licence list.
    Id(String),
    /// Something else: a distribution's short name, a sentence, or an expression beside others.
    Name(String),
}

impl Licenses {
    /// Sorts the licences that are recorded of a package of this kind into what the formats distinguish.
    pub fn new(recorded: &[String], kind: PackageKind) -> Self {
        let known = |text: &String| match kind {
            PackageKind::Deb => debian::expression(text).unwrap_or_else(|| text.clone()),
            _ => text.clone(),
        };
        let recorded = recorded.iter().filter(|text| *text != NO_ASSERTION).map(known);
        // Two names may be those of one licence.
        let mut seen = BTreeSet::new();
        let recorded: Vec<_> = recorded.filter(|text| seen.insert(text.clone())).collect();
        let is_whole = |text: &str| !is_identifier(text) && is_expression(text);
        match recorded.as_slice() {
            [] => Self::None,
            [only] if is_whole(only) => Self::Expression(only.clone()),
            // The classifiers of a Python package come behind what it says in its own words, and name the same licences one by
            // one: as if all of them applied, where there is a choice.
            [first, ..] if kind == PackageKind::Pypi && is_whole(first) => Self::Expression(first.clone()),
            several => Self::List(several.iter().map(|text| License::new(text)).collect()),
        }
    }
}

impl License {
    fn new(recorded: &str) -> Self {
        let recorded = recorded.to_owned();
        if is_identifier(&recorded) { Self::Id(recorded) } else { Self::Name(recorded) }
    }

    /// What is recorded.
    pub fn text(&self) -> &str {
        match self {
            Self::Id(text) | Self::Name(text) => text,
        }
    }
}

/// Whether a text is an identifier of the SPDX licence list, in the case that it has there: the schema of CycloneDX knows no other.
fn is_identifier(text: &str) -> bool {
    // The crate puts together identifiers of the GNU licences from their parts, and has some of these among the whole ones.
    let is_part = text.ends_with("-invariants");
    spdx::license_id(text).is_some() && !is_part && text != NO_ASSERTION
}

/// Whether a text is an expression over the SPDX licence list (SPDX 2.3, annex D). References to licences that only the document
/// itself explains are none: nobody explains them here.
pub fn is_expression(text: &str) -> bool {
    const MODE: ParseMode = ParseMode { allow_deprecated: true, ..ParseMode::STRICT };

    !text.contains("Ref-") && !text.contains(NO_ASSERTION) && Expression::parse_mode(text, MODE).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn licenses(recorded: &[&str], kind: PackageKind) -> Licenses {
        Licenses::new(&recorded.iter().map(|&text| text.to_owned()).collect::<Vec<_>>(), kind)
    }

    #[test]
    fn identifiers_expressions_and_names_are_told_apart() {
        let id = |text: &str| License::Id(text.to_owned());
        let name = |text: &str| License::Name(text.to_owned());
        for (recorded, expected) in [
            (&[][..], Licenses::None),
            (&["MIT"], Licenses::List(vec![id("MIT")])),
            (&["GPL-2.0"], Licenses::List(vec![id("GPL-2.0")])),
            (&["mit"], Licenses::List(vec![name("mit")])),
            (&["GPL-2+", "MIT"], Licenses::List(vec![name("GPL-2+"), id("MIT")])),
            (&["MIT OR Apache-2.0"], Licenses::Expression("MIT OR Apache-2.0".to_owned())),
            (&["MIT OR Apache-2.0", "BSD"], Licenses::List(vec![name("MIT OR Apache-2.0"), name("BSD")])),
            (&["LicenseRef-a OR MIT"], Licenses::List(vec![name("LicenseRef-a OR MIT")])),
            (&["GPLv2+ and BSD"], Licenses::List(vec![name("GPLv2+ and BSD")])),
            (&["BSD License"], Licenses::List(vec![name("BSD License")])),
            (&["NOASSERTION"], Licenses::None),
            (&["("], Licenses::List(vec![name("(")])),
        ] {
            assert_eq!(licenses(recorded, PackageKind::Apk), expected, "{recorded:?}");
        }
    }

    #[test]
    fn classifiers_do_not_turn_a_choice_into_a_sum() {
        let recorded = ["MIT OR Apache-2.0", "MIT License", "Apache Software License"];
        let expected = Licenses::Expression("MIT OR Apache-2.0".to_owned());
        assert_eq!(licenses(&recorded, PackageKind::Pypi), expected);
        // One identifier may be less than what the classifiers name.
        let expected = [License::Id("MIT".to_owned()), License::Name("BSD License".to_owned())].to_vec();
        assert_eq!(licenses(&["MIT", "BSD License"], PackageKind::Pypi), Licenses::List(expected));
    }

    #[test]
    fn debians_names_become_those_of_the_list() {
        let of_debian = |recorded| licenses(recorded, PackageKind::Deb);
        let id = |text: &str| License::Id(text.to_owned());
        let name = |text: &str| License::Name(text.to_owned());
        let expected = [id("MIT"), id("GPL-2.0-or-later"), name("GPL-2"), name("MIT OR ISC")];
        let recorded = ["Expat", "GPL-2+", "GPL-2", "MIT", "Expat or ISC"];
        assert_eq!(of_debian(&recorded), Licenses::List(expected.to_vec()));
        assert_eq!(of_debian(&["Expat or ISC"]), Licenses::Expression("MIT OR ISC".to_owned()));
    }

    #[test]
    fn brackets_without_end_are_no_expression() {
        assert!(!is_expression(&"(".repeat(100_000)));
        assert!(is_expression(&format!("{}MIT{}", "(".repeat(1000), ")".repeat(1000))));
    }

    /// What is called an identifier must be one for whoever validates with the schema.
    #[test]
    fn the_list_is_that_of_the_schema() {
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/schema/spdx.schema.json");
        let schema: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let of_schema: BTreeSet<_> =
            schema["enum"].as_array().unwrap().iter().filter_map(|id| id.as_str()).collect();
        let of_list = spdx::identifiers::LICENSES.iter().map(|license| license.name);
        let unknown: Vec<_> =
            of_list.filter(|name| is_identifier(name) && !of_schema.contains(name)).collect();
        assert!(unknown.is_empty() && is_identifier("GFDL-1.1-invariants-only"), "{unknown:?}");
    }
}
