//! One life of a resource: made, changed and removed, with a fault in each of the three.

use std::collections::BTreeSet;

use agentless_tests::local_aws::{Call, Hold, LocalAws};
use terraform_provider::sdk::stage::{Action, Stage};
use terraform_provider::sdk::{Diagnostic, Resource};
use tokio_util::sync::CancellationToken;

use super::inventory::inventory;
use super::kind::{Kind, Point};

/// What is done to a resource.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Phase {
    Create,
    Update,
    Delete,
}

impl Phase {
    pub(crate) const ALL: [Self; 3] = [Self::Create, Self::Update, Self::Delete];
}

/// How it went on after a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// The operation came to its end all the same.
    Retried,
    /// It failed, and the next apply finished it: nothing is left to do.
    Converged,
    /// It failed, and destroy has removed everything.
    Destroyed,
}

/// Faults to come in one operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned<'a> {
    pub(crate) kind: Kind,
    pub(crate) points: &'a [&'a Point],
    /// What to do when the operation fails.
    pub(crate) destroys: bool,
}

/// A resource with its AWS.
pub(crate) struct Life<'a, R: Resource> {
    aws: &'a LocalAws,
    stage: Stage<R>,
    create: R::Model,
    update: R::Model,
    /// As Terraform marks what was not made to the end: it is replaced.
    is_tainted: bool,
    services: &'a BTreeSet<String>,
    before: BTreeSet<String>,
}

impl<'a, R: Resource> Life<'a, R> {
    /// `create` and `update` are the two configurations, in JSON.
    pub(crate) async fn new(
        aws: &'a LocalAws,
        resource: R,
        [create, update]: [&str; 2],
        services: &'a BTreeSet<String>,
    ) -> Self {
        aws.clear_faults();
        Self {
            aws,
            stage: Stage::new(resource),
            create: Stage::<R>::config(create),
            update: Stage::<R>::config(update),
            is_tainted: false,
            services,
            before: inventory(aws, services).await,
        }
    }

    /// Goes through `phase`, and says how it went and how many calls met a fault. The error says what is wrong.
    pub(crate) async fn go(
        &mut self,
        phase: Phase,
        planned: Option<Planned<'_>>,
    ) -> Result<(Outcome, u32), String> {
        if phase != Phase::Create {
            self.refresh().await?;
        }
        self.aws.clear_calls();
        let done = match &planned {
            Some(planned) => self.with_faults(phase, planned).await,
            None => self.operate(phase).await,
        };
        self.aws.clear_faults();
        let met = self.aws.calls().iter().filter(|call| call.faulted).count();
        // The same call again and again is one case.
        let met = met.min(planned.map_or(0, |planned| planned.points.len()));
        let outcome = match (done, planned) {
            (Ok(()), _) => Outcome::Retried,
            (Err(failed), Some(planned)) if planned.points.len() == 1 => {
                let recovered = self.recover(phase, planned.destroys).await;
                recovered.map_err(|wrong| format!("{wrong}\nafter: {failed}"))?
            }
            (Err(failed), _) => return Err(failed.to_string()),
        };
        if phase == Phase::Delete {
            self.assert_nothing_left("removed").await?;
        } else {
            self.refresh().await?;
            let config = if phase == Phase::Create { &self.create } else { &self.update };
            match self.stage.plan(config).await {
                Ok((Action::Nothing, _)) => {}
                Ok((action, _)) => return Err(format!("there is still something to do: {action:?}")),
                Err(failed) => return Err(format!("planning: {failed}")),
            }
        }
        Ok((outcome, u32::try_from(met).expect("a small number")))
    }

    /// What was called in the phase gone through last, by the operation alone when it went well.
    pub(crate) async fn record(&mut self, phase: Phase) -> Result<Vec<Call>, String> {
        if phase != Phase::Create {
            self.refresh().await?;
        }
        self.aws.clear_calls();
        self.operate(phase).await.map_err(|failed| failed.to_string())?;
        Ok(self.aws.calls())
    }

    async fn with_faults(&mut self, phase: Phase, planned: &Planned<'_>) -> Result<(), Diagnostic> {
        let hold = Hold::new();
        for point in planned.points {
            self.aws.inject(point.fault(planned.kind, &hold));
        }
        let stop = self.stage.stop.clone();
        let interrupt = async {
            if planned.kind != Kind::Interrupted {
                std::future::pending::<()>().await;
            }
            hold.reached().await;
            stop.cancel();
            hold.release();
            std::future::pending::<()>().await;
        };
        let done = tokio::select! {
            done = self.operate(phase) => done,
            () = interrupt => unreachable!("it waits for the operation"),
        };
        hold.release();
        self.stage.stop = CancellationToken::new();
        done
    }

    async fn operate(&mut self, phase: Phase) -> Result<(), Diagnostic> {
        match phase {
            Phase::Create => {
                let done = self.stage.apply(&self.create).await;
                self.is_tainted = done.is_err() && self.stage.state.is_some();
                done.map(drop)
            }
            Phase::Update => self.stage.apply(&self.update).await.map(drop),
            Phase::Delete => self.stage.destroy().await,
        }
    }

    /// After a failure: destroys at once, or applies again.
    async fn recover(&mut self, phase: Phase, destroys: bool) -> Result<Outcome, String> {
        if self.stage.state.is_none() {
            self.assert_nothing_left("not in the state").await?;
        }
        self.refresh().await?;
        if destroys || self.is_tainted || phase == Phase::Delete {
            self.stage.destroy().await.map_err(|failed| format!("destroy: {failed}"))?;
            self.is_tainted = false;
            self.assert_nothing_left("destroyed").await?;
        }
        if phase == Phase::Delete {
            return Ok(Outcome::Destroyed);
        }
        let config = if phase == Phase::Create { &self.create } else { &self.update };
        self.stage.apply(config).await.map_err(|failed| format!("applied again: {failed}"))?;
        Ok(if destroys { Outcome::Destroyed } else { Outcome::Converged })
    }

    async fn refresh(&mut self) -> Result<(), String> {
        let state = self.stage.state.clone();
        let is_there = state.is_some();
        self.stage.refresh().await.map_err(|failed| {
            self.stage.state = state;
            format!("refresh: {failed}")
        })?;
        if is_there && self.stage.state.is_none() {
            self.is_tainted = false;
            self.assert_nothing_left("gone, says refresh").await?;
        }
        Ok(())
    }

    async fn assert_nothing_left(&self, when: &str) -> Result<(), String> {
        let now = inventory(self.aws, self.services).await;
        let left: Vec<&String> = now.difference(&self.before).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{when}, but there is {left:?}")) }
    }
}
