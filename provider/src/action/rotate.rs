//! `datadog_agentless_scanner_rotate`: replaces a scanner's instances now.

use std::sync::Arc;
use std::time::Duration;

use scanner_policy::Region;

use crate::aws::{InstanceRefreshes, Kind, Pace, RefreshStatus};
use crate::config::Settings;
use crate::model;
use crate::resource::place::{region_of, region_validator};
use crate::sdk::{
    Action, Attribute, Context, Diagnostic, Progress, Schema, Value, parse_duration, validator,
};

/// How long it may take when nothing else is said: a few instances one after the other, each with its self-test.
const TIME_LIMIT: Duration = Duration::from_hours(1);

/// Replaces the instances of a scanner.
#[derive(Debug)]
pub struct Rotate<A> {
    aws: Arc<A>,
    settings: Arc<Settings>,
}

impl<A> Rotate<A> {
    /// The action over `aws`.
    pub fn new(aws: Arc<A>, settings: Arc<Settings>) -> Self {
        Self { aws, settings }
    }
}

model! {
    /// What is to be rotated.
    pub struct Model {
        /// The scanner.
        pub name: Value<String>,
        /// Its region.
        pub region: Value<String>,
        /// How long to wait.
        pub timeout: Value<String>,
    }
}

impl<A: InstanceRefreshes> Action for Rotate<A> {
    const NAME: &'static str = "agentless_scanner_rotate";
    type Model = Model;

    fn schema() -> Schema {
        Schema::new(
            "Replaces all instances of a scanner now, by an instance refresh of its Auto Scaling group, and waits for \
             the end: after a finding on the scanner itself, or to take a new image into use before the day is over. \
             Each instance is replaced as the scanner's own rotation does it, a new one before the old one ends. A \
             rotation that is under way already is waited for.\n\n\
             Needs Terraform 1.14.",
        )
        .attribute(
            Attribute::string("name", "The name of the scanner.").required().validate(validator::length(1..=255)),
        )
        .attribute(
            Attribute::string("region", "The AWS region of the scanner. Default: the provider's.")
                .optional()
                .validate(region_validator()),
        )
        .attribute(
            Attribute::string("timeout", "How long to wait for the end, such as `90m`. Default: `1h`.")
                .optional()
                .validate(validator::duration()),
        )
    }

    fn time_limit(config: &Model) -> Duration {
        config.timeout.as_str().and_then(|text| parse_duration(text).ok()).unwrap_or(TIME_LIMIT)
    }

    async fn invoke(&self, ctx: &Context, config: Model, progress: &Progress) -> Result<(), Diagnostic> {
        let region = region_of(&self.settings, &config.region)?;
        let name = config.name.as_str().unwrap_or_default();
        let id = match self.aws.start_rotation(&region, name).await {
            Ok(id) => {
                progress.say(format!("Instance refresh {id} of {name} in {region} has begun"));
                Some(id)
            }
            // Somebody else's, or ours whose answer was lost: the instances are being replaced either way.
            Err(error) if error.kind() == Kind::InUse => {
                progress
                    .say(format!("An instance refresh of {name} in {region} is under way; waiting for it"));
                None
            }
            Err(error) => {
                let diagnostic = error.diagnostic(format!("Could not rotate scanner {name:?} in {region}"));
                return Err(diagnostic.at("name"));
            }
        };
        self.wait(ctx, &region, name, id, progress).await
    }
}

impl<A: InstanceRefreshes> Rotate<A> {
    /// Waits until the rotation with this id, or the newest, is over.
    async fn wait(
        &self,
        ctx: &Context,
        region: &Region,
        name: &str,
        mut id: Option<String>,
        progress: &Progress,
    ) -> Result<(), Diagnostic> {
        let what = format!("waiting for the rotation of scanner {name:?} in {region}; it goes on by itself");
        let mut pace = Pace::steady();
        let mut told = None;
        loop {
            let found = match &id {
                Some(id) => self.aws.refresh(region, name, id).await,
                None => self.aws.latest_refresh(region, name).await,
            };
            let refresh = found.map_err(|error| {
                error.diagnostic(format!("Could not follow the rotation of scanner {name:?} in {region}"))
            })?;
            // One that has just begun may not be listed yet.
            if let Some(refresh) = refresh {
                if refresh.status == RefreshStatus::Successful {
                    return Ok(());
                }
                if !refresh.is_active() {
                    let reason = refresh.reason.as_deref().unwrap_or("nothing about why");
                    return Err(Diagnostic::error(
                        format!("The rotation of scanner {name:?} in {region} did not succeed"),
                        format!(
                            "Instance refresh {} is {}. EC2 Auto Scaling says: {reason}",
                            refresh.id, refresh.status
                        ),
                    ));
                }
                let line = format!("{}, {} % done", refresh.status, refresh.percentage);
                if told.as_ref() != Some(&line) {
                    progress.say(line.clone());
                    told = Some(line);
                }
                id = Some(refresh.id);
            }
            pace.pause(ctx, &what).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::aws::ScalingGroup;
    use crate::aws::fake::{Course, FakeAws};

    async fn rotate(aws: &Arc<FakeAws>, config: Model) -> (Vec<String>, Result<(), Diagnostic>) {
        let region = Value::Known("eu-central-1".parse().unwrap());
        let settings = Arc::new(Settings { region, ..Settings::default() });
        let ctx = Context::detached(Rotate::<FakeAws>::time_limit(&config));
        let (lines, mut said) = mpsc::unbounded_channel();
        let result = Rotate::new(Arc::clone(aws), settings).invoke(&ctx, config, &Progress::new(lines)).await;
        let mut lines = Vec::new();
        while let Some(line) = said.recv().await {
            lines.push(line);
        }
        (lines, result)
    }

    fn scanner() -> (Arc<FakeAws>, Model) {
        let aws = FakeAws::default();
        aws.world().scaling_groups.insert("scanner".to_owned(), ScalingGroup::default());
        (Arc::new(aws), Model { name: "scanner".into(), ..Model::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn a_rotation_is_followed_to_its_end() {
        let (aws, config) = scanner();
        let (lines, result) = rotate(&aws, config).await;
        result.unwrap();
        assert!(lines[0].ends_with("of scanner in eu-central-1 has begun"), "{lines:?}");
        assert_eq!(lines[1..], ["in progress, 0 % done"]);
        assert!(aws.world().refreshes[0].asked.is_none(), "the group's own policy holds");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_under_way_is_waited_for() {
        let (aws, config) = scanner();
        aws.world().loses_answer_of = Some("autoscaling:StartInstanceRefresh");
        let (lines, result) = rotate(&aws, config).await;
        result.unwrap();
        assert!(lines[0].contains("is under way"), "{lines:?}");
        assert_eq!(aws.take_changes(), ["autoscaling:StartInstanceRefresh"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_told_with_its_reason() {
        use RefreshStatus::{Cancelled, Failed, RollbackFailed, RolledBack};
        for status in [Failed, Cancelled, RollbackFailed, RolledBack] {
            let (aws, config) = scanner();
            let reason = Some("An instance was not healthy".to_owned());
            aws.world().course = Course { steps: [status].into(), reason };
            let error = rotate(&aws, config).await.1.unwrap_err();
            let said = format!("is {status}. EC2 Auto Scaling says: An instance was not healthy");
            assert!(error.detail.contains(&said), "{}", error.detail);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_and_a_missing_scanner_is_told() {
        let (aws, config) = scanner();
        let steps = std::iter::repeat_n(RefreshStatus::Advancing, 10_000).collect();
        aws.world().course = Course { steps, reason: None };
        let error = rotate(&aws, Model { timeout: "10m".into(), ..config }).await.1.unwrap_err();
        assert!(error.summary.contains("it goes on by itself"), "{}", error.summary);

        let (aws, config) = scanner();
        aws.fail("autoscaling:StartInstanceRefresh", "ValidationError", "AutoScalingGroup name not found");
        let error = rotate(&aws, config).await.1.unwrap_err();
        assert_eq!(error.path.to_string(), "name");
        assert!(error.detail.contains("not found"), "{}", error.detail);
    }
}
