//! The states that users have stored, by resource and schema version (`provider/state/NAME/vN/`), are all still read.
//!
//! `cargo docs` adds what is new to `type.json`, and refuses to take anything away.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::provider::Agentless;
use crate::sdk::{Attribute, Provider, Raw, Schema, Type, breaking_changes, read_state};

/// One folder: a version of a resource's schema.
struct Stored {
    name: String,
    version: i64,
    ty: Type,
    state: Json,
}

fn stored() -> Vec<Stored> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("state");
    let mut all = Vec::new();
    for resource in folders(&root) {
        for version in folders(&resource) {
            let number = name_of(&version).trim_start_matches('v').parse().unwrap();
            let ty = Type::from_json(&fs::read(version.join("type.json")).unwrap()).unwrap();
            let state = serde_json::from_slice(&fs::read(version.join("state.json")).unwrap()).unwrap();
            all.push(Stored { name: name_of(&resource), version: number, ty, state });
        }
    }
    all
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The schemas of today, by resource.
fn schemas() -> BTreeMap<&'static str, Schema> {
    Agentless::catalog().resources().map(|(name, schema)| (name, schema.clone())).collect()
}

#[test]
fn no_schema_has_lost_what_states_of_its_version_have() {
    let schemas = schemas();
    for Stored { name, version, ty, .. } in stored() {
        let schema = schemas.get(name.as_str()).unwrap_or_else(|| {
            panic!("resource {name} is gone, but users have states of it: keep it, deprecated, until they have moved")
        });
        assert!(version <= schema.version, "{name}: states of version {version} come from the future");
        if version == schema.version {
            let changes = breaking_changes(&ty, &schema.ty());
            assert!(
                changes.is_empty(),
                "{name}: states of version {version} are stored, but {}. Raise the version of the schema, write the \
                 upgrade from {version}, and run `cargo docs`.",
                changes.join("; ")
            );
        }
    }
}

#[test]
fn every_version_of_every_schema_is_stored() {
    let stored: Vec<_> = stored().into_iter().map(|stored| (stored.name, stored.version)).collect();
    for (name, schema) in schemas() {
        for version in 0..=schema.version {
            assert!(
                stored.iter().any(|stored| *stored == (name.to_owned(), version)),
                "provider/state/{name}/v{version} is missing: run `cargo docs`"
            );
        }
    }
}

#[test]
fn stored_states_of_every_version_are_read() {
    for Stored { name, version, ty, state } in stored() {
        let Type::Object(types) = &ty else { panic!("{name}: a state is an object") };
        let written = state.as_object().unwrap();
        for attribute in written.keys() {
            assert!(types.contains_key(attribute), "{name}: version {version} has no attribute {attribute}");
        }
        let schema = &schemas()[name.as_str()];
        let read = read_state::<Agentless>(&name, version, &state)
            .unwrap_or_else(|problem| panic!("{name}, state of version {version}: {problem}"));
        for required in schema.body.attributes.iter().filter(|attribute| attribute.is_required()) {
            assert!(
                !read.get(required.name).is_null(),
                "{name}, version {version}: {} is lost",
                required.name
            );
        }
        if version == schema.version {
            assert_all_there(&name, &schema.body.attributes, written, &read);
        }
    }
}

/// Without an upgrade nothing that was written may be missing in what is read.
fn assert_all_there(
    name: &str,
    attributes: &[Attribute],
    written: &serde_json::Map<String, Json>,
    read: &Raw,
) {
    for attribute in attributes {
        let is_written = written.get(attribute.name).is_some_and(|value| !value.is_null());
        assert_eq!(!read.get(attribute.name).is_null(), is_written, "{name}: {}", attribute.name);
    }
}
