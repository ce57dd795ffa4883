//! The forms that texts of a configuration have: names, regions, ARNs, addresses.

use std::path::Path;

use super::mistake::did_you_mean;
use super::node::quoted;

/// The form of a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// 1 to 64 of letters, digits, `.`, `_` and `-`.
    Name,
    /// 1 to 255 characters, none of them a control character.
    Label,
    /// A region of AWS.
    Region,
    /// A path from the root.
    Path,
    /// Any text that is not empty.
    Argument,
    /// An address that begins with `https://`.
    Url,
    /// The name of a bucket.
    Bucket,
    /// The beginning of the keys of objects.
    Prefix,
    /// The ARN of a KMS key.
    KmsKey,
    /// A site of Datadog.
    Site,
    /// A public key of minisign.
    PublicKey,
    /// The ARN of an IAM role.
    Role,
    /// The external id of a role.
    ExternalId,
}

/// The sites of Datadog whose intake takes lists of packages.
pub const SITES: &[&str] = &[
    "datadoghq.com",
    "datadoghq.eu",
    "us3.datadoghq.com",
    "us5.datadoghq.com",
    "ap1.datadoghq.com",
    "ap2.datadoghq.com",
];

/// The site that is for the United States' government. Its intake does not take them.
const GOVERNMENT_SITE: &str = "ddog-gov.com";

impl Form {
    /// What is expected, for messages and for documentation.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Name => "a name of 1 to 64 letters, digits, `.`, `_` and `-`",
            Self::Label => "a text of 1 to 255 characters on one line",
            Self::Region => "a region of AWS, such as eu-central-1",
            Self::Path => "a path that begins with /",
            Self::Argument => "a text",
            Self::Url => "an address that begins with https://, without user, password and fragment",
            Self::Bucket => "the name of a bucket: 3 to 63 small letters, digits, `.` and `-`",
            Self::Prefix => "a prefix of keys that ends in / and does not begin with it, such as sbom/",
            Self::KmsKey => "the ARN of a KMS key, arn:aws:kms:REGION:ACCOUNT:key/ID",
            Self::Site => "a site of Datadog, such as datadoghq.com",
            Self::PublicKey => "a public key of minisign, the line that begins with RW",
            Self::Role => "the ARN of an IAM role, arn:aws:iam::ACCOUNT:role/NAME",
            Self::ExternalId => "an external id: 2 to 1224 letters, digits and any of _+=,.@:/-",
        }
    }

    /// Checks a text. The error says what is expected, and what is there.
    pub(super) fn check(self, text: &str) -> Result<(), String> {
        if self == Self::Site {
            return check_site(text);
        }
        let fits = match self {
            Self::Name => is_of(text, 1, 64, |byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)),
            Self::Label => {
                (1..=255).contains(&text.chars().count())
                    && !text.chars().any(char::is_control)
                    && text.trim() == text
            }
            Self::Region => is_region(text),
            Self::Path => Path::new(text).is_absolute() && !text.contains('\0'),
            Self::Argument => !text.contains('\0'),
            Self::Url => is_https(text),
            Self::Bucket => {
                is_of(text, 3, 63, |byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte)
                }) && !text.starts_with(['.', '-'])
                    && !text.ends_with(['.', '-'])
            }
            Self::Prefix => {
                text.ends_with('/')
                    && !text.starts_with('/')
                    && !text.contains("//")
                    && text.len() <= 512
                    && !text.chars().any(char::is_control)
            }
            Self::KmsKey => Arn::parse(text).is_some_and(|arn| {
                arn.service == "kms"
                    && is_region(arn.region)
                    && is_account(arn.account)
                    && ["key/", "alias/"].iter().any(|kind| is_beyond(arn.resource, kind))
            }),
            Self::Site => true,
            Self::PublicKey => minisign_verify::PublicKey::from_base64(text).is_ok(),
            Self::Role => Arn::parse(text).is_some_and(|arn| {
                arn.service == "iam"
                    && arn.region.is_empty()
                    && is_account(arn.account)
                    && is_beyond(arn.resource, "role/")
                    && text.len() <= 2048
            }),
            Self::ExternalId => {
                is_of(text, 2, 1224, |byte| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte))
            }
        };
        if fits {
            return Ok(());
        }
        // An address can have a password in it, and an external id is nobody's business.
        let found = match self {
            Self::Url | Self::ExternalId => String::new(),
            _ => format!(", not {}", quoted(text)),
        };
        Err(format!("must be {}{found}", self.expected()))
    }
}

fn check_site(text: &str) -> Result<(), String> {
    if SITES.contains(&text) {
        Ok(())
    } else if text == GOVERNMENT_SITE || text.ends_with(".ddog-gov.com") {
        Err(format!(
            "{GOVERNMENT_SITE} has no intake for lists of packages; another sink keeps them, such as sinks.s3"
        ))
    } else {
        let hint = did_you_mean(text, SITES.iter().copied());
        Err(format!("must be one of {}, not {}{hint}", SITES.join(", "), quoted(text)))
    }
}

/// The parts of an ARN.
pub(super) struct Arn<'a> {
    pub(super) partition: &'a str,
    service: &'a str,
    region: &'a str,
    pub(super) account: &'a str,
    resource: &'a str,
}

impl<'a> Arn<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let (head, partition) = (parts.next()?, parts.next()?);
        let arn = Arn {
            partition,
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        };
        let is_clean = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'`\\<>*?{}".contains(&byte));
        (head == "arn" && PARTITIONS.contains(&partition) && is_clean).then_some(arn)
    }
}

/// The separate worlds of AWS.
const PARTITIONS: &[&str] =
    &["aws", "aws-cn", "aws-us-gov", "aws-eusc", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f"];

/// The world that a region is in.
pub(super) fn partition(region: &str) -> &'static str {
    match region.split_once('-').map_or("", |(first, rest)| if first == "us" { rest } else { first }) {
        "cn" => "aws-cn",
        "eusc" => "aws-eusc",
        rest if rest.starts_with("gov-") => "aws-us-gov",
        rest if rest.starts_with("iso-") => "aws-iso",
        rest if rest.starts_with("isob-") => "aws-iso-b",
        rest if rest.starts_with("isof-") => "aws-iso-f",
        _ if region.starts_with("eu-isoe-") => "aws-iso-e",
        _ => "aws",
    }
}

fn is_of(text: &str, least: usize, most: usize, is_in: impl Fn(u8) -> bool) -> bool {
    (least..=most).contains(&text.len()) && text.bytes().all(is_in)
}

fn is_account(text: &str) -> bool {
    is_of(text, 12, 12, |byte| byte.is_ascii_digit())
}

/// Whether a text is a prefix and something after it.
fn is_beyond(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty())
}

/// Whether a text has the form of a region: `eu-central-1`, `us-gov-west-1`.
fn is_region(text: &str) -> bool {
    let mut parts = text.split('-');
    let first = parts.next().is_some_and(|first| is_of(first, 2, 4, |byte| byte.is_ascii_lowercase()));
    let last = parts.next_back().is_some_and(|last| is_of(last, 1, 2, |byte| byte.is_ascii_digit()));
    let between: Vec<_> = parts.collect();
    first
        && last
        && (1..=2).contains(&between.len())
        && between.iter().all(|part| is_of(part, 2, 9, |byte| byte.is_ascii_lowercase()))
}

/// HTTPS, or HTTP to this machine itself, as the sinks take it (`crate::http::endpoint`).
fn is_https(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else { return false };
    let is_local = uri.host().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
    (uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && is_local))
        && uri.host().is_some_and(|host| !host.is_empty())
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        && !text.contains('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(form: Form, right: &[&str], wrong: &[&str]) {
        for text in right {
            assert_eq!(form.check(text), Ok(()), "{text}");
        }
        for text in wrong {
            assert!(form.check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_aws_are_told_from_others() {
        check(
            Form::Region,
            &["eu-central-1", "us-gov-west-1", "ap-southeast-7", "eusc-de-east-1", "us-isob-east-1"],
            &[
                "",
                "eu",
                "eu-central",
                "eu-central-1a",
                "EU-central-1",
                "eu--1",
                "eu-central-1 ",
                "eu-a-b-c-1",
            ],
        );
        check(
            Form::Role,
            &[
                "arn:aws:iam::111122223333:role/delegate",
                "arn:aws-cn:iam::111122223333:role/path/to/delegate",
            ],
            &[
                "",
                "arn:aws:iam::11112222333:role/short",
                "arn:aws:iam::111122223333:role/",
                "arn:aws:iam::111122223333:user/u",
                "arn:aws:iam:eu-central-1:111122223333:role/r",
                "arn:moon:iam::111122223333:role/r",
                "arn:aws:iam::111122223333:role/r*",
                "arn:aws:iam::111122223333:role/a b",
            ],
        );
        check(
            Form::KmsKey,
            &[
                "arn:aws:kms:eu-central-1:111122223333:key/mrk-1",
                "arn:aws:kms:eu-central-1:111122223333:alias/a",
            ],
            &["alias/a", "arn:aws:kms:eu-central-1:111122223333:key/", "arn:aws:kms::111122223333:key/1"],
        );
        check(Form::Bucket, &["abc", "a.b-c"], &["ab", "-ab", "ab.", "Abc", "a_b"]);
        check(Form::Prefix, &["sbom/", "a/b/"], &["", "/", "/a/", "a", "a//"]);
        check(Form::ExternalId, &["id", "a=b:c/d"], &["", "x", "two words", "é1"]);
    }

    #[test]
    fn partitions_follow_from_regions() {
        for (region, expected) in [
            ("eu-central-1", "aws"),
            ("us-east-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eu-isoe-west-1", "aws-iso-e"),
            ("eusc-de-east-1", "aws-eusc"),
        ] {
            assert_eq!(partition(region), expected, "{region}");
        }
    }

    #[test]
    fn addresses_are_encrypted_ones() {
        check(
            Form::Url,
            &[
                "https://example.com",
                "https://example.com:8443/a?b=c",
                "https://[::1]/",
                "http://127.0.0.1:80/a",
            ],
            &[
                "",
                "http://example.com",
                "https://",
                "https://u:p@example.com",
                "https://a/#b",
                "/a",
                "https://a b/",
            ],
        );
        let error = Form::Url.check("http://u:hunter2@example.com").unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn the_sites_are_known_by_name() {
        check(Form::Site, SITES, &["", "example.com"]);
        assert!(Form::Site.check("ddog-gov.com").unwrap_err().contains("no intake"));
        assert!(Form::Site.check("datadog.com").unwrap_err().ends_with("did you mean datadoghq.com?"));
    }

    #[test]
    fn public_keys_are_parsed() {
        check(
            Form::PublicKey,
            &["RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"],
            &["", "RW", "untrusted comment: x"],
        );
    }
}
