//! Why a policy contains what it contains.

use crate::{PolicyDocument, Statement, actions, pipeline};

/// One action in one statement of a policy.
#[derive(Clone, Copy, Debug)]
pub struct Explanation<'a> {
    /// The action's name.
    pub action: &'static str,
    /// What the scanner needs it for, as a sentence.
    pub reason: &'static str,
    /// Where and when it is allowed.
    pub statement: &'a Statement,
}

impl PolicyDocument {
    /// Why it contains each action, in the order of the document. A trust policy has nothing to explain.
    pub fn explained(&self) -> Vec<Explanation<'_>> {
        let reason = |action: &str, sid: &str| {
            let mut table = actions::ALL.iter().chain(actions::SERVICE);
            table
                .find(|entry| entry.name == action && entry.grants.iter().any(|(grant, _)| grant.sid == sid))
                .or_else(|| {
                    let grant = pipeline::GRANTS.iter().find(|grant| grant.sid == sid)?;
                    grant.actions.iter().find(|entry| entry.name == action)
                })
                .map(|entry| entry.reason)
        };
        self.statements()
            .iter()
            .flat_map(|statement| statement.actions().iter().map(move |action| (*action, statement)))
            .filter_map(|(action, statement)| {
                Some(Explanation { action, reason: reason(action, statement.sid())?, statement })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Feature, Scope, ServiceAccess};

    #[test]
    fn every_action_of_a_policy_is_explained() {
        let scope = Scope {
            region: "eu-central-1".parse().unwrap(),
            account: "111122223333".parse().unwrap(),
            kms_keys: Vec::new(),
        };
        let service = ServiceAccess {
            secrets: vec![
                "arn:aws:secretsmanager:eu-central-1:111122223333:secret:key-AbCdEf".parse().unwrap(),
            ],
            secret_kms_keys: vec!["arn:aws:kms:eu-central-1:111122223333:key/1234".parse().unwrap()],
            ..ServiceAccess::default()
        };
        let policy = PolicyDocument::for_scanner_service(&scope, Feature::ALL, &service).unwrap();
        let explained = policy.explained();
        let actions: usize = policy.statements().iter().map(|statement| statement.actions().len()).sum();
        assert_eq!(explained.len(), actions);
        let decrypt: Vec<_> =
            explained.iter().filter(|it| it.action == "kms:Decrypt").map(|it| it.reason).collect();
        let [blocks, secrets] = decrypt[..] else { panic!("{decrypt:?}") };
        assert!(blocks.contains("blocks") && secrets.contains("secrets"), "{decrypt:?}");
    }
}
