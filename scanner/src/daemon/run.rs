//! The service from its start to its end: everything is joined here.

use std::fmt;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use agentless_core::catalogue::Catalogue;
use agentless_core::fs::Directory;
use agentless_core::source::Source;
use agentless_core::task::Task;
use agentless_sandbox::parent::{Job, Sandbox, SandboxError, Stop};
use agentless_service::board::{self, Board, Severity};
use agentless_service::delivery::{self, Clock, Delivery};
use agentless_service::journal::{Journal, JournalError};
use agentless_service::notify::Notifier;
use agentless_service::queue::{Bounds, Queue};
use agentless_service::secret::Secret;
use agentless_service::secrets::{SecretError, SecretStore, Secrets};
use agentless_service::settings::{LogLevel, Mistakes, Settings};
use agentless_service::status;
use agentless_service::target::Place;
use scanner_policy::SecretArn;
use time::OffsetDateTime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::cloud::{Cloud, places};
use super::control::Orders;
use super::ending::Next;
use super::inventory::Inventory;
use super::running::Running;
use super::service::{Service, Times};
use super::sinks::{SinkError, sinks};
use super::tasks::{self, Admission, TaskError};
use super::{figures, life};
use crate::aws::{
    AccountSettings, Accounts, AccountsError, AuthoritiesError, AwsError, ConnectError, Connection, Delegate,
    Home, Hook, Http, Metadata, MetadataError, Outcome, Rates, ScalingGroup, Secrets as _,
};
use crate::kept::{self, Kept};

/// What the service starts with.
pub struct Start {
    /// The configuration.
    pub settings: Settings,
    /// Reads it again.
    pub reread: Box<dyn Fn() -> Result<Settings, Mistakes> + Send>,
    /// Logs at this level from now on.
    pub set_level: Box<dyn Fn(LogLevel) + Send>,
    /// The socket of the status interface, if there is to be one.
    pub socket: Option<TcpListener>,
    /// How analysers are run.
    pub sandbox: Sandbox,
    /// What they look for.
    pub catalogue: Catalogue,
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Why the service cannot do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The certificate authorities.
    #[error("`ca_file` {path} cannot be read")]
    Authorities {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// They are none.
    #[error(transparent)]
    Certificates(#[from] AuthoritiesError),
    /// No region, or no credentials.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// AWS does not say whose the credentials are.
    #[error("the scanner's own identity cannot be used")]
    Identity(#[source] AwsError),
    /// The instance metadata service.
    #[error("`lifecycle` is configured, but this is no instance of an Auto Scaling group")]
    Metadata(#[from] MetadataError),
    /// A name in the configuration is none of AWS.
    #[error("`{key}` cannot be used: {problem}")]
    Name {
        /// The key.
        key: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Two roles for one account.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A sink cannot be used.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A source of tasks cannot be used.
    #[error(transparent)]
    Tasks(#[from] TaskError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The status interface cannot be offered.
    #[error(transparent)]
    Status(#[from] status::StatusError),
    /// No analyser can be run.
    #[error("an analyser cannot be run here")]
    Analyser(#[source] SandboxError),
    /// The system refused something.
    #[error("{what}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

/// How much more time systemd is asked for, again and again, while the service ends.
const ENDING: Duration = Duration::from_mins(15);
/// How long the snapshots that were kept may take to be deleted when the instance is replaced.
const FORGET: Duration = Duration::from_mins(3);
/// How often the figures of requests are shown anew.
const FIGURES: Duration = Duration::from_secs(10);

/// Runs the service until it is told to end.
pub async fn run(start: Start) -> Result<(), RunError> {
    let signals = Signals::listen().map_err(|source| RunError::System { what: "no signals", source })?;
    let notifier = Arc::new(Notifier::from_env());
    let settings = &start.settings;
    let home = Arc::new(connect(settings).await?);
    let instance = Instance::find(settings, &home).await?;
    match Parts::new(start, home, instance.as_ref()).await {
        Ok(parts) => Box::pin(parts.run(signals, notifier, instance)).await,
        Err(error) => {
            if let Some(instance) = &instance {
                instance.abandon().await;
            }
            Err(error)
        }
    }
}

/// Tells the group to give this instance up, as the service cannot even start on it: where the configuration says that it waits
/// for that, and who it is can be found out.
pub async fn abandon(settings: &Settings) {
    if settings.lifecycle.as_ref().is_none_or(|lifecycle| lifecycle.launch_hook.is_none()) {
        return;
    }
    let instance = async {
        let home = Arc::new(connect(settings).await?);
        Instance::find(settings, &home).await
    };
    match instance.await {
        Ok(Some(instance)) => instance.abandon().await,
        Ok(None) => {}
        Err(error) => tracing::warn!(error = crate::chain(&error), "the launch hook was not answered"),
    }
}

async fn connect(settings: &Settings) -> Result<Home, RunError> {
    let authorities = match &settings.ca_file {
        None => None,
        Some(path) => Some(
            tokio::fs::read(path)
                .await
                .map_err(|source| RunError::Authorities { path: path.display().to_string(), source })?,
        ),
    };
    let http = Http::new(authorities.as_deref())?;
    let mut connection = Connection::default();
    connection.region.clone_from(&settings.region);
    Ok(Home::connect(&connection, http).await?)
}

/// The instance that the service runs on, if it belongs to an Auto Scaling group.
struct Instance {
    id: String,
    metadata: Metadata,
    group: ScalingGroup,
    launch: Option<Hook>,
    termination: Option<Hook>,
}

impl Instance {
    async fn find(settings: &Settings, home: &Arc<Home>) -> Result<Option<Self>, RunError> {
        let Some(lifecycle) = &settings.lifecycle else { return Ok(None) };
        let metadata = home.metadata();
        let id = metadata.instance_id().await?;
        let group = lifecycle
            .group
            .parse()
            .map_err(|error| RunError::Name { key: "lifecycle.group", problem: format!("{error}") })?;
        Ok(Some(Self {
            group: ScalingGroup::new(Arc::clone(home), group, id.clone()),
            id,
            metadata,
            launch: lifecycle.launch_hook.clone().map(Hook),
            termination: lifecycle.termination_hook.clone().map(Hook),
        }))
    }

    /// An instance that cannot do its work is never admitted into its group.
    async fn abandon(&self) {
        if let Some(hook) = &self.launch
            && let Err(error) = life::complete(&self.group, hook, Outcome::Abandon).await
        {
            tracing::warn!(error = crate::chain(&error), "the launch hook was not answered");
        }
    }
}

/// Secrets Manager, with the scanner's own identity.
struct Store(Arc<Home>);

impl SecretStore for Store {
    async fn get(&self, arn: &str) -> Result<Secret, String> {
        let arn: SecretArn = arn.parse().map_err(|error| format!("{error}"))?;
        self.0.get(&arn).await.map(Secret::new).map_err(|error| crate::chain(&error))
    }
}

/// The parts of the service, before they are set in motion.
struct Parts {
    service: Arc<Service<Cloud>>,
    home: Arc<Home>,
    settings: watch::Sender<Arc<Settings>>,
    times: watch::Sender<Times>,
    secrets: watch::Sender<Arc<Secrets>>,
    sources: Vec<agentless_service::tasks::Source>,
    admission: Admission,
    server: Option<status::Server>,
    reread: Box<dyn Fn() -> Result<Settings, Mistakes> + Send>,
    set_level: Box<dyn Fn(LogLevel) + Send>,
}

impl Parts {
    /// Makes everything, and tests what the service cannot do without: its identity, its secrets, its disk, and an analyser.
    async fn new(start: Start, home: Arc<Home>, instance: Option<&Instance>) -> Result<Self, RunError> {
        let Start { settings, reread, set_level, socket, sandbox, catalogue } = start;
        let account = home.account().await.map_err(RunError::Identity)?.to_owned();
        tracing::info!(account, region = home.region(), "the scanner knows who it is");
        self_test(&sandbox, &settings.runtime_directory).await?;
        let secrets = Arc::new(Secrets::fetch(&settings, &Store(Arc::clone(&home))).await?);
        let path = settings.state_directory.join("journal");
        let journal = tokio::task::spawn_blocking(move || Journal::open(&path)).await;
        let journal = Arc::new(journal.unwrap_or(Err(JournalError::Crashed))?);

        let directory = kept::directory(&settings.state_directory);
        let kept = tokio::task::spawn_blocking(move || Kept::open(directory, kept::MAX_BYTES)).await;
        let kept = kept.unwrap_or_else(|error| Err(error.into())).map_err(|source| RunError::System {
            what: "the directory `kept` in `state_directory` cannot be used",
            source,
        })?;
        let clock = Clock::system();
        let (secrets_sender, secrets) = watch::channel(secrets);
        let host = instance.map_or_else(crate::hostname, |instance| instance.id.clone());
        let options = delivery::Options::new(settings.spool.directory.clone(), settings.spool.bytes);
        let delivery = Arc::new(Delivery::start(sinks(&settings, &secrets, &home, &host)?, &options));
        let sources = tasks::sources(&settings)?;
        let regions = if settings.regions.is_empty() {
            vec![home.region().to_owned()]
        } else {
            settings.regions.clone()
        };
        let accounts = Accounts::new(Arc::clone(&home), account_settings(&settings)?)?;
        let ids = accounts.ids().await.map_err(RunError::Identity)?;
        let admission = admission(&settings, places(&ids, &regions));
        let queue = Queue::new(Bounds {
            length: settings.queue.length,
            per_place: settings.queue.workers,
            deadline: settings.scan_timeout,
        });
        let board = Board::new(board::Identity {
            scanner: settings.scanner_id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: instance.map(|instance| instance.id.clone()),
            started: clock.now(),
        });
        let (times, times_receiver) = watch::channel(times(&settings));
        let state_directory = settings.state_directory.clone();
        let runtime_directory = settings.runtime_directory.clone();
        let (settings, current) = watch::channel(Arc::new(settings));
        let scanner = identity(&settings.borrow().scanner_id, instance);
        let (kept, clock_of_scans) = (Arc::new(kept), clock.clone());
        let world = Cloud::new(
            scanner,
            accounts,
            current,
            regions,
            journal,
            sandbox,
            catalogue,
            clock_of_scans,
            kept,
        );
        let service = Arc::new(Service {
            world: Arc::new(world),
            queue,
            board: Arc::clone(&board),
            delivery,
            inventory: Inventory::default(),
            running: Running::default(),
            times: times_receiver,
            state_directory,
            clock,
            scheduled: watch::Sender::default(),
            stop: CancellationToken::new(),
        });
        let server = socket.map(|socket| {
            let limits = status::Limits::default();
            let options =
                status::Options { runtime_directory, socket, limits, clock: OffsetDateTime::now_utc };
            status::Server::new(options, board, Arc::new(Orders(Arc::clone(&service))))
        });
        Ok(Self {
            service,
            home,
            settings,
            times,
            secrets: secrets_sender,
            sources,
            admission,
            server: server.transpose()?,
            reread,
            set_level,
        })
    }

    /// Sets everything in motion, and waits for the end.
    async fn run(
        mut self,
        mut signals: Signals,
        notifier: Arc<Notifier>,
        instance: Option<Instance>,
    ) -> Result<(), RunError> {
        let service = Arc::clone(&self.service);
        let mut tasks = JoinSet::new();
        let end = CancellationToken::new();
        if let Some(server) = self.server.take() {
            tasks.spawn(server.run(end.clone()));
        }
        let of = Arc::clone(&service);
        tasks.spawn(async move { of.survey().await });
        let of = Arc::clone(&service);
        tasks.spawn(async move { of.schedule().await });
        let of = Arc::clone(&service);
        tasks.spawn(async move { of.sweep().await });
        for _ in 0..self.settings.borrow().queue.workers {
            let of = Arc::clone(&service);
            tasks.spawn(async move { Box::pin(of.work()).await });
        }
        let settings = Arc::clone(&self.settings.borrow());
        let admission =
            std::mem::replace(&mut self.admission, Admission { places: Vec::new(), roles: [].into() });
        tasks::start(std::mem::take(&mut self.sources), &settings, admission, &service, &mut tasks);
        let (of, home) = (Arc::clone(&service), Arc::clone(&self.home));
        tasks.spawn(async move { show(&of, &home, settings.queue.snapshots).await });
        let (of, watchdog) = (Arc::clone(&service), Arc::clone(&notifier));
        tasks.spawn(async move { watchdog.watch(|| of.board.is_moving(Board::SILENCE)).await });

        if let Some((instance, hook)) =
            instance.as_ref().and_then(|instance| Some((instance, instance.launch.as_ref()?)))
            && let Err(error) = life::complete(&instance.group, hook, Outcome::Continue).await
        {
            let text = format!("the launch hook was not answered: {}", crate::chain(&error));
            tracing::error!("{text}");
            service.board.problem("launch hook", Severity::Error, &text, service.clock.now());
        }
        service.board.phase(board::Phase::Ready);
        notifier.ready("scanning");
        tracing::info!(scanner = self.settings.borrow().scanner_id, "the service is ready");

        let is_replaced = loop {
            let told = tokio::select! {
                told = signals.next() => told,
                () = condemned(instance.as_ref()) => break true,
            };
            match told {
                Told::End => break false,
                Told::Reload => self.reload(&notifier).await,
            }
        };
        // In a group the hook can be asked to wait until everything is done.
        let next = if is_replaced { Next::FreshDisk } else { Next::SameDisk };
        tracing::info!(is_replaced, "the service ends");
        let waiting = CancellationToken::new();
        let hook = instance.as_ref().and_then(|instance| Some((instance, instance.termination.as_ref()?)));
        let keep = async {
            match &hook {
                Some((instance, hook)) if is_replaced => {
                    life::keep_waiting(&instance.group, hook, &waiting).await;
                }
                _ => {}
            }
        };
        let extend = async {
            notifier.stopping(ENDING);
            while waiting.run_until_cancelled(sleep(ENDING / 3)).await.is_some() {
                notifier.stopping(ENDING);
            }
        };
        let drain = async {
            tokio::select! {
                () = service.drain(next) => {}
                () = signals.end() => tracing::warn!("told to end again: the journal knows what may be left"),
            }
            if is_replaced && tokio::time::timeout(FORGET, forget_kept(&service)).await.is_err() {
                tracing::warn!("snapshots that were kept for the next scan are left to their expiry");
            }
            waiting.cancel();
        };
        tokio::join!(keep, extend, drain);
        if let Some((instance, hook)) = hook.filter(|_| is_replaced)
            && let Err(error) = life::complete(&instance.group, hook, Outcome::Continue).await
        {
            tracing::error!(error = crate::chain(&error), "the termination hook was not answered");
        }
        end.cancel();
        tasks.shutdown().await;
        Ok(())
    }

    /// Reads the configuration again. What can change while the service runs does so; for the rest it says that it needs a
    /// new start. A configuration with mistakes changes nothing.
    async fn reload(&self, notifier: &Notifier) {
        notifier.reloading();
        let board = &self.service.board;
        let now = self.service.clock.now();
        let problem = match (self.reread)() {
            Err(mistakes) => Some(format!("the configuration was not read again: {mistakes}")),
            Ok(fresh) => match Secrets::fetch(&fresh, &Store(Arc::clone(&self.home))).await {
                Err(error) => Some(format!("the configuration was not read again: {}", crate::chain(&error))),
                Ok(secrets) => {
                    let before = Arc::clone(&self.settings.borrow());
                    let fixed = super::reload::fixed(&before, &fresh);
                    (self.set_level)(fresh.log_level);
                    self.times.send_replace(times(&fresh));
                    self.secrets.send_replace(Arc::new(secrets));
                    self.settings.send_replace(Arc::new(fresh));
                    self.service.delivery.wake();
                    tracing::info!("the configuration was read again");
                    (!fixed.is_empty()).then(|| {
                        format!(
                            "these keys take effect when the service is started again: {}",
                            fixed.join(", ")
                        )
                    })
                }
            },
        };
        match problem {
            None => board.solved("configuration"),
            Some(problem) => {
                tracing::warn!("{problem}");
                board.problem("configuration", Severity::Warning, &problem, now);
            }
        }
        notifier.ready("scanning");
    }
}

/// Whether an analyser can be started here and is confined as it must be: with an empty directory.
async fn self_test(sandbox: &Sandbox, directory: &Path) -> Result<(), RunError> {
    let (sandbox, directory) = (sandbox.clone(), directory.to_owned());
    let test = move || {
        let empty = tempfile::tempdir_in(&directory)
            .map_err(|source| RunError::System { what: "`runtime_directory` cannot be written", source })?;
        let source = Directory::open(empty.path(), &sandbox.limits).map_err(|error| RunError::System {
            what: "`runtime_directory` cannot be read",
            source: std::io::Error::other(error),
        })?;
        let job = Job { task: Task::Systems, id: "self-test", source: Source::Directory(Box::new(source)) };
        sandbox.run(job, &mut std::io::sink(), &Stop::default()).map(drop).map_err(RunError::Analyser)
    };
    tokio::task::spawn_blocking(test).await.unwrap_or_else(|_| {
        Err(RunError::System { what: "the self-test crashed", source: std::io::Error::other("a panic") })
    })
}

/// Shows what was asked of AWS, again and again.
async fn show(service: &Service<Cloud>, home: &Home, limit: usize) {
    loop {
        sleep(FIGURES).await;
        let (calls, throttles) = figures::requests(home, service.world.accounts());
        service.board.requests(calls, throttles);
        for (place, pending) in service.world.snapshots_in_progress() {
            service.board.snapshots(figures::snapshots(place, pending, limit));
        }
    }
}

async fn condemned(instance: Option<&Instance>) {
    match instance {
        Some(instance) => life::condemned(&instance.metadata).await,
        None => std::future::pending().await,
    }
}

fn times(settings: &Settings) -> Times {
    Times { scan_interval: settings.scan_interval, discovery_interval: settings.discovery_interval }
}

fn account_settings(settings: &Settings) -> Result<AccountSettings, RunError> {
    let wrong = |error: &dyn fmt::Display| RunError::Name { key: "accounts", problem: error.to_string() };
    let delegates = settings.accounts.iter().map(|account| {
        Ok(Delegate {
            role: account.role_arn.parse().map_err(|error| wrong(&error))?,
            external_id: match &account.external_id {
                Some(id) => Some(id.parse().map_err(|error| wrong(&error))?),
                None => None,
            },
        })
    });
    let limits = &settings.rate_limits;
    Ok(AccountSettings {
        scanner_id: settings.scanner_id.clone(),
        own_account: settings.scan_own_account,
        delegates: delegates.collect::<Result<_, RunError>>()?,
        rates: Rates {
            read: limits.read,
            mutating: limits.mutating,
            block_get: limits.block_get,
            block_list: limits.block_list,
            function_get: limits.function_get,
            lambda: limits.lambda,
            registry: limits.registry,
        },
    })
}

fn admission(settings: &Settings, places: Vec<Place>) -> Admission {
    let roles = settings.accounts.iter().map(|of| (of.account.clone(), of.role_arn.clone()));
    Admission { places, roles: roles.collect() }
}

/// Who makes snapshots. While a group replaces an instance, two with the same `scanner_id` run: neither takes the other's scans
/// for dead.
fn identity(scanner: &str, instance: Option<&Instance>) -> String {
    instance.map_or_else(|| scanner.to_owned(), |instance| format!("{scanner}/{}", instance.id))
}

/// Deletes the snapshots that were kept for the next scan: the disk with the blocks that were read of them is lost.
async fn forget_kept(service: &Service<Cloud>) {
    for place in service.world.forget_kept() {
        service.sweep_place(place).await;
    }
}

/// What tells the service to end, or to read its configuration again.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::End,
            _ = self.terminate.recv() => Told::End,
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    /// Waits until the service is told to end.
    async fn end(&mut self) {
        while self.next().await != Told::End {}
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Told {
    End,
    Reload,
}
