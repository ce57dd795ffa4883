//! Documents that are longer than IAM takes in one piece: split into several, and read as one again.

use serde_json::{Map, Value as Json};

use crate::{PolicyDocument, PolicyError, Statement};

/// What IAM allows the inline policies of one role to hold together, in characters, white space not counted
/// ("IAM and AWS STS quotas").
pub const INLINE_POLICY_LIMIT: usize = 10_240;

/// What IAM allows a managed policy to hold, in characters, white space not counted ("IAM and AWS STS quotas").
pub const MANAGED_POLICY_LIMIT: usize = 6_144;

/// How many managed policies may be attached to a role before the account's quota is raised ("IAM and AWS STS quotas").
pub const MANAGED_POLICIES_OF_ROLE: usize = 10;

/// How a document gets onto a role.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Packed {
    /// Whole, as an inline policy.
    Inline(PolicyDocument),
    /// As these managed policies, which grant together what the document grants: two at least.
    Managed(Vec<PolicyDocument>),
}

impl PolicyDocument {
    /// How the document fits onto a role: inline where it is short enough, else as managed policies.
    ///
    /// Statements keep their order, and each stays whole unless it does not fit: then its resources go on in the next
    /// document, under the same id. What a document holds depends only on what comes before, so that a resource added at
    /// the end changes no document but the last.
    ///
    /// # Errors
    /// [`PolicyError::TooLong`] where it needs more managed policies than a role takes.
    pub fn packed(&self) -> Result<Packed, PolicyError> {
        if length(self) <= INLINE_POLICY_LIMIT {
            return Ok(Packed::Inline(self.clone()));
        }
        let mut documents = Vec::new();
        let mut current: Vec<Statement> = Vec::new();
        for statement in self.statements() {
            let mut rest = statement.clone();
            while !rest.resource.is_empty() {
                let fits = |count: usize| {
                    let mut statements = current.clone();
                    statements.push(rest.first(count));
                    length(&Self::new(statements)) <= MANAGED_POLICY_LIMIT
                };
                let counts: Vec<usize> = (1..=rest.resource.len()).collect();
                let count = counts.partition_point(|count| fits(*count));
                if count > 0 {
                    current.push(rest.first(count));
                    rest.resource.drain(..count);
                } else if current.is_empty() {
                    // One resource with its conditions is too much: no number of documents would do.
                    return Err(PolicyError::TooLong { policies: usize::MAX });
                }
                if !rest.resource.is_empty() {
                    documents.push(Self::new(std::mem::take(&mut current)));
                }
            }
        }
        documents.push(Self::new(current));
        if documents.len() > MANAGED_POLICIES_OF_ROLE {
            return Err(PolicyError::TooLong { policies: documents.len() });
        }
        Ok(Packed::Managed(documents))
    }
}

impl Statement {
    /// The same statement for its first `count` resources.
    fn first(&self, count: usize) -> Self {
        let mut first = self.clone();
        first.resource.truncate(count);
        first
    }
}

/// One document that grants what `documents` grant together: statements that differ only in their resources are one. The
/// inverse of [`PolicyDocument::packed`]. Whatever else a document says stays visible in the result.
pub fn merged(documents: &[Json]) -> Json {
    let mut statements: Vec<Json> = Vec::new();
    let mut merged = Map::new();
    for document in documents {
        let Json::Object(fields) = document else {
            statements.push(document.clone());
            continue;
        };
        for (name, value) in fields.iter().filter(|(name, _)| *name != "Statement") {
            // Documents of different versions mean different things, so they must not look like one.
            let before = merged.entry(name).or_insert_with(|| value.clone());
            if before != value {
                *before = Json::Array(vec![before.take(), value.clone()]);
            }
        }
        for statement in elements(fields.get("Statement")) {
            match statements.iter_mut().find(|other| differ_in_resources(other, &statement)) {
                Some(other) => {
                    let both =
                        [elements(other.get("Resource")), elements(statement.get("Resource"))].concat();
                    if let Some(fields) = other.as_object_mut() {
                        fields.insert("Resource".to_owned(), both.into());
                    }
                }
                None => statements.push(statement),
            }
        }
    }
    merged.insert("Statement".to_owned(), statements.into());
    merged.into()
}

fn differ_in_resources(one: &Json, other: &Json) -> bool {
    let without = |statement: &Json| {
        let mut fields = statement.as_object().cloned()?;
        fields.remove("Resource").map(|_| fields)
    };
    matches!((without(one), without(other)), (Some(one), Some(other)) if one == other)
}

/// IAM lets a single element stand without its list.
pub(crate) fn elements(value: Option<&Json>) -> Vec<Json> {
    match value {
        Some(Json::Array(elements)) => elements.clone(),
        Some(single) => vec![single.clone()],
        None => Vec::new(),
    }
}

/// In characters, as IAM counts them.
fn length(document: &PolicyDocument) -> usize {
    document.to_json().chars().filter(|character| !character.is_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{DelegateScope, Feature, KmsKeyArn};

    fn document(keys: usize, regions: usize) -> PolicyDocument {
        let regions: Vec<_> = (1..=regions).map(|n| format!("eu-central-{n}").parse().unwrap()).collect();
        let key = |number: usize| -> KmsKeyArn {
            let region = &regions[number % regions.len()];
            format!("arn:aws:kms:{region}:111122223333:key/{number:036}").parse().unwrap()
        };
        let kms_keys = (0..keys).map(key).collect();
        let scope = DelegateScope { kms_keys, account: "111122223333".parse().unwrap(), regions };
        PolicyDocument::for_delegate(&scope, Feature::ALL).unwrap()
    }

    fn parsed(documents: &[PolicyDocument]) -> Vec<Json> {
        documents.iter().map(|document| serde_json::to_value(document).unwrap()).collect()
    }

    #[test]
    fn what_fits_stays_whole() {
        let short = document(20, 1);
        let packed = short.packed();
        assert_eq!(packed, Ok(Packed::Inline(short)));
    }

    #[test]
    fn a_key_more_changes_only_what_comes_after_it() {
        let managed = |keys| match document(keys, 1).packed().unwrap() {
            Packed::Managed(documents) => documents,
            Packed::Inline(_) => panic!("too short for this test"),
        };
        assert_eq!(managed(90)[0], managed(91)[0]);
    }

    #[test]
    fn too_much_for_a_role_is_told() {
        let error = document(600, 1).packed().unwrap_err();
        assert!(matches!(error, PolicyError::TooLong { policies } if policies > 10), "{error}");
        let message = error.to_string();
        assert!(message.contains("IAM accepts 10 on a role"), "{message}");
        assert!(matches!(document(0, 400).packed(), Err(PolicyError::TooLong { .. })));
    }

    #[test]
    fn what_somebody_adds_stays_visible() {
        let Packed::Managed(documents) = document(100, 1).packed().unwrap() else { panic!("not split") };
        let ours = parsed(&documents);
        for change in [
            |document: &mut Json| document["Version"] = "2008-10-17".into(),
            |document: &mut Json| document["Id"] = "x".into(),
            |document: &mut Json| document["Statement"][0]["Action"] = "*".into(),
            |document: &mut Json| document["Statement"][0]["Resource"] = "*".into(),
            |document: &mut Json| _ = document["Statement"][0].as_object_mut().unwrap().remove("Condition"),
            |document: &mut Json| *document = Json::Null,
        ] {
            let mut theirs = ours.clone();
            change(theirs.last_mut().unwrap());
            assert_ne!(merged(&theirs), merged(&ours));
        }
        assert_ne!(merged(&ours[1..]), merged(&ours));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn splitting_loses_and_adds_nothing(keys in 0_usize..400, regions in 1_usize..20) {
            let whole = document(keys, regions);
            match whole.packed() {
                Ok(Packed::Inline(same)) => {
                    prop_assert!(length(&same) <= INLINE_POLICY_LIMIT);
                    prop_assert_eq!(same, whole);
                }
                Ok(Packed::Managed(documents)) => {
                    prop_assert!(length(&whole) > INLINE_POLICY_LIMIT);
                    prop_assert!((2..=MANAGED_POLICIES_OF_ROLE).contains(&documents.len()));
                    for document in &documents {
                        prop_assert!(length(document) <= MANAGED_POLICY_LIMIT);
                        prop_assert!(!document.statements().is_empty());
                        let mut ids: Vec<_> = document.statements().iter().map(Statement::sid).collect();
                        ids.dedup();
                        prop_assert_eq!(ids.len(), document.statements().len(), "an id twice in one document");
                    }
                    prop_assert_eq!(merged(&parsed(&documents)), serde_json::to_value(&whole).unwrap());
                }
                Err(error) => prop_assert!(length(&whole) > 8 * MANAGED_POLICY_LIMIT, "{}", error),
            }
        }
    }
}
