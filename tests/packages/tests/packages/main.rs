//! Our package lists against those of the package managers, each on a tree that its own tools made.
#![forbid(unsafe_code)]

mod containers;
mod dpkg;
