//! Databases that programs keep in a file of their own form.

#![warn(clippy::arithmetic_side_effects)]

pub mod bolt;
