//! The forms of texts in the settings.

use crate::sdk::validator::{self, Validator};

/// The notation of a secret that the scanner looks up by itself.
pub(super) fn handle() -> Validator {
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

/// A URL of a host that proves who it is. It may not have a password in it: this file is no place for one.
pub(super) fn https_url(described: &str) -> Validator {
    validator::pattern(described, |url| {
        url.strip_prefix("https://").is_some_and(|rest| {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            !authority.is_empty() && !authority.contains('@')
        }) && !url.contains('#')
            && url.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

/// An absolute path of the instance.
pub(super) fn path() -> Validator {
    validator::pattern("an absolute path such as `/srv/reports`, without `..`", |path| {
        path.starts_with('/')
            && path.len() <= 4096
            && !path.contains('\0')
            && path.split('/').all(|part| part != "..")
    })
}

/// A public key as minisign writes it: 42 bytes in Base64, of which the first two name the algorithm.
pub(super) fn minisign_key() -> Validator {
    validator::pattern("a public key of minisign: `RW` and 54 characters more", |key| {
        key.len() == 56
            && key.starts_with("RW")
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
    })
}

/// The account of a role, by the role's ARN.
pub(super) fn account_of(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let is_role = parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| partition.starts_with("aws"))
        && parts.next() == Some("iam")
        && parts.next() == Some("");
    let account = parts.next().filter(|id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit()))?;
    let named = parts.next().and_then(|rest| rest.strip_prefix("role/")).is_some_and(|name| !name.is_empty());
    (is_role && named).then_some(account)
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
    fn a_url_is_of_https_and_has_no_password() {
        let url = https_url("a URL");
        for good in ["https://example.com", "https://example.com:8443/a?b=c@d", "https://[::1]/"] {
            assert_eq!(url.check(&good.into()), Ok(()), "{good}");
        }
        for bad in [
            "http://example.com",
            "https://",
            "https:///a",
            "https://a b",
            "https://a/#b",
            "https://me:word@example.com",
        ] {
            assert!(url.check(&bad.into()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_is_absolute() {
        for good in ["/", "/srv/reports", "/etc/ssl/a..b.pem"] {
            assert_eq!(path().check(&good.into()), Ok(()), "{good}");
        }
        for bad in ["", "reports", "/srv/../etc", "/a\0b"] {
            assert!(path().check(&bad.into()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_public_key_is_one_of_minisign() {
        let good = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
        assert_eq!(minisign_key().check(&good.into()), Ok(()));
        for bad in ["", "RW", &good[..55], &good.replace("RW", "ED"), &good.replace('3', "=")] {
            assert!(minisign_key().check(&bad.into()).is_err(), "{bad}");
        }
    }
}
