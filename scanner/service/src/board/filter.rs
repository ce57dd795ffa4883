//! Which results are asked for.

use serde::Deserialize;

use super::view::{Last, Outcome};
use crate::target::Kind;

/// Which results are asked for: those that everything which is given fits.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// How the scan ended.
    pub outcome: Option<Outcome>,
    /// What the target is.
    pub kind: Option<Kind>,
    /// In which account.
    pub account: Option<String>,
    /// In which region.
    pub region: Option<String>,
    /// A part of the target's ARN.
    pub target: Option<String>,
    /// How many to leave out, the newest first.
    #[serde(default)]
    pub skip: usize,
    /// How many to give.
    pub limit: Option<usize>,
}

impl Filter {
    const LIMIT: usize = 100;
    const MOST: usize = 1_000;

    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(Self::LIMIT).min(Self::MOST)
    }

    pub(super) fn fits(&self, last: &Last) -> bool {
        let target = &last.target;
        self.outcome.is_none_or(|outcome| outcome == last.outcome)
            && self.kind.is_none_or(|kind| kind == target.kind)
            && self.account.as_ref().is_none_or(|account| *account == target.place.account)
            && self.region.as_ref().is_none_or(|region| *region == target.place.region)
            && self.target.as_ref().is_none_or(|part| target.arn.contains(part))
    }
}
