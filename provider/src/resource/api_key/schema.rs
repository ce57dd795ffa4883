//! What users may write in a `datadog_agentless_scanner_api_key` block, and its model.

use std::collections::BTreeSet;
use std::time::Duration;

use scanner_policy::KmsKeyArn;

use super::super::ids::role_arn;
use super::super::place::region_attribute;
use super::super::tagging;
use super::RECOVERY_DAYS;
use crate::aws::Tags;
use crate::model;
use crate::sdk::validator::Validator;
use crate::sdk::{Attribute, Raw, Schema, Secret, TimeoutDefaults, Timeouts, Type, Value, validator};

model! {
    /// State of one secret.
    pub struct Model {
        /// The secret's ARN.
        pub id: Value<String>,
        /// The secret's ARN.
        pub arn: Value<String>,
        /// What the scanner's configuration takes.
        pub enc_handle: Value<String>,
        /// The secret's name.
        pub name: Value<String>,
        /// The region of the secret.
        pub region: Value<String>,
        /// What the secret is for.
        pub description: Value<String>,
        /// The key that encrypts it.
        pub kms_key_id: Value<String>,
        /// The key; null in plan and state.
        pub api_key_wo: Value<Secret>,
        /// Its number.
        pub api_key_wo_version: Value<i64>,
        /// In days.
        pub recovery_window_in_days: Value<i64>,
        /// The only roles that may read it.
        pub reader_role_arns: Value<BTreeSet<String>>,
        /// The resource policy, as JSON.
        pub policy: Value<String>,
        /// The version that Terraform wrote.
        pub version_id: Value<String>,
        /// The version that somebody else wrote.
        pub foreign_version_id: Value<String>,
        /// When somebody has scheduled its deletion for.
        pub deletion_date: Value<String>,
        /// Own tags.
        pub tags: Value<Tags>,
        /// All tags.
        pub tags_all: Value<Tags>,
        /// How long operations may take.
        pub timeouts: Value<Timeouts>,
    }
}

pub(super) fn schema() -> Schema {
    Schema::new(
        "A Datadog API key, as a secret of AWS Secrets Manager. The key is a write-only argument: it reaches Secrets \
         Manager and is in no plan, no state and no log. The scanner is given `enc_handle` and reads the secret with \
         its own role.\n\n\
         A key that somebody replaces, a changed policy or KMS key, and a scheduled deletion show in the plan, and apply \
         undoes them; to write the key again, it must be given.\n\n\
         To rotate, give the new key and raise `api_key_wo_version`. The key before stays in the secret as the version \
         `AWSPREVIOUS`.",
    )
    .attribute(Attribute::string("id", "The secret's ARN.").computed().keeps_state())
    .attribute(
        Attribute::string("arn", "The secret's ARN. It ends in six characters that AWS chooses.")
            .computed()
            .keeps_state(),
    )
    .attribute(
        Attribute::string(
            "enc_handle",
            "`ENC[…]` around the ARN: what the scanner's configuration takes in place of the key.",
        )
        .computed()
        .keeps_state(),
    )
    .attribute(
        Attribute::string(
            "name",
            "The secret's name, unique in the account and region. A change makes a new secret, which needs the key.",
        )
        .required()
        .replaces()
        .validate(validator::length(1..=512))
        .validate(validator::characters("letters, digits and `/_+=.@-`", |character| {
            character.is_ascii_alphanumeric() || "/_+=.@-".contains(character)
        })),
    )
    .attribute(region_attribute(" of the secret"))
    .attribute(
        Attribute::string("description", "What the secret is for.")
            .default("Datadog API key of the agentless scanner")
            .validate(validator::length(1..=2_048)),
    )
    .attribute(
        Attribute::string(
            "kms_key_id",
            "The ARN of the KMS key that encrypts the secret. The scanner's role must be allowed to decrypt with it. \
             Left out, it is the account's `aws/secretsmanager` key, which every role of the account that may read the \
             secret can use.",
        )
        .optional()
        .validate(validator::pattern("an ARN of a KMS key, not of an alias", |arn| {
            arn.parse::<KmsKeyArn>().is_ok()
        })),
    )
    .attribute(
        Attribute::string(
            "api_key_wo",
            "The API key. Needed to make the secret, with a new `api_key_wo_version`, and to undo a replacement by \
             somebody else; otherwise it may be null. An ephemeral variable or resource suits it best, because Terraform \
             keeps those nowhere either.",
        )
        .optional()
        .write_only()
        .validate(api_key()),
    )
    .attribute(
        Attribute::int(
            "api_key_wo_version",
            "The number of the key. Terraform cannot compare keys that it does not keep: it writes the key when this \
             number changes.",
        )
        .required()
        .validate(validator::range(1..=999_999_999)),
    )
    .attribute(
        Attribute::int(
            "recovery_window_in_days",
            "For how many days a destroyed secret can be restored: 7 to 30, or 0 to delete it at once. As long as it can \
             be restored, no other secret can have its name: not even one that replaces it, as `terraform apply \
             -replace` does.",
        )
        .default(RECOVERY_DAYS)
        .validate(recovery_window()),
    )
    .attribute(
        Attribute::set(
            "reader_role_arns",
            Type::String,
            "The only roles that may read the key; for everybody else in the account, administrators included, the \
             secret's policy denies it. They need `secretsmanager:GetSecretValue` in their own policies as well: \
             `secret_arns` of `datadog_agentless_scanner_role`. That argument refers to the secret, so write the role's \
             ARN out here instead of referring to the role; the role may come later. Left out, the secret has no policy, \
             and the policies of IAM decide alone.",
        )
        .optional()
        .validate(validator::items(1..=50))
        .validate(validator::each(role_arn())),
    )
    .attribute(
        Attribute::string("policy", "The secret's resource policy, as JSON; null when it has none.")
            .computed()
            .keeps_state(),
    )
    .attribute(
        Attribute::string("version_id", "The id of the version that Terraform wrote last.").computed().keeps_state(),
    )
    .attribute(
        Attribute::string(
            "foreign_version_id",
            "The id of the version that readers get, when somebody else wrote it. Planned as null when `api_key_wo` is \
             given, so that apply writes the key again; otherwise the plan warns of it.",
        )
        .computed()
        .keeps_state(),
    )
    .attribute(
        Attribute::string(
            "deletion_date",
            "The time (RFC 3339) for which somebody has scheduled the secret's deletion. Always planned as null, so \
             that apply restores the secret.",
        )
        .computed()
        .keeps_state(),
    )
    .attributes(tagging::attributes())
    .timeouts(TimeoutDefaults::all(Duration::from_mins(5)))
}

/// A key as Datadog makes them. What would be refused there is better refused here: a scanner with a key of another kind,
/// or with the line break of the file it came from, scans for nothing.
fn api_key() -> Validator {
    Validator::new("32 hexadecimal digits, without spaces or a line break", |raw| match raw.as_str() {
        Some(key) if key.len() != 32 || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Err("must be 32 hexadecimal digits".to_owned())
        }
        _ => Ok(()),
    })
}

fn recovery_window() -> Validator {
    Validator::new("0, or between 7 and 30", |raw| match raw {
        Raw::Number(number) if !number.as_i64().is_some_and(|days| days == 0 || (7..=30).contains(&days)) => {
            Err(format!("must be 0, or between 7 and 30, but is {number}"))
        }
        _ => Ok(()),
    })
}
