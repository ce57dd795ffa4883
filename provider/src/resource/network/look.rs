//! Reading a network: all of it, or only what may have changed since.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::settle::{PROPAGATION, Site};
use super::steps::{Situation, Step};
use super::wanted::TOKEN_TAG;
use crate::aws::{AwsError, Change, Networks, Pace, Part, PartKind, PartKinds, Status, Vpc};
use crate::sdk::{Context, Diagnostic};

/// What was seen of a network, and what of it may have changed since. A network has ten kinds of parts, each with a
/// description of its own: while two NAT gateways take their minutes, only they are asked for.
#[derive(Debug, Default)]
pub(super) struct View {
    last: Option<Situation>,
    /// Whether `last` was read at once, and not in pieces.
    is_whole: bool,
    /// The kinds of what was made, changed or removed after it.
    touched: PartKinds,
    /// What was made and not seen yet, by id: EC2 may not list it at once.
    expected: BTreeMap<String, PartKind>,
}

impl View {
    /// Whether everything was read at the last look.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Has the next look be at everything.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// These steps are about to be done.
    pub(super) fn note(&mut self, steps: &[Step]) {
        if !steps.is_empty() {
            self.touched = steps.iter().filter_map(|step| self.kind_of(step)).collect();
        }
    }

    /// This part was made.
    pub(super) fn expect(&mut self, id: String, kind: PartKind) {
        self.expected.insert(id, kind);
    }

    fn kind_of(&self, step: &Step) -> Option<PartKind> {
        let kind_of_id = |id: &str| {
            let mut parts = self.last.iter().flat_map(|situation| &situation.parts);
            parts.find(|part| part.id == id).map(|part| part.what.kind())
        };
        match step {
            Step::Create { part, .. } => Some(part.kind()),
            Step::Delete { kind, .. } => Some(*kind),
            Step::Change { change: Change::Tag { id, .. }, .. } => {
                Some(kind_of_id(id).unwrap_or(PartKind::Vpc))
            }
            Step::Change { change, .. } => change.kind(),
        }
    }

    /// What may be different by now.
    fn kinds(&self, last: &Situation) -> PartKinds {
        let is_moving = |status: &Status| matches!(status, Status::Pending | Status::Leaving);
        let moving = last.parts.iter().filter(|part| is_moving(&part.status)).map(|part| part.what.kind());
        let vpc = last.vpc.ipv6.as_ref().is_some_and(|block| !block.is_ready).then_some(PartKind::Vpc);
        self.touched.iter().chain(self.expected.values()).copied().chain(moving).chain(vpc).collect()
    }

    fn saw(&mut self, situation: &Situation, is_whole: bool) {
        self.expected.retain(|id, _| !situation.parts.iter().any(|part| part.id == *id));
        self.last = Some(situation.clone());
        self.is_whole = is_whole;
    }
}

impl<A: Networks> Site<A> {
    /// The network as it is. `None` when the VPC is gone.
    pub(super) async fn look(&self) -> Result<Option<Situation>, AwsError> {
        let Self { aws, region, vpc, .. } = self;
        let (found, dns, parts) = tokio::join!(
            aws.vpc(region, vpc),
            aws.dns(region, vpc),
            self.parts_of(PartKinds::from(PartKind::ALL))
        );
        let Some(vpc) = found? else { return Ok(None) };
        Ok(Some(Situation { vpc, dns: dns?, parts: parts? }))
    }

    /// The network as it is, where nothing is asked for that cannot have changed since the last look.
    pub(super) async fn look_again(
        &self,
        ctx: &Context,
        view: &mut View,
        must_be: bool,
    ) -> Result<Situation, Diagnostic> {
        let partly = match view.last.take() {
            Some(last) => {
                let kinds = view.kinds(&last);
                ctx.wait(&self.reading(), self.look_at(kinds, last)).await?
            }
            None => Ok(None),
        };
        let (situation, is_whole) = match partly {
            Ok(Some(situation)) => (situation, false),
            Err(error) if !error.is_not_found() => return Err(self.unreadable(&error)),
            _ => (self.look_until_there(ctx, must_be).await?, true),
        };
        view.saw(&situation, is_whole);
        Ok(situation)
    }

    /// `last` with the parts of these kinds as they are. `None` when the VPC is one of them, and gone.
    async fn look_at(&self, kinds: PartKinds, last: Situation) -> Result<Option<Situation>, AwsError> {
        let Self { aws, region, vpc, .. } = self;
        let (found, dns) = if kinds.contains(&PartKind::Vpc) {
            let (found, dns) = tokio::try_join!(aws.vpc(region, vpc), aws.dns(region, vpc))?;
            (found, dns)
        } else {
            (Some(last.vpc), last.dns)
        };
        let Some(vpc) = found else { return Ok(None) };
        let others = last.parts.into_iter().filter(|part| !kinds.contains(&part.what.kind()));
        let mut parts: Vec<_> = others.collect();
        parts.extend(self.parts_of(kinds).await?);
        Ok(Some(Situation { vpc, dns, parts }))
    }

    /// The parts of these kinds.
    pub(super) async fn parts_of(&self, kinds: PartKinds) -> Result<Vec<Part>, AwsError> {
        self.aws.parts(&self.region, &self.vpc, (TOKEN_TAG, &self.token), &kinds).await
    }

    /// A VPC that was just made may not be listed yet; one that is being removed may be gone.
    async fn look_until_there(&self, ctx: &Context, must_be: bool) -> Result<Situation, Diagnostic> {
        let what = self.reading();
        let mut pace = Pace::brisk();
        let started = Instant::now();
        loop {
            let looked = ctx.wait(&what, self.look()).await?;
            let is_early = started.elapsed() < PROPAGATION && must_be;
            match looked {
                Ok(Some(situation)) => return Ok(situation),
                Ok(None) if !must_be => {
                    let all = PartKinds::from(PartKind::ALL);
                    let parts = ctx.wait(&what, self.parts_of(all)).await?;
                    let parts = parts.map_err(|error| self.unreadable(&error))?;
                    let vpc = Vpc { id: self.vpc.clone(), ..Vpc::default() };
                    return Ok(Situation { vpc, parts, ..Situation::default() });
                }
                Ok(None) if !is_early => {
                    let detail = "It was deleted meanwhile. Apply again to make another one.";
                    return Err(Diagnostic::error(format!("VPC {} is gone", self.vpc), detail));
                }
                Err(error) if !(error.is_not_found() && is_early) => return Err(self.unreadable(&error)),
                _ => pace.pause(ctx, &what).await?,
            }
        }
    }

    fn reading(&self) -> String {
        format!("reading network {} in {}", self.vpc, self.region)
    }

    fn unreadable(&self, error: &AwsError) -> Diagnostic {
        error.diagnostic(format!("Could not read network {} in {}", self.vpc, self.region))
    }
}
