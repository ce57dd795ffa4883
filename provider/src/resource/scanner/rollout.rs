//! Bringing a new version of the launch template to the instances that run: instance refreshes.

use scanner_policy::Region;
use serde_json::{Value as Json, json};

use super::desired::of_template;
use super::group::is_unpropagated;
use super::lifecycle::new_refresh;
use super::schema::{Hardening, Model};
use super::template::Launch;
use super::{Machines, Scanner, name_of};
use crate::aws::{IAM_PROPAGATION, Kind, NewRefresh, Pace, Refresh, RefreshStatus, TemplateRef, retry};
use crate::sdk::{Context, Diagnostic, Saved, Value};

/// Where private state has the versions that this resource has made.
const VERSIONS: &str = "launch_template_versions";

/// How many of them are remembered. Only what a group may still launch matters.
const REMEMBERED: usize = 50;

/// Remembers that a version is of our making.
pub(super) fn remember(ctx: &Context, template: &TemplateRef) {
    let TemplateRef { id, version } = template;
    let mut numbers = remembered(ctx, id);
    if !numbers.contains(version) {
        numbers.push(version.clone());
    }
    let excess = numbers.len().saturating_sub(REMEMBERED);
    numbers.drain(..excess);
    ctx.set_private(VERSIONS, json!({ "template": id, "numbers": numbers }));
}

/// The versions of a template that are of our making, as far as remembered.
fn remembered(ctx: &Context, template: &str) -> Vec<String> {
    let known = ctx.private(VERSIONS).unwrap_or_default();
    if known.get("template").and_then(Json::as_str) != Some(template) {
        return Vec::new();
    }
    let numbers = known.get("numbers").and_then(Json::as_array).cloned().unwrap_or_default();
    numbers.iter().filter_map(|number| number.as_str().map(str::to_owned)).collect()
}

/// Whether a group that launches `in_use` may go on with it until the new version has proven itself, and go back to it:
/// a version of ours, as far as is known. What somebody else put in its place must go at once.
///
/// An imported scanner has no memory yet. Of that, what it promises about every instance must hold.
pub(super) fn is_trusted(ctx: &Context, prior: &Model, in_use: &TemplateRef) -> bool {
    let ours = remembered(ctx, &in_use.id);
    let is_pinned = in_use.version.parse::<u64>().is_ok();
    let is_hardened = prior.launch_template_version.as_str() == Some(&in_use.version)
        && of_template(&prior.hardening) == of_template(&Hardening::required().into());
    prior.launch_template_id.as_str() == Some(&in_use.id)
        && is_pinned
        && if ours.is_empty() { is_hardened } else { ours.contains(&in_use.version) }
}

impl<A: Machines> Scanner<A> {
    /// Replaces the instances by ones of the new version, and saves what came of it. `so_far` is what the state is before.
    ///
    /// # Errors
    /// The refresh could not be started, has failed, or is not waited for any longer.
    pub(super) async fn replace_instances(
        &self,
        ctx: &Context,
        region: &Region,
        so_far: &Model,
        updated: &Model,
        launch: &Launch,
        state: &mut Saved<Model>,
    ) -> Result<(), Diagnostic> {
        let name = name_of(updated);
        let by_id = so_far.image_parameter.is_null() && updated.image_parameter.is_null();
        let refresh = new_refresh(updated, launch.template.clone(), launch.stays && by_id);
        let id = self.start_refresh(ctx, region, name, &refresh).await?;
        // From now on this is what the group is on its way to, as a plan sees it as well.
        state.save(updated.clone());
        if updated.instance_refresh.get().is_some_and(|refresh| refresh.wait == Value::Known(false)) {
            return Ok(());
        }
        let ended = self.ended_refresh(ctx, region, name, &id).await?;
        let Some(failure) = failure(&ended, region, name) else { return Ok(()) };
        match self.observed(region, updated.clone()).await {
            Ok(Some(actual)) => state.save(actual),
            // The next plan looks again.
            Ok(None) | Err(_) => state.save(so_far.clone()),
        }
        Err(failure)
    }

    /// Makes room for a change of what the group launches, which EC2 Auto Scaling refuses while a refresh is under way:
    /// cancels it, or waits until it is cancelled or rolled back. Whether one was cancelled: then instances may be of
    /// two kinds.
    pub(super) async fn end_refresh(
        &self,
        ctx: &Context,
        region: &Region,
        name: &str,
    ) -> Result<bool, Diagnostic> {
        let failed = |error: crate::aws::AwsError| {
            error.diagnostic(format!("Could not end the instance refresh of scanner {name:?} in {region}"))
        };
        let what =
            format!("waiting until the instance refresh of scanner {name:?} that was under way has ended");
        let mut pace = Pace::brisk();
        let mut is_cancelled = false;
        while let Some(refresh) = self.aws.latest_refresh(region, name).await.map_err(failed)? {
            match refresh.status {
                RefreshStatus::Advancing if !is_cancelled => {
                    self.aws.cancel_refresh(region, name).await.map_err(failed)?;
                    is_cancelled = true;
                    let detail = format!(
                        "Instance refresh {} was under way ({} %) and is superseded by this change. Instances that it \
                         had replaced already are replaced again.",
                        refresh.id, refresh.percentage
                    );
                    ctx.report(Diagnostic::warning("An instance refresh was cancelled", detail));
                }
                _ if refresh.is_active() => {}
                _ => break,
            }
            pace.pause(ctx, &what).await?;
        }
        Ok(is_cancelled)
    }

    /// Starts a refresh and returns its id.
    async fn start_refresh(
        &self,
        ctx: &Context,
        region: &Region,
        name: &str,
        refresh: &NewRefresh,
    ) -> Result<String, Diagnostic> {
        let summary = || format!("Could not start the instance refresh of scanner {name:?} in {region}");
        let what = format!("waiting until EC2 Auto Scaling knows the instance profile of scanner {name:?}");
        loop {
            let start = || self.aws.start_refresh(region, name, refresh);
            let error = match retry(ctx, IAM_PROPAGATION, &what, is_unpropagated, start).await? {
                Ok(id) => return Ok(id),
                Err(error) => error,
            };
            if error.kind() != Kind::InUse {
                return Err(error.diagnostic(summary()));
            }
            let active = self.aws.latest_refresh(region, name).await;
            match active.map_err(|error| error.diagnostic(summary()))? {
                // An answer that was lost made the SDK ask again. Only we know the version that was just made.
                Some(active) if active.heads_for() == Some(&refresh.template) => return Ok(active.id),
                // Somebody has started one meanwhile.
                _ => _ = self.end_refresh(ctx, region, name).await?,
            }
        }
    }

    /// Waits until a refresh has ended.
    ///
    /// # Errors
    /// The user does not wait for it any longer, and is told that it goes on.
    async fn ended_refresh(
        &self,
        ctx: &Context,
        region: &Region,
        name: &str,
        id: &str,
    ) -> Result<Refresh, Diagnostic> {
        let what = format!("waiting for the instance refresh of scanner {name:?} in {region}");
        let mut pace = Pace::brisk();
        loop {
            let refresh = self.aws.refresh(region, name, id).await.map_err(|error| {
                let summary =
                    format!("Could not follow the instance refresh of scanner {name:?} in {region}");
                error.diagnostic(summary)
            })?;
            let percentage = match refresh {
                Some(refresh) if !refresh.is_active() => return Ok(refresh),
                Some(refresh) => refresh.percentage,
                None => 0,
            };
            pace.pause(ctx, &what).await.map_err(|diagnostic| Diagnostic {
                detail: format!(
                    "{}\n\nInstance refresh {id} goes on in AWS; {percentage} % were done. The next plan shows what came \
                     of it. `aws autoscaling cancel-instance-refresh --region {region} --auto-scaling-group-name \
                     {name}` stops it.",
                    diagnostic.detail
                ),
                ..diagnostic
            })?;
        }
    }
}

/// What the user is told of a refresh that has ended, when it was no success.
fn failure(refresh: &Refresh, region: &Region, name: &str) -> Option<Diagnostic> {
    let (what, then) = match refresh.status {
        RefreshStatus::Successful | RefreshStatus::Advancing | RefreshStatus::Leaving => return None,
        RefreshStatus::Failed => (
            "failed",
            "Some instances may have been replaced already; the group itself launches what the state says now.",
        ),
        RefreshStatus::Cancelled => (
            "was cancelled",
            "Somebody has stopped it. Some instances may have been replaced already; the group itself launches what the \
             state says now.",
        ),
        RefreshStatus::RolledBack => {
            ("was rolled back", "The group and all its instances are as they were before.")
        }
        RefreshStatus::RollbackFailed => (
            "failed, and so did its rollback",
            "The group launches what the state says now, but its instances may be of either version.",
        ),
    };
    let reason = refresh.reason.as_deref().unwrap_or("nothing about why");
    let detail = format!(
        "EC2 Auto Scaling says: {reason}\n\n{then} Correct what the reason names and apply again. The refresh was {}.",
        refresh.id
    );
    let summary = format!("The instance refresh of scanner {name:?} in {region} {what}");
    Some(Diagnostic::error(summary, detail))
}
