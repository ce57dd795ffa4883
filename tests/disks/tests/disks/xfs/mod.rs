//! XFS.

mod churn;
mod dirty_logs;
mod formats;
