//! Databases that programs keep in a file of their own form.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod bolt;
