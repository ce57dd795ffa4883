//! What users may write in a `datadog_agentless_scanner_image` block, and its model.

use std::collections::BTreeSet;

use scanner_policy::{AccountId, tags};

use super::super::region_attribute;
use super::choose::{FAIL, WARN};
use super::{ARCHITECTURE, SELF};
use crate::aws::Tags;
use crate::model;
use crate::sdk::{Attribute, Schema, Type, Value, validator};

model! {
    /// A search and the image that it found.
    pub struct Model {
        /// Where to look.
        pub region: Value<String>,
        /// Whose images.
        pub owners: Value<BTreeSet<String>>,
        /// For which processors.
        pub architecture: Value<String>,
        /// What their names begin with.
        pub name_prefix: Value<String>,
        /// The tags that they must have.
        pub required_tags: Value<Tags>,
        /// Whether deprecated ones count.
        pub include_deprecated: Value<bool>,
        /// How old the newest may be.
        pub max_age: Value<String>,
        /// What happens when it is older.
        pub max_age_action: Value<String>,
        /// The image's id.
        pub id: Value<String>,
        /// The image's ARN.
        pub arn: Value<String>,
        /// The image's name.
        pub name: Value<String>,
        /// The image's account.
        pub owner_id: Value<String>,
        /// When it was made.
        pub creation_date: Value<String>,
        /// When it is deprecated.
        pub deprecation_time: Value<String>,
        /// The device of its root volume.
        pub root_device_name: Value<String>,
        /// The size of its root volume in GiB.
        pub root_device_size: Value<i32>,
        /// The snapshots of its volumes.
        pub snapshot_ids: Value<BTreeSet<String>>,
        /// What it was built from.
        pub source_image_id: Value<String>,
        /// The version of its scanner.
        pub scanner_version: Value<String>,
        /// The commit of its scanner.
        pub commit: Value<String>,
        /// The image's tags.
        pub tags: Value<Tags>,
    }
}

pub(super) fn schema() -> Schema {
    let (version, commit, source) = (tags::IMAGE_VERSION, tags::IMAGE_COMMIT, tags::IMAGE_SOURCE);
    Schema::new(format!(
        "The newest machine image (AMI) to start scanners from: of the latest creation date, and where two images have \
         the same, of the greater id.\n\n\
         A scanner image is known by the tag `{version}`, which its build sets to the version of the scanner, beside \
         `{commit}` and `{source}`. EC2 shows tags to the owner of an image only, so images of another account are \
         found by name instead.\n\n\
         The age of the image is no attribute, because it would differ in every plan; `creation_date` is, and `max_age` \
         watches over it."
    ))
    .attribute(region_attribute(" of the image"))
    .attribute(
        Attribute::set(
            "owners",
            Type::String,
            "The accounts whose images are looked for: account ids, or `self` for that of the credentials. Default: \
             `self`. The images that match must belong to one account, because whoever owns the newest decides what \
             scanners run.",
        )
        .optional()
        .computed()
        .validate(validator::items(1..=20))
        .validate(validator::each(validator::pattern("`self`, or an account id of twelve digits", |owner| {
            owner == SELF || owner.parse::<AccountId>().is_ok()
        }))),
    )
    .attribute(
        Attribute::string(
            "architecture",
            format!("The processors that the image is for; those of the scanner's instance type. Default: `{ARCHITECTURE}`."),
        )
        .optional()
        .computed()
        .validate(validator::one_of([ARCHITECTURE, "x86_64"])),
    )
    .attribute(
        Attribute::string(
            "name_prefix",
            format!(
                "What the image's name begins with. With it, the tag `{version}` is not asked for. Needed for images of \
                 other accounts."
            ),
        )
        .optional()
        .validate(validator::length(3..=127))
        .validate(validator::characters("letters, digits, spaces and `()[]./-'@_`", |character| {
            character.is_ascii_alphanumeric() || " ()[]./-'@_".contains(character)
        })),
    )
    .attribute(
        Attribute::map(
            "required_tags",
            Type::String,
            "Tags that the image must have, each with exactly this value. Only for images of the own account.",
        )
        .optional(),
    )
    .attribute(
        Attribute::bool(
            "include_deprecated",
            "Whether an image counts whose `deprecation_time` has passed. Default: `false`.",
        )
        .optional()
        .computed(),
    )
    .attribute(
        Attribute::string(
            "max_age",
            "How old the newest image may be, such as `720h` for thirty days. Left out, it may have any age.",
        )
        .optional()
        .validate(validator::duration()),
    )
    .attribute(
        Attribute::string(
            "max_age_action",
            "What an older image causes: a warning (`warn`, the default) or an error (`fail`), with which nothing is \
             planned.",
        )
        .optional()
        .validate(validator::one_of([WARN, FAIL])),
    )
    .attributes([
        Attribute::string("id", "The image's id, such as `ami-0123456789abcdef0`.").computed(),
        Attribute::string("arn", "The image's ARN.").computed(),
        Attribute::string("name", "The image's name.").computed(),
        Attribute::string("owner_id", "The account that the image belongs to.").computed(),
        Attribute::string("creation_date", "When the image was made (RFC 3339, UTC).").computed(),
        Attribute::string(
            "deprecation_time",
            "When the image is or was deprecated (RFC 3339, UTC); null when that is not planned.",
        )
        .computed(),
        Attribute::string("root_device_name", "The device of the root volume, such as `/dev/sda1`.").computed(),
        Attribute::int("root_device_size", "The size of the root volume in GiB. No instance can have a smaller one.")
            .computed(),
        Attribute::set("snapshot_ids", Type::String, "The snapshots that the image's volumes are made from.")
            .computed(),
        Attribute::string(
            "source_image_id",
            format!("The image that this one was built from, by the tag `{source}`, or else as EC2 remembers it."),
        )
        .computed(),
        Attribute::string("scanner_version", format!("The version of the scanner in it, by the tag `{version}`."))
            .computed(),
        Attribute::string("commit", format!("The commit that the scanner was built from, by the tag `{commit}`."))
            .computed(),
        Attribute::map("tags", Type::String, "The image's tags, where it belongs to the account of the credentials.")
            .computed(),
    ])
}
