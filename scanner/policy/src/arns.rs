//! ARNs and names of what a scanner uses beside volumes: roles, secrets, Auto Scaling groups, buckets.
//!
//! As in [`ids`](crate::Region), none may bring a wildcard, a policy variable or a further field of an ARN with it.

use std::fmt;
use std::str::FromStr;

use crate::{AccountId, InvalidId, Region};

/// A text that was checked when it was parsed.
macro_rules! checked_text {
    ($(#[$meta:meta])* $name:ident, $expected:literal, $text:ident => $is_valid:expr) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(String);

        impl $name {
            /// The whole text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str($text: &str) -> Result<Self, InvalidId> {
                if $is_valid { Ok(Self($text.to_owned())) } else { Err(InvalidId::new($text, $expected)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_text! {
    /// The ARN of one role, such as `arn:aws:iam::111122223333:role/agentless-scanner`.
    RoleArn,
    "the ARN of one IAM role, such as arn:aws:iam::111122223333:role/NAME",
    text => is_role(text)
}

checked_text! {
    /// The whole ARN of one secret, such as `arn:aws:secretsmanager:eu-central-1:111122223333:secret:key-AbCdEf`.
    ///
    /// The six characters that Secrets Manager adds to the name must be there: without them a policy grants nothing.
    SecretArn,
    "the whole ARN of one secret, such as arn:aws:secretsmanager:eu-central-1:111122223333:secret:NAME-AbCdEf (with the \
     six characters that Secrets Manager adds to the name)",
    text => is_secret(text)
}

checked_text! {
    /// The name of an Auto Scaling group.
    ScalingGroupName,
    "the name of an Auto Scaling group: 1 to 255 printable ASCII characters, none of them `:`, `*`, `?` or `$`",
    text => (1..=255).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !b":*?$".contains(&byte))
}

checked_text! {
    /// The name of an S3 bucket ("General purpose bucket naming rules").
    BucketName,
    "the name of an S3 bucket: 3 to 63 small letters, digits, hyphens and dots",
    text => (3..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.ends_with(|last: char| last.is_ascii_alphanumeric())
}

checked_text! {
    /// What the keys of objects begin with: nothing, or a folder with its slash. Without the slash, `scans` would also
    /// mean `scans-of-others/`. S3's safe characters ("Naming Amazon S3 objects") without `*`.
    ReportPrefix,
    "a prefix of S3 keys such as `scans/`: letters, digits and `!-_.'()/`, ending in `/` and not beginning with it",
    text => text.is_empty()
        || text.len() <= 512
            && text.ends_with('/')
            && !text.starts_with('/')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!-_.'()/".contains(&byte))
}

checked_text! {
    /// What the names of parameters of Systems Manager begin with, such as `/agentless-scanner/image` ("About requirements and
    /// constraints for parameter names"). Not under `/aws` or `/ssm`, which are AWS's own.
    ParameterPrefix,
    "the beginning of names of parameters, such as /agentless-scanner/image: a slash and letters, digits, `.-_` and slashes, \
     not ending in a slash, not under /aws or /ssm",
    text => is_parameter_prefix(text)
}

checked_text! {
    /// An external id ("IAM and AWS STS quotas", name requirements).
    ExternalId,
    "an external id: 2 to 1224 letters, digits and `+=,.@:/-_`",
    text => (2..=1_224).contains(&text.len()) && all_of(text, b"+=,.@:/-_")
}

impl RoleArn {
    /// The account that it is in.
    pub fn account(&self) -> &str {
        field(&self.0, 4)
    }

    /// The partition that it names.
    pub fn partition(&self) -> &str {
        field(&self.0, 1)
    }
}

impl SecretArn {
    /// The partition that it names.
    pub fn partition(&self) -> &str {
        field(&self.0, 1)
    }

    /// The region that the secret is in.
    pub fn region(&self) -> &str {
        field(&self.0, 3)
    }
}

fn field(arn: &str, number: usize) -> &str {
    arn.split(':').nth(number).unwrap_or_default()
}

fn is_role(text: &str) -> bool {
    let fields: Vec<&str> = text.split(':').collect();
    let ["arn", partition, "iam", "", account, resource] = fields.as_slice() else { return false };
    let name = resource.strip_prefix("role/").unwrap_or_default();
    is_partition(partition)
        && AccountId::from_str(account).is_ok()
        && !name.is_empty()
        && !name.starts_with('/')
        && !name.ends_with('/')
        && all_of(name, b"+=,.@-_/")
}

fn is_secret(text: &str) -> bool {
    let fields: Vec<&str> = text.split(':').collect();
    let ["arn", partition, "secretsmanager", region, account, "secret", name] = fields.as_slice() else {
        return false;
    };
    let has_suffix = name.rsplit_once('-').is_some_and(|(name, suffix)| {
        !name.is_empty() && suffix.len() == 6 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    is_partition(partition)
        && Region::from_str(region).is_ok()
        && AccountId::from_str(account).is_ok()
        && has_suffix
        && all_of(name, b"/_+=.@-")
}

fn is_parameter_prefix(text: &str) -> bool {
    let Some(path) = text.strip_prefix('/') else { return false };
    // Two levels come after it, of fifteen that a name may have.
    let levels = path.split('/').count();
    let first = path.split('/').next().unwrap_or_default().to_ascii_lowercase();
    text.len() <= 512
        && levels <= 13
        && path.split('/').all(|level| !level.is_empty() && all_of(level, b".-_"))
        && !first.starts_with("aws")
        && !first.starts_with("ssm")
}

fn is_partition(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase())
}

fn all_of(text: &str, others: &[u8]) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses<T: FromStr + fmt::Debug>(bad: &[&str]) {
        for text in bad {
            assert!(text.parse::<T>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_role_is_one_role() {
        for good in
            ["arn:aws:iam::111122223333:role/a", "arn:aws-us-gov:iam::111122223333:role/security/a_b+c"]
        {
            let role: RoleArn = good.parse().unwrap();
            assert_eq!((role.as_str(), role.account()), (good, "111122223333"));
        }
        refuses::<RoleArn>(&[
            "",
            "*",
            "arn:aws:iam::*:role/a",
            "arn:aws:iam::111122223333:role/*",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:role/${aws:username}",
            "arn:aws:iam::111122223333:root",
            "arn:aws:iam::111122223333:user/a",
            "arn:aws:sts::111122223333:assumed-role/a/b",
            "111122223333",
        ]);
    }

    #[test]
    fn a_secret_is_named_whole() {
        let arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:team/api-key-AbCd12";
        let secret: SecretArn = arn.parse().unwrap();
        assert_eq!((secret.region(), secret.partition()), ("eu-central-1", "aws"));
        refuses::<SecretArn>(&[
            "*",
            "team/api-key",
            "arn:aws:secretsmanager:eu-central-1:111122223333:secret:key",
            "arn:aws:secretsmanager:eu-central-1:111122223333:secret:key-??????",
            "arn:aws:secretsmanager:eu-central-1:111122223333:secret:key-*",
            "arn:aws:secretsmanager:*:111122223333:secret:key-AbCdEf",
            "arn:aws:secretsmanager:eu-central-1:111122223333:secret:key:AbCdEf",
        ]);
    }

    #[test]
    fn names_bring_no_wildcard() {
        assert!("agentless scanner/1".parse::<ScalingGroupName>().is_ok());
        refuses::<ScalingGroupName>(&["", "*", "a*", "a?", "a:b", "${a}", "ä", "a\nb"]);
        assert!("reports.example-1".parse::<BucketName>().is_ok());
        refuses::<BucketName>(&["", "ab", "Reports", "*", "a*b", "-ab", "ab.", "arn:aws:s3:::a", "a/b"]);
        for good in ["", "scans/", "a/b(1)/"] {
            assert!(good.parse::<ReportPrefix>().is_ok(), "{good}");
        }
        refuses::<ReportPrefix>(&["scans", "/scans/", "*/", "a?/", "${aws:a}/", "a b/"]);
    }

    #[test]
    fn parameters_are_under_a_folder_of_the_account() {
        for good in ["/agentless-scanner/image", "/a", "/a.b/c_d-e"] {
            assert!(good.parse::<ParameterPrefix>().is_ok(), "{good}");
        }
        refuses::<ParameterPrefix>(&[
            "",
            "/",
            "a",
            "/a/",
            "//a",
            "/a//b",
            "/*",
            "/a?",
            "/${aws:userid}",
            "/aws/service",
            "/SSM/a",
            "/a b",
            "/a/a/a/a/a/a/a/a/a/a/a/a/a/a",
        ]);
    }

    #[test]
    fn external_ids_are_what_sts_takes() {
        for good in ["ab", "a:b/c-d_e@f", &"x".repeat(1_224)] {
            assert!(good.parse::<ExternalId>().is_ok(), "{good}");
        }
        refuses::<ExternalId>(&["", "a", "a b", "a*", "ä1", &"x".repeat(1_225)]);
    }
}
