//! [`Secrets`]: secrets of Secrets Manager, their versions and resource policies.

use std::collections::BTreeMap;

use aws_sdk_secretsmanager::types::Tag;
use scanner_policy::Region;
use time::OffsetDateTime;

use super::error::failed;
use super::{Answer, Aws, AwsError, Tags, without_reserved};
use crate::sdk::Secret;

/// The staging label of the version that readers get.
pub const CURRENT: &str = "AWSCURRENT";

/// A secret, as Secrets Manager has it, without its value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredSecret {
    /// Its ARN, which ends in six random characters.
    pub arn: String,
    /// Its name, unique in the account and region.
    pub name: String,
    /// What it is for; empty when it has none.
    pub description: String,
    /// The key that encrypts it; none is the account's default for Secrets Manager.
    pub kms_key_id: Option<String>,
    /// When its deletion is scheduled for. Until then it can be restored.
    pub deletion_date: Option<OffsetDateTime>,
    /// The staging labels of its versions, by version id.
    pub versions: BTreeMap<String, Vec<String>>,
    /// Its tags.
    pub tags: Tags,
}

/// A secret to be made.
#[derive(Clone, Debug)]
pub struct NewSecret {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The key that is to encrypt it; none is the account's default.
    pub kms_key_id: Option<String>,
    /// The id of its first version.
    pub version_id: String,
    /// The value of that version.
    pub value: Secret,
    /// Its tags.
    pub tags: Tags,
}

/// Secrets, their versions and resource policies. A secret is named by its ARN, unless said otherwise.
pub trait Secrets: Send + Sync + 'static {
    /// Makes a secret with its first version and returns its ARN. Asked again with the same version id and value it does
    /// nothing more, so the SDK may repeat it.
    fn create_secret(&self, region: &Region, secret: &NewSecret) -> impl Answer<String>;
    /// Looks a secret up, by ARN or name. One whose deletion is scheduled is still there.
    fn secret(&self, region: &Region, id: &str) -> impl Answer<Option<StoredSecret>>;
    /// Adds a version with this id, and makes it the current one. Asked again with the same id and value it does nothing.
    fn put_value(&self, region: &Region, secret: &str, version_id: &str, value: &Secret) -> impl Answer<()>;
    /// Replaces description and key; no key is the account's default.
    fn update_secret(
        &self,
        region: &Region,
        secret: &str,
        description: &str,
        kms_key_id: Option<&str>,
    ) -> impl Answer<()>;
    /// The resource policy, as JSON.
    fn secret_policy(&self, region: &Region, secret: &str) -> impl Answer<Option<String>>;
    /// Replaces the resource policy, or removes it.
    fn put_secret_policy(&self, region: &Region, secret: &str, policy: Option<&str>) -> impl Answer<()>;
    /// Sets tags of a secret and removes others by key.
    fn tag_secret(&self, region: &Region, secret: &str, set: &Tags, remove: &[String]) -> impl Answer<()>;
    /// Takes back a deletion that is scheduled.
    fn restore_secret(&self, region: &Region, secret: &str) -> impl Answer<()>;
    /// Schedules the deletion of a secret in so many days; 0 deletes it at once. That it is gone already is a success.
    fn delete_secret(&self, region: &Region, secret: &str, recovery_days: i64) -> impl Answer<()>;
}

impl StoredSecret {
    /// The id of the version that readers get.
    pub fn current_version(&self) -> Option<&str> {
        let mut versions = self.versions.iter();
        versions.find(|(_, labels)| labels.iter().any(|label| label == CURRENT)).map(|(id, _)| id.as_str())
    }
}

impl Secrets for Aws {
    async fn create_secret(&self, region: &Region, secret: &NewSecret) -> Result<String, AwsError> {
        const OPERATION: &str = "secretsmanager:CreateSecret";
        let answer = self
            .clients(region)
            .secretsmanager
            .create_secret()
            .name(&secret.name)
            .description(&secret.description)
            .set_kms_key_id(secret.kms_key_id.clone())
            .client_request_token(&secret.version_id)
            .secret_string(secret.value.expose())
            .set_tags((!secret.tags.is_empty()).then(|| tags_to_sdk(&secret.tags)))
            .send()
            .await
            .map_err(failed(OPERATION))?;
        answer.arn.ok_or_else(|| AwsError::malformed(OPERATION, "ARN"))
    }

    async fn secret(&self, region: &Region, id: &str) -> Result<Option<StoredSecret>, AwsError> {
        let request = self.clients(region).secretsmanager.describe_secret().secret_id(id);
        let answer = match request.send().await.map_err(failed("secretsmanager:DescribeSecret")) {
            Ok(answer) => answer,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let deletion_date =
            answer.deleted_date.and_then(|date| OffsetDateTime::from_unix_timestamp(date.secs()).ok());
        let tags = answer.tags.unwrap_or_default().into_iter();
        Ok(Some(StoredSecret {
            arn: answer.arn.unwrap_or_default(),
            name: answer.name.unwrap_or_default(),
            description: answer.description.unwrap_or_default(),
            kms_key_id: answer.kms_key_id.filter(|key| !key.is_empty()),
            deletion_date,
            versions: answer.version_ids_to_stages.unwrap_or_default().into_iter().collect(),
            tags: without_reserved(tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())))),
        }))
    }

    async fn put_value(
        &self,
        region: &Region,
        secret: &str,
        version_id: &str,
        value: &Secret,
    ) -> Result<(), AwsError> {
        let request = self.clients(region).secretsmanager.put_secret_value().secret_id(secret);
        let request = request.client_request_token(version_id).secret_string(value.expose());
        request.send().await.map_err(failed("secretsmanager:PutSecretValue"))?;
        Ok(())
    }

    async fn update_secret(
        &self,
        region: &Region,
        secret: &str,
        description: &str,
        kms_key_id: Option<&str>,
    ) -> Result<(), AwsError> {
        let request = self.clients(region).secretsmanager.update_secret().secret_id(secret);
        // An empty key is the account's default; one that is left out changes nothing ("UpdateSecret").
        let request = request.description(description).kms_key_id(kms_key_id.unwrap_or_default());
        request.send().await.map_err(failed("secretsmanager:UpdateSecret"))?;
        Ok(())
    }

    async fn secret_policy(&self, region: &Region, secret: &str) -> Result<Option<String>, AwsError> {
        let request = self.clients(region).secretsmanager.get_resource_policy().secret_id(secret);
        let answer = request.send().await.map_err(failed("secretsmanager:GetResourcePolicy"))?;
        Ok(answer.resource_policy.filter(|policy| !policy.is_empty()))
    }

    async fn put_secret_policy(
        &self,
        region: &Region,
        secret: &str,
        policy: Option<&str>,
    ) -> Result<(), AwsError> {
        let client = self.clients(region).secretsmanager;
        if let Some(policy) = policy {
            let request = client.put_resource_policy().secret_id(secret).resource_policy(policy);
            request.send().await.map_err(failed("secretsmanager:PutResourcePolicy"))?;
        } else {
            let request = client.delete_resource_policy().secret_id(secret);
            request.send().await.map_err(failed("secretsmanager:DeleteResourcePolicy"))?;
        }
        Ok(())
    }

    async fn tag_secret(
        &self,
        region: &Region,
        secret: &str,
        set: &Tags,
        remove: &[String],
    ) -> Result<(), AwsError> {
        let client = self.clients(region).secretsmanager;
        if !remove.is_empty() {
            let request = client.untag_resource().secret_id(secret).set_tag_keys(Some(remove.to_vec()));
            request.send().await.map_err(failed("secretsmanager:UntagResource"))?;
        }
        if !set.is_empty() {
            let request = client.tag_resource().secret_id(secret).set_tags(Some(tags_to_sdk(set)));
            request.send().await.map_err(failed("secretsmanager:TagResource"))?;
        }
        Ok(())
    }

    async fn restore_secret(&self, region: &Region, secret: &str) -> Result<(), AwsError> {
        let request = self.clients(region).secretsmanager.restore_secret().secret_id(secret);
        request.send().await.map_err(failed("secretsmanager:RestoreSecret"))?;
        Ok(())
    }

    async fn delete_secret(&self, region: &Region, secret: &str, recovery_days: i64) -> Result<(), AwsError> {
        let request = self.clients(region).secretsmanager.delete_secret().secret_id(secret);
        let request = if recovery_days == 0 {
            request.force_delete_without_recovery(true)
        } else {
            request.recovery_window_in_days(recovery_days)
        };
        match request.send().await.map_err(failed("secretsmanager:DeleteSecret")) {
            Err(error) if error.is_not_found() => Ok(()),
            answer => answer.map(|_| ()),
        }
    }
}

fn tags_to_sdk(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}
