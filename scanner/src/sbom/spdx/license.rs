//! Declared licences as one expression.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{NO_ASSERTION, names};
use crate::sbom::document::{License, Licenses, is_expression};

/// A licence that is not on the SPDX list: in expressions it has an identifier of this document (SPDX 2.3, clause 10).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Extracted {
    license_id: String,
    name: String,
    extracted_text: String,
}

/// The licences of a package as an expression: all of them apply. Those that are not on the list are added to `extracted`.
pub(super) fn declared(licenses: &Licenses, extracted: &mut BTreeMap<String, Extracted>) -> String {
    let list = match licenses {
        Licenses::None => return NO_ASSERTION.to_owned(),
        Licenses::Expression(expression) => return expression.clone(),
        Licenses::List(list) => list,
    };
    let terms: Vec<_> = list
        .iter()
        .map(|license| match license {
            License::Id(id) => id.clone(),
            License::Name(expression) if is_expression(expression) => format!("({expression})"),
            License::Name(name) => named(name, extracted),
        })
        .collect();
    terms.join(" AND ")
}

fn named(name: &str, extracted: &mut BTreeMap<String, Extracted>) -> String {
    let license_id = format!("LicenseRef-{}", names::digest(name));
    extracted.entry(license_id.clone()).or_insert_with(|| Extracted {
        license_id: license_id.clone(),
        name: name.to_owned(),
        extracted_text: format!("The package records this name: {name}"),
    });
    license_id
}
