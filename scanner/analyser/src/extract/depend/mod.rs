//! Which packages need each other.

mod present;
mod relations;

pub(super) use present::{Providers, keep_what_is_there};
pub(super) use relations::Relations;
