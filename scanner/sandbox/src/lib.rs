//! Processes without power, for the parsing of hostile disks.
//!
//! Whoever controls a scanned machine chooses every byte that a parser reads. So parsing happens in a child process that
//! holds nothing, and [`confine`] is how it, and the parent that does hold credentials, give up what they do not need.
//! [`parent`] and [`child`] are what each of them does, and [`protocol`] is what they say to each other. What the child
//! reads disks with is given to it: this crate parses none.

#![forbid(unsafe_code)]

pub mod child;
pub mod confine;
pub mod fuzz;
pub mod parent;
pub mod protocol;
