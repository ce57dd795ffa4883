//! Runs the real Terraform (or OpenTofu) with the freshly built provider, against a local AWS.
//!
//! Each [`Terraform`] is a temporary working directory with a clean environment: nothing of the user's AWS or Terraform
//! settings gets in, the provider comes from a filesystem mirror, and the network is not used. The steps and checks are those of
//! Terraform's own acceptance-test framework: empty plans, actions, import and verify, drift, disappearance.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # let aws = agentless_tests::local_aws::LocalAws::start(Default::default()).await?;
//! use agentless_tests::terraform::Terraform;
//!
//! let terraform = Terraform::with_config(&aws, r#"resource "datadog_agentless_scanner_role" "this" { name = "scanner" }"#)?;
//! terraform.init().await?;
//! terraform.apply().await?;
//! terraform.assert_empty_plans().await?;
//! terraform.assert_import_verifies("datadog_agentless_scanner_role.this", "scanner", &[]).await?;
//! terraform.destroy().await?;
//! # Ok(())
//! # }
//! ```

mod binary;
mod installed;
mod mirror;
mod output;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::local_aws::LocalAws;
use crate::process::{Finished, ProcessError, Program, Running};
use crate::programs::BuildError;

pub use binary::{Binary, NotFound};
pub use installed::Installed;
pub use mirror::{SOURCE, package};
pub use output::{Plan, State};

/// Why a step did not do what was wanted.
#[derive(Debug, thiserror::Error)]
#[expect(clippy::error_impl_error, reason = "read as `terraform::Error`")]
pub enum Error {
    /// Neither Terraform nor OpenTofu.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// The provider does not build.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A file or a process.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A command ended otherwise than expected, or not in time.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A result that is not what it should be.
    #[error("{0}")]
    Check(String),
}

/// A working directory of Terraform.
#[derive(Debug)]
pub struct Terraform {
    binary: Binary,
    /// Owns the files; the working directory may be below.
    files: TempDir,
    directory: PathBuf,
    environment: Vec<(OsString, OsString)>,
    time_limit: Duration,
    interrupt: CancellationToken,
}

impl Terraform {
    /// A working directory with this configuration. The provider's requirement is added, under the local name `datadog`,
    /// unless the configuration has a `terraform` block of its own.
    ///
    /// # Errors
    /// When Terraform is missing, the provider does not build, or files cannot be written.
    pub fn with_config(aws: &LocalAws, config: &str) -> Result<Self, Error> {
        let files = temporary_directory()?;
        let terraform = Self::new(aws, files, Path::new(""))?;
        if !config.lines().any(|line| line.starts_with("terraform {")) {
            write(&terraform.directory.join("versions.tf"), &versions_file())?;
        }
        terraform.set_config(config)?;
        Ok(terraform)
    }

    /// A working directory with a copy of an example: `examples/NAME`, with the folders beside it, which it may refer to.
    ///
    /// # Errors
    /// As [`Self::with_config`].
    pub fn with_example(aws: &LocalAws, name: &str) -> Result<Self, Error> {
        let files = temporary_directory()?;
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        copy_directory(&examples, &files.path().join("examples"))?;
        Self::new(aws, files, &Path::new("examples").join(name))
    }

    fn new(aws: &LocalAws, files: TempDir, below: &Path) -> Result<Self, Error> {
        let binary = Binary::find()?;
        let cli_config = files.path().join(CLI_CONFIG_FILE);
        write(&cli_config, &mirror::cli_config(&mirror::make()?))?;
        let home = files.path().join("home");
        fs::create_dir_all(&home).map_err(|source| io("create", &home, source))?;
        let directory = files.path().join(below);
        let nothing = Path::new("/dev/null");
        let mut environment: Vec<(OsString, OsString)> = vec![
            (CLI_CONFIG.into(), cli_config.into()),
            ("HOME".into(), home.into()),
            ("AWS_CONFIG_FILE".into(), nothing.into()),
            ("AWS_SHARED_CREDENTIALS_FILE".into(), nothing.into()),
            ("AWS_EC2_METADATA_DISABLED".into(), "true".into()),
            ("CHECKPOINT_DISABLE".into(), "1".into()),
            ("TF_IN_AUTOMATION".into(), "1".into()),
            ("TF_INPUT".into(), "0".into()),
            ("NO_COLOR".into(), "1".into()),
        ];
        environment.extend(std::env::var_os("PATH").map(|path| ("PATH".into(), path)));
        environment.extend(aws.environment().into_iter().map(|(name, value)| (name.into(), value.into())));
        let interrupt = CancellationToken::new();
        Ok(Self { binary, files, directory, environment, time_limit: TIME_LIMIT, interrupt })
    }

    /// Replace the configuration of [`Self::with_config`].
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_config(&self, config: &str) -> Result<(), Error> {
        write(&self.directory.join("main.tf"), config)
    }

    /// Install providers from another filesystem mirror than the one with the freshly built provider. Before
    /// [`Self::init`].
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_mirror(&self, mirror: &Path) -> Result<(), Error> {
        write(&self.files.path().join(CLI_CONFIG_FILE), &mirror::cli_config(mirror))
    }

    /// Set an environment variable for every command, such as `TF_VAR_name`, `TF_LOG` or another access key.
    pub fn set_environment(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.into(), value.into()));
    }

    /// Set an input variable of the configuration.
    pub fn set_variable(&mut self, name: &str, value: impl Into<OsString>) {
        self.set_environment(&format!("TF_VAR_{name}"), value);
    }

    /// Leave an input variable to its default again.
    pub fn unset_variable(&mut self, name: &str) {
        let name = format!("TF_VAR_{name}");
        self.environment.retain(|(known, _)| *known != *name);
    }

    /// Give every command so long. Five minutes at first.
    pub fn set_time_limit(&mut self, limit: Duration) {
        self.time_limit = limit;
    }

    /// Interrupt the commands, those under way and those to come, when this is cancelled.
    pub fn set_interrupt(&mut self, interrupt: CancellationToken) {
        self.interrupt = interrupt;
    }

    /// What runs, for example `Terraform v1.11.4`.
    pub fn version(&self) -> &str {
        &self.binary.version
    }

    /// How a user runs it with the same provider, up to the command: `TF_CLI_CONFIG_FILE=… terraform`.
    pub fn command_line(&self) -> String {
        let config = self.environment.iter().find(|(name, _)| name == CLI_CONFIG);
        let config = config.map(|(_, path)| path.to_string_lossy()).unwrap_or_default();
        format!("{CLI_CONFIG}={config} {}", self.binary.path.display())
    }

    /// Where the configuration and the state are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// `terraform init`.
    ///
    /// # Errors
    /// When it fails.
    pub async fn init(&self) -> Result<Finished, Error> {
        Ok(self.run(&["init", "-no-color"]).await?.success()?)
    }

    /// `terraform apply`.
    ///
    /// # Errors
    /// When it fails.
    pub async fn apply(&self) -> Result<Finished, Error> {
        Ok(self.run(APPLY).await?.success()?)
    }

    /// `terraform apply` that must fail. What it wrote is in the result.
    ///
    /// # Errors
    /// When it succeeds.
    pub async fn apply_fails(&self) -> Result<Finished, Error> {
        Ok(self.run(APPLY).await?.failure()?)
    }

    /// Start `terraform apply`, to interrupt it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_apply(&self) -> Result<Running, Error> {
        self.start(APPLY)
    }

    /// `terraform destroy`.
    ///
    /// # Errors
    /// When it fails.
    pub async fn destroy(&self) -> Result<Finished, Error> {
        Ok(self.run(&["destroy", "-auto-approve", "-no-color"]).await?.success()?)
    }

    /// `terraform plan`, with a refresh.
    ///
    /// # Errors
    /// When it fails.
    pub async fn plan(&self) -> Result<Plan, Error> {
        self.plan_with(&[]).await
    }

    /// `terraform plan` with more arguments.
    ///
    /// # Errors
    /// When it fails.
    pub async fn plan_with(&self, arguments: &[&str]) -> Result<Plan, Error> {
        let plan = ["plan", "-no-color", "-detailed-exitcode", "-out=plan.bin"];
        let finished = self.run(&[plan.as_slice(), arguments].concat()).await?;
        let has_changes = match finished.code {
            Some(0) => false,
            Some(2) => true,
            _ => return Err(finished.into_error().into()),
        };
        let shown = self.run(&["show", "-json", "plan.bin"]).await?.success()?;
        Plan::new(has_changes, &shown.stdout, finished.stdout)
    }

    /// `terraform plan` that must fail. What it wrote is in the result.
    ///
    /// # Errors
    /// When it succeeds.
    pub async fn plan_fails(&self) -> Result<Finished, Error> {
        Ok(self.run(&["plan", "-no-color"]).await?.failure()?)
    }

    /// `terraform show`: the state.
    ///
    /// # Errors
    /// When it fails.
    pub async fn state(&self) -> Result<State, Error> {
        let shown = self.run(&["show", "-json"]).await?.success()?;
        State::new(&shown.stdout)
    }

    /// `terraform import`.
    ///
    /// # Errors
    /// When it fails.
    pub async fn import(&self, address: &str, id: &str) -> Result<Finished, Error> {
        Ok(self.run(&["import", "-no-color", address, id]).await?.success()?)
    }

    /// The plan is empty, with a refresh and without one.
    ///
    /// # Errors
    /// When it is not, with the plan's text.
    pub async fn assert_empty_plans(&self) -> Result<(), Error> {
        self.plan().await?.assert_empty()?;
        self.plan_with(&["-refresh=false"]).await?.assert_empty()
    }

    /// Importing `address` by `id` into an empty state gives every attribute that the state has now, but for those to
    /// ignore (`password`, or a whole block: `timeouts`).
    ///
    /// # Errors
    /// When the import fails or attributes differ, with their names and values.
    pub async fn assert_import_verifies(
        &self,
        address: &str,
        id: &str,
        ignore: &[&str],
    ) -> Result<(), Error> {
        let expected = self.state().await?;
        let fresh = self.copy_without_state()?;
        fresh.init().await?;
        fresh.import(address, id).await?;
        fresh.state().await?.assert_same(&expected, address, ignore)
    }

    /// An `import` block for what exists plans an import and no change.
    ///
    /// # Errors
    /// When it plans anything else.
    pub async fn assert_import_block_is_no_op(&self, address: &str, id: &str) -> Result<(), Error> {
        let fresh = self.copy_without_state()?;
        let block = format!("import {{\n  to = {address}\n  id = {}\n}}\n", Value::from(id));
        write(&fresh.directory.join("import.tf"), &block)?;
        fresh.init().await?;
        let plan = fresh.plan_with(&[&format!("-target={address}")]).await?;
        plan.expect_actions(address, &["no-op"])?;
        plan.expect_import(address, id)
    }

    /// Run any command.
    ///
    /// # Errors
    /// When it cannot be started or does not end in time. Whether it succeeded is in the result.
    pub async fn run(&self, arguments: &[&str]) -> Result<Finished, Error> {
        Ok(self.start(arguments)?.wait().await?)
    }

    fn start(&self, arguments: &[&str]) -> Result<Running, Error> {
        let program = Program {
            path: &self.binary.path,
            directory: &self.directory,
            environment: &self.environment,
            time_limit: self.time_limit,
            interrupt: self.interrupt.clone(),
        };
        Ok(program.start(arguments)?)
    }

    /// The same configuration in another directory, with nothing in its state.
    fn copy_without_state(&self) -> Result<Self, Error> {
        let files = temporary_directory()?;
        copy_directory(self.files.path(), files.path())?;
        let below = self.directory.strip_prefix(self.files.path()).unwrap_or_else(|_| Path::new(""));
        let directory = files.path().join(below);
        for state in ["terraform.tfstate", "terraform.tfstate.backup"] {
            let path = directory.join(state);
            if path.exists() {
                fs::remove_file(&path).map_err(|source| io("remove", &path, source))?;
            }
        }
        let (binary, environment) = (self.binary.clone(), self.environment.clone());
        let (time_limit, interrupt) = (self.time_limit, self.interrupt.clone());
        Ok(Self { binary, files, directory, environment, time_limit, interrupt })
    }
}

fn versions_file() -> String {
    format!(
        "terraform {{\n  required_providers {{\n    datadog = {{\n      source = \"{SOURCE}\"\n    }}\n  }}\n}}\n"
    )
}

fn temporary_directory() -> Result<TempDir, Error> {
    tempfile::Builder::new()
        .prefix("terraform-")
        .tempdir()
        .map_err(|source| io("create a directory in", &std::env::temp_dir(), source))
}

/// Copy the files below `from`. Not Terraform's own folders: the copy runs `init` itself.
fn copy_directory(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(|source| io("create", to, source))?;
    for entry in fs::read_dir(from).map_err(|source| io("list", from, source))? {
        let entry = entry.map_err(|source| io("list", from, source))?;
        let (source_path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == ".terraform" {
            continue;
        }
        if source_path.is_dir() {
            copy_directory(&source_path, &target)?;
        } else {
            fs::copy(&source_path, &target).map_err(|source| io("copy", &source_path, source))?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(|source| io("write", path, source))
}

fn io(doing: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Io { doing, path: path.to_path_buf(), source }
}

const CLI_CONFIG: &str = "TF_CLI_CONFIG_FILE";
const CLI_CONFIG_FILE: &str = "cli.tfrc";
const APPLY: &[&str] = &["apply", "-auto-approve", "-no-color"];
const TIME_LIMIT: Duration = Duration::from_mins(5);
