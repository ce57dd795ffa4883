//! What AWS tools keep on a machine, as far as it decides what this process must go on being allowed to do.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of AWS tools on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsFiles {
    /// Directories in which tokens of single sign-on are kept and renewed, those that exist.
    pub caches: Vec<PathBuf>,
    /// Whether a profile has its credentials from another program (`credential_process`).
    pub runs_programs: bool,
}

impl AwsFiles {
    /// Those of this machine and user, found as the AWS SDK finds them.
    pub fn find() -> Self {
        // An empty variable is as good as none.
        Self::found_with(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
    }

    fn found_with(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let home = variable("HOME").map(PathBuf::from);
        let of_home = |path: &str| home.as_ref().map(|home| home.join(path));
        let given = |name: &str| Some(expanded(Path::new(&variable(name)?), home.as_deref()));
        let profiles = [
            given("AWS_CONFIG_FILE").or_else(|| of_home(".aws/config")),
            given("AWS_SHARED_CREDENTIALS_FILE").or_else(|| of_home(".aws/credentials")),
        ];
        let caches = [
            of_home(".aws/sso/cache"),
            variable("AWS_LOGIN_CACHE_DIRECTORY").map(PathBuf::from).or_else(|| of_home(".aws/login/cache")),
        ];
        Self {
            caches: caches.into_iter().flatten().filter(|path| path.is_dir()).collect(),
            runs_programs: profiles.iter().flatten().any(|path| has_credential_process(path)),
        }
    }
}

/// A path that may begin with `~`, as the SDK understands it.
fn expanded(path: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

/// Whether any profile of a file asks for a program. Which profile is used is known only later.
fn has_credential_process(path: &Path) -> bool {
    let content = fs::read(path).unwrap_or_default();
    let mut lines = content.split(|&byte| byte == b'\n');
    lines.any(|line| line.trim_ascii_start().starts_with(b"credential_process"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_profile_that_names_a_program_runs_one() {
        let home = tempfile::tempdir().unwrap();
        let files = |name: &'static str, value: &'static str| {
            AwsFiles::found_with(|wanted| match wanted {
                "HOME" => Some(home.path().into()),
                wanted => (wanted == name).then(|| value.into()),
            })
        };
        assert_eq!(files("", ""), AwsFiles { caches: vec![], runs_programs: false });
        fs::create_dir_all(home.path().join(".aws/sso/cache")).unwrap();
        fs::write(home.path().join(".aws/config"), "[default]\n# credential_process = x\n").unwrap();
        fs::write(home.path().join("other"), "[default]\nregion = x\n\n credential_process=/bin/x\n")
            .unwrap();
        let found = files("", "");
        assert_eq!(found.caches, [home.path().join(".aws/sso/cache")]);
        assert!(!found.runs_programs);
        for name in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
            assert!(files(name, "~/other").runs_programs, "{name}");
        }
        fs::rename(home.path().join("other"), home.path().join(".aws/credentials")).unwrap();
        assert!(files("", "").runs_programs);
    }
}
