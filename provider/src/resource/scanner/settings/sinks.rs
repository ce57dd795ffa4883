//! The argument `settings.sinks`: where package lists go.

use scanner_policy::{BucketName, KmsKeyArn, ReportPrefix};

use super::pattern::{handle, https_url, path};
use crate::resource::place::region_validator;
use crate::sdk::{Attribute, validator};

pub(super) fn attribute() -> Attribute {
    let files = [Attribute::string(
        "directory",
        "The directory, such as one that another program of the image empties. An instance is replaced every day, and its \
         disk with it.",
    )
    .required()
    .validate(path())];
    let https = [
        Attribute::string("url", "Where CycloneDX documents are posted, in HTTPS.")
            .required()
            .validate(https_url("a URL such as `https://example.com/reports`, without a password")),
        Attribute::string(
            "authorization",
            "The secret whose value is sent as the header `Authorization`, as `ENC[ARN]`. The role must name it in \
             `secret_arns`.",
        )
        .optional()
        .validate(handle()),
    ];
    Attribute::nested(
        "sinks",
        "Where the package lists go, to one or several places. What a sink does not take waits in the `spool`. Keys are \
         never given here, but the ARNs of the secrets that hold them.",
        [
            Attribute::nested("files", "A directory of the instance.", files).optional(),
            Attribute::nested(
                "s3",
                "A bucket. The role must permit it: give `reports` of `datadog_agentless_scanner_role` the same bucket, prefix \
                 and key.",
                s3(),
            )
            .optional(),
            Attribute::nested("datadog", "Datadog's intake.", datadog()).optional(),
            Attribute::nested("https", "An endpoint of your own.", https).optional(),
        ],
    )
    .optional()
}

fn s3() -> [Attribute; 4] {
    [
        Attribute::string("bucket", "The name of the bucket.")
            .required()
            .validate(validator::pattern("the name of an S3 bucket", |name| {
                name.parse::<BucketName>().is_ok()
            })),
        Attribute::string("prefix", "What the names of the objects begin with: a folder such as `sbom/`.")
            .optional()
            .validate(validator::length(1..=512))
            .validate(validator::pattern(
                "a prefix such as `sbom/`: it ends in `/`, does not begin with it, and has no wildcards",
                |prefix| prefix.parse::<ReportPrefix>().is_ok(),
            )),
        Attribute::string("kms_key_arn", "The KMS key that encrypts the objects. Default: the bucket's.")
            .optional()
            .validate(validator::pattern("an ARN of a KMS key, not of an alias", |arn| {
                arn.parse::<KmsKeyArn>().is_ok()
            })),
        Attribute::string("region", "The region of the bucket. Default: the scanner's.")
            .optional()
            .validate(region_validator()),
    ]
}

fn datadog() -> [Attribute; 4] {
    [
        Attribute::string(
            "site",
            "The Datadog site. That of the United States' government has no intake for package lists.",
        )
        .default("datadoghq.com")
        .validate(validator::one_of([
            "datadoghq.com",
            "datadoghq.eu",
            "us3.datadoghq.com",
            "us5.datadoghq.com",
            "ap1.datadoghq.com",
            "ap2.datadoghq.com",
        ])),
        Attribute::string(
            "api_key",
            "Where the API key is: `enc_handle` of `datadog_agentless_scanner_api_key`. The role must name the secret in \
             `secret_arns`.",
        )
        .required()
        .validate(handle()),
        Attribute::string("url", "The URL of a proxy of yours before the intake, instead of the site's.")
            .optional()
            .validate(https_url("a URL such as `https://intake.example.com`, without a password")),
        Attribute::string("env", "The environment that the package lists are tagged with, such as `prod`.")
            .optional()
            .validate(validator::length(1..=255))
            .validate(validator::pattern("a text on one line, without spaces around it", |text| {
                text.trim() == text && !text.chars().any(char::is_control)
            })),
    ]
}
