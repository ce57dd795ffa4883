//! The ephemeral resources, one file each: values that are in no plan and no state.

pub mod session;
