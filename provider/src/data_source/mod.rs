//! The data sources, one file or folder each.
//!
//! A data source holds a slice of AWS (`A`; the tests pass a fake) and the settings of the provider block. It only
//! reads, and what it returns changes only when AWS does: nothing that depends on the time of the plan.

pub mod image;
pub mod policy;

use scanner_policy::Region;

use crate::sdk::{Attribute, validator};

/// The attribute `region`.
fn region_attribute(what: &str) -> Attribute {
    Attribute::string("region", format!("The AWS region{what}. Default: the provider's."))
        .optional()
        .computed()
        .validate(validator::pattern("an AWS region such as eu-central-1", |text| {
            text.parse::<Region>().is_ok()
        }))
}
