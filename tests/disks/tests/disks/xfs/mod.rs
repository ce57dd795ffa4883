//! XFS.

mod formats;
