//! What users may write in `settings`.

use std::collections::BTreeMap;

use scanner_policy::{ExternalId, Feature};

use super::pattern::{https_url, minisign_key, path};
use super::{limits, sinks};
use crate::resource::ids::role_arn;
use crate::resource::place::region_validator;
use crate::sdk::validator::{self, Validator};
use crate::sdk::{Attribute, Raw, Type};

/// The attribute `settings`.
pub(in super::super) fn attribute() -> Attribute {
    let mut attributes = Vec::new();
    attributes.extend(where_and_what());
    attributes.extend(schedule());
    attributes.extend(effort());
    attributes.extend(surroundings());
    Attribute::nested(
        "settings",
        "The configuration of the scanner. It reaches the instances as `/etc/agentless-scanner/config.yaml`, which \
         cloud-init writes; no shell sees any of it. What is left out is left to the scanner, whose defaults are named \
         here. `agentless-scanner config check` on an instance says what the scanner makes of it.",
        attributes,
    )
    .default(Raw::Map(BTreeMap::default()))
}

fn where_and_what() -> [Attribute; 8] {
    [
        Attribute::set(
            "regions",
            Type::String,
            "The regions that are scanned. Default: the scanner's own. The roles must cover them: that of \
             `datadog_agentless_scanner_role` covers its own region, delegate roles cover those that they name.",
        )
        .optional()
        .validate(validator::items(1..=100))
        .validate(validator::each(region_validator())),
        Attribute::bool(
            "scan_own_account",
            "Whether the account that the scanner is in is scanned, with the instances' own role. Default: `true`.",
        )
        .optional(),
        accounts(),
        Attribute::set(
            "features",
            Type::String,
            "What is scanned: `hosts` (volumes of EC2 instances), `images` (Amazon Machine Images), `functions` \
             (Lambda). The roles must have the permissions of each: give them the same features.",
        )
        .default([Feature::Hosts.name()])
        .validate(validator::items(1..=Feature::ALL.len()))
        .validate(validator::each(validator::pattern("a feature such as `hosts`", |name| {
            Feature::from_name(name).is_some()
        }))),
        hosts(),
        images(),
        tags("include_tags", "Only what has all of these tags is scanned. `*` as a value stands for any."),
        tags(
            "exclude_tags",
            "What has one of these tags is not scanned. `*` as a value stands for any. Beside these, the tag \
             `DatadogAgentlessScanner = \"false\"` always keeps a resource from being scanned.",
        ),
    ]
}

fn accounts() -> Attribute {
    Attribute::nested_list(
        "accounts",
        "Accounts that are scanned besides the scanner's own, each by a role there that the scanner may assume: the role \
         of the instances must name it in `delegate_role_arns`.",
        [
            Attribute::string(
                "delegate_role_arn",
                "The role in the account: `arn` of `datadog_agentless_scanner_delegate_role` there.",
            )
            .required()
            .validate(role_arn()),
            Attribute::string("external_id", "The external id that the role's trust policy asks for.")
                .optional()
                .validate(validator::pattern("2 to 1224 letters, digits and `_+=,.@:/-`", |id| {
                    id.parse::<ExternalId>().is_ok()
                })),
        ],
    )
    .optional()
}

fn hosts() -> Attribute {
    let attributes = [
        Attribute::string("volumes", "`all` volumes of an instance, or only its `root` volume. Default: `all`.")
            .optional()
            .validate(validator::one_of(["all", "root"])),
        Attribute::bool("stopped", "Whether instances that do not run are scanned, too. Default: `true`.").optional(),
        Attribute::string(
            "vendor_agent",
            "What becomes of a host whose disk shows a Datadog agent that reports its packages. `skip`: it is not reported \
             a second time. `scan`: it is. Default: `skip`.",
        )
        .optional()
        .validate(validator::one_of(["skip", "scan"])),
    ];
    Attribute::nested("hosts", "What of the feature `hosts` is scanned.", attributes).optional()
}

fn images() -> Attribute {
    let attributes = [
        Attribute::bool("owned", "Whether images that the account owns are scanned. Default: `true`.")
            .optional(),
        Attribute::bool(
            "used",
            "Whether images that its instances were launched from are scanned. Default: `true`.",
        )
        .optional(),
    ];
    Attribute::nested("images", "What of the feature `images` is scanned.", attributes).optional()
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

fn schedule() -> [Attribute; 5] {
    [
        Attribute::int("scan_interval_hours", "How often each target is scanned, in hours.")
            .default(12)
            .validate(validator::range(1..=168)),
        bounded(
            "discovery_minutes",
            "How often the scanner looks what there is to scan, in minutes. Default: 15.",
            5..=1_440,
        ),
        bounded(
            "snapshot_timeout_minutes",
            "After how many minutes a snapshot that is not complete is given up and deleted. Default: 60.",
            1..=1_439,
        ),
        bounded("scan_timeout_minutes", "After how many minutes a scan is given up. Default: 180.", 1..=1_439),
        Attribute::bool(
            "incremental",
            "Whether the scanner keeps one snapshot of each volume until the next scan, so that only what has changed since \
             is read again: a tenth of the requests, for the price of the snapshots. The roles need `incremental` among their \
             features; without it everything is read. Default: `false`, every snapshot is deleted as soon as it is scanned.",
        )
        .optional(),
    ]
}

fn effort() -> [Attribute; 4] {
    let queue = [
        bounded("workers", "How many targets are scanned at the same time. Default: 4.", 1..=64),
        bounded(
            "snapshots",
            "How many snapshots are in progress in one account and region. Default: 100, AWS's own limit.",
            1..=10_000,
        ),
        bounded("length", "How many targets wait at most. Default: 10,000.", 1..=1_000_000),
    ];
    // One bound for each bucket in which AWS counts requests.
    let rates = [
        ("read", "EC2 requests that change nothing (`Describe…`). Default: 10."),
        ("mutating", "EC2 requests that create, change or delete. Default: 4."),
        ("block_get", "Reads of blocks (`GetSnapshotBlock`). Default: 800."),
        ("block_list", "Lists of blocks (`ListSnapshotBlocks`, `ListChangedBlocks`). Default: 25."),
        ("function_get", "Reads of Lambda functions (`GetFunction`). Default: 50."),
        ("lambda", "What else is asked of Lambda. Default: 7."),
        ("registry", "What is asked of ECR. Default: 500."),
    ];
    [
        Attribute::nested("queue", "How much the scanner does at the same time.", queue).optional(),
        Attribute::nested(
            "rate_limits",
            "How many requests a second the scanner sends at most to each of the buckets in which AWS counts them, in each \
             account and region, so that it leaves the account's quotas to others.",
            rates.map(|(name, description)| bounded(name, description, 1..=10_000)),
        )
        .optional(),
        Attribute::string(
            "sandbox",
            "What to do where the kernel cannot confine what reads the disks. `required`: scan nothing. \
             `best-effort`: scan with what protection there is, which is no choice for disks of others.",
        )
        .default("required")
        .validate(validator::one_of(["required", "best-effort"])),
        limits::attribute(),
    ]
}

fn surroundings() -> [Attribute; 6] {
    let tasks = [
        Attribute::string("directory", "A directory of the instance; each file in it is a batch of tasks.")
            .optional()
            .validate(path()),
        Attribute::string("file", "A file of the instance with a batch of tasks.").optional().validate(path()),
        Attribute::string("url", "Where a batch of tasks is fetched, in HTTPS.")
            .optional()
            .validate(https_url("a URL such as `https://example.com/tasks.json`, without a password")),
        Attribute::string(
            "public_key",
            "The minisign key that must have signed what the URL, the file or the directory has. Default: none, and tasks \
             need no signature.",
        )
        .optional()
        .validate(minisign_key()),
        bounded("poll_seconds", "How often the scanner looks, in seconds. Default: 60.", 1..=86_400),
    ];
    let spool = [
        Attribute::string("directory", "The directory. Default: `/var/lib/agentless-scanner/spool`.")
            .optional()
            .validate(path()),
        bounded("megabytes", "How many megabytes wait for each sink at most. Default: 512.", 1..=1_048_576),
    ];
    let status = [
        Attribute::bool("enabled", "Whether the scanner answers. Default: `true`.").optional(),
        bounded("port", "The port, of the address 127.0.0.1 alone. Default: 5009.", 1..=65_535),
    ];
    [
        Attribute::string("log_level", "How much the scanner logs.")
            .default("info")
            .validate(validator::one_of(["error", "warn", "info", "debug", "trace"])),
        Attribute::nested(
            "tasks",
            "Where the scanner is told to scan something at once. A task selects what is scanned among what `features`, \
             `accounts` and `regions` allow, and nothing else.",
            tasks,
        )
        .optional(),
        sinks::attribute(),
        Attribute::nested("spool", "Where package lists wait that a sink does not take.", spool).optional(),
        Attribute::string(
            "ca_file",
            "A file of the image with further certificate authorities in PEM, for sinks and a proxy of your own.",
        )
        .optional()
        .validate(path()),
        Attribute::nested("status", "The status of the scanner, for programs of the instance itself.", status)
            .optional(),
    ]
}

/// A whole number that may be left out.
fn bounded(name: &'static str, description: &str, bounds: std::ops::RangeInclusive<i64>) -> Attribute {
    Attribute::int(name, description).optional().validate(validator::range(bounds))
}
