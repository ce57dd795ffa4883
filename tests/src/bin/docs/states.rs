//! What states of each resource look like, one folder a resource and schema version: `provider/state/NAME/vN/`.
//!
//! `type.json` is written here and may only grow: users have stored states of that form. `state.json` is a sample of
//! such a state. It is written once, and then belongs to whoever puts a better one in its place; the tests of the
//! provider read each of them with the schema of today.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use terraform_provider::provider::Agentless;
use terraform_provider::sdk::{Provider, Type, TypeError, breaking_changes, sample_state};

/// Why what is stored cannot be replaced.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error(
        "{}: states of this version are stored, and would not be read any more: {changes}. Raise the version of the \
         resource's schema and write its `upgrade`; of a version that was never released, delete the folder",
        path.display()
    )]
    Breaking { path: PathBuf, changes: String },
    #[error("{}: {source}", path.display())]
    Type { path: PathBuf, source: TypeError },
}

/// The files of the present schema versions, by their path from the root. Those of older versions stay as they are.
pub(crate) fn files(root: &Path) -> Result<BTreeMap<PathBuf, String>, StateError> {
    let mut files = BTreeMap::new();
    for (name, schema) in Agentless::catalog().resources() {
        let directory = Path::new("provider/state").join(name).join(format!("v{}", schema.version));
        let (type_path, state_path) = (directory.join("type.json"), directory.join("state.json"));
        let ty = schema.ty();
        if let Ok(stored) = fs::read(root.join(&type_path)) {
            let stored = Type::from_json(&stored)
                .map_err(|source| StateError::Type { path: type_path.clone(), source })?;
            let changes = breaking_changes(&stored, &ty);
            if !changes.is_empty() {
                return Err(StateError::Breaking { path: type_path, changes: changes.join("; ") });
            }
        }
        files.insert(type_path, pretty(&ty.to_json()));
        let state = fs::read_to_string(root.join(&state_path));
        files.insert(state_path, state.unwrap_or_else(|_| pretty(&sample_state(&ty))));
    }
    Ok(files)
}

fn pretty(json: &Value) -> String {
    format!("{json:#}\n")
}
