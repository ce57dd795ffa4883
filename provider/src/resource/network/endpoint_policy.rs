//! What may be done through the endpoints.

use std::collections::BTreeSet;

use scanner_policy::Region;
use serde_json::{Value as Json, json};

/// The condition key that names the account of who asks.
const ACCOUNT_KEY: &str = "aws:PrincipalAccount";

/// The policy of every endpoint: only principals of these accounts may use it.
///
/// Code of Lambda functions and layers of container images are read from buckets of AWS by URLs that AWS has signed, so
/// these are open to anybody for reading. The bucket of ECR is named in "Amazon ECR interface VPC endpoints"; AWS names
/// those of Lambda nowhere, they are the hosts of the URLs that `GetFunction` returns.
pub(super) fn endpoint_policy(region: &Region, accounts: &BTreeSet<String>, service: &str) -> String {
    let accounts: Vec<&String> = accounts.iter().collect();
    let mut statements = vec![json!({
        "Sid": "KnownAccounts",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringEquals": {ACCOUNT_KEY: accounts}},
    })];
    if service == "s3" {
        let arn = format!("arn:{}:s3:::", region.partition().id());
        statements.push(json!({
            "Sid": "CodeAndLayersOfAws",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": [
                format!("{arn}awslambda-*-tasks/*"),
                format!("{arn}prod-04-2014-tasks/*"),
                format!("{arn}prod-{region}-starport-layer-bucket/*"),
            ],
        }));
    }
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

/// Whether two policies say the same in other words. EC2 may change spaces and order.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    let parsed = |text: &str| serde_json::from_str::<Json>(text).ok();
    one == other || parsed(one).is_some_and(|policy| Some(policy) == parsed(other))
}

/// The accounts that a policy made here lets through; `None` for any other policy.
pub(super) fn accounts_of(region: &Region, policy: &str, service: &str) -> Option<BTreeSet<String>> {
    let parsed: Json = serde_json::from_str(policy).ok()?;
    let accounts = match parsed.pointer("/Statement/0/Condition/StringEquals")?.get(ACCOUNT_KEY)? {
        Json::String(account) => BTreeSet::from([account.clone()]),
        accounts => accounts.as_array()?.iter().filter_map(|it| Some(it.as_str()?.to_owned())).collect(),
    };
    is_same(policy, &endpoint_policy(region, &accounts, service)).then_some(accounts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_tells_its_accounts() {
        let accounts: BTreeSet<String> = ["111122223333", "444455556666"].map(str::to_owned).into();
        for region in ["eu-central-1", "cn-north-1"] {
            let region: Region = region.parse().unwrap();
            for service in ["ec2", "s3"] {
                let policy = endpoint_policy(&region, &accounts, service);
                assert_eq!(accounts_of(&region, &policy, service), Some(accounts.clone()));
                assert_eq!(policy.contains("starport"), service == "s3");
                assert!(!region.as_str().starts_with("cn") || !policy.contains("arn:aws:"));
            }
        }
        assert_eq!(accounts_of(&"eu-central-1".parse().unwrap(), "{}", "ec2"), None);
    }
}
