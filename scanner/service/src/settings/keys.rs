//! Every key there is: the one list from which reading, checking, printing and the documentation follow.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use agentless_core::limits::Limits;

use super::form::Form;

/// A key of the configuration.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name after those of its sections: `sinks.s3.bucket`.
    pub path: Cow<'static, str>,
    /// What its value is.
    pub kind: Kind,
    /// The value where none is given, in YAML; empty where there is none.
    pub default: Cow<'static, str>,
    /// What it does.
    pub description: &'static str,
}

/// What a value is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Number {
        /// The least that it may be.
        least: u64,
        /// The most that it may be.
        most: u64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of some of these words, at least one.
    Choices(&'static [&'static str]),
    /// A text.
    Text(Form),
    /// A list of texts.
    Texts(Form),
    /// A text that is secret, or `ENC[…]`.
    Secret,
    /// Tags with their values.
    Tags,
    /// Accounts, each with the role that reads it.
    Accounts,
}

impl Kind {
    /// Whether a value is a single word or text, and is one in the environment without any quotes.
    pub(super) const fn is_single(self) -> bool {
        match self {
            Self::Bool | Self::Number { .. } | Self::Choice(_) | Self::Text(_) | Self::Secret => true,
            Self::Choices(_) | Self::Texts(_) | Self::Tags | Self::Accounts => false,
        }
    }
}

/// What is expected, for messages and for documentation.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Number { least, most: u64::MAX } => {
                write!(f, "a whole number, at least {least}, without quotes")
            }
            Self::Number { least, most } => {
                write!(f, "a whole number from {least} to {most}, without quotes")
            }
            Self::Choice(words) => write!(f, "one of {}", words.join(", ")),
            Self::Choices(words) => {
                write!(f, "a list of at least one of {}, such as [{}]", words.join(", "), words.join(", "))
            }
            Self::Text(form) => f.write_str(form.expected()),
            Self::Texts(form) => write!(f, "a list, such as [a, b], each {}", form.expected()),
            Self::Secret => f.write_str("a text, or ENC[…] with the handle of a secret"),
            Self::Tags => f.write_str("tags with their values, such as {env: prod}; * is any value"),
            Self::Accounts => {
                f.write_str("a list of accounts, such as [{delegate_role_arn: arn, external_id: id}]")
            }
        }
    }
}

const fn key(path: &'static str, kind: Kind, default: &'static str, description: &'static str) -> Key {
    Key { path: Cow::Borrowed(path), kind, default: Cow::Borrowed(default), description }
}

const fn number(least: u64, most: u64) -> Kind {
    Kind::Number { least, most }
}

const RATE: Kind = number(1, 10_000);

/// All keys but those of `limits`, section by section.
#[rustfmt::skip]
static OWN: &[Key] = &[
    key("scanner_id", Kind::Text(Form::Name), "agentless-scanner", "The scanner's name in tags and reports. Scanners that run at the same time need different ones, unless they are instances of one group (`lifecycle`)."),
    key("region", Kind::Text(Form::Region), "", "The scanner's own region. Without it, it is found as by any tool of AWS."),
    key("regions", Kind::Texts(Form::Region), "", "The regions whose resources are scanned; without it, the scanner's own."),
    key("scan_own_account", Kind::Bool, "true", "Whether the account in which the scanner runs is scanned, with the scanner's own role."),
    key("accounts", Kind::Accounts, "[]", "Further accounts, with the role of each that the scanner assumes and the external id that the role asks for. An account whose role cannot be assumed is not scanned by any other."),
    key("features", Kind::Choices(&["hosts", "images", "functions"]), "[hosts]", "What is scanned: EC2 hosts, machine images, Lambda functions."),
    key("hosts.volumes", Kind::Choice(&["all", "root"]), "all", "Whether all EBS volumes of a host are read, or the one that it starts from."),
    key("hosts.stopped", Kind::Bool, "true", "Whether stopped hosts are scanned."),
    key("hosts.vendor_agent", Kind::Choice(&["skip", "scan"]), "skip", "Whether a host whose disk shows an agent that reports packages itself is left to that."),
    key("images.owned", Kind::Bool, "true", "Whether machine images are scanned that belong to the account."),
    key("images.used", Kind::Bool, "true", "Whether machine images are scanned that hosts of the account were started from."),
    key("include_tags", Kind::Tags, "{}", "Only what has all of these tags is scanned; * stands for any value."),
    key("exclude_tags", Kind::Tags, "{}", "What has any of these tags is not scanned; * stands for any value."),
    key("scan_interval_hours", number(1, 168), "12", "How often each target is scanned."),
    key("discovery_minutes", number(5, 1440), "15", "How often targets are looked for."),
    key("snapshot_timeout_minutes", number(1, 1439), "60", "How long a snapshot is waited for. The first one of a large volume can take hours."),
    key("scan_timeout_minutes", number(1, 1439), "180", "How long a scan may take with all its snapshots."),
    key("incremental", Kind::Bool, "false", "Whether the snapshot of each volume is kept until the next scan, which then reads only what has changed since."),
    key("queue.workers", number(1, 64), "4", "Scans at the same time."),
    key("queue.snapshots", number(1, 10_000), "100", "Snapshots in progress for each account and region. AWS allows 100 unless it was asked for more."),
    key("queue.length", number(1, 1_000_000), "10000", "Targets that wait. What is due beyond that waits outside."),
    key("rate_limits.read", RATE, "10", "Requests a second that describe resources, for each account and region."),
    key("rate_limits.mutating", RATE, "4", "Requests a second that create, tag or delete, for each account and region."),
    key("rate_limits.block_get", RATE, "800", "Blocks of snapshots a second, for each account and region."),
    key("rate_limits.block_list", RATE, "25", "Lists of blocks a second, for each account and region."),
    key("rate_limits.function_get", RATE, "50", "Functions a second whose code is asked for, for each account and region."),
    key("rate_limits.lambda", RATE, "7", "Other requests to Lambda a second, for each account and region."),
    key("rate_limits.registry", RATE, "500", "Requests to registries of images a second, for each account and region."),
    key("tasks.directory", Kind::Text(Form::Path), "", "A directory in which batches of tasks appear."),
    key("tasks.file", Kind::Text(Form::Path), "", "A file with a batch of tasks, which is read whenever it changes."),
    key("tasks.url", Kind::Text(Form::Url), "", "An address from which batches of tasks are fetched."),
    key("tasks.public_key", Kind::Text(Form::PublicKey), "", "The public key of minisign that batches of tasks must be signed for."),
    key("tasks.poll_seconds", number(1, 86_400), "60", "How often batches of tasks are looked for."),
    key("sinks.files.directory", Kind::Text(Form::Path), "", "A directory for lists of packages."),
    key("sinks.s3.bucket", Kind::Text(Form::Bucket), "", "A bucket for lists of packages."),
    key("sinks.s3.prefix", Kind::Text(Form::Prefix), "", "What the keys of all objects in the bucket begin with."),
    key("sinks.s3.kms_key_arn", Kind::Text(Form::KmsKey), "", "The KMS key that encrypts the objects; without it, the bucket's own encryption does."),
    key("sinks.s3.region", Kind::Text(Form::Region), "", "The bucket's region; without it, the scanner's own."),
    key("sinks.datadog.site", Kind::Text(Form::Site), "datadoghq.com", "The site of Datadog that the account belongs to."),
    key("sinks.datadog.api_key", Kind::Secret, "", "The API key for Datadog's intake."),
    key("sinks.datadog.url", Kind::Text(Form::Url), "", "The address of the intake, where it is another than the site's: that of a proxy."),
    key("sinks.datadog.env", Kind::Text(Form::Label), "", "The environment under which Datadog shows what was found."),
    key("sinks.https.url", Kind::Text(Form::Url), "", "An address to which lists of packages are posted, as CycloneDX in JSON."),
    key("sinks.https.authorization", Kind::Secret, "", "The value of the header `Authorization` that goes with them."),
    key("spool.directory", Kind::Text(Form::Path), "/var/lib/agentless-scanner/spool", "Where lists wait until a sink takes them; without it, spool in the state directory."),
    key("spool.megabytes", number(1, 1_048_576), "512", "How much may wait for each sink."),
    key("state_directory", Kind::Text(Form::Path), "/var/lib/agentless-scanner", "Where the scanner keeps what must outlive it: its journal, its spools."),
    key("runtime_directory", Kind::Text(Form::Path), "/run/agentless-scanner", "Where the scanner keeps what need not: the certificate and the token of its status interface."),
    key("ca_file", Kind::Text(Form::Path), "", "Further certificate authorities that are trusted, in PEM."),
    key("status.enabled", Kind::Bool, "true", "Whether there is a status interface. It is on 127.0.0.1 only, and takes a token."),
    key("status.port", number(1, 65_535), "5009", "The port of the status interface."),
    key("lifecycle.group", Kind::Text(Form::Label), "", "The Auto Scaling group that the scanner's instance is in."),
    key("lifecycle.launch_hook", Kind::Text(Form::Label), "", "The hook that is completed once the scanner is ready."),
    key("lifecycle.termination_hook", Kind::Text(Form::Label), "", "The hook that is completed once the scanner has left nothing behind."),
    key("secret_backend_command", Kind::Text(Form::Path), "", "The program that knows the secrets of `ENC[…]`. It must belong to the scanner's user, without any permission for others."),
    key("secret_backend_arguments", Kind::Texts(Form::Argument), "[]", "The program's arguments."),
    key("secret_backend_timeout", number(1, 3600), "30", "Seconds that the program may take."),
    key("secret_backend_output_max_size", number(1, 64 << 20), "1048576", "Bytes that the program may print."),
    key("log_level", Kind::Choice(&["error", "warn", "info", "debug", "trace"]), "info", "What is logged."),
    key("sandbox", Kind::Choice(&["required", "best-effort"]), "", "What to do where the system cannot confine the process that reads disks: read nothing, or read all the same. Without it, required for the service and best-effort for a scan by hand."),
];

static ALL: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let limits = Limits::table().map(|limit| Key {
        path: Cow::Owned(format!("{LIMITS}.{}", limit.name)),
        kind: number(limit.least, u64::MAX),
        default: Cow::Owned(limit.default.to_string()),
        description: limit.reason,
    });
    OWN.iter().cloned().chain(limits).collect()
});

/// The section of what one target may cost.
pub(super) const LIMITS: &str = "limits";

/// What the names of environment variables begin with.
pub(super) const VARIABLE_PREFIX: &str = "AGENTLESS_SCANNER_";

/// Every key, section by section.
pub fn all() -> &'static [Key] {
    &ALL
}

impl Key {
    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        variable(&self.path)
    }
}

/// The environment variable that sets a key or a section.
pub(super) fn variable(path: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", path.replace('.', "_").to_uppercase())
}

/// The key with this path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    all().iter().find(|key| key.path == path)
}

/// The names in a section, each once; those of no section where `section` is empty.
pub(super) fn names_in(section: &str) -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for key in all() {
        let rest = if section.is_empty() {
            Some(&*key.path)
        } else {
            key.path.strip_prefix(section).and_then(|rest| rest.strip_prefix('.'))
        };
        let Some(rest) = rest else { continue };
        let name = rest.split('.').next().unwrap_or(rest);
        if names.last() != Some(&name) {
            names.push(name);
        }
    }
    names
}

/// The sections that a path is in, the innermost first.
pub(super) fn sections_of(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(path.rsplit_once('.').map(|(section, _)| section), |section| {
        section.rsplit_once('.').map(|(outer, _)| outer)
    })
}

/// Every section there is.
pub(super) fn sections() -> Vec<&'static str> {
    let mut sections: Vec<&str> = all().iter().flat_map(|key| sections_of(&key.path)).collect();
    sections.sort_unstable();
    sections.dedup();
    sections
}
