//! Identifiers that become part of an ARN, checked so that none can bring a wildcard or a further field with it.

use std::fmt;
use std::str::FromStr;

use crate::Partition;

/// A text that is not the identifier it should be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{given:?} is not {expected}")]
pub struct InvalidId {
    given: String,
    expected: &'static str,
}

impl InvalidId {
    pub(crate) fn new(given: &str, expected: &'static str) -> Self {
        Self { given: given.to_owned(), expected }
    }
}

/// An AWS region, such as `eu-central-1`.
///
/// Any well-formed name is accepted: new regions appear more often than new versions of this crate.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Region(String);

impl Region {
    /// The partition this region belongs to.
    pub fn partition(&self) -> Partition {
        Partition::of_region(&self.0)
    }

    /// The name, such as `eu-central-1`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let parts: Vec<&str> = text.split('-').collect();
        let well_formed = parts.len() >= 3
            && parts.iter().all(|part| !part.is_empty())
            && text.len() <= 32
            && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && text.ends_with(|last: char| last.is_ascii_digit());
        if !well_formed {
            return Err(InvalidId::new(text, "an AWS region, such as eu-central-1"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The twelve digits of an AWS account.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AccountId(String);

impl AccountId {
    /// The twelve digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidId::new(text, "an AWS account id of twelve digits"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The ARN of one KMS key, such as `arn:aws:kms:eu-central-1:111122223333:key/1234abcd-…`.
///
/// Aliases are refused: IAM compares a policy's resource with the key's ARN, so an alias there grants nothing.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KmsKeyArn {
    text: String,
    partition: String,
    region: String,
}

impl KmsKeyArn {
    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The partition that it names.
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// The region that the key is in.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Whether the key is in `region`. EBS volumes are encrypted with keys of their own region.
    pub fn is_in(&self, region: &Region) -> bool {
        self.region == region.as_str() && self.partition == region.partition().id()
    }
}

impl FromStr for KmsKeyArn {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || {
            let expected = "the ARN of a KMS key, such as arn:aws:kms:eu-central-1:111122223333:key/KEY-ID \
                            (an alias does not work in a policy)";
            InvalidId::new(text, expected)
        };
        let fields: Vec<&str> = text.split(':').collect();
        let ["arn", partition, "kms", region, account, resource] = fields.as_slice() else {
            return Err(invalid());
        };
        let key_id = resource.strip_prefix("key/").ok_or_else(invalid)?;
        let is_id =
            |id: &str| !id.is_empty() && id.bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric());
        if !is_id(key_id) || !is_id(partition) {
            return Err(invalid());
        }
        AccountId::from_str(account).map_err(|_| invalid())?;
        Region::from_str(region).map_err(|_| invalid())?;
        Ok(Self { text: text.to_owned(), partition: (*partition).to_owned(), region: (*region).to_owned() })
    }
}

impl fmt::Display for KmsKeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_names_and_nothing_else() {
        for good in ["eu-central-1", "us-gov-west-1", "cn-north-1", "us-isob-east-1", "ap-southeast-7"] {
            assert_eq!(good.parse::<Region>().unwrap().as_str(), good);
        }
        for bad in
            ["", "*", "us-east-*", "eu-central-1:1", "EU-central-1", "us-east", "eu--1", "${aws:x}-a-1"]
        {
            assert!(bad.parse::<Region>().is_err(), "{bad}");
        }
    }

    #[test]
    fn accounts_are_twelve_digits() {
        assert!("111122223333".parse::<AccountId>().is_ok());
        for bad in ["", "*", "11112222333", "1111222233334", "11112222333x"] {
            assert!(bad.parse::<AccountId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_named_by_its_arn() {
        let key: KmsKeyArn = "arn:aws:kms:eu-central-1:111122223333:key/mrk-12ab".parse().unwrap();
        assert!(key.is_in(&"eu-central-1".parse().unwrap()));
        assert!(!key.is_in(&"eu-west-1".parse().unwrap()));
        for bad in [
            "",
            "*",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "alias/volumes",
            "arn:aws:kms:eu-central-1:111122223333:alias/volumes",
            "arn:aws:kms:eu-central-1:111122223333:key/*",
            "arn:aws:kms:*:111122223333:key/1234abcd",
            "arn:aws:kms:eu-central-1:*:key/1234abcd",
            "arn:aws:s3:::bucket",
        ] {
            assert!(bad.parse::<KmsKeyArn>().is_err(), "{bad}");
        }
    }
}
