//! The programs under test, built by cargo once for each process that asks.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Why the programs could not be built.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BuildError {
    /// Cargo could not be run.
    #[error("could not run {cargo}: {reason}")]
    Cargo {
        /// The program.
        cargo: String,
        /// Why.
        reason: String,
    },
    /// The build failed.
    #[error("`cargo build --bins` failed:\n{stderr}")]
    Failed {
        /// What cargo wrote.
        stderr: String,
    },
    /// The build made no such program.
    #[error("`cargo build --bins` made no program named {0}")]
    Missing(&'static str),
}

/// The Terraform provider's program.
///
/// # Errors
/// When it does not build.
pub fn provider() -> Result<PathBuf, BuildError> {
    program(PROVIDER)
}

/// The scanner's program.
///
/// # Errors
/// When it does not build.
pub fn scanner() -> Result<PathBuf, BuildError> {
    program("agentless-scanner")
}

/// The name of the provider's program, which Terraform requires to be this.
pub(crate) const PROVIDER: &str = "terraform-provider-datadog-agentless";

fn program(name: &'static str) -> Result<PathBuf, BuildError> {
    static BUILT: OnceLock<Result<HashMap<String, PathBuf>, BuildError>> = OnceLock::new();
    let built = BUILT.get_or_init(build).as_ref().map_err(Clone::clone)?;
    built.get(name).cloned().ok_or(BuildError::Missing(name))
}

/// Build every program of the workspace, in the profile of the running one.
///
/// From the workspace's root and without `--package`: another selection of packages would mean other features, and compile
/// the AWS SDK again.
fn build() -> Result<HashMap<String, PathBuf>, BuildError> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(&cargo);
    command
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args(["build", "--bins", "--message-format=json-render-diagnostics"])
        .stdin(Stdio::null());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().map_err(|error| BuildError::Cargo { cargo, reason: error.to_string() })?;
    if !output.status.success() {
        return Err(BuildError::Failed { stderr: String::from_utf8_lossy(&output.stderr).into_owned() });
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(messages.lines().filter_map(executable).collect())
}

/// The program's name and path, from a message about one (`compiler-artifact` in "External tools" of the Cargo book).
fn executable(message: &str) -> Option<(String, PathBuf)> {
    #[derive(serde::Deserialize)]
    struct Artifact {
        target: Target,
        executable: PathBuf,
    }
    #[derive(serde::Deserialize)]
    struct Target {
        name: String,
    }
    let artifact: Artifact = serde_json::from_str(message).ok()?;
    Some((artifact.target.name, artifact.executable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_cargo_messages() {
        let message = r#"{"reason":"compiler-artifact","target":{"name":"demo","kind":["bin"]},"executable":"/t/demo"}"#;
        assert_eq!(executable(message), Some(("demo".to_owned(), PathBuf::from("/t/demo"))));
        let library = r#"{"reason":"compiler-artifact","target":{"name":"lib"},"executable":null}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
