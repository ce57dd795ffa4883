//! The argument `settings`: what the scanner on the instances is to do.
//!
//! The names here are those of the scanner's configuration file, which is this argument as JSON; see
//! [`user_data`](super::user_data).

use std::collections::{BTreeMap, BTreeSet};

use scanner_policy::{Feature, KmsKeyArn};

use crate::model;
use crate::sdk::validator::{self, Validator};
use crate::sdk::{Attribute, Diagnostic, Path, Raw, Type, Value};

model! {
    /// What the scanner is to do.
    pub struct ScannerSettings {
        /// How much it logs.
        pub log_level: Value<String>,
        /// How often it scans each target.
        pub scan_interval_hours: Value<i32>,
        /// What it scans.
        pub features: Value<BTreeSet<String>>,
        /// Tags that a target must have.
        pub include_tags: Value<BTreeMap<String, String>>,
        /// Tags that a target must not have.
        pub exclude_tags: Value<BTreeMap<String, String>>,
        /// Further accounts.
        pub accounts: Value<Vec<Account>>,
        /// Where its reports go.
        pub sinks: Value<Sinks>,
        /// How much it asks of AWS.
        pub rate_limits: Value<RateLimits>,
        /// What it does where the system cannot confine it.
        pub sandbox: Value<String>,
    }

    /// An account that is scanned with a role of its own.
    pub struct Account {
        /// The role that the scanner assumes.
        pub delegate_role_arn: Value<String>,
        /// What the role's trust policy asks for.
        pub external_id: Value<String>,
    }

    /// Where reports go.
    pub struct Sinks {
        /// A bucket.
        pub s3: Value<S3Sink>,
        /// Datadog's intake.
        pub datadog: Value<DatadogSink>,
        /// An endpoint of the user's.
        pub https: Value<HttpsSink>,
    }

    /// A bucket.
    pub struct S3Sink {
        /// Its name.
        pub bucket: Value<String>,
        /// What the names of the objects begin with.
        pub prefix: Value<String>,
        /// What they are encrypted with.
        pub kms_key_arn: Value<String>,
    }

    /// Datadog's intake.
    pub struct DatadogSink {
        /// Such as `datadoghq.eu`.
        pub site: Value<String>,
        /// Where the key is.
        pub api_key: Value<String>,
    }

    /// An endpoint of the user's.
    pub struct HttpsSink {
        /// Where reports are posted.
        pub url: Value<String>,
        /// Where the value of the header `Authorization` is.
        pub authorization: Value<String>,
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
}

/// The attribute `settings`.
pub(super) fn attribute() -> Attribute {
    Attribute::nested(
        "settings",
        "The configuration of the scanner service of a later version. It reaches the instances as \
         `/etc/agentless-scanner/config.json`, which cloud-init writes; no shell sees any of it.",
        [
            Attribute::string("log_level", "How much the scanner logs.")
                .default("info")
                .validate(validator::one_of(["error", "warn", "info", "debug", "trace"])),
            Attribute::int("scan_interval_hours", "How often each target is scanned, in hours.")
                .default(12)
                .validate(validator::range(1..=168)),
            Attribute::set(
                "features",
                Type::String,
                "What is scanned: `hosts` (volumes of EC2 instances), `images` (Amazon Machine Images), `functions` \
                 (Lambda). The role must have the permissions of each: give it the same features.",
            )
            .default([Feature::Hosts.name()])
            .validate(validator::items(1..=Feature::ALL.len()))
            .validate(validator::each(validator::pattern("a feature such as `hosts`", |name| {
                Feature::from_name(name).is_some()
            }))),
            tags("include_tags", "Only what has all of these tags is scanned. `*` as a value stands for any."),
            tags(
                "exclude_tags",
                "What has one of these tags is not scanned. `*` as a value stands for any. Beside these, the tag \
                 `DatadogAgentlessScanner = \"false\"` always keeps a resource from being scanned.",
            ),
            accounts(),
            sinks(),
            rate_limits(),
            Attribute::string(
                "sandbox",
                "What to do where the kernel cannot confine what reads the disks. `required`: scan nothing. \
                 `best-effort`: scan with what protection there is, which is no choice for disks of others.",
            )
            .default("required")
            .validate(validator::one_of(["required", "best-effort"])),
        ],
    )
    .default(Raw::Map(BTreeMap::default()))
}

fn tags(name: &'static str, description: &str) -> Attribute {
    let described = "keys of 1 to 128 characters";
    Attribute::map(name, Type::String, description).optional().validate(validator::items(0..=50)).validate(
        Validator::new(described, move |raw| match raw {
            Raw::Map(tags) => match tags.keys().find(|key| !(1..=128).contains(&key.chars().count())) {
                Some(key) => Err(format!("must have {described}, but has {key:?}")),
                None => Ok(()),
            },
            _ => Ok(()),
        }),
    )
}

fn accounts() -> Attribute {
    Attribute::nested_list(
        "accounts",
        "Accounts that are scanned besides the scanner's own, each by a role there that the scanner may assume.",
        [
            Attribute::string(
                "delegate_role_arn",
                "The role in the account: `arn` of `datadog_agentless_scanner_delegate_role` there.",
            )
            .required()
            .validate(validator::pattern("the ARN of a role", |arn| account_of(arn).is_some())),
            Attribute::string("external_id", "The external id that the role's trust policy asks for.")
                .optional()
                .validate(validator::length(2..=1_224)),
        ],
    )
    .optional()
}

fn sinks() -> Attribute {
    let s3 = [
        Attribute::string("bucket", "The name of the bucket.").required().validate(validator::length(3..=63)),
        Attribute::string("prefix", "What the names of the objects begin with, such as `sbom/`.")
            .optional()
            .validate(validator::length(1..=512)),
        Attribute::string("kms_key_arn", "The KMS key that encrypts the objects. Default: the bucket's.")
            .optional()
            .validate(validator::pattern("an ARN of a KMS key, not of an alias", |arn| {
                arn.parse::<KmsKeyArn>().is_ok()
            })),
    ];
    let datadog = [
        Attribute::string("site", "The Datadog site.").default("datadoghq.com").validate(validator::pattern(
            "a Datadog site such as `datadoghq.eu`",
            |site| {
                site.contains('.')
                    && site.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
            },
        )),
        Attribute::string(
            "api_key",
            "Where the API key is: `enc_handle` of `datadog_agentless_scanner_api_key`.",
        )
        .required()
        .validate(handle()),
    ];
    let https = [
        Attribute::string("url", "Where reports are posted, in HTTPS.").required().validate(
            validator::pattern("a URL such as `https://example.com/reports`", |url| {
                url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
                    && url.bytes().all(|byte| byte.is_ascii_graphic())
            }),
        ),
        Attribute::string(
            "authorization",
            "The secret whose value is sent as the header `Authorization`, as `ENC[ARN]`.",
        )
        .optional()
        .validate(handle()),
    ];
    Attribute::nested(
        "sinks",
        "Where the package lists go. Keys are never given here, but the ARNs of the secrets that hold them.",
        [
            Attribute::nested("s3", "A bucket.", s3).optional(),
            Attribute::nested("datadog", "Datadog's intake.", datadog).optional(),
            Attribute::nested("https", "An endpoint of your own.", https).optional(),
        ],
    )
    .optional()
}

/// The notation of a secret that the scanner looks up by itself.
fn handle() -> Validator {
    validator::pattern(
        "`ENC[ARN]` with the ARN of a secret in Secrets Manager, not the secret itself",
        |handle| {
            handle
                .strip_prefix("ENC[arn:")
                .and_then(|rest| rest.strip_suffix(']'))
                .is_some_and(|arn| arn.contains(":secretsmanager:") && arn.contains(":secret:"))
        },
    )
}

fn rate_limits() -> Attribute {
    // One bound for each bucket in which AWS counts requests.
    let limits = [
        ("read", "EC2 requests that change nothing (`Describe…`)."),
        ("mutating", "EC2 requests that create, change or delete."),
        ("block_get", "Reads of blocks (`GetSnapshotBlock`)."),
        ("block_list", "Lists of blocks (`ListSnapshotBlocks`)."),
        ("function_get", "Reads of Lambda functions (`GetFunction`)."),
        ("lambda", "What else is asked of Lambda."),
        ("registry", "What is asked of ECR."),
    ];
    Attribute::nested(
        "rate_limits",
        "How many requests a second the scanner sends at most to each of the buckets in which AWS counts them, so that \
         it leaves the account's quotas to others. Default: the scanner's own limits.",
        limits.map(|(name, description)| {
            Attribute::int(name, description).optional().validate(validator::range(1..=10_000))
        }),
    )
    .optional()
}

/// The account of a role, by the role's ARN.
fn account_of(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let is_role = parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| partition.starts_with("aws"))
        && parts.next() == Some("iam")
        && parts.next() == Some("");
    let account = parts.next().filter(|id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit()))?;
    let named = parts.next().and_then(|rest| rest.strip_prefix("role/")).is_some_and(|name| !name.is_empty());
    (is_role && named).then_some(account)
}

/// What is wrong beyond single attributes.
pub(super) fn problems(settings: &ScannerSettings) -> Vec<Diagnostic> {
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for (index, account) in settings.accounts.get().into_iter().flatten().enumerate() {
        let Some(id) = account.delegate_role_arn.as_str().and_then(account_of) else { continue };
        if !seen.insert(id) {
            let path =
                Path::from("settings").attribute("accounts").index(index).attribute("delegate_role_arn");
            let detail = format!("Account {id} is listed before. Each account is scanned by one role.");
            problems.push(Diagnostic::error("An account is listed twice", detail).at(path));
        }
    }
    if let Some(sinks) = settings.sinks.get()
        && sinks.s3.is_null()
        && sinks.datadog.is_null()
        && sinks.https.is_null()
    {
        let detail = "Set s3, datadog or https, or leave sinks out.";
        let path = Path::from("settings").attribute("sinks");
        problems.push(Diagnostic::error("sinks names no sink", detail).at(path));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_of_a_role_is_in_its_arn() {
        for (arn, account) in [
            ("arn:aws:iam::111122223333:role/a", Some("111122223333")),
            ("arn:aws-us-gov:iam::111122223333:role/path/a", Some("111122223333")),
            ("arn:aws:iam::111122223333:user/a", None),
            ("arn:aws:iam::1111:role/a", None),
            ("arn:aws:iam::111122223333:role/", None),
            ("arn:aws:sts::111122223333:role/a", None),
            ("", None),
        ] {
            assert_eq!(account_of(arn), account, "{arn}");
        }
    }

    #[test]
    fn a_key_itself_is_not_accepted_as_its_handle() {
        let arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:key-AbCdEf";
        assert_eq!(handle().check(&format!("ENC[{arn}]").into()), Ok(()));
        for bad in [arn, "0123456789abcdef0123456789abcdef", "ENC[]", "ENC[arn:aws:s3:::secret]"] {
            assert!(handle().check(&bad.into()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_account_is_listed_once() {
        let account = |arn: &str| Account { delegate_role_arn: arn.into(), external_id: Value::Null };
        let settings = ScannerSettings {
            accounts: vec![
                account("arn:aws:iam::111122223333:role/a"),
                account("arn:aws:iam::444455556666:role/a"),
                account("arn:aws:iam::111122223333:role/b"),
            ]
            .into(),
            ..ScannerSettings::default()
        };
        let problems = problems(&settings);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].path.to_string(), "settings.accounts[2].delegate_role_arn");
    }

    #[test]
    fn an_empty_choice_of_sinks_is_refused() {
        let settings = |sinks| ScannerSettings { sinks, ..ScannerSettings::default() };
        assert_eq!(problems(&settings(Sinks::default().into())).len(), 1);
        assert_eq!(problems(&settings(Value::Null)).len(), 0);
        let unknown = Sinks { s3: Value::Unknown, ..Sinks::default() };
        assert_eq!(problems(&settings(unknown.into())).len(), 0);
    }
}
