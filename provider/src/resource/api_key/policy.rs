//! The secret's resource policy: nobody gets the key but the roles that are named.

use std::collections::BTreeSet;

use scanner_policy::Region;
use serde_json::{Value as Json, json};

use crate::sdk::{Diagnostic, Value};

/// The policy for these readers: none when nobody is named, because then it is IAM alone that decides.
///
/// It names nobody as a principal, so roles may be made after it, and made anew. `aws:PrincipalArn` of a session is the
/// ARN of its role ("AWS global condition context keys").
pub(super) fn plan(readers: &Value<BTreeSet<String>>) -> Value<String> {
    readers.as_ref().map(|readers| document(readers).to_string())
}

fn document(readers: &BTreeSet<String>) -> Json {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "OnlyReadersGetTheKey",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": "*",
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": readers}},
        }],
    })
}

/// Policy and readers of a secret that has the policy `now`. They stay as they were when it says the same in other words;
/// after an import, the policy tells the readers.
pub(super) fn read(
    before: Value<String>,
    readers: Value<BTreeSet<String>>,
    now: Option<String>,
) -> (Value<String>, Value<BTreeSet<String>>) {
    let Some(now) = now else { return (Value::Null, readers) };
    let parsed = parse(&now);
    if parsed.is_some() && before.as_str().and_then(parse) == parsed {
        return (before, readers);
    }
    if before.is_null()
        && readers.is_null()
        && let Some(found) = parsed.as_ref().and_then(readers_of)
    {
        return (document(&found).to_string().into(), found.into());
    }
    (now.into(), readers)
}

fn parse(text: &str) -> Option<Json> {
    serde_json::from_str(text).ok()
}

/// The readers of a policy that is exactly one of ours.
fn readers_of(policy: &Json) -> Option<BTreeSet<String>> {
    let arns = policy.pointer("/Statement/0/Condition/ArnNotEquals/aws:PrincipalArn")?;
    let arns = match arns {
        Json::Array(arns) => arns.iter().map(|arn| arn.as_str().map(str::to_owned)).collect(),
        arn => arn.as_str().map(|arn| BTreeSet::from([arn.to_owned()])),
    };
    arns.filter(|readers: &BTreeSet<String>| {
        // A list of one may come back as a text.
        let mut ours = document(readers);
        if let (1, Some(list)) =
            (readers.len(), ours.pointer_mut("/Statement/0/Condition/ArnNotEquals/aws:PrincipalArn"))
            && let Some(arn) = policy.pointer("/Statement/0/Condition/ArnNotEquals/aws:PrincipalArn")
        {
            *list = arn.clone();
        }
        ours == *policy
    })
}

/// Roles are in the partition of the secret.
pub(super) fn check_readers(region: &Region, readers: &Value<BTreeSet<String>>) -> Result<(), Diagnostic> {
    let partition = region.partition().id();
    let foreign = readers.get().into_iter().flatten().find(|arn| arn.split(':').nth(1) != Some(partition));
    match foreign {
        None => Ok(()),
        Some(arn) => Err(Diagnostic::error(
            "Role of another partition",
            format!("The role {arn} cannot be used in {region}, whose ARNs begin with arn:{partition}:."),
        )
        .at("reader_role_arns")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::111122223333:role/team/scanner";

    fn readers<const N: usize>(arns: [&str; N]) -> Value<BTreeSet<String>> {
        Value::Known(arns.map(str::to_owned).into())
    }

    #[test]
    fn an_imported_policy_tells_its_readers() {
        let other = "arn:aws:iam::111122223333:role/other";
        for readers in [readers([ROLE]), readers([ROLE, other])] {
            let policy = plan(&readers);
            let now = policy.as_str().unwrap().replace("\":", "\" : ");
            assert_eq!(read(Value::Null, Value::Null, Some(now.clone())), (policy.clone(), readers.clone()));
            assert_eq!(read(policy.clone(), readers.clone(), Some(now)), (policy, readers));
        }
        let policy = plan(&readers([ROLE]));
        let as_text = policy.as_str().unwrap().replace(&format!("[\"{ROLE}\"]"), &format!("\"{ROLE}\""));
        assert_eq!(read(Value::Null, Value::Null, Some(as_text)), (policy, readers([ROLE])));
    }

    #[test]
    fn another_policy_is_shown_as_it_is() {
        let policy = plan(&readers([ROLE]));
        for now in [policy.as_str().unwrap().replace("Deny", "Allow"), "{}".to_owned(), "no JSON".to_owned()]
        {
            let shown = read(policy.clone(), readers([ROLE]), Some(now.clone()));
            assert_eq!(shown, (now.clone().into(), readers([ROLE])));
            assert_eq!(read(Value::Null, Value::Null, Some(now.clone())), (now.into(), Value::Null));
        }
        assert_eq!(read(policy, readers([ROLE]), None), (Value::Null, readers([ROLE])));
        assert_eq!(plan(&Value::Null), Value::Null);
        assert_eq!(plan(&Value::Unknown), Value::Unknown);
    }
}
