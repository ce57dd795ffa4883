//! Secrets, their versions and policies.

use std::collections::BTreeMap;

use scanner_policy::Region;
use time::{Duration, OffsetDateTime};

use super::{ACCOUNT, FakeAws, retag};
use crate::aws::{AwsError, CURRENT, NewSecret, Secrets, StoredSecret, Tags};
use crate::sdk::Secret;

/// A secret with its values and its policy.
#[derive(Debug, Default)]
pub(crate) struct FakeSecret {
    pub(crate) secret: StoredSecret,
    pub(crate) values: BTreeMap<String, String>,
    pub(crate) policy: Option<String>,
}

impl FakeSecret {
    /// What readers get.
    pub(crate) fn value(&self) -> &str {
        &self.values[self.secret.current_version().unwrap()]
    }

    /// Adds a version and makes it the current one.
    pub(crate) fn put(&mut self, version_id: &str, value: &str) {
        let previous = self.secret.current_version().map(str::to_owned);
        self.secret.versions.values_mut().for_each(Vec::clear);
        if let Some(previous) = previous {
            self.secret.versions.insert(previous, vec!["AWSPREVIOUS".to_owned()]);
        }
        self.secret.versions.insert(version_id.to_owned(), vec![CURRENT.to_owned()]);
        self.values.insert(version_id.to_owned(), value.to_owned());
    }
}

impl Secrets for FakeAws {
    async fn create_secret(&self, region: &Region, secret: &NewSecret) -> Result<String, AwsError> {
        const OPERATION: &str = "secretsmanager:CreateSecret";
        let mut world = self.call(OPERATION)?;
        if let Some(left) = world.vanishing_secrets.checked_sub(1) {
            world.vanishing_secrets = left;
            let message = "a secret with this name is already scheduled for deletion";
            return Err(AwsError::answered(OPERATION, "InvalidRequestException", message));
        }
        if let Some(other) = world.secrets.values().find(|other| other.secret.name == secret.name) {
            return Err(if other.secret.deletion_date.is_some() {
                let message = "a secret with this name is already scheduled for deletion";
                AwsError::answered(OPERATION, "InvalidRequestException", message)
            } else {
                AwsError::answered(OPERATION, "ResourceExistsException", "there is one")
            });
        }
        let partition = region.partition().id();
        let arn = format!("arn:{partition}:secretsmanager:{region}:{ACCOUNT}:secret:{}-AbCdEf", secret.name);
        let made = StoredSecret {
            arn: arn.clone(),
            name: secret.name.clone(),
            description: secret.description.clone(),
            kms_key_id: secret.kms_key_id.clone(),
            tags: secret.tags.clone(),
            ..StoredSecret::default()
        };
        let mut fake = FakeSecret { secret: made, ..FakeSecret::default() };
        fake.put(&secret.version_id, secret.value.expose());
        world.secrets.insert(arn.clone(), fake);
        world.lost_answer(OPERATION, "InternalServiceError")?;
        Ok(arn)
    }

    async fn secret(&self, _region: &Region, id: &str) -> Result<Option<StoredSecret>, AwsError> {
        let world = self.call("secretsmanager:DescribeSecret")?;
        let mut secrets = world.secrets.values();
        Ok(secrets
            .find(|fake| fake.secret.arn == id || fake.secret.name == id)
            .map(|fake| fake.secret.clone()))
    }

    async fn put_value(
        &self,
        _region: &Region,
        secret: &str,
        version_id: &str,
        value: &Secret,
    ) -> Result<(), AwsError> {
        const OPERATION: &str = "secretsmanager:PutSecretValue";
        self.change_secret(OPERATION, secret, |fake| fake.put(version_id, value.expose()))?;
        self.world().lost_answer(OPERATION, "InternalServiceError")
    }

    async fn update_secret(
        &self,
        _region: &Region,
        secret: &str,
        description: &str,
        kms_key_id: Option<&str>,
    ) -> Result<(), AwsError> {
        self.change_secret("secretsmanager:UpdateSecret", secret, |fake| {
            fake.secret.description = description.to_owned();
            fake.secret.kms_key_id = kms_key_id.map(str::to_owned);
        })
    }

    async fn secret_policy(&self, _region: &Region, secret: &str) -> Result<Option<String>, AwsError> {
        let mut found = None;
        self.change_secret("secretsmanager:GetResourcePolicy", secret, |fake| found = fake.policy.clone())?;
        Ok(found)
    }

    async fn put_secret_policy(
        &self,
        _region: &Region,
        secret: &str,
        policy: Option<&str>,
    ) -> Result<(), AwsError> {
        let operation = match policy {
            Some(_) => "secretsmanager:PutResourcePolicy",
            None => "secretsmanager:DeleteResourcePolicy",
        };
        self.change_secret(operation, secret, |fake| fake.policy = policy.map(str::to_owned))
    }

    async fn tag_secret(
        &self,
        _region: &Region,
        secret: &str,
        set: &Tags,
        remove: &[String],
    ) -> Result<(), AwsError> {
        self.change_secret("secretsmanager:TagResource", secret, |fake| {
            retag(&mut fake.secret.tags, set, remove);
        })
    }

    async fn restore_secret(&self, _region: &Region, secret: &str) -> Result<(), AwsError> {
        const OPERATION: &str = "secretsmanager:RestoreSecret";
        let mut world = self.call(OPERATION)?;
        let fake = world.secrets.get_mut(secret).ok_or_else(|| missing(OPERATION))?;
        fake.secret.deletion_date = None;
        Ok(())
    }

    async fn delete_secret(&self, _region: &Region, secret: &str, days: i64) -> Result<(), AwsError> {
        const OPERATION: &str = "secretsmanager:DeleteSecret";
        let mut world = self.call(OPERATION)?;
        if days == 0 {
            world.secrets.remove(secret);
        } else if let Some(fake) = world.secrets.get_mut(secret) {
            if fake.secret.deletion_date.is_some() {
                return Err(pending(OPERATION));
            }
            let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
            fake.secret.deletion_date = Some(now + Duration::days(days));
        }
        Ok(())
    }
}

impl FakeAws {
    fn change_secret(
        &self,
        operation: &'static str,
        secret: &str,
        change: impl FnOnce(&mut FakeSecret),
    ) -> Result<(), AwsError> {
        let mut world = self.call(operation)?;
        let fake = world.secrets.get_mut(secret).ok_or_else(|| missing(operation))?;
        if fake.secret.deletion_date.is_some() {
            return Err(pending(operation));
        }
        change(fake);
        Ok(())
    }
}

fn pending(operation: &'static str) -> AwsError {
    let message = "You can't perform this operation on the secret because it was marked for deletion.";
    AwsError::answered(operation, "InvalidRequestException", message)
}

fn missing(operation: &'static str) -> AwsError {
    AwsError::answered(operation, "ResourceNotFoundException", "not there")
}
