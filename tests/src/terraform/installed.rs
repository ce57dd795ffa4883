//! Finds providers that are installed on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use super::mirror::package;

/// An installed provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Such as `5.100.0`.
    pub version: String,
    /// The program.
    pub program: PathBuf,
}

impl Installed {
    /// The newest release of the provider with this source address that the first mirror with any has for this machine.
    /// Packages that are still zipped do not count.
    pub fn find(source: &str, mirrors: &[PathBuf]) -> Option<Self> {
        mirrors.iter().find_map(|mirror| Self::newest(source, mirror))
    }

    /// Where Terraform looks without being told ("Implied Local Mirror Directories" of its documentation).
    pub fn implied_mirrors() -> Vec<PathBuf> {
        let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".terraform.d/plugins"));
        let shared = ["/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins"];
        home.into_iter().chain(shared.map(PathBuf::from)).collect()
    }

    fn newest(source: &str, mirror: &Path) -> Option<Self> {
        let versions = fs::read_dir(mirror.join(source)).ok()?;
        let versions = versions.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut releases: Vec<(Vec<u64>, String)> =
            versions.filter_map(|version| Some((numbers(&version)?, version))).collect();
        releases.sort();
        let name = source.rsplit('/').next().unwrap_or(source);
        releases.into_iter().rev().find_map(|(_, version)| {
            let program = program(&package(mirror, source, &version), name)?;
            Some(Self { version, program })
        })
    }
}

/// The file in a package that Terraform starts: the one that is named after the provider.
fn program(package: &Path, name: &str) -> Option<PathBuf> {
    let prefix = format!("terraform-provider-{name}");
    let mut files = fs::read_dir(package).ok()?.flatten();
    let is_program = |file: &fs::DirEntry| file.file_name().to_string_lossy().starts_with(&prefix);
    files.find(is_program).map(|file| file.path())
}

/// `None` for what is no release, such as `5.0.0-beta1`.
fn numbers(version: &str) -> Option<Vec<u64>> {
    version.split('.').map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "registry.terraform.io/hashicorp/aws";

    fn install(mirror: &Path, version: &str, file: &str) -> PathBuf {
        let package = package(mirror, SOURCE, version);
        fs::create_dir_all(&package).unwrap();
        let path = package.join(file);
        fs::write(&path, "").unwrap();
        path
    }

    #[test]
    fn the_newest_release_is_found() {
        let mirror = tempfile::tempdir().unwrap();
        let mirrors = ["/none/such".into(), mirror.path().to_owned()];
        assert_eq!(Installed::find(SOURCE, &mirrors), None);
        install(mirror.path(), "5.9.0", "terraform-provider-aws_v5.9.0_x5");
        let program = install(mirror.path(), "5.100.0", "terraform-provider-aws_v5.100.0_x5");
        install(mirror.path(), "6.0.0-beta1", "terraform-provider-aws_v6.0.0-beta1_x5");
        install(mirror.path(), "6.0.0", "LICENSE.txt");
        let found = Installed { version: "5.100.0".to_owned(), program };
        assert_eq!(Installed::find(SOURCE, &mirrors), Some(found));
    }
}
