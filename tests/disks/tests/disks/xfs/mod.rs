//! XFS.

mod attributes;
mod churn;
mod dirty_logs;
mod formats;
mod prototypes;
mod shapes;
