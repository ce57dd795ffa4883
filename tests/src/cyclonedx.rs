//! The official CycloneDX 1.6 schema.

use jsonschema::{Registry, Validator};
use serde_json::Value;

/// What the official JSON schema finds wrong with a document, each with the place. Empty for a valid one.
///
/// The schema files are the CycloneDX project's own, unchanged; nothing is fetched.
pub fn schema_errors(document: &Value) -> Result<Vec<String>, SchemaError> {
    let errors = validator()?
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    Ok(errors)
}

/// The schema files cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the CycloneDX schema files of this checkout cannot be used: {0}")]
pub struct SchemaError(String);

fn validator() -> Result<Validator, SchemaError> {
    let failed = |error: &dyn std::fmt::Display| SchemaError(error.to_string());
    let parse = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| failed(&error));
    let bom = parse(include_str!("../../scanner/tests/data/schema/bom-1.6.schema.json"))?;
    let spdx = parse(include_str!("../../scanner/tests/data/schema/spdx.schema.json"))?;
    let jsf = parse(include_str!("../../scanner/tests/data/schema/jsf-0.82.schema.json"))?;
    let registry = Registry::new()
        .add("http://cyclonedx.org/schema/spdx.schema.json", spdx)
        .and_then(|registry| registry.add("http://cyclonedx.org/schema/jsf-0.82.schema.json", jsf))
        .and_then(jsonschema::RegistryBuilder::prepare)
        .map_err(|error| failed(&error))?;
    jsonschema::options().with_registry(&registry).build(&bom).map_err(|error| failed(&error))
}
