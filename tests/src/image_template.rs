//! The template of the machine image (`packer/`), for the Packer that tests can have, and releases to build it from.
//!
//! Debian's Packer 1.6.6 has no plug-ins and does not know some of the arguments. These are between `#modern-begin` and
//! `#modern-end` in the template, and are left out of the copies that are made here.
#![expect(clippy::expect_used, reason = "only tests come here: what fails is theirs")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::local_aws::LocalAws;
use crate::process::{Finished, Program};
use crate::tools;

/// What comes between these is for current Packer only.
pub const MODERN: [&str; 2] = ["#modern-begin", "#modern-end"];

/// The commit that the copies say they build.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The version that the copies build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// `packer/` of the repository.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packer")
}

/// The files of the template, with their names.
///
/// # Panics
/// When they cannot be read.
pub fn files() -> Vec<(String, String)> {
    let names = fs::read_dir(folder()).expect("the folder of the template");
    let names = names.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".pkr.hcl")).collect();
    names.sort();
    let read = |name: String| {
        let text = fs::read_to_string(folder().join(&name)).expect("a file");
        (name, text)
    };
    names.into_iter().map(read).collect()
}

/// `text` without the lines between the marks, and without these.
///
/// # Panics
/// When the last mark is missing.
pub fn without_modern(text: &str) -> String {
    let (mut kept, mut is_modern) = (String::new(), false);
    for line in text.lines() {
        if line.trim() == MODERN[0] {
            is_modern = true;
        } else if line.trim() == MODERN[1] {
            is_modern = false;
        } else if !is_modern {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    assert!(!is_modern, "{} is missing", MODERN[1]);
    kept
}

/// A release of the scanner, signed with a key of its own.
#[derive(Debug)]
pub struct Release {
    files: TempDir,
    /// The key as minisign writes it: `RW…`.
    pub public_key: String,
}

impl Release {
    /// A folder without a program, and a key.
    ///
    /// # Panics
    /// Without minisign.
    pub fn new() -> Self {
        let files = tempfile::tempdir().expect("a folder");
        fs::create_dir(files.path().join("release")).expect("a folder");
        let [secret, public] = ["release.key", "release.pub"].map(|name| files.path().join(name));
        run(Command::new("minisign").args(["-G", "-W", "-s"]).arg(&secret).arg("-p").arg(&public));
        let public = fs::read_to_string(public).expect("a key");
        let public_key = public.lines().last().expect("the key's line").to_owned();
        Self { files, public_key }
    }

    /// Where the programs are, with their checksums and signatures.
    pub fn folder(&self) -> PathBuf {
        self.files.path().join("release")
    }

    /// minisign's secret key.
    pub fn secret_key(&self) -> PathBuf {
        self.files.path().join("release.key")
    }

    /// The program of an architecture, such as `amd64`.
    pub fn program(&self, architecture: &str) -> PathBuf {
        self.folder().join(format!("agentless-scanner_{VERSION}_linux_{architecture}"))
    }

    /// The checksum beside the program of an architecture.
    ///
    /// # Panics
    /// When there is none.
    pub fn sha256(&self, architecture: &str) -> String {
        let sums = format!("{}.sha256", self.program(architecture).display());
        fs::read_to_string(sums).expect("a checksum").chars().take(64).collect()
    }

    /// Adds a program as `.ci/release` does, which would refuse one that is not static.
    ///
    /// # Panics
    /// Without minisign.
    pub fn add(&self, architecture: &str, program: &Path) {
        let file = self.program(architecture);
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        fs::copy(program, &file).expect("a copy");
        let sums = Command::new("sha256sum").arg(&name).current_dir(self.folder()).output();
        fs::write(format!("{}.sha256", file.display()), sums.expect("a checksum").stdout).expect("a file");
        let mut sign = Command::new("minisign");
        sign.arg("-S").arg("-s").arg(self.secret_key()).arg("-m").arg(&file);
        run(sign.arg("-t").arg(format!("file:{name}")));
    }
}

impl Default for Release {
    fn default() -> Self {
        Self::new()
    }
}

/// A copy of the template for the Packer of this machine, and the variables that it is given.
#[derive(Debug)]
pub struct Template {
    files: TempDir,
    variables: Vec<(String, String)>,
    environment: Vec<(OsString, OsString)>,
}

impl Template {
    /// The template without what only current Packer knows, with everything given that a build over SSH needs.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub fn new(release: &Release) -> Self {
        let copy = tempfile::tempdir().expect("a folder");
        for (name, text) in files() {
            fs::write(copy.path().join(name), without_modern(&text)).expect("a file");
        }
        for name in ["files", "scripts", "verify-release.sh", "instance.sh"] {
            let mut cp = Command::new("cp");
            run(cp.arg("--recursive").arg("--preserve=mode").arg(folder().join(name)).arg(copy.path()));
        }
        for name in ["output", "home"] {
            fs::create_dir(copy.path().join(name)).expect("a folder");
        }
        let (home, output) = (copy.path().join("home"), copy.path().join("output"));
        let mut environment: Vec<(OsString, OsString)> = vec![
            ("CHECKPOINT_DISABLE".into(), "1".into()),
            ("HOME".into(), home.clone().into()),
            ("PACKER_CONFIG_DIR".into(), home.into()),
            ("AWS_EC2_METADATA_DISABLED".into(), "true".into()),
        ];
        environment.extend(std::env::var_os("PATH").map(|path| ("PATH".into(), path)));
        let mut template = Self { files: copy, variables: Vec::new(), environment };
        template.set("scanner_version", VERSION);
        template.set("release_folder", &release.folder().to_string_lossy());
        template.set("release_public_key", &release.public_key);
        template.set("git_commit", COMMIT);
        template.set("region", "us-east-1");
        template.set("ssh_source_cidrs", r#"["203.0.113.7/32"]"#);
        template.set("output_folder", &output.to_string_lossy());
        template
    }

    /// Lets it build in a local AWS, with these arguments in place of the connection to an instance.
    ///
    /// # Panics
    /// When the template is not what it was.
    pub fn build_in(&mut self, aws: &LocalAws, connection: &str) {
        self.environment
            .extend(aws.environment().into_iter().map(|(name, value)| (name.into(), value.into())));
        let arguments = format!("{connection}\n  custom_endpoint_ec2 = \"{}\"\n", aws.endpoint());
        self.edit("sources.pkr.hcl", |text| {
            let is_other = |line: &&str| line.split_whitespace().next() != Some("communicator");
            let text: Vec<&str> = text.lines().filter(is_other).collect();
            text.join("\n").replacen("  region ", &format!("{arguments}  region "), 1)
        });
    }

    /// Gives a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Leaves a variable out.
    pub fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| known != name);
    }

    /// Sets a variable of Packer's environment.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.into(), value.into()));
    }

    /// A file that a build has written.
    pub fn output(&self, name: &str) -> PathBuf {
        self.files.path().join("output").join(name)
    }

    /// Changes the copy of a file of the template.
    ///
    /// # Panics
    /// When that changes nothing.
    pub fn edit(&self, name: &str, change: impl FnOnce(&str) -> String) {
        let path = self.files.path().join(name);
        let text = fs::read_to_string(&path).expect("a file");
        let changed = change(&text);
        assert_ne!(changed, text, "nothing was changed in {name}");
        fs::write(path, changed).expect("a file");
    }

    /// `packer COMMAND OPTIONS`, to its end.
    ///
    /// # Panics
    /// Without Packer, or when it does not end in a quarter of an hour.
    pub async fn run(&self, command: &str, options: &[&str]) -> Finished {
        let path = tools::find("packer", "install HashiCorp's Packer (Debian: packer)").expect("Packer");
        let mut arguments = vec![command.to_owned()];
        arguments.extend(options.iter().map(|option| (*option).to_owned()));
        arguments.extend(self.variables.iter().map(|(name, value)| format!("-var={name}={value}")));
        arguments.push(self.files.path().to_string_lossy().into_owned());
        let program = Program {
            path: &path,
            directory: self.files.path(),
            environment: &self.environment,
            time_limit: Duration::from_mins(15),
            interrupt: CancellationToken::new(),
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        program.start(&arguments).expect("Packer starts").wait().await.expect("Packer ends")
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
