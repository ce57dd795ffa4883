//! Secrets, unprintable by type, and settings that are one or name one.

use std::fmt;

/// What stands wherever a secret would.
pub const MASK: &str = "********";

/// A secret text: an API key, a password, the value of an `Authorization` header.
///
/// Neither its `Debug` nor its `Display` shows it, and it cannot be serialised, so that a structure which contains one can
/// be logged as a whole.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text as secret from here on.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for whom it is meant.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// A setting that is secret: written out, or by the handle under which a store of secrets has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SecretValue {
    /// The secret itself.
    Plain(Secret),
    /// What stands between the brackets of `ENC[…]`.
    Handle(String),
}

impl SecretValue {
    /// A setting's value. Only a text that is wholly `ENC[…]` names a secret; any other is one.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix("ENC[").and_then(|rest| rest.strip_suffix(']')) {
            Some(handle) if !handle.is_empty() => Self::Handle(handle.to_owned()),
            _ => Self::Plain(Secret::new(text.to_owned())),
        }
    }

    /// The handle, if it is one.
    pub fn handle(&self) -> Option<&str> {
        match self {
            Self::Plain(_) => None,
            Self::Handle(handle) => Some(handle),
        }
    }
}

/// `ENC[…]`, or the mask.
impl fmt::Display for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(secret) => secret.fmt(f),
            Self::Handle(handle) => write!(f, "ENC[{handle}]"),
        }
    }
}

/// Whether a handle is the ARN of a secret in Secrets Manager.
pub fn is_secrets_manager_arn(handle: &str) -> bool {
    let mut parts = handle.splitn(7, ':');
    parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| partition.starts_with("aws"))
        && parts.next() == Some("secretsmanager")
        && parts.count() == 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_to_nobody_who_does_not_ask_for_it() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "******** ******** Some(********)");
        assert_eq!(secret.expose(), "hunter2");
        let value = SecretValue::parse("hunter2");
        assert_eq!(format!("{value} {value:?}"), "******** Plain(********)");
    }

    #[test]
    fn only_a_text_that_is_wholly_a_handle_is_one() {
        assert_eq!(SecretValue::parse("ENC[a]").handle(), Some("a"));
        assert_eq!(SecretValue::parse("ENC[a]").to_string(), "ENC[a]");
        for text in ["", "ENC[]", "ENC[a", "xENC[a]", "ENC[a] ", "enc[a]"] {
            assert_eq!(SecretValue::parse(text), SecretValue::Plain(Secret::new(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn arns_of_secrets_manager_are_known() {
        assert!(is_secrets_manager_arn(
            "arn:aws:secretsmanager:eu-central-1:111122223333:secret:api-key-AbCdEf"
        ));
        assert!(is_secrets_manager_arn("arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:a"));
        for other in
            ["", "handle", "arn:aws:ssm:eu-central-1:111122223333:parameter:a", "arn:aws:secretsmanager:a"]
        {
            assert!(!is_secrets_manager_arn(other), "{other}");
        }
    }
}
