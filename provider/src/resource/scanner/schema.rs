//! What users may write in a `datadog_agentless_scanner` block, and its model.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::ids::id;
use super::super::place::region_attribute;
use super::super::tagging;
use super::lifecycle::{self, Hook, InstanceRefresh};
use super::settings::{self, ScannerSettings};
use crate::aws::Tags;
use crate::model;
use crate::sdk::{Attribute, Schema, TimeoutDefaults, Timeouts, Type, Value, validator};

/// One day, in seconds: how long an instance lives, and the least that EC2 Auto Scaling accepts as its maximum
/// ("Replace Auto Scaling instances based on maximum instance lifetime").
const DAY: i64 = 86_400;

model! {
    /// State of one scanner.
    pub struct Model {
        /// The scanner's name.
        pub id: Value<String>,
        /// The Auto Scaling group's ARN; null when the group is gone.
        pub arn: Value<String>,
        /// Of the group and the launch template.
        pub name: Value<String>,
        /// The region.
        pub region: Value<String>,
        /// The AMI, by id.
        pub image_id: Value<String>,
        /// The AMI, by the parameter of Systems Manager that has its id.
        pub image_parameter: Value<String>,
        /// The instance type.
        pub instance_type: Value<String>,
        /// What gives the instances their role.
        pub instance_profile_arn: Value<String>,
        /// Where the instances run.
        pub subnet_ids: Value<BTreeSet<String>>,
        /// What the instances may reach.
        pub security_group_ids: Value<BTreeSet<String>>,
        /// The fewest instances.
        pub min_size: Value<i32>,
        /// The most instances.
        pub max_size: Value<i32>,
        /// The wanted number of instances.
        pub desired_capacity: Value<i32>,
        /// In seconds.
        pub max_instance_lifetime: Value<i32>,
        /// In seconds.
        pub default_instance_warmup: Value<i32>,
        /// In seconds.
        pub health_check_grace_period: Value<i32>,
        /// Where instances wait when they come.
        pub launch_hook: Value<Hook>,
        /// Where instances wait when they go.
        pub termination_hook: Value<Hook>,
        /// How instances are replaced after a change.
        pub instance_refresh: Value<InstanceRefresh>,
        /// In GiB.
        pub root_volume_size: Value<i32>,
        /// The key of the root volume.
        pub root_volume_kms_key_id: Value<String>,
        /// The scanner program's configuration.
        pub settings: Value<ScannerSettings>,
        /// What cloud-init reads.
        pub user_data: Value<String>,
        /// The launch template; null when it is gone.
        pub launch_template_id: Value<String>,
        /// The version that the group launches.
        pub launch_template_version: Value<String>,
        /// What no instance may deviate from.
        pub hardening: Value<Hardening>,
        /// Own tags.
        pub tags: Value<Tags>,
        /// All tags.
        pub tags_all: Value<Tags>,
        /// How long operations may take.
        pub timeouts: Value<Timeouts>,
    }

    /// What no instance may deviate from.
    pub struct Hardening {
        /// `required` is version 2 of the metadata service only.
        pub http_tokens: Value<String>,
        /// Network hops that an answer of the metadata service survives.
        pub http_put_response_hop_limit: Value<i32>,
        /// Whether instances get a public address.
        pub public_address: Value<bool>,
        /// The key pair; empty for none.
        pub key_name: Value<String>,
        /// The type of the root volume.
        pub root_volume_type: Value<String>,
        /// Whether the root volume is encrypted.
        pub root_volume_encrypted: Value<bool>,
        /// While instances are replaced, in percent.
        pub min_healthy_percentage: Value<i32>,
        /// While instances are replaced, in percent.
        pub max_healthy_percentage: Value<i32>,
    }
}

pub(super) fn schema() -> Schema {
    Schema::new(
        "The machines of a scanner in one region: an Auto Scaling group of hardened instances with the role that reads \
         snapshots of the account's EC2 volumes. Every instance is replaced within about a day, launching the new one \
         before the old one ends.\n\n\
         ~> **What runs on them is the image's affair.** The image must start `agentless-scanner run` when it boots, as \
         systemd's unit of the scanner does; one is not published with this version. The scanner reads \
         `/etc/agentless-scanner/config.yaml`, which cloud-init writes: the name, the region, the group with its hooks, and \
         `settings`. It completes the hooks, for which the role must name the group in `scaling_group_names`. \
         On an image without it, no instance is ever admitted: set `launch_hook = { enabled = false }` and \
         `termination_hook = { enabled = false }` there.\n\n\
         ~> **A change of what instances are launched with** (the image, the instance type, the settings and so on) \
         makes a new version of the launch template, to which the group is pinned by number, and an instance refresh \
         replaces the instances by ones of that version: `instance_refresh` says how. While it is under way, plans \
         show what it leads to. When it fails, apply says why, and the state is what the group then launches. A change \
         of `tags` alone also makes a version, but new instances get them only as old ones reach \
         `max_instance_lifetime`. What deviates because somebody changed it behind Terraform's back is set right at \
         once, without a way back to it.",
    )
    .attributes(identity())
    .attributes(launch())
    .attributes(group())
    .attributes(lifecycle::attributes())
    .attributes(computed())
    .attributes(tagging::attributes())
    .timeouts(TimeoutDefaults {
        create: Duration::from_mins(10),
        // Replacing instances takes minutes each, and the bake time comes on top.
        update: Duration::from_hours(1),
        delete: Duration::from_mins(20),
    })
}

fn identity() -> [Attribute; 4] {
    [
        Attribute::string("id", "The scanner's name.").computed().keeps_state(),
        Attribute::string("arn", "The ARN of the Auto Scaling group.").computed().keeps_state(),
        Attribute::string(
            "name",
            "The name of the scanner, its Auto Scaling group and its launch template, unique in the region. The scanner \
             tags with it what it makes. A change makes a new scanner.",
        )
        .required()
        .replaces()
        .validate(validator::length(3..=64))
        .validate(validator::characters("letters, digits and `._-`", |character| {
            character.is_ascii_alphanumeric() || "._-".contains(character)
        })),
        region_attribute(" whose hosts are scanned"),
    ]
}

fn launch() -> [Attribute; 8] {
    [
        Attribute::string(
            "image_id",
            "The AMI that the instances boot; one is not published with this version. A literal id, so that what runs is \
             what was planned, and a failed change can be rolled back. Either this or `image_parameter` is needed.",
        )
        .optional()
        .validate(id("ami-")),
        Attribute::string(
            "image_parameter",
            "Instead of `image_id`: the parameter of Systems Manager that has the id of the AMI, by name or ARN. Every \
             instance that is launched boots the image that it names then, so that replacement alone brings a new \
             image in. EC2 Auto Scaling does not roll back with it. All images that it names over time must name their \
             root device alike. Whoever applies needs `ssm:GetParameters` for it.",
        )
        .optional()
        .validate(validator::length(1..=2_048))
        .validate(validator::characters("letters, digits and `.-_/:`", |character| {
            character.is_ascii_alphanumeric() || ".-_/:".contains(character)
        })),
        Attribute::string(
            "instance_type",
            "The instance type. Its architecture must be the image's, which the plan checks.",
        )
            .default("t4g.medium")
            .validate(validator::length(1..=64)),
        Attribute::string(
            "instance_profile_arn",
            "The instance profile whose role the scanner works with: `instance_profile_arn` of \
             `datadog_agentless_scanner_role`.",
        )
        .required()
        .validate(validator::pattern("the ARN of an instance profile", |arn| {
            arn.starts_with("arn:") && arn.contains(":instance-profile/")
        })),
        Attribute::set(
            "security_group_ids",
            Type::String,
            "The security groups of the instances: `id` of `datadog_agentless_scanner_security_group`.",
        )
        .required()
        .validate(validator::items(1..=16))
        .validate(validator::each(id("sg-"))),
        Attribute::int(
            "root_volume_size",
            "The size of the encrypted gp3 root volume, in GiB. Not less than the image's.",
        )
        .default(30)
        .validate(validator::range(1..=16_384)),
        Attribute::string(
            "root_volume_kms_key_id",
            "The KMS key of the root volume, by ARN, id or alias. Its policy must let the service-linked role of EC2 \
             Auto Scaling use it, or nothing is launched. Default: the account's key for EBS.",
        )
        .optional(),
        settings::attribute(),
    ]
}

fn group() -> [Attribute; 7] {
    [
        Attribute::set(
            "subnet_ids",
            Type::String,
            "The subnets in which instances run, with a route to the AWS APIs. More than one zone keeps the scanner \
             going when one fails.",
        )
        .required()
        .validate(validator::items(1..=usize::MAX))
        .validate(validator::each(id("subnet-"))),
        Attribute::int("min_size", "The fewest instances.").default(1).validate(validator::range(0..=1_000)),
        Attribute::int("max_size", "The most instances.").default(1).validate(validator::range(1..=1_000)),
        Attribute::int(
            "desired_capacity",
            "The wanted number of instances. Left out, it starts at `min_size`, and what scaling makes of it within \
             `min_size` and `max_size` is left alone.",
        )
        .optional()
        .computed()
        .keeps_state()
        .validate(validator::range(0..=1_000)),
        Attribute::int(
            "max_instance_lifetime",
            "After how many seconds an instance is replaced. At least a day, which EC2 Auto Scaling demands.",
        )
        .default(DAY)
        .validate(validator::range(DAY..=365 * DAY)),
        Attribute::int(
            "default_instance_warmup",
            "For how many seconds a new instance does not count as being of use yet.",
        )
        .default(60)
        .validate(validator::range(0..=3_600)),
        Attribute::int(
            "health_check_grace_period",
            "For how many seconds after its launch an instance is not replaced for failing its health check.",
        )
        .default(300)
        .validate(validator::range(0..=7_200)),
    ]
}

fn computed() -> [Attribute; 4] {
    [
        Attribute::string("user_data", "What cloud-init reads on the instances.").computed().keeps_state(),
        Attribute::string("launch_template_id", "The launch template.").computed().keeps_state(),
        Attribute::string(
            "launch_template_version",
            "The version of the launch template that the group launches, by number.",
        )
        .computed().keeps_state(),
        Attribute::nested(
            "hardening",
            "What no instance may deviate from. Always planned as below, so that a deviation shows and apply undoes it.",
            [
                Attribute::string("http_tokens", "`required`: the metadata service answers with IMDSv2 only."),
                Attribute::number("http_put_response_hop_limit", "1: no container or proxy can ask on the host's behalf."),
                Attribute::bool("public_address", "`false`: no instance has a public address."),
                Attribute::string("key_name", "Empty: no key pair can log in."),
                Attribute::string("root_volume_type", "`gp3`."),
                Attribute::bool("root_volume_encrypted", "`true`."),
                Attribute::number("min_healthy_percentage", "100: a new instance is there before an old one ends."),
                Attribute::number("max_healthy_percentage", "200: the same, for the most instances meanwhile."),
            ]
            .map(Attribute::computed),
        )
        .computed().keeps_state(),
    ]
}

impl Hardening {
    /// What every scanner has.
    pub(super) fn required() -> Self {
        Self {
            http_tokens: "required".into(),
            http_put_response_hop_limit: 1.into(),
            public_address: false.into(),
            key_name: "".into(),
            root_volume_type: "gp3".into(),
            root_volume_encrypted: true.into(),
            min_healthy_percentage: 100.into(),
            max_healthy_percentage: 200.into(),
        }
    }
}
