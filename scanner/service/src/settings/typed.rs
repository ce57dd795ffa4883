//! The settings by type.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use agentless_core::limits::Limits;

use super::form::Arn;
use super::keys::LIMITS;
use super::node::{Content, Node};
use super::values::Values;
use crate::secret::{Secret, SecretValue};

/// All settings. Each is of the form that its key asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The scanner's name in tags and reports. By default `agentless-scanner`.
    pub scanner_id: String,
    /// The scanner's own region; without it, it is found as by any tool of AWS.
    pub region: Option<String>,
    /// The regions that are scanned. By default [`region`](Self::region), and empty where that is not set either.
    pub regions: Vec<String>,
    /// Whether the scanner's own account is scanned. By default it is.
    pub scan_own_account: bool,
    /// Further accounts. By default none.
    pub accounts: Vec<Account>,
    /// What is scanned. By default hosts.
    pub features: BTreeSet<Feature>,
    /// Which hosts, and what of them.
    pub hosts: Hosts,
    /// Which machine images.
    pub images: Images,
    /// Only what has all of these tags is scanned; `*` is any value. By default none is asked for.
    pub include_tags: BTreeMap<String, String>,
    /// What has any of these tags is not scanned; `*` is any value. By default nothing is excluded.
    pub exclude_tags: BTreeMap<String, String>,
    /// How often each target is scanned. By default every 12 hours.
    pub scan_interval: Duration,
    /// How often targets are looked for. By default every 15 minutes.
    pub discovery_interval: Duration,
    /// How long a snapshot is waited for. By default an hour.
    pub snapshot_timeout: Duration,
    /// How long a scan may take. By default three hours.
    pub scan_timeout: Duration,
    /// Whether snapshots are kept until the next scan. By default they are not.
    pub incremental: bool,
    /// How much is done at a time.
    pub queue: Queue,
    /// Requests a second.
    pub rate_limits: RateLimits,
    /// Where batches of tasks come from.
    pub tasks: Tasks,
    /// Where lists of packages go. By default nowhere.
    pub sinks: Sinks,
    /// Where they wait.
    pub spool: Spool,
    /// What must outlive the scanner. By default `/var/lib/agentless-scanner`.
    pub state_directory: PathBuf,
    /// What need not. By default `/run/agentless-scanner`.
    pub runtime_directory: PathBuf,
    /// Further certificate authorities, in PEM. By default none.
    pub ca_file: Option<PathBuf>,
    /// The status interface.
    pub status: Status,
    /// The Auto Scaling group of the scanner, if it is in one.
    pub lifecycle: Option<Lifecycle>,
    /// The program that knows secrets, if there is one.
    pub secret_backend: Option<SecretBackend>,
    /// What is logged. By default `info`.
    pub log_level: LogLevel,
    /// What to do where processes cannot be confined, if it is set: by default the service requires that they can be, and a scan
    /// by hand does not.
    pub sandbox: Option<SandboxMode>,
    /// What one target may cost.
    pub limits: Limits,
    /// How all of this came about.
    pub(super) effective: Effective,
}

/// The settings as text. Two that say the same are the same, wherever they were written.
#[derive(Clone)]
pub(super) struct Effective(String);

impl Effective {
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Effective {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Effective {}

impl std::fmt::Debug for Effective {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// An account that is scanned with a role in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    /// The account, 12 digits: that of the role.
    pub account: String,
    /// The role that the scanner assumes. The key is `delegate_role_arn`.
    pub role_arn: String,
    /// What the role asks for.
    pub external_id: Option<String>,
}

/// A kind of target.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Feature {
    /// EC2 hosts, with the containers on them.
    Hosts,
    /// Machine images.
    Images,
    /// Lambda functions.
    Functions,
}

impl Feature {
    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::Images => "images",
            Self::Functions => "functions",
        }
    }
}

/// Which hosts, and what of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hosts {
    /// Which of their volumes. By default all.
    pub volumes: Volumes,
    /// Stopped ones as well. By default they are scanned.
    pub stopped: bool,
    /// Those with an agent that reports packages itself. By default they are skipped.
    pub vendor_agent: VendorAgent,
}

/// Volumes of a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Volumes {
    /// All of them.
    All,
    /// The one that it starts from.
    Root,
}

/// What is done with a host that has an agent which reports packages itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum VendorAgent {
    /// It is left to that.
    Skip,
    /// It is scanned all the same.
    Scan,
}

/// Which machine images.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Images {
    /// Those that belong to the account. By default they are scanned.
    pub owned: bool,
    /// Those that hosts were started from. By default they are scanned.
    pub used: bool,
}

/// How much is done at a time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Queue {
    /// Scans at the same time. By default 4.
    pub workers: usize,
    /// Snapshots in progress for each account and region. By default 100.
    pub snapshots: usize,
    /// Targets that wait. By default 10,000.
    pub length: usize,
}

/// Requests a second, for each account and region.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RateLimits {
    /// What describes resources. By default 10.
    pub read: u32,
    /// What creates, tags or deletes. By default 4.
    pub mutating: u32,
    /// Blocks of snapshots. By default 800.
    pub block_get: u32,
    /// Lists of blocks. By default 25.
    pub block_list: u32,
    /// Functions with their code. By default 50.
    pub function_get: u32,
    /// All else of Lambda. By default 7.
    pub lambda: u32,
    /// Registries of images. By default 500.
    pub registry: u32,
}

/// Where batches of tasks come from. By default nowhere.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tasks {
    /// A directory in which they appear.
    pub directory: Option<PathBuf>,
    /// A file that is one.
    pub file: Option<PathBuf>,
    /// An `https` address.
    pub url: Option<String>,
    /// The public key of minisign that they must be signed for: base64, and known to parse.
    pub public_key: Option<String>,
    /// How often they are looked for. By default every minute.
    pub poll: Duration,
}

/// Where lists of packages go.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sinks {
    /// A directory.
    pub files: Option<FilesSink>,
    /// A bucket.
    pub s3: Option<S3Sink>,
    /// Datadog's intake.
    pub datadog: Option<DatadogSink>,
    /// Any address.
    pub https: Option<HttpsSink>,
}

/// A directory for lists of packages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FilesSink {
    /// The directory.
    pub directory: PathBuf,
}

/// A bucket for lists of packages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct S3Sink {
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with; ends in `/`, or is empty, which is the default.
    pub prefix: String,
    /// The key that encrypts the objects; without it, the bucket's own encryption does.
    pub kms_key_arn: Option<String>,
    /// The bucket's region; without it, the scanner's own.
    pub region: Option<String>,
}

/// Datadog's intake.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DatadogSink {
    /// The site. By default `datadoghq.com`.
    pub site: String,
    /// The API key.
    pub api_key: SecretValue,
    /// The intake's address where it is not the site's.
    pub url: Option<String>,
    /// The environment under which Datadog shows what was found.
    pub env: Option<String>,
}

/// An address to which lists are posted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpsSink {
    /// The address.
    pub url: String,
    /// The value of the header `Authorization`.
    pub authorization: Option<SecretValue>,
}

/// Where lists wait until a sink takes them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spool {
    /// The directory. By default `spool` in the state directory.
    pub directory: PathBuf,
    /// How much may wait for each sink. By default 512 MiB.
    pub bytes: u64,
}

/// The status interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// Whether there is one. By default there is.
    pub enabled: bool,
    /// Its port on 127.0.0.1. By default 5009.
    pub port: u16,
}

/// The Auto Scaling group of the scanner.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lifecycle {
    /// The group.
    pub group: String,
    /// The hook that is completed once the scanner is ready.
    pub launch_hook: Option<String>,
    /// The hook that is completed once the scanner has ended.
    pub termination_hook: Option<String>,
}

/// The program that knows secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecretBackend {
    /// The program.
    pub command: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How long it may take. By default 30 seconds.
    pub timeout: Duration,
    /// How much it may print. By default 1 MiB.
    pub output_bytes: usize,
}

/// What is logged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "they are what they are everywhere")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The name in the configuration, and in a filter of `tracing`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// What to do where the system cannot confine the process that reads disks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SandboxMode {
    /// Read nothing.
    Required,
    /// Read all the same.
    BestEffort,
}

const MINUTE: Duration = Duration::from_mins(1);

impl Settings {
    /// The settings of checked values. What is missing where it is needed was found by others, and is empty here.
    pub(super) fn from_values(values: &Values<'_>, effective: String) -> Self {
        let word = |path| values.text(path).unwrap_or_default();
        Self {
            scanner_id: word("scanner_id"),
            region: values.text("region"),
            regions: values.texts("regions"),
            scan_own_account: values.flag("scan_own_account"),
            accounts: values.list("accounts").iter().filter_map(account).collect(),
            features: values.texts("features").iter().filter_map(|name| feature(name)).collect(),
            hosts: Hosts {
                volumes: if word("hosts.volumes") == "root" { Volumes::Root } else { Volumes::All },
                stopped: values.flag("hosts.stopped"),
                vendor_agent: if word("hosts.vendor_agent") == "scan" {
                    VendorAgent::Scan
                } else {
                    VendorAgent::Skip
                },
            },
            images: Images { owned: values.flag("images.owned"), used: values.flag("images.used") },
            include_tags: values.tags("include_tags"),
            exclude_tags: values.tags("exclude_tags"),
            scan_interval: values.time("scan_interval_hours", Duration::from_hours(1)),
            discovery_interval: values.time("discovery_minutes", MINUTE),
            snapshot_timeout: values.time("snapshot_timeout_minutes", MINUTE),
            scan_timeout: values.time("scan_timeout_minutes", MINUTE),
            incremental: values.flag("incremental"),
            queue: Queue {
                workers: values.number("queue.workers"),
                snapshots: values.number("queue.snapshots"),
                length: values.number("queue.length"),
            },
            rate_limits: RateLimits {
                read: values.number("rate_limits.read"),
                mutating: values.number("rate_limits.mutating"),
                block_get: values.number("rate_limits.block_get"),
                block_list: values.number("rate_limits.block_list"),
                function_get: values.number("rate_limits.function_get"),
                lambda: values.number("rate_limits.lambda"),
                registry: values.number("rate_limits.registry"),
            },
            tasks: Tasks {
                directory: values.path("tasks.directory"),
                file: values.path("tasks.file"),
                url: values.text("tasks.url"),
                public_key: values.text("tasks.public_key"),
                poll: values.time("tasks.poll_seconds", Duration::from_secs(1)),
            },
            sinks: sinks(values),
            spool: Spool {
                directory: values.path("spool.directory").unwrap_or_default(),
                bytes: values.number::<u64>("spool.megabytes").saturating_mul(1 << 20),
            },
            state_directory: values.path("state_directory").unwrap_or_default(),
            runtime_directory: values.path("runtime_directory").unwrap_or_default(),
            ca_file: values.path("ca_file"),
            status: Status { enabled: values.flag("status.enabled"), port: values.number("status.port") },
            lifecycle: values.has("lifecycle").then(|| Lifecycle {
                group: word("lifecycle.group"),
                launch_hook: values.text("lifecycle.launch_hook"),
                termination_hook: values.text("lifecycle.termination_hook"),
            }),
            secret_backend: values.path("secret_backend_command").map(|command| SecretBackend {
                command,
                arguments: values.texts("secret_backend_arguments"),
                timeout: values.time("secret_backend_timeout", Duration::from_secs(1)),
                output_bytes: values.number("secret_backend_output_max_size"),
            }),
            log_level: match word("log_level").as_str() {
                "error" => LogLevel::Error,
                "warn" => LogLevel::Warn,
                "debug" => LogLevel::Debug,
                "trace" => LogLevel::Trace,
                _ => LogLevel::Info,
            },
            sandbox: values.text("sandbox").map(|word| match word.as_str() {
                "best-effort" => SandboxMode::BestEffort,
                _ => SandboxMode::Required,
            }),
            limits: limits(values),
            effective: Effective(effective),
        }
    }
}

fn feature(name: &str) -> Option<Feature> {
    [Feature::Hosts, Feature::Images, Feature::Functions].into_iter().find(|feature| feature.name() == name)
}

fn account(entry: &Node) -> Option<Account> {
    let Content::Map(entries) = &entry.content else { return None };
    let text = |wanted: &str| {
        entries
            .iter()
            .find(|(name, _)| name.text == wanted)
            .and_then(|(_, node)| Some(node.text()?.to_owned()))
    };
    let role_arn = text("delegate_role_arn")?;
    let account = Arn::parse(&role_arn)?.account.to_owned();
    Some(Account { account, role_arn, external_id: text("external_id") })
}

fn sinks(values: &Values<'_>) -> Sinks {
    let word = |path| values.text(path).unwrap_or_default();
    Sinks {
        files: values
            .has("sinks.files")
            .then(|| FilesSink { directory: values.path("sinks.files.directory").unwrap_or_default() }),
        s3: values.has("sinks.s3").then(|| S3Sink {
            bucket: word("sinks.s3.bucket"),
            prefix: word("sinks.s3.prefix"),
            kms_key_arn: values.text("sinks.s3.kms_key_arn"),
            region: values.text("sinks.s3.region"),
        }),
        datadog: values.has("sinks.datadog").then(|| DatadogSink {
            site: word("sinks.datadog.site"),
            api_key: values
                .secret("sinks.datadog.api_key")
                .unwrap_or_else(|| SecretValue::Plain(Secret::new(String::new()))),
            url: values.text("sinks.datadog.url"),
            env: values.text("sinks.datadog.env"),
        }),
        https: values.has("sinks.https").then(|| HttpsSink {
            url: word("sinks.https.url"),
            authorization: values.secret("sinks.https.authorization"),
        }),
    }
}

fn limits(values: &Values<'_>) -> Limits {
    let mut limits = Limits::default();
    for limit in Limits::table() {
        // The value was checked by the same rule.
        let _ = limits.set(limit.name, values.number(&format!("{LIMITS}.{}", limit.name)));
    }
    limits
}
