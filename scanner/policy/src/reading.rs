//! Policies read back: the arguments that they were made from, for roles whose configuration is not known yet.

use serde_json::Value as Json;

use crate::grant::{
    BECOME_NAMED_DELEGATES, DECRYPT_BLOCKS_OF_SNAPSHOTS, DECRYPT_NAMED_SECRETS, ENCRYPT_REPORTS,
    FOLLOW_OWN_LIFECYCLE, Grant, READ_NAMED_SECRETS, STORE_ENCRYPTED_REPORTS, STORE_REPORTS,
};
use crate::packing::elements;
use crate::{ExternalId, Feature, KmsKeyArn, Region, ReportStore, RoleArn, ServiceAccess, actions};

/// What a policy of this crate was made from. What is not of this crate is passed over: made anew from this, the policy
/// then differs from the one that was read.
#[derive(Clone, Debug, Default)]
pub struct Permissions {
    /// The features.
    pub features: Vec<Feature>,
    /// The regions in which it lets volumes, images or functions be scanned, sorted.
    pub regions: Vec<Region>,
    /// The keys of encrypted volumes; none where it names all of them.
    pub kms_keys: Vec<KmsKeyArn>,
    /// What else it names.
    pub service: ServiceAccess,
}

/// What the trust policy of a delegate was made from.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The scanner roles that may take it on.
    pub scanner_roles: Vec<RoleArn>,
    /// The external id that they must name.
    pub external_id: Option<ExternalId>,
}

impl Permissions {
    /// Reads a policy document.
    pub fn of_document(document: &Json) -> Self {
        let document = Document(elements(document.get("Statement")));
        let service_actions: Vec<_> = actions::SERVICE.iter().flat_map(|action| action.grants).collect();
        let of_scans = |statement: &&Json| {
            let sid = sid(statement);
            !service_actions.iter().any(|(grant, _)| grant.sid == sid)
        };
        let scans = || document.0.iter().filter(of_scans);
        let actions: Vec<String> = scans().flat_map(|statement| texts(statement.get("Action"))).collect();
        let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
        let mut regions: Vec<Region> = scans()
            .flat_map(|statement| texts(statement.get("Resource")))
            .filter_map(|arn| arn.split(':').nth(3)?.parse().ok())
            .collect();
        regions.sort_unstable();
        regions.dedup();
        Self {
            features: Feature::granted_by(&actions),
            regions,
            kms_keys: parsed(document.resources(&DECRYPT_BLOCKS_OF_SNAPSHOTS)),
            service: ServiceAccess {
                delegate_roles: parsed(document.resources(&BECOME_NAMED_DELEGATES)),
                secrets: parsed(document.resources(&READ_NAMED_SECRETS)),
                secret_kms_keys: parsed(document.resources(&DECRYPT_NAMED_SECRETS)),
                scaling_groups: parsed(document.resources(&FOLLOW_OWN_LIFECYCLE).iter().filter_map(|arn| {
                    arn.split_once(":autoScalingGroup:*:autoScalingGroupName/")
                        .map(|(_, name)| name.to_owned())
                })),
                reports: document.reports(),
            },
        }
    }
}

impl Trust {
    /// Reads a trust policy.
    pub fn of_document(document: &Json) -> Self {
        let statements = elements(document.get("Statement"));
        let principals = statements.iter().filter_map(|statement| statement.get("Principal")?.get("AWS"));
        let external_id = statements.iter().find_map(|statement| {
            statement.get("Condition")?.get("StringEquals")?.get("sts:ExternalId")?.as_str()?.parse().ok()
        });
        Self { scanner_roles: parsed(principals.flat_map(|named| texts(Some(named)))), external_id }
    }
}

struct Document(Vec<Json>);

impl Document {
    fn resources(&self, grant: &Grant) -> Vec<String> {
        let of_grant = self.0.iter().filter(|statement| sid(statement) == grant.sid);
        of_grant.flat_map(|statement| texts(statement.get("Resource"))).collect()
    }

    fn reports(&self) -> Option<ReportStore> {
        let plain = self.resources(&STORE_REPORTS);
        let encrypted = self.resources(&STORE_ENCRYPTED_REPORTS);
        let arn = plain.first().or_else(|| encrypted.first())?;
        let (bucket, prefix) = arn.split_once(":s3:::")?.1.strip_suffix('*')?.split_once('/')?;
        let kms_key = parsed(self.resources(&ENCRYPT_REPORTS)).into_iter().next();
        Some(ReportStore { bucket: bucket.parse().ok()?, prefix: prefix.parse().ok()?, kms_key })
    }
}

fn sid(statement: &Json) -> &str {
    statement.get("Sid").and_then(Json::as_str).unwrap_or_default()
}

fn texts(value: Option<&Json>) -> Vec<String> {
    elements(value).iter().filter_map(Json::as_str).map(str::to_owned).collect()
}

fn parsed<T: std::str::FromStr>(texts: impl IntoIterator<Item = String>) -> Vec<T> {
    texts.into_iter().filter_map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};

    use super::*;
    use crate::{DelegateScope, PolicyDocument, ScalingGroupName, Scope, SecretArn};

    fn service() -> impl Strategy<Value = ServiceAccess> {
        let key = || "[a-f0-9]{8}".prop_map(|id| format!("arn:aws:kms:us-east-1:111122223333:key/{id}"));
        let reports = ("[a-z]{3,9}", select(vec!["", "a/", "a/b/"]), proptest::option::of(key()));
        (
            vec("[a-z]{1,9}".prop_map(|it| format!("arn:aws:iam::444455556666:role/a/{it}")), 0..4),
            vec("[a-z]{1,9}-[A-Za-z0-9]{6}", 0..4),
            vec(key(), 0..3),
            vec("[a-z /]{1,9}", 0..3),
            proptest::option::of(reports),
        )
            .prop_map(|(roles, secrets, keys, groups, reports)| {
                let secret = |it: &String| -> SecretArn {
                    format!("arn:aws:secretsmanager:us-east-1:111122223333:secret:{it}").parse().unwrap()
                };
                let secrets: Vec<SecretArn> = secrets.iter().map(secret).collect();
                ServiceAccess {
                    delegate_roles: sorted(parsed(roles)),
                    secret_kms_keys: if secrets.is_empty() { Vec::new() } else { sorted(parsed(keys)) },
                    secrets: sorted(secrets),
                    scaling_groups: sorted(parsed::<ScalingGroupName>(groups)),
                    reports: reports.map(|(bucket, prefix, key)| ReportStore {
                        bucket: bucket.parse().unwrap(),
                        prefix: prefix.parse().unwrap(),
                        kms_key: key.map(|key| key.parse().unwrap()),
                    }),
                }
            })
    }

    fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
        values.sort_unstable();
        values.dedup();
        values
    }

    proptest! {
        #[test]
        fn a_policy_tells_what_it_was_made_from(
            service in service(),
            features in subsequence(Feature::ALL.to_vec(), 0..=Feature::ALL.len()),
            keys in vec("[a-f0-9]{8}", 0..3),
        ) {
            let keys = keys.iter().map(|id| format!("arn:aws:kms:eu-central-1:111122223333:key/{id}"));
            let scope = Scope {
                region: "eu-central-1".parse().unwrap(),
                account: "111122223333".parse().unwrap(),
                kms_keys: sorted(parsed(keys)),
            };
            let Ok(document) = PolicyDocument::for_scanner_service(&scope, &features, &service) else {
                return Ok(());
            };
            let read = Permissions::of_document(&serde_json::to_value(&document).unwrap());
            prop_assert_eq!(&read.features, &features);
            let reads_blocks = features.contains(&Feature::Hosts) || features.contains(&Feature::Images);
            prop_assert_eq!(&read.kms_keys, if reads_blocks { &scope.kms_keys } else { &read.kms_keys });
            prop_assert_eq!(
                PolicyDocument::for_scanner_service(&scope, &read.features, &read.service),
                Ok(document)
            );
        }

        #[test]
        fn a_delegate_tells_what_it_was_made_from(
            features in subsequence(Feature::ALL.to_vec(), 1..=Feature::ALL.len()),
            regions in subsequence(vec!["eu-central-1", "eu-west-1", "us-east-1"], 1..=3),
            roles in vec("[a-z]{1,9}", 1..4),
            external_id in proptest::option::of("[a-z]{2,9}"),
        ) {
            let scope = DelegateScope {
                regions: regions.iter().map(|region| region.parse().unwrap()).collect(),
                account: "111122223333".parse().unwrap(),
                kms_keys: Vec::new(),
            };
            let document = PolicyDocument::for_delegate(&scope, &features).unwrap();
            let read = Permissions::of_document(&serde_json::to_value(&document).unwrap());
            prop_assert_eq!((read.features, read.regions), (features, scope.regions));

            let roles = roles.iter().map(|name| format!("arn:aws:iam::111122223333:role/{name}"));
            let roles = sorted(parsed::<RoleArn>(roles));
            let external_id = external_id.map(|id| id.parse().unwrap());
            let trust = PolicyDocument::trust_scanners(&roles, external_id.as_ref()).unwrap();
            let read = Trust::of_document(&serde_json::to_value(&trust).unwrap());
            prop_assert_eq!((read.scanner_roles, read.external_id), (roles, external_id));
        }
    }

    #[test]
    fn what_is_not_a_policy_tells_nothing() {
        for document in
            ["null", "{}", r#"{"Statement":[{"Action":"*","Resource":"*"}]}"#, r#"{"Statement":[1]}"#]
        {
            let read = Permissions::of_document(&serde_json::from_str(document).unwrap());
            assert!(read.features.is_empty() && read.kms_keys.is_empty(), "{document}");
        }
    }
}
