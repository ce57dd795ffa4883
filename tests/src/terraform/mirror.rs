//! The filesystem mirror from which Terraform installs the freshly built provider.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::{Error, io};
use crate::local_aws::target_directory;
use crate::programs;

/// The provider's source address. With the host, which OpenTofu would otherwise take to be its own registry.
pub const SOURCE: &str = "registry.terraform.io/agentless/datadog-agentless";

/// Where a mirror holds the unpacked package of a provider for this machine ("Provider Installation" of Terraform's
/// documentation).
pub fn package(mirror: &Path, source: &str, version: &str) -> PathBuf {
    mirror.join(source).join(version).join(platform())
}

/// Make the mirror under the target directory, or bring it up to date. Returns its root.
pub(super) fn make() -> Result<PathBuf, Error> {
    let provider = programs::provider()?;
    let root = target_directory().join("local-aws/terraform-mirror");
    let package = package(&root, SOURCE, env!("CARGO_PKG_VERSION"));
    fs::create_dir_all(&package).map_err(|source| io("create", &package, source))?;
    let lock_path = root.join("lock");
    let lock = File::create(&lock_path).map_err(|source| io("create", &lock_path, source))?;
    lock.lock().map_err(|source| io("lock", &lock_path, source))?;

    let installed = package.join(programs::PROVIDER);
    if !is_same(&provider, &installed) {
        // A link and a rename, so that a Terraform that is just starting the provider finds the old or the new one.
        let fresh = root.join("fresh");
        if fresh.exists() {
            fs::remove_file(&fresh).map_err(|source| io("remove", &fresh, source))?;
        }
        let linked = fs::hard_link(&provider, &fresh).or_else(|_| fs::copy(&provider, &fresh).map(|_| ()));
        linked.map_err(|source| io("copy", &provider, source))?;
        fs::rename(&fresh, &installed).map_err(|source| io("write", &installed, source))?;
    }
    Ok(root)
}

/// Terraform's own configuration: providers come from the mirror and nowhere else.
pub(super) fn cli_config(mirror: &Path) -> String {
    let path = serde_json::Value::from(mirror.display().to_string());
    format!(
        "disable_checkpoint = true\nprovider_installation {{\n  filesystem_mirror {{\n    path = {path}\n  }}\n}}\n"
    )
}

/// The same length and time of change: a hard link or a copy of this build.
fn is_same(built: &Path, installed: &Path) -> bool {
    let stamp = |path: &Path| fs::metadata(path).and_then(|it| Ok((it.len(), it.modified()?))).ok();
    stamp(built).is_some_and(|built| stamp(installed) == Some(built))
}

/// As Terraform names it: `linux_amd64`.
fn platform() -> String {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{system}_{architecture}")
}
