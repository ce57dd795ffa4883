//! The template of the machine image: what it says (`template`), which variables it takes (`variables`), and what it makes of a local AWS
//! (`build`); and the pipeline that builds, checks and rolls out images (`pipeline`).
//!
//! The Packer that CI can have is Debian's 1.6.6, which has no plug-ins and does not know some of the arguments. These are between
//! `#modern-begin` and `#modern-end` in the template: `template` reads the whole of it as HCL and looks at what it says, the
//! others run Packer on a copy without. So no test has run current Packer, nor what lies between the marks.
#![expect(clippy::expect_used, reason = "helpers of tests, outside of #[test] functions")]

mod build;
mod pipeline;
mod template;
mod variables;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use agentless_tests::process::{Finished, Program};
use agentless_tests::tools;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What comes between these is for current Packer only.
const MODERN: [&str; 2] = ["#modern-begin", "#modern-end"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of the template, with their names.
fn template_files() -> Vec<(String, String)> {
    let folder = fs::read_dir(repository().join("packer")).expect("the folder of the template");
    let names = folder.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".pkr.hcl")).collect();
    names.sort();
    let read = |name: String| {
        let text = fs::read_to_string(repository().join("packer").join(&name)).expect("a file");
        (name, text)
    };
    names.into_iter().map(read).collect()
}

/// A release of a scanner, signed with a key of its own, as `.ci/release` packs it.
struct Release {
    folder: TempDir,
    public_key: String,
}

impl Release {
    /// For both architectures. The program is a file's header: it is never run.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [secret, public] = ["release.key", "release.pub"].map(|name| folder.path().join(name));
        run(Command::new("minisign").args(["-G", "-W", "-s"]).arg(&secret).arg("-p").arg(&public));
        let release = folder.path().join("release");
        for (machine, target) in [(62, "x86_64-unknown-linux-musl"), (183, "aarch64-unknown-linux-musl")] {
            let program = folder.path().join("program");
            fs::write(&program, elf_header(machine)).expect("a file");
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its mode");
            let mut script = Command::new(repository().join(".ci/release"));
            script.args(["scanner", "--target", target, "--binary"]).arg(&program);
            run(script.arg("--key").arg(&secret).arg("--folder").arg(&release));
        }
        let public = fs::read_to_string(public).expect("a key");
        let public_key = public.lines().last().expect("the key's line").to_owned();
        Self { folder, public_key }
    }

    fn folder(&self) -> PathBuf {
        self.folder.path().join("release")
    }

    /// The program of an architecture, beside which lie checksum and signature.
    fn program(&self, architecture: &str) -> PathBuf {
        self.folder().join(format!("agentless-scanner_{VERSION}_linux_{architecture}"))
    }

    /// By its file with the checksum.
    fn sha256(&self, architecture: &str) -> String {
        let sums = format!("{}.sha256", self.program(architecture).display());
        fs::read_to_string(sums).expect("a checksum").chars().take(64).collect()
    }
}

/// The header of a static program for 64 bits (ELF-64 Object File Format, "ELF header").
fn elf_header(machine: u8) -> Vec<u8> {
    let mut header = vec![0; 64];
    header.splice(0..7, *b"\x7fELF\x02\x01\x01");
    header.splice(16..24, [2, 0, machine, 0, 1, 0, 0, 0]);
    header.splice(52..54, [64, 0]);
    header
}

/// A copy of the template for the Packer of this machine, and the variables that it is given.
struct Packer {
    folder: TempDir,
    variables: Vec<(String, String)>,
    environment: Vec<(OsString, OsString)>,
}

impl Packer {
    /// The template without what only current Packer knows, with everything given that a build over SSH needs.
    fn new(release: &Release) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in template_files() {
            fs::write(folder.path().join(name), without_modern(&text)).expect("a file");
        }
        for script in ["verify-release.sh", "instance.sh"] {
            fs::copy(repository().join("packer").join(script), folder.path().join(script)).expect("a copy");
        }
        for uploaded in ["files", "scripts", "output", "home"] {
            fs::create_dir(folder.path().join(uploaded)).expect("a folder");
        }
        let output = folder.path().join("output");
        let mut environment: Vec<(OsString, OsString)> = vec![
            ("CHECKPOINT_DISABLE".into(), "1".into()),
            ("HOME".into(), folder.path().join("home").into()),
            ("PACKER_CONFIG_DIR".into(), folder.path().join("home").into()),
            ("AWS_EC2_METADATA_DISABLED".into(), "true".into()),
        ];
        environment.extend(std::env::var_os("PATH").map(|path| ("PATH".into(), path)));
        let mut packer = Self { folder, variables: Vec::new(), environment };
        packer.set("scanner_version", VERSION);
        packer.set("release_folder", &release.folder().to_string_lossy());
        packer.set("release_public_key", &release.public_key);
        packer.set("git_commit", COMMIT);
        packer.set("region", "us-east-1");
        packer.set("ssh_source_cidrs", r#"["203.0.113.7/32"]"#);
        packer.set("output_folder", &output.to_string_lossy());
        packer
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| known != name);
    }

    fn output(&self, name: &str) -> PathBuf {
        self.folder.path().join("output").join(name)
    }

    /// Changes the copy of a file of the template.
    fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        let path = self.folder.path().join(name);
        let text = fs::read_to_string(&path).expect("a file");
        let changed = change(text.clone());
        assert_ne!(changed, text, "nothing was changed in {name}");
        fs::write(path, changed).expect("a file");
    }

    async fn run(&self, command: &str, options: &[&str]) -> Finished {
        let path = tools::find("packer", "install HashiCorp's Packer (Debian: packer)").expect("Packer");
        let folder = self.folder.path().to_string_lossy().into_owned();
        let mut arguments = vec![command.to_owned()];
        arguments.extend(options.iter().map(|option| (*option).to_owned()));
        arguments.extend(self.variables.iter().map(|(name, value)| format!("-var={name}={value}")));
        arguments.push(folder);
        let program = Program {
            path: &path,
            directory: self.folder.path(),
            environment: &self.environment,
            time_limit: Duration::from_secs(240),
            interrupt: CancellationToken::new(),
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        program.start(&arguments).expect("Packer starts").wait().await.expect("Packer ends")
    }
}

/// `text` without the lines between the marks, and without these.
fn without_modern(text: &str) -> String {
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

fn run(command: &mut Command) {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
