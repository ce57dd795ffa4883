//! Ids and ARNs of AWS resources in a configuration.

use scanner_policy::RoleArn;

use crate::sdk::validator::{self, Validator};

/// An id with this prefix, such as `sg-`. How many characters follow is AWS's affair; there have been two lengths.
pub(super) fn id(prefix: &'static str) -> Validator {
    Validator::new(format!("an id such as `{prefix}0123456789abcdef0`"), move |raw| match raw.as_str() {
        Some(text) if !is_id(text, prefix) => {
            Err(format!("must be an id such as \"{prefix}0123456789abcdef0\", but is {text:?}"))
        }
        _ => Ok(()),
    })
}

/// The ARN of one role: without wildcards, which a policy would take as such.
pub(super) fn role_arn() -> Validator {
    validator::pattern("the ARN of one IAM role, without wildcards", |arn| arn.parse::<RoleArn>().is_ok())
}

/// Whether `text` is `prefix` and then small letters and digits.
pub(super) fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_prefix_and_something() {
        for good in ["sg-0123456789abcdef0", "sg-01234567"] {
            assert_eq!(id("sg-").check(&good.into()), Ok(()), "{good}");
        }
        for bad in
            ["", "sg-", "sg", "vpc-01234567", "sg-*", "sg-0123 ", "sg-0123\n", "SG-0123", "sg-0123,sg-4567"]
        {
            let problem = id("sg-").check(&bad.into()).unwrap_err();
            assert!(problem.starts_with("must be an id such as \"sg-"), "{problem}");
        }
    }
}
