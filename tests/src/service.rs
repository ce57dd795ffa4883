//! The service, started as on an instance, with a configuration of its own, and watched by its status interface.

use std::fs::DirBuilder;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentless_service::board::{Last, View};
use agentless_service::schedule::{Watermark, WatermarkError};
use agentless_service::status::client::{Client, ClientError};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::local_aws::{InstanceMetadata, LocalAws};
use crate::process::{Finished, ProcessError, Program, Running};
use crate::programs::{self, BuildError};

/// What a service runs on: its environment, its configuration and its directories. A service that is started again finds what
/// the one before it left.
#[derive(Debug)]
pub struct Machine {
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
    port: u16,
    log_level: &'static str,
}

/// A service that runs. Dropping it kills it and its analysers.
#[derive(Debug)]
pub struct Service {
    running: Running,
    client: Client,
}

/// Why a service did not do what was wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// Its files.
    #[error("the service's files could not be made")]
    Files(#[from] io::Error),
    /// Its program.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Its process.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// What it answers.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What an earlier run is to have left.
    #[error(transparent)]
    Heartbeat(#[from] WatermarkError),
    /// Something that was waited for.
    #[error("{what}: that did not happen within {limit:?}")]
    Never {
        /// What.
        what: String,
        /// How long it had.
        limit: Duration,
    },
    /// The same, of the service.
    #[error("{what}: that did not happen within {limit:?}. {shown}\n{log}")]
    NeverShown {
        /// What.
        what: String,
        /// How long it had.
        limit: Duration,
        /// The board at the end.
        shown: String,
        /// What it had logged by then.
        log: String,
    },
}

impl Machine {
    /// One with the account's long-lived key, that is no instance.
    ///
    /// # Errors
    /// When there is no room for files, or no free port.
    pub fn with_key(aws: &LocalAws) -> Result<Self, ServiceError> {
        let mut environment = aws.environment();
        environment.push(("AWS_EC2_METADATA_DISABLED", "true".to_owned()));
        Self::new(environment)
    }

    /// An instance, with what its role may do.
    ///
    /// # Errors
    /// When there is no room for files, or no free port.
    pub fn instance(aws: &LocalAws, metadata: &InstanceMetadata) -> Result<Self, ServiceError> {
        Self::new(vec![
            ("AWS_ENDPOINT_URL", aws.endpoint()),
            ("AWS_REGION", aws.region().to_owned()),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.endpoint().to_owned()),
        ])
    }

    /// The same, with one more variable in the environment, or another value of it.
    #[must_use]
    pub fn with_variable(mut self, name: &'static str, value: &str) -> Self {
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.to_owned()));
        self
    }

    fn new(mut environment: Vec<(&'static str, String)>) -> Result<Self, ServiceError> {
        let nowhere = ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"];
        environment.extend(nowhere.map(|name| (name, "/dev/null".to_owned())));
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let machine = Self { folder: tempfile::tempdir()?, environment, port, log_level: "debug" };
        // Without a heartbeat, what had its slot in the last half hour would be due: what that is follows from ids that are random.
        machine.all_done_until(OffsetDateTime::now_utc())?;
        Ok(machine)
    }

    /// The same, but its service logs at this level and not at `debug`.
    #[must_use]
    pub fn logging(mut self, level: &'static str) -> Self {
        self.log_level = level;
        self
    }

    /// A file or directory of its own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has its service find that an earlier one has done everything that was due by then.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn all_done_until(&self, time: OffsetDateTime) -> Result<(), ServiceError> {
        let state = self.path("state");
        DirBuilder::new().recursive(true).mode(0o700).create(&state)?;
        // What it says does not depend on the interval.
        Ok(Watermark::open(&state, Duration::from_hours(1), time).advance(time, [])?)
    }

    /// Writes the configuration: these keys, and the directories and the port of this machine.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&self, keys: &str) -> Result<(), ServiceError> {
        let own = format!(
            "state_directory: {}\nruntime_directory: {}\nspool: {{directory: {}}}\nstatus: {{port: {}}}\n",
            self.path("state").display(),
            self.path("run").display(),
            self.path("spool").display(),
            self.port,
        );
        Ok(std::fs::write(self.path(CONFIG), own + keys)?)
    }

    /// Starts the service. It is not ready yet.
    ///
    /// # Errors
    /// When it does not build or start.
    pub async fn start(&self) -> Result<Service, ServiceError> {
        let program = tokio::task::spawn_blocking(programs::scanner).await.map_err(io::Error::other)??;
        let program = Program {
            path: &program,
            directory: Path::new("/"),
            environment: &self.environment,
            time_limit: LONGEST_RUN,
            interrupt: CancellationToken::new(),
        };
        let config = self.path(CONFIG).display().to_string();
        let level = format!("log_level={}", self.log_level);
        let running = program.start(&["run", "--config", &config, "--set", &level])?;
        Ok(Service { running, client: Client::new(self.path("run")) })
    }

    /// Starts the service, and waits until it works.
    ///
    /// # Errors
    /// When it does not build or start, or does not get ready.
    pub async fn ready(&self) -> Result<Service, ServiceError> {
        let service = self.start().await?;
        let is_ready = |view: &View| (view.phase.name() == "ready").then_some(());
        let (service, ()) = service.until("the service is ready", is_ready).await?;
        Ok(service)
    }

    /// The package lists that the sink for files wrote into a directory of this machine.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn lists(&self, directory: &str) -> Result<Vec<PathBuf>, ServiceError> {
        let mut folders = vec![self.path(directory)];
        let mut lists = Vec::new();
        while let Some(folder) = folders.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.to_string_lossy().ends_with(".cdx.json") {
                    lists.push(path);
                }
            }
        }
        lists.sort();
        Ok(lists)
    }
}

impl Service {
    /// What it shows of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn view(&self) -> Result<View, ServiceError> {
        Ok(self.client.status().await?.1)
    }

    /// Waits until it shows what is looked for.
    ///
    /// # Errors
    /// When it does not, with what it logged.
    pub async fn until<T>(
        self,
        what: &str,
        look: impl Fn(&View) -> Option<T>,
    ) -> Result<(Self, T), ServiceError> {
        self.wait_for(what, async |service| service.view().await.ok().as_ref().and_then(&look)).await
    }

    /// Has a target scanned, as soon as it is known, and waits for the result, if need be for another than it had before.
    ///
    /// # Errors
    /// When there is none, with what it logged.
    pub async fn scan(self, target: &str) -> Result<(Self, Last), ServiceError> {
        let newest = |view: &View| {
            let of_target = |last: &&Last| last.target.id == target || last.target.arn == target;
            view.results.iter().find(of_target).cloned()
        };
        let before = self.view().await.ok().as_ref().and_then(newest).map(|last| last.scan);
        let service = self.order(target).await?;
        let result = |view: &View| newest(view).filter(|last| before.as_ref() != Some(&last.scan));
        service.until(&format!("{target} is scanned"), result).await
    }

    /// Has a target scanned, as soon as it is known.
    ///
    /// # Errors
    /// When it is not, with what the service logged.
    pub async fn order(self, target: &str) -> Result<Self, ServiceError> {
        let what = format!("{target} is known");
        let order = async |service: &Self| service.client.scan(target).await.ok();
        Ok(self.wait_for(&what, order).await?.0)
    }

    /// Cancels the scan of a target.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn cancel(&self, target: &str) -> Result<(), ServiceError> {
        Ok(self.client.cancel(target).await.map(drop)?)
    }

    /// Its process.
    pub fn id(&self) -> Pid {
        self.running.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.running.has_ended()
    }

    /// Sends its process a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), ServiceError> {
        Ok(self.running.signal(signal)?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn wait(self) -> Result<Finished, ServiceError> {
        Ok(self.running.wait().await?)
    }

    /// Tells it to end, and waits for that.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn end(self) -> Result<Finished, ServiceError> {
        self.signal(Signal::SIGTERM)?;
        self.wait().await
    }

    async fn wait_for<T>(
        mut self,
        what: &str,
        look: impl AsyncFn(&Self) -> Option<T>,
    ) -> Result<(Self, T), ServiceError> {
        let end = Instant::now() + LIMIT;
        // One that has ended shows nothing any more.
        while Instant::now() < end && !self.running.has_ended() {
            if let Some(found) = look(&self).await {
                return Ok((self, found));
            }
            sleep(PAUSE).await;
        }
        let shown = match self.client.status().await {
            Ok((json, _)) => format!("It shows {json:#}"),
            Err(error) => format!("It does not answer: {error}"),
        };
        // That it has ended already is part of what is wrong.
        let _ = self.signal(Signal::SIGKILL);
        let log = self.wait().await?.stderr;
        Err(ServiceError::NeverShown { what: what.to_owned(), limit: LIMIT, shown, log })
    }
}

/// Looks again and again, until there is something.
///
/// # Errors
/// When there is nothing for too long.
pub async fn eventually<T, F>(what: &str, mut look: impl FnMut() -> F) -> Result<T, ServiceError>
where
    F: Future<Output = Option<T>>,
{
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        if let Some(found) = look().await {
            return Ok(found);
        }
        sleep(PAUSE).await;
    }
    Err(ServiceError::Never { what: what.to_owned(), limit: LIMIT })
}

const CONFIG: &str = "config.yaml";
/// Far above what anything takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// Of a whole run.
const LONGEST_RUN: Duration = Duration::from_mins(5);
