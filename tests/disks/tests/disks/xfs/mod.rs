//! XFS.

mod attributes;
mod churn;
pub(crate) mod dirty_logs;
mod formats;
mod prototypes;
mod shapes;
