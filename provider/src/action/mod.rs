//! The actions, one file each: what is done once, when a user asks for it.

pub mod rotate;
