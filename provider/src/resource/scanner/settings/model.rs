//! The models of the settings.

use std::collections::{BTreeMap, BTreeSet};

use crate::model;
use crate::sdk::Value;

model! {
    /// What the scanner is to do.
    pub struct ScannerSettings {
        /// How much it logs.
        pub log_level: Value<String>,
        /// Where it scans.
        pub regions: Value<BTreeSet<String>>,
        /// Whether it scans the account that it is in.
        pub scan_own_account: Value<bool>,
        /// Further accounts.
        pub accounts: Value<Vec<Account>>,
        /// What it scans.
        pub features: Value<BTreeSet<String>>,
        /// What of hosts.
        pub hosts: Value<Hosts>,
        /// Which images.
        pub images: Value<Images>,
        /// Tags that a target must have.
        pub include_tags: Value<BTreeMap<String, String>>,
        /// Tags that a target must not have.
        pub exclude_tags: Value<BTreeMap<String, String>>,
        /// How often it scans each target.
        pub scan_interval_hours: Value<i32>,
        /// How often it looks what there is.
        pub discovery_minutes: Value<i32>,
        /// How long a snapshot may take.
        pub snapshot_timeout_minutes: Value<i32>,
        /// How long a scan may take.
        pub scan_timeout_minutes: Value<i32>,
        /// Whether it keeps what it read for the next scan.
        pub incremental: Value<bool>,
        /// How much it does at a time.
        pub queue: Value<Queue>,
        /// How much it asks of AWS.
        pub rate_limits: Value<RateLimits>,
        /// Where it is told to scan something now.
        pub tasks: Value<Tasks>,
        /// Where its reports go.
        pub sinks: Value<Sinks>,
        /// Where they wait.
        pub spool: Value<Spool>,
        /// Further certificate authorities.
        pub ca_file: Value<String>,
        /// Where it says how it is.
        pub status: Value<Status>,
        /// What it does where the system cannot confine it.
        pub sandbox: Value<String>,
        /// What one target may cost.
        pub limits: Value<BTreeMap<String, i64>>,
    }

    /// An account that is scanned with a role of its own.
    pub struct Account {
        /// The role that the scanner assumes.
        pub delegate_role_arn: Value<String>,
        /// What the role's trust policy asks for.
        pub external_id: Value<String>,
    }

    /// What of hosts is scanned.
    pub struct Hosts {
        /// Which volumes.
        pub volumes: Value<String>,
        /// Whether instances that do not run, too.
        pub stopped: Value<bool>,
        /// What becomes of hosts that report their packages by themselves.
        pub vendor_agent: Value<String>,
    }

    /// Which images are scanned.
    pub struct Images {
        /// Those that the account owns.
        pub owned: Value<bool>,
        /// Those that its instances were launched from.
        pub used: Value<bool>,
    }

    /// How much is done at a time.
    pub struct Queue {
        /// Scans.
        pub workers: Value<i32>,
        /// Snapshots in progress.
        pub snapshots: Value<i32>,
        /// Targets that wait.
        pub length: Value<i32>,
    }

    /// Requests a second, one bound for each of AWS's buckets.
    pub struct RateLimits {
        /// EC2 requests that change nothing.
        pub read: Value<i32>,
        /// EC2 requests that change something.
        pub mutating: Value<i32>,
        /// `GetSnapshotBlock`.
        pub block_get: Value<i32>,
        /// `ListSnapshotBlocks`.
        pub block_list: Value<i32>,
        /// `GetFunction`.
        pub function_get: Value<i32>,
        /// What else is asked of Lambda.
        pub lambda: Value<i32>,
        /// What is asked of ECR.
        pub registry: Value<i32>,
    }

    /// Where the scanner is told to scan something now.
    pub struct Tasks {
        /// A watched directory.
        pub directory: Value<String>,
        /// A file.
        pub file: Value<String>,
        /// An HTTPS URL.
        pub url: Value<String>,
        /// What verifies their signatures.
        pub public_key: Value<String>,
        /// How often it looks.
        pub poll_seconds: Value<i32>,
    }

    /// Where reports go.
    pub struct Sinks {
        /// A directory of the instance.
        pub files: Value<FilesSink>,
        /// A bucket.
        pub s3: Value<S3Sink>,
        /// Datadog's intake.
        pub datadog: Value<DatadogSink>,
        /// An endpoint of the user's.
        pub https: Value<HttpsSink>,
    }

    /// A directory of the instance.
    pub struct FilesSink {
        /// Its path.
        pub directory: Value<String>,
    }

    /// A bucket.
    pub struct S3Sink {
        /// Its name.
        pub bucket: Value<String>,
        /// What the names of the objects begin with.
        pub prefix: Value<String>,
        /// What they are encrypted with.
        pub kms_key_arn: Value<String>,
        /// Where it is.
        pub region: Value<String>,
    }

    /// Datadog's intake.
    pub struct DatadogSink {
        /// Such as `datadoghq.eu`.
        pub site: Value<String>,
        /// Where the key is.
        pub api_key: Value<String>,
        /// Instead of the site's intake.
        pub url: Value<String>,
        /// The environment that what is sent is tagged with.
        pub env: Value<String>,
    }

    /// An endpoint of the user's.
    pub struct HttpsSink {
        /// Where reports are posted.
        pub url: Value<String>,
        /// Where the value of the header `Authorization` is.
        pub authorization: Value<String>,
    }

    /// Where reports wait.
    pub struct Spool {
        /// The directory.
        pub directory: Value<String>,
        /// How many megabytes for each sink.
        pub megabytes: Value<i32>,
    }

    /// Where the scanner says how it is.
    pub struct Status {
        /// Whether it does.
        pub enabled: Value<bool>,
        /// The port of the instance itself.
        pub port: Value<i32>,
    }
}
