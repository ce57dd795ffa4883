//! The judge: would IAM have allowed the requests that were recorded, under this policy?
//!
//! Two steps, apart so that each can be checked on its own. [`authorization`] says what AWS checks a request against:
//! which actions, on which resources, with which condition keys. It follows the Service Authorization Reference and is
//! the part that has to be trusted. [`Policy`] then asks the IAM evaluator `iam-rs`, which shares no code with us.
//!
//! Identity policies of one account only: no boundaries, no service control policies, no key policies.

pub mod authorization;
pub mod parliament;

use std::fmt;

use iam_rs::{
    Arn, Context, ContextValue, Decision, IAMPolicy, IAMRequest, Principal, PrincipalId, evaluate_policy,
};
use serde_json::Value;

use crate::local_aws::Call;

pub use authorization::{Account, Authorization, Disk, KeyValue, Unknown, authorizations};

/// An IAM policy, as its JSON says.
#[derive(Clone, Debug)]
pub struct Policy {
    document: Value,
    parsed: IAMPolicy,
}

/// What stands for the character `*` in a resource, where the evaluator would take it for a wildcard.
const STAR: &str = "STAR";

/// What is judged: every check that AWS made for the calls, and what IAM says under the role's policy.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// How many calls were judged.
    pub calls: usize,
    /// Every check.
    pub authorizations: Vec<Authorization>,
    /// Those that the policy denies.
    pub denied: Vec<Authorization>,
    /// The actions of the policy without which everything would still be allowed.
    pub needless: Vec<String>,
}

/// Judges calls under a policy, then under the policy without each of its actions in turn.
pub fn judge(policy: &Policy, calls: &[Call], account: &Account) -> Result<Verdict, JudgeError> {
    let mut all = Vec::new();
    for call in calls {
        all.extend(authorizations(call, account)?);
    }
    let denied = policy.denied(&all)?.into_iter().cloned().collect();
    let mut needless = Vec::new();
    for action in policy.actions() {
        if policy.without(&action)?.denied(&all)?.is_empty() {
            needless.push(action);
        }
    }
    Ok(Verdict { calls: calls.len(), authorizations: all, denied, needless })
}

/// Why a policy or a request could not be judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// Not an IAM policy.
    #[error("not an IAM policy")]
    Policy(#[from] serde_json::Error),
    /// A call that the judge does not know.
    #[error(transparent)]
    Unknown(#[from] Unknown),
    /// The evaluator refused the request.
    #[error("the evaluator could not judge {authorization}: {message}")]
    Evaluator {
        /// What was to be judged.
        authorization: String,
        /// What it said.
        message: String,
    },
}

impl Policy {
    /// Reads a policy document.
    pub fn from_json(text: &str) -> Result<Self, JudgeError> {
        // The evaluator does not know the special characters of policies: `${*}` is the character `*`.
        let plain = text.replace("${*}", STAR);
        Ok(Self { document: serde_json::from_str(text)?, parsed: IAMPolicy::from_json(&plain)? })
    }

    /// Every action that some statement names, sorted and once.
    pub fn actions(&self) -> Vec<String> {
        let mut actions: Vec<String> =
            statements(&self.document).flat_map(|statement| names(&statement["Action"])).collect();
        actions.sort();
        actions.dedup();
        actions
    }

    /// The same policy with one action taken out of every statement. A statement that is left without any goes as well.
    pub fn without(&self, action: &str) -> Result<Self, JudgeError> {
        let kept: Vec<Value> = statements(&self.document)
            .filter_map(|statement| {
                let left: Vec<String> =
                    names(&statement["Action"]).into_iter().filter(|name| name != action).collect();
                let mut statement = statement.clone();
                let kept = !left.is_empty();
                statement.as_object_mut()?.insert("Action".to_owned(), left.into());
                kept.then_some(statement)
            })
            .collect();
        let mut document = self.document.clone();
        if let Some(fields) = document.as_object_mut() {
            fields.insert("Statement".to_owned(), kept.into());
        }
        Self::from_json(&document.to_string())
    }

    /// The grants without which everything would still be allowed: one action of one statement each, as `SID ACTION`. Sharper
    /// than taking an action out of every statement, as two may grant it for different resources.
    ///
    /// # Errors
    /// When one of them cannot be judged.
    pub fn needless_grants(&self, authorizations: &[Authorization]) -> Result<Vec<String>, JudgeError> {
        let mut needless = Vec::new();
        for (place, statement) in statements(&self.document).enumerate() {
            for action in names(&statement["Action"]) {
                let of_action: Vec<Authorization> =
                    authorizations.iter().filter(|check| check.action == action).cloned().collect();
                if self.without_grant(place, &action)?.denied(&of_action)?.is_empty() {
                    needless.push(format!("{} {action}", statement["Sid"].as_str().unwrap_or_default()));
                }
            }
        }
        Ok(needless)
    }

    /// The same policy with one action taken out of the statement at this place.
    fn without_grant(&self, place: usize, action: &str) -> Result<Self, JudgeError> {
        let kept = statements(&self.document).enumerate().filter_map(|(at, statement)| {
            if at != place {
                return Some(statement.clone());
            }
            let left: Vec<String> =
                names(&statement["Action"]).into_iter().filter(|name| name != action).collect();
            let kept = !left.is_empty();
            let mut statement = statement.clone();
            statement.as_object_mut()?.insert("Action".to_owned(), left.into());
            kept.then_some(statement)
        });
        let kept: Vec<Value> = kept.collect();
        let mut document = self.document.clone();
        if let Some(fields) = document.as_object_mut() {
            fields.insert("Statement".to_owned(), kept.into());
        }
        Self::from_json(&document.to_string())
    }

    /// Whether the policy allows it.
    pub fn allows(&self, authorization: &Authorization) -> Result<bool, JudgeError> {
        let failed =
            |message: String| JudgeError::Evaluator { authorization: authorization.to_string(), message };
        let resource = authorization.resource.replace('*', STAR);
        let resource = Arn::parse(&resource).map_err(|error| failed(error.to_string()))?;
        let mut context = Context::new();
        for (key, value) in &authorization.context {
            let value = match value {
                KeyValue::One(text) => ContextValue::String(text.clone()),
                KeyValue::Many(texts) => ContextValue::StringList(texts.clone()),
                KeyValue::Truth(truth) => ContextValue::Boolean(*truth),
            };
            context.insert(key.clone(), value);
        }
        // An identity policy names no principal, so any will do.
        let principal =
            Principal::Aws(PrincipalId::String("arn:aws:iam::000000000000:role/judged".to_owned()));
        let request =
            IAMRequest::new_with_context(principal, authorization.action.clone(), resource, context);
        let decision = evaluate_policy(&self.parsed, &request).map_err(|error| failed(error.to_string()))?;
        Ok(decision == Decision::Allow)
    }

    /// Those that the policy does not allow.
    pub fn denied<'a>(
        &self,
        authorizations: &'a [Authorization],
    ) -> Result<Vec<&'a Authorization>, JudgeError> {
        let mut denied = Vec::new();
        for authorization in authorizations {
            if !self.allows(authorization)? {
                denied.push(authorization);
            }
        }
        Ok(denied)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.document.fmt(f)
    }
}

/// IAM lets a single statement stand without its list.
fn statements(document: &Value) -> impl Iterator<Item = &Value> {
    match &document["Statement"] {
        Value::Array(statements) => statements.iter(),
        single => std::slice::from_ref(single).iter(),
    }
}

/// IAM lets a single name stand without its list.
fn names(value: &Value) -> Vec<String> {
    match value {
        Value::String(name) => vec![name.clone()],
        Value::Array(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"{
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Action": ["ec2:DescribeVolumes", "ec2:DescribeSnapshots"], "Resource": "*" },
            { "Effect": "Allow", "Action": "ec2:DeleteSnapshot", "Resource": "arn:aws:ec2:eu-west-1::snapshot/*",
              "Condition": { "StringEquals": { "aws:ResourceTag/Mine": "true" } } }
        ]
    }"#;

    fn delete(tags: &[(&str, &str)]) -> Authorization {
        Authorization {
            sequence: 1,
            action: "ec2:DeleteSnapshot".to_owned(),
            resource: "arn:aws:ec2:eu-west-1::snapshot/snap-1".to_owned(),
            context: tags
                .iter()
                .map(|(key, value)| (format!("aws:ResourceTag/{key}"), KeyValue::One((*value).to_owned())))
                .collect(),
        }
    }

    #[test]
    fn a_condition_on_a_tag_decides() {
        let policy = Policy::from_json(POLICY).unwrap();
        assert!(policy.allows(&delete(&[("Mine", "true")])).unwrap());
        assert!(!policy.allows(&delete(&[("Mine", "false")])).unwrap());
        assert!(!policy.allows(&delete(&[])).unwrap());
    }

    #[test]
    fn an_action_can_be_taken_out_of_a_list_and_of_a_single_name() {
        let policy = Policy::from_json(POLICY).unwrap();
        assert_eq!(policy.actions(), ["ec2:DeleteSnapshot", "ec2:DescribeSnapshots", "ec2:DescribeVolumes"]);
        assert_eq!(
            policy.without("ec2:DescribeVolumes").unwrap().actions(),
            ["ec2:DeleteSnapshot", "ec2:DescribeSnapshots"]
        );
        let without = policy.without("ec2:DeleteSnapshot").unwrap();
        assert!(!without.allows(&delete(&[("Mine", "true")])).unwrap());
    }

    #[test]
    fn a_grant_of_one_statement_can_be_needless_while_its_action_is_needed() {
        let twice = POLICY.replace(
            r#""Action": ["ec2:DescribeVolumes", "ec2:DescribeSnapshots"]"#,
            r#""Sid": "Wide", "Action": "ec2:DeleteSnapshot""#,
        );
        let calls = [delete(&[("Mine", "true")])];
        let policy = Policy::from_json(&twice).unwrap();
        // Either of the two would do.
        assert_eq!(
            policy.needless_grants(&calls).unwrap(),
            ["Wide ec2:DeleteSnapshot", " ec2:DeleteSnapshot"]
        );
        let calls = [delete(&[])];
        assert_eq!(policy.needless_grants(&calls).unwrap(), [" ec2:DeleteSnapshot"]);
    }
}
