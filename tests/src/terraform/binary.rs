//! Finds the Terraform to run.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A Terraform, or an OpenTofu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// The program.
    pub path: PathBuf,
    /// Its first line on `version`, for example `Terraform v1.11.4`.
    pub version: String,
}

/// There is no Terraform.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "found no working Terraform: {tried}.\nInstall Terraform 1.11 or newer (https://developer.hashicorp.com/terraform/install) or \
     OpenTofu (https://opentofu.org/docs/intro/install/), so that `terraform` or `tofu` is on PATH, or name the program in the \
     environment variable TERRAFORM"
)]
pub struct NotFound {
    tried: String,
}

impl Binary {
    /// The program that `TERRAFORM` names, else `terraform`, else `tofu` on PATH.
    ///
    /// # Errors
    /// When none of them runs.
    pub fn find() -> Result<Self, NotFound> {
        let chosen = std::env::var_os("TERRAFORM").map(PathBuf::from);
        Self::first_of(chosen.map_or_else(|| vec!["terraform".into(), "tofu".into()], |path| vec![path]))
    }

    fn first_of(candidates: Vec<PathBuf>) -> Result<Self, NotFound> {
        let mut tried = Vec::new();
        for path in candidates {
            let run = Command::new(&path)
                .arg("version")
                .env("CHECKPOINT_DISABLE", "1")
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .output();
            match run {
                Ok(output) if output.status.success() => {
                    let text = String::from_utf8_lossy(&output.stdout).into_owned();
                    let version = text.lines().next().unwrap_or_default().to_owned();
                    return Ok(Self { path, version });
                }
                Ok(output) => tried.push(format!("{} ended with {}", path.display(), output.status)),
                Err(error) => tried.push(format!("{}: {error}", path.display())),
            }
        }
        Err(NotFound { tried: tried.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_terraform_is_explained() {
        let error = Binary::first_of(vec!["/none/such".into(), "false".into()]).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("/none/such: No such file"), "{message}");
        assert!(message.contains("false ended with"), "{message}");
        assert!(message.contains("environment variable TERRAFORM"), "{message}");
    }
}
