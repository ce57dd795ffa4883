//! `datadog_agentless_scanner_api_key`: the Datadog API key as a secret of Secrets Manager, never in plan or state.

mod policy;
mod schema;
mod version;

use std::sync::Arc;
use std::time::Duration;

use scanner_policy::{AccountId, KmsKeyArn, Region};
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

pub use schema::Model;

use super::identity;
use super::place::{plan_region, region_of};
use super::tagging::{self, Change};
use crate::aws::{AwsError, Kind, NewSecret, Pace, Secrets, StoredSecret, retry};
use crate::config::Settings;
use crate::sdk::{Context, Diagnostic, Identity, Resource, Saved, Schema, Secret, Value};

/// How long a secret that was deleted at once keeps its name. AWS says that it takes a while (`DeleteSecret`) and names
/// no figure; seconds are usual.
const DELETED_AT_ONCE: Duration = Duration::from_mins(2);

/// How long a new secret may be unknown to the next request.
const PROPAGATION: Duration = Duration::from_mins(1);

/// What AWS takes for the recovery window of a secret that was deleted without one (`DeleteSecret`), in days.
const RECOVERY_DAYS: i64 = 30;

/// Manages the secret that holds the API key.
#[derive(Debug)]
pub struct ApiKey<A> {
    aws: Arc<A>,
    settings: Arc<Settings>,
}

impl<A> ApiKey<A> {
    /// The resource over `aws`.
    pub fn new(aws: Arc<A>, settings: Arc<Settings>) -> Self {
        Self { aws, settings }
    }
}

impl<A: Secrets> Resource for ApiKey<A> {
    const NAME: &'static str = "agentless_scanner_api_key";
    type Model = Model;

    fn schema() -> Schema {
        schema::schema()
    }

    async fn plan(
        &self,
        ctx: &Context,
        prior: Option<&Model>,
        config: &Model,
        planned: &mut Model,
    ) -> Result<(), Diagnostic> {
        let prior_region = prior.map(|prior| &prior.region);
        let region = plan_region(ctx, &self.settings, prior_region, &config.region, &mut planned.region)?;
        if let Some(region) = &region {
            check_key(region, &planned.kms_key_id)?;
            policy::check_readers(region, &planned.reader_role_arns)?;
        }
        planned.tags_all = tagging::plan(&self.settings, &planned.tags);
        planned.policy = policy::plan(&planned.reader_role_arns);
        planned.deletion_date = Value::Null;
        plan_version(ctx, prior, config, planned)
    }

    async fn create(&self, ctx: &Context, plan: Model, state: &mut Saved<Model>) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &plan.region)?;
        let secret = NewSecret {
            name: plan.name.as_str().unwrap_or_default().to_owned(),
            description: plan.description.as_str().unwrap_or_default().to_owned(),
            kms_key_id: plan.kms_key_id.clone().known(),
            version_id: version::new_id(&plan.api_key_wo_version),
            value: key_of(&plan)?,
            tags: plan.tags_all.clone().unwrap_or_default(),
        };
        let arn = self.make(ctx, &region, &secret).await?;
        let made = Model {
            id: arn.as_str().into(),
            enc_handle: handle(&arn).into(),
            arn: arn.as_str().into(),
            region: region.to_string().into(),
            version_id: secret.version_id.into(),
            foreign_version_id: Value::Null,
            deletion_date: Value::Null,
            policy: Value::Null,
            api_key_wo: Value::Null,
            ..plan
        };
        state.save(made.clone());

        let policy = policy::plan(&made.reader_role_arns);
        if policy.is_known()
            && let Err(diagnostic) = self.protect(ctx, &region, &arn, policy.as_str()).await
        {
            // It would be readable by more roles than wanted until somebody applies again; and Terraform would then replace
            // it, with one that cannot have its name before the recovery window ends.
            if self.aws.delete_secret(&region, &arn, 0).await.is_ok() {
                state.forget();
            }
            return Err(diagnostic);
        }
        state.save(Model { policy, ..made });
        Ok(())
    }

    async fn read(&self, _ctx: &Context, state: Model) -> Result<Option<Model>, Diagnostic> {
        let region = region_of(&self.settings, &state.region)?;
        let arn = state.arn.as_str().unwrap_or_default().to_owned();
        let failed = |error: AwsError| error.diagnostic(format!("Could not read secret {arn}"));
        let (secret, policy) =
            tokio::join!(self.aws.secret(&region, &arn), self.aws.secret_policy(&region, &arn));
        let Some(secret) = secret.map_err(failed)? else { return Ok(None) };
        let policy = match policy {
            Err(error) if error.is_not_found() => return Ok(None),
            // Secrets Manager does not say; it will after the restoration.
            Err(_) if secret.deletion_date.is_some() => state.policy.clone().known(),
            policy => policy.map_err(failed)?,
        };
        Ok(Some(observed(&self.settings, &region, state, secret, policy)?))
    }

    async fn update(
        &self,
        ctx: &Context,
        prior: Model,
        plan: Model,
        state: &mut Saved<Model>,
    ) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &plan.region)?;
        let arn = plan.arn.as_str().unwrap_or_default().to_owned();
        let failed = |error: AwsError| error.diagnostic(format!("Could not update secret {arn}"));
        let mut done = Model {
            recovery_window_in_days: plan.recovery_window_in_days,
            timeouts: plan.timeouts.clone(),
            ..prior.clone()
        };
        if prior.deletion_date.is_known() {
            // Nothing else can be done to it before.
            self.aws.restore_secret(&region, &arn).await.map_err(failed)?;
            done.deletion_date = Value::Null;
            state.save(done.clone());
        }
        // Who may read it comes before what there is to read.
        let policy = policy::plan(&plan.reader_role_arns);
        if prior.policy != policy {
            self.aws.put_secret_policy(&region, &arn, policy.as_str()).await.map_err(failed)?;
        }
        done.policy = policy;
        done.reader_role_arns = plan.reader_role_arns.clone();
        state.save(done.clone());

        if prior.description != plan.description || prior.kms_key_id != plan.kms_key_id {
            let description = plan.description.as_str().unwrap_or_default();
            let key = plan.kms_key_id.as_str();
            self.aws.update_secret(&region, &arn, description, key).await.map_err(failed)?;
            done.description = plan.description.clone();
            done.kms_key_id = plan.kms_key_id.clone();
            state.save(done.clone());
        }
        if plan.version_id.is_unknown() {
            let version_id = version::new_id(&plan.api_key_wo_version);
            self.put_value(ctx, &region, &arn, &version_id, &key_of(&plan)?).await?;
            done.version_id = version_id.into();
            done.api_key_wo_version = plan.api_key_wo_version;
            done.foreign_version_id = Value::Null;
            state.save(done.clone());
        }
        let tags = Change::between(&prior.tags_all, &plan.tags_all);
        if !tags.is_empty() {
            self.aws.tag_secret(&region, &arn, &tags.set, &tags.remove).await.map_err(failed)?;
        }
        state.save(Model { tags: plan.tags, tags_all: plan.tags_all, ..done });
        Ok(())
    }

    async fn delete(&self, _ctx: &Context, state: Model) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &state.region)?;
        let arn = state.arn.as_str().unwrap_or_default();
        let days = state.recovery_window_in_days.unwrap_or(RECOVERY_DAYS);
        let Err(error) = self.aws.delete_secret(&region, arn, days).await else { return Ok(()) };
        // Somebody may have scheduled its deletion already.
        let is_pending = error.kind() == Kind::Invalid
            && matches!(self.aws.secret(&region, arn).await, Ok(Some(secret)) if secret.deletion_date.is_some());
        if is_pending { Ok(()) } else { Err(error.diagnostic(format!("Could not delete secret {arn}"))) }
    }

    fn identity() -> Option<Identity<Model>> {
        Some(identity::by_arn(
            |model: &Model| &model.arn,
            imported,
            "The ARN of the secret, with the six characters that AWS has added to its name.",
        ))
    }

    async fn import(&self, _ctx: &Context, id: &str) -> Result<Model, Diagnostic> {
        imported(id)
    }
}

impl<A: Secrets> ApiKey<A> {
    /// Makes the secret. Returns its ARN.
    async fn make(&self, ctx: &Context, region: &Region, secret: &NewSecret) -> Result<String, Diagnostic> {
        let summary = || format!("Could not create secret {:?} in {region}", secret.name);
        let end = Instant::now() + DELETED_AT_ONCE;
        let mut pace = Pace::brisk();
        loop {
            let error = match self.aws.create_secret(region, secret).await {
                Ok(arn) => return Ok(arn),
                Err(error) => error,
            };
            let diagnostic = error.diagnostic(summary());
            match error.kind() {
                // It may have been made all the same. Nobody else knows the id of its version.
                Kind::AlreadyExists | Kind::Unavailable | Kind::Unreachable => {
                    return match self.aws.secret(region, &secret.name).await {
                        Ok(Some(found)) if found.versions.contains_key(&secret.version_id) => Ok(found.arn),
                        _ if error.kind() == Kind::AlreadyExists => Err(diagnostic.at("name")),
                        _ => Err(diagnostic),
                    };
                }
                Kind::Invalid if error.message().contains("scheduled for deletion") => {
                    let found = self.aws.secret(region, &secret.name).await;
                    match found.map_err(|error| error.diagnostic(summary()))? {
                        Some(found) => return Err(pending(region, &found, summary())),
                        None if Instant::now() < end => {}
                        None => return Err(diagnostic.at("name")),
                    }
                }
                _ => return Err(diagnostic),
            }
            let what = format!("waiting until the deleted secret {:?} is gone from {region}", secret.name);
            pace.pause(ctx, &what).await?;
        }
    }

    /// Gives a new secret its policy.
    async fn protect(
        &self,
        ctx: &Context,
        region: &Region,
        arn: &str,
        policy: Option<&str>,
    ) -> Result<(), Diagnostic> {
        let what = format!("waiting until secret {arn} is there");
        let put = || self.aws.put_secret_policy(region, arn, policy);
        retry(ctx, PROPAGATION, &what, AwsError::is_not_found, put)
            .await?
            .map_err(|error| error.diagnostic(format!("Could not set the policy of secret {arn}")))
    }

    /// Writes a version and sees that it is the current one.
    async fn put_value(
        &self,
        ctx: &Context,
        region: &Region,
        arn: &str,
        version_id: &str,
        value: &Secret,
    ) -> Result<(), Diagnostic> {
        let what = format!("waiting until secret {arn} is there");
        let again = AwsError::is_not_found;
        let answer =
            retry(ctx, PROPAGATION, &what, again, || self.aws.put_value(region, arn, version_id, value));
        let Err(error) = answer.await? else { return Ok(()) };
        if error.leaves_doubt()
            && let Ok(Some(found)) = self.aws.secret(region, arn).await
            && found.current_version() == Some(version_id)
        {
            return Ok(());
        }
        Err(error.diagnostic(format!("Could not write the key into secret {arn}")))
    }
}

/// Plans whether the key is written: with a new number, or because somebody else has replaced it.
fn plan_version(
    ctx: &Context,
    prior: Option<&Model>,
    config: &Model,
    planned: &mut Model,
) -> Result<(), Diagnostic> {
    let is_given = !config.api_key_wo.is_null();
    let is_new = prior.is_none_or(|prior| prior.api_key_wo_version != planned.api_key_wo_version);
    let foreign = prior.and_then(|prior| prior.foreign_version_id.as_str());
    if is_new && !is_given {
        return Err(Diagnostic::error(
            "The API key is missing",
            "A new secret, and one whose api_key_wo_version changes, needs the key in api_key_wo. It is not kept \
             anywhere, so it must be given again whenever it is to be written.",
        )
        .at("api_key_wo"));
    }
    if is_new || foreign.is_some() && is_given {
        planned.version_id = Value::Unknown;
        planned.foreign_version_id = Value::Null;
    } else if let Some(foreign) = foreign {
        ctx.report(
            Diagnostic::warning(
                "Somebody else has replaced the API key",
                format!(
                    "Readers of the secret get its version {foreign}, which Terraform did not write. Give the key in \
                     api_key_wo, and apply writes it again; or keep the new one, by giving it with another \
                     api_key_wo_version."
                ),
            )
            .at("api_key_wo_version"),
        );
    }
    Ok(())
}

/// `state` as Secrets Manager shows it now.
fn observed(
    settings: &Settings,
    region: &Region,
    state: Model,
    secret: StoredSecret,
    policy: Option<String>,
) -> Result<Model, Diagnostic> {
    let current = secret.current_version().map(str::to_owned);
    // After an import, the version's id says whether Terraform wrote it, and with which number.
    let (version_id, number) = match (&state.version_id, &current) {
        (_, None) => (Value::Null, Value::Null),
        (Value::Known(_), Some(_)) => (state.version_id, state.api_key_wo_version),
        (_, Some(current)) => match version::number(current) {
            Some(number) => (current.clone().into(), number.into()),
            None => (Value::Null, Value::Null),
        },
    };
    let foreign = current.filter(|current| version_id.as_str() != Some(current));
    let deletion_date = secret.deletion_date.map(|date| date.format(&Rfc3339)).transpose();
    let deletion_date = deletion_date
        .map_err(|error| Diagnostic::caused_by("The secret's deletion date is no date", &error))?;
    let (policy, readers) = policy::read(state.policy, state.reader_role_arns, policy);
    let (tags, tags_all) = tagging::read(settings, &state.tags, secret.tags);
    Ok(Model {
        id: secret.arn.as_str().into(),
        enc_handle: handle(&secret.arn).into(),
        arn: secret.arn.into(),
        name: secret.name.into(),
        region: region.to_string().into(),
        description: secret.description.into(),
        kms_key_id: secret.kms_key_id.into(),
        api_key_wo: Value::Null,
        api_key_wo_version: number,
        recovery_window_in_days: Value::Known(state.recovery_window_in_days.unwrap_or(RECOVERY_DAYS)),
        reader_role_arns: readers,
        policy,
        version_id,
        foreign_version_id: foreign.into(),
        deletion_date: deletion_date.into(),
        tags,
        tags_all,
        timeouts: state.timeouts,
    })
}

/// The state from which the secret of this ARN is read for the first time.
fn imported(arn: &str) -> Result<Model, Diagnostic> {
    let Some(region) = region_of_arn(arn) else {
        return Err(Diagnostic::error(
            "Invalid import id",
            format!(
                "A secret is imported by its ARN, such as \
                 arn:aws:secretsmanager:eu-central-1:111122223333:secret:NAME-a1b2c3, but the id is {arn:?}."
            ),
        ));
    };
    Ok(Model { id: arn.into(), arn: arn.into(), region: region.to_string().into(), ..Model::default() })
}

/// What the scanner's configuration takes in place of the key.
fn handle(arn: &str) -> String {
    format!("ENC[{arn}]")
}

fn key_of(plan: &Model) -> Result<Secret, Diagnostic> {
    plan.api_key_wo.clone().known().ok_or_else(|| {
        Diagnostic::error("The API key is missing", "api_key_wo turned out to be null while applying.")
            .at("api_key_wo")
    })
}

/// Secrets Manager takes keys of the secret's own region only.
fn check_key(region: &Region, key: &Value<String>) -> Result<(), Diagnostic> {
    match key.as_str().and_then(|arn| arn.parse::<KmsKeyArn>().ok()) {
        Some(key) if !key.is_in(region) => Err(Diagnostic::error(
            "KMS key of another region",
            format!("The KMS key {key} is not in {region}, so it cannot encrypt a secret there."),
        )
        .at("kms_key_id")),
        _ => Ok(()),
    }
}

/// A secret of this name waits to be deleted. Nobody knows whose it was, so it is not brought back.
fn pending(region: &Region, found: &StoredSecret, summary: String) -> Diagnostic {
    let date = found.deletion_date.map(|date| format!(" on {}", date.date())).unwrap_or_default();
    let arn = &found.arn;
    Diagnostic::error(
        summary,
        format!(
            "A secret of this name is scheduled for deletion{date}, and keeps its name until then. Choose another name; or \
             bring it back with `aws secretsmanager restore-secret --region {region} --secret-id {arn}` and import it \
             by its ARN; or delete it at once with `aws secretsmanager delete-secret --region {region} --secret-id \
             {arn} --force-delete-without-recovery`. With recovery_window_in_days = 0 Terraform always deletes at \
             once."
        ),
    )
    .at("name")
}

/// The region in the ARN of a secret.
fn region_of_arn(arn: &str) -> Option<Region> {
    let mut fields = arn.splitn(7, ':');
    let (Some("arn"), Some(partition), Some("secretsmanager")) =
        (fields.next(), fields.next(), fields.next())
    else {
        return None;
    };
    let region: Region = fields.next()?.parse().ok()?;
    let _: AccountId = fields.next()?.parse().ok()?;
    let is_secret = fields.next() == Some("secret") && fields.next().is_some_and(|name| name.len() > 7);
    (is_secret && partition == region.partition().id()).then_some(region)
}

#[cfg(test)]
mod tests;
