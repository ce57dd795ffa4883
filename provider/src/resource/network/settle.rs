//! Doing what is to be done, until nothing is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use scanner_policy::Region;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::look::View;
use super::steps::{Situation, Step, key_of, next};
use super::wanted::Wanted;
use crate::aws::{AwsError, Kind, Networks, Pace, PartKind, PartKinds, Status};
use crate::sdk::{Context, Diagnostic};

/// How long EC2 may take until one of its calls knows what another has made. AWS names no figure ("Eventual consistency
/// in the Amazon EC2 API"); seconds are usual.
pub(super) const PROPAGATION: Duration = Duration::from_mins(2);

/// One network: where it is and how its parts are known.
#[derive(Debug)]
pub(super) struct Site<A> {
    pub(super) aws: Arc<A>,
    pub(super) region: Region,
    pub(super) vpc: String,
    pub(super) token: String,
}

impl<A: Networks> Site<A> {
    /// Brings the network to what is wanted; without that, removes all of its parts. `seen` is told of every look.
    pub(super) async fn settle(
        &self,
        ctx: &Context,
        wanted: Option<&Wanted>,
        mut seen: impl FnMut(&Situation) + Send,
    ) -> Result<Situation, Diagnostic> {
        let mut made = BTreeMap::new();
        let mut pace = Pace::brisk();
        let mut before: Vec<Step> = Vec::new();
        let mut trouble: Trouble = Trouble::default();
        let mut view = View::default();
        loop {
            let situation = self.look_again(ctx, &mut view, wanted.is_some()).await?;
            seen(&situation);
            fail_of_made(&situation, &made)?;
            let steps = next(&self.token, wanted, &situation, &made);
            let todo = match (steps.build.is_empty(), steps.waiting.is_empty()) {
                (false, _) => steps.build,
                (true, false) => Vec::new(),
                (true, true) => steps.remove,
            };
            if todo.is_empty() && steps.waiting.is_empty() {
                if !view.is_whole() {
                    // Others may have changed what was not looked at.
                    view.forget();
                    continue;
                }
                return if steps.unplaced.is_empty() { Ok(situation) } else { Err(no_room(&steps.unplaced)) };
            }
            if todo.is_empty() || todo == before {
                let what = match &trouble.last {
                    Some(error) => format!("changing network {}: {error}", self.vpc),
                    None => format!("waiting for {} of network {}", steps.waiting.join(", "), self.vpc),
                };
                if let Err(diagnostic) = pace.pause(ctx, &what).await {
                    return Err(self.explain(diagnostic, trouble.is_in_use()).await);
                }
            } else {
                pace = Pace::brisk();
                if ctx.is_stopped() {
                    ctx.wait(&format!("changing network {}", self.vpc), std::future::pending::<()>()).await?;
                }
            }
            before.clone_from(&todo);
            view.note(&todo);
            let mut errors = Vec::new();
            for (step, result) in self.run(wanted, todo).await {
                match (step, result) {
                    (Step::Create { key, part }, Ok(Some(id))) => {
                        view.expect(id.clone(), part.kind());
                        made.insert(key, id);
                    }
                    (_, Ok(_)) => {}
                    (step, Err(error)) => errors.push((step, error)),
                }
            }
            if errors.iter().any(|(_, error)| !error.is_in_use()) {
                view.forget();
            }
            if let Some((step, error)) = trouble.note(errors) {
                // What failed may have been done all the same: its answer was lost, and the request made again.
                let situation = self.look_again(ctx, &mut view, wanted.is_some()).await?;
                seen(&situation);
                let is_there = match &step {
                    Step::Create { key, .. } => situation.find(&self.token, key).is_some(),
                    _ => false,
                };
                if !is_there {
                    let diagnostic = error.diagnostic(format!("Could not {}", intention(&step, &self.vpc)));
                    return Err(self.explain(diagnostic, error.is_in_use()).await);
                }
            }
        }
    }

    /// Removes the VPC, which has no parts of ours any more.
    pub(super) async fn delete_vpc(&self, ctx: &Context) -> Result<(), Diagnostic> {
        let what = format!("waiting until nothing is in VPC {} in {} any more", self.vpc, self.region);
        let delete = || self.aws.delete_part(&self.region, PartKind::Vpc, &self.vpc);
        match crate::aws::retry(ctx, ctx.remaining(), &what, AwsError::is_in_use, delete).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                Err(error.diagnostic(format!("Could not delete VPC {} in {}", self.vpc, self.region)))
            }
            Err(diagnostic) => Err(self.explain(diagnostic, true).await),
        }
    }

    /// Does all steps side by side. A call that was made is not given up, whatever happens to the others.
    async fn run(
        &self,
        wanted: Option<&Wanted>,
        steps: Vec<Step>,
    ) -> Vec<(Step, Result<Option<String>, AwsError>)> {
        let mut running = JoinSet::new();
        for step in steps {
            let (aws, region, vpc) = (Arc::clone(&self.aws), self.region.clone(), self.vpc.clone());
            let tags = match (&step, wanted) {
                (Step::Create { key, .. }, Some(wanted)) => wanted.tags_of(key),
                _ => BTreeMap::new(),
            };
            running.spawn(async move {
                let result = match &step {
                    Step::Create { part, .. } => aws.create_part(&region, part, &tags).await.map(Some),
                    Step::Change { change, .. } => {
                        aws.change_part(&region, &vpc, change).await.map(|()| None)
                    }
                    Step::Delete { kind, id, .. } => aws.delete_part(&region, *kind, id).await.map(|()| None),
                };
                (step, result)
            });
        }
        let mut results = Vec::new();
        while let Some(joined) = running.join_next().await {
            match joined {
                Ok(result) => results.push(result),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => {}
            }
        }
        results
    }

    /// The same with what stands in the way, where something does.
    async fn explain(&self, diagnostic: Diagnostic, is_in_use: bool) -> Diagnostic {
        if !is_in_use {
            return diagnostic;
        }
        let mut lines = BTreeSet::new();
        if let Ok(interfaces) = self.aws.interfaces(&self.region, &self.vpc).await {
            for it in interfaces {
                let owner = it.instance.map(|id| format!(" of instance {id}")).unwrap_or_default();
                let what =
                    if it.description.is_empty() { String::new() } else { format!(" ({})", it.description) };
                lines.insert(format!("- network interface {}{owner} in subnet {}{what}", it.id, it.subnet));
            }
        }
        if let Ok(parts) = self.parts_of(PartKinds::from(PartKind::ALL)).await {
            for part in parts.iter().filter(|part| key_of(part, &self.token).is_none() && !is_built_in(part))
            {
                lines.insert(format!("- {} {}, which this resource did not make", part.what.kind(), part.id));
            }
        }
        if lines.is_empty() {
            return diagnostic;
        }
        let list: Vec<String> = lines.into_iter().collect();
        let detail = format!("{}\n\nIn the VPC there still is:\n{}", diagnostic.detail, list.join("\n"));
        Diagnostic { detail, ..diagnostic }
    }
}

/// What every VPC has from the beginning, and what goes with it.
fn is_built_in(part: &crate::aws::Part) -> bool {
    use crate::aws::What;
    match &part.what {
        What::Group { name, .. } => name == "default",
        What::RouteTable { is_main, .. } => *is_main,
        _ => false,
    }
}

/// The errors that time may cure, and since when there are any.
#[derive(Default)]
struct Trouble {
    since: Option<Instant>,
    last: Option<AwsError>,
}

impl Trouble {
    /// Notes the errors of one round. Returns one that is final.
    fn note(&mut self, errors: Vec<(Step, AwsError)>) -> Option<(Step, AwsError)> {
        if errors.is_empty() {
            *self = Self::default();
            return None;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        let is_fresh = since.elapsed() < PROPAGATION;
        let mut last = None;
        for (step, error) in errors {
            let may_pass = match error.kind() {
                Kind::InUse => true,
                // One call of EC2 does not know yet what another has done.
                Kind::NotFound | Kind::AlreadyExists => is_fresh,
                _ => false,
            };
            if !may_pass {
                self.last = Some(error.clone());
                return Some((step, error));
            }
            tracing::debug!(%error, "trying again");
            last = Some(error);
        }
        self.last = last;
        None
    }

    fn is_in_use(&self) -> bool {
        self.last.as_ref().is_some_and(AwsError::is_in_use)
    }
}

/// What was made here and has failed is told with its reason. The next apply removes it and tries again.
fn fail_of_made(situation: &Situation, made: &BTreeMap<String, String>) -> Result<(), Diagnostic> {
    let failed = situation.parts.iter().find_map(|part| match &part.status {
        Status::Failed(reason) if made.values().any(|id| *id == part.id) => Some((part, reason)),
        _ => None,
    });
    let Some((part, reason)) = failed else { return Ok(()) };
    let kind = part.what.kind();
    let detail = format!("AWS says: {reason}\n\nApply again to make another one.");
    Err(Diagnostic::error(format!("The {kind} {} has failed", part.id), detail))
}

fn no_room(zones: &[String]) -> Diagnostic {
    let detail = format!("There are no addresses left for subnets in {}. Use fewer zones.", zones.join(", "));
    Diagnostic::error("Not enough addresses", detail).at("cidr_block")
}

/// What a step was to do, after "Could not".
fn intention(step: &Step, vpc: &str) -> String {
    match step {
        Step::Create { key, .. } => format!("make {key} of network {vpc}"),
        Step::Change { why, .. } => format!("change network {vpc} ({why})"),
        Step::Delete { kind, id, .. } => format!("delete {kind} {id} of network {vpc}"),
    }
}
