//! XFS.

mod attributes;
mod formats;
mod prototypes;
mod shapes;
