//! A directory with a configuration, the fixture provider as its mirror offers it, and Terraform to run on it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use serde_json::Value as Json;
use tempfile::TempDir;

/// The example provider, built as it is in the tree.
#[track_caller]
pub(crate) fn fixture() -> &'static Path {
    static BUILT: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
        let test = env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).expect("a test lies in deps of the profile's folder");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        // From the workspace's root and without naming the package: any other choice would build dependencies anew.
        build.current_dir(root).args(["build", "--quiet", "--example", "fixture"]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let built = build.output().unwrap();
        if built.status.success() {
            Ok(profile.join("examples/fixture"))
        } else {
            Err(format!("could not build the example provider:\n{}", said(&built).text))
        }
    });
    BUILT.as_ref().unwrap_or_else(|problem| panic!("{problem}"))
}

/// Terraform's program.
#[track_caller]
fn terraform() -> &'static OsStr {
    static FOUND: LazyLock<Result<OsString, String>> = LazyLock::new(|| {
        let program = env::var_os("TERRAFORM").unwrap_or_else(|| "terraform".into());
        let version = Command::new(&program).arg("version").env("CHECKPOINT_DISABLE", "1").output();
        match version {
            Ok(output) if output.status.success() => Ok(program),
            other => Err(format!(
                "These tests run Terraform, but {} did not start ({other:?}).\n\
                 Install Terraform 1.11 or later from https://developer.hashicorp.com/terraform/install, or set the \
                 variable TERRAFORM to its path.",
                program.display()
            )),
        }
    });
    FOUND.as_ref().unwrap_or_else(|problem| panic!("{problem}"))
}

/// Where Terraform looks for variables that would change what it does.
const FOREIGN: [&str; 8] = [
    "RUST_BACKTRACE",
    "TF_CLI_ARGS",
    "TF_DATA_DIR",
    "TF_LOG",
    "TF_LOG_PROVIDER",
    "TF_PLUGIN_CACHE_DIR",
    "TF_REATTACH_PROVIDERS",
    "TF_WORKSPACE",
];

/// A configuration and its state.
pub(crate) struct Workspace {
    directory: TempDir,
    variables: Vec<(&'static str, String)>,
}

/// What a run of Terraform said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) code: Option<i32>,
    /// Standard output and error, one after the other.
    pub(crate) text: String,
}

impl Said {
    /// Asserts that Terraform was content.
    #[track_caller]
    pub(crate) fn expect_ok(self) -> Self {
        assert!(self.ok, "{}", self.text);
        self
    }

    /// Asserts that Terraform failed and said all of `expected`. Line breaks and the frame around a diagnostic do not
    /// count.
    #[track_caller]
    pub(crate) fn expect_error(self, expected: &[&str]) -> Self {
        assert!(!self.ok, "expected a failure:\n{}", self.text);
        self.expect_said(expected)
    }

    /// Asserts that Terraform said all of `expected`.
    #[track_caller]
    pub(crate) fn expect_said(self, expected: &[&str]) -> Self {
        let words = self.text.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
        for expected in expected {
            assert!(words.contains(expected), "{expected:?} is missing in:\n{}", self.text);
        }
        self
    }
}

impl Workspace {
    /// A workspace with `config`, initialised. `root` in it is the directory where the provider keeps its files.
    pub(crate) fn new(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let package = path.join("mirror/registry.terraform.io/example/fixture/1.2.3").join(platform());
        fs::create_dir_all(&package).unwrap();
        let binary = package.join("terraform-provider-fixture_v1.2.3");
        // A link is quick; the target folder may lie on another disk.
        if fs::hard_link(fixture(), &binary).is_err() {
            fs::copy(fixture(), &binary).unwrap();
        }
        let mirror = path.join("mirror");
        let settings = format!(
            "provider_installation {{\n  filesystem_mirror {{\n    path = \"{}\"\n  }}\n}}\ndisable_checkpoint = true\n",
            mirror.display()
        );
        fs::write(path.join("terraform.rc"), settings).unwrap();
        fs::create_dir(path.join("files")).unwrap();
        let workspace = Self { directory, variables: Vec::new() };
        workspace.configure(config);
        workspace.terraform(&["init"]).expect_ok();
        workspace
    }

    /// Replaces the configuration.
    pub(crate) fn configure(&self, config: &str) {
        let head = format!(
            "terraform {{\n  required_providers {{\n    fixture = {{ source = \"example/fixture\" }}\n  }}\n}}\n\
             provider \"fixture\" {{\n  root = \"{}\"\n}}\n",
            self.files().display()
        );
        fs::write(self.path("main.tf"), format!("{head}{config}\n")).unwrap();
    }

    /// Sets a variable for every later run.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.variables.push((name, value.into()));
    }

    /// Forgets the variables that were set.
    pub(crate) fn unset_all(&mut self) {
        self.variables.clear();
    }

    /// The directory of the provider's files.
    pub(crate) fn files(&self) -> PathBuf {
        self.path("files")
    }

    /// A path in the workspace.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The content of the file that the resource `name` keeps.
    pub(crate) fn file(&self, name: &str) -> Option<Json> {
        let bytes = fs::read(self.files().join(format!("{name}.json"))).ok()?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    /// Changes the file that the resource `name` keeps, behind Terraform's back.
    pub(crate) fn tamper(&self, name: &str, key: &str, value: impl Into<Json>) {
        let mut content = self.file(name).expect("the file exists");
        content[key] = value.into();
        fs::write(self.files().join(format!("{name}.json")), content.to_string()).unwrap();
    }

    /// Terraform, ready to run with `arguments`.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(terraform());
        command.current_dir(self.directory.path()).args(arguments).stdin(Stdio::null());
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_CLI_CONFIG_FILE", self.path("terraform.rc"))
            .env("TF_IN_AUTOMATION", "1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs Terraform.
    pub(crate) fn terraform(&self, arguments: &[&str]) -> Said {
        said(&self.command(arguments).arg("-no-color").output().unwrap())
    }

    /// `terraform apply`.
    pub(crate) fn apply(&self) -> Said {
        self.terraform(&["apply", "-auto-approve"])
    }

    /// `terraform destroy`.
    pub(crate) fn destroy(&self) -> Said {
        self.terraform(&["destroy", "-auto-approve"])
    }

    /// Asserts that a plan shows no changes, twice.
    #[track_caller]
    pub(crate) fn expect_no_changes(&self) {
        for _ in 0..2 {
            let said = self.terraform(&["plan", "-detailed-exitcode"]);
            assert_eq!(said.code, Some(0), "{}", said.text);
        }
    }

    /// The change that a plan has for the one resource at `address`.
    #[track_caller]
    pub(crate) fn planned(&self, address: &str) -> Json {
        self.terraform(&["plan", "-out=plan"]).expect_ok();
        let plan = self.json(&["show", "-json", "plan"]);
        let changes = plan["resource_changes"].as_array().cloned().unwrap_or_default();
        let change = changes.into_iter().find(|change| change["address"] == address);
        change.unwrap_or_else(|| panic!("no change of {address} in {plan}"))["change"].clone()
    }

    /// The instance in the state at `address`.
    #[track_caller]
    pub(crate) fn state(&self, address: &str) -> Option<Json> {
        let state = self.json(&["show", "-json"]);
        let resources = state["values"]["root_module"]["resources"].as_array().cloned().unwrap_or_default();
        resources.into_iter().find(|resource| resource["address"] == address)
    }

    /// The attributes in the state of the instance at `address`.
    #[track_caller]
    pub(crate) fn attributes(&self, address: &str) -> Json {
        self.state(address).unwrap_or_else(|| panic!("{address} is not in the state"))["values"].clone()
    }

    /// The state file as it is written.
    pub(crate) fn state_file(&self) -> String {
        fs::read_to_string(self.path("terraform.tfstate")).unwrap()
    }

    /// What Terraform prints as JSON.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Json {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{}", said(&output).text);
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

pub(crate) fn said(output: &Output) -> Said {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat();
    Said { ok: output.status.success(), code: output.status.code(), text }
}

/// The platform in Terraform's words, which are Go's.
fn platform() -> String {
    let os = match env::consts::OS {
        "macos" => "darwin",
        os => os,
    };
    let architecture = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        architecture => architecture,
    };
    format!("{os}_{architecture}")
}
