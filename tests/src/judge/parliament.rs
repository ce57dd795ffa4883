//! What `parliament`, a linter of IAM policies, finds wrong with a policy.
//!
//! It knows which actions, resource types and condition keys AWS documents, so that it sees what an evaluator does not: a
//! name that is spelt wrong grants nothing, and nobody notices before the scanner is denied.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::local_aws::{PythonError, environment_of};

/// Something that `parliament` says of a policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What kind of thing, such as `RESOURCE_MISMATCH`.
    pub issue: String,
    /// What is wrong, as JSON.
    pub detail: String,
}

/// Why `parliament` could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LintError {
    /// It could not be installed.
    #[error(transparent)]
    Python(#[from] PythonError),
    /// It could not be run.
    #[error("could not run {}", program.display())]
    Io {
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It said something else than findings.
    #[error("parliament failed: {stderr}")]
    Failed {
        /// What it said.
        stderr: String,
    },
}

/// Everything that it finds wrong with a policy document but what is known to be right:
///
/// - an action in several statements, one for each resource type that AWS checks, as AWS documents it ("Example policies to
///   work with snapshots", "… to launch instances"): it looks for all resource types in each statement;
/// - `ecr:ResourceTag` on actions on a repository: its own table has the key for repositories, but it looks only among the
///   keys of the action.
pub fn lint(policy: &str) -> Result<Vec<Finding>, LintError> {
    let mut findings = findings(policy)?;
    findings.retain(|finding| {
        let is_split = finding.issue == "RESOURCE_MISMATCH"
            && SPLIT.iter().any(|action| finding.detail.contains(&format!("\"ec2:{action}\"")));
        let is_repository = finding.issue == "UNKNOWN_CONDITION_FOR_ACTION"
            && finding.detail.contains("ecr:ResourceTag/")
            && finding.detail.contains("for action ecr:");
        !is_split && !is_repository
    });
    Ok(findings)
}

/// What policies allow in several statements, each for other resource types.
const SPLIT: [&str; 4] = ["CreateImage", "CreateSecurityGroup", "CreateSnapshot", "RunInstances"];

/// Everything that it finds wrong.
pub fn findings(policy: &str) -> Result<Vec<Finding>, LintError> {
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("parliament/requirements.txt");
    let program = environment_of("parliament", &requirements)?.with_file_name("parliament");
    let failed = |source| LintError::Io { program: program.clone(), source };
    let mut child = Command::new(&program)
        .arg("--json")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // It may write before it has read all: what it reads comes from a thread of its own.
    let (stdin, text) = (child.stdin.take(), policy.to_owned());
    let writer = thread::spawn(move || stdin.map_or(Ok(()), |mut stdin| stdin.write_all(text.as_bytes())));
    let output = child.wait_with_output().map_err(failed)?;
    _ = writer.join();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    // It ends with 1 when it has found something.
    if !matches!(output.status.code(), Some(0 | 1)) || !stderr.is_empty() {
        return Err(LintError::Failed { stderr });
    }
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let finding = |line: &str| {
        let value: Value =
            serde_json::from_str(line).map_err(|_| LintError::Failed { stderr: line.to_owned() })?;
        let issue = value.get("issue").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Finding { issue, detail: value.get("detail").cloned().unwrap_or_default().to_string() })
    };
    lines.lines().map(finding).collect()
}
