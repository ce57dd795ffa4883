//! Our package lists against those of the package managers, each on a tree that its own tools made.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod bad_input;
mod composer;
mod containers;
mod dotnet;
mod dpkg;
mod everything;
mod evidence;
mod go;
mod java;
mod locks;
mod node;
mod python;
mod rpm;
mod ruby;
mod rust;
mod support_table;
mod zip;
