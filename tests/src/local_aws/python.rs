//! Python environments, made once under the build's target directory: the one that moto runs in, and others.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sha2::{Digest, Sha256};

use super::request::hex;

/// Why there is no Python environment, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// No interpreter, or only ones that are too old for moto.
    #[error(
        "the tests need Python {}.{} or newer and found {found}; install it (Debian, Ubuntu: `apt-get install python3 \
         python3-venv`) or name one in the environment variable PYTHON",
        OLDEST_PYTHON.0, OLDEST_PYTHON.1
    )]
    NotFound {
        /// What was found instead.
        found: String,
    },
    /// `python3 -m venv` failed.
    #[error(
        "could not make a Python environment in {}: {stderr}\ninstall Python's venv module (Debian, Ubuntu: `apt-get install \
         python3-venv`)", path.display()
    )]
    Venv {
        /// Where it was to be.
        path: PathBuf,
        /// What Python said.
        stderr: String,
    },
    /// `pip install` failed.
    #[error(
        "could not install Python packages: {stderr}\nthe Python package index must be reachable once; pip takes \
         a proxy or a mirror from its usual settings (`pip config`, HTTPS_PROXY, PIP_INDEX_URL)"
    )]
    Install {
        /// What pip said.
        stderr: String,
    },
    /// A file or a process that the environment needs.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// The interpreter of the environment that moto runs in.
///
/// # Errors
/// When Python, its `venv` module or the package index is missing.
pub(crate) fn environment() -> Result<PathBuf, PythonError> {
    environment_of("local-aws", &sources().join("requirements.txt"))
}

/// The interpreter of an environment with these requirements. Makes the environment when this version of `requirements.txt` has
/// none yet; processes that ask at the same time wait for the first one.
///
/// # Errors
/// When Python, its `venv` module or the package index is missing.
pub fn environment_of(name: &str, requirements: &Path) -> Result<PathBuf, PythonError> {
    let pinned = fs::read(requirements).map_err(|source| io("read", requirements, source))?;
    let home = target_directory().join(name);
    fs::create_dir_all(&home).map_err(|source| io("create", &home, source))?;

    let lock_path = home.join("lock");
    let lock = File::create(&lock_path).map_err(|source| io("create", &lock_path, source))?;
    lock.lock().map_err(|source| io("lock", &lock_path, source))?;

    let digest = Sha256::digest(&pinned);
    let name = digest.get(..6).map(hex).unwrap_or_default();
    let environment = home.join(format!("venv-{name}"));
    let interpreter = environment.join("bin/python");
    let stamp = environment.join("complete");
    if stamp.exists() && interpreter.exists() {
        return Ok(interpreter);
    }
    if environment.exists() {
        fs::remove_dir_all(&environment).map_err(|source| io("remove", &environment, source))?;
    }
    let python = find_python()?;
    tracing::info!(path = %environment.display(), "making a Python environment, once");
    let made = run(Command::new(&python).args(["-m", "venv"]).arg(&environment))?;
    if !made.status.success() {
        return Err(PythonError::Venv { path: environment, stderr: said(&made) });
    }
    let installed = run(Command::new(&interpreter)
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r"])
        .arg(requirements))?;
    if !installed.status.success() {
        return Err(PythonError::Install { stderr: said(&installed) });
    }
    File::create(&stamp).map_err(|source| io("create", &stamp, source))?;
    Ok(interpreter)
}

/// The folder of the Python files.
pub(crate) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("local-aws")
}

/// Cargo's target directory: the one that the running program was built in.
pub fn target_directory() -> PathBuf {
    let executable = std::env::current_exe().unwrap_or_default();
    let tagged = executable.ancestors().find(|directory| directory.join("CACHEDIR.TAG").exists());
    tagged.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), Path::to_path_buf)
}

fn find_python() -> Result<PathBuf, PythonError> {
    let chosen = std::env::var_os("PYTHON").map(PathBuf::from);
    let usual = ["python3", "python3.13", "python3.12", "python3.11", "python3.10", "python3.14"];
    let candidates = chosen.map_or_else(|| usual.map(PathBuf::from).to_vec(), |python| vec![python]);
    first_new_enough(candidates, version_of)
}

fn first_new_enough(
    candidates: Vec<PathBuf>,
    version_of: impl Fn(&Path) -> Option<(u32, u32)>,
) -> Result<PathBuf, PythonError> {
    let mut found = Vec::new();
    for candidate in candidates {
        let Some(version) = version_of(&candidate) else { continue };
        if version >= OLDEST_PYTHON {
            return Ok(candidate);
        }
        found.push(format!("{} {}.{}", candidate.display(), version.0, version.1));
    }
    let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
    Err(PythonError::NotFound { found })
}

fn version_of(python: &Path) -> Option<(u32, u32)> {
    let script = "import sys; print(sys.version_info[0], sys.version_info[1])";
    let output = Command::new(python).args(["-c", script]).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn run(command: &mut Command) -> Result<Output, PythonError> {
    let program = PathBuf::from(command.get_program());
    command.stdin(Stdio::null()).output().map_err(|source| io("run", &program, source))
}

/// The output of a program that failed: what it wrote, wherever it wrote it (`venv` complains on standard output).
fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn io(doing: &'static str, path: &Path, source: std::io::Error) -> PythonError {
    PythonError::Io { doing, path: path.to_path_buf(), source }
}

/// What the pinned moto declares (`Requires-Python: >=3.10`).
const OLDEST_PYTHON: (u32, u32) = (3, 10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_python_is_explained() {
        let message = first_new_enough(vec!["/none/such".into()], version_of).unwrap_err().to_string();
        assert!(message.contains("3.10 or newer and found none"), "{message}");
        assert!(message.contains("apt-get install python3 python3-venv"), "{message}");
    }

    #[test]
    fn an_old_python_is_passed_over() {
        let version_of = |python: &Path| Some(if python == Path::new("old") { (3, 9) } else { (3, 12) });
        let found = first_new_enough(vec!["old".into(), "new".into()], version_of).unwrap();
        assert_eq!(found, Path::new("new"));
        let message = first_new_enough(vec!["old".into()], version_of).unwrap_err().to_string();
        assert!(message.contains("old 3.9"), "{message}");
    }
}
