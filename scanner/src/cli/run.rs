//! `agentless-scanner run`: the service.

use std::error::Error;
use std::path::{Path, PathBuf};

use agentless_core::catalogue::Catalogue;
use agentless_sandbox::confine::{ParentRights, list};
use agentless_sandbox::parent::{Mode, Program, Sandbox};
use agentless_service::settings::Settings;
use agentless_service::status::listen;
use clap::Args;

use super::Exit;
use super::config::Given;
use super::confine::{add_aws, give_up};
use super::log::Started;
use crate::config::sandbox_mode;
use crate::daemon::run::{self, Start};

/// Scan everything, again and again: the service of a scanner's instance.
///
/// Finds instances, images and functions, scans each in its slot of the interval, sends the package lists, and deletes
/// what it made. Ends on Ctrl-C or SIGTERM once running scans have ended; reads its configuration again on SIGHUP.
///
/// Exit status: 0 it was told to end; 1 it cannot do its work; 2 the configuration is not understood.
#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    given: Given,
}

/// A directory of the service is not there, and cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the directory {path:?} of `{key}` cannot be made")]
struct NoDirectory {
    key: &'static str,
    path: PathBuf,
    source: std::io::Error,
}

impl Run {
    pub(super) fn run(self, log: &Started, catalogue: &Catalogue) -> Result<Exit, Box<dyn Error>> {
        let settings = match self.given.load() {
            Ok(settings) => settings,
            Err(mistakes) => {
                abandon(&self.given.understood());
                return Err(mistakes.into());
            }
        };
        let start = match self.prepare(settings.clone(), log, catalogue) {
            Ok(start) => start,
            Err(error) => {
                abandon(&settings);
                return Err(error);
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let result = runtime.block_on(run::run(start));
        // A thread that still reads a cancelled target is not waited for.
        runtime.shutdown_background();
        result?;
        Ok(Exit::Complete)
    }

    /// Makes what the service starts with, and gives up what it does not need.
    fn prepare(
        self,
        settings: Settings,
        log: &Started,
        catalogue: &Catalogue,
    ) -> Result<Start, Box<dyn Error>> {
        settings.require_sinks()?;
        log.set_level(super::log::level(settings.log_level));
        let mode = settings.sandbox.map_or(Mode::Required, sandbox_mode);
        let directories = directories(&settings)?;
        let socket = if settings.status.enabled {
            let passed = listen::passed()?;
            Some(passed.map_or_else(|| listen::bind(settings.status.port), Ok)?)
        } else {
            None
        };
        protect(&settings, directories, mode)?;
        let sandbox = Sandbox { program: Program::own()?, mode, limits: settings.limits.clone() };
        let (given, log) = (self.given, log.clone());
        Ok(Start {
            settings,
            reread: Box::new(move || {
                let settings = given.load()?;
                settings.require_sinks().map(|()| settings)
            }),
            set_level: Box::new(move |level| log.set_level(super::log::level(level))),
            socket,
            sandbox,
            catalogue: catalogue.clone(),
        })
    }
}

/// The service cannot start: an instance that waits to be admitted into its group is given up, rather than waited for.
fn abandon(settings: &Settings) {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run::abandon(settings)),
        Err(error) => tracing::warn!(%error, "the launch hook was not answered"),
    }
}

/// The directories that the service writes to, each made where it is not there.
fn directories(settings: &Settings) -> Result<Vec<PathBuf>, NoDirectory> {
    let mut wanted: Vec<(&'static str, &Path)> = vec![
        ("state_directory", &settings.state_directory),
        ("runtime_directory", &settings.runtime_directory),
        ("spool.directory", &settings.spool.directory),
    ];
    wanted.extend(settings.sinks.files.as_ref().map(|files| ("sinks.files.directory", &*files.directory)));
    let make = |(key, path): (&'static str, &Path)| {
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| NoDirectory { key, path: path.to_owned(), source })?;
        Ok(path.to_owned())
    };
    wanted.into_iter().map(make).collect()
}

/// Gives up what the service does not need. It must be called while the process has one thread.
fn protect(settings: &Settings, writes: Vec<PathBuf>, mode: Mode) -> Result<(), Box<dyn Error>> {
    let mut rights = ParentRights { writes, executes_others: settings.secret_backend.is_some() };
    add_aws(&mut rights);
    let missing = give_up(&rights, mode, "sandbox: best-effort")?;
    if !missing.is_empty() {
        tracing::warn!(missing = list(&missing), "the system does not confine the scanner");
    }
    Ok(())
}
